//! Chat's methods, from a client's data to the rooms and back, in both encodings.

mod conversations;
mod edits;
mod groups;
mod histories;
mod reactions;

use std::fmt::Debug;

use serde_json::{Value, json};

use super::super::identity::Peer;
use super::*;
use crate::auth::{Capability, PatternKind, PermissionSet};
use crate::base::ShardId;
use crate::room::{
    ChangeAction, ChangeRequest, ChannelKey, InboxDelivery, MembersPage, PublishAck, PublishMode,
    ReadMarkerUpdate, RetractRight, RoomPublish,
};
use crate::store::{Conversation, MarkerPosition, ReadMarkers};
use crate::wire::chat::Field;
use crate::wire::client::{ClientAnswer, ClientMessage, messages};
use crate::wire::{
    Command, HistoryRequest, Payload, Publication, RawData, Request, SubscribeRequest,
};

const NAMES: NameKey = NameKey([1, 2]);
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A session of `user` that speaks `encoding`, with conversations and inboxes.
fn harness(user: &str, encoding: Encoding) -> SessionHarness {
    let mut harness = SessionHarness::new();
    let kept = Namespace { history_count_max: 10, presence: true, ..Namespace::default() };
    let named = |name: &str| Namespace { name: name.to_owned(), ..kept.clone() };
    let plain = Namespace { history_count_max: 0, presence: false, ..open_namespace("plain") };
    harness.rooms.namespaces.extend([named("dm"), named("kept"), plain]);
    harness.options.anonymous = true;
    harness.connect(&if user.is_empty() { String::new() } else { super::user(user) });
    assert!(harness.text().contains(r#""connect":"#), "{}", harness.text());
    // Inboxes come later: the connect would wait for them.
    harness.rooms.namespaces.push(named("@"));
    harness.encoding = encoding;
    harness
}

/// `harness`, subscribed.
fn subscribed_to(channel: &str, user: &str, encoding: Encoding) -> SessionHarness {
    let mut harness = harness(user, encoding);
    harness.rooms.namespaces[0].subscribe = Permission::Anyone;
    harness.say(Request::Subscribe(SubscribeRequest {
        channel: channel.into(),
        ..Default::default()
    }));
    let room = harness.asked().0;
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    harness.session.activate(room, SubscriberSlot { channel: 3, index: 4 });
    harness
}

impl SessionHarness {
    /// One command with the next id.
    fn say(&mut self, request: Request<'_>) {
        self.next_id += 1;
        let id = self.next_id;
        self.step(|session, cx, out| {
            session.on_command(cx, Command { id, request }, QuotaDecision::Served, out);
        });
    }

    fn call(&mut self, method: &str, data: &Value) {
        let text = data.to_string();
        let data = RawData { bytes: text.as_bytes().into(), is_json: true };
        self.say(Request::Rpc { method: method.into(), data });
    }

    /// Rights from the connection token.
    fn grant(&mut self, channel: &str, allow: PermissionSet) {
        let (peer, _) = self.session.connected();
        let cap = Capability {
            channels: vec![channel.into()],
            pattern_kind: PatternKind::Wildcard,
            allow,
        };
        let info = (**peer.info()).clone();
        *peer = Peer::new(info, None, "".into(), None, vec![cap], peer.started_at());
    }

    /// The one answer of the last step, as its client reads it.
    #[track_caller]
    fn heard(&self) -> ClientAnswer {
        let mut all = messages(self.encoding, self.out.messages());
        let first = all.next().expect("something is answered").unwrap();
        assert!(all.next().is_none());
        match first {
            ClientMessage::Reply { id, answer } if id == self.next_id => answer,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_rpc(&self, want: &Value) {
        match self.heard() {
            ClientAnswer::Rpc(result) => {
                assert_eq!(serde_json::from_slice::<Value>(&result.data).unwrap(), *want);
            }
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn check_error(&self, code: u32, message: &str) {
        match self.heard() {
            ClientAnswer::Error(error) => {
                assert_eq!((error.code, &*error.message), (code, message));
            }
            other => panic!("{other:?}"),
        }
        let asks = self.out.effects().iter().any(|effect| matches!(effect, Effect::SendRequest(_)));
        assert!(!asks, "what is refused reaches no room");
    }

    #[track_caller]
    fn check_denied(&self, why: impl Debug) {
        assert!(matches!(self.heard(), ClientAnswer::Error(error) if error.code == 103), "{why:?}");
        self.check_error(103, "permission denied");
    }

    /// What the room of `channel` is asked.
    #[track_caller]
    fn asked_of(&self, channel: &str) -> &RoomOp {
        let (room, op) = self.asked();
        assert_eq!(room, NAMES.room("", channel));
        op
    }
}

fn draft(op: &RoomOp) -> &RoomPublish {
    match op {
        RoomOp::Publish(publish) => publish,
        other => panic!("{other:?}"),
    }
}

fn marker_update(op: &RoomOp) -> &ReadMarkerUpdate {
    match op {
        RoomOp::AdvanceMarker(update) => update,
        other => panic!("{other:?}"),
    }
}

fn changed(op: &RoomOp) -> &ChangeRequest {
    match op {
        RoomOp::Change(request) => request,
        other => panic!("{other:?}"),
    }
}

fn tags(publish: &RoomPublish) -> Vec<(&str, &str)> {
    publish.tags.iter().map(|(name, value)| (&**name, &**value)).collect()
}

fn channel(channel_key: Option<&ChannelKey>) -> Option<&str> {
    channel_key.map(|channel_key| &*channel_key.channel)
}

fn both(check: impl Fn(Encoding)) {
    Encoding::ALL.into_iter().for_each(check);
}

#[test]
fn what_is_no_method_and_what_is_no_field_is_named() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        for (method, data, code, message) in [
            ("chat.none", json!({}), 104, "method not found"),
            ("chat.", json!({}), 104, "method not found"),
            ("chat.Send", json!({}), 104, "method not found"),
            ("none", json!({}), 108, "not available"),
            ("", json!({}), 108, "not available"),
            ("chat.publish", json!([]), 107, "bad request: data"),
            ("chat.publish", json!({}), 107, "bad request: channel"),
            ("chat.publish", json!({"channel": "room:1"}), 107, "bad request: data"),
            ("chat.send", json!({"to": "a,b", "data": 1}), 107, "bad request: to"),
            ("chat.send", json!({"to": "bob", "data": 1, "id": ""}), 107, "bad request: id"),
            ("chat.ack", json!({"channel": "room:1"}), 107, "bad request: offset"),
            ("chat.read", json!({"channel": "a\n", "offset": 1}), 107, "bad request: channel"),
            ("chat.members", json!({"channel": "kept:1", "after": "x"}), 107, "bad request: after"),
            ("chat.rooms", json!({"limit": 0}), 107, "bad request: limit"),
            ("chat.typing", json!({"channel": 1}), 107, "bad request: channel"),
            ("chat.retract", json!({"channel": "c", "offset": -1}), 107, "bad request: offset"),
            ("chat.edit", json!({"channel": "c", "data": 1}), 107, "bad request: offset"),
            ("chat.edit", json!({"channel": "c", "offset": 1}), 107, "bad request: data"),
            ("chat.publish", json!({"channel": "none:1", "data": 1}), 102, "unknown channel"),
            ("chat.ack", json!({"channel": "dm#b,a", "offset": 1}), 102, "unknown channel"),
        ] {
            harness.call(method, &data);
            harness.check_error(code, message);
        }
    });
}

#[test]
fn publish_says_it_with_what_goes_with_it() {
    both(|encoding| {
        let mut harness = subscribed_to("room:1", "ann", encoding);
        let all = json!({
            "sent_at_ms": 5, "traceparent": TRACE, "id": "m-1", "data": [1], "channel": "room:1",
        });
        harness.call("chat.publish", &all);
        let said = draft(harness.asked_of("room:1"));
        assert_eq!(tags(said), [("id", "m-1"), ("traceparent", TRACE), ("sent_at_ms", "5")]);
        assert_eq!(said.data, Payload { bytes: "[1]".into(), is_json: true });
        assert_eq!((said.mode, channel(said.channel_key.as_ref())), (PublishMode::Post, None));
        assert_eq!(said.info.as_ref(), Some(&harness.info()));
        let room = harness.asked().0;
        let position = Position { offset: 4, epoch: Epoch(7) };
        let posted =
            PublishAck { channel: "room:1".into(), position, id: "m-1".into(), timing: None };
        harness.answer(room, RoomReply::Posted(Box::new(posted)));
        let want = json!({ "channel": "room:1", "offset": 4, "epoch": "00000007", "id": "m-1" });
        harness.check_rpc(&want);
    });
}

#[test]
fn a_message_without_an_id_gets_one() {
    let mut harness = harness("ann", Encoding::Json);
    harness.rooms.namespaces[0].publish = Permission::Users;
    let mut id_of = || {
        harness.call("chat.publish", &json!({ "channel": "room:1", "data": 1 }));
        let said = draft(harness.asked_of("room:1"));
        assert_eq!(channel(said.channel_key.as_ref()), Some("room:1"), "it is not a member's");
        match tags(said)[..] {
            [("id", id)] => id.to_owned(),
            ref other => panic!("{other:?}"),
        }
    };
    let (one, other) = (id_of(), id_of());
    assert!(one.len() == 36 && one != other, "{one} {other}");
}

#[test]
fn publish_needs_the_right_to_publish_and_room_for_the_data() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        harness.rooms.namespaces[0].data_bytes_max = 4;
        harness.call("chat.publish", &json!({ "channel": "room:1", "data": 1 }));
        harness.check_denied("outside");
        harness.call("chat.publish", &json!({ "channel": "room:1", "data": 12345 }));
        harness.check_error(106, "limit exceeded");
        harness.grant("room:*", PermissionSet::PUBLISH);
        harness.call("chat.publish", &json!({ "channel": "room:1", "data": 1234 }));
        assert!(matches!(harness.asked_of("room:1"), RoomOp::Publish(_)));
        let room = harness.asked().0;
        harness.answer(room, RoomReply::Rejected(ErrorCode::TooManyRequests));
        assert!(matches!(harness.heard(), ClientAnswer::Error(error) if error.code == 111));
    });
}

