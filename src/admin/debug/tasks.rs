//! What each core's turn, timers and operations are doing.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::DiagnosticsState;
use crate::clock::unix_ms;
use crate::metrics::{Cells, CurrentWork, Gauge, PulseReading, TurnPhase};

/// `GET /debug/tasks`
pub(super) async fn page(State(diagnostics): State<DiagnosticsState>) -> Response {
    super::json_answer(&report(&diagnostics.instance, unix_ms(), &diagnostics.threads.cores))
}

/// The same, for a file.
pub fn report(instance: &str, now_unix_ms: u64, cores: &[Arc<Cells>]) -> Value {
    let cores = (0..).zip(cores).map(|(core, cells)| line(core, now_unix_ms, cells));
    json!({
        "instance": instance,
        "now_unix_ms": now_unix_ms,
        "cores": cores.collect::<Vec<_>>(),
    })
}

/// The connection, client and room that a core works for; `null` when it works for none. What
/// is not known is not there.
pub(super) fn current_work(reading: &PulseReading) -> Value {
    let CurrentWork { connection, client, room } = &reading.current_work;
    let mut busy = Map::new();
    if let Some((core, id)) = connection {
        let place = format!("{core}.{}.{}", id.slot, id.generation);
        busy.insert("connection".to_owned(), place.into());
    }
    if let Some(client) = client {
        busy.insert("client".to_owned(), client.to_string().into());
    }
    if let Some(room) = room {
        busy.insert("room_id".to_owned(), room.as_str().into());
    }
    if reading.phase == TurnPhase::Sleeping || busy.is_empty() { Value::Null } else { busy.into() }
}

fn line(core: u16, now_unix_ms: u64, cells: &Cells) -> Value {
    let reading = cells.read_pulse();
    let lanes = reading.lanes.iter().map(|(to, open)| (to.to_string(), Value::from(*open)));
    let since = reading.since_unix_ms;
    let for_ms = if since == 0 { 0 } else { now_unix_ms.saturating_sub(since) };
    json!({
        "core": core,
        "busy_with": current_work(&reading),
        "phase": reading.phase.word(),
        "since_unix_ms": since,
        "for_seconds": for_ms as f64 / 1e3,
        "turn": reading.turn,
        "connections": reading.under_way.connections,
        "timers": reading.under_way.timers,
        "questions_open": reading.under_way.questions,
        "questions_open_by_core": lanes.collect::<Map<_, _>>(),
        "ring_operations": reading.under_way.ring_operations,
        "store_requests": reading.under_way.store_requests,
        "conn_tasks_max": cells.gauge(Gauge::ConnTasksMax),
    })
}
