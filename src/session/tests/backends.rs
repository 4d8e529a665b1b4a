//! What a backend does as a user: rooms are asked as for the user's own client, with the rights that a
//! backend has.

use serde_json::{Value, json};

use super::*;
use crate::hook::Hook;
use crate::room::{
    ChangeAction, HistoryQuery, IdSource, PublishMode, RetractRight, RoomPublish, UNKNOWN,
};
use crate::session::{AskedRooms, CommandError, ServerChat, ServerHistory};
use crate::store::{MarkerPosition, ReadOrder};
use crate::wire::chat::{Field, Method};
use crate::wire::{Epoch, ID_TAG, Position};

const NAMES: NameKey = NameKey([1, 2]);

type Outcome = Result<AskedRooms, CommandError>;

/// A server on which nobody may do anything in `kept`, where the backend is asked about messages.
fn server() -> SessionHarness {
    let mut harness = SessionHarness::new();
    let kept = Namespace { history_count_max: 10, ..Namespace::default() };
    let named = |name: &str| Namespace { name: name.to_owned(), ..kept.clone() };
    let nobodys = Namespace {
        subscribe: Permission::Nobody,
        publish: Permission::Nobody,
        see_history: Permission::Nobody,
        publish_hook: true,
        ..named("kept")
    };
    let listed = Namespace { user_lists: true, ..named("listed") };
    harness.rooms.namespaces = vec![nobodys, named("dm"), named("@"), listed];
    harness.rooms.namespaces.push(Namespace { history_count_max: 0, ..named("plain") });
    harness.options.hooks.asked = [Hook::Publish].into_iter().collect();
    harness
}

impl SessionHarness {
    fn as_user(
        &mut self,
        right: RetractRight,
        user: &str,
        method: Method,
        data: &Value,
    ) -> Outcome {
        let data = data.to_string().into_bytes().into();
        let chat = ServerChat { tenant: "t".into(), user: user.into(), method, data, right };
        let mut outcome = None;
        self.step(|_, cx, _| outcome = Some(chat.asked_rooms(cx)));
        assert!(self.out.is_empty(), "no session has a part in it");
        outcome.expect("it was asked")
    }

    fn history_as(&mut self, user: &str, channel: &str, query: HistoryQuery) -> Outcome {
        let (tenant, user, channel) = ("t".into(), user.into(), channel.into());
        let history = ServerHistory { tenant, user, channel, query };
        let mut outcome = None;
        self.step(|_, cx, _| outcome = Some(history.asked_rooms(cx)));
        outcome.expect("it was asked")
    }
}

#[track_caller]
fn asked(outcome: Outcome, channel: &str) -> RoomOp {
    let AskedRooms { room, op, told } = outcome.unwrap();
    assert_eq!(room, NAMES.room("t", channel));
    assert!(told.is_none(), "{told:?}");
    op
}

#[track_caller]
fn said(op: RoomOp, channel: &str) -> RoomPublish {
    let publish = match op {
        RoomOp::Publish(publish) => *publish,
        RoomOp::Change(change) => change.publish,
        other => panic!("{other:?}"),
    };
    let info = publish.info.as_ref().expect("an author");
    assert_eq!((&*info.user, info.client.0, &info.conn_info), ("ann", 0, &None));
    let key = publish.channel_key.as_ref().expect("the room may not be here");
    assert_eq!((&*key.tenant, &*key.channel), ("t", channel));
    publish
}

