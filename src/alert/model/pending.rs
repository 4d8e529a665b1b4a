//! What a chat has to be told about a group.
//!
//! Invariant: an alert stands in a chat queue's pending lines at most once, with its newest
//! state.
//!
//! Deliberately absent: what a chat has been told (`sent_state`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::{Alert, Pairs};

/// One chat's line of messages about one group. Its messages go one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ChatQueue {
    /// The route that it came by.
    pub route: String,
    /// The chat.
    pub chat: String,
    /// Alertmanager's group.
    pub group_key: String,
}

/// What is to be told about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Transition {
    /// It has begun.
    Firing,
    /// It has been told before, and is still so.
    Still,
    /// It began and ended while it waited.
    FiredAndRecovered,
    /// It is over.
    Recovered,
}

/// An alert with its story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertLine {
    /// The alert as it was said last.
    pub alert: Alert,
    /// What is to be told about it.
    #[serde(rename = "story")]
    pub transition: Transition,
    /// What was done about it, in words.
    #[serde(default)]
    pub action: String,
    /// It only outlives its cause: until then it is not told, in milliseconds since 1970;
    /// 0 when it is told like any other.
    #[serde(default)]
    pub held_until_ms: u64,
}

impl AlertLine {
    /// What is told of an alert with which nothing was done.
    pub fn new(alert: Alert, transition: Transition) -> AlertLine {
        AlertLine { alert, transition, action: String::new(), held_until_ms: 0 }
    }

    /// Where it stands in a message: what begins before what ends, critical before
    /// others, older before newer.
    pub fn rank(&self) -> (Transition, bool, u64) {
        (self.transition, !self.alert.is_critical(), self.alert.starts_ms)
    }
}

/// What waits in a chat queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedAlerts {
    /// By fingerprint.
    pub lines: BTreeMap<String, AlertLine>,
    /// What the group's alerts have in common.
    pub group_labels: Pairs,
    /// Since when the oldest waits, in milliseconds since 1970.
    pub since_ms: u64,
    /// Alerts that fire unchanged beside these.
    pub still: u64,
    /// Alerts that Alertmanager left out.
    pub truncated: u64,
    /// An earlier try may have arrived.
    #[serde(rename = "doubtful")]
    pub unconfirmed: bool,
    /// A robot found its message too long, so the next one is short and plain.
    pub plain: bool,
    /// The route that was asked for, where there is no such route.
    pub unknown_route: String,
    /// Where Alertmanager is.
    pub external_url: String,
    /// Something critical is among those that Alertmanager, or a limit, left out.
    #[serde(default)]
    pub truncated_critical: bool,
    /// Alerts that one message may have, since a larger one was refused; 0 for any.
    #[serde(default)]
    pub piece_max: usize,
    /// How it went so far.
    #[serde(default, rename = "tries")]
    pub attempts: SendAttempts,
    /// What is told beside alerts, one line each; nothing that a stranger wrote as it is.
    #[serde(default)]
    pub words: Vec<String>,
    /// Nobody acknowledged these for so long, in seconds; 0 for what was told now.
    #[serde(default)]
    pub unacknowledged_s: u64,
}

/// What became of earlier tries to tell something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendAttempts {
    /// How many there were that the robots' rates are not to blame for.
    pub count: u32,
    /// When the last of them failed, in milliseconds since 1970.
    #[serde(default)]
    pub failed_ms: u64,
    /// Until when others go first, in milliseconds since 1970.
    #[serde(rename = "rests_until_ms")]
    pub backoff_until_ms: u64,
    /// How many of them failed after its robot had delivered something else since the one
    /// before.
    #[serde(default)]
    pub alone_count: u32,
}

/// How long others go first when a robot is ready again after a failure, in ms.
const OTHERS_FIRST_MS: u64 = 5_000;

/// The longest rest of what fails by itself, in ms: the longest back-off of a robot, and
/// the time of others. What is critical is tried again within a minute.
const BACKOFF_MS_MAX: u64 = 40_000;

impl SendAttempts {
    /// The same, when one more failed, by a robot that rests until `ready_ms` and delivered something
    /// last at `delivered_ms`. The first try after it may be another robot's, at once; later
    /// ones let others go first.
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

    /// The same, when one was refused: the next one is another, and waits for nothing.
    pub fn refused(self, now_ms: u64) -> SendAttempts {
        let count = self.count.saturating_add(1);
        SendAttempts { count, failed_ms: now_ms, backoff_until_ms: 0, ..self }
    }

    /// Whether others go first for now. A clock that was set back holds nothing up.
    pub fn is_backing_off(&self, now_ms: u64) -> bool {
        let left_ms = self.backoff_until_ms.saturating_sub(now_ms);
        (1..=BACKOFF_MS_MAX).contains(&left_ms)
    }
}

impl QueuedAlerts {
    /// Whether somebody is to be called.
    pub fn is_critical(&self) -> bool {
        let urgent = |line: &AlertLine| match line.transition {
            Transition::Firing | Transition::Still | Transition::FiredAndRecovered => {
                line.alert.is_critical()
            }
            Transition::Recovered => false,
        };
        self.truncated_critical || self.unheld().any(urgent)
    }

    /// What is told of as soon as a robot takes it.
    pub fn unheld(&self) -> impl Iterator<Item = &AlertLine> {
        self.lines.values().filter(|line| line.held_until_ms == 0)
    }

    /// Whether there is nothing but what only outlives its cause.
    pub fn is_held(&self) -> bool {
        self.unheld().next().is_none() && self.words.is_empty()
    }

    /// Whether nothing is to be told at all.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.words.is_empty()
    }

    /// The same, where what has outlived its cause for too long is an alert of its own; `None`
    /// where there is no such.
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

    /// What is told next, when a message may not have all of it, and the rest.
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
        // What is counted is counted in the last piece.
        (piece.still, piece.truncated, piece.truncated_critical) = (0, 0, false);
        (rest.plain, rest.unconfirmed) = (false, false);
        (piece, rest)
    }

    /// What it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.lines.values().map(|line| line.alert.bytes()).sum::<usize>() + 256
    }
}

/// Takes what is newer about an alert into the lines of a chat queue; both stay in order of time,
/// `newer` coming after.
pub fn merge(lines: &mut BTreeMap<String, AlertLine>, fingerprint: String, newer: AlertLine) {
    let Some(line) = lines.get_mut(&fingerprint) else {
        lines.insert(fingerprint, newer);
        return;
    };
    line.transition = match (line.transition, newer.transition) {
        // Nobody has heard that it began.
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
