//! Critical alerts that somebody has to acknowledge: told to a second chat when nobody
//! does, until they are over.
//!
//! Invariants: an alert is escalated at most once for each time that it begins; it is
//! acknowledged by the group, by whoever has the link; the second chat hears of its end
//! if it heard of its beginning.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{Key, Value};
use super::{Core, Output, forget, keep};
use crate::alert::model::alert::{Pairs, Payload};
use crate::alert::model::pending::{Lane, Line, Pending, Story};
use crate::alert::model::text;
use crate::alert::options::Language;
use crate::base::Now;

/// Groups with something to acknowledge; over it the newest is not escalated, but told as
/// any other.
const GROUPS_MAX: usize = 10_000;

/// Alerts of one group that may be acknowledged.
const LINES_MAX: usize = 100;

/// How long it is remembered that a group was acknowledged, for the other bridge, in ms.
const ACKNOWLEDGED_MS: u64 = 600_000;

/// Group keys of what tells who acknowledged. No group of Alertmanager's begins so.
const WORDS_KEY: &str = "\u{1}acknowledged ";

/// A group whose critical alerts were told and not acknowledged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unacknowledged {
    /// By fingerprint.
    pub alerts: BTreeMap<String, UnacknowledgedAlert>,
    /// What they have in common.
    pub group_labels: Pairs,
    /// Where Alertmanager is.
    pub external_url: String,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnacknowledgedAlert {
    line: Line,
    since_ms: u64,
    is_escalated: bool,
}

/// A group, whatever the chat.
fn group(lane: &Lane) -> Lane {
    Lane { chat: String::new(), ..lane.clone() }
}