#[test]
fn a_message_has_the_user_as_its_author_whatever_the_namespace_lets_users_do() {
    let mut server = server();
    let data = json!({ "channel": "kept:1", "data": { "n": 1 }, "id": "k", "sent_at_ms": 7 });
    let op = asked(server.as_user(RetractRight::Author, "ann", Method::Publish, &data), "kept:1");
    let publish = said(op, "kept:1");
    assert_eq!((publish.id_source, publish.mode), (IdSource::Client, PublishMode::Post));
    let tags: Vec<(&str, &str)> =
        publish.tags.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(tags, [(ID_TAG, "k"), ("sent_at_ms", "7")]);
    assert_eq!(publish.timing.p2b_us, UNKNOWN, "no connection's clock is known by it");

    let data = json!({ "to": "bob", "data": 1, "ttl_s": 60 });
    let op = asked(server.as_user(RetractRight::Author, "ann", Method::Send, &data), "dm#ann,bob");
    let publish = said(op, "dm#ann,bob");
    let (from, to) = (NAMES.inbox("t", "ann"), NAMES.inbox("t", "bob"));
    assert_eq!(publish.mode, PublishMode::Send { from, to, ttl_ms: 60_000 });
    assert_eq!(publish.id_source, IdSource::Server, "one without an id gets one");

    let data = json!({ "channel": "kept:1", "offset": 3, "data": 2, "id": "e" });
    let op = asked(server.as_user(RetractRight::Author, "ann", Method::Edit, &data), "kept:1");
    assert!(matches!(&op, RoomOp::Change(change)
        if change.offset == 3 && change.action == ChangeAction::Edit));
    said(op, "kept:1");
}

#[test]
fn a_message_of_somebody_else_is_taken_back_where_the_backend_says_so() {
    let mut server = server();
    server.options.insecure = true;
    for right in [RetractRight::Author, RetractRight::Moderator] {
        let data = json!({ "channel": "kept:1", "offset": 3 });
        let op = asked(server.as_user(right, "ann", Method::Retract, &data), "kept:1");
        assert!(matches!(&op, RoomOp::Change(change)
            if change.offset == 3 && change.action == ChangeAction::Retract(right)));
        said(op, "kept:1");
    }
}

#[test]
fn marks_lists_and_reactions_are_the_users() {
    let mut server = server();
    let mut ask = |method, data: Value, channel: &str| {
        asked(server.as_user(RetractRight::Author, "ann", method, &data), channel)
    };
    let up_to = json!({ "channel": "dm#ann,bob", "offset": 5, "took_ms": 3 });
    for (method, position) in
        [(Method::Read, MarkerPosition::Read(5)), (Method::Ack, MarkerPosition::Delivered(5))]
    {
        let RoomOp::AdvanceMarker(update) = ask(method, up_to.clone(), "dm#ann,bob") else {
            panic!("{method:?}")
        };
        assert_eq!((&*update.info.user, update.position), ("ann", position));
        assert_eq!(update.inbox, NAMES.inbox("t", "ann"));
        assert_eq!(update.other, Some(NAMES.inbox("t", "bob")));
    }
    let react = json!({ "channel": "kept:1", "offset": 5, "value": "👍" });
    let RoomOp::React(reaction) = ask(Method::React, react, "kept:1") else { panic!("a reaction") };
    assert_eq!(reaction.user, NAMES.user_hash("t", "ann"));
    assert_eq!((&*reaction.info.user, reaction.value.as_deref()), ("ann", Some("👍")));
    let receipts = json!({ "channel": "kept:1", "limit": 7 });
    assert!(matches!(ask(Method::Receipts, receipts, "kept:1"),
        RoomOp::Receipts(page) if page.count_max == 7));
    let RoomOp::Conversations(page) = ask(Method::Rooms, json!({ "after": "a" }), "@ann") else {
        panic!("a list")
    };
    assert_eq!((&*page.user, &*page.after, page.count_max), ("ann", "a", 100));
}

