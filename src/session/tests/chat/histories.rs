//! What was said in several channels, asked at once.

use super::*;
use crate::base::RoomId;
use crate::base::limits::{HISTORY_ANSWER_BYTES_MAX, PENDING_HISTORIES_MAX};
use crate::room::HistoryPage;
use crate::store::ReadOrder;

/// A harness in whose namespace `durable_stream` ann may read.
fn reader(encoding: Encoding) -> SessionHarness {
    let mut harness = harness("ann", encoding);
    harness.rooms.namespaces[3].see_history = Permission::Token;
    harness.grant("kept:*", PermissionSet::HISTORY);
    harness
}

impl SessionHarness {
    /// The pages that the last step asked for.
    fn pages(&self) -> Vec<(RoomId, &HistoryPage)> {
        let asks = self.out.effects().iter().filter_map(|effect| match effect {
            Effect::SendRequest(RoomRequest { room, op: RoomOp::History(page), .. }) => {
                Some((*room, &**page))
            }
            _ => None,
        });
        asks.collect()
    }

    fn is_quiet(&self) -> bool {
        self.out.messages().is_empty()
    }
}

fn room(channel: &str) -> RoomId {
    NAMES.room("", channel)
}

/// So many channels that ann may read.
fn kept(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("kept:{number}")).collect()
}

fn page(offset: u64) -> RoomReply {
    page_of(offset, 1)
}

/// A page with a message of so many bytes.
fn page_of(offset: u64, bytes: usize) -> RoomReply {
    let one = Publication {
        offset,
        data: Payload { bytes: "1".repeat(bytes).into(), is_json: true },
        info: None,
        chan_info: None,
        tags: Vec::new(),
        time_unix_ms: 0,
        trace: None,
    };
    RoomReply::History(vec![Arc::new(one)], Position { offset, epoch: Epoch(7) })
}

fn shown(channel: &str, offset: u64) -> Value {
    let publications = json!([{ "data": 1, "offset": offset }]);
    json!({ "channel": channel, "publications": publications, "offset": offset,
        "epoch": "00000007" })
}

#[test]
fn each_channel_is_asked_and_answers_for_itself() {
    both(|encoding| {
        let mut harness = reader(encoding);
        let place = json!({ "channel": "kept:2", "offset": 4, "epoch": "00000007" });
        let channels = json!(["kept:1", "room:1", place, "plain:1", "none:1", "dm#ann,bob"]);
        harness.call("chat.history", &json!({ "channels": channels, "reverse": true }));
        let pages = harness.pages();
        let asked: Vec<_> = pages.iter().map(|(room, page)| (*room, page.query.since)).collect();
        let since = Some(Position { offset: 4, epoch: Epoch(7) });
        let want = [("kept:1", None), ("kept:2", since), ("dm#ann,bob", None)];
        assert_eq!(asked, want.map(|(channel, since)| (room(channel), since)));
        for (_, page) in &pages {
            assert_eq!((page.query.limit, page.query.order), (100, ReadOrder::NewestFirst));
            assert!(page.channel_key.is_some(), "nobody is there");
        }
        for (channel, reply) in [("dm#ann,bob", page(9)), ("kept:1", page(3))] {
            harness.answer(room(channel), reply);
            assert!(harness.is_quiet(), "others are to come");
        }
        harness.answer(room("kept:2"), RoomReply::Rejected(ErrorCode::UnrecoverablePosition));
        let error = |channel: &str, code: u32, message: &str| {
            let error = json!({ "code": code, "message": message });
            json!({ "channel": channel, "error": error })
        };
        harness.check_rpc(&json!({ "channels": [
            shown("kept:1", 3), error("room:1", 103, "permission denied"),
            error("kept:2", 112, "unrecoverable position"),
            error("plain:1", 108, "not available"), error("none:1", 102, "unknown channel"),
            shown("dm#ann,bob", 9),
        ]}));
    });
}

