//! What a session has to know of the core that serves it: how much it has to do, and
//! whether it keeps its times.
//!
//! Deliberately absent: the measure (the shard's), and what sessions make of it.

/// How a core keeps its times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CorePace {
    /// As it should.
    #[default]
    OnTime,
    /// Late: fewer peers are accepted, or none, and nobody is judged for being silent.
    Late,
    /// So late that new subscriptions are refused for a while, too.
    FarBehind,
}

/// What a core has to do at the moment, as far as sessions care.
#[derive(Clone, Copy, Debug, Default)]
pub struct CoreLoad {
    /// Connections of all shards that share the core.
    pub core_connections: u64,
    /// How late its timers were when they fired last.
    pub lag_ms: u64,
    /// What follows from that.
    pub pace: CorePace,
}
