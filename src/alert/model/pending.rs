//! The pending alerts of a group for a chat.
//!
//! Invariant: an alert is in the pending lines of a chat queue at most once, with its newest state.
//!
//! Deliberately absent: what was sent already (`sent_state`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::{Alert, Pairs};

/// Names the queue of one chat for one group. Its messages are sent one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChatQueue {
    /// The route of its notifications.
    pub route: String,
    /// The chat.
    pub chat: String,
    /// Alertmanager's group key.
    pub group_key: String,
}

/// The transition of an alert that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transition {
    /// It has started to fire.
    Firing,
    /// It was sent before, and still fires.
    Still,
    /// It fired and recovered while it was pending.
    FiredAndRecovered,
    /// It has recovered.
    Recovered,
}

/// An alert with its transition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertLine {
    /// The alert in its newest state.
    pub alert: Alert,
    /// Its transition.
    #[serde(rename = "story")]
    pub transition: Transition,
    /// A text about the action that was run for it.
    #[serde(default)]
    pub action: String,
    /// The time until which it is held because its cause has just ended, in milliseconds since
    /// 1970; 0 when it is not held.
    #[serde(default)]
    pub held_until_ms: u64,
}

impl AlertLine {
    /// A line without an action.
    pub fn new(alert: Alert, transition: Transition) -> AlertLine {
        AlertLine { alert, transition, action: String::new(), held_until_ms: 0 }
    }

    /// Its place in a message: firing before recovered, critical before others, older before newer.
    pub fn rank(&self) -> (Transition, bool, u64) {
        (self.transition, !self.alert.is_critical(), self.alert.starts_ms)
    }
}

/// The pending alerts of a chat queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedAlerts {
    /// By fingerprint.
    pub lines: BTreeMap<String, AlertLine>,
    /// The labels that the alerts are grouped by.
    pub group_labels: Pairs,
    /// The time since which the oldest waits, in milliseconds since 1970.
    pub since_ms: u64,
    /// Number of other alerts that fire unchanged.
    pub still: u64,
    /// Number of alerts that Alertmanager left out.
    pub truncated: u64,
    /// An earlier attempt may have been delivered.
    #[serde(rename = "doubtful")]
    pub unconfirmed: bool,
    /// A robot found its message too long, so the next one is short and plain.
    pub plain: bool,
    /// The route that was requested, when it does not exist.
    pub unknown_route: String,
    /// The URL of Alertmanager.
    pub external_url: String,
    /// Whether critical alerts are among those that were left out.
    #[serde(default)]
    pub truncated_critical: bool,
    /// Most alerts of one message, since a larger one was refused; 0 for no limit.
    #[serde(default)]
    pub piece_max: usize,
    /// The failed attempts to send it.
    #[serde(default, rename = "tries")]
    pub attempts: SendAttempts,
    /// Lines of text beside alerts, in which texts of strangers are escaped.
    #[serde(default)]
    pub words: Vec<String>,
    /// How long nobody has acknowledged these, in seconds; 0 when they are not escalated.
    #[serde(default)]
    pub unacknowledged_s: u64,
}

/// The failed attempts to send something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAttempts {
    /// Number of failed attempts, apart from rate limits.
    pub count: u32,
    /// The time of the last failure, in milliseconds since 1970.
    #[serde(default)]
    pub failed_ms: u64,
    /// The end of its backoff, in which others go first, in milliseconds since 1970.
    #[serde(rename = "rests_until_ms")]
    pub backoff_until_ms: u64,
    /// How many of them failed although the robot had delivered another message since the failure
    /// before.
    #[serde(default)]
    pub alone_count: u32,
}

/// How long others go first when a robot is ready again, in ms.
const OTHERS_FIRST_MS: u64 = 5_000;

/// The longest backoff, in ms: the longest pause of a robot, and the time of others. Critical
/// alerts are retried within a minute.
const BACKOFF_MS_MAX: u64 = 40_000;

