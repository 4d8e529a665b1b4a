//! What a message is made of.
//!
//! Deliberately absent: what it becomes (`render`).

use crate::alert::model::pending::Pending;
use crate::alert::model::snapshot::Evidence;
use crate::alert::options::{Channel, Route};

/// What a message is made of.
pub struct Draft<'a> {
    /// What is to be told.
    pub pending: &'a Pending,
    /// What was found out.
    pub evidence: &'a Evidence,
    /// How.
    pub route: &'a Route,
    /// By which kind of robot.
    pub channel: Channel,
    /// The chat that should have been told, when this is its fallback.
    pub instead_of: &'a str,
    /// Alerts of this chat that were given up since the last message.
    pub dropped: u64,
    /// The group that it is about.
    pub group_key: &'a str,
    /// What outlives a cause whose end this tells.
    pub outliving: &'a [String],
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}
