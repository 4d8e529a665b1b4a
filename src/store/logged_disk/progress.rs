//! How far what follows the log is, and whether it is too far behind.
//!
//! Deliberately absent: messages (`layered_messages`).

/// How far the follower is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// It has everything up to this sequence,
    pub applied: u64,
    /// and durable up to this one.
    pub checkpoint: u64,
    /// Bytes of the log that are applied since the last checkpoint was begun.
    pub applied_bytes: usize,
    /// Whether one is under way.
    pub makes_checkpoint: bool,
    /// When something was applied last.
    pub applied_at_ms: u64,
    /// When the layer of messages was frozen that is sorted, or was last.
    pub sorting_since_ms: u64,
}

impl Progress {
    /// Whether a checkpoint would have something.
    pub fn wants_checkpoint(&self) -> bool {
        self.checkpoint < self.applied && !self.makes_checkpoint
    }
}

/// Whether so much waits to be sorted that no messages are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overload {
    /// They are taken.
    None,
    /// They are not, until a quarter of the bound is sorted.
    Messages,
}

impl Overload {
    /// What it is where so many bytes wait.
    pub fn next(self, unsorted_bytes: usize, unsorted_bytes_max: usize) -> Overload {
        let bound = match self {
            Overload::None => unsorted_bytes_max,
            Overload::Messages => unsorted_bytes_max - unsorted_bytes_max / 4,
        };
        if bound <= unsorted_bytes { Overload::Messages } else { Overload::None }
    }
}