impl SendAttempts {
    /// Adds a failure of a robot that is paused until `ready_ms`, and whose last delivery was at
    /// `delivered_ms`. The first retry may be another robot's, at once; before later ones others go
    /// first.
    pub fn failed(self, now_ms: u64, ready_ms: u64, delivered_ms: u64) -> SendAttempts {
        let is_alone = self.count > 0 && delivered_ms > self.failed_ms;
        let count = self.count.saturating_add(1);
        let rest_ms = match count {
            0 | 1 => 0,
            _ => ready_ms.saturating_sub(now_ms) + OTHERS_FIRST_MS,
        };
        SendAttempts {
            count,
            failed_ms: now_ms,
            backoff_until_ms: now_ms.saturating_add(rest_ms.min(BACKOFF_MS_MAX)),
            alone_count: self.alone_count.saturating_add(u32::from(is_alone)),
        }
    }

    /// Adds a refusal: the next attempt has other content, so it follows at once.
    pub fn refused(self, now_ms: u64) -> SendAttempts {
        let count = self.count.saturating_add(1);
        SendAttempts { count, failed_ms: now_ms, backoff_until_ms: 0, ..self }
    }

    /// Whether others go first now. A clock that was set back causes no delay.
    pub fn is_backing_off(&self, now_ms: u64) -> bool {
        let left_ms = self.backoff_until_ms.saturating_sub(now_ms);
        (1..=BACKOFF_MS_MAX).contains(&left_ms)
    }
}

impl QueuedAlerts {
    /// Whether a critical alert is among them that did not just recover.
    pub fn is_critical(&self) -> bool {
        let urgent = |line: &AlertLine| match line.transition {
            Transition::Firing | Transition::Still | Transition::FiredAndRecovered => {
                line.alert.is_critical()
            }
            Transition::Recovered => false,
        };
        self.truncated_critical || self.unheld().any(urgent)
    }

    /// The lines that are not held.
    pub fn unheld(&self) -> impl Iterator<Item = &AlertLine> {
        self.lines.values().filter(|line| line.held_until_ms == 0)
    }

    /// Whether all lines are held.
    pub fn is_held(&self) -> bool {
        self.unheld().next().is_none() && self.words.is_empty()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.words.is_empty()
    }

    /// Releases lines whose time to be held is over; `None` when there are none.
    pub fn released(&self, now_ms: u64) -> Option<QueuedAlerts> {
        let is_over = |line: &AlertLine| line.held_until_ms > 0 && line.held_until_ms <= now_ms;
        if !self.lines.values().any(is_over) {
            return None;
        }
        let mut released = self.clone();
        for line in released.lines.values_mut().filter(|line| is_over(line)) {
            line.held_until_ms = 0;
        }
        if self.is_held() {
            released.since_ms = now_ms;
        }
        Some(released)
    }

    /// Splits off the alerts of the next message.
    pub fn split(self) -> (QueuedAlerts, QueuedAlerts) {
        let (mut piece, mut rest) = (self.clone(), self);
        rest.words.clear();
        let mut order: Vec<(&String, &AlertLine)> =
            rest.lines.iter().filter(|(_, line)| line.held_until_ms == 0).collect();
        if rest.piece_max == 0 || order.len() <= rest.piece_max {
            piece.lines.retain(|_, line| line.held_until_ms == 0);
            rest.lines.retain(|_, line| line.held_until_ms > 0);
            (rest.plain, rest.unconfirmed, rest.attempts) = (false, false, SendAttempts::default());
            return (piece, rest);
        }
        order.sort_by_key(|(_, line)| line.rank());
        let first: Vec<String> =
            order.into_iter().take(rest.piece_max).map(|(name, _)| name.clone()).collect();
        piece.lines.clear();
        for name in first {
            if let Some(line) = rest.lines.remove(&name) {
                piece.lines.insert(name, line);
            }
        }
        // Counts are for the last piece.
        (piece.still, piece.truncated, piece.truncated_critical) = (0, 0, false);
        (rest.plain, rest.unconfirmed) = (false, false);
        (piece, rest)
    }

    /// Its approximate size in memory.
    pub fn bytes(&self) -> usize {
        self.lines.values().map(|line| line.alert.bytes()).sum::<usize>() + 256
    }
}

