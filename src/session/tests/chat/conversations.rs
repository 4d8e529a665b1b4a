//! Conversations of two, and personal channels: whose they are, and who may do what there.

use super::*;

#[test]
fn send_goes_to_the_conversation_of_the_two() {
    for (user, to, named) in [("ann", "bob", "dm#ann,bob"), ("bob", "ann", "dm#ann,bob")] {
        both(|encoding| {
            let mut harness = harness(user, encoding);
            harness.call("chat.send", &json!({ "to": to, "data": "hi", "id": "1", "ttl_s": 60 }));
            let said = draft(harness.asked_of(named));
            assert_eq!(
                (channel(said.channel_key.as_ref()), tags(said)),
                (Some(named), vec![("id", "1")])
            );
            let (from, to) = (NAMES.inbox("", user), NAMES.inbox("", to));
            assert_eq!(said.mode, PublishMode::Send { from, to, ttl_ms: 60_000 });
        });
    }
    let mut harness = harness("ann", Encoding::Json);
    for (ttl_s, want_ms) in [(None, 0), (Some(1), 1_000), (Some(u64::MAX), u64::MAX)] {
        harness.call("chat.send", &json!({ "to": "bob", "data": 1, "ttl_s": ttl_s }));
        let mode = draft(harness.asked_of("dm#ann,bob")).mode;
        assert!(matches!(mode, PublishMode::Send { ttl_ms, .. } if ttl_ms == want_ms), "{mode:?}");
    }
}

#[test]
fn send_needs_two_names_that_can_stand_together() {
    both(|encoding| {
        let send = |user: &str, to: &str| {
            let mut harness = harness(user, encoding);
            harness.call("chat.send", &json!({ "to": to, "data": 1 }));
            harness
        };
        send("ann", "ann").check_error(107, "bad request: to");
        send("ann", &"b".repeat(249)).check_error(107, "bad request: to");
        assert!(matches!(send("ann", &"b".repeat(248)).asked().1, RoomOp::Publish(_)));
        for nobody in ["", "a,b", "a#"] {
            send(nobody, "bob").check_denied(nobody);
        }
        let mut harness = harness("ann", encoding);
        harness.rooms.namespaces[2].history_count_max = 0;
        harness.call("chat.send", &json!({ "to": "bob", "data": 1 }));
        harness.check_error(108, "not available");
        harness.rooms.namespaces[2].name = "other".to_owned();
        harness.call("chat.send", &json!({ "to": "bob", "data": 1 }));
        harness.check_error(102, "unknown channel");
    });
}

#[test]
fn what_is_published_in_a_conversation_waits_for_its_reader_too() {
    both(|encoding| {
        let mut harness = harness("bob", encoding);
        let (from, to) = (NAMES.inbox("", "bob"), NAMES.inbox("", "ann"));
        let mode = PublishMode::Send { from, to, ttl_ms: 0 };
        harness.call("chat.publish", &json!({ "channel": "dm#ann,bob", "data": 1, "id": "1" }));
        let said = draft(harness.asked_of("dm#ann,bob"));
        assert_eq!((said.mode, tags(said)), (mode, vec![("id", "1")]));
        let data = RawData { bytes: (&b"1"[..]).into(), is_json: true };
        harness.say(Request::Publish { channel: "dm#ann,bob".into(), data });
        let said = draft(harness.asked_of("dm#ann,bob"));
        assert_eq!((said.mode, tags(said)), (mode, vec![]));
        let (room, position) = (harness.asked().0, Position { offset: 4, epoch: Epoch(7) });
        let posted =
            PublishAck { channel: "dm#ann,bob".into(), position, id: "".into(), timing: None };
        harness.answer(room, RoomReply::Posted(Box::new(posted)));
        assert_eq!(harness.heard(), ClientAnswer::Publish);
    });
}

/// All that can be asked in a channel, with an offset that exists there.
fn everything(channel: &'static str) -> Vec<Request<'static>> {
    let rpc = |method: &'static str, data: Value| Request::Rpc {
        method: method.into(),
        data: RawData { bytes: data.to_string().into_bytes().into(), is_json: true },
    };
    let data = || RawData { bytes: (&b"1"[..]).into(), is_json: true };
    let name = || channel.into();
    vec![
        Request::Publish { channel: name(), data: data() },
        Request::Presence { channel: name() },
        Request::PresenceStats { channel: name() },
        Request::History(HistoryRequest { channel: name(), limit: 1, since: None, reverse: false }),
        rpc("chat.publish", json!({ "channel": channel, "data": 1 })),
        rpc("chat.ack", json!({ "channel": channel, "offset": 1 })),
        rpc("chat.read", json!({ "channel": channel, "offset": 1 })),
        rpc("chat.receipts", json!({ "channel": channel })),
        rpc("chat.members", json!({ "channel": channel })),
        rpc("chat.typing", json!({ "channel": channel })),
        rpc("chat.retract", json!({ "channel": channel, "offset": 1 })),
        rpc("chat.edit", json!({ "channel": channel, "offset": 1, "data": 1 })),
        Request::Subscribe(SubscribeRequest { channel: name(), ..Default::default() }),
    ]
}