#[test]
fn marks_say_whose_they_are_and_whom_to_tell() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        harness.call("chat.ack", &json!({ "channel": "dm#ann,bob", "offset": 5, "took_ms": 3 }));
        let mark = marker_update(harness.asked_of("dm#ann,bob"));
        assert_eq!(mark.position, MarkerPosition::Delivered(5));
        assert_eq!(mark.info, harness.info());
        assert_eq!(mark.inbox, NAMES.inbox("", "ann"));
        assert_eq!(mark.other, Some(NAMES.inbox("", "bob")));
        assert_eq!(channel(mark.channel_key.as_ref()), Some("dm#ann,bob"));
        let room = harness.asked().0;
        harness.answer(room, RoomReply::Done);
        harness.check_rpc(&json!({}));
        harness.call("chat.read", &json!({ "channel": "dm#ann,bob", "offset": 7 }));
        assert_eq!(marker_update(harness.asked().1).position, MarkerPosition::Read(7));
        harness.answer(room, RoomReply::InvalidField(Field::Offset));
        harness.check_error(107, "bad request: offset");
        let mut harness = subscribed_to("room:1", "ann", encoding);
        harness.call("chat.read", &json!({ "channel": "room:1", "offset": 0 }));
        let mark = marker_update(harness.asked_of("room:1"));
        assert!(mark.other.is_none() && mark.channel_key.is_none());
    });
}

