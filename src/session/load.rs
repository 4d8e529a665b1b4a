//! The load of the core that serves a session, and whether it is late.
//!
//! Deliberately absent: the measurement (the shard), and the consequences for sessions.

/// How punctual a core is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CorePace {
    /// It is on time.
    #[default]
    OnTime,
    /// It is late: fewer peers are accepted, or none, and no suspect is closed.
    Late,
    /// It is so late that new subscriptions are refused, too.
    FarBehind,
}

/// The load of a core, as far as sessions need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreLoad {
    /// Connections of all shards that share the core.
    pub core_connections: u64,
    /// How late its timers fired last.
    pub lag_ms: u64,
    /// Its pace, which follows from that.
    pub pace: CorePace,
}
