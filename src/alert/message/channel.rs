//! The messengers: their size limits, how sizes are counted, and the bodies of requests.
//!
//! Deliberately absent: answers (`core`), and sending.

use serde_json::json;

use super::part::MessagePart;
use super::signature;
use crate::alert::model::text;
use crate::alert::options::{Language, Messenger, Robot};

/// Most parts of one message to people, and to a program.
pub(super) const PARTS_MAX: usize = 3;
const PROGRAM_PARTS_MAX: usize = 12;

pub(super) fn parts_max(channel: Messenger) -> usize {
    match channel {
        Messenger::Wecom | Messenger::Dingtalk | Messenger::Slack => PARTS_MAX,
        Messenger::Webhook => PROGRAM_PARTS_MAX,
    }
}

/// The separator of two blocks.
pub(super) fn joint(channel: Messenger) -> &'static str {
    match channel {
        Messenger::Wecom | Messenger::Slack | Messenger::Webhook => "\n",
        // A single line end has no effect in its mark-up.
        Messenger::Dingtalk => "\n\n",
    }
}

/// Most bytes of a message's text, counted by `encoded_bytes`.
pub(super) fn bytes_max(channel: Messenger) -> usize {
    match channel {
        Messenger::Wecom => 4_096,
        // The limit is for the whole body, which has other fields, too.
        Messenger::Dingtalk => 19_000,
        Messenger::Slack => 12_000,
        Messenger::Webhook => 100_000,
    }
}

/// The size of a text: WeCom counts UTF-8, the others the JSON.
pub(super) fn encoded_bytes(channel: Messenger, text: &str) -> usize {
    match channel {
        Messenger::Wecom => text.len(),
        Messenger::Dingtalk | Messenger::Slack | Messenger::Webhook => {
            serde_json::to_string(text).map_or(usize::MAX, |json| json.len())
        }
    }
}

/// Cuts a text to the longest beginning that fits.
pub(super) fn cut(channel: Messenger, whole: &str, bytes_max: usize) -> String {
    if encoded_bytes(channel, whole) <= bytes_max {
        return whole.to_owned();
    }
    let mut keep = whole.len().min(bytes_max);
    loop {
        let short = format!("{}…", text::cut_bytes(whole, keep));
        if keep == 0 || encoded_bytes(channel, &short) <= bytes_max {
            return short;
        }
        keep = keep * 9 / 10;
    }
}

/// Whether a part is sent for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// No earlier attempt can have been delivered.
    First,
    /// An earlier attempt may have been delivered.
    Again,
}

/// The body of a request to this robot.
pub fn body(
    part: &MessagePart,
    robot: &Robot,
    language: Language,
    attempt: Attempt,
    id: &str,
) -> String {
    let mut text = part.text.clone();
    let again = attempt == Attempt::Again;
    let join = joint(robot.channel);
    if again {
        text.push_str(join);
        text.push_str(match language {
            Language::En => "(sent again: the answer to the first try was lost)",
            Language::Zh => "（重发：上一次发送没有收到回复）",
        });
    }
    let keyword = &robot.keyword;
    if !keyword.is_empty() && !text.contains(keyword.as_str()) {
        text.push_str(join);
        text.push_str(keyword);
    }
    let body = match robot.channel {
        Messenger::Wecom if part.is_plain => json!({
            "msgtype": "text",
            "text": {"content": text, "mentioned_mobile_list": part.mobiles},
        }),
        Messenger::Wecom => json!({"msgtype": "markdown", "markdown": {"content": text}}),
        Messenger::Dingtalk => json!({
            "msgtype": "markdown",
            "markdown": {"title": part.title, "text": text},
            "at": {"atMobiles": part.mobiles, "atUserIds": part.ids, "isAtAll": false},
        }),
        Messenger::Slack => json!({"text": text}),
        Messenger::Webhook => json!({
            "version": "1", "id": id, "title": part.title, "text": text,
            "call": part.ids, "alerts": part.alerts, "again": again,
        }),
    };
    body.to_string()
}

/// The URL of a request to this robot. It contains the token, so it must not be logged.
pub fn url(robot: &Robot, now_ms: u64) -> String {
    let token = robot.token.value.as_str();
    let query = |name: &str| {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair(name, token);
        if robot.channel == Messenger::Dingtalk && !robot.signature.value.is_empty() {
            query.append_pair("timestamp", &now_ms.to_string());
            query.append_pair("sign", &signature::dingtalk(&robot.signature.value, now_ms));
        }
        format!("{}?{}", robot.address(), query.finish())
    };
    match robot.channel {
        Messenger::Wecom => query("key"),
        Messenger::Dingtalk => query("access_token"),
        Messenger::Slack if robot.url.is_empty() => format!("{}{token}", robot.address()),
        Messenger::Slack if !token.is_empty() => {
            format!("{}/{token}", robot.address().trim_end_matches('/'))
        }
        // The token of a program is sent in a header.
        Messenger::Slack | Messenger::Webhook => robot.address().to_owned(),
    }
}