#[test]
fn what_is_read_as_a_user_shows_its_own_reactions_and_who_is_there() {
    let mut server = server();
    server.rooms.namespaces[0].presence = true;
    let ann = NAMES.user_hash("t", "ann");
    let offsets = json!({ "channel": "kept:1", "offsets": [7, 5] });
    let RoomOp::Reactions(page) =
        asked(server.as_user(RetractRight::Author, "ann", Method::Reactions, &offsets), "kept:1")
    else {
        panic!("reactions")
    };
    assert_eq!((&*page.offsets, page.reader), (&[5, 7][..], ann));
    let members = json!({ "channel": "kept:1", "limit": 7 });
    let op =
        asked(server.as_user(RetractRight::Author, "ann", Method::Members, &members), "kept:1");
    assert!(matches!(op, RoomOp::Members(page) if page.count_max == 7));
    let query = HistoryQuery {
        limit: 7,
        since: Some(Position { offset: 3, epoch: Epoch(9) }),
        order: ReadOrder::NewestFirst,
    };
    let RoomOp::History(page) = asked(server.history_as("ann", "kept:1", query), "kept:1") else {
        panic!("a history")
    };
    assert_eq!((page.query, page.reader), (query, ann));
    assert!(page.channel_key.is_some(), "the room may not be here");
    for (channel, code) in [
        ("dm#bob,carl", ErrorCode::PermissionDenied),
        ("@bob", ErrorCode::PermissionDenied),
        ("plain:1", ErrorCode::NotAvailable),
        ("none:1", ErrorCode::UnknownChannel),
    ] {
        let refused = server.history_as("ann", channel, query);
        assert!(matches!(refused, Err(CommandError::Code(told)) if told == code), "{channel}");
    }
}

#[test]
fn that_a_user_types_is_told_in_the_channel_and_to_the_other_of_a_conversation() {
    let mut server = server();
    let typing = |channel: &str| json!({ "channel": channel });
    let op = server.as_user(RetractRight::Author, "ann", Method::Typing, &typing("kept:1"));
    let RoomOp::Typing(info) = asked(op, "kept:1") else { panic!("typing") };
    assert_eq!((&*info.user, info.client.0), ("ann", 0));
    let told = server.as_user(RetractRight::Author, "ann", Method::Typing, &typing("dm#ann,bob"));
    let AskedRooms { room, told, .. } = told.unwrap();
    let told = told.expect("bob may be elsewhere");
    assert_eq!((room, told.room), (NAMES.room("t", "dm#ann,bob"), NAMES.inbox("t", "bob")));
    assert!(matches!(told.op, RoomOp::Deliver(_)) && told.reply_to.id == 0);
}

#[track_caller]
fn check_refused(user: &str, method: Method, data: Value, code: ErrorCode) {
    let refused = server().as_user(RetractRight::Moderator, user, method, &data);
    assert!(
        matches!(&refused, Err(CommandError::Code(told)) if *told == code),
        "{data} {refused:?}"
    );
}

#[test]
fn what_no_user_may_do_is_refused_to_a_backend_too() {
    let said = |channel: &str| {
        json!({
            "channel": channel, "offset": 1, "data": 1, "offsets": [1],
        })
    };
    for channel in ["dm#bob,carl", "@bob", "listed:1#bob"] {
        for method in [
            Method::Publish,
            Method::Edit,
            Method::React,
            Method::Read,
            Method::Ack,
            Method::Typing,
            Method::Reactions,
        ] {
            check_refused("ann", method, said(channel), ErrorCode::PermissionDenied);
        }
    }
    check_refused("ann", Method::Members, said("kept:1"), ErrorCode::NotAvailable);
    check_refused("ann", Method::Publish, said("none:1"), ErrorCode::UnknownChannel);
    for method in [Method::Edit, Method::Retract, Method::React, Method::Read, Method::Receipts] {
        check_refused("ann", method, said("plain:1"), ErrorCode::NotAvailable);
    }
    let mut small = server();
    small.rooms.namespaces[0].data_bytes_max = 3;
    let data = json!({ "channel": "kept:1", "data": "long" });
    let refused = small.as_user(RetractRight::Author, "ann", Method::Publish, &data);
    assert!(matches!(refused, Err(CommandError::Code(ErrorCode::LimitExceeded))), "{refused:?}");
    let to_oneself = json!({ "to": "ann", "data": 1 });
    let refused = small.as_user(RetractRight::Author, "ann", Method::Send, &to_oneself);
    assert!(matches!(refused, Err(CommandError::Field(Field::To))), "{refused:?}");
}
