//! Pings and pongs, cores that are late, and who is given up.

use super::*;

#[test]
fn pings_come_in_their_interval_and_pongs_in_their_time() {
    let mut desk = Desk::new();
    desk.options = Options { ping_interval_ms: 1_000, pong_ms_max: 300, ..Options::default() };
    desk.connect(&user("ann"));
    let pinged = |desk: &Desk| matches!(desk.out.effects()[..], [Effect::Ping]);
    let mut pings = Vec::new();
    for ms in (0..10_000).step_by(10) {
        desk.pass(10);
        if pinged(&desk) {
            pings.push(ms);
            desk.raw("{}");
        }
        assert!(!desk.out.is_closing());
    }
    let gaps: Vec<u64> = pings.windows(2).map(|two| two[1] - two[0]).collect();
    assert!(gaps.iter().all(|gap| (890..=1_010).contains(gap)) && 8 < gaps.len(), "{gaps:?}");
    while !pinged(&desk) {
        desk.pass(10);
    }
    desk.pass(290);
    assert!(desk.out.effects().is_empty());
    desk.pass(10);
    assert!(pinged(&desk), "it is asked again");
    desk.pass(290);
    assert!(desk.out.effects().is_empty());
    desk.pass(10);
    desk.check_closed(Fault::NoPong);
}

/// A client that is pinged for the first time, each 25 s and with 8 s of patience.
fn pinged_desk() -> Desk {
    let mut desk = Desk::new();
    desk.options = Options::default();
    desk.connect(&user("ann"));
    while !matches!(desk.out.effects()[..], [Effect::Ping]) {
        desk.pass(100);
        assert!(!desk.out.is_closing());
    }
    desk
}

#[test]
fn who_talks_is_not_suspected_and_pinged_all_the_same() {
    let mut desk = pinged_desk();
    desk.pass(1_000);
    desk.step(|session, cx, out| _ = session.on_bytes(cx, 3, out));
    for _ in 0..300 {
        desk.pass(100);
        match desk.out.effects()[..] {
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
        let mut desk = pinged_desk();
        let mut again = 0;
        for _ in 0..4 {
            desk.pass_and_judge(8_000, tcp_liveness);
            again += usize::from(matches!(desk.out.effects()[..], [Effect::Ping]));
            if desk.out.is_closing() {
                break;
            }
        }
        match want {
            Some(want) => {
                desk.check_closed(Fault::NoPong);
                assert_eq!(again, want, "{tcp_liveness:?}");
            }
            None => assert!(!desk.out.is_closing(), "{tcp_liveness:?}"),
        }
    }
}

#[test]
fn patience_counts_from_when_the_ping_left_and_grows_with_the_cores_lag() {
    let mut desk = Desk::new();
    desk.options = Options { ping_interval_ms: 30_000, pong_ms_max: 300, ..Options::default() };
    desk.connect(&user("ann"));
    let on_timer = |desk: &mut Desk, ms| {
        desk.now = desk.now.plus_ms(ms);
        desk.step(|session, cx, out| session.on_timer(cx, out));
    };
    let suspected =
        |desk: &Desk| matches!(desk.out.effects()[..], [Effect::Suspect(Suspicion::Silence)]);
    on_timer(&mut desk, 30_000);
    assert!(matches!(desk.out.effects()[..], [Effect::Ping]));
    // The socket takes it late.
    desk.session.on_ping_queued();
    for _ in 0..2 {
        on_timer(&mut desk, 5_000);
        assert!(desk.out.effects().is_empty());
        desk.session.on_sent(desk.now.tick, &desk.options);
    }
    on_timer(&mut desk, 299);
    assert!(desk.out.effects().is_empty());
    desk.load.lag_ms = 400;
    on_timer(&mut desk, 400);
    assert!(desk.out.effects().is_empty());
    on_timer(&mut desk, 1);
    assert!(suspected(&desk));
    // What came in between counts for it, and what is late is not measured again.
    desk.raw("{}");
    assert_eq!(desk.out.counts().observed, [(Histogram::HeartbeatRtt, 700_000)]);
    desk.step(|session, cx, out| {
        assert_eq!(session.judge(cx, TcpLiveness::default(), out), PongVerdict::Alive);
    });
    assert!(desk.out.effects().is_empty());
}

#[test]
fn a_ping_that_does_not_leave_ends_who_does_not_read() {
    let mut desk = Desk::new();
    desk.options = Options::default();
    desk.connect(&user("ann"));
    let mut pings = 0;
    while pings == 0 {
        desk.now = desk.now.plus_ms(100);
        desk.step(|session, cx, out| session.on_timer(cx, out));
        pings = desk.out.effects().len();
    }
    desk.now = desk.now.plus_ms(44_900);
    desk.step(|session, cx, out| session.on_timer(cx, out));
    assert!(desk.out.effects().is_empty());
    desk.now = desk.now.plus_ms(100);
    desk.step(|session, cx, out| session.on_timer(cx, out));
    desk.check_closed(Fault::Slow);
}

#[test]
fn a_late_core_gives_newcomers_twice_their_time_and_no_more() {
    let mut desk = Desk::new();
    desk.load.pace = CorePace::Late;
    let connect_ms_max = desk.options.connect_ms_max;
    for (ms, closes) in [(connect_ms_max, false), (connect_ms_max - 1, false), (1, true)] {
        desk.now = desk.now.plus_ms(ms);
        desk.step(|session, cx, out| {
            session.on_timer(cx, out);
            assert!(matches!(out.effects()[..], [Effect::Suspect(Suspicion::Deadline)]));
            if session.spare(cx) {
                assert_eq!(session.judge(cx, TcpLiveness::default(), out), PongVerdict::Alive);
            }
        });
        assert_eq!(desk.out.is_closing(), closes);
    }
    desk.check_closed(Fault::Stale);
    // What it said and nobody read is no silence.
    let mut desk = Desk::new();
    let unread = TcpLiveness { has_unread: true, ..TcpLiveness::default() };
    desk.pass_and_judge(connect_ms_max, unread);
    assert!(!desk.out.is_closing());
    desk.pass(250);
    desk.check_closed(Fault::Stale);
}

#[test]
fn a_core_that_is_far_behind_refuses_what_is_new_as_temporary_and_counts_no_mistake() {
    let (mut desk, _) = Desk::subscribed_session();
    desk.load.pace = CorePace::FarBehind;
    for _ in 0..2 * desk.options.errors_per_s {
        desk.command(r#""subscribe":{"channel":"room:2"}"#);
        desk.check_refused(ErrorCode::TooManyRequests);
        assert!(!desk.out.is_closing());
    }
    desk.command(r#""publish":{"channel":"room:1","data":1}"#);
    assert!(matches!(desk.asked().1, RoomOp::Publish(..)), "what is live goes on");
    let mut late = Desk::new();
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
    let mut desk = Desk::new();
    desk.options = Options { ping_interval_ms: 1_000, pong_ms_max: 300, ..Options::default() };
    desk.pass(70);
    desk.connect(&user("ann"));
    let auth = Histogram::HandshakeStage(HandshakeStage::Auth);
    assert_eq!(desk.out.counts().observed, [(auth, 70_000)]);
    desk.out.counts_mut().observed.clear();
    while !matches!(desk.out.effects()[..], [Effect::Ping]) {
        desk.pass(10);
    }
    desk.pass(40);
    desk.raw("{}");
    assert_eq!(desk.out.counts().observed, [(Histogram::HeartbeatRtt, 40_000)]);
    desk.out.counts_mut().observed.clear();
    desk.raw("{}");
    assert!(desk.out.counts().observed.is_empty(), "nobody asked");
}
