//! Events, as they are told, and the state that they lead to.
//!
//! Deliberately absent: how they are written (`record`), and when one happens (`table`).

use std::sync::Arc;

use super::fact::{DeadLetterNotice, GoneReason, WaitingMessage};

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its number in the feed.
    pub number: u64,
    /// The number of the event before about the same user or channel; 0 where none is known.
    pub previous: u64,
    /// When it was decided, Unix ms.
    pub at_unix_ms: u64,
    /// The tenant; empty for the only one.
    pub tenant: Arc<str>,
    /// The user that it is about; empty where it is about a channel.
    pub user: Arc<str>,
    /// What happened.
    pub news: FeedNews,
}

/// What an event tells. Closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedNews {
    /// The user's first connection is there.
    Connected,
    /// The user's last connection is gone, and none came in time.
    Disconnected(GoneReason),
    /// The user is in this channel.
    Subscribed(Arc<str>),
    /// The user is in this channel no more.
    Unsubscribed(Arc<str>),
    /// Somebody is in this channel.
    Occupied(Arc<str>),
    /// Nobody is in this channel any more.
    Vacated(Arc<str>),
    /// Direct messages wait for the user, who is not connected.
    MessageWaits(WaitingMessage),
    /// A direct message to the user was given up.
    DeadLetter(DeadLetterNotice),
    /// So many of the last two kinds had no room in the queue.
    NoticesLost(u64),
}

/// Whether an event changes who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NewsClass {
    /// It does: whoever misses it has a wrong table.
    Change,
    /// It is about messages.
    Notice,
}

impl FeedNews {
    /// Its class.
    pub(super) fn class(&self) -> NewsClass {
        match self {
            FeedNews::Connected
            | FeedNews::Disconnected(_)
            | FeedNews::Subscribed(_)
            | FeedNews::Unsubscribed(_)
            | FeedNews::Occupied(_)
            | FeedNews::Vacated(_)
            | FeedNews::NoticesLost(_) => NewsClass::Change,
            FeedNews::MessageWaits(_) | FeedNews::DeadLetter(_) => NewsClass::Notice,
        }
    }
}

/// The last event about a user or a channel that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LastTold {
    /// Its number.
    pub number: u64,
    /// Since when the user or channel is there, Unix ms.
    pub since_unix_ms: u64,
}

/// A user who was told as connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserState {
    /// The tenant; empty for the only one.
    pub tenant: Arc<str>,
    /// The user.
    pub user: Arc<str>,
    /// The number of the last event about it.
    pub number: u64,
    /// Since when it is connected, Unix ms.
    pub since_unix_ms: u64,
    /// The channels that it was told to be in, by name.
    pub channels: Vec<Arc<str>>,
}

/// A channel that was told as occupied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelState {
    /// The tenant; empty for the only one.
    pub tenant: Arc<str>,
    /// The channel.
    pub channel: Arc<str>,
    /// The number of the last event about it.
    pub number: u64,
    /// Since when it is occupied, Unix ms.
    pub since_unix_ms: u64,
}
