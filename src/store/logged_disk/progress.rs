//! How far what follows the log is.
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
}

impl Progress {
    /// Whether a checkpoint would have something.
    pub fn wants_checkpoint(&self) -> bool {
        self.checkpoint < self.applied && !self.makes_checkpoint
    }
}
