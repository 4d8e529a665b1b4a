//! The states of alerts that a chat queue was notified of, and how a new state differs.
//!
//! Invariant: only what robots have confirmed is noted here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::pending::AlertLine;

/// The state of an alert, as it was last reported.
///
/// An alert is identified by its labels and not by its start: each Prometheus has its own, and
/// Alertmanager reports the earliest that it knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertState {
    /// Whether it fires.
    pub firing: bool,
    /// The time of its start.
    pub starts_ms: u64,
    /// The time of its end; while it fires, of its end before that. 0 when it is unknown.
    #[serde(default)]
    pub ends_ms: u64,
}

/// How a state differs from an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertChange {
    /// It does not, or only in its start.
    Same,
    /// The alert has started to fire.
    Begun,
    /// The alert has ended.
    Ended,
}

impl From<&Alert> for AlertState {
    fn from(alert: &Alert) -> AlertState {
        AlertState { firing: alert.firing, starts_ms: alert.starts_ms, ends_ms: alert.ends_ms }
    }
}

impl AlertState {
    /// How `self` differs from `known`.
    ///
    /// In doubt it is sent: an end that is sent too early is corrected by the next notification,
    /// and one that is not sent is lost.
    pub fn since(self, known: Option<AlertState>) -> AlertChange {
        let Some(known) = known else {
            return if self.firing { AlertChange::Begun } else { AlertChange::Ended };
        };
        // An end that was sent already comes late from another Alertmanager.
        let is_later_end = known.ends_ms == 0 || self.ends_ms == 0 || self.ends_ms > known.ends_ms;
        match (known.firing, self.firing) {
            (true, true) => AlertChange::Same,
            (false, true) => AlertChange::Begun,
            (true, false) if is_later_end => AlertChange::Ended,
            // Its second start was not sent.
            (false, false)
                if known.ends_ms > 0 && is_later_end && self.starts_ms > known.ends_ms =>
            {
                AlertChange::Ended
            }
            (true | false, false) => AlertChange::Same,
        }
    }

    /// The state that is known after `self` was sent to a chat that knew `known`.
    pub fn after(self, known: Option<AlertState>) -> AlertState {
        let mut state = self;
        let Some(known) = known else { return state };
        if self.firing {
            // An end before this start was sent; one after it is still to be sent.
            let is_over = known.ends_ms > 0 && known.ends_ms <= self.starts_ms;
            state.ends_ms = if is_over { known.ends_ms } else { 0 };
        }
        if known.firing && known.starts_ms > 0 {
            state.starts_ms = state.starts_ms.min(known.starts_ms);
        }
        state
    }
}

/// The alerts that a chat queue was notified of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentState {
    /// By fingerprint.
    pub states: BTreeMap<String, AlertState>,
    /// The time of the last delivery, in milliseconds since 1970.
    pub at_ms: u64,
}

impl SentState {
    /// The states after the delivery of these lines.
    pub fn after<'a>(
        self,
        lines: impl Iterator<Item = (&'a String, &'a AlertLine)>,
        now_ms: u64,
    ) -> SentState {
        let mut states = self.states;
        for (fingerprint, line) in lines {
            let known = states.get(fingerprint).copied();
            let state = AlertState::from(&line.alert).after(known);
            states.insert(fingerprint.clone(), state);
        }
        SentState { states, at_ms: now_ms }
    }

    /// Whether none of the alerts fires.
    pub fn is_over(&self) -> bool {
        !self.states.values().any(|state| state.firing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_known_by_its_labels_whatever_its_beginning() {
        let firing = |starts_ms| AlertState { firing: true, starts_ms, ends_ms: 0 };
        let over = |starts_ms, ends_ms| AlertState { firing: false, starts_ms, ends_ms };
        #[track_caller]
        fn check(said: &[AlertState], want: &[AlertChange]) {
            let mut known = None;
            let mut changes = Vec::new();
            for state in said {
                let change = state.since(known);
                changes.push(change);
                if change != AlertChange::Same {
                    known = Some(state.after(known));
                }
            }
            assert_eq!(changes, want);
        }
        use AlertChange::{Begun, Ended, Same};
        check(&[firing(20), firing(5), over(5, 300)], &[Begun, Same, Ended]);
        check(&[firing(5), firing(20), over(20, 300)], &[Begun, Same, Ended]);
        check(&[firing(20), over(5, 10)], &[Begun, Ended]);
        check(&[firing(20), over(5, 0)], &[Begun, Ended]);
        // Two Prometheis do not agree on the end either.
        check(&[firing(5), over(5, 300), over(20, 290), over(5, 310)], &[Begun, Ended, Same, Same]);
        // It fires again, with a beginning of its own or with the first one.
        check(
            &[firing(5), over(5, 300), firing(400), over(400, 500)],
            &[Begun, Ended, Begun, Ended],
        );
        check(&[firing(5), over(5, 300), firing(5), over(5, 300)], &[Begun, Ended, Begun, Ended]);
        check(&[firing(5), over(5, 300), firing(2), over(2, 310)], &[Begun, Ended, Begun, Ended]);
        // The first end comes late from another Alertmanager.
        check(
            &[firing(5), over(5, 300), firing(400), over(5, 300), over(400, 500)],
            &[Begun, Ended, Begun, Same, Ended],
        );
        // Nobody said that it fired meanwhile.
        check(&[firing(5), over(5, 300), over(400, 500)], &[Begun, Ended, Ended]);
        check(&[over(5, 300), over(5, 300)], &[Ended, Same]);
    }
}
