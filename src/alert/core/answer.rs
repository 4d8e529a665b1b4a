//! Reads the answers of robots. WeCom and DingTalk answer every request with 200, and put the
//! result into `errcode`.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use crate::alert::options::Messenger;
use crate::outbound::{BodyEnd, ExchangeAnswer};

/// The outcome of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// It was delivered.
    Delivered,
    /// It was not delivered: the rate limit was exceeded. The time to wait, in ms; 0 when the robot
    /// did not say.
    TooOften(u64),
    /// It was not delivered: it is too long. The error code.
    TooLong(i64),
    /// It was not delivered, and no other message would be: the robot is gone, or rejects our
    /// token, signature, keyword or address. The error code.
    Stranger(i64),
    /// It was not delivered because of its content, or for an unknown reason: the same message
    /// would be refused again. The error code.
    Refused(i64),
    /// It was not delivered for a reason that may be temporary. The error code.
    Busy(i64),
    /// It was not sent: there is no connection.
    Unreachable,
    /// It may have been delivered: the connection ended before the answer.
    Unconfirmed,
}

impl SendOutcome {
    /// A sentence for the log and for `alert-bridge test`. It contains nothing of the robot's
    /// answer but a number.
    pub fn words(&self) -> String {
        match self {
            SendOutcome::Delivered => "sent".to_owned(),
            SendOutcome::TooOften(_) => "it was asked too often, and rests".to_owned(),
            SendOutcome::TooLong(code) => format!("the message is too long for it ({code})"),
            SendOutcome::Stranger(code) => format!(
                "it does not accept us ({code}): look at its token, signature secret, keyword and \
                 list of addresses"
            ),
            SendOutcome::Refused(code) => format!("it refused the message ({code})"),
            SendOutcome::Busy(code) => format!("it cannot at the moment ({code})"),
            SendOutcome::Unreachable => "it cannot be reached".to_owned(),
            SendOutcome::Unconfirmed => "the connection ended before it answered".to_owned(),
        }
    }
}

impl fmt::Display for SendOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

#[derive(Deserialize)]
struct Body {
    errcode: Value,
}

/// The longest pause that a robot may ask for, in ms: a wrong answer must not silence a chat for a
/// day.
pub const RETRY_AFTER_MS_MAX: u64 = 3_600_000;

/// Reads an answer.
///
/// A code of 400 is about one message, and so is what nobody knows: whether the robot
/// refuses everything is found out by a message that has nothing in it.
pub fn read(channel: Messenger, answer: &ExchangeAnswer) -> SendOutcome {
    let (status, body) = (answer.status, &answer.body[..]);
    let code = i64::from(status);
    match status {
        200..=299 => {}
        408 | 425 | 500..=599 => return SendOutcome::Busy(code),
        413 => return SendOutcome::TooLong(code),
        429 => {
            let wait_ms = answer.retry_after_ms.unwrap_or(0);
            return SendOutcome::TooOften(wait_ms.min(RETRY_AFTER_MS_MAX));
        }
        400 if channel == Messenger::Slack && is_about_the_hook(body) => {
            return SendOutcome::Stranger(code);
        }
        // Redirects are not followed: the robot has moved.
        300..=399 | 401..=403 | 404 | 405 | 407 | 410 => return SendOutcome::Stranger(code),
        _ => return SendOutcome::Refused(code),
    }
    match channel {
        // A login page, or a page of a proxy. No robot answers with HTML.
        Messenger::Slack | Messenger::Webhook if is_page(body) => SendOutcome::Busy(code),
        Messenger::Slack if says_no(body) => SendOutcome::Refused(code),
        Messenger::Slack | Messenger::Webhook => SendOutcome::Delivered,
        Messenger::Wecom => of_code(answer, wecom),
        Messenger::Dingtalk => of_code(answer, dingtalk),
    }
}

fn is_page(body: &[u8]) -> bool {
    let body = without_mark(body);
    let begins = |word: &str| {
        body.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    begins("<!doctype html") || begins("<html")
}

/// A body from its first character on: some put a byte order mark before it, or white space.
fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start()
}

/// Servers that are compatible with Slack report some refusals with 200 and JSON.
fn says_no(body: &[u8]) -> bool {
    let Ok(Value::Object(said)) = serde_json::from_slice::<Value>(body) else { return false };
    ["ok", "success"].iter().any(|name| said.get(*name) == Some(&Value::Bool(false)))
}

/// Slack reports some errors of a webhook with 400.
fn is_about_the_hook(body: &[u8]) -> bool {
    const WORDS: [&[u8]; 6] = [
        b"no_team",
        b"team_disabled",
        b"no_service",
        b"no_active_hooks",
        b"invalid_token",
        b"channel_not_found",
    ];
    WORDS.contains(&body.trim_ascii())
}

