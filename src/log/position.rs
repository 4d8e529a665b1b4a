//! Where a batch stands in the log, and which partition a record belongs to.
//!
//! Deliberately absent: where on the disk that is (`segments`).

/// The place of a batch. Sequences grow by one; the first batch of a log has 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    /// Whose turn at writing it was; 0 for a log that lies in files of one host.
    pub term: u64,
    /// The number of the batch.
    pub sequence: u64,
}

impl LogPosition {
    /// A place in a log of one host.
    pub fn of_file(sequence: u64) -> LogPosition {
        LogPosition { term: 0, sequence }
    }
}

/// A part of all channels, by a keyed hash of tenant and channel. Each record names its own, so
/// that a channel can be carried to another host by cutting batches anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Partition(u8);

/// Partitions that there are.
pub const PARTITIONS: u8 = 64;

impl Partition {
    /// The one of records that belong to no channel.
    pub const FIRST: Partition = Partition(0);

    /// The one with this number; `None` where there are not so many.
    pub fn new(number: u8) -> Option<Partition> {
        (number < PARTITIONS).then_some(Partition(number))
    }

    /// Its number, below `PARTITIONS`.
    pub fn number(self) -> u8 {
        self.0
    }
}
