//! Dead letters, as values: what is asked about them while the store is open, and the answers.
//!
//! Deliberately absent: who may ask (`api`), and how a message becomes one.

use std::sync::Arc;

use crate::base::{DeadLetterPlace, RoomId};

/// A pending message that becomes a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// The message's channel.
    pub room: RoomId,
    /// The message's offset.
    pub offset: u64,
    /// The cause.
    pub cause: DeadLetterCause,
    /// The time, Unix ms.
    pub at_unix_ms: u64,
}

/// Why a message is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterCause {
    /// All delivery attempts were used.
    Attempts,
    /// Its time to live is over.
    Expired,
}

impl DeadLetterCause {
    /// Its word, for programs and people.
    pub fn word(self) -> &'static str {
        match self {
            DeadLetterCause::Attempts => "tries",
            DeadLetterCause::Expired => "expired",
        }
    }
}

/// A direct message that waits in the store, for whoever is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDirect {
    /// The personal channel of the user for whom it is.
    pub inbox: RoomId,
    /// The tenant of the conversation.
    pub tenant: Arc<str>,
    /// The conversation.
    pub channel: Arc<str>,
    /// The message's offset there.
    pub offset: u64,
}

/// A message that has become a dead letter, for whoever is told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUpMessage {
    /// The personal channel of the user for whom it was.
    pub inbox: RoomId,
    /// The tenant of the conversation.
    pub tenant: Arc<str>,
    /// The conversation.
    pub channel: Arc<str>,
    /// The message's offset there.
    pub offset: u64,
    /// The cause.
    pub cause: DeadLetterCause,
}

/// A page of dead letters, in the order of their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadLettersQuery {
    /// Those of this reader alone; `None` for those of all.
    pub inbox: Option<RoomId>,
    /// Those behind this place; `None` for the first page.
    pub after: Option<DeadLetterPlace>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// A dead letter, without what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterEntry {
    /// Its place.
    pub place: DeadLetterPlace,
    /// The tenant whose conversation it is.
    pub tenant: Arc<str>,
    /// The conversation.
    pub channel: Arc<str>,
    /// Why it was given up.
    pub cause: DeadLetterCause,
    /// When, Unix ms.
    pub at_unix_ms: u64,
    /// How often it was sent.
    pub tries_count: u16,
}

/// A change of dead letters of one conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangeDeadLetters {
    /// The conversation.
    pub room: RoomId,
    /// The personal channels of its two users.
    pub inboxes: [RoomId; 2],
    /// The message with this offset alone; `None` for all, up to a bound.
    pub offset: Option<u64>,
    /// What becomes of them.
    pub fate: DeadLetterFate,
}

/// What becomes of dead letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterFate {
    /// They wait for their readers again.
    Requeued {
        /// Until then, Unix ms.
        expires_unix_ms: u64,
    },
    /// They are forgotten. What their conversation keeps stays there.
    Dropped,
}

/// What became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChangedDeadLetters {
    /// How many were changed, by reader, in the order of the inboxes that were asked for.
    pub counts: [u64; 2],
    /// Of those that were to wait again: how many stay as they are, as what they said is gone.
    pub empty_count: u64,
    /// Whether the bound was reached, so that there may be more.
    pub is_full: bool,
}