fn of_code(answer: &ExchangeAnswer, meaning: fn(i64) -> SendOutcome) -> SendOutcome {
    match (errcode(&answer.body), answer.end) {
        (Some(code), _) => meaning(code),
        // The answer ended before its result.
        (None, BodyEnd::Cut) => SendOutcome::Unconfirmed,
        // A proxy answered in the robot's place.
        (None, BodyEnd::Whole) => SendOutcome::Busy(0),
    }
}

/// The code, as a number or a text. An answer that is cut, or has bytes that no text has, is
/// still one: who sends a message again that has arrived tells it twice.
fn errcode(body: &[u8]) -> Option<i64> {
    const NAME: &[u8] = b"\"errcode\"";
    if let Ok(Body { errcode }) = serde_json::from_slice::<Body>(body) {
        return match errcode {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
    }
    let body = without_mark(body);
    let at = body.starts_with(b"{").then(|| body.windows(NAME.len()).position(|w| w == NAME))??;
    let rest = body[at + NAME.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    let end = rest.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'-')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

fn wecom(code: i64) -> SendOutcome {
    match code {
        0 => SendOutcome::Delivered,
        45009 | 45033 | 45047 => SendOutcome::TooOften(0),
        40058 | 45001..=45004 => SendOutcome::TooLong(code),
        // The key, its expiry, the address list, and a robot that was switched off (93004)
        // or taken out of its group (93008).
        40001 | 40013 | 40014 | 41001 | 42001 | 48002 | 48004 | 60020 | 93000..=93999 => {
            SendOutcome::Stranger(code)
        }
        -1 | 6000 | 50001 => SendOutcome::Busy(code),
        _ => SendOutcome::Refused(code),
    }
}

fn dingtalk(code: i64) -> SendOutcome {
    match code {
        0 => SendOutcome::Delivered,
        130101 | 410100 | 90002 | 90018 => SendOutcome::TooOften(0),
        460101 => SendOutcome::TooLong(code),
        // The token, a group that was dissolved (400013), a robot that was switched off
        // (400102) or removed (400106), and the security setting (310000).
        88 | 40014 | 300001 | 300005 | 310000 | 400013 | 400101 | 400102 | 400106 => {
            SendOutcome::Stranger(code)
        }
        -1 | 500001 => SendOutcome::Busy(code),
        // 430101 to 430104 are about a link, a text or a picture in this message.
        _ => SendOutcome::Refused(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &[u8]) -> ExchangeAnswer {
        let body = bytes::Bytes::copy_from_slice(body);
        ExchangeAnswer { status, retry_after_ms: None, body, end: BodyEnd::Whole }
    }

    #[test]
    fn two_hundred_is_no_success_by_itself() {
        #[track_caller]
        fn check(channel: Messenger, status: u16, body: &str, want: SendOutcome) {
            assert_eq!(read(channel, &said(status, body.as_bytes())), want);
        }
        use Messenger::{Dingtalk, Slack, Webhook, Wecom};
        check(Wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#, SendOutcome::Delivered);
        check(Wecom, 200, r#"{"errcode":45009}"#, SendOutcome::TooOften(0));
        check(Wecom, 200, r#"{"errcode":40058}"#, SendOutcome::TooLong(40058));
        check(Wecom, 200, r#"{"errcode":93000}"#, SendOutcome::Stranger(93000));
        check(Wecom, 200, r#"{"errcode":12345}"#, SendOutcome::Refused(12345));
        check(Wecom, 200, "<html>", SendOutcome::Busy(0));
        check(Wecom, 200, "", SendOutcome::Busy(0));
        check(Dingtalk, 200, r#"{"errcode":0}"#, SendOutcome::Delivered);
        check(Dingtalk, 200, r#"{"errcode":130101}"#, SendOutcome::TooOften(0));
        check(Dingtalk, 200, r#"{"errcode":460101}"#, SendOutcome::TooLong(460101));
        check(Dingtalk, 200, r#"{"errcode":310000}"#, SendOutcome::Stranger(310000));
        check(Dingtalk, 200, r#"{"errcode":300001}"#, SendOutcome::Stranger(300001));
        check(Slack, 200, "ok", SendOutcome::Delivered);
        check(Slack, 429, "", SendOutcome::TooOften(0));
        check(Slack, 404, "no_service", SendOutcome::Stranger(404));
        check(Webhook, 204, "", SendOutcome::Delivered);
        check(Webhook, 302, "", SendOutcome::Stranger(302));
        check(Webhook, 502, "", SendOutcome::Busy(502));
    }

    #[test]
    fn a_message_a_robot_a_rate_and_an_outage_are_told_apart() {
        #[track_caller]
        fn check(channel: Messenger, status: u16, body: &str, want: SendOutcome) {
            assert_eq!(read(channel, &said(status, body.as_bytes())), want);
        }
        use Messenger::{Dingtalk, Slack, Webhook, Wecom};
        for status in [400, 406, 409, 415, 418, 422, 451] {
            check(Webhook, status, "", SendOutcome::Refused(i64::from(status)));
        }
        for status in [401, 402, 403, 404, 405, 407, 410] {
            check(Webhook, status, "", SendOutcome::Stranger(i64::from(status)));
        }
        for status in [408, 425, 500, 501, 503, 599] {
            check(Webhook, status, "", SendOutcome::Busy(i64::from(status)));
        }
        check(Webhook, 413, "", SendOutcome::TooLong(413));
        check(Slack, 400, "invalid_payload", SendOutcome::Refused(400));
        check(Slack, 400, "no_text", SendOutcome::Refused(400));
        check(Slack, 400, "no_service\n", SendOutcome::Stranger(400));
        check(Slack, 403, "action_prohibited", SendOutcome::Stranger(403));
        check(Slack, 410, "channel_is_archived", SendOutcome::Stranger(410));
        for code in [40008, 40035, 44004, 47001, 81013] {
            check(Wecom, 200, &format!("{{\"errcode\":{code}}}"), SendOutcome::Refused(code));
        }
        for code in [40014, 42001, 93000, 93004, 93008] {
            check(Wecom, 200, &format!("{{\"errcode\":{code}}}"), SendOutcome::Stranger(code));
        }
        for code in [40035, 400105, 430101, 430102, 430103, 430104, 999_999] {
            check(Dingtalk, 200, &format!("{{\"errcode\":{code}}}"), SendOutcome::Refused(code));
        }
        for code in [400013, 400101, 400102, 400106, 310000] {
            check(Dingtalk, 200, &format!("{{\"errcode\":{code}}}"), SendOutcome::Stranger(code));
        }
    }

    #[test]
    fn a_robot_that_says_how_long_is_left_alone_for_so_long() {
        let wait = |retry_after_ms| {
            read(Messenger::Slack, &ExchangeAnswer { retry_after_ms, ..said(429, b"") })
        };
        assert_eq!(wait(None), SendOutcome::TooOften(0));
        assert_eq!(wait(Some(30_000)), SendOutcome::TooOften(30_000));
        assert_eq!(wait(Some(u64::MAX)), SendOutcome::TooOften(RETRY_AFTER_MS_MAX));
    }

    #[test]
    fn an_odd_answer_that_says_yes_is_no_reason_to_tell_it_twice() {
        let read_cut = |channel, body: &[u8]| {
            read(channel, &ExchangeAnswer { end: BodyEnd::Cut, ..said(200, body) })
        };
        for body in [
            &br#"{"errcode":"0","errmsg":"ok"}"#[..],
            b"\xef\xbb\xbf{\"errcode\": 0}",
            b"{\"errmsg\":\"\xb3\xc9\\\xb9\xa6\",\"errcode\":0}",
            b"{\"errcode\":0,\"errcode\":0}",
            b"{\"errcode\":0,\"errmsg\":\"ok\"}\n<!-- proxied -->",
        ] {
            let answer = read(Messenger::Wecom, &said(200, body));
            assert_eq!(answer, SendOutcome::Delivered, "{}", String::from_utf8_lossy(body));
        }
        assert_eq!(read_cut(Messenger::Dingtalk, b"{\"errcode\":0,\"errm"), SendOutcome::Delivered);
        assert_eq!(read_cut(Messenger::Dingtalk, b"{\"errcode\":13010"), SendOutcome::Unconfirmed);
        assert_eq!(read_cut(Messenger::Wecom, b""), SendOutcome::Unconfirmed);
        assert_eq!(read_cut(Messenger::Slack, b"o"), SendOutcome::Delivered);
        assert_eq!(read_cut(Messenger::Webhook, b""), SendOutcome::Delivered);
        for body in [&b"{\"errcode\":null}"[..], b"{\"errcode\":{}}", b"errcode:0", b"[]", b"\xff"]
        {
            assert_eq!(read(Messenger::Wecom, &said(200, body)), SendOutcome::Busy(0));
        }
    }

    #[test]
    fn a_page_for_people_in_a_robots_place_is_no_delivery() {
        for channel in [Messenger::Slack, Messenger::Webhook] {
            for body in [&b"<!DOCTYPE html><title>Log in</title>"[..], b"\n <HTML lang=en>"] {
                assert_eq!(read(channel, &said(200, body)), SendOutcome::Busy(200));
            }
            assert_eq!(read(channel, &said(200, b"<ok/>")), SendOutcome::Delivered);
        }
        for body in [&b"{\"ok\":false,\"error\":\"x\"}"[..], b"{\"success\":false}"] {
            assert_eq!(read(Messenger::Slack, &said(200, body)), SendOutcome::Refused(200));
        }
        assert_eq!(
            read(Messenger::Slack, &said(200, b"{\"success\":true}")),
            SendOutcome::Delivered
        );
    }
}