#[test]
fn what_no_room_is_asked_is_answered_at_once() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        harness.call("chat.history", &json!({ "channels": ["none:1"] }));
        let error = json!({ "code": 102, "message": "unknown channel" });
        harness.check_rpc(&json!({ "channels": [{ "channel": "none:1", "error": error }] }));
        for wrong in [json!({}), json!({ "channels": [] }), json!({ "channels": ["a", "a"] })] {
            harness.call("chat.history", &wrong);
            harness.check_error(107, "bad request: channels");
        }
    });
}

#[test]
fn channels_share_what_one_history_may_have() {
    let mut harness = reader(Encoding::Json);
    for (count, limit, want) in [(1, 1_000, 1_000), (10, 1_000, 100), (50, 100, 20), (50, 5, 5)] {
        harness.options.commands_per_s = 0;
        harness.call("chat.history", &json!({ "channels": kept(count), "limit": limit }));
        assert_eq!(harness.pages().len(), count);
        assert!(harness.pages().iter().all(|(_, page)| page.query.limit == want));
        for channel in kept(count) {
            harness.answer(room(&channel), page(1));
        }
        assert!(matches!(harness.heard(), ClientAnswer::Rpc(_)));
    }
}

#[test]
fn several_at_once_cost_as_much_as_one_by_one() {
    let mut harness = reader(Encoding::Json);
    (harness.options.commands_per_s, harness.options.commands_burst) = (1, 20);
    harness.now = harness.now.plus_ms(60_000);
    let names = kept(10);
    for _ in 0..2 {
        harness.call("chat.history", &json!({ "channels": names }));
        for channel in &names {
            assert!(harness.is_quiet());
            harness.answer(room(channel), page(1));
        }
        assert!(matches!(harness.heard(), ClientAnswer::Rpc(_)));
    }
    harness.call("chat.history", &json!({ "channels": names }));
    harness.check_error(111, "too many requests");
    // More than a client may ever ask at once.
    harness.now = harness.now.plus_ms(60_000);
    harness.call("chat.history", &json!({ "channels": kept(21) }));
    harness.check_error(111, "too many requests");
    harness.call("chat.history", &json!({ "channels": names }));
    assert_eq!(harness.pages().len(), 10, "what was refused cost no more than a command");
}

#[test]
fn what_has_no_place_in_the_answer_is_paid_for() {
    for (answered_count, refused) in [(1, false), (2, true)] {
        let mut harness = reader(Encoding::Json);
        (harness.options.commands_per_s, harness.options.errors_per_s) = (0, 0);
        // What one answer holds is free, and no more.
        harness.options.answer_bytes_per_s = HISTORY_ANSWER_BYTES_MAX as u32;
        harness.options.answer_bytes_burst = HISTORY_ANSWER_BYTES_MAX as u32 + 1_000;
        let names = kept(answered_count);
        harness.call("chat.history", &json!({ "channels": names }));
        for channel in &names {
            harness.answer(room(channel), page_of(1, HISTORY_ANSWER_BYTES_MAX - 400));
        }
        let ClientAnswer::Rpc(answer) = harness.heard() else { panic!() };
        assert!(answer.data.len() < HISTORY_ANSWER_BYTES_MAX);
        harness.call("chat.history", &json!({ "channels": kept(1) }));
        assert_eq!(harness.pages().is_empty(), refused, "{answered_count}");
    }
}

#[test]
fn a_few_are_under_way_at_a_time() {
    let mut harness = reader(Encoding::Json);
    let wanted = json!({ "channels": ["kept:1", "kept:2"] });
    for _ in 0..PENDING_HISTORIES_MAX {
        harness.call("chat.history", &wanted);
        assert!(harness.is_quiet());
    }
    let last = harness.next_id;
    harness.call("chat.history", &wanted);
    harness.check_error(111, "too many requests");
    // In whatever order rooms answer, each page goes where it was asked for.
    for id in (last + 1 - PENDING_HISTORIES_MAX as u32..=last).rev() {
        harness.next_id = id;
        harness.answer(room("kept:2"), page(2));
        assert!(harness.is_quiet());
        assert_ne!(harness.session.held_answer_bytes(), 0, "it takes room in the outbox");
        harness.answer(room("kept:1"), page(1));
        harness.check_rpc(&json!({ "channels": [shown("kept:1", 1), shown("kept:2", 2)] }));
        assert_eq!(harness.session.held_answer_bytes(), 0);
    }
    harness.next_id = last + 1;
    harness.call("chat.history", &wanted);
    assert_eq!(harness.pages().len(), 2);
}

