//! What is known of an alert in a lane: what waits there, is under way, or was told.
//!
//! Deliberately absent: what follows from that (`intake`).

use std::collections::BTreeMap;

use super::call::Call;
use super::parts::Parts;
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts};
use crate::alert::model::told::AlertState;

/// Where an alert's last state is known from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It waits, or is under way.
    Waiting(AlertState),
    /// It has arrived.
    Told(AlertState),
}

impl Known {
    pub(super) fn state(self) -> AlertState {
        match self {
            Known::Waiting(state) | Known::Told(state) => state,
        }
    }
}

/// What is known of an alert in a lane.
pub(super) fn known(parts: &Parts, lane: &ChatQueue, fingerprint: &str) -> Option<Known> {
    let told = parts.history.state(lane, fingerprint);
    let waiting = |line: &AlertLine| Known::Waiting(AlertState::from(&line.alert).after(told));
    let line = parts.queue.line(lane, fingerprint);
    line.map(waiting).or(told.map(Known::Told))
}

/// Whether a lane knows an alert that fires, or hears of one in a moment.
pub(super) fn fires_in(parts: &Parts, lane: &ChatQueue, fingerprint: &str) -> bool {
    known(parts, lane, fingerprint).is_some_and(|known| known.state().firing)
}

/// Notes what a lane has been told of what `of` was.
pub(super) fn note(
    parts: &mut Parts,
    lane: &ChatQueue,
    lines: &BTreeMap<String, AlertLine>,
    of: &QueuedAlerts,
    call: &mut Call<'_>,
) {
    if lines.is_empty() {
        return;
    }
    parts.history.note(lane, lines, call);
    parts.escalations.note(lane, lines, of, call);
}
