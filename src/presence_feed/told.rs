//! Which direct messages the log at a start has told of: what the store says again is not told
//! twice.
//!
//! Deliberately absent: messages that were told and whose segment is gone. They are told again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{FeedEvent, FeedNews};
use super::fact::{UserKey, WaitingMessage};

/// By user and conversation: the last of its messages that were told.
#[derive(Debug, Default)]
pub(super) struct ToldMessages(BTreeMap<(UserKey, Arc<str>), u64>);

impl ToldMessages {
    /// The log has this event.
    pub fn restore(&mut self, event: &FeedEvent) {
        if let FeedNews::MessageWaits(message) = &event.news {
            let key = (message.user.clone(), Arc::clone(&message.channel));
            let last = self.0.entry(key).or_default();
            *last = message.offset.max(*last);
        }
    }

    /// Whether this message was told.
    pub fn has(&self, message: &WaitingMessage) -> bool {
        let key = (message.user.clone(), Arc::clone(&message.channel));
        self.0.get(&key).is_some_and(|last| message.offset <= *last)
    }

    /// Nothing is said again from now on.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}
