//! What a chat has to be told about a group, and what it has been told.
//!
//! Invariant: an alert stands in a lane's pending lines at most once, with its newest
//! state; what it has been told is what the robots have confirmed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::payload::{Alert, Pairs};

/// One chat's line of messages about one group. Its messages go one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Lane {
    /// The route that it came by.
    pub route: String,
    /// The chat.
    pub chat: String,
    /// Alertmanager's group.
    pub group_key: String,
}

/// What is to be told about an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Story {
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
pub struct Line {
    /// The alert as it was said last.
    pub alert: Alert,
    /// What is to be told about it.
    pub story: Story,
    /// What was done about it, in words.
    #[serde(default)]
    pub action: String,
}

/// What waits in a lane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// By fingerprint.
    pub lines: BTreeMap<String, Line>,
    /// What the group's alerts have in common.
    pub group_labels: Pairs,
    /// Since when the oldest waits, in milliseconds since 1970.
    pub since_ms: u64,
    /// Alerts that fire unchanged beside these.
    pub still: u64,
    /// Alerts that Alertmanager left out.
    pub truncated: u64,
    /// An earlier try may have arrived.
    pub doubtful: bool,
    /// A robot found its message too long, so the next one is short and plain.
    pub plain: bool,
    /// The route that was asked for, where there is no such route.
    pub unknown_route: String,
    /// Where Alertmanager is.
    pub external_url: String,
}

impl Pending {
    /// Whether somebody is to be called.
    pub fn is_critical(&self) -> bool {
        let urgent = |line: &Line| match line.story {
            Story::Firing | Story::Still | Story::FiredAndRecovered => line.alert.is_critical(),
            Story::Recovered => false,
        };
        self.lines.values().any(urgent)
    }

    /// What it takes in memory, roughly.
    pub fn bytes(&self) -> usize {
        self.lines.values().map(|line| line.alert.bytes()).sum::<usize>() + 256
    }

    /// Takes what is newer; both stay in order of time, `newer` coming after.
    pub fn merge(&mut self, fingerprint: String, newer: Line) {
        let Some(line) = self.lines.get_mut(&fingerprint) else {
            self.lines.insert(fingerprint, newer);
            return;
        };
        line.story = match (line.story, newer.story) {
            // Nobody has heard that it began.
            (Story::Firing | Story::FiredAndRecovered, Story::Recovered) => {
                Story::FiredAndRecovered
            }
            (Story::Firing, Story::Still) => Story::Firing,
            (Story::Firing | Story::Still | Story::FiredAndRecovered | Story::Recovered, story) => {
                story
            }
        };
        if !newer.action.is_empty() {
            line.action = newer.action;
        }
        line.alert = newer.alert;
    }
}

/// What an alert was last said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Whether it fires.
    pub firing: bool,
    /// Since when.
    pub starts_ms: u64,
}

impl From<&Alert> for State {
    fn from(alert: &Alert) -> State {
        State { firing: alert.firing, starts_ms: alert.starts_ms }
    }
}

/// What a lane has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// By fingerprint.
    pub states: BTreeMap<String, State>,
    /// When the last message arrived, in milliseconds since 1970.
    pub at_ms: u64,
}

impl Told {
    /// Notes that these lines have arrived.
    pub fn note<'a>(&mut self, lines: impl Iterator<Item = (&'a String, &'a Line)>, now_ms: u64) {
        for (fingerprint, line) in lines {
            self.states.insert(fingerprint.clone(), State::from(&line.alert));
        }
        self.at_ms = now_ms;
    }

    /// Whether nothing of it fires.
    pub fn is_over(&self) -> bool {
        !self.states.values().any(|state| state.firing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(story: Story, starts_ms: u64) -> Line {
        let firing = matches!(story, Story::Firing | Story::Still);
        Line {
            alert: Alert { firing, starts_ms, ..Alert::default() },
            story,
            action: String::new(),
        }
    }

    #[test]
    fn the_newest_state_wins_and_what_nobody_heard_of_is_told_once() {
        use Story::{FiredAndRecovered, Firing, Recovered, Still};
        #[track_caller]
        fn check(waits: Story, comes: Story, want: Story) {
            let mut pending = Pending::default();
            pending.merge("a".to_owned(), line(waits, 1));
            pending.merge("a".to_owned(), line(comes, 2));
            let merged = &pending.lines["a"];
            assert_eq!((pending.lines.len(), merged.story, merged.alert.starts_ms), (1, want, 2));
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
    fn a_message_is_urgent_while_something_critical_is_told() {
        let mut pending = Pending::default();
        let mut critical = line(Story::Firing, 1);
        critical.alert.labels.insert("severity".to_owned(), "critical".to_owned());
        pending.merge("a".to_owned(), line(Story::Firing, 1));
        assert!(!pending.is_critical());
        pending.merge("b".to_owned(), critical.clone());
        assert!(pending.is_critical());
        critical.story = Story::Recovered;
        pending.lines.insert("b".to_owned(), critical);
        assert!(!pending.is_critical());
    }
}
