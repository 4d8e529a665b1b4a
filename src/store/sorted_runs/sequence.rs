//! Sequences of runs: those of the log, behind the ones of runs that were made of a database.
//!
//! Deliberately absent: what they cover.

/// So many sequences are before the log's, for messages that were never in it.
const CONVERTED_SEQUENCES: u64 = 1 << 32;

/// A place in the order of runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunSequence(pub u64);

impl RunSequence {
    /// That of a sequence of the log.
    pub fn of(log_sequence: u64) -> RunSequence {
        RunSequence(log_sequence.saturating_add(CONVERTED_SEQUENCES))
    }

    /// The sequence of the log; 0 for what was before it.
    pub fn of_log(self) -> u64 {
        self.0.saturating_sub(CONVERTED_SEQUENCES)
    }
}
