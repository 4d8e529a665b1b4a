//! Users and tokens that are kept out.

use super::*;
use crate::session::ServerAct;

const NAMES: NameKey = NameKey([1, 2]);

/// Of Ann, with this id and from this time after the start.
fn anns(id: &str, issued_s: Option<i64>) -> String {
    let issued_unix_s = issued_s.map(|s| START_UNIX_S.checked_add_signed(s).unwrap());
    token(&NewToken { user: "ann", id, issued_unix_s, ..NewToken::default() })
}

fn of_user(kind: BlockKind) -> BlockKey {
    let ann = NAMES.user_hash("", "ann");
    match kind {
        BlockKind::UserTokens => BlockKey::UserTokens(ann),
        _ => BlockKey::User(ann),
    }
}

fn blocking(key: BlockKey, terms: BlockTerms) -> SessionHarness {
    let mut harness = SessionHarness::new();
    harness.blocks.set(key, Some(terms));
    harness
}

fn terms(until_s: u64, issued_before_s: u64) -> BlockTerms {
    let unix = |s: u64| u32::try_from(START_UNIX_S + s).unwrap();
    BlockTerms {
        until_unix_s: if until_s == 0 { 0 } else { unix(until_s) },
        issued_before_unix_s: unix(issued_before_s),
    }
}

