//! The last known state of an alert in a chat queue: pending, in flight, or sent.
//!
//! Deliberately absent: the decisions (`intake`).

use std::collections::BTreeMap;

use super::call::Call;
use super::parts::Parts;
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts};
use crate::alert::model::sent_state::AlertState;

/// The last known state of an alert.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It is pending or in flight.
    Waiting(AlertState),
    /// It was delivered.
    Sent(AlertState),
}

impl Known {
    pub(super) fn state(self) -> AlertState {
        match self {
            Known::Waiting(state) | Known::Sent(state) => state,
        }
    }
}

/// The last known state of an alert in a chat queue.
pub(super) fn known(parts: &Parts, chat_queue: &ChatQueue, fingerprint: &str) -> Option<Known> {
    let sent = parts.notification_log.state(chat_queue, fingerprint);
    let waiting = |line: &AlertLine| Known::Waiting(AlertState::from(&line.alert).after(sent));
    let line = parts.queue.line(chat_queue, fingerprint);
    line.map(waiting).or(sent.map(Known::Sent))
}

/// Whether the last known state of an alert is that it fires.
pub(super) fn fires_in(parts: &Parts, chat_queue: &ChatQueue, fingerprint: &str) -> bool {
    known(parts, chat_queue, fingerprint).is_some_and(|known| known.state().firing)
}

/// Notes that these lines of the message `of` were sent.
pub(super) fn note(
    parts: &mut Parts,
    chat_queue: &ChatQueue,
    lines: &BTreeMap<String, AlertLine>,
    of: &QueuedAlerts,
    call: &mut Call<'_>,
) {
    if lines.is_empty() {
        return;
    }
    parts.notification_log.note(chat_queue, lines, call);
    parts.escalations.note(chat_queue, lines, of, call);
}
