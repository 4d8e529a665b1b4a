//! What went wrong lately. Its JSON is a contract: the alert bridge reads it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::DiagnosticsState;
use super::tasks;
use crate::admin::query::QueryParams;
use crate::clock::unix_ms;
use crate::metrics::{Cells, KINDS, Layer, RecordedEvent, TurnPhase};

/// Events of an answer, where nobody says.
const EVENTS_DEFAULT: u64 = 50;

/// Events of an answer.
const EVENTS_MAX: u64 = 1_000;

/// A number that no core has, for all of them.
const NO_CORE: u64 = u64::MAX;

/// How long a turn lasts that is told of, in ms: a core's sleep is shorter.
const LONG_TURN_MS: u64 = 2_000;

/// Which events somebody wants.
struct Wanted {
    core: Option<u16>,
    layer: Option<Layer>,
    kind: Option<&'static str>,
    since_unix_ms: u64,
    count: usize,
}

/// `GET /debug/snapshot?core=&layer=&kind=&since_unix_ms=&n=`
pub(super) async fn page(
    State(diagnostics): State<DiagnosticsState>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    let query =
        QueryParams::read(raw.as_deref(), &["core", "layer", "kind", "since_unix_ms", "n"])?;
    // Out of range only where nobody says.
    let core = query.number("core", NO_CORE, 0, u64::from(u16::MAX))?;
    let wanted = Wanted {
        core: u16::try_from(core).ok(),
        layer: query.word("layer", &Layer::ALL.map(|layer| (layer.word(), layer)))?,
        kind: query.word("kind", &KINDS.map(|kind| (kind, kind)))?,
        since_unix_ms: query.number("since_unix_ms", 0, 0, u64::MAX)?,
        count: query.number("n", EVENTS_DEFAULT, 1, EVENTS_MAX)? as usize,
    };
    Ok(super::json_answer(&report(&diagnostics, &wanted)))
}

/// The newest events of all cores and layers.
pub(in crate::admin) fn newest(diagnostics: &DiagnosticsState, count: usize) -> Value {
    let wanted = Wanted { core: None, layer: None, kind: None, since_unix_ms: 0, count };
    report(diagnostics, &wanted)
}

fn report(diagnostics: &DiagnosticsState, wanted: &Wanted) -> Value {
    let threads = &diagnostics.threads;
    let now_unix_ms = unix_ms();
    let cores = (0..).zip(&threads.cores).map(|(core, cells)| (Some(core), cells));
    let all = cores.chain(threads.store.iter().map(|cells| (None, cells)));
    let all = all.flat_map(|(core, cells)| cells.flights().into_iter().map(move |one| (core, one)));
    let chosen = chosen(all.collect(), wanted);
    let events: Vec<Value> = chosen.iter().map(|(core, flown)| event(*core, flown)).collect();
    json!({
        "instance": &*diagnostics.instance,
        "now_unix_ms": now_unix_ms,
        "events": events,
        "long_turns": long_turns(&threads.cores, wanted.core, now_unix_ms),
    })
}

/// The cores whose turn does not end, where they are in it, and whose work they do.
fn long_turns(cores: &[Arc<Cells>], wanted: Option<u16>, now_unix_ms: u64) -> Vec<Value> {
    let of_core = |(core, cells): (u16, &Arc<Cells>)| {
        let reading = cells.read_pulse();
        let for_ms = now_unix_ms.saturating_sub(reading.since_unix_ms);
        let is_long = reading.since_unix_ms != 0 && LONG_TURN_MS <= for_ms;
        (is_long && reading.phase != TurnPhase::Sleeping).then(|| {
            json!({
                "core": core,
                "phase": reading.phase.word(),
                "for_seconds": for_ms as f64 / 1e3,
                "busy_with": tasks::current_work(&reading),
            })
        })
    };
    let all = (0..).zip(cores).filter(|(core, _)| wanted.is_none_or(|wanted| wanted == *core));
    all.filter_map(of_core).collect()
}

/// What is wanted of it, newest first.
fn chosen(
    mut all: Vec<(Option<u16>, RecordedEvent)>,
    wanted: &Wanted,
) -> Vec<(Option<u16>, RecordedEvent)> {
    all.retain(|(core, flown)| {
        wanted.core.is_none_or(|wanted| Some(wanted) == *core)
            && wanted.since_unix_ms <= flown.unix_ms
            && wanted.layer.is_none_or(|layer| layer == flown.cause.layer())
            && wanted.kind.is_none_or(|kind| kind == flown.cause.kind())
    });
    all.sort_by_key(|(_, flown)| std::cmp::Reverse(flown.unix_ms));
    all.truncate(wanted.count);
    all
}