#[track_caller]
fn check_in(harness: &SessionHarness) {
    assert!(harness.text().contains(r#""connect":{"client":""#), "{}", harness.text());
}

#[test]
fn who_is_blocked_is_sent_away_until_the_block_ends() {
    let mut harness = blocking(of_user(BlockKind::User), terms(10, 0));
    harness.now = harness.now.plus_ms(9_999);
    harness.connect(&user("ann"));
    harness.check_closed(Fault::Blocked(BlockKind::User));
    for (name, after_ms) in [("bob", 0), ("ann", 10_000)] {
        let mut harness = blocking(of_user(BlockKind::User), terms(10, 0));
        harness.now = harness.now.plus_ms(after_ms);
        harness.connect(&user(name));
        check_in(&harness);
    }
    // Another tenant's user of the same name is somebody else.
    let mut harness = blocking(of_user(BlockKind::User), terms(0, 0));
    harness.connect(&token(&NewToken { user: "ann", tenant: "acme", ..NewToken::default() }));
    check_in(&harness);
}

#[test]
fn tokens_from_before_a_time_are_refused_and_later_ones_are_not() {
    for (issued_s, is_refused) in
        [(None, true), (Some(-1), true), (Some(0), false), (Some(5), false)]
    {
        let mut harness = blocking(of_user(BlockKind::UserTokens), terms(0, 0));
        harness.connect(&anns("", issued_s));
        match is_refused {
            true => harness.check_closed(Fault::Blocked(BlockKind::UserTokens)),
            false => check_in(&harness),
        }
    }
}

#[test]
fn a_revoked_token_is_refused_and_no_other() {
    let revoked = BlockKey::Token(NAMES.token_hash("", "t1"));
    for (id, is_refused) in [("t1", true), ("t2", false), ("", false)] {
        let mut harness = blocking(revoked, terms(0, 0));
        harness.connect(&anns(id, None));
        match is_refused {
            true => harness.check_closed(Fault::Blocked(BlockKind::Token)),
            false => check_in(&harness),
        }
    }
    // Who writes a number means its digits.
    for (claims, is_refused) in [
        (r#"{"sub":"ann","jti":71}"#, true),
        (r#"{"sub":"ann","jti":"71"}"#, true),
        (r#"{"sub":"ann","jti":72}"#, false),
        (r#"{"sub":"ann","jti":["71"]}"#, false),
        (r#"{"sub":"ann","jti":null}"#, false),
    ] {
        let number = BlockKey::Token(NAMES.token_hash("", "71"));
        let mut harness = blocking(number, terms(0, 0));
        harness.connect(&signed(claims));
        match is_refused {
            true => harness.check_closed(Fault::Blocked(BlockKind::Token)),
            false => check_in(&harness),
        }
    }
}

#[test]
fn a_refresh_shows_a_token_that_counts_from_then_on() {
    let mut harness = SessionHarness::new();
    harness.connect(&anns("t1", Some(0)));
    let refresh = |id: &str| format!(r#""refresh":{{"token":"{}"}}"#, anns(id, Some(9)));
    harness.command(&refresh("t2"));
    let stamp = harness.session.who().unwrap().token;
    assert_eq!(stamp.id, NAMES.token_hash("", "t2"));
    assert_eq!(u64::from(stamp.issued_unix_s), START_UNIX_S + 9);
    harness.blocks.set(BlockKey::Token(NAMES.token_hash("", "t1")), Some(terms(0, 0)));
    harness.command(&refresh("t3"));
    assert!(harness.text().contains(r#""refresh":{"client":""#), "{}", harness.text());
    harness.command(&refresh("t1"));
    harness.check_closed(Fault::Blocked(BlockKind::Token));
}

#[test]
fn a_revoked_token_opens_no_channel() {
    let mut harness = SessionHarness::connected();
    harness.blocks.set(BlockKey::Token(NAMES.token_hash("", "t1")), Some(terms(0, 0)));
    let new = NewToken { user: "ann", channel: Some("closed:1"), id: "t1", ..NewToken::default() };
    harness.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{}"}}"#, token(&new)));
    harness.check_refused(ErrorCode::PermissionDenied);
}

/// Brings Ann into a channel with a token of this id, and from this time after the start.
fn enter(harness: &mut SessionHarness, channel: &str, id: &str, issued_s: i64) -> RoomId {
    let issued_unix_s = START_UNIX_S.checked_add_signed(issued_s);
    let channel_of = Some(channel);
    let new =
        NewToken { user: "ann", channel: channel_of, id, issued_unix_s, ..NewToken::default() };
    harness.command(&format!(r#""subscribe":{{"channel":"{channel}","token":"{}"}}"#, token(&new)));
    harness.asked().0
}

fn admit(harness: &mut SessionHarness, room: RoomId) {
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    let channel = u32::try_from(room.0 % 1_000).unwrap();
    harness.session.activate(room, SubscriberSlot { channel, index: 0 });
}

/// What the client is told when this is blocked, and a pass comes by.
fn told_of(harness: &mut SessionHarness, key: BlockKey, terms: BlockTerms) -> String {
    harness.blocks.set(key, Some(terms));
    harness.step(|session, cx, out| {
        session.on_server_act(cx, ServerAct::EndRevoked, out).unwrap();
    });
    harness.text()
}

fn revoked(id: &str) -> BlockKey {
    BlockKey::Token(NAMES.token_hash("", id))
}

fn end_of(channel: &str) -> String {
    let why = r#"{"code":2000,"reason":"token revoked"}"#;
    format!(r#"{{"push":{{"channel":"{channel}","unsubscribe":{why}}}}}"#)
}

#[test]
fn a_subscription_ends_with_its_token_and_no_other_does() {
    let mut harness = SessionHarness::connected();
    for (channel, id, issued_s) in
        [("closed:1", "t1", 9), ("closed:2", "t2", 4), ("closed:3", "", 9), ("closed:4", "", 4)]
    {
        let room = enter(&mut harness, channel, id, issued_s);
        admit(&mut harness, room);
    }
    harness.command(r#""subscribe":{"channel":"room:1"}"#);
    let open = harness.asked().0;
    admit(&mut harness, open);
    assert_eq!(told_of(&mut harness, revoked("t9"), terms(0, 0)), "");
    assert_eq!(told_of(&mut harness, revoked("t1"), terms(0, 0)), end_of("closed:1"));
    let left =
        harness.out.effects().iter().filter(|effect| {
            matches!(effect, Effect::RemoveSubscriber(..) | Effect::SendRequest(_))
        });
    assert_eq!(left.count(), 2, "it leaves the room, too");
    let told = told_of(&mut harness, of_user(BlockKind::UserTokens), terms(0, 5));
    assert!(told.contains(&end_of("closed:2")) && told.contains(&end_of("closed:4")), "{told}");
    assert!(!told.contains("closed:3") && !told.contains("room:1"), "{told}");
    assert_eq!(harness.session.channels_count(), 2);
    assert_eq!(harness.session.who().unwrap().channel_extras_count, 1);
}

#[test]
fn the_token_that_was_shown_last_counts() {
    let mut harness = SessionHarness::connected();
    let room = enter(&mut harness, "closed:1", "t1", 0);
    admit(&mut harness, room);
    let channel = Some("closed:1");
    let fresh = token(&NewToken { user: "ann", channel, id: "t2", ..NewToken::default() });
    harness.command(&format!(r#""sub_refresh":{{"channel":"closed:1","token":"{fresh}"}}"#));
    assert_eq!(told_of(&mut harness, revoked("t1"), terms(0, 0)), "");
    assert_eq!(told_of(&mut harness, revoked("t2"), terms(0, 0)), end_of("closed:1"));
}

#[test]
fn who_is_being_let_in_with_a_token_that_is_revoked_does_not_come_in() {
    let mut harness = SessionHarness::connected();
    let room = enter(&mut harness, "closed:1", "t1", 0);
    assert_eq!(told_of(&mut harness, revoked("t1"), terms(0, 0)), "");
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    harness.check_refused(ErrorCode::PermissionDenied);
    assert_eq!(harness.session.channels_count(), 0);
}

#[test]
fn clients_do_not_come_back_by_themselves() {
    for (kind, code) in [
        (BlockKind::User, 3503),
        (BlockKind::Address, 3503),
        (BlockKind::UserTokens, 3500),
        (BlockKind::Token, 3500),
    ] {
        assert_eq!(Fault::Blocked(kind).close_code(), code);
        assert_eq!(Fault::Blocked(kind).label(), CloseReason::Backend);
        assert_eq!(Fault::Blocked(kind).blame(), Blame::Nobody);
    }
}
