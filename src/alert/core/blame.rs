//! Alerts that a chat refuses for their content: they are found by bisecting a message, put aside,
//! reported in a notice without their texts, and sent again or dropped as a user decides.
//!
//! The notice tells who is to blame: it has no content of the alert, so a robot that refuses it,
//! too, rejects everything, and what it refused before waits until it is repaired.
//!
//! Invariant: a refused message delays no other.
//!
//! Deliberately absent: the list (`refused`).

use super::call::Call;
use super::counts::Count;
use super::input::RefusedDecision;
use super::known::note;
use super::output::BridgeWarning;
use super::parts::{GivenUp, Parts, give_up};
use super::queue::take_delivered;
use super::record::{RefusedMessage, Sending};
use super::sending::send;
use crate::alert::message::link::{self, LinkPurpose};
use crate::alert::message::{MessagePart, oncall};
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts, Transition};
use crate::alert::options::{Language, Messenger, Options, Route};

/// Failed attempts, each after others succeeded, after which a message counts as refused.
const ATTEMPTS_MAX: u32 = 8;

/// The group key of notices about refused messages. No group key of Alertmanager has a control
/// character.
const NOTICE_KEY: &str = "\u{1}refused";

/// Whether a message is a poison message: it fails again and again, while others of its chat are
/// delivered.
pub(super) fn is_poison(parts: &Parts, id: u64) -> bool {
    let sending = parts.queue.sending(id);
    sending.is_some_and(|sending| sending.pending.attempts.alone_count >= ATTEMPTS_MAX)
}

/// A part was refused for its content. Among several alerts the cause is found by bisection; it is
/// retried as a short text, and then put aside.
pub(super) fn refuse(parts: &mut Parts, id: u64, robot: &str, code: i64, call: &mut Call<'_>) {
    let Some(mut sending) = parts.queue.finish(id, call) else { return };
    if !sending.about.is_empty() {
        notice_refused(parts, robot, code, &sending.about, call);
        return;
    }
    let arrived = take_delivered(&mut sending);
    let Sending { chat_queue, chat, mut pending, parts: pieces, sent, .. } = sending;
    note(parts, &chat_queue, &arrived, &pending, call);
    let count = pieces.get(sent).map_or(0, |part| part.fingerprints.len());
    if count == 0 {
        // It only mentioned people by number; the rest was reported as a count.
        note(parts, &chat_queue, &pending.lines, &pending, call);
        return;
    }
    if pending.lines.len() > 1 {
        pending.piece_max = (count / 2).max(1);
    } else if !pending.plain {
        pending.plain = true;
    } else {
        let robot = robot.to_owned();
        let at_ms = call.now().unix_ms;
        let refused =
            RefusedMessage { chat_queue, chat, robot, code, at_ms, pending, is_notified: false };
        put_aside(parts, refused, call);
        return;
    }
    pending.attempts = pending.attempts.refused(call.now().unix_ms);
    parts.queue.put_back(chat_queue, pending, call);
}

fn put_aside(parts: &mut Parts, refused: RefusedMessage, call: &mut Call<'_>) {
    note(parts, &refused.chat_queue, &refused.pending.lines, &refused.pending, call);
    let channel = call.options().channel(&refused.chat).unwrap_or_default();
    parts.counts.add(Count::Refused(channel), refused.pending.lines.len() as u64);
    let id = parts.queue.take_id();
    let (chat, code) = (refused.chat.clone(), refused.code);
    for old in parts.refused.add(id, refused, call) {
        give_up(parts, &old.chat_queue, old.pending.lines.len(), GivenUp::Dropped, call);
    }
    call.warn(BridgeWarning::Refused { chat, code, id });
}