/// Whoever uses an id twice has two answers, if not the right ones.
#[test]
fn an_id_that_is_used_twice_has_an_answer_for_each() {
    let mut harness = reader(Encoding::Json);
    let wanted = json!({ "channels": ["kept:1"] });
    harness.call("chat.history", &wanted);
    harness.next_id -= 1;
    harness.call("chat.history", &wanted);
    harness.next_id -= 1;
    harness.say(Request::History(HistoryRequest {
        channel: "kept:1".into(),
        limit: 1,
        since: None,
        reverse: false,
    }));
    for offset in [1, 2] {
        harness.answer(room("kept:1"), page(offset));
        harness.check_rpc(&json!({ "channels": [shown("kept:1", offset)] }));
    }
    harness.answer(room("kept:1"), page(3));
    assert!(matches!(harness.heard(), ClientAnswer::History(_)));
}

#[test]
fn a_history_that_was_asked_for_is_answered_to_who_left_the_channel() {
    let mut harness = subscribed_to("room:1", "ann", Encoding::Json);
    harness.call("chat.history", &json!({ "channels": ["room:1"] }));
    let history = harness.next_id;
    harness.say(Request::Unsubscribe { channel: "room:1".into() });
    harness.answer(room("room:1"), RoomReply::Unsubscribed);
    harness.next_id = history;
    harness.answer(room("room:1"), page(3));
    harness.check_rpc(&json!({ "channels": [shown("room:1", 3)] }));
    harness.call("chat.history", &json!({ "channels": ["room:1"] }));
    let error = json!({ "code": 103, "message": "permission denied" });
    harness.check_rpc(&json!({ "channels": [{ "channel": "room:1", "error": error }] }));
}

#[test]
fn pages_for_a_connection_that_is_closing_are_nothing() {
    let mut harness = reader(Encoding::Json);
    harness.call("chat.history", &json!({ "channels": ["kept:1", "kept:2"] }));
    harness.answer(room("kept:1"), page(1));
    harness.step(|session, cx, out| session.leave(cx, out));
    assert_eq!(harness.session.held_answer_bytes(), 0);
    harness.answer(room("kept:2"), page(2));
    assert!(harness.is_quiet() && harness.out.effects().is_empty());
    assert_eq!(harness.session.unanswered_count(), 0);
}

#[test]
fn behind_a_subscribe_that_is_put_off_a_channel_is_not_refused_for_good() {
    let mut harness = harness("ann", Encoding::Json);
    harness.rooms.namespaces[0].subscribe = Permission::Anyone;
    harness.load.pace = CorePace::FarBehind;
    let channel = "room:1".into();
    harness.say(Request::Subscribe(SubscribeRequest { channel, ..Default::default() }));
    harness.check_error(111, "too many requests");
    harness.call("chat.history", &json!({ "channels": ["room:1", "room:2"] }));
    let later = json!({ "code": 111, "message": "too many requests", "temporary": true });
    let never = json!({ "code": 103, "message": "permission denied" });
    harness.check_rpc(&json!({ "channels": [
        { "channel": "room:1", "error": later }, { "channel": "room:2", "error": never },
    ]}));
}

#[test]
fn a_question_without_an_id_is_none() {
    let mut harness = reader(Encoding::Json);
    harness.raw(r#"{"send":{"data":{"method":"chat.history","data":{"channels":["kept:1"]}}}}"#);
    assert!(harness.is_quiet() && harness.pages().is_empty());
}
