//! Pings and pongs, cores that are late, and who is given up.

use super::*;

#[test]
fn pings_come_in_their_interval_and_pongs_in_their_time() {
    let mut harness = SessionHarness::new();
    harness.options = Options { ping_interval_ms: 1_000, pong_ms_max: 300, ..Options::default() };
    harness.connect(&user("ann"));
    let pinged = |harness: &SessionHarness| matches!(harness.out.effects()[..], [Effect::Ping]);
    let mut pings = Vec::new();
    for ms in (0..10_000).step_by(10) {
        harness.pass(10);
        if pinged(&harness) {
            pings.push(ms);
            harness.raw("{}");
        }
        assert!(!harness.out.is_closing());
    }
    let gaps: Vec<u64> = pings.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (890..=1_010).contains(gap)) && 8 < gaps.len(), "{gaps:?}");
    while !pinged(&harness) {
        harness.pass(10);
    }
    harness.pass(290);
    assert!(harness.out.effects().is_empty());
    harness.pass(10);
    assert!(pinged(&harness), "it is asked again");
    harness.pass(290);
    assert!(harness.out.effects().is_empty());
    harness.pass(10);
    harness.check_closed(Fault::NoPong);
}

/// A client that is pinged for the first time, each 25 s and with 8 s of patience.
fn pinged_harness() -> SessionHarness {
    let mut harness = SessionHarness::new();
    harness.options = Options::default();
    harness.connect(&user("ann"));
    while !matches!(harness.out.effects()[..], [Effect::Ping]) {
        harness.pass(100);
        assert!(!harness.out.is_closing());
    }
    harness
}

#[test]
fn who_talks_is_not_suspected_and_pinged_all_the_same() {
    let mut harness = pinged_harness();
    harness.pass(1_000);
    harness.step(|session, cx, out| _ = session.on_bytes(cx, 3, out));
    for _ in 0..300 {
        harness.pass(100);
        match harness.out.effects()[..] {
            [] => (),
            [Effect::Ping] => return,
            ref other => panic!("{other:?}"),
        }
    }
    panic!("it is pinged again");
}

#[test]
fn a_missing_pong_is_judged_by_what_the_kernel_knows() {
    let unread = TcpLiveness { has_unread: true, ..TcpLiveness::default() };
    let heard = |ms| TcpLiveness { heard_ms_ago: Some(ms), ..TcpLiveness::default() };
    let acknowledged = |ms| TcpLiveness { acknowledged_ms_ago: Some(ms), ..TcpLiveness::default() };
    // How often a silent client is asked again before it is closed; `None` when it is not.
    for (tcp_liveness, want) in [
        (TcpLiveness::default(), Some(1)),
        (heard(8_001), Some(1)),
        (acknowledged(8_001), Some(1)),
        (acknowledged(7_900), Some(2)),
        (heard(7_900), None),
        (unread, None),
    ] {
        let mut harness = pinged_harness();
        let mut again = 0;
        for _ in 0..4 {
            harness.pass_and_judge(8_000, tcp_liveness);
            again += usize::from(matches!(harness.out.effects()[..], [Effect::Ping]));
            if harness.out.is_closing() {
                break;
            }
        }
        match want {
            Some(want) => {
                harness.check_closed(Fault::NoPong);
                assert_eq!(again, want, "{tcp_liveness:?}");
            }
            None => assert!(!harness.out.is_closing(), "{tcp_liveness:?}"),
        }
    }
}

#[test]
fn patience_counts_from_when_the_ping_left_and_grows_with_the_cores_lag() {
    let mut harness = SessionHarness::new();
    harness.options = Options { ping_interval_ms: 30_000, pong_ms_max: 300, ..Options::default() };
    harness.connect(&user("ann"));
    let on_timer = |harness: &mut SessionHarness, ms| {
        harness.now = harness.now.plus_ms(ms);
        harness.step(|session, cx, out| session.on_timer(cx, out));
    };
    let suspected = |harness: &SessionHarness| {
        matches!(harness.out.effects()[..], [Effect::Suspect(Suspicion::Silence)])
    };
    on_timer(&mut harness, 30_000);
    assert!(matches!(harness.out.effects()[..], [Effect::Ping]));
    // The socket takes it late.
    harness.session.on_ping_queued();
    for _ in 0..2 {
        on_timer(&mut harness, 5_000);
        assert!(harness.out.effects().is_empty());
        harness.session.on_sent(harness.now.tick, &harness.options);
    }
    on_timer(&mut harness, 299);
    assert!(harness.out.effects().is_empty());
    harness.load.lag_ms = 400;
    on_timer(&mut harness, 400);
    assert!(harness.out.effects().is_empty());
    on_timer(&mut harness, 1);
    assert!(suspected(&harness));
    // What came in between counts for it, and what is late is not measured again.
    harness.raw("{}");
    assert_eq!(harness.out.counts().observed, [(Histogram::HeartbeatRtt, 700_000)]);
    harness.step(|session, cx, out| {
        assert_eq!(session.judge(cx, TcpLiveness::default(), out), PongResult::Alive);
    });
    assert!(harness.out.effects().is_empty());
}

