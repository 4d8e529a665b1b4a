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
        let mut desk = desk("ann", encoding);
        let data = json!({ "channel": "dm#ann,bob", "offset": 5, "value": "👍" });
        desk.call("chat.react", &data);
        let asked = reaction(desk.asked_of("dm#ann,bob"));
        assert_eq!((asked.offset, asked.value.as_deref()), (5, Some("👍")));
        assert_eq!(asked.info, desk.info());
        assert_eq!(asked.parties, Some([NAMES.inbox("", "ann"), NAMES.inbox("", "bob")]));
        assert_eq!(channel(asked.channel_key.as_ref()), Some("dm#ann,bob"));
        let room = desk.asked().0;
        desk.answer(room, RoomReply::Done);
        desk.check_rpc(&json!({}));
        desk.call("chat.react", &json!({ "channel": "dm#ann,bob", "offset": 5, "value": null }));
        assert_eq!(reaction(desk.asked().1).value, None);
        desk.answer(room, RoomReply::InvalidField(Field::Offset));
        desk.check_error(107, "bad request: offset");
        desk.call("chat.react", &data);
        desk.answer(room, RoomReply::Rejected(ErrorCode::LimitExceeded));
        desk.check_error(106, "limit exceeded");
        let mut desk = seated_in("room:1", "ann", encoding);
        desk.rooms.namespaces[0].see_history = Permission::Subscribers;
        desk.call("chat.react", &json!({ "channel": "room:1", "offset": 5, "value": "a" }));
        let asked = reaction(desk.asked_of("room:1"));
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
        let mut outside = desk("ann", encoding);
        let mut nameless = seated_in("room:1", "", encoding);
        nameless.rooms.namespaces[0].see_history = Permission::Subscribers;
        let mut plain = seated_in("plain:1", "ann", encoding);
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
        let mut desk = desk("ann", encoding);
        let cap = r#"{"channels":["room:*"],"match":"wildcard","allow":["hst"]}"#;
        let may = signed(&format!(r#"{{"sub":"ann","caps":[{cap}]}}"#));
        let data = json!({ "channel": "room:1", "offset": 1, "value": "a" });
        desk.say(Request::Refresh { token: may.into() });
        desk.call("chat.react", &data);
        assert_eq!(reaction(desk.asked_of("room:1")).offset, 1);
        desk.say(Request::Refresh { token: super::super::user("ann").into() });
        desk.call("chat.react", &data);
        desk.check_denied("the right is gone");
    });
}

#[test]
fn reactions_are_answered_by_message() {
    both(|encoding| {
        let mut desk = desk("ann", encoding);
        let data = json!({ "channel": "dm#ann,bob", "offsets": [9, 5, 7] });
        desk.call("chat.reactions", &data);
        let room = desk.asked().0;
        match desk.asked_of("dm#ann,bob") {
            RoomOp::Reactions(page) => {
                assert_eq!(*page.offsets, [5, 7, 9]);
                assert_eq!(channel(page.channel_key.as_ref()), Some("dm#ann,bob"));
            }
            other => panic!("{other:?}"),
        }
        let mut totals = ReactionTotals::default();
        assert!(totals.push("👍", 2) && totals.push("no", 1));
        let one = MessageReactions { offset: 7, totals, own: Some("no".into()) };
        desk.answer(room, RoomReply::Reactions(vec![one]));
        let totals = json!([{ "value": "👍", "count": 2 }, { "value": "no", "count": 1 }]);
        let one = json!({ "offset": 7, "totals": totals, "own": "no" });
        desk.check_rpc(&json!({ "messages": [one] }));
        desk.call("chat.reactions", &data);
        desk.answer(room, RoomReply::Reactions(vec![]));
        desk.check_rpc(&json!({ "messages": [] }));
    });
}
