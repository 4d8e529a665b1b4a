use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::debug::{self, Evidence};
use crate::metrics::{Cores, Exposition, TEXT_TYPE};

/// Whether new clients are welcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not all cores listen yet.
    Starting,
    /// Every core listens.
    Ready,
    /// The listeners are closed; connections leave.
    Draining,
}

/// What the store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreState {
    /// There is none: no namespace keeps anything on disk.
    Absent,
    /// Messages, and everything else.
    Good,
    /// No messages, until there is space again; all else goes on.
    Full,
    /// Nothing, until it is read again after a failed write.
    Broken,
}

/// What the admin pages show.
#[derive(Clone)]
pub struct View {
    /// The numbers of all cores.
    pub exposition: Arc<Exposition>,
    /// Changed by the control thread.
    pub readiness: watch::Receiver<Readiness>,
    /// Changed by whoever watches over the store.
    pub store: watch::Receiver<StoreState>,
    /// What `/debug` shows, to those who have the token.
    pub evidence: Evidence,
}

/// All that can be asked; the rest is 404, another method 405.
pub(super) fn router(view: View) -> Router {
    let evidence = debug::router(view.evidence.clone());
    Router::new()
        .merge(evidence)
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") })
        .with_state(view)
}

async fn metrics(State(view): State<View>, RawQuery(query): RawQuery) -> Response {
    let cores = match query.as_deref() {
        None | Some("" | "core=sum") => Cores::Summed,
        Some("core=each") => Cores::Each,
        Some(_) => {
            let help = "the query is core=sum or core=each\n";
            return (StatusCode::BAD_REQUEST, help).into_response();
        }
    };
    ([(header::CONTENT_TYPE, TEXT_TYPE)], view.exposition.text(cores)).into_response()
}

async fn ready(State(view): State<View>) -> Response {
    let (status, text) = readiness(*view.readiness.borrow(), *view.store.borrow());
    (status, text).into_response()
}

/// Other servers have the same work and no more space: a full store does not send
/// clients away, who still read, acknowledge and delete here.
fn readiness(readiness: Readiness, store: StoreState) -> (StatusCode, &'static str) {
    match (readiness, store) {
        (Readiness::Starting, _) => (StatusCode::SERVICE_UNAVAILABLE, "starting\n"),
        (Readiness::Draining, _) => (StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        (Readiness::Ready, StoreState::Absent | StoreState::Good) => (StatusCode::OK, "ready\n"),
        (Readiness::Ready, StoreState::Full) => {
            (StatusCode::OK, "ready\nthe store is full: messages are refused\n")
        }
        (Readiness::Ready, StoreState::Broken) => {
            (StatusCode::SERVICE_UNAVAILABLE, "the store is broken: nothing is kept\n")
        }
    }
}
