//! The setup of an engine, and its counters.

use std::fmt;

use super::super::disk::SyncMode;
use super::super::messages::StoreError;
use super::super::options::{Durability, Options, Retention};

/// The setup of an engine, apart from its disk.
pub struct EngineSetup {
    /// The settings.
    pub options: Options,
    /// The rules of retention, by index of namespace.
    pub retention: Vec<Retention>,
    /// Maps a channel's name to its namespace. An index in a record would not survive a change of
    /// the settings.
    pub namespace_of: Box<dyn Fn(&str) -> u16 + Send>,
    /// The key of names, when the store is new: from the system's generator.
    pub new_name_key: [u8; 16],
}

impl fmt::Debug for EngineSetup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let EngineSetup { options, retention, namespace_of: _, new_name_key: _ } = self;
        f.debug_struct("Setup")
            .field("options", options)
            .field("retention", retention)
            .finish_non_exhaustive()
    }
}

impl EngineSetup {
    /// The rules of a namespace; a channel without one is synced at once and kept for long.
    pub(super) fn rules(&self, namespace: u16) -> Retention {
        self.retention.get(usize::from(namespace)).copied().unwrap_or(Retention {
            durability: Durability::Fsync,
            count_max: u32::MAX,
            bytes_max: u64::MAX,
            age_ms_max: u64::MAX,
            channel_ms_max: u64::MAX,
            has_rosters: false,
        })
    }

    /// The sync mode of writes in a namespace.
    pub(super) fn durable(&self, namespace: u16) -> SyncMode {
        match self.rules(namespace).durability {
            Durability::Fsync => SyncMode::Now,
            Durability::Interval | Durability::Memory => SyncMode::Later,
        }
    }
}

/// Counters since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Batches that were committed.
    pub commits: u64,
    /// Syncs, of these batches and beside them.
    pub syncs: u64,
    /// Messages that were appended.
    pub appended: u64,
    /// Bytes of their data.
    pub appended_bytes: u64,
    /// Requests that were refused because there is no space.
    pub full: u64,
    /// Appends that were refused because too much waits to be sorted.
    pub overloaded: u64,
    /// Appends that were refused because an earlier one was.
    pub stale: u64,
    /// Requests that failed with the disk.
    pub broken: u64,
    /// Requests that met what does not match its checksum.
    pub damaged: u64,
    /// Times that the disk was read again after a failure.
    pub reopened: u64,
    /// Messages that retention removed.
    pub expired: u64,
    /// Messages that became dead letters because they were sent often enough.
    pub dead_tried: u64,
    /// Messages that became dead letters because their time was over.
    pub dead_expired: u64,
}

impl StoreCounts {
    /// The counters with one more failed request.
    pub(super) fn and_failed(self, failure: StoreError) -> StoreCounts {
        match failure {
            StoreError::Full => StoreCounts { full: self.full + 1, ..self },
            StoreError::Stale => StoreCounts { stale: self.stale + 1, ..self },
            StoreError::Broken => StoreCounts { broken: self.broken + 1, ..self },
            StoreError::Damaged => StoreCounts { damaged: self.damaged + 1, ..self },
            StoreError::Overloaded => StoreCounts { overloaded: self.overloaded + 1, ..self },
            StoreError::Abandoned | StoreError::Crowded => self,
        }
    }
}

/// The state after a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnResult {
    /// Nothing is pending.
    Idle,
    /// Something is pending for the next turn.
    Busy,
}
