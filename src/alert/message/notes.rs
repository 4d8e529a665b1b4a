//! Notes about a message: that it may be a repetition, is an escalation, or has omissions.
//!
//! Deliberately absent: their place in the message.

use super::format::{LABEL_CHARS_MAX, NAME_CHARS_MAX, duration};
use super::message_input::MessageInput;
use crate::alert::model::pending::AlertLine;
use crate::alert::model::text;
use crate::alert::options::Language;

/// Most names of inhibited alerts in one message.
const NAMES_MAX: usize = 8;

/// The notes of a message.
pub(super) fn notes(input: &MessageInput<'_>) -> Vec<String> {
    let zh = input.route.language == Language::Zh;
    let mut notes = Vec::new();
    let mut note = |en: String, chinese: String| notes.push(if zh { chinese } else { en });
    if input.pending.unconfirmed {
        note(
            "perhaps a repetition: the answer to the first try was lost".to_owned(),
            "可能重复：上一次发送没有收到回复".to_owned(),
        );
    }
    if input.pending.unacknowledged_s > 0 {
        let after = duration(input.pending.unacknowledged_s * 1_000, input.route.language);
        note(format!("nobody has acknowledged this for {after}"), format!("已有 {after} 无人确认"));
    }
    if !input.pending.unknown_route.is_empty() {
        let route = text::of_operator(&input.pending.unknown_route, NAME_CHARS_MAX);
        note(
            format!("there is no route {route}; this is the default one"),
            format!("没有名为 {route} 的路由，已使用默认路由"),
        );
    }
    if !input.instead_of.is_empty() {
        let chat = text::of_operator(input.instead_of, NAME_CHARS_MAX);
        note(
            format!("the robots of {chat} cannot speak now"),
            format!("{chat} 的机器人暂时不可用，改由此处发送"),
        );
    }
    if input.dropped > 0 {
        let count = input.dropped;
        note(
            format!("{count} older warnings were given up: too much was waiting"),
            format!("积压过多，已放弃 {count} 条较早的警告"),
        );
    }
    if !input.outliving.is_empty() {
        let shown = input.outliving.iter().take(NAMES_MAX);
        let mut names: Vec<String> =
            shown.map(|name| text::of_operator(name, LABEL_CHARS_MAX)).collect();
        match input.outliving.len() - names.len() {
            0 => {}
            more => names.push(format!("+{more}")),
        }
        note(
            format!(
                "its consequences end a little later, and are told if not: {}",
                names.join(", ")
            ),
            format!("其影响稍后恢复，若未恢复将另行通知：{}", names.join("、")),
        );
    }
    notes
}

/// A note about critical alerts among those that are left out.
pub(super) fn left_out(
    input: &MessageInput<'_>,
    lines: &[(&String, &AlertLine)],
) -> Option<String> {
    let critical = lines.iter().filter(|(_, line)| line.alert.is_critical()).count();
    match (input.route.language, critical, input.pending.truncated_critical) {
        (_, 0, false) => None,
        (Language::En, 0, true) => Some("some of those left out are critical".to_owned()),
        (Language::Zh, 0, true) => Some("未列出的告警中有严重告警".to_owned()),
        (Language::En, count, _) => Some(format!("{count} of those left out are critical")),
        (Language::Zh, count, _) => Some(format!("未列出的告警中有 {count} 条严重告警")),
    }
}