impl Core {
    /// These were told, of a message that `of` was: what is critical waits for somebody;
    /// what is over does not.
    pub(super) fn await_acknowledgement(
        &mut self,
        now: Now,
        lane: &Lane,
        lines: &BTreeMap<String, Line>,
        of: &Pending,
        out: &mut Vec<Output>,
    ) {
        let Some((route, true)) = self.settings.options.route(&lane.route) else { return };
        if route.escalation.is_empty() || route.escalation == lane.chat {
            return;
        }
        let key = group(lane);
        let is_known = self.unacknowledged.contains_key(&key);
        if !is_known && self.unacknowledged.len() >= GROUPS_MAX {
            return;
        }
        let mut group = self.unacknowledged.remove(&key).unwrap_or_default();
        for (fingerprint, line) in lines {
            if line.story != Story::Firing && line.alert.firing {
                continue; // a reminder
            }
            if !line.alert.firing {
                group.alerts.remove(fingerprint);
            } else if line.alert.is_critical() && group.alerts.len() < LINES_MAX {
                let alert = UnacknowledgedAlert {
                    line: line.clone(),
                    since_ms: now.unix_ms,
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
        self.keep_unacknowledged(key, group, out);
    }

    fn keep_unacknowledged(&mut self, key: Lane, group: Unacknowledged, out: &mut Vec<Output>) {
        if group.alerts.is_empty() {
            out.push(forget(Key::Unacknowledged(key)));
            return;
        }
        let value = Value::Unacknowledged(Box::new(group.clone()));
        out.push(keep(Key::Unacknowledged(key.clone()), value));
        self.unacknowledged.insert(key, group);
    }

    /// Tells the second chat what nobody has acknowledged in time.
    pub(super) fn escalate(&mut self, now: Now, out: &mut Vec<Output>) {
        let settings = std::sync::Arc::clone(&self.settings);
        let due: Vec<Lane> = self
            .unacknowledged
            .iter()
            .filter(|(key, group)| {
                let Some((route, true)) = settings.options.route(&key.route) else { return false };
                self.may_tell(now, &route.escalation)
                    && group.alerts.values().any(|alert| alert.is_due(route.escalate_after_s, now))
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in due {
            let Some((route, true)) = settings.options.route(&key.route) else { continue };
            let Some(mut group) = self.unacknowledged.remove(&key) else { continue };
            let lane = Lane { chat: route.escalation.clone(), ..key.clone() };
            let mut pending = Pending {
                group_labels: group.group_labels.clone(),
                external_url: group.external_url.clone(),
                since_ms: now.unix_ms,
                unacknowledged_s: route.escalate_after_s,
                ..Pending::default()
            };
            for (fingerprint, alert) in &mut group.alerts {
                if alert.is_due(route.escalate_after_s, now) {
                    alert.is_escalated = true;
                    // The other bridge may have done so before it went.
                    if !self.fires_in(&lane, fingerprint) {
                        pending.merge(fingerprint.clone(), alert.line.clone());
                    }
                }
            }
            self.keep_unacknowledged(key, group, out);
            if !pending.is_empty() {
                self.counts.add(super::counts::Count::Escalated, pending.lines.len() as u64);
                self.put_back(lane, pending, out);
            }
        }
    }

    /// Somebody takes care of a group; whether there was something to acknowledge.
    pub(super) fn acknowledge(
        &mut self,
        now: Now,
        route: &str,
        group_key: &str,
        who: &str,
        out: &mut Vec<Output>,
    ) -> bool {
        let key =
            Lane { route: route.to_owned(), chat: String::new(), group_key: group_key.to_owned() };
        let Some(group) = self.unacknowledged.remove(&key) else { return false };
        out.push(forget(Key::Unacknowledged(key.clone())));
        self.acknowledged.retain(|_, at_ms| now.unix_ms.saturating_sub(*at_ms) < ACKNOWLEDGED_MS);
        self.acknowledged.insert(key.clone(), now.unix_ms);
        let settings = std::sync::Arc::clone(&self.settings);
        let Some((route, true)) = settings.options.route(route) else { return true };
        let mut names: Vec<String> = group
            .alerts
            .values()
            .map(|alert| text::of_operator(alert.line.alert.label("alertname"), 100))
            .collect();
        names.sort_unstable();
        names.dedup();
        names.truncate(5);
        let (who, names) = (text::of_operator(who, 64), names.join(", "));
        let words = match route.language {
            Language::En => format!("{who} takes care of {names}"),
            Language::Zh => format!("{who} 已接手处理：{names}"),
        };
        let was_escalated = group.alerts.values().any(|alert| alert.is_escalated);
        let second = Some(&route.escalation).filter(|_| was_escalated);
        for chat in route.chats.iter().chain(second) {
            let lane = Lane {
                route: key.route.clone(),
                chat: chat.clone(),
                group_key: format!("{WORDS_KEY}{group_key}"),
            };
            let pending =
                Pending { words: vec![words.clone()], since_ms: now.unix_ms, ..Pending::default() };
            self.put_back(lane, pending, out);
        }
        true
    }

    /// What was acknowledged here, and how long ago, for the other bridge. A time that passed
    /// is the same for both, whatever their clocks say.
    pub(super) fn acknowledged_here(&self, now: Now) -> Vec<(Lane, u64)> {
        let ago = |at_ms: &u64| now.unix_ms.saturating_sub(*at_ms);
        let fresh = self.acknowledged.iter().filter(|(_, at_ms)| ago(at_ms) < ACKNOWLEDGED_MS);
        fresh.map(|(key, at_ms)| (key.clone(), ago(at_ms))).collect()
    }

    /// It was acknowledged at the other bridge so long ago. What began since then was not.
    pub(super) fn acknowledged_elsewhere(
        &mut self,
        now: Now,
        key: &Lane,
        ago_ms: u64,
        out: &mut Vec<Output>,
    ) {
        let at_ms = now.unix_ms.saturating_sub(ago_ms);
        let Some(mut group) = self.unacknowledged.remove(key) else { return };
        let before = group.alerts.len();
        group.alerts.retain(|_, alert| alert.since_ms > at_ms);
        if group.alerts.len() == before {
            self.unacknowledged.insert(key.clone(), group);
            return;
        }
        self.keep_unacknowledged(key.clone(), group, out);
    }

    /// What of a notification the second chat hears: the end of what it was told.
    pub(super) fn take_escalated(
        &mut self,
        now: Now,
        lane: Lane,
        payload: &Payload,
        out: &mut Vec<Output>,
    ) {
        let ends = |alert: &&crate::alert::model::alert::Alert| {
            !alert.firing && self.fires_in(&lane, &alert.fingerprint)
        };
        let alerts: Vec<_> = payload.alerts.iter().filter(ends).cloned().collect();
        if alerts.is_empty() {
            return;
        }
        let payload = Payload {
            group_key: payload.group_key.clone(),
            group_labels: payload.group_labels.clone(),
            external_url: payload.external_url.clone(),
            alerts,
            ..Payload::default()
        };
        self.take(now, lane, &payload, "", &BTreeMap::new(), out);
    }
}

impl UnacknowledgedAlert {
    fn is_due(&self, after_s: u64, now: Now) -> bool {
        let waited_ms = now.unix_ms.saturating_sub(self.since_ms);
        !self.is_escalated && waited_ms >= after_s * 1_000
    }
}
