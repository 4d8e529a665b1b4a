//! What each chat queue has been told.
//!
//! Invariant: what stands here was confirmed by a robot, or by the other bridge.
//!
//! Deliberately absent: what waits (`queue`).

use std::collections::BTreeMap;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue};
use crate::alert::model::pending::{AlertLine, ChatQueue};
use crate::alert::model::sent_state::{AlertState, SentState};

/// Chat queues whose past is remembered; over it the oldest is forgotten, and what repeats
/// it is told again.
const LOG_ENTRIES_MAX: usize = 20_000;

/// How long the past of a chat queue that Alertmanager no longer mentions is remembered.
const LOG_MS_MAX: u64 = 8 * 86_400_000;

/// Alerts of a chat queue whose past is remembered; over it only those that fire.
const LOG_STATES_MAX: usize = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct NotificationLog {
    sent: BTreeMap<ChatQueue, SentState>,
}

impl NotificationLog {
    /// What was known when the process ended.
    pub(super) fn restore(&mut self, chat_queue: ChatQueue, sent: SentState) {
        self.sent.insert(chat_queue, sent);
    }

    /// Everything, as the queue's file would have it.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(chat_queue, sent): (&ChatQueue, &SentState)| JournalRecord {
            key: RecordKey::Sent(chat_queue.clone()),
            value: Some(RecordValue::Sent(sent.clone())),
        };
        all.extend(self.sent.iter().map(record));
    }

    /// What a chat queue knows of an alert.
    pub(super) fn state(&self, chat_queue: &ChatQueue, fingerprint: &str) -> Option<AlertState> {
        self.sent.get(chat_queue)?.states.get(fingerprint).copied()
    }

    /// What comes again unchanged is a reminder of Alertmanager's, unless it comes so
    /// soon that it is a retry, or another Alertmanager's.
    pub(super) fn is_reminder(&self, chat_queue: &ChatQueue, call: &Call<'_>) -> bool {
        let within_ms = call.options().same_within_s * 1_000;
        let is_due = |sent: &SentState| call.now().unix_ms.saturating_sub(sent.at_ms) >= within_ms;
        self.sent.get(chat_queue).is_some_and(is_due)
    }

    /// These have been told.
    pub(super) fn note(
        &mut self,
        chat_queue: &ChatQueue,
        lines: &BTreeMap<String, AlertLine>,
        call: &mut Call<'_>,
    ) {
        let sent: &mut SentState = self.sent.entry(chat_queue.clone()).or_default();
        *sent = std::mem::take(sent).after(lines.iter(), call.now().unix_ms);
        if sent.states.len() > LOG_STATES_MAX {
            sent.states.retain(|_, state| state.firing);
        }
        call.keep(RecordKey::Sent(chat_queue.clone()), RecordValue::Sent(sent.clone()));
    }

    /// What the other bridge has told; what is known then, when that is more than before.
    pub(super) fn merge(
        &mut self,
        chat_queue: &ChatQueue,
        theirs: &SentState,
        call: &mut Call<'_>,
    ) -> Option<BTreeMap<String, AlertState>> {
        let mine = self.sent.entry(chat_queue.clone()).or_default();
        let before = mine.clone();
        for (fingerprint, state) in &theirs.states {
            let is_newer = theirs.at_ms >= mine.at_ms || !mine.states.contains_key(fingerprint);
            if is_newer {
                mine.states.insert(fingerprint.clone(), *state);
            }
        }
        mine.at_ms = mine.at_ms.max(theirs.at_ms);
        if *mine == before {
            return None;
        }
        call.keep(RecordKey::Sent(chat_queue.clone()), RecordValue::Sent(mine.clone()));
        Some(mine.states.clone())
    }

    /// What was told since then, oldest first.
    pub(super) fn since(&self, since_ms: u64) -> Vec<(&ChatQueue, &SentState)> {
        let mut sent: Vec<(&ChatQueue, &SentState)> =
            self.sent.iter().filter(|(_, sent)| sent.at_ms >= since_ms).collect();
        sent.sort_by_key(|(_, sent)| sent.at_ms);
        sent
    }

    /// Forgets what is over, what is too old, and what is too much.
    pub(super) fn prune(&mut self, call: &mut Call<'_>) {
        let over_ms = call.options().same_within_s * 1_000;
        let mut forgotten: Vec<ChatQueue> = Vec::new();
        for (chat_queue, sent) in &self.sent {
            let age_ms = call.now().unix_ms.saturating_sub(sent.at_ms);
            if (sent.is_over() && age_ms > over_ms) || age_ms > LOG_MS_MAX {
                forgotten.push(chat_queue.clone());
            }
        }
        if self.sent.len() - forgotten.len() > LOG_ENTRIES_MAX {
            let mut by_age: Vec<(u64, &ChatQueue)> =
                self.sent.iter().map(|(chat_queue, sent)| (sent.at_ms, chat_queue)).collect();
            by_age.sort_unstable();
            let over = self.sent.len() - LOG_ENTRIES_MAX;
            forgotten
                .extend(by_age.into_iter().take(over).map(|(_, chat_queue)| chat_queue.clone()));
        }
        for chat_queue in forgotten {
            self.sent.remove(&chat_queue);
            call.forget(RecordKey::Sent(chat_queue));
        }
    }
}
