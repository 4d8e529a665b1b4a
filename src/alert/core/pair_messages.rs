//! The messages between two bridges.
//!
//! Deliberately absent: the decisions (`pair`, `peer`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::alert::model::pending::ChatQueue;
use crate::alert::model::sent_state::SentState;

/// A poll of the other bridge's notification log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairQuestion {
    /// Entries that changed since then, by the clock of the bridge that answers.
    pub since_ms: u64,
}

/// The answer: the bridge's role and turns, and its notification log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairAnswer {
    /// Entries of the notification log, oldest first.
    #[serde(rename = "told")]
    pub sent: Vec<(ChatQueue, SentState)>,
    /// `since_ms` of the next poll.
    pub until_ms: u64,
    /// Whether there are more entries than fit into one answer.
    pub more: bool,
    /// Chat queues with a message in flight: the other bridge does not send these.
    pub under_way: Vec<ChatQueue>,
    /// Groups that were acknowledged there, and how many ms ago.
    #[serde(default)]
    pub acknowledged_ago: Vec<(ChatQueue, u64)>,
    /// Its role; `None` from a version without turns.
    #[serde(default)]
    pub role: Option<PairRole>,
    /// The turn numbers of chats whose turn was passed at least once.
    #[serde(default)]
    pub turns: BTreeMap<String, u64>,
    /// Hashes of the chat queues with something pending; `None` when there are too many.
    #[serde(default)]
    pub waiting: Option<BTreeSet<u64>>,
    /// Chat queues whose message may have been delivered.
    #[serde(default, rename = "doubtful")]
    pub unconfirmed: Vec<ChatQueue>,
}

/// The role of a bridge in a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairRole {
    /// Whether it is configured as the first one.
    pub is_first: bool,
    /// The time of its start, in milliseconds since 1970.
    pub began_ms: u64,
}
