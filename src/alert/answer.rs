//! What a robot's answer means. WeCom and DingTalk say 200 whatever happens, and the
//! truth in `errcode`.

use std::fmt;

use serde::Deserialize;

use super::options::Channel;

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stands in the chat.
    Delivered,
    /// It does not: the robot was asked too often.
    TooOften,
    /// It does not: it is too long (the code).
    TooLong(i64),
    /// It does not: the robot does not know us: token, signature, keyword or address
    /// (the code).
    Stranger(i64),
    /// It does not, for another reason that will last (the code).
    Refused(i64),
    /// It does not, for a reason that may pass (the code).
    Busy(i64),
    /// It never left: there is no connection.
    Unreachable,
    /// Nobody knows: the connection ended before the answer.
    Doubtful,
}

impl Answer {
    /// What to do about it, for the log and for `alert-bridge test`. Nothing of what
    /// the robot said is in it but a number.
    pub fn words(&self) -> String {
        match self {
            Answer::Delivered => "sent".to_owned(),
            Answer::TooOften => "it was asked too often, and rests".to_owned(),
            Answer::TooLong(code) => format!("the message is too long for it ({code})"),
            Answer::Stranger(code) => format!(
                "it does not accept us ({code}): look at its token, signature secret, keyword and \
                 list of addresses"
            ),
            Answer::Refused(code) => format!("it refused the message ({code})"),
            Answer::Busy(code) => format!("it cannot at the moment ({code})"),
            Answer::Unreachable => "it cannot be reached".to_owned(),
            Answer::Doubtful => "the connection ended before it answered".to_owned(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words())
    }
}

#[derive(Deserialize)]
struct Body {
    errcode: i64,
}

/// Reads a whole answer.
pub fn read(channel: Channel, status: u16, body: &[u8]) -> Answer {
    let code = i64::from(status);
    match status {
        200..=299 => {}
        429 => return Answer::TooOften,
        401 | 403 | 404 | 410 => return Answer::Stranger(code),
        500..=599 => return Answer::Busy(code),
        _ => return Answer::Refused(code),
    }
    match channel {
        Channel::Slack | Channel::Webhook => Answer::Delivered,
        Channel::Wecom => of_code(body, wecom),
        Channel::Dingtalk => of_code(body, dingtalk),
    }
}

fn of_code(body: &[u8], meaning: fn(i64) -> Answer) -> Answer {
    match serde_json::from_slice::<Body>(body) {
        Ok(Body { errcode }) => meaning(errcode),
        // Something between us and the robot answered in its place.
        Err(_) => Answer::Busy(0),
    }
}

fn wecom(code: i64) -> Answer {
    match code {
        0 => Answer::Delivered,
        45009 | 45033 => Answer::TooOften,
        40058 | 45002 => Answer::TooLong(code),
        93000 | 93017 | 40001 | 40014 => Answer::Stranger(code),
        -1 | 50001 => Answer::Busy(code),
        _ => Answer::Refused(code),
    }
}

fn dingtalk(code: i64) -> Answer {
    match code {
        0 => Answer::Delivered,
        130101 | 410100 => Answer::TooOften,
        460101 => Answer::TooLong(code),
        300001 | 300005 | 310000 | 400013 | 400101 | 400102 => Answer::Stranger(code),
        -1 | 500001 => Answer::Busy(code),
        _ => Answer::Refused(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_is_no_success_by_itself() {
        #[track_caller]
        fn check(channel: Channel, status: u16, body: &str, want: Answer) {
            assert_eq!(read(channel, status, body.as_bytes()), want);
        }
        use Channel::{Dingtalk, Slack, Webhook, Wecom};
        check(Wecom, 200, r#"{"errcode":0,"errmsg":"ok"}"#, Answer::Delivered);
        check(Wecom, 200, r#"{"errcode":45009}"#, Answer::TooOften);
        check(Wecom, 200, r#"{"errcode":40058}"#, Answer::TooLong(40058));
        check(Wecom, 200, r#"{"errcode":93000}"#, Answer::Stranger(93000));
        check(Wecom, 200, r#"{"errcode":12345}"#, Answer::Refused(12345));
        check(Wecom, 200, "<html>", Answer::Busy(0));
        check(Wecom, 200, "", Answer::Busy(0));
        check(Dingtalk, 200, r#"{"errcode":0}"#, Answer::Delivered);
        check(Dingtalk, 200, r#"{"errcode":130101}"#, Answer::TooOften);
        check(Dingtalk, 200, r#"{"errcode":460101}"#, Answer::TooLong(460101));
        check(Dingtalk, 200, r#"{"errcode":310000}"#, Answer::Stranger(310000));
        check(Dingtalk, 200, r#"{"errcode":300001}"#, Answer::Stranger(300001));
        check(Slack, 200, "ok", Answer::Delivered);
        check(Slack, 429, "", Answer::TooOften);
        check(Slack, 404, "no_service", Answer::Stranger(404));
        check(Webhook, 204, "", Answer::Delivered);
        check(Webhook, 302, "", Answer::Refused(302));
        check(Webhook, 502, "", Answer::Busy(502));
    }
}
