//! Chat methods that a backend calls as a user: which rooms they come to, and what they are answered.

use bytes::BytesMut;

use super::*;
use crate::base::RoomId;
use crate::base::limits::API_QUESTION_BYTES;
use crate::room::RetractRight;
use crate::session::ServerChat;
use crate::wire::api::ApiChatMethod;
use crate::wire::chat::Field;

/// The room that a chat method of `anna` comes to, what it carries, and what it costs.
fn asked_as_user(method: ApiChatMethod, more: &Value) -> (RoomId, ServerChat, usize) {
    let mut body = json!({ "user": "anna" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let method = ApiMethod::Chat(method);
    let (plan, mut questions) = planned(&key(&[ApiScope::Chat]), method, &body);
    assert_eq!(plan, ApiPlan::Chat(method, 0));
    match questions.pop() {
        Some(Question { ask: ServerAsk::Room(room, ServerOp::Chat(chat)), cost }) => {
            assert_eq!((&*chat.tenant, &*chat.user), ("t", "anna"));
            assert_eq!(*chat.data, *body.to_string().as_bytes());
            (room, *chat, cost)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_done_as_a_user_comes_to_the_room_that_it_is_about() {
    use ApiChatMethod::{Ack, Edit, Publish, React, Read, Receipts, Retract, Rooms, Send};
    use ApiChatMethod::{Invite, Join, Kick, Leave, Mute, Roster, SetRole};
    let all = json!({
        "channel": "room:1", "to": "bob", "offset": 1, "data": 1, "member": "bob", "role": "admin",
    });
    for (method, channel) in [
        (Publish, "room:1"),
        (Send, "dm#anna,bob"),
        (Retract, "room:1"),
        (Edit, "room:1"),
        (React, "room:1"),
        (Read, "room:1"),
        (Ack, "room:1"),
        (Receipts, "room:1"),
        (Rooms, "@anna"),
        (Join, "room:1"),
        (Leave, "room:1"),
        (Invite, "room:1"),
        (Kick, "room:1"),
        (SetRole, "room:1"),
        (Roster, "room:1"),
        (Mute, "room:1"),
    ] {
        let (room, chat, cost) = asked_as_user(method, &all);
        assert_eq!(room, NameKey([1, 2]).room("t", channel), "{method:?}");
        assert_eq!((chat.method, chat.right), (method.method(), RetractRight::Author));
        let is_list = matches!(method, Receipts | Rooms | Roster);
        assert_eq!(cost, if is_list { API_READ_QUESTIONS } else { 1 }, "{method:?}");
    }
    let long = json!({ "channel": "room:1", "data": "a".repeat(2 * API_QUESTION_BYTES) });
    assert_eq!(asked_as_user(Publish, &long).2, 3);
    let by_moderator = json!({ "channel": "room:1", "offset": 1, "as_moderator": true });
    assert_eq!(asked_as_user(Retract, &by_moderator).1.right, RetractRight::Moderator);
    let mut by_moderator = all;
    by_moderator["as_moderator"] = json!(true);
    for (method, right) in [
        (Invite, RetractRight::Moderator),
        (Kick, RetractRight::Moderator),
        (SetRole, RetractRight::Moderator),
        (Join, RetractRight::Author),
        (Leave, RetractRight::Author),
    ] {
        assert_eq!(asked_as_user(method, &by_moderator).1.right, right, "{method:?}");
    }
}

#[test]
fn nobody_talks_to_nobody_and_the_key_covers_conversations_too() {
    let send = |user: &str, to: &str| json!({ "user": user, "to": to, "data": 1 });
    let method = ApiMethod::Chat(ApiChatMethod::Send);
    let unfit = ApiPlan::Error(ApiRequestError::Unfit(ApiField::To));
    let long = "x".repeat(252);
    for body in [send("anna", "anna"), send("anna", &long)] {
        assert_eq!(planned(&key(&[ApiScope::Chat]), method, &body).0, unfit);
    }
    let channels = vec!["dm#anna,*".into()];
    let narrow = ApiKey { channels, ..key(&[ApiScope::Chat]) };
    let denied = ApiPlan::Error(ApiRequestError::Code(ErrorCode::PermissionDenied));
    assert_eq!(planned(&narrow, method, &send("bob", "carl")).0, denied);
    assert_eq!(planned(&narrow, method, &send("bob", "anna")).0, ApiPlan::Chat(method, 0));
    let rooms = ApiMethod::Chat(ApiChatMethod::Rooms);
    assert_eq!(planned(&narrow, rooms, &json!({ "user": "anna" })).0, denied);
}

#[test]
fn who_acts_as_a_user_is_answered_as_the_user_would_be() {
    let method = ApiMethod::Chat(ApiChatMethod::Send);
    let plan = ApiPlan::Chat(method, 0);
    let told = |reply: RoomReply| {
        let replies = led_to(vec![ServerReply::Room(reply)]);
        let mut out = BytesMut::new();
        write_answer(&answer(&plan, &replies, &ApiNode::default), &mut out);
        serde_json::from_slice::<Value>(&out).unwrap()
    };
    let position = Position { offset: 7, epoch: Epoch(0xab) };
    let ack = PublishAck { channel: "dm#anna,bob".into(), position, id: "k".into(), timing: None };
    assert_eq!(
        told(RoomReply::Posted(Box::new(ack))),
        json!({ "result":
            { "channel": "dm#anna,bob", "offset": 7, "epoch": "000000ab", "id": "k" } })
    );
    assert_eq!(told(RoomReply::Done), json!({ "result": {} }));
    assert_eq!(
        told(RoomReply::InvalidField(Field::Offset)),
        json!({ "error": { "code": 107, "message": "bad request: offset" } })
    );
    assert_eq!(
        told(RoomReply::Rejected(ErrorCode::NotAvailable)),
        json!({ "error": { "code": 108, "message": "not available" } })
    );
}
