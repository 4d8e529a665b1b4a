//! Groups as a session sees them: who may ask for a change of members, and what is for those who
//! are in.

use super::*;
use crate::base::limits::{MUTE_S_MAX, MUTED_FOR_GOOD_UNIX_MS};
use crate::room::{GroupEntry, MuteRequest, RosterAuthority, RosterPage, RosterRequest};
use crate::wire::chat::{GroupMember, GroupRole, RosterAction};

fn roster_request(op: &RoomOp) -> &RosterRequest {
    match op {
        RoomOp::ChangeRoster(request) => request,
        other => panic!("{other:?}"),
    }
}

/// `harness`, with groups.
fn with_groups(user: &str, encoding: Encoding) -> SessionHarness {
    let mut harness = harness(user, encoding);
    let group = Namespace {
        groups: GroupEntry::Open,
        subscribe: Permission::Token,
        publish: Permission::Subscribers,
        see_history: Permission::Subscribers,
        history_count_max: 10,
        ..open_namespace("group")
    };
    harness.rooms.namespaces.push(group);
    harness
}

#[test]
fn a_change_of_members_names_whom_it_is_about() {
    both(|encoding| {
        let mut harness = with_groups("ann", encoding);
        for (method, data, action, member) in [
            ("chat.join", json!({}), RosterAction::Join, "ann"),
            ("chat.leave", json!({ "member": "bob" }), RosterAction::Leave, "ann"),
            ("chat.invite", json!({ "member": "bob" }), RosterAction::Invite, "bob"),
            ("chat.kick", json!({ "member": "b,o#b" }), RosterAction::Kick, "b,o#b"),
            (
                "chat.set_role",
                json!({ "member": "bob", "role": "admin" }),
                RosterAction::SetRole(GroupRole::Admin),
                "bob",
            ),
        ] {
            let mut data = data;
            data["channel"] = json!("group:1");
            harness.call(method, &data);
            let (room, op) = harness.asked();
            assert_eq!(room, NAMES.room("", "group:1"));
            let asked = roster_request(op);
            assert_eq!((asked.action, &*asked.user), (action, member), "{method}");
            assert_eq!(asked.inbox, NAMES.inbox("", member));
            assert_eq!(asked.publish.info.as_ref().map(|info| &*info.user), Some("ann"));
            assert_eq!(channel(asked.publish.channel_key.as_ref()), Some("group:1"));
            harness.answer(room, RoomReply::Done);
            harness.check_rpc(&json!({}));
            harness.call(method, &data);
            harness.answer(room, RoomReply::Rejected(ErrorCode::PermissionDenied));
            harness.check_denied(method);
        }
    });
}

#[test]
fn what_cannot_be_right_is_named_and_other_channels_are_no_groups() {
    both(|encoding| {
        let mut harness = with_groups("ann", encoding);
        for (method, data, field) in [
            ("chat.join", json!({}), "channel"),
            ("chat.invite", json!({ "channel": "group:1" }), "member"),
            ("chat.invite", json!({ "channel": "group:1", "member": "" }), "member"),
            ("chat.kick", json!({ "channel": "group:1", "member": "a\n" }), "member"),
            ("chat.set_role", json!({ "channel": "group:1", "member": "bob" }), "role"),
            (
                "chat.set_role",
                json!({ "channel": "group:1", "member": "bob", "role": "invited" }),
                "role",
            ),
            ("chat.roster", json!({ "channel": "group:1", "limit": 0 }), "limit"),
        ] {
            harness.call(method, &data);
            harness.check_error(107, &format!("bad request: {field}"));
        }
        for method in ["chat.join", "chat.leave", "chat.roster"] {
            for (other, code, text) in
                [("room:1", 108, "not available"), ("none:1", 102, "unknown channel")]
            {
                harness.call(method, &json!({ "channel": other }));
                harness.check_error(code, text);
            }
        }
        let mut nameless = with_groups("", encoding);
        nameless.call("chat.join", &json!({ "channel": "group:1" }));
        nameless.check_denied("without a name");
    });
}

#[test]
fn who_may_subscribe_may_begin_a_group() {
    both(|encoding| {
        let mut harness = with_groups("ann", encoding);
        let check = |harness: &mut SessionHarness, want| {
            harness.call("chat.join", &json!({ "channel": "group:1" }));
            let (room, op) = harness.asked();
            assert_eq!(roster_request(op).authority, want);
            harness.answer(room, RoomReply::Done);
            harness.check_rpc(&json!({}));
        };
        check(&mut harness, RosterAuthority::Guest);
        harness.grant("group:*", PermissionSet::SUBSCRIBE | PermissionSet::MODERATE);
        check(&mut harness, RosterAuthority::Entrant);
        harness.grant("group:*", PermissionSet::NONE);
        harness.rooms.namespaces.last_mut().unwrap().subscribe = Permission::Users;
        check(&mut harness, RosterAuthority::Entrant);
    });
}

