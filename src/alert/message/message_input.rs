//! The input of a message.
//!
//! Deliberately absent: rendering (`render`).

use crate::alert::model::pending::QueuedAlerts;
use crate::alert::model::snapshot::Snapshots;
use crate::alert::options::{Messenger, Route};

/// The input of a message.
pub struct MessageInput<'a> {
    /// The alerts.
    pub pending: &'a QueuedAlerts,
    /// The snapshots of the alerts.
    pub snapshots: &'a Snapshots,
    /// The route.
    pub route: &'a Route,
    /// The messenger.
    pub channel: Messenger,
    /// The chat whose fallback this is; empty when it is none.
    pub instead_of: &'a str,
    /// Number of alerts of this chat that were dropped since the last message.
    pub dropped: u64,
    /// The group key.
    pub group_key: &'a str,
    /// Names of inhibited alerts that outlive a cause whose end this message reports.
    pub outliving: &'a [String],
    /// Now, in milliseconds since 1970.
    pub now_ms: u64,
}
