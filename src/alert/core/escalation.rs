//! Groups with critical alerts that somebody has to acknowledge, until they are over.
//!
//! Invariants: an alert is escalated at most once for each time that it begins; it is
//! acknowledged by the group, by whoever has the link.
//!
//! Deliberately absent: telling the second chat (`acknowledge`).

use std::collections::BTreeMap;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue, Unacknowledged, UnacknowledgedAlert};
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts, Transition, merge};
use crate::alert::options::Options;
use crate::base::Timestamps;

/// Groups with something to acknowledge; over it the newest is not escalated, but told as
/// any other.
const GROUPS_MAX: usize = 10_000;

/// Alerts of one group that may be acknowledged.
const LINES_MAX: usize = 100;

/// How long it is remembered that a group was acknowledged, for the other bridge, in ms.
const ACKNOWLEDGED_MS: u64 = 600_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Escalations {
    /// By group, whatever the chat.
    waiting: BTreeMap<ChatQueue, Unacknowledged>,
    /// When groups were acknowledged, in milliseconds since 1970.
    acknowledged: BTreeMap<ChatQueue, u64>,
}

impl Escalations {
    /// What waited when the process ended.
    pub(super) fn restore(&mut self, key: ChatQueue, group: Unacknowledged) {
        self.waiting.insert(key, group);
    }

    /// Everything, as the queue's file would have it.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(key, group): (&ChatQueue, &Unacknowledged)| JournalRecord {
            key: RecordKey::Unacknowledged(key.clone()),
            value: Some(RecordValue::Unacknowledged(Box::new(group.clone()))),
        };
        all.extend(self.waiting.iter().map(record));
    }

    /// Whether no group waits to be acknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Groups that wait to be acknowledged.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// These were told, of a message that `of` was: what is critical waits for somebody;
    /// what is over does not.
    pub(super) fn note(
        &mut self,
        chat_queue: &ChatQueue,
        lines: &BTreeMap<String, AlertLine>,
        of: &QueuedAlerts,
        call: &mut Call<'_>,
    ) {
        let Some((route, true)) = call.options().route(&chat_queue.route) else { return };
        if route.escalation.is_empty() || route.escalation == chat_queue.chat {
            return;
        }
        let key = ChatQueue { chat: String::new(), ..chat_queue.clone() };
        let is_known = self.waiting.contains_key(&key);
        if !is_known && self.waiting.len() >= GROUPS_MAX {
            return;
        }
        let mut group = self.waiting.remove(&key).unwrap_or_default();
        for (fingerprint, line) in lines {
            if line.transition != Transition::Firing && line.alert.firing {
                continue; // a reminder
            }
            if !line.alert.firing {
                group.alerts.remove(fingerprint);
            } else if line.alert.is_critical() && group.alerts.len() < LINES_MAX {
                let alert = UnacknowledgedAlert {
                    line: line.clone(),
                    since_ms: call.now().unix_ms,
                    is_escalated: false,
                };
                group.alerts.entry(fingerprint.clone()).or_insert(alert);
            }
        }
        if !is_known && group.alerts.is_empty() {
            return;
        }
        if group.group_labels.is_empty() {
            group.group_labels.clone_from(&of.group_labels);
            group.external_url.clone_from(&of.external_url);
        }
        self.set(key, group, call);
    }

    /// What waits of a group from here on.
    fn set(&mut self, key: ChatQueue, group: Unacknowledged, call: &mut Call<'_>) {
        if group.alerts.is_empty() {
            call.forget(RecordKey::Unacknowledged(key));
            return;
        }
        let value = RecordValue::Unacknowledged(Box::new(group.clone()));
        call.keep(RecordKey::Unacknowledged(key.clone()), value);
        self.waiting.insert(key, group);
    }

    /// Groups of which something was not acknowledged in time, with what their route says.
    pub(super) fn due(&self, now: Timestamps, options: &Options) -> Vec<(ChatQueue, String)> {
        let due = |(key, group): (&ChatQueue, &Unacknowledged)| {
            let (route, true) = options.route(&key.route)? else { return None };
            let mut alerts = group.alerts.values();
            let is_due = alerts.any(|alert| alert.is_due(route.escalate_after_s, now));
            is_due.then(|| (key.clone(), route.escalation.clone()))
        };
        self.waiting.iter().filter_map(due).collect()
    }

    /// Escalates what is due of a group: what the second chat is to be told of it.
    pub(super) fn escalate(
        &mut self,
        key: &ChatQueue,
        after_s: u64,
        call: &mut Call<'_>,
    ) -> Option<QueuedAlerts> {
        let mut group = self.waiting.remove(key)?;
        let mut pending = QueuedAlerts {
            group_labels: group.group_labels.clone(),
            external_url: group.external_url.clone(),
            since_ms: call.now().unix_ms,
            unacknowledged_s: after_s,
            ..QueuedAlerts::default()
        };
        for (fingerprint, alert) in &mut group.alerts {
            if alert.is_due(after_s, call.now()) {
                alert.is_escalated = true;
                merge(&mut pending.lines, fingerprint.clone(), alert.line.clone());
            }
        }
        self.set(key.clone(), group, call);
        Some(pending)
    }

    /// Somebody takes care of a group; what was to be acknowledged, if anything was.
    pub(super) fn acknowledge(
        &mut self,
        key: &ChatQueue,
        call: &mut Call<'_>,
    ) -> Option<Unacknowledged> {
        let group = self.waiting.remove(key)?;
        call.forget(RecordKey::Unacknowledged(key.clone()));
        let now_ms = call.now().unix_ms;
        self.acknowledged.retain(|_, at_ms| now_ms.saturating_sub(*at_ms) < ACKNOWLEDGED_MS);
        self.acknowledged.insert(key.clone(), now_ms);
        Some(group)
    }

    /// What was acknowledged here, and how long ago, for the other bridge. A time that passed
    /// is the same for both, whatever their clocks say.
    pub(super) fn acknowledged_ago(&self, now: Timestamps) -> Vec<(ChatQueue, u64)> {
        let ago = |at_ms: &u64| now.unix_ms.saturating_sub(*at_ms);
        let fresh = self.acknowledged.iter().filter(|(_, at_ms)| ago(at_ms) < ACKNOWLEDGED_MS);
        fresh.map(|(key, at_ms)| (key.clone(), ago(at_ms))).collect()
    }

    /// It was acknowledged at the other bridge so long ago. What began since then was not.
    pub(super) fn acknowledged_elsewhere(
        &mut self,
        key: &ChatQueue,
        ago_ms: u64,
        call: &mut Call<'_>,
    ) {
        let at_ms = call.now().unix_ms.saturating_sub(ago_ms);
        let Some(mut group) = self.waiting.remove(key) else { return };
        let before = group.alerts.len();
        group.alerts.retain(|_, alert| alert.since_ms > at_ms);
        if group.alerts.len() == before {
            self.waiting.insert(key.clone(), group);
            return;
        }
        self.set(key.clone(), group, call);
    }
}
