//! Tokens that end, and what is refreshed.

use super::*;

#[test]
fn a_token_that_ends_is_refreshed_or_ends_the_connection() {
    let ends = |in_s| NewToken {
        user: "ann",
        expires_at_unix_s: Some(START_UNIX_S + in_s),
        ..NewToken::default()
    };
    let mut desk = Desk::new();
    desk.connect(&token(&ends(10)));
    assert!(desk.text().contains(r#""expires":true,"ttl":10"#), "{}", desk.text());
    desk.pass(30_000);
    desk.command(&format!(r#""refresh":{{"token":"{}"}}"#, user("bob")));
    desk.check_refused(ErrorCode::PermissionDenied);
    desk.command(&format!(r#""refresh":{{"token":"{}"}}"#, token(&ends(100))));
    assert!(desk.text().contains(r#""refresh":{"client":""#), "{}", desk.text());
    desk.pass(70_000 + desk.options.expiry_grace_ms - 1_000);
    assert!(desk.out.effects().is_empty());
    desk.pass(1_000);
    desk.check_closed(Fault::Expired);
}

#[test]
fn the_grace_of_a_token_begins_at_its_end_whenever_one_looks() {
    let expires_at_unix_s = Some(START_UNIX_S + 10);
    let ends = NewToken { user: "ann", expires_at_unix_s, ..NewToken::default() };
    let mut desk = Desk::new();
    desk.connect(&token(&ends));
    let over = desk.now.tick.plus_ms(10_000 + desk.options.expiry_grace_ms);
    for _ in 0..2 {
        let mut next = MonotonicMs(0);
        desk.step(|session, cx, _| next = session.next_timer(cx));
        assert_eq!(next, over);
        desk.pass(15_000);
    }
}

#[test]
fn who_insists_on_a_token_that_has_ended_is_closed() {
    let expires_at_unix_s = Some(START_UNIX_S - 1);
    let ended = token(&NewToken { user: "ann", expires_at_unix_s, ..NewToken::default() });
    let mut desk = Desk::new();
    for _ in 0..desk.options.errors_per_s {
        desk.connect(&ended);
        desk.check_refused(ErrorCode::TokenExpired);
    }
    desk.connect(&ended);
    desk.check_closed(Fault::TooManyErrors);
}

#[test]
fn a_subscription_that_ends_is_refreshed_or_ends_alone() {
    let ends = |in_s| {
        token(&NewToken {
            user: "ann",
            channel: Some("closed:1"),
            expires_at_unix_s: Some(START_UNIX_S + in_s),
            ..NewToken::default()
        })
    };
    let mut desk = Desk::connected();
    desk.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{}"}}"#, ends(10)));
    let room = desk.asked().0;
    desk.answer(room, RoomReply::Subscribed(subscribed(0)));
    assert!(desk.text().contains(r#""ttl":10"#), "{}", desk.text());
    desk.session.activate(room, SubscriberSlot { channel: 0, index: 0 });
    desk.command(&format!(r#""sub_refresh":{{"channel":"closed:1","token":"{}"}}"#, ends(50)));
    assert!(desk.text().contains(r#""sub_refresh":{"#), "{}", desk.text());
    desk.pass(49_000 + desk.options.expiry_grace_ms);
    assert!(desk.text().is_empty());
    desk.pass(1_000);
    assert!(desk.text().contains(r#""unsubscribe":{"code":2501"#), "{}", desk.text());
    assert!(matches!(desk.asked().1, RoomOp::Unsubscribe(_)));
    desk.pass(1_000);
    assert!(desk.text().is_empty() && desk.out.effects().is_empty());
}
