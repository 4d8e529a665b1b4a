use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

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

/// What the admin pages show.
#[derive(Clone)]
pub struct View {
    /// The numbers of all cores.
    pub exposition: Arc<Exposition>,
    /// Changed by the control thread.
    pub readiness: watch::Receiver<Readiness>,
}

/// All that can be asked; the rest is 404, another method 405.
pub(super) fn router(view: View) -> Router {
    Router::new()
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
    match *view.readiness.borrow() {
        Readiness::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Readiness::Ready => "ready\n".into_response(),
        Readiness::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response(),
    }
}
