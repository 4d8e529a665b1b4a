//! What runs need of a disk: to be read at a place.
//!
//! Deliberately absent: a disk.

/// The number of a run's file; none is used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId(pub u64);

/// Why the disk did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunDiskError {
    /// No space.
    Full,
    /// The file is not there, or ends before that place.
    Missing,
    /// It failed.
    Failed,
}

/// A disk, for whoever may wait for it.
pub trait RunDisk {
    /// Fills `bytes` from a place of a run on.
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError>;
}
