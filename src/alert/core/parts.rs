//! The parts of a bridge, for functions that need several of them.
//!
//! Deliberately absent: decisions, which each part takes about its own state.

use std::collections::BTreeMap;

use super::actions::Actions;
use super::call::Call;
use super::counts::{BridgeCounts, Count};
use super::escalation::Escalations;
use super::inhibited::InhibitedAlerts;
use super::notification_log::NotificationLog;
use super::output::BridgeWarning;
use super::pair::Pair;
use super::queue::AlertQueue;
use super::record::{JournalRecord, RecordKey, RecordValue};
use super::refused::RefusedList;
use super::senders::Senders;
use super::watchdog::Watchdog;
use crate::alert::model::pending::ChatQueue;
use crate::alert::options::Messenger;

/// See the module. A plain value; only its parts change their state.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) queue: AlertQueue,
    pub(super) senders: Senders,
    pub(super) notification_log: NotificationLog,
    pub(super) refused: RefusedList,
    pub(super) escalations: Escalations,
    pub(super) pair: Pair,
    pub(super) watchdog: Watchdog,
    pub(super) actions: Actions,
    pub(super) inhibited: InhibitedAlerts,
    pub(super) counts: BridgeCounts,
}

/// Why alerts were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GivenUp {
    /// The queue was full.
    Dropped,
    /// They were too old.
    Expired,
}

impl Parts {
    /// The parts, restored from the records of the last run.
    pub(super) fn load(records: Vec<JournalRecord>, call: &mut Call<'_>) -> Parts {
        let mut parts = Parts {
            queue: AlertQueue::new(call.now().unix_ms.saturating_mul(1_000)),
            senders: Senders::default(),
            notification_log: NotificationLog::default(),
            refused: RefusedList::default(),
            escalations: Escalations::default(),
            pair: Pair::new(call.now()),
            watchdog: Watchdog::new(call.now()),
            actions: Actions::default(),
            inhibited: InhibitedAlerts::default(),
            counts: BridgeCounts::default(),
        };
        let mut robots = BTreeMap::new();
        for record in records {
            match (record.key, record.value) {
                (RecordKey::Robot(name), Some(RecordValue::Robot(times))) => {
                    robots.insert(name, times);
                }
                (key, value) => restore(&mut parts, key, value),
            }
        }
        parts.senders = Senders::load(robots, call);
        parts
    }

    /// All records that the journal needs to restore the bridge.
    pub(super) fn records(&self) -> Vec<JournalRecord> {
        let mut all = Vec::new();
        self.queue.records(&mut all);
        self.notification_log.records(&mut all);
        self.senders.records(&mut all);
        self.actions.records(&mut all);
        self.watchdog.records(&mut all);
        self.escalations.records(&mut all);
        self.refused.records(&mut all);
        all
    }
}

/// Restores one record in the part that wrote it.
fn restore(parts: &mut Parts, key: RecordKey, value: Option<RecordValue>) {
    match (key, value) {
        (RecordKey::Pending(chat_queue), Some(RecordValue::Pending(pending))) => {
            parts.queue.restore_pending(chat_queue, pending);
        }
        (RecordKey::Message(id), Some(RecordValue::Message(sending))) => {
            parts.queue.restore_message(id, sending);
        }
        (RecordKey::Sent(chat_queue), Some(RecordValue::Sent(sent))) => {
            parts.notification_log.restore(chat_queue, sent)
        }
        (RecordKey::Action(name), Some(RecordValue::Action(at_ms))) => {
            parts.actions.restore(name, at_ms)
        }
        (RecordKey::Refused(id), Some(RecordValue::Refused(refused))) => {
            parts.queue.pass_id(id);
            parts.refused.restore(id, *refused);
        }
        (RecordKey::Unacknowledged(key), Some(RecordValue::Unacknowledged(group))) => {
            parts.escalations.restore(key, *group);
        }
        (RecordKey::Deadman, Some(RecordValue::Deadman(since_ms))) => {
            parts.watchdog.restore(since_ms)
        }
        // No part writes a value of another kind than its key.
        (
            RecordKey::Pending(_)
            | RecordKey::Message(_)
            | RecordKey::Sent(_)
            | RecordKey::Robot(_)
            | RecordKey::Action(_)
            | RecordKey::Deadman
            | RecordKey::Refused(_)
            | RecordKey::Unacknowledged(_),
            Some(_) | None,
        ) => {}
    }
}

/// Counts dropped alerts, and warns the operator.
pub(super) fn give_up(
    parts: &mut Parts,
    chat_queue: &ChatQueue,
    count: usize,
    why: GivenUp,
    call: &mut Call<'_>,
) {
    let channel = call.options().channel(&chat_queue.chat).unwrap_or_default();
    let count = count as u64;
    parts.counts.add(why.count(channel), count);
    let why = why.words();
    call.warn(BridgeWarning::GivenUp { chat: chat_queue.chat.clone(), count, why });
}

impl GivenUp {
    fn count(self, channel: Messenger) -> Count {
        match self {
            GivenUp::Dropped => Count::Dropped(channel),
            GivenUp::Expired => Count::Expired(channel),
        }
    }

    fn words(self) -> &'static str {
        match self {
            GivenUp::Dropped => "too much was waiting",
            GivenUp::Expired => "they were too old",
        }
    }
}
