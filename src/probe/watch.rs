//! Rounds without end, one server beside the other, and a page that says what they found.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rustls::ClientConfig;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{self, MissedTickBehavior};

use super::meters::{Meters, TEXT_TYPE};
use super::options::Options;
use super::round::{ProbeReport, round};
use super::target::ProbeTarget;
use crate::http_server::{HttpLimits, HttpServer, remedy};
use crate::runtime::control_runtime;
use crate::tls_roots;

/// How much one who asks may take.
const LIMITS: HttpLimits = HttpLimits {
    connections_max: 16,
    head_bytes_max: 8 << 10,
    headers_max: 64,
    head_ms_max: 5_000,
    exchange_ms_max: 10_000,
    idle_ms_max: None,
};

/// Why it cannot run.
#[derive(Debug)]
pub enum WatchError {
    /// There is no runtime, or no signals.
    System(io::Error),
    /// It cannot listen there.
    Listen(SocketAddr, io::Error),
    /// The file with certificates.
    Trust(String),
}

impl fmt::Display for WatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WatchError::System(error) => write!(f, "the system refuses: {error}"),
            WatchError::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {}", remedy(*address, error))
            }
            WatchError::Trust(what) => f.write_str(what),
        }
    }
}

/// One round with each server, in their order.
pub fn once(options: &Options) -> Result<Vec<ProbeReport>, WatchError> {
    let tls = tls_config(options)?;
    let rounds = async {
        let mut reports = Vec::new();
        for target in &options.targets {
            reports.push(round(options, target, &tls).await);
        }
        reports
    };
    Ok(runtime()?.block_on(rounds))
}

/// Runs until SIGTERM or SIGINT, with `/metrics` on `address`.
pub fn watch(options: Options, address: SocketAddr) -> Result<(), WatchError> {
    let tls = tls_config(&options)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(Arc::new(options), tls, address));
    // A name that nobody resolves is nothing to wait for.
    runtime.shutdown_background();
    ended
}

fn tls_config(options: &Options) -> Result<Arc<ClientConfig>, WatchError> {
    tls_roots::client_config(&options.ca_file).map(Arc::new).map_err(WatchError::Trust)
}

fn runtime() -> Result<Runtime, WatchError> {
    control_runtime(0).map_err(WatchError::System)
}

async fn serve(
    options: Arc<Options>,
    tls: Arc<ClientConfig>,
    address: SocketAddr,
) -> Result<(), WatchError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(WatchError::System)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(WatchError::System)?;
    let refuse = |error| WatchError::Listen(address, error);
    let listener = HttpServer::bind(address).await.map_err(refuse)?;
    let at = listener.address().map_err(refuse)?;
    let meters = Meters::new(options.targets.iter().map(ProbeTarget::authority));
    let mut tasks = JoinSet::new();
    for index in 0..options.targets.len() {
        let (options, tls, meters) = (Arc::clone(&options), Arc::clone(&tls), meters.clone());
        tasks.spawn(async move { go_on(&options, index, &tls, &meters).await });
    }
    tasks.spawn(listener.serve(pages(meters), LIMITS));
    tracing::info!("the probe listens on {at}, and chats with {} servers", options.targets.len());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

async fn go_on(options: &Options, index: usize, tls: &Arc<ClientConfig>, meters: &Meters) {
    let target = &options.targets[index];
    let server = target.authority();
    let mut beat = time::interval(options.interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was said last, so that the log has changes and no repetitions.
    let mut last = None;
    loop {
        beat.tick().await;
        let report = round(options, target, tls).await;
        meters.take(&server, &report);
        let failed = report.failed.map(|(stage, failure)| format!("{}: {failure}", stage.name()));
        if last.as_ref() != Some(&failed) {
            match &failed {
                Some(what) => tracing::error!("nobody can chat with {server}: {what}"),
                None => tracing::info!("two clients could chat with {server}"),
            }
            last = Some(failed);
        }
    }
}

fn pages(meters: Meters) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "alive\n" }))
        .with_state(meters)
}

async fn metrics(State(meters): State<Meters>) -> Response {
    ([(header::CONTENT_TYPE, TEXT_TYPE)], meters.text()).into_response()
}
