//! What a message does to an earlier one of its channel, beside being said itself.
//!
//! Deliberately absent: who may do it (`room`), and how clients see it (`wire::chat`).

use std::sync::Arc;

use crate::wire::Publication;

/// What a message changes, together with its append or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageChange {
    /// What it does.
    pub kind: ChangeKind,
    /// What takes the place of the message that it changes, wherever that stands.
    pub replacement: Arc<Publication>,
    /// Where the last edit of that message stands, if there was one: its words go.
    pub superseded: Option<u64>,
}

/// What is done to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is taken back.
    Retraction,
    /// It gets other words.
    Edit,
}

impl MessageChange {
    /// Which message it changes.
    pub fn target(&self) -> u64 {
        self.replacement.offset
    }

    /// Whether it can be a change by the message at `offset`, which is behind all that it
    /// changes.
    pub fn is_before(&self, offset: u64) -> bool {
        self.target() < offset
            && self.superseded.is_none_or(|edit| self.target() < edit && edit < offset)
    }
}