#[test]
fn who_may_read_may_mark_and_see_receipts() {
    both(|encoding| {
        let calls = |channel: &str| {
            [
                ("chat.ack", json!({ "channel": channel, "offset": 1 })),
                ("chat.read", json!({ "channel": channel, "offset": 1 })),
                ("chat.receipts", json!({ "channel": channel, "after": "bob" })),
            ]
        };
        let mut outside = harness("ann", encoding);
        let mut nameless = subscribed_to("room:1", "", encoding);
        let mut plain = subscribed_to("plain:1", "ann", encoding);
        for (method, data) in calls("room:1") {
            outside.call(method, &data);
            outside.check_denied(method);
            nameless.call(method, &data);
            match method {
                "chat.receipts" => assert!(matches!(nameless.asked().1, RoomOp::Receipts(_))),
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
            assert!(matches!(
                outside.asked_of("room:1"),
                RoomOp::AdvanceMarker(_) | RoomOp::Receipts(_)
            ));
        }
    });
}

#[test]
fn receipts_come_in_pages() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        harness.call("chat.receipts", &json!({ "channel": "dm#ann,bob", "after": "ann" }));
        let room = harness.asked().0;
        match harness.asked_of("dm#ann,bob") {
            RoomOp::Receipts(page) => {
                assert_eq!((&*page.after, page.count_max), ("ann", 100));
                assert_eq!(channel(page.channel_key.as_ref()), Some("dm#ann,bob"));
            }
            other => panic!("{other:?}"),
        }
        let bob = ("bob".into(), ReadMarkers { delivered: 5, read: 3 });
        harness.answer(room, RoomReply::Receipts(vec![bob], Some("bob".into())));
        let bob = json!({ "user": "bob", "delivered": 5, "read": 3 });
        harness.check_rpc(&json!({ "receipts": [bob], "next": "bob" }));
        harness.answer(room, RoomReply::Receipts(vec![], None));
        harness.check_rpc(&json!({ "receipts": [] }));
    });
}

