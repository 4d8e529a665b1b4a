//! Calls about dead letters: whose they are, and what is told of them.

use super::*;
use crate::base::{DeadLetterPlace, RoomId};
use crate::room::{DeadLettersAsk, DeadLettersReply};
use crate::store::{ChangedDeadLetters, DeadLetterCause, DeadLetterEntry, DeadLetterFate};

const NAMES: NameKey = NameKey([1, 2]);

fn asked(method: ApiOperatorMethod, body: &Value) -> (ApiPlan, RoomId, DeadLettersAsk) {
    let scopes = [ApiScope::DeadLetters];
    let (plan, mut questions) = planned(&key(&scopes), ApiMethod::Operator(method), body);
    match questions.pop() {
        Some(Question {
            ask: ServerAsk::Room(room, ServerOp::Room(RoomOp::DeadLetters(asked))),
            ..
        }) => (plan, room, *asked),
        other => panic!("{other:?}"),
    }
}

fn told(plan: &ApiPlan, reply: RoomReply) -> Value {
    let replies = led_to(vec![ServerReply::Room(reply)]);
    let mut text = bytes::BytesMut::new();
    write_answer(&answer(plan, &replies, &ApiNode::default), &mut text);
    serde_json::from_slice(&text).unwrap()
}

fn entry(tenant: &str, channel: &str, user: &str, offset: u64) -> DeadLetterEntry {
    let (inbox, room) = (NAMES.inbox(tenant, user), NAMES.room(tenant, channel));
    DeadLetterEntry {
        place: DeadLetterPlace { inbox, room, offset },
        tenant: tenant.into(),
        channel: channel.into(),
        cause: DeadLetterCause::Attempts,
        at_unix_ms: 77,
        tries_count: 10,
    }
}

#[test]
fn a_page_shows_those_of_the_keys_tenant_and_channels() {
    let (plan, _, ask) = asked(ApiOperatorMethod::DeadLettersList, &json!({}));
    assert!(matches!(ask, DeadLettersAsk::List(query) if query.inbox.is_none()));
    let found = vec![
        entry("t", "dm#ann,bob", "bob", 1),
        entry("other", "dm#ann,bob", "bob", 2),
        entry("t", "news:1", "bob", 3),
        entry("t", "dm#ann,bob", "ann", 4),
    ];
    let next = Some(found[3].place);
    let page = told(&plan, RoomReply::DeadLetters(DeadLettersReply::Page(found, next)));
    let one = |user: &str, offset: u64| {
        json!({
            "channel": "dm#ann,bob", "offset": offset, "user": user, "cause": "tries", "at": 77,
            "tries": 10,
        })
    };
    assert_eq!(page["result"]["dead_letters"], json!([one("bob", 1), one("ann", 4)]));
    // The next page begins behind what was looked at.
    let body = json!({ "user": "bob", "after": page["result"]["next"] });
    let (_, room, ask) = asked(ApiOperatorMethod::DeadLettersList, &body);
    let DeadLettersAsk::List(query) = ask else { panic!("{ask:?}") };
    assert_eq!((query.after, query.inbox), (next, Some(NAMES.inbox("t", "bob"))));
    let (_, _, ask) = asked(ApiOperatorMethod::DeadLettersList, &json!({ "limit": 7 }));
    assert!(matches!(ask, DeadLettersAsk::List(query) if query.count_max == 7), "{ask:?}");
    assert_eq!(room, NAMES.inbox("t", "bob"));
}

#[test]
fn what_waits_again_waits_no_longer_than_its_namespace_lets_it() {
    let requeue = ApiOperatorMethod::DeadLettersRequeue;
    let longest_ms = Namespace::default().ttl_ms_max;
    for (ttl_s, want_ms) in [(None, longest_ms), (Some(60), 60_000), (Some(u64::MAX), longest_ms)] {
        let body = json!({ "channel": "dm#ann,bob", "ttl_s": ttl_s });
        let (_, room, ask) = asked(requeue, &body);
        let DeadLettersAsk::Change(change) = ask else { panic!("{ask:?}") };
        let expires_unix_ms = NOW_UNIX_S * 1_000 + want_ms;
        assert_eq!(change.fate, DeadLetterFate::Requeued { expires_unix_ms });
        assert_eq!((room, change.room), (NAMES.room("t", "dm#ann,bob"), room));
        assert_eq!(change.inboxes, ["ann", "bob"].map(|user| NAMES.inbox("t", user)));
    }
    check_refused(
        ApiMethod::Operator(requeue),
        json!({ "channel": "room:1" }),
        ErrorCode::NotAvailable,
    );
}

#[test]
fn one_that_is_named_has_to_be_there() {
    let drop = ApiOperatorMethod::DeadLettersDrop;
    let (one, ..) = asked(drop, &json!({ "channel": "dm#ann,bob", "offset": 7 }));
    let (all, ..) = asked(drop, &json!({ "channel": "dm#ann,bob" }));
    let changed = |counts| {
        let changed = ChangedDeadLetters { counts, ..ChangedDeadLetters::default() };
        RoomReply::DeadLetters(DeadLettersReply::Changed(changed))
    };
    let done = |count: u64| json!({ "result": { "count": count, "more": false } });
    assert_eq!(told(&one, changed([0, 1])), done(1));
    assert_eq!(told(&all, changed([3, 1])), done(4));
    assert_eq!(told(&all, changed([0, 0])), done(0));
    let missing = json!({ "error": { "code": 107, "message": "not found: offset" } });
    assert_eq!(told(&one, changed([0, 0])), missing);
    assert_eq!(told(&all, RoomReply::Rejected(ErrorCode::NotAvailable))["error"]["code"], 108);
}
