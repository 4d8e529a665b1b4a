//! What an operator may set for one shard, with the options of the layers in it.
//!
//! Deliberately absent: names, ranges and texts of settings (`config`).

use crate::{room, session, ws};

/// What an operator may set for one shard, and what its layers get.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Connections of this shard; more are answered with 503.
    pub connections_max: u32,
    /// Connections whose upgrade is not finished; more are answered with 503.
    pub handshakes_max: u32,
    /// Shards that share a core with this one, itself included; 0 counts as one.
    pub shards_per_core: u16,
    /// Upgrade and frames.
    pub ws: ws::Options,
    /// One connection.
    pub session: session::Options,
    /// Namespaces and rooms.
    pub room: room::Options,
    /// When clients that make sessions panic are blocked.
    pub quarantine: session::QuarantineOptions,
    /// What is told of single messages.
    pub tracing: TracingOptions,
    /// Who is told who is there.
    pub presence: PresenceListener,
}

/// Who is told of connections and their channels, as they come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PresenceListener {
    /// The presence feed.
    Feed,
    /// Nobody.
    #[default]
    Nobody,
}

/// What an operator may set about telling of single messages.
#[derive(Clone, Debug)]
pub struct TracingOptions {
    /// Which of them are told whatever becomes of them.
    pub tracer: session::TracerOptions,
    /// One that takes so long from its command to its last reader is told, too.
    pub slow_ms: u32,
}

impl Default for TracingOptions {
    fn default() -> TracingOptions {
        TracingOptions { tracer: session::TracerOptions::default(), slow_ms: 400 }
    }
}