#[test]
fn a_ping_that_does_not_leave_ends_who_does_not_read() {
    let mut harness = SessionHarness::new();
    harness.options = Options::default();
    harness.connect(&user("ann"));
    let mut pings = 0;
    while pings == 0 {
        harness.now = harness.now.plus_ms(100);
        harness.step(|session, cx, out| session.on_timer(cx, out));
        pings = harness.out.effects().len();
    }
    harness.now = harness.now.plus_ms(44_900);
    harness.step(|session, cx, out| session.on_timer(cx, out));
    assert!(harness.out.effects().is_empty());
    harness.now = harness.now.plus_ms(100);
    harness.step(|session, cx, out| session.on_timer(cx, out));
    harness.check_closed(Fault::Slow);
}

#[test]
fn a_late_core_gives_newcomers_twice_their_time_and_no_more() {
    let mut harness = SessionHarness::new();
    harness.load.pace = CorePace::Late;
    let connect_ms_max = harness.options.connect_ms_max;
    for (ms, closes) in [(connect_ms_max, false), (connect_ms_max - 1, false), (1, true)] {
        harness.now = harness.now.plus_ms(ms);
        harness.step(|session, cx, out| {
            session.on_timer(cx, out);
            assert!(matches!(out.effects()[..], [Effect::Suspect(Suspicion::Deadline)]));
            if session.spare(cx) {
                assert_eq!(session.judge(cx, TcpLiveness::default(), out), PongResult::Alive);
            }
        });
        assert_eq!(harness.out.is_closing(), closes);
    }
    harness.check_closed(Fault::Stale);
    // What it said and nobody read is no silence.
    let mut harness = SessionHarness::new();
    let unread = TcpLiveness { has_unread: true, ..TcpLiveness::default() };
    harness.pass_and_judge(connect_ms_max, unread);
    assert!(!harness.out.is_closing());
    harness.pass(250);
    harness.check_closed(Fault::Stale);
}

/// A core that stood still may send the response to an upgrade long after it made it.
#[test]
fn who_was_not_told_of_the_upgrade_is_not_silent() {
    let mut harness = SessionHarness::new();
    let connect_ms_max = harness.options.connect_ms_max;
    harness.step(|session, cx, _| *session = Session::open(cx, Agent::None, None));
    harness.pass(5 * connect_ms_max);
    assert!(!harness.out.is_closing(), "the response waits still");
    harness.pass(connect_ms_max - 1);
    harness.session.on_sent(harness.now.tick, &harness.options);
    harness.pass(connect_ms_max - 1);
    assert!(!harness.out.is_closing());
    // What it is sent later gives it no more time.
    harness.session.on_sent(harness.now.tick, &harness.options);
    harness.pass(1);
    harness.check_closed(Fault::Stale);
    // Nor does it have for ever who does not take the response.
    let mut harness = SessionHarness::new();
    harness.step(|session, cx, _| *session = Session::open(cx, Agent::None, None));
    harness.pass(connect_ms_max);
    assert!(!harness.out.is_closing());
    harness.pass(connect_ms_max);
    harness.check_closed(Fault::Stale);
}

#[test]
fn a_core_that_is_far_behind_refuses_what_is_new_as_temporary_and_counts_no_mistake() {
    let (mut harness, _) = SessionHarness::subscribed_session();
    harness.load.pace = CorePace::FarBehind;
    for _ in 0..2 * harness.options.errors_per_s {
        harness.command(r#""subscribe":{"channel":"room:2"}"#);
        harness.check_refused(ErrorCode::TooManyRequests);
        assert!(!harness.out.is_closing());
    }
    harness.command(r#""publish":{"channel":"room:1","data":1}"#);
    assert!(matches!(harness.asked().1, RoomOp::Publish(..)), "what is live goes on");
    let mut late = SessionHarness::new();
    late.load.pace = CorePace::FarBehind;
    late.connect(&user("ann"));
    late.check_refused(ErrorCode::TooManyRequests);
    assert!(!late.out.is_closing());
    late.load.pace = CorePace::Late;
    late.connect(&user("ann"));
    assert!(late.text().contains(r#""connect":{"client":""#), "{}", late.text());
}

#[test]
fn waits_are_measured_where_they_end() {
    let mut harness = SessionHarness::new();
    harness.options = Options { ping_interval_ms: 1_000, pong_ms_max: 300, ..Options::default() };
    harness.pass(70);
    harness.connect(&user("ann"));
    let auth = Histogram::HandshakeStage(HandshakeStage::Auth);
    assert_eq!(harness.out.counts().observed, [(auth, 70_000)]);
    harness.out.counts_mut().observed.clear();
    while !matches!(harness.out.effects()[..], [Effect::Ping]) {
        harness.pass(10);
    }
    harness.pass(40);
    harness.raw("{}");
    assert_eq!(harness.out.counts().observed, [(Histogram::HeartbeatRtt, 40_000)]);
    harness.out.counts_mut().observed.clear();
    harness.raw("{}");
    assert!(harness.out.counts().observed.is_empty(), "nobody asked");
}
