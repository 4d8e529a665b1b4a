//! The pages below `/console`: the console's files, and what its page asks for. Who may ask is
//! decided in `console`; here requests are read and answers written.
//!
//! | path | answer | asks shards |
//! |---|---|---|
//! | `GET /console/`, and each file | the page | no |
//! | `POST`, `GET`, `DELETE /console/api/session` | a session begins, is shown, ends | no |
//! | `GET /console/api/overview` | a sample of all cores, at most one a second | no |
//! | `GET /console/api/tenants`, `flights`, `audit` | what their names say | no |
//! | `GET /console/api/conns` | the worst connections | yes, as `/debug/conns` does |
//! | `GET /console/api/rooms` | the largest rooms | yes, once in ten seconds |
//! | `GET /console/api/alerts` | what fires, by Alertmanager | no |
//! | `GET /console/api/quarantine` | prefixes that are blocked | the control thread |
//! | `GET /console/api/blocks` | who is kept out, a page | the thread that keeps the list |
//! | `GET /console/api/dead-letters` | dead letters, a page | one; asks the store |
//! | `POST /console/api/acts` | an act of an operator | as the act does |
//!
//! Invariant: nothing below `/console/api` answers before `console::ConsoleAccess` has let the
//! request pass, and each refusal is an audit event.
//!
//! Deliberately absent: TLS, and Cross-Origin Resource Sharing: no other origin reads any of it.

mod acts;
mod gate;
mod reads;
mod session;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::{Mutex, watch};

use super::debug::DiagnosticsState;
use super::server_state::{Readiness, StoreState};
use super::static_files::StaticFiles;
use super::token_attempts::TokenAttempts;
use crate::console::{
    AlertsAnswer, ConsoleAccess, LargestRooms, PageOrigin, Recent, SAMPLE_MS_MIN,
};

use gate::{Gate, head};

/// Bytes of a request's body.
const BODY_BYTES_MAX: usize = 4 << 10;

/// Cores walk through their rooms at most once in so long, whoever asks.
const RANKING_MS_MIN: u64 = 10_000;

/// Alertmanager is asked at most once in so long.
const ALERTS_MS_MIN: u64 = 5_000;

/// The policy of the page: nothing but the build itself, and this listener.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'; require-trusted-types-for 'script'";

/// What the console is made of.
#[derive(Clone)]
pub struct ConsoleSetup {
    /// The files of its page; without them there is only what the page would ask for.
    pub files: Option<StaticFiles>,
    /// Origins of its page, beside addresses and `localhost`.
    pub origins: Vec<PageOrigin>,
    /// When a drain began, Unix ms, and how many ms it may take.
    pub drain: watch::Receiver<Option<(u64, u64)>>,
}

/// What its pages share.
#[derive(Clone)]
struct ConsoleState {
    gate: Gate,
    files: Option<StaticFiles>,
    diagnostics: DiagnosticsState,
    readiness: watch::Receiver<Readiness>,
    store: watch::Receiver<StoreState>,
    drain: watch::Receiver<Option<(u64, u64)>>,
    refresh: Arc<dyn Fn() + Send + Sync>,
    /// The last sample, as it was sent.
    samples: Arc<Mutex<Recent<Bytes>>>,
    rankings: Arc<Mutex<Recent<Ranking>>>,
    /// What fires.
    alerts: Arc<Mutex<Recent<Arc<AlertsAnswer>>>>,
}

/// The largest rooms, and when they were that.
#[derive(Clone)]
struct Ranking {
    made_unix_ms: u64,
    rooms: Arc<LargestRooms>,
}

/// What the listener's own state has for the console.
pub(super) struct ListenerState {
    pub diagnostics: DiagnosticsState,
    pub readiness: watch::Receiver<Readiness>,
    pub store: watch::Receiver<StoreState>,
    /// Writes down what is read from the system.
    pub refresh: Arc<dyn Fn() + Send + Sync>,
    pub attempts: TokenAttempts,
}

/// The routes below `/console`.
pub(super) fn router<S: Clone + Send + Sync + 'static>(
    setup: ConsoleSetup,
    listener: ListenerState,
) -> Router<S> {
    let ConsoleSetup { files, origins, drain } = setup;
    let ListenerState { diagnostics, readiness, store, refresh, attempts } = listener;
    let operators = diagnostics.operators.clone();
    let access = ConsoleAccess::new(operators.borrow().clone(), origins);
    let state = ConsoleState {
        gate: Gate::new(access, operators, attempts, diagnostics.audit.clone()),
        files,
        diagnostics,
        readiness,
        store,
        drain,
        refresh,
        samples: Arc::new(Mutex::new(Recent::new(SAMPLE_MS_MIN))),
        rankings: Arc::new(Mutex::new(Recent::new(RANKING_MS_MIN))),
        alerts: Arc::new(Mutex::new(Recent::new(ALERTS_MS_MIN))),
    };
    let signed_in = from_fn_with_state(state.clone(), reads::only_visitors);
    let api = Router::new()
        .route("/session", get(session::show).post(session::sign_in).delete(session::sign_out))
        .route("/overview", get(reads::overview).route_layer(signed_in.clone()))
        .route("/tenants", get(reads::tenants).route_layer(signed_in.clone()))
        .route("/flights", get(reads::flights).route_layer(signed_in.clone()))
        .route("/conns", get(reads::conns).route_layer(signed_in.clone()))
        .route("/rooms", get(reads::rooms).route_layer(signed_in.clone()))
        .route("/quarantine", get(reads::quarantine).route_layer(signed_in.clone()))
        .route("/blocks", get(reads::blocks).route_layer(signed_in.clone()))
        .route("/dead-letters", get(reads::dead_letters).route_layer(signed_in.clone()))
        .route("/alerts", get(reads::alerts).route_layer(signed_in.clone()))
        .route("/audit", get(reads::audit).route_layer(signed_in.clone()))
        .route("/acts", post(acts::perform))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(not_kept));
    Router::new()
        .nest("/console/api", api)
        .route("/console", get(|| async { moved() }))
        .route("/console/", get(file))
        .route("/console/{*path}", get(file))
        .with_state(state)
}

/// The page's addresses are relative to its folder.
fn moved() -> Response {
    (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, "/console/")]).into_response()
}

async fn file(State(state): State<ConsoleState>, uri: Uri, headers: HeaderMap) -> Response {
    if let Err(error) = state.gate.check_host(&head(&headers)).await {
        return gate::refusal(error);
    }
    let Some(files) = &state.files else {
        let words = "the console's page is not here: admin.console_dir names a build of it\n";
        return (StatusCode::NOT_FOUND, words).into_response();
    };
    let path = uri.path().strip_prefix("/console").unwrap_or_default();
    files.answer(path, &headers, POLICY)
}

/// What an operator sees is for one pair of eyes.
async fn not_kept(request: Request, next: Next) -> Response {
    let mut answer = next.run(request).await;
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    let nosniff = header::HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    answer
}
