//! The state of one core of an instance: the work of a turn that does not end, and the last events
//! of its flight recorder.
//!
//! Deliberately absent: requests, and escaping: all texts here are a stranger's until they are
//! shown.

use serde::Deserialize;

/// Kinds of events that are shown.
const RECENT_MAX: usize = 3;

/// One core.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CoreSnapshot {
    /// Its number.
    pub core: String,
    /// The phase of a turn that does not end; empty when no turn is long.
    pub phase: String,
    /// The length of that turn so far, in ms.
    pub for_seconds: f64,
    /// The connection whose work it does: its core, slot and generation.
    pub connection: String,
    /// The client id of that connection.
    pub client: String,
    /// The room, as a peer named it.
    pub room_id: String,
    /// The last events, newest first: kind, reason, and how often it was repeated.
    pub recent: Vec<(String, String, u64)>,
}

#[derive(Deserialize)]
struct SnapshotAnswer {
    events: Vec<CoreEvent>,
    #[serde(default)]
    long_turns: Vec<LongTurn>,
}

#[derive(Deserialize)]
struct CoreEvent {
    #[serde(default)]
    core: Option<u32>,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    reason: String,
}

#[derive(Default, Deserialize)]
struct LongTurn {
    #[serde(default)]
    core: Option<u32>,
    #[serde(default)]
    phase: String,
    #[serde(default)]
    for_seconds: f64,
    #[serde(default, rename = "busy_with")]
    current_work: Option<BusyPart>,
}

#[derive(Default, Deserialize)]
struct BusyPart {
    #[serde(default)]
    connection: String,
    #[serde(default)]
    client: String,
    #[serde(default)]
    room_id: String,
}

/// Parses the answer of an instance for this core; `None` when it has nothing. When no core was
/// asked for, takes the one with a long turn, or with the last event.
pub fn of_answer(body: &[u8], core: &str) -> Option<CoreSnapshot> {
    let mut answer: SnapshotAnswer = serde_json::from_slice(body).ok()?;
    let mut core = core.to_owned();
    if core.is_empty() {
        let turns = answer.long_turns.iter().map(|turn| turn.core);
        let chosen = turns.chain(answer.events.iter().map(|event| event.core)).next()??;
        answer.long_turns.retain(|turn| turn.core == Some(chosen));
        answer.events.retain(|event| event.core == Some(chosen));
        core = chosen.to_string();
    }
    let mut recent: Vec<(String, String, u64)> = Vec::new();
    for CoreEvent { kind, reason, core: _ } in answer.events {
        let count = recent.len();
        match recent.last_mut() {
            Some((last, why, times)) if *last == kind && *why == reason => *times += 1,
            Some(_) if count == RECENT_MAX => break,
            Some(_) | None => recent.push((kind, reason, 1)),
        }
    }
    let turn = answer.long_turns.into_iter().next();
    if turn.is_none() && recent.is_empty() {
        return None;
    }
    let turn = turn.unwrap_or_default();
    let busy = turn.current_work.unwrap_or_default();
    Some(CoreSnapshot {
        core,
        phase: turn.phase,
        for_seconds: turn.for_seconds,
        connection: busy.connection,
        client: busy.client,
        room_id: busy.room_id,
        recent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_about_all_cores_shows_the_one_that_something_is_with() {
        let events = r#"{"core":1,"kind":"stall","reason":"turn"},
            {"core":0,"kind":"stall","reason":"turn"},{"core":1,"kind":"stall","reason":"turn"}"#;
        let with = |turns: &str| {
            let body = format!(r#"{{"events":[{events}],"long_turns":[{turns}]}}"#);
            of_answer(body.as_bytes(), "").unwrap()
        };
        let last = with("");
        assert_eq!((last.core.as_str(), last.phase.as_str()), ("1", ""));
        assert_eq!(last.recent, [("stall".to_owned(), "turn".to_owned(), 2)]);
        let long = with(r#"{"core":0,"phase":"orders","for_seconds":2.0}"#);
        assert_eq!((long.core.as_str(), long.phase.as_str()), ("0", "orders"));
        assert_eq!(long.recent, [("stall".to_owned(), "turn".to_owned(), 1)]);
        assert_eq!(of_answer(br#"{"events":[{"kind":"closed","reason":"x"}]}"#, ""), None);
    }

    #[test]
    fn a_core_that_stands_still_says_whose_work_it_does_and_what_came_before() {
        let body = br#"{"instance":"i","now_unix_ms":1,"events":[
            {"core":3,"kind":"closed","reason":"slow_consumer"},
            {"core":3,"kind":"closed","reason":"slow_consumer"},
            {"core":3,"kind":"stall","reason":"turn"},
            {"core":3,"kind":"closed","reason":"slow_consumer"},
            {"core":3,"kind":"lane_full","reason":"push"}],
            "long_turns":[{"core":3,"phase":"reaping","for_seconds":12.5,"busy_with":
            {"connection":"3.17.1","client":"c","room_id":"room:1"}}]}"#;
        let told = of_answer(body, "3").unwrap();
        let words = |kind: &str, reason: &str, count| (kind.to_owned(), reason.to_owned(), count);
        assert_eq!(
            told,
            CoreSnapshot {
                core: "3".to_owned(),
                phase: "reaping".to_owned(),
                for_seconds: 12.5,
                connection: "3.17.1".to_owned(),
                client: "c".to_owned(),
                room_id: "room:1".to_owned(),
                recent: vec![
                    words("closed", "slow_consumer", 2),
                    words("stall", "turn", 1),
                    words("closed", "slow_consumer", 1),
                ],
            }
        );
        for end in 0..body.len() {
            assert_eq!(of_answer(&body[..end], "3"), None);
        }
    }

    #[test]
    fn what_is_not_said_is_not_there() {
        let check = |body: &[u8], phase: &str, recent: usize| {
            let told = of_answer(body, "0").unwrap();
            assert_eq!((told.phase.as_str(), told.recent.len()), (phase, recent));
            assert_eq!((told.connection, told.room_id), (String::new(), String::new()));
        };
        check(br#"{"events":[{"kind":"stall"}]}"#, "", 1);
        check(br#"{"events":[],"long_turns":[{"phase":"orders","busy_with":null}]}"#, "orders", 0);
        assert_eq!(of_answer(br#"{"events":[],"long_turns":[]}"#, "0"), None);
        assert_eq!(of_answer(b"[]", "0"), None);
    }
}
