//! What follows the log: an ordered store to which changes are applied behind it, many commits at
//! a time and without syncs of their own.
//!
//! Deliberately absent: the log.

use std::sync::Arc;
use std::time::Duration;

use super::disk::{Batch, Disk, DiskError};

/// Something that was begun is over.
#[derive(Debug)]
pub enum FollowerEvent {
    /// Changes are applied, and read there: all up to this sequence are.
    Applied(u64),
    /// All up to this sequence is durable there, which took so long.
    CheckpointMade(u64, Duration),
    /// Nothing is applied any more before `reopen`.
    Failed(DiskError),
}

/// Applies changes in their order.
pub trait LogFollower {
    /// The store in which they are read.
    type Disk: Disk;

    /// That store. It has all changes of which `FollowerEvent::Applied` told.
    fn disk(&self) -> &Self::Disk;

    /// The last sequence up to which it has everything; 0 where it has nothing of a log. `None` if
    /// that cannot be read and it is only looked at: then all that the log has goes over it.
    /// Nothing is under way.
    fn applied(&self) -> Result<Option<u64>, DiskError>;

    /// Makes durable what it has. Nothing is under way.
    fn sync(&mut self) -> Result<(), DiskError>;

    /// Begins to apply changes, wholly or not at all, with which it has everything up to a
    /// sequence.
    fn apply(&mut self, changes: Arc<Batch>, sequence: u64);

    /// Nobody reads these any more. Freeing so many takes a while, which somebody else may have.
    fn dispose(&mut self, changes: Arc<Batch>);

    /// Begins to make durable what was given to it so far.
    fn checkpoint(&mut self);

    /// What is over, if anything is.
    fn poll(&mut self) -> Option<FollowerEvent>;

    /// The same, and waits for it; `None` where nothing is under way.
    fn wait(&mut self) -> Option<FollowerEvent>;

    /// Reads again what is really there. What was begun and is not over is forgotten.
    fn reopen(&mut self) -> Result<(), DiskError>;

    /// Gives back space, as `Disk::reclaim`. Nothing is under way.
    fn reclaim(&mut self) -> Result<(), DiskError>;
}
