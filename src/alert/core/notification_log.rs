//! The notification log: the alerts that each chat queue was notified of.
//!
//! Invariant: every entry was confirmed by a robot, or by the other bridge.
//!
//! Deliberately absent: pending alerts (`queue`), and which are told again (`intake`).

use std::collections::BTreeMap;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue};
use crate::alert::model::pending::{AlertLine, ChatQueue};
use crate::alert::model::sent_state::{AlertState, SentState};

/// Most chat queues in the log. Beyond it the oldest is removed, and a repetition of its alerts is
/// sent again.
const LOG_ENTRIES_MAX: usize = 20_000;

/// How long a chat queue that Alertmanager no longer mentions stays in the log.
const LOG_MS_MAX: u64 = 8 * 86_400_000;

/// Most alerts of one chat queue. Beyond it only those that fire are kept.
const LOG_STATES_MAX: usize = 2_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct NotificationLog {
    sent: BTreeMap<ChatQueue, SentState>,
}

impl NotificationLog {
    /// Restores an entry of the last run.
    pub(super) fn restore(&mut self, chat_queue: ChatQueue, sent: SentState) {
        self.sent.insert(chat_queue, sent);
    }

    /// Appends all records that the journal needs to restore this part.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(chat_queue, sent): (&ChatQueue, &SentState)| JournalRecord {
            key: RecordKey::Sent(chat_queue.clone()),
            value: Some(RecordValue::Sent(sent.clone())),
        };
        all.extend(self.sent.iter().map(record));
    }

    /// The last state of an alert that was sent.
    pub(super) fn state(&self, chat_queue: &ChatQueue, fingerprint: &str) -> Option<AlertState> {
        self.sent.get(chat_queue)?.states.get(fingerprint).copied()
    }

    /// Whether an unchanged notification is a reminder of Alertmanager. One that comes too soon is
    /// a retry, or comes from another Alertmanager.
    pub(super) fn is_reminder(&self, chat_queue: &ChatQueue, call: &Call<'_>) -> bool {
        let within_ms = call.options().same_within_s * 1_000;
        let is_due = |sent: &SentState| call.now().unix_ms.saturating_sub(sent.at_ms) >= within_ms;
        self.sent.get(chat_queue).is_some_and(is_due)
    }

    /// Notes that these alerts were sent.
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

    /// Merges an entry of the other bridge. Returns the states, when they have changed.
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

    /// The entries that changed since then, oldest first.
    pub(super) fn since(&self, since_ms: u64) -> Vec<(&ChatQueue, &SentState)> {
        let mut sent: Vec<(&ChatQueue, &SentState)> =
            self.sent.iter().filter(|(_, sent)| sent.at_ms >= since_ms).collect();
        sent.sort_by_key(|(_, sent)| sent.at_ms);
        sent
    }

    /// Removes entries of groups that are over, that are too old, or that are too many.
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