#[test]
fn members_are_asked_as_presence_is() {
    both(|encoding| {
        let mut harness = subscribed_to("room:1", "ann", encoding);
        harness.call("chat.members", &json!({ "channel": "room:1", "limit": 2 }));
        let first = MembersPage { after: None, count_max: 2 };
        assert!(matches!(harness.asked_of("room:1"), RoomOp::Members(page) if *page == first));
        let (room, member) = (harness.asked().0, (ShardId(1), CONN));
        let info = harness.info();
        harness.answer(room, RoomReply::Members(vec![(Arc::clone(&info), None)], Some(member)));
        let ClientAnswer::Rpc(result) = harness.heard() else { panic!("{:?}", harness.heard()) };
        let page: Value = serde_json::from_slice(&result.data).unwrap();
        let ann = json!({ "user": "ann", "client": info.client.to_string() });
        assert_eq!(page["members"], json!([ann]));
        harness.call("chat.members", &json!({ "channel": "room:1", "after": page["next"] }));
        let second = MembersPage { after: Some(member), count_max: 100 };
        assert!(matches!(harness.asked().1, RoomOp::Members(page) if *page == second));
        harness.call("chat.members", &json!({ "channel": "room:2" }));
        harness.check_denied("outside");
        harness.call("chat.members", &json!({ "channel": "plain:2" }));
        harness.check_error(108, "not available");
    });
}

#[test]
fn typing_is_for_those_who_are_there() {
    both(|encoding| {
        let mut harness = subscribed_to("room:1", "ann", encoding);
        harness.call("chat.typing", &json!({ "channel": "room:1" }));
        assert!(matches!(harness.asked_of("room:1"), RoomOp::Typing(info) if *info.user == *"ann"));
        harness.rooms.namespaces[0].publish = Permission::Users;
        harness.call("chat.typing", &json!({ "channel": "room:2" }));
        harness.check_denied("outside");
        harness.call("chat.typing", &json!({ "channel": "dm#ann,bob" }));
        assert!(matches!(harness.asked_of("dm#ann,bob"), RoomOp::Typing(_)));
        let brought = harness.out.effects().iter().find_map(|effect| match effect {
            Effect::SendRequest(RoomRequest { room, op: RoomOp::Deliver(delivery), .. }) => {
                Some((room, delivery))
            }
            _ => None,
        });
        let (inbox, delivery) = brought.expect("the other one may be elsewhere");
        assert_eq!(*inbox, NAMES.inbox("", "bob"));
        assert!(
            matches!(&**delivery, InboxDelivery::Typing { channel, .. } if **channel == *"dm#ann,bob")
        );
    });
}

