//! The pages below `/debug`: diagnostics, for those who have the token. `routes` of the admin
//! listener hands requests to them; each page is a file.
//!
//! | path | answer | asks shards |
//! |---|---|---|
//! | `GET /debug/snapshot` | what went wrong lately, newest first | no |
//! | `GET /debug/tasks` | what each core is doing | no |
//! | `GET /debug/conns` | the worst connections | yes, by commands, with a deadline |
//! | `GET /debug/profile` | where time or memory goes, as pprof | no |
//! | `GET`, `POST /debug/quarantine`, `DELETE /debug/quarantine/{prefix}` | who is blocked | the control thread |
//!
//! Invariant: no page of these answers before the token was seen.
//!
//! Deliberately absent: how cores are asked. What needs them goes as a [`OperatorQuestion`]
//! to the control thread, which has their lanes.

mod access_guard;
mod conns;
#[cfg(feature = "faults")]
mod faults;
mod profile;
mod quarantine;
mod snapshot;
mod tasks;

use std::sync::Arc;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, delete, get};
use axum::{Router, middleware};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc, watch};

use super::audit_log::AuditLog;
use super::questions::OperatorQuestion;
use super::token_attempts::TokenAttempts;
use crate::console::Operators;
use crate::metrics::Threads;

pub(super) use conns::report as worst_connections;
pub use profile::CpuProfiles;
pub(super) use quarantine::report as quarantined_prefixes;
pub(super) use snapshot::newest as newest_flights;
pub use tasks::report as tasks_report;

/// What the diagnostics are made of.
#[derive(Clone)]
pub struct DiagnosticsState {
    /// Whose tokens a request may show; changed by a reload.
    pub operators: watch::Receiver<Operators>,
    /// Where it is written down what they do.
    pub audit: AuditLog,
    /// Which server this is, as its answers say.
    pub instance: Arc<str>,
    /// The threads whose cells are read.
    pub threads: Threads,
    /// Where questions for cores go.
    pub questions: mpsc::Sender<OperatorQuestion>,
    /// One profile is made at a time.
    pub profile: Arc<Semaphore>,
    /// Whether one of CPU time can be made here.
    pub cpu_profiles: CpuProfiles,
}

/// The routes below `/debug`, behind the token.
pub(super) fn router<S: Clone + Send + Sync + 'static>(
    diagnostics: DiagnosticsState,
    attempts: TokenAttempts,
) -> Router<S> {
    let operators = diagnostics.operators.clone();
    let guard = access_guard::AccessGuard::new(operators, attempts, diagnostics.audit.clone());
    let pages = Router::new()
        .route("/debug/snapshot", get(snapshot::page))
        .route("/debug/tasks", get(tasks::page))
        .route("/debug/conns", get(conns::page))
        .route("/debug/profile", get(profile::page))
        .route("/debug/quarantine", get(quarantine::list).post(quarantine::add))
        .route("/debug/quarantine/{prefix}", delete(quarantine::remove));
    #[cfg(feature = "faults")]
    let pages = pages.route("/debug/faults/block", axum::routing::post(faults::block));
    pages
        // Who has no token does not learn which pages there are.
        .route("/debug/{*rest}", any(|| async { (StatusCode::NOT_FOUND, "no such page\n") }))
        .layer(middleware::from_fn_with_state(guard, access_guard::pass))
        .with_state(diagnostics)
}

/// An answer that cannot be read by other pages' scripts as anything but JSON.
fn json_answer(value: &Value) -> Response {
    let types =
        [(header::CONTENT_TYPE, "application/json"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    (types, format!("{value}\n")).into_response()
}