#[test]
fn whoever_is_not_in_a_group_reads_and_says_nothing_whatever_a_token_says() {
    both(|encoding| {
        let mut outside = with_groups("ann", encoding);
        let rights = PermissionSet::PUBLISH | PermissionSet::HISTORY | PermissionSet::PRESENCE;
        outside.grant("group:*", rights);
        outside.rooms.namespaces.last_mut().unwrap().presence = true;
        for (method, data) in [
            ("chat.publish", json!({ "data": 1 })),
            ("chat.read", json!({ "offset": 1 })),
            ("chat.react", json!({ "offset": 1, "value": "a" })),
            ("chat.receipts", json!({})),
            ("chat.members", json!({})),
            ("chat.typing", json!({})),
        ] {
            let mut data = data;
            data["channel"] = json!("group:1");
            outside.call(method, &data);
            outside.check_denied(method);
        }
        outside.options.insecure = true;
        outside.call("chat.publish", &json!({ "channel": "group:1", "data": 1 }));
        outside.check_denied("in insecure mode");
    });
}

#[test]
fn a_member_needs_no_token_to_subscribe_and_speaks_then() {
    both(|encoding| {
        let mut harness = with_groups("ann", encoding);
        harness.say(Request::Subscribe(SubscribeRequest {
            channel: "group:1".into(),
            ..Default::default()
        }));
        let room = harness.asked().0;
        harness.answer(room, RoomReply::Subscribed(subscribed(0)));
        harness.session.activate(room, SubscriberSlot { channel: 3, index: 4 });
        harness.call("chat.publish", &json!({ "channel": "group:1", "data": 1 }));
        assert!(matches!(harness.asked_of("group:1"), RoomOp::Publish(_)));
    });
}

#[test]
fn the_members_of_a_group_are_listed_in_pages() {
    both(|encoding| {
        let mut harness = with_groups("ann", encoding);
        let data = json!({ "channel": "group:1", "after": "a", "limit": 2 });
        harness.call("chat.roster", &data);
        let (room, op) = harness.asked();
        let RoomOp::Roster(page) = op else { panic!("{op:?}") };
        let RosterPage { channel_key, asker, after, count_max } = &**page;
        assert_eq!(channel(channel_key.as_ref()), Some("group:1"));
        assert_eq!((asker.as_deref(), &**after, *count_max), (Some("ann"), "a", 2));
        let one = |user: &str, role| GroupMember {
            user: user.into(),
            role,
            since_unix_ms: 7,
            muted_until_unix_ms: 0,
        };
        let members = vec![one("ann", GroupRole::Owner), one("bob", GroupRole::Invited)];
        harness.answer(room, RoomReply::Roster(members, Some("bob".into())));
        harness.check_rpc(&json!({ "members": [
            { "user": "ann", "role": "owner", "since": 7 },
            { "user": "bob", "role": "invited", "since": 7 },
        ], "next": "bob" }));
    });
}

#[test]
fn a_group_is_muted_for_a_time_for_good_or_not_any_more() {
    both(|encoding| {
        let mut harness = with_groups("ann", encoding);
        let now_unix_ms = harness.now.unix_ms;
        for (mute_s, until_unix_ms) in [
            (json!(3_600), now_unix_ms + 3_600_000),
            (json!(0), 0),
            (json!(MUTE_S_MAX), now_unix_ms + MUTE_S_MAX * 1_000),
            (json!(null), MUTED_FOR_GOOD_UNIX_MS),
        ] {
            let mut data = json!({ "channel": "group:1" });
            if !mute_s.is_null() {
                data["mute_s"] = mute_s;
            }
            harness.call("chat.mute", &data);
            let (room, op) = harness.asked();
            let RoomOp::Mute(request) = op else { panic!("{op:?}") };
            let MuteRequest { channel_key, user, inbox, until_unix_ms: until } = &**request;
            assert_eq!((&*channel_key.channel, &**user, *until), ("group:1", "ann", until_unix_ms));
            assert_eq!(*inbox, NAMES.inbox("", "ann"));
            harness.answer(room, RoomReply::Done);
            harness.check_rpc(&json!({}));
        }
        harness.call("chat.mute", &json!({ "channel": "group:1", "mute_s": MUTE_S_MAX + 1 }));
        harness.check_error(107, "bad request: mute_s");
        harness.call("chat.mute", &json!({ "channel": "room:1" }));
        harness.check_error(108, "not available");
        let mut nameless = with_groups("", encoding);
        nameless.call("chat.mute", &json!({ "channel": "group:1" }));
        nameless.check_denied("without a name");
    });
}