/// Sends each chat a notice about what it refused, by the robot that refused it where that is
/// ready.
pub(super) fn tell_refused(parts: &mut Parts, call: &mut Call<'_>) {
    let now_ms = call.now().unix_ms;
    for (chat, about) in parts.refused.unnotified() {
        let Some(first) = about.first().and_then(|id| parts.refused.get(*id)).cloned() else {
            continue;
        };
        if parts.queue.has_refused_notice(&chat) {
            continue;
        }
        let robot = parts.senders.ready_or_other(&first.robot, &chat, NOTICE_KEY, now_ms);
        let Some(robot) = robot else { continue };
        let Some((route, _)) = call.options().route(&first.chat_queue.route) else { continue };
        let all: Vec<&RefusedMessage> =
            about.iter().filter_map(|id| parts.refused.get(*id)).collect();
        let part = notice(&all, &chat, route, call.options(), now_ms);
        let chat_queue = ChatQueue {
            chat: chat.clone(),
            group_key: NOTICE_KEY.to_owned(),
            ..first.chat_queue.clone()
        };
        let pending = QueuedAlerts { since_ms: now_ms, plain: true, ..QueuedAlerts::default() };
        let sending =
            Sending { chat_queue, chat, pending, parts: vec![part], about, ..Sending::default() };
        let id = parts.queue.take_id();
        parts.queue.start(id, sending);
        send(parts, id, robot, call);
    }
}

/// A robot refused a notice, which has no content of any alert.
fn notice_refused(parts: &mut Parts, robot: &str, code: i64, about: &[u64], call: &mut Call<'_>) {
    if !parts.senders.refuses_notice(robot, code, call) {
        // It has accepted other messages meanwhile. The list, its metric and the log show the
        // alert.
        parts.refused.mark_notified(about, call);
        return;
    }
    for id in about {
        bring_back(parts, *id, call);
    }
}

/// Queues a refused message as if it had never been tried.
fn bring_back(parts: &mut Parts, id: u64, call: &mut Call<'_>) -> bool {
    let Some(refused) = parts.refused.remove(id, call) else { return false };
    let mut pending = refused.pending;
    (pending.plain, pending.piece_max) = (false, 0);
    pending.attempts = Default::default();
    parts.queue.put_back(refused.chat_queue, pending, call);
    true
}

/// Carries out a user's decision. False when there is no such message.
pub(super) fn decide(
    parts: &mut Parts,
    id: u64,
    decision: RefusedDecision,
    call: &mut Call<'_>,
) -> bool {
    match decision {
        RefusedDecision::Retry => bring_back(parts, id, call),
        RefusedDecision::Drop => parts.refused.remove(id, call).is_some(),
    }
}

/// The notice about refused messages: their number and severity, and where they can be read. It
/// contains no text of an alert or a stranger.
fn notice(
    refused: &[&RefusedMessage],
    chat: &str,
    route: &Route,
    options: &Options,
    now_ms: u64,
) -> MessagePart {
    let channel = options.channel(chat).unwrap_or_default();
    let lines = || refused.iter().flat_map(|one| one.pending.lines.values());
    let (count, code) = (lines().count(), refused.first().map_or(0, |one| one.code));
    let begun =
        |line: &&AlertLine| line.transition == Transition::Firing && line.alert.is_critical();
    let critical = lines().filter(begun).count();
    let firing = lines().filter(|line| line.alert.firing).count();
    let people = match route.mentions {
        true => oncall::called(lines().filter(begun).map(|line| &line.alert), options, now_ms),
        false => Vec::new(),
    };
    let mentions = oncall::mentions(channel, &people);
    let url = link::link(options, LinkPurpose::Refused, &chat.to_owned(), now_ms / 1_000);
    let (title, mut text) = match route.language {
        Language::En => (
            "Refused",
            format!(
                "{count} alerts cannot be shown here, because this chat refuses what stands in \
                 them ({code}): {firing} firing, {critical} of these critical and new. Look them up"
            ),
        ),
        Language::Zh => (
            "消息被拒",
            format!(
                "{count} 条告警无法在此显示：群聊拒绝了其内容（{code}），其中触发中 {firing} 条，\
                 新的严重告警 {critical} 条。请查看"
            ),
        ),
    };
    text.push_str(&match (route.language, url) {
        (_, Some(url)) => format!(": {url}"),
        (Language::En, None) => " on the page /v1/refused of the alert bridge.".to_owned(),
        (Language::Zh, None) => "告警桥的 /v1/refused 页面。".to_owned(),
    });
    if !mentions.text.is_empty() {
        text.push(' ');
        text.push_str(&mentions.text);
    }
    let (mobiles, ids) = match channel {
        Messenger::Wecom => (Vec::new(), Vec::new()),
        Messenger::Dingtalk | Messenger::Slack | Messenger::Webhook => {
            (mentions.mobiles, mentions.ids)
        }
    };
    MessagePart { title: title.to_owned(), text, mobiles, ids, ..MessagePart::default() }
}
