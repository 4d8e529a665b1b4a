//! `/debug/quarantine`: which prefixes of clients are blocked, and commands to block one or to
//! let it in again.
//!
//! Deliberately absent: when the server blocks somebody by itself (`server::diagnostics`).

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};

use super::DiagnosticsState;
use super::access_guard::DebugVisitor;
use crate::admin::query::{QueryParams, wrong};
use crate::admin::questions::{OperatorQuestion, ask, outcome_of};
use crate::clock::unix_ms;
use crate::console::AuditAction;

/// The longest time that an operator can lock somebody out for.
const HOLD_S_MAX: u64 = 86_400;

/// `GET /debug/quarantine`
pub(super) async fn list(
    State(diagnostics): State<DiagnosticsState>,
) -> Result<Response, Response> {
    Ok(super::json_answer(&report(&diagnostics).await?))
}

/// Who is blocked.
pub(in crate::admin) async fn report(diagnostics: &DiagnosticsState) -> Result<Value, Response> {
    let blocked = ask(&diagnostics.questions, OperatorQuestion::ListQuarantined).await?;
    let lines = blocked.iter().map(|blocked| {
        json!({
            "prefix": blocked.prefix,
            "by": blocked.by,
            "held_seconds": blocked.held_ms as f64 / 1e3,
            "left_seconds": blocked.left_ms as f64 / 1e3,
        })
    });
    Ok(json!({
        "instance": &*diagnostics.instance,
        "now_unix_ms": unix_ms(),
        "prefixes": lines.collect::<Vec<_>>(),
    }))
}

/// `POST /debug/quarantine?prefix=&seconds=`
pub(super) async fn add(
    State(diagnostics): State<DiagnosticsState>,
    Extension(visitor): Extension<DebugVisitor>,
    RawQuery(raw): RawQuery,
) -> Result<StatusCode, Response> {
    let query = QueryParams::read(raw.as_deref(), &["prefix", "seconds"])?;
    let Some(prefix) = query.text("prefix").map(str::to_owned) else {
        return Err(wrong("prefix is missing").into());
    };
    let hold_ms = match query.text("seconds") {
        Some(_) => Some(query.number("seconds", 0, 1, HOLD_S_MAX)? * 1_000),
        None => None,
    };
    let target: Box<str> = prefix.as_str().into();
    let question = |answer| OperatorQuestion::BlockPrefix { prefix, hold_ms, answer };
    let done = ask(&diagnostics.questions, question).await;
    visitor.tell(AuditAction::PrefixQuarantined, target, outcome_of(&done)).await;
    done.map(|()| StatusCode::NO_CONTENT)
}

/// `DELETE /debug/quarantine/{prefix}`
pub(super) async fn remove(
    State(diagnostics): State<DiagnosticsState>,
    Extension(visitor): Extension<DebugVisitor>,
    Path(prefix): Path<String>,
) -> Result<StatusCode, Response> {
    let target: Box<str> = prefix.as_str().into();
    let question = |answer| OperatorQuestion::UnblockPrefix { prefix, answer };
    let done = ask(&diagnostics.questions, question).await;
    visitor.tell(AuditAction::PrefixReleased, target, outcome_of(&done)).await;
    done.map(|()| StatusCode::NO_CONTENT)
}
