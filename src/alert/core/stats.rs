//! The values that `/metrics` shows, at one moment.
//!
//! Deliberately absent: the names of the metrics (`counts`), and their text.

use std::sync::Arc;

use super::counts::BridgeCounts;
use super::pair_messages::PairQuestion;
use super::record::RefusedMessage;

/// The values of one robot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RobotStats {
    /// Its name.
    pub name: String,
    /// Its messenger.
    pub channel: &'static str,
    /// Whether it is paused.
    pub rests: bool,
    /// Whether it rejects everything.
    pub rejects: bool,
}

/// The values that `/metrics` shows, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BridgeStats {
    /// The counters.
    pub counts: BridgeCounts,
    /// Number of pending alerts.
    pub depth: u64,
    /// The time since which the oldest of them waits, in milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// The robots.
    pub robots: Vec<RobotStats>,
    /// The refused alerts, by id.
    pub refused: Vec<(u64, Arc<RefusedMessage>)>,
    /// Whether the queue can be written.
    pub disk_ok: bool,
    /// The time of the last watchdog alert, or of the start.
    pub watchdog_ms: u64,
    /// The time of the last reload.
    pub reloaded_ms: u64,
    /// Whether this bridge sends, and not the other one.
    pub tells: bool,
    /// The chats, and whether a robot of each can be reached.
    pub chats: Vec<(String, bool)>,
    /// Number of unacknowledged groups.
    pub unacknowledged: u64,
    /// The next poll of the other bridge.
    pub question: PairQuestion,
}
