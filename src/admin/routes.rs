//! The pages of the admin listener: `/metrics`, `/health` and `/ready`, whatever is below
//! `/debug` and `/console`, and the web chat where there is one.
//!
//! Deliberately absent: who decides whether the server is ready (`server`).

use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Query as Pairs, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::watch;

use super::console_pages::{self, ConsoleSetup, ListenerState};
use super::debug::{self, DiagnosticsState};
use super::scrape;
use super::server_state::{Readiness, StoreState};
use super::token_attempts::TokenAttempts;
use super::web::{self, WebChat};
use crate::clock::now;
use crate::metrics::{
    Exposition, ExpositionFormat, Gauge, Histogram, OPEN_METRICS_TYPE, Page, SharedMetricsWriter,
    StatusClass, TEXT_TYPE,
};

/// What the admin pages show.
#[derive(Clone)]
pub struct AdminState {
    /// The numbers of all threads.
    pub exposition: Arc<Exposition>,
    /// For the numbers of this listener.
    pub metrics: SharedMetricsWriter,
    /// Writes down what is read from the system at the time of a scrape.
    pub refresh: Arc<dyn Fn() + Send + Sync>,
    /// Changed by the control thread.
    pub readiness: watch::Receiver<Readiness>,
    /// Changed by whoever watches over the store.
    pub store: watch::Receiver<StoreState>,
    /// What `/debug` shows, to those who have the token.
    pub diagnostics: DiagnosticsState,
    /// What `/console` shows, to operators.
    pub console: ConsoleSetup,
    /// The web chat; only in development mode.
    pub web: Option<WebChat>,
}

/// All that can be asked; the rest is 404, another method 405.
pub(super) fn router(view: AdminState) -> Router {
    let attempts = TokenAttempts::new();
    let diagnostics = debug::router(view.diagnostics.clone(), attempts.clone());
    let listener = ListenerState {
        diagnostics: view.diagnostics.clone(),
        readiness: view.readiness.clone(),
        store: view.store.clone(),
        refresh: Arc::clone(&view.refresh),
        attempts,
    };
    let console = console_pages::router(view.console.clone(), listener);
    let others = match &view.web {
        Some(chat) => web::router(chat.clone()),
        None => Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "no such page\n") }),
    };
    Router::new()
        .merge(diagnostics)
        .merge(console)
        .merge(others)
        .route("/metrics", get(metrics))
        .route("/health", get(|| async { "alive\n" }))
        .route("/ready", get(ready))
        .layer(from_fn_with_state(view.clone(), measure))
        .with_state(view)
}

/// Counts every request, by the page's name in the router: what stands in the
/// address is the asker's choice.
async fn measure(State(view): State<AdminState>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let route = route.map(|route| route.strip_suffix("/{prefix}").unwrap_or(route));
    let page = Page::of(request.method().as_str(), route.unwrap_or_default());
    let began = now();
    let response = next.run(request).await;
    let took_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let class = StatusClass::of(response.status().as_u16());
    view.metrics.observe(Histogram::Http(page, class), took_us);
    response
}

async fn metrics(State(view): State<AdminState>, uri: Uri, headers: HeaderMap) -> Response {
    let wrong = |why: &str| (StatusCode::BAD_REQUEST, why.to_owned()).into_response();
    let Ok(Pairs(pairs)) = Pairs::<Vec<(String, String)>>::try_from_uri(&uri) else {
        return wrong("the query is not one\n");
    };
    let query = match scrape::query(&pairs) {
        Ok(query) => query,
        Err(why) => return wrong(why),
    };
    let format = scrape::format(&headers);
    let began = now();
    (view.refresh)();
    let text = match view.exposition.answer(&query, format) {
        Ok(text) => text,
        Err(why) => return wrong(&format!("{why}\n")),
    };
    let kind = match format {
        ExpositionFormat::Text => TEXT_TYPE,
        ExpositionFormat::OpenMetrics => OPEN_METRICS_TYPE,
    };
    let kind = [(header::CONTENT_TYPE, kind), (header::VARY, "accept, accept-encoding")];
    let response = if scrape::takes_gzip(&headers) {
        let packed = [(header::CONTENT_ENCODING, "gzip")];
        (kind, packed, scrape::gzip(&text)).into_response()
    } else {
        (kind, text).into_response()
    };
    let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
    view.metrics.set(Gauge::ScrapeDuration, took_ns);
    response
}

async fn ready(State(view): State<AdminState>) -> Response {
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
