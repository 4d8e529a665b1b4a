//! Faults for a demonstration, in builds with the feature `faults` alone.

use axum::extract::{RawQuery, State};
use axum::response::Response;

use super::DiagnosticsState;
use crate::admin::query::QueryParams;
use crate::admin::questions::{OperatorQuestion, ask};

/// `POST /debug/faults/block?core=&seconds=`
pub(super) async fn block(
    State(diagnostics): State<DiagnosticsState>,
    RawQuery(raw): RawQuery,
) -> Result<&'static str, Response> {
    let query = QueryParams::read(raw.as_deref(), &["core", "seconds"])?;
    let core = query.number("core", 0, 0, u64::from(u16::MAX))? as u16;
    let block_ms = query.number("seconds", 10, 1, 600)? * 1_000;
    ask(&diagnostics.questions, |answer| OperatorQuestion::BlockCore { core, block_ms, answer })
        .await?;
    Ok("the core stands still\n")
}
