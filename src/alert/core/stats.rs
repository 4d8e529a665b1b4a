//! All that `/metrics` shows, at one moment.
//!
//! Deliberately absent: the names of the metrics (`counts`), and their text.

use std::sync::Arc;

use super::counts::BridgeCounts;
use super::pair_messages::PairQuestion;
use super::record::RefusedMessage;

/// What `/metrics` shows of a robot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RobotStats {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub channel: &'static str,
    /// Whether it rests.
    pub rests: bool,
    /// Whether it takes nothing from us.
    pub rejects: bool,
}

/// All that `/metrics` shows, at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BridgeStats {
    /// What happened so far.
    pub counts: BridgeCounts,
    /// Alerts that wait.
    pub depth: u64,
    /// Since when the oldest waits, in milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// What is known of each robot.
    pub robots: Vec<RobotStats>,
    /// What chats refused, by its number.
    pub refused: Vec<(u64, Arc<RefusedMessage>)>,
    /// Whether the queue can be written.
    pub disk_ok: bool,
    /// When the watchdog was heard last, or began to be waited for.
    pub watchdog_ms: u64,
    /// When the configuration was read last.
    pub reloaded_ms: u64,
    /// Whether this bridge tells, or the other one.
    pub tells: bool,
    /// Chats, and whether a robot there talks to this bridge.
    pub chats: Vec<(String, bool)>,
    /// Groups that wait to be acknowledged.
    pub unacknowledged: u64,
    /// What to ask the other bridge next.
    pub question: PairQuestion,
}
