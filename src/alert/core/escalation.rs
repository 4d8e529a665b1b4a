//! Groups with unacknowledged critical alerts, until they are over.
//!
//! Invariants: an alert is escalated at most once each time it fires; a group is acknowledged as a
//! whole, by anybody who has the link.
//!
//! Deliberately absent: sending to the escalation chat (`acknowledge`).

use std::collections::BTreeMap;

use super::call::Call;
use super::record::{JournalRecord, RecordKey, RecordValue, Unacknowledged, UnacknowledgedAlert};
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts, Transition, merge};
use crate::alert::options::Options;
use crate::base::Timestamps;

/// Most unacknowledged groups. Beyond it the newest is not escalated.
const GROUPS_MAX: usize = 10_000;

/// Most alerts of one group.
const LINES_MAX: usize = 100;

/// How long an acknowledgement is reported to the other bridge, in ms.
const ACKNOWLEDGED_MS: u64 = 600_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Escalations {
    /// By group, whatever the chat.
    waiting: BTreeMap<ChatQueue, Unacknowledged>,
    /// The times of acknowledgements, in milliseconds since 1970.
    acknowledged: BTreeMap<ChatQueue, u64>,
}

impl Escalations {
    /// Restores a group of the last run.
    pub(super) fn restore(&mut self, key: ChatQueue, group: Unacknowledged) {
        self.waiting.insert(key, group);
    }

    /// Appends all records that the journal needs to restore this part.
    pub(super) fn records(&self, all: &mut Vec<JournalRecord>) {
        let record = |(key, group): (&ChatQueue, &Unacknowledged)| JournalRecord {
            key: RecordKey::Unacknowledged(key.clone()),
            value: Some(RecordValue::Unacknowledged(Box::new(group.clone()))),
        };
        all.extend(self.waiting.iter().map(record));
    }

    /// Whether no group is unacknowledged.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Number of unacknowledged groups.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Notes that these lines of the message `of` were sent: critical alerts that fire are to be
    /// acknowledged, and those that ended are removed.
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

    /// Sets the unacknowledged alerts of a group.
    fn set(&mut self, key: ChatQueue, group: Unacknowledged, call: &mut Call<'_>) {
        if group.alerts.is_empty() {
            call.forget(RecordKey::Unacknowledged(key));
            return;
        }
        let value = RecordValue::Unacknowledged(Box::new(group.clone()));
        call.keep(RecordKey::Unacknowledged(key.clone()), value);
        self.waiting.insert(key, group);
    }

    /// Groups with alerts that were not acknowledged in time, with the escalation chat of their
    /// route.
    pub(super) fn due(&self, now: Timestamps, options: &Options) -> Vec<(ChatQueue, String)> {
        let due = |(key, group): (&ChatQueue, &Unacknowledged)| {
            let (route, true) = options.route(&key.route)? else { return None };
            let mut alerts = group.alerts.values();
            let is_due = alerts.any(|alert| alert.is_due(route.escalate_after_s, now));
            is_due.then(|| (key.clone(), route.escalation.clone()))
        };
        self.waiting.iter().filter_map(due).collect()
    }

    /// Escalates the due alerts of a group. Returns what the escalation chat is to be told.
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

    /// Acknowledges a group. Returns its alerts, if there were any.
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

    /// The groups that were acknowledged here, and how long ago. A duration is the same for both
    /// bridges, whatever their clocks say.
    pub(super) fn acknowledged_ago(&self, now: Timestamps) -> Vec<(ChatQueue, u64)> {
        let ago = |at_ms: &u64| now.unix_ms.saturating_sub(*at_ms);
        let fresh = self.acknowledged.iter().filter(|(_, at_ms)| ago(at_ms) < ACKNOWLEDGED_MS);
        fresh.map(|(key, at_ms)| (key.clone(), ago(at_ms))).collect()
    }

    /// A group was acknowledged at the other bridge so long ago. Alerts that began since then were
    /// not.
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
