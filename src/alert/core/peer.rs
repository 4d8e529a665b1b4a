//! Polls between the two bridges of a pair: the answer to a poll, and what follows from the answer
//! of the other one.
//!
//! Deliberately absent: the turns (`pair`).

use std::collections::BTreeSet;

use super::call::Call;
use super::known::note;
use super::output::BridgeWarning;
use super::pair::{CHAT_QUEUES_MAX, hash};
use super::pair_messages::{PairAnswer, PairQuestion};
use super::parts::Parts;
use super::queue::take_delivered;
use crate::alert::model::pending::{AlertLine, ChatQueue};
use crate::alert::model::sent_state::{AlertChange, AlertState, SentState};

/// Most pending chat queues in one answer; when there are more, none is listed.
const WAITING_MAX: usize = 10_000;

/// Passes the turns of chats that this bridge cannot reach, when the other bridge is up and
/// something is pending.
pub(super) fn pass_turns(parts: &mut Parts, call: &mut Call<'_>) {
    let (now, options) = (call.now(), call.options());
    if !parts.pair.can_pass(now, options) {
        return;
    }
    let chats = parts.senders.chats();
    let mine = |chat: &&String| parts.pair.has_turn(options, chat);
    let is_unable = |chat: &&String| {
        let failing = parts.senders.failing(chat);
        failing.is_some_and(|failing| parts.pair.is_unable(now, options, chat, failing))
    };
    let unable: BTreeSet<String> = chats
        .iter()
        .filter(mine)
        .filter(|chat| parts.queue.waits_for(chat) && is_unable(chat))
        .cloned()
        .collect();
    let failing = unable.iter().filter_map(|chat| parts.senders.failing(chat));
    let Some(since) = failing.map(|failing| failing.since).min() else { return };
    // When no chat was reached meanwhile, the network of this machine is the cause.
    let passed: Vec<String> = match parts.senders.is_any_reached_since(since) {
        true => unable.into_iter().collect(),
        false => chats.iter().filter(mine).cloned().collect(),
    };
    for chat in &passed {
        parts.pair.pass_turn(now, chat);
        give_back(parts, chat, call);
    }
    call.warn(BridgeWarning::TurnPassed(passed));
}

/// Leaves unfinished messages of a chat to the other bridge; delivered parts stay in the
/// notification log.
fn give_back(parts: &mut Parts, chat: &str, call: &mut Call<'_>) {
    for id in parts.queue.left_for(chat) {
        let Some(sending) = parts.queue.sending_mut(id) else { continue };
        let arrived = take_delivered(sending);
        sending.pending.unconfirmed |= sending.again;
        let (chat_queue, of) = (sending.chat_queue.clone(), sending.pending.clone());
        note(parts, &chat_queue, &arrived, &of, call);
        parts.queue.requeue(id, call);
    }
}

/// Answers a poll.
pub(super) fn answer(parts: &Parts, question: PairQuestion, call: &Call<'_>) -> PairAnswer {
    let sent = parts.notification_log.since(question.since_ms);
    // Entries of one moment stay together, so that the next answer begins after them.
    let mut count = sent.len().min(CHAT_QUEUES_MAX);
    while count > 0 && count < sent.len() && sent[count].1.at_ms == sent[count - 1].1.at_ms {
        count += 1;
    }
    let until_ms = match sent.get(count) {
        Some((_, next)) => next.at_ms,
        None => call.now().unix_ms,
    };
    let is_few = parts.queue.chat_queues().nth(WAITING_MAX).is_none();
    PairAnswer {
        sent: sent[..count].iter().map(|(l, t)| ((*l).clone(), (*t).clone())).collect(),
        until_ms,
        more: count < sent.len(),
        under_way: parts.queue.leaving(),
        acknowledged_ago: parts.escalations.acknowledged_ago(call.now()),
        role: Some(parts.pair.role(call.options())),
        turns: parts.pair.turns(),
        waiting: is_few.then(|| parts.queue.chat_queues().map(hash).collect()),
        unconfirmed: parts.queue.unconfirmed().take(CHAT_QUEUES_MAX).cloned().collect(),
    }
}

/// Handles the answer to a poll, or its absence.
pub(super) fn on_answer(parts: &mut Parts, answer: Option<PairAnswer>, call: &mut Call<'_>) {
    let Some(mut answer) = answer else {
        // Its messages in flight may have been delivered.
        for chat_queue in parts.pair.fail() {
            parts.queue.mark_unconfirmed(&chat_queue, call);
        }
        return;
    };
    parts.pair.on_answer(call.now(), &mut answer);
    if parts.pair.on_role(call.options(), answer.role) {
        call.warn(BridgeWarning::SameRole);
    }
    for (chat, &number) in &answer.turns {
        if parts.pair.on_turn(call.now(), call.options(), chat, number) {
            parts.senders.begin_turn(chat);
        }
    }
    for (chat_queue, sent) in &answer.sent {
        sent_by_other(parts, chat_queue, sent, call);
    }
    for chat_queue in &answer.unconfirmed {
        parts.queue.mark_unconfirmed(chat_queue, call);
    }
    for (key, ago_ms) in &answer.acknowledged_ago {
        parts.escalations.acknowledged_elsewhere(key, *ago_ms, call);
    }
}

fn sent_by_other(
    parts: &mut Parts,
    chat_queue: &ChatQueue,
    theirs: &SentState,
    call: &mut Call<'_>,
) {
    let Some(states) = parts.notification_log.merge(chat_queue, theirs, call) else { return };
    let is_sent = |fingerprint: &String, line: &AlertLine| {
        let known = states.get(fingerprint).copied();
        AlertState::from(&line.alert).since(known) == AlertChange::Same
    };
    let removed = parts.queue.remove_sent(chat_queue, is_sent, call);
    let Some((over, of)) = removed else { return };
    parts.escalations.note(chat_queue, &over, &of, call);
}
