//! Tokens that end, and what is refreshed.

use super::*;

#[test]
fn a_token_that_ends_is_refreshed_or_ends_the_connection() {
    let ends = |in_s| NewToken {
        user: "ann",
        expires_at_unix_s: Some(START_UNIX_S + in_s),
        ..NewToken::default()
    };
    let mut harness = SessionHarness::new();
    harness.connect(&token(&ends(10)));
    assert!(harness.text().contains(r#""expires":true,"ttl":10"#), "{}", harness.text());
    harness.pass(30_000);
    harness.command(&format!(r#""refresh":{{"token":"{}"}}"#, user("bob")));
    harness.check_refused(ErrorCode::PermissionDenied);
    harness.command(&format!(r#""refresh":{{"token":"{}"}}"#, token(&ends(100))));
    assert!(harness.text().contains(r#""refresh":{"client":""#), "{}", harness.text());
    harness.pass(70_000 + harness.options.expiry_grace_ms - 1_000);
    assert!(harness.out.effects().is_empty());
    harness.pass(1_000);
    harness.check_closed(Fault::Expired);
}

#[test]
fn the_grace_of_a_token_begins_at_its_end_whenever_one_looks() {
    let expires_at_unix_s = Some(START_UNIX_S + 10);
    let ends = NewToken { user: "ann", expires_at_unix_s, ..NewToken::default() };
    let mut harness = SessionHarness::new();
    harness.connect(&token(&ends));
    let over = harness.now.tick.plus_ms(10_000 + harness.options.expiry_grace_ms);
    for _ in 0..2 {
        let mut next = MonotonicMs(0);
        harness.step(|session, cx, _| next = session.next_timer(cx));
        assert_eq!(next, over);
        harness.pass(15_000);
    }
}

#[test]
fn who_insists_on_a_token_that_has_ended_is_closed() {
    let expires_at_unix_s = Some(START_UNIX_S - 1);
    let ended = token(&NewToken { user: "ann", expires_at_unix_s, ..NewToken::default() });
    let mut harness = SessionHarness::new();
    for _ in 0..harness.options.errors_per_s {
        harness.connect(&ended);
        harness.check_refused(ErrorCode::TokenExpired);
    }
    harness.connect(&ended);
    harness.check_closed(Fault::TooManyErrors);
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
    let mut harness = SessionHarness::connected();
    harness.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{}"}}"#, ends(10)));
    let room = harness.asked().0;
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
    assert!(harness.text().contains(r#""ttl":10"#), "{}", harness.text());
    harness.session.activate(room, SubscriberSlot { channel: 0, index: 0 });
    harness.command(&format!(r#""sub_refresh":{{"channel":"closed:1","token":"{}"}}"#, ends(50)));
    assert!(harness.text().contains(r#""sub_refresh":{"#), "{}", harness.text());
    harness.pass(49_000 + harness.options.expiry_grace_ms);
    assert!(harness.text().is_empty());
    harness.pass(1_000);
    assert!(harness.text().contains(r#""unsubscribe":{"code":2501"#), "{}", harness.text());
    assert!(matches!(harness.asked().1, RoomOp::Unsubscribe(_)));
    harness.pass(1_000);
    assert!(harness.text().is_empty() && harness.out.effects().is_empty());
}
