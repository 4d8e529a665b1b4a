//! Channels that list their users, and personal channels that do.

use super::*;
use crate::room::PersonalChannel;

fn listing(subscribe: Permission) -> SessionHarness {
    let mut harness = SessionHarness::new();
    let rules = &mut harness.rooms.namespaces[0];
    (rules.user_lists, rules.subscribe) = (true, subscribe);
    harness
}

/// Whether a user with this token comes into a channel, as far as the session says.
#[track_caller]
fn check(mut harness: SessionHarness, claims: &str, channel: &str, is_let_in: bool) {
    harness.connect(&signed(claims));
    harness.command(&format!(r#""subscribe":{{"channel":"{channel}"}}"#));
    let denied = harness.text().contains(r#""code":103"#);
    assert_eq!(denied, !is_let_in, "{claims} in {channel}: {}", harness.text());
    let is_asked = harness
        .out
        .effects()
        .iter()
        .any(|effect| matches!(effect, Effect::SendRequest(ask) if matches!(ask.op, RoomOp::Subscribe(_))));
    assert_eq!(is_asked, is_let_in, "{claims} in {channel}");
}

#[test]
fn those_on_the_list_alone_come_in() {
    let ann = r#"{"sub":"ann"}"#;
    let all = r#"{"sub":"eve","caps":[{"channels":["*"],"match":"wildcard","allow":["sub","pub","hst"]}]}"#;
    for subscribe in [Permission::Token, Permission::Users, Permission::Anyone] {
        check(listing(subscribe), ann, "room:1#ann,bob", true);
        check(listing(subscribe), ann, "room:1#bob", false);
        check(listing(subscribe), all, "room:1#ann,bob", false);
        check(listing(subscribe), r#"{"sub":""}"#, "room:1#", false);
    }
    check(listing(Permission::Nobody), ann, "room:1#ann", false);
    check(listing(Permission::Token), ann, "room:1", false);
    check(listing(Permission::Users), ann, "room:1", true);
}

#[test]
fn whoever_is_not_on_the_list_can_do_nothing_there() {
    let all = r#"{"sub":"eve","caps":[{"channels":["*"],"match":"wildcard","allow":["sub","pub","prs","hst","mod"]}]}"#;
    for command in [
        r#""publish":{"channel":"room:1#ann","data":1}"#,
        r#""history":{"channel":"room:1#ann"}"#,
        r#""presence":{"channel":"room:1#ann"}"#,
        r#""rpc":{"method":"chat.retract","data":{"channel":"room:1#ann","offset":1}}"#,
    ] {
        let mut harness = listing(Permission::Users);
        harness.connect(&signed(all));
        harness.command(command);
        assert!(harness.text().contains(r#""code":103"#), "{command}: {}", harness.text());
    }
}

#[test]
fn no_token_makes_the_server_subscribe_somebody_else() {
    let mut harness = listing(Permission::Users);
    harness.connect(&signed(r#"{"sub":"eve","channels":["room:1#ann"]}"#));
    assert!(harness.text().contains(r#""code":103"#), "{}", harness.text());
}

#[test]
fn the_server_subscribes_a_user_to_a_personal_channel() {
    let mut harness = SessionHarness::new();
    harness.rooms.namespaces[0].personal_channel = PersonalChannel::Listed;
    harness.connect(&user("ann"));
    let (room, op) = harness.asked();
    let RoomOp::Subscribe(subscribe) = op else { panic!("{op:?}") };
    assert_eq!(&*subscribe.channel_key.channel, "room:#ann");
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    assert!(harness.text().contains(r##""subs":{"room:#ann":{"##), "{}", harness.text());
    // Nobody else comes in, and who has no name has none.
    let mut harness = SessionHarness::new();
    harness.rooms.namespaces[0].personal_channel = PersonalChannel::Listed;
    harness.options.anonymous = true;
    harness.connect("");
    assert!(harness.text().contains(r#""connect":{"client""#), "{}", harness.text());
}
