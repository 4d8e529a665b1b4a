//! How many inputs a turn took, and how many outputs it had.
//!
//! Deliberately absent: the metrics, which `Shard::count_turn` writes.

/// The numbers of inputs and outputs of one turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TurnCounts {
    /// Events of connections.
    pub events_count: usize,
    /// Messages of other cores.
    pub messages_count: usize,
    /// Answers of the store.
    pub replies_count: usize,
    /// Commands of the control thread.
    pub commands_count: usize,
    /// Actions at connections.
    pub actions_count: usize,
    /// Messages and requests that were posted to other threads.
    pub posted_count: usize,
}

impl TurnCounts {
    /// Whether there was nothing to do, so that the core may sleep.
    pub fn is_idle(&self) -> bool {
        *self == TurnCounts::default()
    }
}