/// Whatever the namespace, a token or the operator says.
#[test]
fn a_conversation_and_an_inbox_are_nobody_elses() {
    for channel in ["dm#bob,eve", "@bob", "@"] {
        for user in ["ann", ""] {
            both(|encoding| {
                let mut harness = harness(user, encoding);
                harness.options.insecure = true;
                harness.options.errors_per_s = 100;
                for namespace in &mut harness.rooms.namespaces {
                    namespace.subscribe = Permission::Anyone;
                    namespace.publish = Permission::Anyone;
                    namespace.see_presence = Permission::Anyone;
                    namespace.see_history = Permission::Anyone;
                }
                let all = PermissionSet::SUBSCRIBE
                    | PermissionSet::PUBLISH
                    | PermissionSet::PRESENCE
                    | PermissionSet::HISTORY;
                harness.grant("*", all | PermissionSet::MODERATE);
                if channel == "@" && user.is_empty() {
                    return; // Nobody's inbox: there is none.
                }
                for request in everything(channel) {
                    let why = format!("{request:?}");
                    harness.say(request);
                    harness.check_denied((user, why));
                }
            });
        }
    }
}

#[test]
fn a_conversation_is_wholly_its_partys() {
    both(|encoding| {
        for user in ["ann", "bob"] {
            let mut harness = harness(user, encoding);
            let rules = &mut harness.rooms.namespaces[2];
            rules.subscribe = Permission::Nobody;
            rules.publish = Permission::Nobody;
            rules.see_presence = Permission::Nobody;
            rules.see_history = Permission::Nobody;
            for request in everything("dm#ann,bob") {
                harness.say(request);
                assert_eq!(harness.asked().0, NAMES.room("", "dm#ann,bob"));
            }
        }
    });
}

#[test]
fn a_token_cannot_subscribe_its_user_to_what_is_somebody_elses() {
    for (channel, admitted) in [("dm#bob,eve", false), ("@bob", false), ("dm#ann,bob", true)] {
        let mut harness = SessionHarness::new();
        harness.rooms.namespaces.push(open_namespace("dm"));
        let channels = [channel.to_owned()];
        if !admitted {
            harness.rooms.namespaces.push(open_namespace("@"));
        }
        harness.connect(&token(&NewToken {
            user: "ann",
            channels: &channels,
            ..NewToken::default()
        }));
        if admitted {
            assert!(matches!(harness.asked_of(channel), RoomOp::Subscribe(_)));
        } else {
            harness.check_refused(ErrorCode::PermissionDenied);
        }
    }
}

#[test]
fn conversations_are_asked_of_ones_own_inbox() {
    both(|encoding| {
        let mut harness = harness("ann", encoding);
        harness.call("chat.rooms", &json!({ "after": "dm#a,ann", "limit": 2 }));
        match harness.asked_of("@ann") {
            RoomOp::Conversations(page) => {
                assert_eq!(channel(Some(&page.channel_key)), Some("@ann"));
                assert_eq!((&*page.user, &*page.after, page.count_max), ("ann", "dm#a,ann", 2));
            }
            other => panic!("{other:?}"),
        }
        let room = harness.asked().0;
        let last = Publication {
            offset: 6,
            data: Payload { bytes: "1".into(), is_json: true },
            info: None,
            chan_info: None,
            tags: vec![("id".into(), "i".into())],
            time_unix_ms: 9,
            trace: None,
        };
        let page = vec![Conversation {
            channel: "dm#ann,bob".into(),
            head: 6,
            markers: ReadMarkers { delivered: 5, read: 4 },
            unread: 1,
            last: Some(Arc::new(last)),
            role: None,
            muted_until_unix_ms: 0,
        }];
        harness.answer(room, RoomReply::Conversations(page, None));
        let last = json!({ "data": 1, "offset": 6, "tags": { "id": "i" }, "time": 9 });
        harness.check_rpc(&json!({ "rooms": [{
            "channel": "dm#ann,bob", "head": 6, "delivered": 5, "read": 4, "unread": 1,
            "last": last,
        }]}));
        harness.rooms.namespaces.retain(|one| one.name != "@");
        harness.call("chat.rooms", &json!({}));
        harness.check_error(108, "not available");
        let mut nameless = self::harness("", encoding);
        nameless.call("chat.rooms", &json!({}));
        nameless.check_denied("without a name");
    });
}

#[test]
fn tenants_have_conversations_of_their_own() {
    let mut harness = SessionHarness::new();
    harness.rooms.namespaces.push(open_namespace("dm"));
    harness.connect(&token(&NewToken { user: "ann", tenant: "acme", ..NewToken::default() }));
    harness.call("chat.send", &json!({ "to": "bob", "data": 1 }));
    let (room, op) = harness.asked();
    assert_eq!(room, NAMES.room("acme", "dm#ann,bob"));
    let inbox = |user| NAMES.inbox("acme", user);
    let (from, to) = (inbox("ann"), inbox("bob"));
    assert_eq!(draft(op).mode, PublishMode::Send { from, to, ttl_ms: 0 });
    assert_eq!(&*draft(op).channel_key.as_ref().unwrap().tenant, "acme");
}
