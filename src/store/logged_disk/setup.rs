//! What a log in front of a database is opened with, and why it does not open.
//!
//! Deliberately absent: opening it.

use std::fmt;

use super::super::changes_log::ChangesError;
use super::super::disk::DiskError;
use crate::log::{LogOpenError, Options};

/// How much waits, in bytes that it takes in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedLimits {
    /// What is not applied: at that, commits wait.
    pub unapplied_bytes_max: usize,
    /// What is applied since the last checkpoint: at that, the next one is made.
    pub checkpoint_bytes: usize,
    /// What stands in no run: at that, no messages are taken until a quarter of it is sorted, and a
    /// quarter beyond it commits wait.
    pub unsorted_bytes_max: usize,
    /// What a layer of messages takes in the log: at that, it becomes a run.
    pub layer_log_bytes: usize,
    /// What a layer of messages takes in memory: at that, it becomes a run.
    pub layer_bytes: usize,
}

/// What a log is opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSetup {
    /// Sizes.
    pub options: Options,
    /// What waits.
    pub limits: LoggedLimits,
    /// Which log it is: batches of another one are refused.
    pub log_id: u64,
}

/// Why it is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggedOpenError {
    /// The log does not open.
    Log(LogOpenError),
    /// The follower, or a thread.
    Disk(DiskError),
    /// The log ends at the first of these sequences, and the follower has it up to the second.
    LogTooShort(u64, u64),
    /// The log begins at the first of these sequences, and the follower has it up to the second.
    FollowerTooShort(u64, u64),
    /// The log ends at the first of these sequences, and runs have it up to the second.
    LogTooShortForRuns(u64, u64),
    /// The log begins at the first of these sequences, and runs have it up to the second.
    RunsTooShort(u64, u64),
    /// Groups are not as this store writes them.
    Changes(ChangesError),
}

impl From<LoggedOpenError> for DiskError {
    fn from(error: LoggedOpenError) -> DiskError {
        match error {
            LoggedOpenError::Disk(error) => error,
            LoggedOpenError::Log(LogOpenError::Full) => DiskError::Full,
            LoggedOpenError::Log(LogOpenError::Disk) => DiskError::Broken,
            LoggedOpenError::Log(
                LogOpenError::Damaged { .. }
                | LogOpenError::Missing(_)
                | LogOpenError::Unreadable { .. }
                | LogOpenError::NoManifest
                | LogOpenError::NewerForm(_)
                | LogOpenError::SegmentPages(_),
            )
            | LoggedOpenError::LogTooShort(..)
            | LoggedOpenError::FollowerTooShort(..)
            | LoggedOpenError::LogTooShortForRuns(..)
            | LoggedOpenError::RunsTooShort(..)
            | LoggedOpenError::Changes(_) => DiskError::Damaged,
        }
    }
}

impl fmt::Display for LoggedOpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoggedOpenError::Log(error) => write!(f, "its log: {error}"),
            LoggedOpenError::Disk(DiskError::Full) => f.write_str("no space is left"),
            LoggedOpenError::Disk(DiskError::Broken) => f.write_str("the disk fails"),
            LoggedOpenError::Disk(DiskError::Damaged) => f.write_str("what is read is damaged"),
            LoggedOpenError::LogTooShort(last, applied) => write!(
                f,
                "its log ends at batch {last}, and its database has batch {applied}: the log is an \
                 older one, or another store's"
            ),
            LoggedOpenError::FollowerTooShort(first, applied) => write!(
                f,
                "its log begins at batch {first}, and its database ends at batch {applied}: what \
                 stands between is missing"
            ),
            LoggedOpenError::LogTooShortForRuns(last, sorted) => write!(
                f,
                "its log ends at batch {last}, and its messages have batch {sorted}: the log is an \
                 older one, or another store's"
            ),
            LoggedOpenError::RunsTooShort(first, sorted) => write!(
                f,
                "its log begins at batch {first}, and its messages end at batch {sorted}: what \
                 stands between is missing"
            ),
            LoggedOpenError::Changes(ChangesError::Damaged) => {
                f.write_str("its log has batches that no store wrote")
            }
            LoggedOpenError::Changes(ChangesError::OtherLog) => {
                f.write_str("its log is another store's")
            }
        }
    }
}
