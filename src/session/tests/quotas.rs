//! Whatever a peer sends has a price, and so has what it is sent.

use bytes::Bytes;

use super::*;
use crate::base::limits::UNANSWERED_MAX;
use crate::wire::{Payload, Publication};

impl SessionHarness {
    /// Control frames or crumbs; says how many were served.
    fn frames(&mut self, count: usize) -> usize {
        let mut served = 0;
        for _ in 0..count {
            self.step(|session, cx, out| {
                served += usize::from(session.on_frames(cx, 1, out) == QuotaDecision::Served);
            });
            if self.out.is_closing() {
                break;
            }
        }
        served
    }

    fn is_closed_with(&self, fault: Fault) -> bool {
        matches!(self.out.effects().last(), Some(Effect::Close(found)) if *found == fault)
    }
}

#[test]
fn control_frames_are_commands_to_the_quota() {
    let mut harness = SessionHarness::connected();
    let burst = harness.options.commands_burst as usize;
    assert_eq!(harness.frames(burst), burst);
    assert_eq!(harness.frames(1_000), 0, "no pong for these");
    assert!(harness.is_closed_with(Fault::TooManyRequests));
}

#[test]
fn a_client_that_answers_pings_and_pings_itself_is_never_throttled() {
    let mut harness = SessionHarness::connected();
    for _ in 0..1_000 {
        harness.now = harness.now.plus_ms(1_000);
        assert_eq!(harness.frames(2), 2);
        harness.raw("{}");
        assert!(harness.out.effects().is_empty());
    }
}

#[test]
fn pongs_in_a_message_are_commands_to_the_quota() {
    let mut harness = SessionHarness::connected();
    for _ in 0..2 {
        harness.raw(&"{}\n".repeat(600));
    }
    assert!(harness.is_closed_with(Fault::TooManyRequests));
}

#[test]
fn strangers_have_a_few_frames_and_no_patience() {
    let mut harness = SessionHarness::new();
    assert_eq!(harness.frames(1_000), 16);
    assert!(harness.is_closed_with(Fault::TooManyRequests));
    // What was spent before does not count afterwards.
    let mut harness = SessionHarness::new();
    assert_eq!(harness.frames(16), 16);
    harness.connect(&user("ann"));
    let burst = harness.options.commands_burst as usize;
    assert_eq!(harness.frames(burst), burst);
}

fn long_history(bytes: usize) -> RoomReply {
    let data = Payload { bytes: Bytes::from(format!("\"{}\"", "x".repeat(bytes))), is_json: true };
    let publication = Publication {
        offset: 1,
        data,
        info: None,
        chan_info: None,
        tags: Vec::new(),
        time_unix_ms: 0,
        trace: None,
    };
    RoomReply::History(vec![Arc::new(publication)], Position { offset: 1, epoch: Epoch(1) })
}

#[test]
fn long_answers_are_paid_for_before_there_are_more() {
    let (mut harness, room) = SessionHarness::subscribed_session();
    let mut bytes = 0;
    for _ in 0..10_000 {
        harness.command(r#""history":{"channel":"room:1","limit":100}"#);
        if harness.text().contains(r#""code":111"#) {
            break;
        }
        let id = harness.next_id;
        harness
            .step(|session, cx, out| session.on_answer(cx, room, id, long_history(500_000), out));
        bytes += harness.out.messages().len();
    }
    let burst = harness.options.answer_bytes_burst as usize;
    assert!((burst..burst + burst / 20).contains(&bytes), "{bytes} bytes");
    assert!(harness.text().contains(r#""temporary":true"#), "{}", harness.text());
    // Neither do other ways to long answers lead on, and what is short is served.
    for long in [
        r#""presence":{"channel":"room:1"}"#,
        r#""rpc":{"method":"chat.rooms","data":{}}"#,
        r#""rpc":{"method":"chat.members","data":{"channel":"room:1"}}"#,
        r#""subscribe":{"channel":"room:2","recover":true,"epoch":"a","offset":1}"#,
    ] {
        harness.command(long);
        assert!(harness.text().contains(r#""code":111"#), "{long}: {}", harness.text());
    }
    for short in
        [r#""publish":{"channel":"room:1","data":{}}"#, r#""subscribe":{"channel":"room:2"}"#]
    {
        harness.command(short);
        assert!(matches!(harness.out.effects().first(), Some(Effect::SendRequest(_))), "{short}");
    }
    harness.now = harness.now.plus_ms(1_000);
    harness.command(r#""history":{"channel":"room:1","limit":100}"#);
    assert!(
        matches!(harness.out.effects().first(), Some(Effect::SendRequest(_))),
        "{}",
        harness.text()
    );
}

#[test]
fn a_connection_may_have_so_many_questions_that_are_not_answered() {
    let (mut harness, room) = SessionHarness::subscribed_session();
    harness.options.commands_burst = 10_000;
    let mut asked = 0;
    loop {
        harness.command(r#""presence_stats":{"channel":"room:1"}"#);
        match harness.out.effects().first() {
            Some(Effect::SendRequest(_)) => asked += 1,
            _ => break,
        }
    }
    assert_eq!(asked, UNANSWERED_MAX);
    assert!(harness.text().contains(r#""code":111"#), "{}", harness.text());
    let answer = RoomReply::PresenceStats { clients: 1, users: 1 };
    harness.step(|session, cx, out| session.on_answer(cx, room, 5, answer, out));
    harness.command(r#""presence_stats":{"channel":"room:1"}"#);
    assert!(matches!(harness.out.effects().first(), Some(Effect::SendRequest(_))));
}
