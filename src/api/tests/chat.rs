//! Chat methods that a backend calls as a user: which rooms they come to, and what they are answered.

use bytes::BytesMut;

use super::*;
use crate::base::RoomId;
use crate::base::limits::{API_QUESTION_BYTES, API_SHARED_READ_QUESTIONS};
use crate::room::{HistoryQuery, RetractRight};
use crate::session::ServerChat;
use crate::store::ReadOrder;
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
    use ApiChatMethod::{
        Invite, Join, Kick, Leave, Members, Mute, Reactions, Roster, SetRole, Typing,
    };
    let all = json!({
        "channel": "room:1", "to": "bob", "offset": 1, "data": 1, "member": "bob", "role": "admin",
        "offsets": [1],
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
        (Members, "room:1"),
        (Reactions, "room:1"),
        (Typing, "room:1"),
    ] {
        let (room, chat, cost) = asked_as_user(method, &all);
        assert_eq!(room, NameKey([1, 2]).room("t", channel), "{method:?}");
        assert_eq!((chat.method, chat.right), (method.method(), RetractRight::Author));
        let is_list = matches!(method, Receipts | Rooms | Members | Reactions | Roster);
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

/// A history of these channels as `anna`: the plan, and what is asked of whom.
fn history_as_user(key: &ApiKey, channels: &Value) -> (ApiPlan, Vec<Question>) {
    let method = ApiMethod::Chat(ApiChatMethod::History);
    planned(key, method, &json!({ "user": "anna", "channels": channels, "limit": 900 }))
}

#[test]
fn a_history_of_several_channels_asks_each_for_its_share() {
    let epoch = "0000000a";
    let channels = json!(["room:1", { "channel": "dm#anna,bob", "offset": 3, "epoch": epoch }]);
    let (plan, questions) = history_as_user(&key(&[ApiScope::Chat]), &channels);
    let both = vec![("room:1".into(), Ok(0)), ("dm#anna,bob".into(), Ok(1))];
    assert_eq!(plan, ApiPlan::Histories(both));
    let asked: Vec<(RoomId, HistoryQuery, usize)> = questions
        .into_iter()
        .map(|question| match question.ask {
            ServerAsk::Room(room, ServerOp::History(one)) => {
                assert_eq!((&*one.tenant, &*one.user), ("t", "anna"));
                (room, one.query, question.cost)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let query = |since| HistoryQuery { limit: 500, since, order: ReadOrder::OldestFirst };
    let since = Some(Position { offset: 3, epoch: Epoch(10) });
    let room = |channel: &str| NameKey([1, 2]).room("t", channel);
    let cost = API_SHARED_READ_QUESTIONS;
    assert_eq!(
        asked,
        [(room("room:1"), query(None), cost), (room("dm#anna,bob"), query(since), cost)]
    );
    let (_, alone) = history_as_user(&key(&[ApiScope::Chat]), &json!(["room:1"]));
    assert_eq!(alone[0].cost, API_READ_QUESTIONS);
}

#[test]
fn a_history_of_many_channels_fits_one_request_and_those_that_a_key_may_not_name_are_refused() {
    let denied = ApiPlan::Error(ApiRequestError::Code(ErrorCode::PermissionDenied));
    let many: Value = (0..50).map(|n| json!(format!("room:{n}"))).collect();
    assert_eq!(history_as_user(&key(&[ApiScope::Chat]), &many).1.len(), 50);
    assert_eq!(history_as_user(&key(&[ApiScope::History]), &many).0, denied);
    let narrow = ApiKey { channels: vec!["room:1".into()], ..key(&[ApiScope::Chat]) };
    let (plan, questions) = history_as_user(&narrow, &json!(["room:1", "room:2", "none:1"]));
    let refused = Err(ErrorCode::PermissionDenied);
    let parts = [("room:1", Ok(0)), ("room:2", refused), ("none:1", refused)];
    let parts = parts.map(|(channel, asked)| (channel.into(), asked)).into();
    assert_eq!((plan, questions.len()), (ApiPlan::Histories(parts), 1));
    let twice = json!([{ "chat.history": { "user": "anna", "channels": many } },
        { "chat.history": { "user": "anna", "channels": many } }]);
    let (plan, questions) =
        planned(&key(&[ApiScope::Chat]), ApiMethod::Batch, &json!({ "commands": twice }));
    let ApiPlan::Batch(plans) = plan else { panic!("{plan:?}") };
    let full = ApiPlan::Error(ApiRequestError::Code(ErrorCode::LimitExceeded));
    assert!(matches!(plans[0], ApiPlan::Histories(_)) && plans[1] == full);
    assert_eq!(questions.len(), 50, "all of it is asked, or none");
}

#[test]
fn a_history_tells_of_each_channel_what_it_says_or_why_not() {
    let refused = Err(ErrorCode::PermissionDenied);
    let parts = [("room:1", Ok(0)), ("room:2", refused), ("room:3", Ok(1))];
    let plan = ApiPlan::Histories(parts.map(|(channel, asked)| (channel.into(), asked)).into());
    let position = Position { offset: 7, epoch: Epoch(0xab) };
    let replies = led_to(vec![
        ServerReply::Room(RoomReply::History(Vec::new(), position)),
        ServerReply::Room(RoomReply::Rejected(ErrorCode::UnrecoverablePosition)),
    ]);
    let mut out = BytesMut::new();
    write_answer(&answer(&plan, &replies, &ApiNode::default), &mut out);
    let told: Value = serde_json::from_slice(&out).unwrap();
    let code = |index: usize| told["result"]["channels"][index]["error"]["code"].clone();
    assert_eq!(
        told["result"]["channels"][0],
        json!({ "channel": "room:1", "publications": [], "offset": 7, "epoch": "000000ab" })
    );
    assert_eq!((code(1), code(2)), (json!(103), json!(112)));
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
