//! What is known of an alert in a chat queue: what waits there, is under way, or was told.
//!
//! Deliberately absent: what follows from that (`intake`).

use std::collections::BTreeMap;

use super::call::Call;
use super::parts::Parts;
use crate::alert::model::pending::{AlertLine, ChatQueue, QueuedAlerts};
use crate::alert::model::sent_state::AlertState;

/// Where an alert's last state is known from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It waits, or is under way.
    Waiting(AlertState),
    /// It has arrived.
    Sent(AlertState),
}

impl Known {
    pub(super) fn state(self) -> AlertState {
        match self {
            Known::Waiting(state) | Known::Sent(state) => state,
        }
    }
}

/// What is known of an alert in a chat queue.
pub(super) fn known(parts: &Parts, chat_queue: &ChatQueue, fingerprint: &str) -> Option<Known> {
    let sent = parts.notification_log.state(chat_queue, fingerprint);
    let waiting = |line: &AlertLine| Known::Waiting(AlertState::from(&line.alert).after(sent));
    let line = parts.queue.line(chat_queue, fingerprint);
    line.map(waiting).or(sent.map(Known::Sent))
}

/// Whether a chat queue knows an alert that fires, or hears of one in a moment.
pub(super) fn fires_in(parts: &Parts, chat_queue: &ChatQueue, fingerprint: &str) -> bool {
    known(parts, chat_queue, fingerprint).is_some_and(|known| known.state().firing)
}

/// Notes what a chat queue has been told of what `of` was.
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
