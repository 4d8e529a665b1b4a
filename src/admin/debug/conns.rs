//! `/debug/conns`: the worst connections of each core, by age, by what waits for them, or by
//! what they have under way.
//!
//! Deliberately absent: looking through connections, which each shard does in small steps.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::DiagnosticsState;
use crate::admin::query::QueryParams;
use crate::admin::questions::{CONNS_MAX, ConnectionRow, OperatorQuestion, Sort, ask};
use crate::clock::unix_ms;

/// Connections of each core, where nobody says.
const CONNS_DEFAULT: u64 = 20;

/// `GET /debug/conns?sort=&n=`
pub(super) async fn page(
    State(diagnostics): State<DiagnosticsState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    let query = QueryParams::read(raw.as_deref(), &["sort", "n"])?;
    let sorts = [("age", Sort::Age), ("pending", Sort::Pending), ("tasks", Sort::Tasks)];
    let sort = query.word("sort", &sorts)?.unwrap_or(Sort::Age);
    let count = query.number("n", CONNS_DEFAULT, 1, CONNS_MAX as u64)? as usize;
    Ok(super::json_answer(&report(&diagnostics, sort, count).await?))
}

/// The worst connections of each core.
pub(in crate::admin) async fn report(
    diagnostics: &DiagnosticsState,
    sort: Sort,
    count: usize,
) -> Result<Value, Response> {
    let question = |answer| OperatorQuestion::Conns { sort, count, answer };
    let answer = ask(&diagnostics.questions, question).await?;
    Ok(json!({
        "instance": &*diagnostics.instance,
        "now_unix_ms": unix_ms(),
        "connections": answer.connections,
        "silent_cores": answer.silent,
        "conns": answer.conns.iter().map(line).collect::<Vec<_>>(),
    }))
}

fn line(conn: &ConnectionRow) -> Value {
    json!({
        "core": conn.core,
        "client": conn.client,
        "user": conn.user,
        "tenant": conn.tenant,
        "age_seconds": conn.age_ms as f64 / 1e3,
        "encoding": conn.encoding,
        "user_agent": conn.user_agent,
        "channels": conn.channels_count,
        "outbox_bytes": conn.outbox_bytes,
        "sends_in_flight": conn.sends_in_flight,
        "tasks": conn.tasks,
        "peer": conn.peer.map(|peer| peer.to_string()),
    })
}
