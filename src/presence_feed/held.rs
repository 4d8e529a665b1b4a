//! Messages that found nobody, while it is not known whether their user is away: a page may be
//! loading, and the connection that just went may still be in the table.
//!
//! Deliberately absent: whether the user is there (`table`).

use super::fact::WaitingMessage;
use crate::base::MonotonicMs;

/// Conversations of one user; a message of one more is told at once, and at worst a push too many
/// is sent.
const HELD_CONVERSATIONS_MAX: usize = 16;

/// See the module. Nearly always empty.
#[derive(Debug, Default)]
pub(super) struct HeldMessages(Vec<HeldMessage>);

#[derive(Debug)]
struct HeldMessage {
    message: WaitingMessage,
    until: MonotonicMs,
}

impl HeldMessages {
    /// Holds messages, with those of the same conversation. Gives them back when there is no room.
    pub fn hold(&mut self, message: WaitingMessage, until: MonotonicMs) -> Option<WaitingMessage> {
        let same = self.0.iter_mut().find(|held| held.message.channel == message.channel);
        if let Some(held) = same {
            held.until = until;
            let count = held.message.count.saturating_add(message.count);
            let offset = held.message.offset.max(message.offset);
            held.message = WaitingMessage { count, offset, ..message };
            return None;
        }
        if HELD_CONVERSATIONS_MAX <= self.0.len() {
            return Some(message);
        }
        self.0.push(HeldMessage { message, until });
        None
    }

    /// The user is here again. What waits is read by that connection, if it stays so long.
    pub fn hold_until(&mut self, until: MonotonicMs) {
        self.0.iter_mut().for_each(|held| held.until = until);
    }

    /// Drops what was held long enough by a user who is here.
    pub fn settle(&mut self, now: MonotonicMs) {
        self.0.retain(|held| now < held.until);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them: the user is gone.
    pub fn into_messages(self) -> impl Iterator<Item = WaitingMessage> {
        self.0.into_iter().map(|held| held.message)
    }
}