#[test]
fn a_message_is_taken_back_by_its_author_or_by_a_moderator() {
    both(|encoding| {
        let call = |harness: &mut SessionHarness, channel: &str| {
            harness.call("chat.retract", &json!({ "channel": channel, "offset": 3 }));
        };
        let mut harness = subscribed_to("room:1", "ann", encoding);
        call(&mut harness, "room:1");
        let wanted = changed(harness.asked_of("room:1"));
        let by_author = ChangeAction::Retract(RetractRight::Author);
        assert_eq!((wanted.offset, wanted.action), (3, by_author));
        let RoomPublish { channel_key, data, info, tags, mode, .. } = &wanted.publish;
        assert!(channel_key.is_none() && info.as_ref() == Some(&harness.info()));
        assert_eq!(data.bytes, r#"{"retracted":3}"#);
        assert!(matches!(&tags[..], [(id, uuid), (name, offset)]
            if (&**id, uuid.len(), &**name, &**offset) == ("id", 36, "retracts", "3")));
        assert_eq!(*mode, PublishMode::Post);
        call(&mut harness, "room:2");
        harness.check_denied("outside");
        call(&mut harness, "plain:1");
        harness.check_error(108, "not available");
        call(&mut harness, "dm#ann,bob");
        let wanted = changed(harness.asked_of("dm#ann,bob"));
        assert_eq!(wanted.action, by_author);
        let [from, to] = ["ann", "bob"].map(|user| NAMES.inbox("", user));
        assert_eq!(wanted.publish.mode, PublishMode::Send { from, to, ttl_ms: 0 });
        assert_eq!(channel(wanted.publish.channel_key.as_ref()), Some("dm#ann,bob"));
        harness.grant("*", PermissionSet::MODERATE);
        let by_moderator = ChangeAction::Retract(RetractRight::Moderator);
        for (channel, kept) in [("room:1", true), ("kept:1", true), ("plain:1", false)] {
            call(&mut harness, channel);
            if kept {
                assert_eq!(changed(harness.asked_of(channel)).action, by_moderator);
            } else {
                harness.check_error(108, "not available");
            }
        }
        call(&mut harness, "dm#ann,bob");
        assert_eq!(changed(harness.asked().1).action, by_moderator);
        let mut harness = self::harness("ann", encoding);
        harness.options.insecure = true;
        call(&mut harness, "kept:1");
        assert_eq!(changed(harness.asked_of("kept:1")).action, by_moderator);
    });
}

#[test]
fn a_subscriptions_token_can_make_a_moderator() {
    let (mut harness, room) = SessionHarness::subscribed_session();
    harness.session.connected().1.set_allow(room, PermissionSet::MODERATE);
    harness.call("chat.retract", &json!({ "channel": "room:1", "offset": 3 }));
    let by_moderator = ChangeAction::Retract(RetractRight::Moderator);
    assert_eq!(changed(harness.asked().1).action, by_moderator);
}

/// What is sent instead of asked: done, and answered by nobody.
#[test]
fn what_needs_no_answer_can_be_sent() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        let mut send = |method: &str, data: Value| {
            let call = json!({ "method": method, "data": data }).to_string();
            let data = RawData { bytes: call.as_bytes().into(), is_json: true };
            let command = Command { id: 0, request: Request::Send { data } };
            harness.step(|session, cx, out| {
                session.on_command(cx, command, QuotaDecision::Served, out);
            });
            assert!(harness.out.messages().is_empty());
            let asked = harness.out.effects().iter().filter_map(|effect| match effect {
                Effect::SendRequest(ask) => Some((ask.room, ask.reply_to.id)),
                _ => None,
            });
            let asked: Vec<(RoomId, u32)> = asked.collect();
            assert!(asked.iter().all(|&(_, id)| id == 0));
            let room = asked.first().map(|&(room, _)| room);
            for answer in [RoomReply::Done, RoomReply::InvalidField(Field::Offset)] {
                harness.step(|session, cx, out| {
                    session.on_answer(cx, RoomId(1), 0, answer, out);
                });
                assert!(harness.out.messages().is_empty());
            }
            room
        };
        let channel = "dm#ann,bob";
        let room = Some(NAMES.room("", channel));
        for (method, data, want) in [
            ("chat.ack", json!({ "channel": channel, "offset": 1 }), room),
            ("chat.read", json!({ "channel": channel, "offset": 1 }), room),
            ("chat.typing", json!({ "channel": channel }), room),
            ("chat.retract", json!({ "channel": channel, "offset": 1 }), room),
            ("chat.publish", json!({ "channel": channel, "data": 1 }), room),
            ("chat.send", json!({ "to": "bob", "data": 1 }), room),
            ("chat.receipts", json!({ "channel": channel }), None),
            ("chat.members", json!({ "channel": channel }), None),
            ("chat.rooms", json!({}), None),
        ] {
            assert_eq!(send(method, data), want, "{method}");
        }
    });
}

#[test]
fn mistakes_that_are_sent_count_as_well() {
    let mut harness = harness("ann", Encoding::Json);
    let send = r#"{"send":{"data":{"method":"chat.ack","data":{"channel":"dm#ann,bob"}}}}"#;
    for _ in 0..harness.options.errors_per_s {
        harness.raw(send);
        assert!(!harness.out.is_closing() && harness.text().is_empty());
    }
    harness.raw(send);
    harness.check_closed(Fault::TooManyErrors);
}
