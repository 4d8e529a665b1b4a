//! What tokens say of subscriptions, and what the session makes of it.

use super::*;
use crate::auth::UnsupportedClaim;

/// What the last step asked rooms for a subscription: channel and information for others.
fn subscribes(harness: &SessionHarness) -> Vec<(RoomId, String, Option<String>)> {
    let asked = harness.out.effects().iter().filter_map(|effect| match effect {
        Effect::SendRequest(RoomRequest { room, op: RoomOp::Subscribe(one), .. }) => {
            let info = one.chan_info.as_ref().map(|info| info.bytes.to_vec());
            let info = info.map(|info| String::from_utf8(info).unwrap());
            Some((*room, one.channel_key.channel.to_string(), info))
        }
        _ => None,
    });
    asked.collect()
}

/// Whether the last step made the session a subscriber that is told who comes and goes.
fn wants_join_leave(harness: &SessionHarness) -> Vec<bool> {
    let added = harness.out.effects().iter().filter_map(|effect| match effect {
        Effect::AddSubscriber { wants, .. } => Some(wants.join_leave),
        _ => None,
    });
    added.collect()
}

fn admit(harness: &mut SessionHarness, room: RoomId) {
    harness.answer(room, RoomReply::Subscribed(subscribed(0)));
}

#[test]
fn the_server_subscribes_to_subs_with_their_options() {
    let mut harness = SessionHarness::new();
    harness.connect(&signed(
        r#"{"sub":"ann","channels":["room:1","room:2"],"subs":{"room:1":{"info":{"role":"host"},
        "data":{"hello":1},"override":{"force_push_join_leave":{"value":true},
        "force_recovery":{"value":false}}}}}"#,
    ));
    let asked = subscribes(&harness);
    let names: Vec<_> = asked.iter().map(|(_, name, info)| (&**name, info.as_deref())).collect();
    assert_eq!(names, [("room:1", Some(r#"{"role":"host"}"#)), ("room:2", None)]);
    admit(&mut harness, asked[1].0);
    assert_eq!(wants_join_leave(&harness), [false]);
    admit(&mut harness, asked[0].0);
    assert_eq!(wants_join_leave(&harness), [true]);
    let text = harness.text();
    let first = r#""room:1":{"epoch":"00000007","positioned":true,"data":{"hello":1}}"#;
    let second = r#""room:2":{"recoverable":true,"epoch":"00000007","positioned":true}"#;
    assert!(text.contains(first) && text.contains(second), "{text}");
    // Others see it with what this peer says there, and there alone.
    for (index, (room, ..)) in asked.iter().enumerate() {
        harness.session.activate(*room, SubscriberSlot { channel: index as u32, index: 0 });
    }
    for (channel, want) in [("room:1", Some(&br#"{"role":"host"}"#[..])), ("room:2", None)] {
        harness.command(&format!(r#""publish":{{"channel":"{channel}","data":1}}"#));
        let RoomOp::Publish(publish) = harness.asked().1 else { panic!("{channel}") };
        assert_eq!(publish.chan_info.as_ref().map(|info| &info.bytes[..]), want, "{channel}");
    }
}

#[test]
fn a_fresh_token_has_other_subs() {
    let mut harness = SessionHarness::new();
    harness.connect(&signed(r#"{"sub":"ann","subs":{"room:1":{"info":1}}}"#));
    let (room, ..) = subscribes(&harness).remove(0);
    admit(&mut harness, room);
    harness.session.activate(room, SubscriberSlot { channel: 0, index: 0 });
    let info = |harness: &SessionHarness| {
        let extra = harness.session.peer().channel(room);
        extra.and_then(|extra| extra.chan_info.as_ref()).map(|info| info.bytes.to_vec())
    };
    assert_eq!(info(&harness), Some(b"1".to_vec()));
    let refresh = |harness: &mut SessionHarness, claims: &str| {
        harness.command(&format!(r#""refresh":{{"token":"{}"}}"#, signed(claims)));
    };
    refresh(&mut harness, r#"{"sub":"ann","subs":{"room:1":{"info":2},"room:2":{"data":"hi"}}}"#);
    assert_eq!(info(&harness), Some(b"2".to_vec()));
    let asked = subscribes(&harness);
    assert_eq!(asked.len(), 1, "the other one stays");
    admit(&mut harness, asked[0].0);
    let text = harness.text();
    let push = r#"{"push":{"channel":"room:2","subscribe":{"recoverable":true,"epoch":"00000007","positioned":true,"data":"hi"}}}"#;
    assert_eq!(text, push);
    refresh(&mut harness, r#"{"sub":"ann","channels":["room:1"]}"#);
    assert_eq!(info(&harness), None);
}

#[test]
fn a_subscription_token_tells_and_overrides_too() {
    for (overrides, recoverable, told) in [
        ("{}", false, false),
        (r#"{"force_recovery":{"value":true},"force_push_join_leave":{"value":true}}"#, true, true),
    ] {
        let mut harness = SessionHarness::connected();
        let token = signed(&format!(
            r#"{{"sub":"ann","channel":"room:1","data":{{"n":1}},"override":{overrides}}}"#
        ));
        harness.command(&format!(r#""subscribe":{{"channel":"room:1","token":"{token}"}}"#));
        let room = harness.asked().0;
        admit(&mut harness, room);
        let text = harness.text();
        assert!(text.contains(r#""data":{"n":1}"#), "{text}");
        assert_eq!(text.contains(r#""recoverable":true"#), recoverable, "{text}");
        assert_eq!(wants_join_leave(&harness), [told]);
    }
}

#[test]
fn subs_open_what_channels_would_and_no_more() {
    for (claims, code) in [
        (r#"{"sub":"ann","subs":{"@bob":{}}}"#, 102),
        (r#"{"sub":"ann","subs":{"dm#bob,eve":{}}}"#, 102),
        (r#"{"sub":"ann","subs":{"none:1":{}}}"#, 102),
    ] {
        let mut harness = SessionHarness::new();
        harness.connect(&signed(claims));
        assert!(harness.text().contains(&format!(r#""code":{code}"#)), "{}", harness.text());
    }
    let mut harness = SessionHarness::new();
    harness.options.channels_max = 1;
    harness.connect(&signed(r#"{"sub":"ann","channels":["room:1"],"subs":{"room:2":{}}}"#));
    assert!(harness.text().contains(r#""code":106"#), "{}", harness.text());
}

#[test]
fn claims_that_are_not_supported_are_counted() {
    let seen = |harness: &SessionHarness| {
        harness.out.counts().unsupported.iter().collect::<Vec<UnsupportedClaim>>()
    };
    let presence = r#""override":{"presence":{"value":false}}"#;
    let subs = signed(&format!(r#"{{"sub":"ann","subs":{{"room:1":{{{presence}}}}}}}"#));
    let mut harness = SessionHarness::new();
    harness.connect(&subs);
    assert_eq!(seen(&harness), [UnsupportedClaim::OverridePresence]);
    let mut harness = SessionHarness::connected();
    assert_eq!(seen(&harness), []);
    harness.command(&format!(r#""refresh":{{"token":"{subs}"}}"#));
    assert_eq!(seen(&harness), [UnsupportedClaim::OverridePresence]);
    let of_one = signed(&format!(r#"{{"sub":"ann","channel":"room:2",{presence}}}"#));
    harness.command(&format!(r#""subscribe":{{"channel":"room:2","token":"{of_one}"}}"#));
    assert_eq!(seen(&harness), [UnsupportedClaim::OverridePresence]);
}