/// Merges a newer line about an alert into the lines of a chat queue.
pub fn merge(lines: &mut BTreeMap<String, AlertLine>, fingerprint: String, newer: AlertLine) {
    let Some(line) = lines.get_mut(&fingerprint) else {
        lines.insert(fingerprint, newer);
        return;
    };
    line.transition = match (line.transition, newer.transition) {
        // Its start was not sent.
        (Transition::Firing | Transition::FiredAndRecovered, Transition::Recovered) => {
            Transition::FiredAndRecovered
        }
        (Transition::Firing, Transition::Still) => Transition::Firing,
        (
            Transition::Firing
            | Transition::Still
            | Transition::FiredAndRecovered
            | Transition::Recovered,
            transition,
        ) => transition,
    };
    if !newer.action.is_empty() {
        line.action = newer.action;
    }
    line.alert = newer.alert;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(transition: Transition, starts_ms: u64) -> AlertLine {
        let firing = matches!(transition, Transition::Firing | Transition::Still);
        AlertLine {
            alert: Alert { firing, starts_ms, ..Alert::default() },
            transition,
            action: String::new(),
            held_until_ms: 0,
        }
    }

    #[test]
    fn the_newest_state_wins_and_what_nobody_heard_of_is_told_once() {
        use Transition::{FiredAndRecovered, Firing, Recovered, Still};
        #[track_caller]
        fn check(waits: Transition, comes: Transition, want: Transition) {
            let mut pending = QueuedAlerts::default();
            merge(&mut pending.lines, "a".to_owned(), line(waits, 1));
            merge(&mut pending.lines, "a".to_owned(), line(comes, 2));
            let merged = &pending.lines["a"];
            assert_eq!(
                (pending.lines.len(), merged.transition, merged.alert.starts_ms),
                (1, want, 2)
            );
        }
        check(Firing, Firing, Firing);
        check(Firing, Still, Firing);
        check(Firing, Recovered, FiredAndRecovered);
        check(Still, Recovered, Recovered);
        check(Still, Firing, Firing);
        check(FiredAndRecovered, Recovered, FiredAndRecovered);
        check(FiredAndRecovered, Firing, Firing);
        check(Recovered, Firing, Firing);
        check(Recovered, Recovered, Recovered);
    }

    #[test]
    fn what_may_not_be_told_as_a_whole_is_told_in_pieces_critical_first() {
        let mut pending =
            QueuedAlerts { piece_max: 2, still: 3, plain: true, ..QueuedAlerts::default() };
        for name in ["a", "b", "c", "d", "e"] {
            merge(&mut pending.lines, name.to_owned(), line(Transition::Firing, 1));
        }
        let critical = ("severity".to_owned(), "critical".to_owned());
        pending.lines.get_mut("e").unwrap().alert.labels.insert(critical.0, critical.1);
        let mut pieces = Vec::new();
        while !pending.lines.is_empty() {
            let piece;
            (piece, pending) = pending.split();
            pieces.push((piece.lines.keys().cloned().collect::<String>(), piece.still));
        }
        assert_eq!(pieces, [("ae".to_owned(), 0), ("bc".to_owned(), 0), ("d".to_owned(), 3)]);
    }

    #[test]
    fn what_fails_by_itself_lets_others_go_first() {
        let mut attempts = SendAttempts::default();
        attempts = attempts.failed(1_000, 3_000, 0);
        assert!(!attempts.is_backing_off(1_000), "another robot may try at once");
        attempts = attempts.failed(1_000, 3_000, 0);
        assert!(
            attempts.is_backing_off(1_000)
                && attempts.is_backing_off(7_999)
                && !attempts.is_backing_off(8_000)
        );
        attempts = attempts.failed(5_000, 999_000, 0);
        assert!(
            !attempts.is_backing_off(45_000)
                && attempts.is_backing_off(44_999)
                && attempts.alone_count == 0
        );
        attempts = attempts.failed(50_000, 0, 6_000);
        attempts = attempts.failed(51_000, 0, 6_000);
        assert_eq!(attempts.alone_count, 1, "others arrived between");
        assert!(!attempts.is_backing_off(0), "a clock that was set back");
    }

    #[test]
    fn a_message_is_urgent_while_something_critical_is_told() {
        let mut pending = QueuedAlerts::default();
        let mut critical = line(Transition::Firing, 1);
        critical.alert.labels.insert("severity".to_owned(), "critical".to_owned());
        merge(&mut pending.lines, "a".to_owned(), line(Transition::Firing, 1));
        assert!(!pending.is_critical());
        merge(&mut pending.lines, "b".to_owned(), critical.clone());
        assert!(pending.is_critical());
        critical.transition = Transition::Recovered;
        pending.lines.insert("b".to_owned(), critical);
        assert!(!pending.is_critical());
    }
}
