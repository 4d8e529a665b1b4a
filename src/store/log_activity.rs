//! What the log in front of a database did, and how far the database and sorted runs are behind
//! it, for whoever shows it.
//!
//! Invariant: what is not taken has a bound, behind which lengths are not kept one by one.
//!
//! Deliberately absent: names of metrics.

use std::time::Duration;

pub use crate::log::SegmentCounts;

/// Lengths that are kept until somebody takes them: far more than a turn of the store has.
const LENGTHS_MAX: usize = 4_096;

/// Writes of a log since they were last taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogWrites {
    /// Batches.
    pub batches: u64,
    /// Bytes of their pages.
    pub bytes: u64,
    /// How long writes took that returned when all was durable, and syncs of those that did not.
    pub syncs: Vec<Duration>,
}

/// What a log and its database did since it was last taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LogActivity {
    /// What the log wrote.
    pub writes: LogWrites,
    /// How often a write, a sync or the manifest failed, which ends the life of a segment.
    pub failures: u64,
    /// How often something of the log was damaged that the database had, when it was read.
    pub damages: u64,
    /// How long checkpoints of the database took.
    pub checkpoints: Vec<Duration>,
    /// How it is now.
    pub backlog: LogBacklog,
    /// What was done to sorted runs, and which there are.
    pub runs: RunsActivity,
}

/// What was done to sorted runs since it was last taken, and which there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunsActivity {
    /// Bytes that were written, or read to be merged.
    pub moved_bytes: u64,
    /// How often a run could not be written or merged.
    pub failures: u64,
    /// Bytes of runs that were not merged yet.
    pub unmerged_bytes: u64,
    /// Bytes of those that were.
    pub merged_bytes: u64,
}

/// How far a database is behind its log, and what the log has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogBacklog {
    /// Bytes of the log that the database does not have.
    pub unapplied_bytes: u64,
    /// At so many, commits wait for the database.
    pub unapplied_bytes_max: u64,
    /// Age of the oldest change that it does not have, in ms; 0 where it has all.
    pub unapplied_age_ms: u64,
    /// Bytes of keys and values that are in memory until it has them.
    pub layers_bytes: u64,
    /// Segments; those wait that only a checkpoint keeps.
    pub segments: SegmentCounts,
    /// Bytes of the log whose messages are in no run.
    pub unsorted_bytes: u64,
    /// At so many, no messages are taken until some are sorted.
    pub unsorted_bytes_max: u64,
    /// For how long a layer of messages has been sorted, in ms; 0 where none is.
    pub sorting_ms: u64,
}

/// Keeps how long something took, if there is room.
pub fn keep_length(lengths: &mut Vec<Duration>, length: Duration) {
    if lengths.len() < LENGTHS_MAX {
        lengths.push(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_that_nobody_takes_have_a_bound() {
        let mut lengths = Vec::new();
        for us in 0..LENGTHS_MAX as u64 + 9 {
            keep_length(&mut lengths, Duration::from_micros(us));
        }
        assert_eq!(lengths.len(), LENGTHS_MAX);
        assert_eq!(lengths.last(), Some(&Duration::from_micros(LENGTHS_MAX as u64 - 1)));
    }
}
