//! What two bridges side by side make of each other: what one hands to the other, answers
//! it, and hears from it.
//!
//! Deliberately absent: whose turn it is (`pair`).

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

/// Chat queues that wait and are named in one answer; of more, none is.
const WAITING_MAX: usize = 10_000;

/// Passes the turns of chats that cannot be told from here, if the other bridge lives and
/// something waits.
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
    // Where nothing at all went out meanwhile, it is this machine's way.
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

/// What is not told to its end is for the other bridge; what has arrived of it stays told.
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

/// What the other one asked for.
pub(super) fn answer(parts: &Parts, question: PairQuestion, call: &Call<'_>) -> PairAnswer {
    let sent = parts.notification_log.since(question.since_ms);
    // Those of one moment stay together, so that the next answer begins behind them.
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

/// The other one has answered, or not.
pub(super) fn on_answer(parts: &mut Parts, answer: Option<PairAnswer>, call: &mut Call<'_>) {
    let Some(mut answer) = answer else {
        // What was on its way when it went may have arrived.
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