/// An event as JSON; what is not known is not there. Without a core it is the storage
/// thread's.
fn event(core: Option<u16>, flown: &RecordedEvent) -> Value {
    let seconds = |us: u64| us as f64 / 1e6;
    let mut event = Map::new();
    event.insert("time_unix_ms".to_owned(), flown.unix_ms.into());
    event.insert("core".to_owned(), core.map_or("store".into(), Value::from));
    event.insert("kind".to_owned(), flown.cause.kind().into());
    event.insert("layer".to_owned(), flown.cause.layer().word().into());
    event.insert("reason".to_owned(), flown.cause.reason().into());
    if flown.trace_id != 0 {
        event.insert("trace_id".to_owned(), format!("{:032x}", flown.trace_id).into());
    }
    if !flown.room.is_empty() {
        event.insert("room_id".to_owned(), flown.room.as_str().into());
    }
    event.insert("user_agent".to_owned(), flown.agent.word().into());
    if flown.client_hash != 0 {
        event.insert("client_hash".to_owned(), format!("{:016x}", flown.client_hash).into());
    }
    if flown.value_us != 0 {
        event.insert("value_seconds".to_owned(), seconds(flown.value_us).into());
    }
    let stages = [
        ("p2b", flown.stages.p2b_us),
        ("queue", flown.stages.queue_us),
        ("b2c", flown.stages.b2c_us),
        ("consume", flown.stages.consume_us),
    ];
    let stages: Map<String, Value> = stages
        .into_iter()
        .filter_map(|(name, us)| Some((name.to_owned(), seconds(us?.into()).into())))
        .collect();
    if !stages.is_empty() {
        event.insert("stages_seconds".to_owned(), stages.into());
    }
    Value::Object(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ConnId;
    use crate::metrics::{Agent, CloseReason, FlightCause, Segment, StageDurations};

    fn flown(unix_ms: u64, cause: FlightCause) -> RecordedEvent {
        RecordedEvent {
            unix_ms,
            cause,
            trace_id: 0,
            room: String::new(),
            agent: Agent::None,
            client_hash: 0,
            value_us: 0,
            stages: StageDurations::default(),
        }
    }

    #[track_caller]
    fn check(layer: Option<Layer>, kind: Option<&'static str>, since: u64, n: usize, want: &[u64]) {
        let all = vec![
            (Some(0), flown(1, FlightCause::Stall)),
            (Some(1), flown(3, FlightCause::Closed(CloseReason::Panic))),
            (Some(0), flown(2, FlightCause::Closed(CloseReason::SlowConsumer))),
            (Some(1), flown(4, FlightCause::SlowMessage(Segment::B2c))),
        ];
        let wanted = Wanted { core: None, layer, kind, since_unix_ms: since, count: n };
        let times: Vec<u64> = chosen(all, &wanted).iter().map(|(_, flown)| flown.unix_ms).collect();
        assert_eq!(times, want);
    }

    #[test]
    fn events_are_chosen_and_come_newest_first() {
        check(None, None, 0, 9, &[4, 3, 2, 1]);
        check(None, None, 0, 2, &[4, 3]);
        check(None, None, 3, 9, &[4, 3]);
        check(Some(Layer::Connection), None, 0, 9, &[3, 2]);
        check(Some(Layer::Connection), None, 0, 1, &[3]);
        check(None, Some("stall"), 0, 9, &[1]);
        check(Some(Layer::Store), None, 0, 9, &[]);
        check(Some(Layer::Latency), Some("stall"), 0, 9, &[]);
    }

    #[test]
    fn a_core_whose_turn_does_not_end_is_told_with_what_it_is_busy_with() {
        let cells = [Cells::new(), Cells::new(), Cells::new()];
        let writers: Vec<_> = cells.iter().map(|cells| cells.claim()).collect();
        for metrics in &writers {
            metrics.begin_turn(10_000);
        }
        writers[0].work_on(0, ConnId { slot: 17, generation: 3 });
        writers[0].work_in(Some("room:\"<@all>"), 0);
        writers[1].enter(TurnPhase::Sleeping);
        writers[2].enter(TurnPhase::Orders);
        let first = json!({
            "core": 0, "phase": "reaping", "for_seconds": 2.5,
            "busy_with": { "connection": "0.17.3", "room_id": "room:\"<@all>" },
        });
        let third = json!({ "core": 2, "phase": "orders", "for_seconds": 2.5, "busy_with": null });
        assert_eq!(long_turns(&cells, None, 12_500), [first.clone(), third]);
        assert_eq!(long_turns(&cells, Some(0), 12_500), [first]);
        assert_eq!(long_turns(&cells, Some(1), 12_500), [] as [Value; 0]);
        assert_eq!(long_turns(&cells, None, 11_999), [] as [Value; 0]);
    }

    #[test]
    fn events_of_one_core_are_those_of_no_other() {
        let all =
            vec![(Some(0), flown(1, FlightCause::Stall)), (None, flown(2, FlightCause::Stall))];
        for (core, want) in [(Some(0), vec![1]), (Some(1), vec![]), (None, vec![2, 1])] {
            let wanted = Wanted { core, layer: None, kind: None, since_unix_ms: 0, count: 9 };
            let chosen = chosen(all.clone(), &wanted);
            assert_eq!(chosen.iter().map(|(_, one)| one.unix_ms).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn an_event_says_what_is_known_and_no_more() {
        let bare = event(None, &flown(7, FlightCause::Stall));
        let want = json!({
            "time_unix_ms": 7, "core": "store", "kind": "stall", "layer": "core",
            "reason": "turn", "user_agent": "none",
        });
        assert_eq!(bare, want);
        let whole = RecordedEvent {
            trace_id: 0xab,
            room: "room:\"\n<@all>".to_owned(),
            agent: Agent::Python,
            client_hash: 0xcd,
            value_us: 1_900_000,
            stages: StageDurations {
                p2b_us: Some(4_000),
                b2c_us: Some(0),
                ..StageDurations::default()
            },
            ..flown(7, FlightCause::SlowMessage(Segment::P2b))
        };
        let want = json!({
            "time_unix_ms": 7, "core": 3, "kind": "slow_message", "layer": "latency",
            "reason": "p2b", "trace_id": "000000000000000000000000000000ab",
            "room_id": "room:\"\n<@all>", "user_agent": "python",
            "client_hash": "00000000000000cd", "value_seconds": 1.9,
            "stages_seconds": { "p2b": 0.004, "b2c": 0.0 },
        });
        let text = event(Some(3), &whole).to_string();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);
        assert!(!text.contains('\n'), "what a stranger wrote is escaped: {text}");
    }
}
