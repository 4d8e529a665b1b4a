//! What a message is made of.
//!
//! Deliberately absent: what it becomes (`render`).

use crate::alert::model::pending::QueuedAlerts;
use crate::alert::model::snapshot::Snapshots;
use crate::alert::options::{Messenger, Route};

/// What a message is made of.
pub struct MessageInput<'a> {
    /// What is to be told.
    pub pending: &'a QueuedAlerts,
    /// What was found out.
    pub snapshots: &'a Snapshots,
    /// How.
    pub route: &'a Route,
    /// By which kind of robot.
    pub channel: Messenger,
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
