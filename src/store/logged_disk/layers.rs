//! Changes that a log has and its follower does not.
//!
//! Deliberately absent: when they are applied.

use std::sync::Arc;

use super::super::disk::Batch;

/// Changes of commits in a row.
#[derive(Debug, Default)]
pub struct ActiveLayer {
    /// What they come to.
    pub changes: Batch,
    /// The sequence of the last of them.
    pub last: u64,
    /// Bytes that they take in the log.
    pub log_bytes: usize,
    /// When the first of them came.
    pub since_ms: u64,
}

/// A layer that the follower applies.
#[derive(Debug)]
pub struct FrozenLayer {
    /// The changes, which it reads, too.
    pub changes: Arc<Batch>,
    /// Bytes that they take in the log.
    pub log_bytes: usize,
    /// When the first of them came.
    pub since_ms: u64,
}
