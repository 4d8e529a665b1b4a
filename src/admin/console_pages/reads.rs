//! What the console's page looks at: samples, tenants, events, connections, who is blocked, dead
//! letters, and the audit trail.
//!
//! Invariant: whoever asks in the same second gets the same sample.
//!
//! Deliberately absent: what changes something (`acts`).

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::{ConsoleState, Ranking};
use crate::admin::debug::{newest_flights, quarantined_prefixes, worst_connections};
use crate::admin::query::{QueryParams, wrong};
use crate::admin::questions::{OperatorQuestion, Sort, ask};
use crate::admin::server_state::{Readiness, StoreState};
use crate::clock::unix_ms;
use crate::console::{
    self, AccessKind, AuditEvent, BlockedQuery, BlockedQueryError, DeadLettersWanted,
    DeadLettersWantedError, PAGE_ROWS, ROOMS_MAX, ServerFacts,
};
use crate::http_server::PeerAddr;

/// Events of the flight recorders in one answer.
const FLIGHTS_MAX: usize = 200;

/// Pages of rooms, counted from 0.
const PAGES_MAX: u64 = (ROOMS_MAX / PAGE_ROWS) as u64 - 1;

/// Connections of each core in one answer.
const CONNS_OF_CORE: usize = 20;

/// Whoever reads a page has signed in; each page's route has this before it.
pub(super) async fn only_visitors(
    State(state): State<ConsoleState>,
    Extension(PeerAddr(from)): Extension<PeerAddr>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Result<Response, Response> {
    state.gate.visitor(&headers, from, AccessKind::Read).await?;
    Ok(next.run(request).await)
}

/// `GET overview`
pub(super) async fn overview(State(state): State<ConsoleState>) -> Response {
    let mut samples = state.samples.lock().await;
    let now = state.gate.now();
    let kept = samples.at(now);
    let text = kept.unwrap_or_else(|| {
        let text = Bytes::from(sample(&state).to_string());
        samples.put(now, text.clone());
        text
    });
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn sample(state: &ConsoleState) -> Value {
    (state.refresh)();
    let readiness = match *state.readiness.borrow() {
        Readiness::Starting => "starting",
        Readiness::Ready => "ready",
        Readiness::Draining => "draining",
    };
    let store = match *state.store.borrow() {
        StoreState::Absent => "absent",
        StoreState::Good => "good",
        StoreState::Full => "full",
        StoreState::Broken => "broken",
    };
    let facts = ServerFacts {
        instance: &state.diagnostics.instance,
        now_unix_ms: unix_ms(),
        readiness,
        store,
        drain: *state.drain.borrow(),
    };
    console::sample(&state.diagnostics.threads, &facts)
}

/// `GET tenants`
pub(super) async fn tenants(State(state): State<ConsoleState>) -> Response {
    json_answer(&json!({ "tenants": console::tenants(&state.diagnostics.threads) }))
}

/// `GET flights`
pub(super) async fn flights(State(state): State<ConsoleState>) -> Response {
    json_answer(&newest_flights(&state.diagnostics, FLIGHTS_MAX))
}

/// `GET conns?sort=`
pub(super) async fn conns(
    State(state): State<ConsoleState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    let query = QueryParams::read(raw.as_deref(), &["sort"])?;
    let sorts = [("age", Sort::Age), ("pending", Sort::Pending), ("tasks", Sort::Tasks)];
    let sort = query.word("sort", &sorts)?.unwrap_or(Sort::Pending);
    Ok(json_answer(&worst_connections(&state.diagnostics, sort, CONNS_OF_CORE).await?))
}

/// `GET rooms?page=`
pub(super) async fn rooms(
    State(state): State<ConsoleState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    let query = QueryParams::read(raw.as_deref(), &["page"])?;
    let page = query.number("page", 0, 0, PAGES_MAX)? as usize;
    // Held while cores are asked: who comes meanwhile gets the same answer.
    let mut rankings = state.rankings.lock().await;
    let Ranking { made_unix_ms, rooms } = match rankings.at(state.gate.now()) {
        Some(kept) => kept,
        None => {
            let rooms = ask(&state.diagnostics.questions, OperatorQuestion::LargestRooms).await?;
            let made = Ranking { made_unix_ms: unix_ms(), rooms: Arc::new(rooms) };
            rankings.put(state.gate.now(), made.clone());
            made
        }
    };
    let rows = rooms.page(page).iter().map(|room| {
        json!({
            "core": room.core,
            "tenant": &*room.tenant,
            "channel": &*room.channel,
            "members": room.members_count,
        })
    });
    Ok(json_answer(&json!({
        "made_unix_ms": made_unix_ms,
        "rooms": rows.collect::<Vec<_>>(),
        "pages": rooms.pages_count(),
        "rooms_count": rooms.rooms_count(),
        "silent_cores": rooms.silent_cores(),
    })))
}

/// `GET quarantine`
pub(super) async fn quarantine(State(state): State<ConsoleState>) -> Result<Response, Response> {
    Ok(json_answer(&quarantined_prefixes(&state.diagnostics).await?))
}

/// `GET blocks?kind=&tenant=&after=`: those behind this one.
pub(super) async fn blocks(
    State(state): State<ConsoleState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    let params = QueryParams::read(raw.as_deref(), &["kind", "tenant", "after"])?;
    let kind = params.text("kind").unwrap_or("user");
    let [tenant, after] = ["tenant", "after"].map(|name| params.text(name).unwrap_or_default());
    let query = BlockedQuery::behind(kind, tenant, after);
    let query = query.map_err(|BlockedQueryError::Field(field)| {
        wrong(&format!("{field} is out of its range"))
    })?;
    let asked = query.clone();
    let question = |answer| OperatorQuestion::Blocked { query: asked, answer };
    let found = ask(&state.diagnostics.questions, question).await?;
    Ok(json_answer(&query.answer(&found)))
}

/// `GET dead-letters?tenant=&user=&after=`: those of all, or of one reader, behind this place.
pub(super) async fn dead_letters(
    State(state): State<ConsoleState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    let params = QueryParams::read(raw.as_deref(), &["tenant", "user", "after"])?;
    let [tenant, user, after] =
        ["tenant", "user", "after"].map(|name| params.text(name).unwrap_or_default());
    let wanted = DeadLettersWanted::behind(tenant, user, after);
    let wanted = wanted.map_err(|DeadLettersWantedError::Field(field)| {
        wrong(&format!("{field} is out of its range"))
    })?;
    let question = |answer| OperatorQuestion::DeadLetters { wanted, answer };
    let found = ask(&state.diagnostics.questions, question).await?;
    Ok(json_answer(&found.answer()))
}

/// `GET alerts`
pub(super) async fn alerts(State(state): State<ConsoleState>) -> Result<Response, Response> {
    // Held while Alertmanager is asked: who comes meanwhile gets the same answer.
    let mut kept = state.alerts.lock().await;
    let alerts = match kept.at(state.gate.now()) {
        Some(alerts) => alerts,
        None => {
            let asked = ask(&state.diagnostics.questions, OperatorQuestion::FiringAlerts).await?;
            let asked = Arc::new(asked);
            kept.put(state.gate.now(), Arc::clone(&asked));
            asked
        }
    };
    let firing = alerts.firing();
    let rows = firing.iter().flat_map(|firing| &firing.alerts).map(|alert| {
        let labels = alert.labels.iter();
        let labels = labels.map(|(name, value)| (name.to_string(), Value::from(&**value)));
        json!({
            "name": &*alert.name,
            "severity": &*alert.severity,
            "summary": &*alert.summary,
            "since": &*alert.since,
            "runbook": &*alert.runbook,
            "labels": labels.collect::<Map<_, _>>(),
        })
    });
    Ok(json_answer(&json!({
        "state": alerts.name(),
        "alerts": rows.collect::<Vec<_>>(),
        "more": firing.map_or(0, |firing| firing.more_count),
    })))
}

/// `GET audit`
pub(super) async fn audit(State(state): State<ConsoleState>) -> Response {
    let events = state.gate.audit.read(|trail| {
        let acts: Vec<Value> = trail.acts().map(event).collect();
        let calls: Vec<Value> = trail.calls().map(event).collect();
        let refusals: Vec<Value> = trail.refusals().map(event).collect();
        json!({ "acts": acts, "calls": calls, "refusals": refusals })
    });
    json_answer(&events.await)
}

fn event(event: &AuditEvent) -> Value {
    json!({
        "time_unix_ms": event.unix_ms,
        "event": event.action.name(),
        "actor": &*event.actor,
        "via": event.via.name(),
        "from": event.from.map(|from| from.to_string()),
        "target": &*event.target,
        "outcome": event.outcome.name(),
        "reason": event.outcome.reason(),
    })
}

/// An answer as JSON; that nobody keeps or guesses it stands with all of them.
pub(super) fn json_answer(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}
