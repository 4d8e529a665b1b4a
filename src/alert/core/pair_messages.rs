//! What two bridges say to each other.
//!
//! Deliberately absent: what follows from it (`pair`, `peer`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::alert::model::pending::ChatQueue;
use crate::alert::model::sent_state::SentState;

/// What one bridge asks the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairQuestion {
    /// What was told since then, by the clock of whoever is asked.
    pub since_ms: u64,
}

/// What a bridge says about itself and about what it has told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairAnswer {
    /// What its chat queues have been told, oldest first.
    #[serde(rename = "told")]
    pub sent: Vec<(ChatQueue, SentState)>,
    /// Since when to ask next.
    pub until_ms: u64,
    /// There is more than one answer has room for.
    pub more: bool,
    /// Chat queues with a message on its way: nobody else tells these at the moment.
    pub under_way: Vec<ChatQueue>,
    /// Groups that somebody acknowledged there, and how many ms ago.
    #[serde(default)]
    pub acknowledged_ago: Vec<(ChatQueue, u64)>,
    /// What it is; `None` from one that knows of no turns.
    #[serde(default)]
    pub role: Option<PairRole>,
    /// The turns of its chats that were passed at least once.
    #[serde(default)]
    pub turns: BTreeMap<String, u64>,
    /// Hashes of the chat queues in which something waits there; `None` when these are too many.
    #[serde(default)]
    pub waiting: Option<BTreeSet<u64>>,
    /// Of these, the ones whose message may have arrived.
    #[serde(default, rename = "doubtful")]
    pub unconfirmed: Vec<ChatQueue>,
}

/// Which of the two a bridge is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PairRole {
    /// It is set to be the first one.
    pub is_first: bool,
    /// When it began, in milliseconds since 1970.
    pub began_ms: u64,
}
