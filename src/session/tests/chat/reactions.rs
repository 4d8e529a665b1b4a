//! Who may react to messages, and what rooms and clients are told of it.

use super::*;
use crate::room::Reaction;
use crate::store::{MessageReactions, ReactionTotals};

fn reaction(op: &RoomOp) -> &Reaction {
    match op {
        RoomOp::React(reaction) => reaction,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reaction_says_whose_it_is_and_who_is_told() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        let data = json!({ "channel": "dm#ann,bob", "offset": 5, "value": "👍" });
        harness.call("chat.react", &data);
        let asked = reaction(harness.asked_of("dm#ann,bob"));
        assert_eq!((asked.offset, asked.value.as_deref()), (5, Some("👍")));
        assert_eq!((&asked.info, asked.user), (&harness.info(), NAMES.user_hash("", "ann")));
        assert_eq!(asked.parties, Some([NAMES.inbox("", "ann"), NAMES.inbox("", "bob")]));
        assert_eq!(channel(asked.channel_key.as_ref()), Some("dm#ann,bob"));
        let room = harness.asked().0;
        harness.answer(room, RoomReply::Done);
        harness.check_rpc(&json!({}));
        harness.call("chat.react", &json!({ "channel": "dm#ann,bob", "offset": 5, "value": null }));
        assert_eq!(reaction(harness.asked().1).value, None);
        harness.answer(room, RoomReply::InvalidField(Field::Offset));
        harness.check_error(107, "bad request: offset");
        harness.call("chat.react", &data);
        harness.answer(room, RoomReply::Rejected(ErrorCode::LimitExceeded));
        harness.check_error(106, "limit exceeded");
        let mut harness = subscribed_to("room:1", "ann", encoding);
        harness.rooms.namespaces[0].see_history = Permission::Subscribers;
        harness.call("chat.react", &json!({ "channel": "room:1", "offset": 5, "value": "a" }));
        let asked = reaction(harness.asked_of("room:1"));
        assert!(asked.parties.is_none() && asked.channel_key.is_none());
    });
}

#[test]
fn who_may_read_the_history_may_react_as_long_as_that_is_so() {
    both(|encoding| {
        let calls = |channel: &str| {
            [
                ("chat.react", json!({ "channel": channel, "offset": 1, "value": "a" })),
                ("chat.reactions", json!({ "channel": channel, "offsets": [1] })),
            ]
        };
        let mut outside = harness("ann", encoding);
        let mut nameless = subscribed_to("room:1", "", encoding);
        nameless.rooms.namespaces[0].see_history = Permission::Subscribers;
        let mut plain = subscribed_to("plain:1", "ann", encoding);
        for (method, data) in calls("room:1") {
            outside.call(method, &data);
            outside.check_denied(method);
            nameless.call(method, &data);
            match method {
                "chat.reactions" => assert!(matches!(nameless.asked().1, RoomOp::Reactions(_))),
                _ => nameless.check_denied(method),
            }
        }
        for (method, data) in calls("plain:1") {
            plain.call(method, &data);
            plain.check_error(108, "not available");
        }
        outside.grant("room:*", PermissionSet::HISTORY);
        for (method, data) in calls("room:1") {
            outside.call(method, &data);
            assert!(matches!(outside.asked_of("room:1"), RoomOp::React(_) | RoomOp::Reactions(_)));
        }
        outside.grant("room:*", PermissionSet::PUBLISH);
        for (method, data) in calls("room:1") {
            outside.call(method, &data);
            outside.check_denied(method);
        }
        for (method, data) in calls("dm#bob,cat") {
            outside.call(method, &data);
            outside.check_denied(method);
        }
    });
}

#[test]
fn a_fresh_token_takes_the_right_to_react() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        let cap = r#"{"channels":["room:*"],"match":"wildcard","allow":["hst"]}"#;
        let may = signed(&format!(r#"{{"sub":"ann","caps":[{cap}]}}"#));
        let data = json!({ "channel": "room:1", "offset": 1, "value": "a" });
        harness.say(Request::Refresh { token: may.into() });
        harness.call("chat.react", &data);
        assert_eq!(reaction(harness.asked_of("room:1")).offset, 1);
        harness.say(Request::Refresh { token: super::super::user("ann").into() });
        harness.call("chat.react", &data);
        harness.check_denied("the right is gone");
    });
}

#[test]
fn reactions_are_answered_by_message() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        let data = json!({ "channel": "dm#ann,bob", "offsets": [9, 5, 7] });
        harness.call("chat.reactions", &data);
        let room = harness.asked().0;
        match harness.asked_of("dm#ann,bob") {
            RoomOp::Reactions(page) => {
                assert_eq!(*page.offsets, [5, 7, 9]);
                assert_eq!(channel(page.channel_key.as_ref()), Some("dm#ann,bob"));
            }
            other => panic!("{other:?}"),
        }
        let mut totals = ReactionTotals::default();
        assert!(totals.push("👍", 2) && totals.push("no", 1));
        let one = MessageReactions { offset: 7, totals, own: Some("no".into()) };
        harness.answer(room, RoomReply::Reactions(vec![one]));
        let totals = json!([{ "value": "👍", "count": 2 }, { "value": "no", "count": 1 }]);
        let one = json!({ "offset": 7, "totals": totals, "own": "no" });
        harness.check_rpc(&json!({ "messages": [one] }));
        harness.call("chat.reactions", &data);
        harness.answer(room, RoomReply::Reactions(vec![]));
        harness.check_rpc(&json!({ "messages": [] }));
    });
}
