//! The server API as a part of the control thread: its listener, what is under way, and the
//! way of questions to cores and of answers back.
//!
//! Invariant: questions wait here, and never make a core wait: an order takes some of them
//! when the core has room for it.
//!
//! Deliberately absent: HTTP (`api_listener`), and what a call means (`api`).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, channel};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time;

use super::StartError;
use super::api_calls::{ApiCalls, ApiRequest};
use super::api_control::ControlLink;
use super::api_listener::{ApiListener, ApiOptions, ApiState, Bodies, CONNECTIONS_MAX, Document};
use super::blocks::BlockRequest;
use super::core_lanes::CoreCommand;
use super::cores::CoreHandles;
use super::presence_keeper::FeedLink;
use crate::admin::AuditLog;
use crate::auth::ApiKeys;
use crate::clock::unix_ms;
use crate::metrics::{Gauge, Protocol, SharedMetricsWriter, Threads};
use crate::room::Namespace;
use crate::session::NameKey;
use crate::shard::{ServerAnswer, ShardCommand};
use crate::wire::api::ApiNode;

/// A core that has no room for an order takes its orders in each turn, so room comes soon.
const RETRY_MS: u64 = 1;

/// Requests that wait for the control thread: as many as there can be connections.
const REQUESTS_WAITING_MAX: usize = CONNECTIONS_MAX;

/// What the control thread has of the server API.
pub(super) struct ServerApi {
    calls: ApiCalls,
    asked: (Sender<ApiRequest>, Receiver<ApiRequest>),
    keys: watch::Sender<Arc<ApiKeys>>,
    answers: UnboundedReceiver<Vec<ServerAnswer>>,
    listener: Option<ApiListener>,
    serving: Option<JoinHandle<()>>,
    /// Some core had no room.
    retries: bool,
}

/// What there is to do for the server API.
pub(super) enum ApiTask {
    /// To take a request.
    Take(ApiRequest),
    /// To carry questions to cores.
    Carry,
    /// To hand out answers of cores.
    Answers(Vec<ServerAnswer>),
}

impl ServerApi {
    /// Binds the listener, if there is to be one.
    pub async fn bind(
        options: &ApiOptions,
        keys: Arc<ApiKeys>,
        answers: UnboundedReceiver<Vec<ServerAnswer>>,
        shards_count: u16,
    ) -> Result<ServerApi, StartError> {
        let listener = match options.listen {
            Some(address) => Some(
                ApiListener::bind(address)
                    .await
                    .map_err(|error| StartError::Api(address, error))?,
            ),
            None => None,
        };
        Ok(ServerApi {
            calls: ApiCalls::new(shards_count),
            asked: channel(REQUESTS_WAITING_MAX),
            keys: watch::channel(keys).0,
            answers,
            listener,
            serving: None,
            retries: false,
        })
    }

    /// Where it listens, if it does.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref().and_then(|listener| listener.address().ok())
    }

    /// Begins to serve.
    pub fn serve(
        &mut self,
        options: &ApiOptions,
        (names, blocks, feed): (NameKey, Sender<BlockRequest>, Option<FeedLink>),
        control: ControlLink,
        namespaces: Arc<[Namespace]>,
        (metrics, audit): (SharedMetricsWriter, AuditLog),
    ) {
        let Some(listener) = self.listener.take() else { return };
        let node_link = control.clone();
        let state = ApiState {
            asked: self.asked.0.clone(),
            blocks,
            keys: self.keys.subscribe(),
            names,
            namespaces,
            body_bytes_max: options.body_bytes_max,
            node: Arc::new(move || node(&node_link.threads, &node_link.instance)),
            control,
            bodies: Bodies::new(options.body_bytes_max),
            document: Document::new(),
            audit,
            feed,
            metrics,
        };
        self.serving = Some(tokio::spawn(listener.serve(state)));
    }

    /// Where others than backends ask cores.
    pub fn asks(&self) -> Sender<ApiRequest> {
        self.asked.0.clone()
    }

    /// Keys are these from now on.
    pub fn set_keys(&self, keys: Arc<ApiKeys>) {
        self.keys.send_replace(keys);
    }

    /// Until there is something to do.
    pub async fn wait(&mut self) -> ApiTask {
        let retries = self.retries;
        let again = async {
            match retries {
                true => time::sleep(Duration::from_millis(RETRY_MS)).await,
                false => std::future::pending().await,
            }
        };
        tokio::select! {
            answers = self.answers.recv() => match answers {
                Some(answers) => ApiTask::Answers(answers),
                // All cores are gone: the server ends.
                None => std::future::pending().await,
            },
            // It holds a sender of its own, so there is always one.
            Some(request) = self.asked.1.recv() => ApiTask::Take(request),
            () = again => ApiTask::Carry,
        }
    }

    /// Does it.
    pub fn act(&mut self, cores: &mut CoreHandles, task: ApiTask) {
        match task {
            ApiTask::Answers(answers) => {
                self.calls.on_answers(answers);
                self.carry(cores);
            }
            ApiTask::Take(request) => {
                self.calls.ask(request);
                self.carry(cores);
            }
            ApiTask::Carry => self.carry(cores),
        }
    }

    fn carry(&mut self, cores: &mut CoreHandles) {
        self.retries = false;
        for core in 0..cores.count() {
            self.carry_to(cores, core);
        }
    }

    fn carry_to(&mut self, cores: &mut CoreHandles, core: usize) {
        while self.calls.waits_for(core) {
            if !cores.has_room(core) {
                self.retries = true;
                return;
            }
            let questions = self.calls.take(core);
            if questions.is_empty() {
                return;
            }
            let order = CoreCommand::Shard(ShardCommand::Server(questions));
            assert!(cores.try_send(core, order), "it had room a moment ago");
        }
    }

    /// Asks cores nothing more: calls that wait find out that they are not answered, and those
    /// that come are refused, but for what concerns the server itself. The listener, if there is
    /// one, is the caller's to end.
    pub fn end_calls(self) -> Option<JoinHandle<()>> {
        self.serving
    }
}

/// The state of the server, from what its threads count.
fn node(threads: &Threads, instance: &str) -> ApiNode {
    let sum = |gauge: Gauge| -> u64 { threads.cores.iter().map(|cells| cells.gauge(gauge)).sum() };
    ApiNode {
        uid: instance.to_owned(),
        name: instance.to_owned(),
        version: env!("CARGO_PKG_VERSION"),
        num_clients: Protocol::ALL.iter().map(|&one| sum(Gauge::Connections(one))).sum(),
        num_subs: sum(Gauge::Subscriptions),
        num_channels: sum(Gauge::Rooms),
        uptime: unix_ms().saturating_sub(threads.began_unix_ms) / 1_000,
    }
}
