//! Fresh tokens, and what they take or give back.

use super::*;

/// What the client is told of channels, in its words.
#[track_caller]
fn check_pushes(line: &mut Line, want: &[(&str, &str)]) {
    let pushes = std::mem::take(&mut line.pushes);
    let fits = |push: &String, (channel, op): &(&str, &str)| {
        push.contains(&format!(r#""channel":"{channel}""#)) && push.contains(op)
    };
    let all =
        pushes.len() == want.len() && pushes.iter().zip(want).all(|(one, want)| fits(one, want));
    assert!(all, "{pushes:?} and not {want:?}");
}

#[test]
fn a_refresh_takes_rights_back() {
    let caps = |allow: &str| {
        let cap = format!(r#"{{"channels":["closed:*"],"match":"wildcard","allow":[{allow}]}}"#);
        format!(r#"{{"sub":"ann","caps":[{cap}]}}"#)
    };
    let mut harness = SessionHarness::new();
    harness.rooms.namespaces[1].publish = Permission::Token;
    harness.connect(&signed(&caps(r#""sub","pub""#)));
    let mut line = Line::of(harness);
    line.carry_out();
    line.say(&[r#""subscribe":{"channel":"closed:1"}"#, SUBSCRIBE]);
    let by_token = signed(r#"{"sub":"ann","channel":"closed:2"}"#);
    line.say(&[&format!(r#""subscribe":{{"channel":"closed:2","token":"{by_token}"}}"#)]);
    line.say(&[r#""publish":{"channel":"closed:1","data":1}"#]);
    line.answer_all();
    line.replies.clear();
    line.say(&[&refresh(&caps(r#""sub""#)), r#""publish":{"channel":"closed:1","data":1}"#]);
    assert_eq!(line.codes(), [0, 103], "it may not publish any more");
    check_pushes(&mut line, &[]);
    line.say(&[r#""subscribe":{"channel":"closed:3"}"#]);
    line.replies.clear();
    line.say(&[&refresh(r#"{"sub":"ann"}"#)]);
    // One that is asked for ends as soon as it begins.
    check_pushes(&mut line, &[("closed:1", r#""unsubscribe":{"code":2000"#)]);
    line.answer_all();
    assert_eq!(line.codes(), [0, 103]);
    assert_eq!(line.asked_of("closed:3"), [Subscribe, Unsubscribe]);
    assert_eq!(line.harness.session.channels_count(), 2, "its own token's, and the namespace's");
}

#[test]
fn a_refresh_names_the_channels_that_the_server_subscribes_to() {
    let mut harness = SessionHarness::new();
    harness.rooms.namespaces.push(open_namespace("@"));
    harness.connect(&signed(r#"{"sub":"ann","channels":["room:1","room:2"]}"#));
    let mut line = Line::of(harness);
    line.carry_out();
    line.answer_all();
    line.replies.clear();
    line.say(&[&refresh(r#"{"sub":"ann","channels":["room:2","room:3"]}"#)]);
    line.answer_all();
    assert_eq!(line.codes(), [0]);
    check_pushes(
        &mut line,
        &[("room:1", r#""unsubscribe":{"code":2000"#), ("room:3", r#""subscribe":{"#)],
    );
    assert_eq!(line.asked_of("room:1"), [Subscribe, Unsubscribe]);
    assert_eq!(line.harness.session.channels_count(), 3, "with the inbox");
    // What cannot be had changes nothing.
    for (claims, code) in [
        (r#"{"sub":"ann","channels":["none:1"]}"#, 102),
        (r#"{"sub":"ann","channels":["@bob"]}"#, 103),
        (r#"{"sub":"bob"}"#, 103),
        (r#"{"sub":"ann","tenant":"t"}"#, 103),
        (r#"{"sub":"ann","channel":"room:1"}"#, 103),
    ] {
        line.replies.clear();
        line.say(&[&refresh(claims)]);
        assert_eq!(line.codes(), [code], "{claims}");
        check_pushes(&mut line, &[]);
    }
    line.harness.options.channels_max = 3;
    line.replies.clear();
    line.say(&[&refresh(r#"{"sub":"ann","channels":["room:4","room:5"]}"#)]);
    assert_eq!(line.codes(), [106]);
    assert_eq!(line.harness.session.channels_count(), 3);
}

#[test]
fn what_a_fresh_token_names_stays_whoever_made_it() {
    let mut harness = SessionHarness::new();
    let cap = r#"{"channels":["closed:1","closed:2"],"allow":["sub"]}"#;
    harness.connect(&signed(&format!(r#"{{"sub":"ann","caps":[{cap}]}}"#)));
    let mut line = Line::of(harness);
    line.carry_out();
    line.say(&[r#""subscribe":{"channel":"closed:1"}"#]);
    line.answer_all();
    // One is there, the other one is asked for.
    line.say(&[r#""subscribe":{"channel":"closed:2"}"#]);
    line.replies.clear();
    line.say(&[&refresh(r#"{"sub":"ann","channels":["closed:1","closed:2"]}"#)]);
    line.answer_all();
    assert_eq!(line.codes(), [0, 0]);
    check_pushes(&mut line, &[]);
    assert_eq!(line.asked_of("closed:1"), [Subscribe]);
    assert_eq!(line.asked_of("closed:2"), [Subscribe]);
    line.say(&[&refresh(r#"{"sub":"ann"}"#)]);
    line.pushes.sort_unstable();
    let gone = r#""unsubscribe":{"code":2000"#;
    check_pushes(&mut line, &[("closed:1", gone), ("closed:2", gone)]);
}

#[test]
fn a_refresh_changes_what_others_see() {
    let mut line = Line::new();
    line.say(&[&refresh(r#"{"sub":"ann","info":{"level":2}}"#)]);
    let info = line.harness.info();
    assert_eq!(info.conn_info.as_ref().map(|info| &info.bytes[..]), Some(&br#"{"level":2}"#[..]));
    line.say(&[&refresh(r#"{"sub":"ann"}"#)]);
    assert_eq!(line.harness.info().conn_info, None);
    assert_eq!(line.harness.info().client, info.client, "it is the same connection");
}

#[test]
fn a_subscriptions_fresh_token_takes_rights_back() {
    let mut harness = SessionHarness::new();
    harness.rooms.namespaces[1].publish = Permission::Token;
    harness.connect(&user("ann"));
    let mut line = Line::of(harness);
    line.carry_out();
    let with = |command: &str, channel: &str, rest: &str| {
        let token = signed(&format!(r#"{{"sub":"ann","channel":"closed:1"{rest}}}"#));
        format!(r#""{command}":{{"channel":"{channel}","token":"{token}"}}"#)
    };
    line.say(&[&with("subscribe", "closed:1", r#","allow":["pub"]"#)]);
    line.answer_all();
    line.replies.clear();
    let publish = r#""publish":{"channel":"closed:1","data":1}"#;
    line.say(&[publish, &with("sub_refresh", "closed:1", ""), publish]);
    line.answer_all();
    line.replies.sort_unstable();
    assert_eq!(line.codes(), [0, 0, 103]);
    // An SDK that leaves the channel to its token.
    line.say(&[&with("sub_refresh", "", r#","allow":["pub"]"#), publish]);
    line.answer_all();
    assert_eq!(line.codes()[3..], [0, 0]);
}

/// A cache that gives an old token once, or a clock that is a little behind.
#[test]
fn a_refresh_with_a_token_that_has_ended_leads_to_a_fresh_one() {
    let mut harness = SessionHarness::connected();
    harness.command(&refresh(&format!(r#"{{"sub":"ann","exp":{}}}"#, START_UNIX_S - 1)));
    harness.check_closed(Fault::Expired);
    assert_eq!(Fault::Expired.close_code(), 3005);
    assert!(harness.text().is_empty(), "an error would be the end for SDKs: {}", harness.text());

    let of_channel = |exp: u64| {
        let token = signed(&format!(r#"{{"sub":"ann","channel":"closed:1","exp":{exp}}}"#));
        format!(r#"{{"channel":"closed:1","token":"{token}"}}"#)
    };
    let mut line = Line::new();
    line.say(&[&format!(r#""subscribe":{}"#, of_channel(START_UNIX_S + 9))]);
    line.answer_all();
    line.harness.command(&format!(r#""sub_refresh":{}"#, of_channel(START_UNIX_S - 1)));
    let text = line.harness.text();
    let (push, reply) = text.split_once('\n').expect("a push and the reply");
    assert!(push.contains(r#""unsubscribe":{"code":2501"#), "{push}");
    assert!(reply.contains(r#""code":109"#), "{reply}");
    assert!(!line.harness.out.is_closing());
    assert_eq!(line.harness.session.channels_count(), 0);
}

#[test]
fn a_token_that_is_valid_in_a_moment_is_tried_again() {
    let soon = START_UNIX_S + 30;
    let mut harness = SessionHarness::new();
    harness.connect(&signed(&format!(r#"{{"sub":"ann","nbf":{soon}}}"#)));
    harness.check_refused(ErrorCode::TooManyRequests);
    let mut harness = SessionHarness::connected();
    harness.command(&refresh(&format!(r#"{{"sub":"ann","nbf":{soon}}}"#)));
    harness.check_refused(ErrorCode::TooManyRequests);
    let token = signed(&format!(r#"{{"sub":"ann","channel":"closed:1","nbf":{soon}}}"#));
    harness.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{token}"}}"#));
    harness.check_refused(ErrorCode::TooManyRequests);
    let mut harness = SessionHarness::new();
    harness.connect(&signed(&format!(r#"{{"sub":"ann","nbf":{}}}"#, START_UNIX_S + 90_000)));
    harness.check_closed(Fault::InvalidToken);
}

#[test]
fn tokens_of_the_other_kind_and_in_milliseconds_are_refused() {
    let in_ms = (START_UNIX_S + 60) * 1_000;
    for claims in [
        r#"{"sub":"ann","channel":"room:1"}"#.to_owned(),
        r#"{"sub":"ann","channel":"room:1","client":"c"}"#.to_owned(),
        format!(r#"{{"sub":"ann","exp":{in_ms}}}"#),
    ] {
        let mut harness = SessionHarness::new();
        harness.connect(&signed(&claims));
        harness.check_closed(Fault::InvalidToken);
    }
    for claims in [
        r#"{"sub":"ann"}"#.to_owned(),
        r#"{"sub":"ann","channel":"closed:1","caps":[]}"#.to_owned(),
        format!(r#"{{"sub":"ann","channel":"closed:1","exp":{in_ms}}}"#),
    ] {
        let mut harness = SessionHarness::connected();
        let token = signed(&claims);
        harness.command(&format!(r#""subscribe":{{"channel":"closed:1","token":"{token}"}}"#));
        harness.check_refused(ErrorCode::PermissionDenied);
    }
    let mut harness = SessionHarness::new();
    harness.connect(&signed(r#"{"sub":"ann","exp":9999999999}"#));
    assert!(harness.text().contains(r#""expires":true"#), "it ends in 2106: {}", harness.text());
    assert!(!harness.text().contains(r#""ttl":0"#));
}
