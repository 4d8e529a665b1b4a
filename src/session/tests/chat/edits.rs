//! New words for a message: what its author may ask, and what a room is asked.

use super::*;

fn edit(channel: &str, data: &Value) -> Value {
    json!({ "channel": channel, "offset": 3, "data": data, "id": "e-1", "sent_at_ms": 5 })
}

#[test]
fn an_edit_is_asked_as_a_message_with_the_place_of_another() {
    both(|encoding| {
        let mut harness = subscribed_to("room:1", "ann", encoding);
        harness.call("chat.edit", &edit("room:1", &json!([1])));
        let wanted = changed(harness.asked_of("room:1"));
        assert_eq!((wanted.offset, wanted.action), (3, ChangeAction::Edit));
        let said = &wanted.publish;
        assert_eq!(tags(said), [("id", "e-1"), ("sent_at_ms", "5")]);
        assert_eq!(said.data, Payload { bytes: "[1]".into(), is_json: true });
        assert_eq!((said.mode, channel(said.channel_key.as_ref())), (PublishMode::Post, None));
        assert_eq!(said.info.as_ref(), Some(&harness.info()));
        let room = harness.asked().0;
        let position = Position { offset: 4, epoch: Epoch(7) };
        let posted =
            PublishAck { channel: "room:1".into(), position, id: "e-1".into(), timing: None };
        harness.answer(room, RoomReply::Posted(Box::new(posted)));
        let want = json!({ "channel": "room:1", "offset": 4, "epoch": "00000007", "id": "e-1" });
        harness.check_rpc(&want);
        harness.call("chat.edit", &edit("room:1", &json!(1)));
        harness.answer(room, RoomReply::InvalidField(Field::Offset));
        harness.check_error(107, "bad request: offset");
    });
}

#[test]
fn who_may_publish_may_edit_where_messages_are_kept() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        harness.rooms.namespaces[0].data_bytes_max = 4;
        harness.call("chat.edit", &edit("room:1", &json!(12345)));
        harness.check_error(106, "limit exceeded");
        harness.call("chat.edit", &edit("room:1", &json!(1)));
        harness.check_denied("outside");
        harness.grant("*", PermissionSet::MODERATE | PermissionSet::HISTORY);
        harness.call("chat.edit", &edit("room:1", &json!(1)));
        harness.check_denied("a moderator says nothing in somebody's place");
        harness.grant("*", PermissionSet::PUBLISH);
        harness.call("chat.edit", &edit("room:1", &json!(1)));
        let wanted = changed(harness.asked_of("room:1"));
        assert_eq!(channel(wanted.publish.channel_key.as_ref()), Some("room:1"));
        harness.call("chat.edit", &edit("plain:1", &json!(1)));
        harness.check_error(108, "not available");
        harness.call("chat.edit", &edit("none:1", &json!(1)));
        harness.check_error(102, "unknown channel");
    });
}

#[test]
fn an_edit_in_a_conversation_is_for_both() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        harness.call("chat.edit", &edit("dm#ann,bob", &json!(1)));
        let wanted = changed(harness.asked_of("dm#ann,bob"));
        let [from, to] = ["ann", "bob"].map(|user| NAMES.inbox("", user));
        assert_eq!(wanted.publish.mode, PublishMode::Send { from, to, ttl_ms: 0 });
    });
}
