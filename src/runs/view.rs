//! A view: the runs that count at a moment, for whoever reads them, on any thread.
//!
//! It stays as it is, and its files stay, while anybody has it or a scan of it.
//!
//! Deliberately absent: which runs count next (`set`).

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::{RunCursor, ScanDirection};
use super::disk::{RunDisk, RunDiskError};
use super::entry::EntryKey;
use super::run::{FoundEntry, Run, RunReadError};
use super::run_scan::{RoomRange, RunScan};
use crate::base::RoomId;

/// Runs that count, in the order of the log.
#[derive(Clone, Debug, Default)]
pub struct RunView {
    generation: u64,
    sorted: u64,
    runs: VecDeque<Arc<Run>>,
}

impl RunView {
    /// These, oldest first, which have everything of the log up to `sorted`.
    pub(super) fn new(generation: u64, sorted: u64, runs: VecDeque<Arc<Run>>) -> RunView {
        RunView { generation, sorted, runs }
    }

    /// Grows with each change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Up to which sequence of the log the runs have everything that is kept.
    pub fn sorted(&self) -> u64 {
        self.sorted
    }

    /// The runs, oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Arc<Run>> {
        self.runs.iter()
    }

    /// The entry with this key. The newest run that has one has the value that counts, so where
    /// a run on the way to it is damaged at that key, nothing is found.
    pub fn get(
        &self,
        disk: &mut impl RunDisk,
        key: EntryKey,
    ) -> Result<Option<FoundEntry>, RunReadError> {
        for run in self.runs.iter().rev() {
            if let Some(entry) = run.get(disk, key)? {
                return Ok(Some(FoundEntry { entry, log: run.info().log }));
            }
        }
        Ok(None)
    }

    /// The first room at or behind this one that a run has an entry of.
    pub fn room_from(
        &self,
        disk: &mut impl RunDisk,
        room: RoomId,
    ) -> Result<Option<RoomId>, RunReadError> {
        let range = (EntryKey { room, offset: 0 }, EntryKey::MAX);
        let mut first: Option<RoomId> = None;
        for run in &self.runs {
            let cursor = RunCursor::of_range(run, disk, range, ScanDirection::Forward)?;
            let found = cursor.entry().map(|entry| entry.key.room);
            first = first.into_iter().chain(found).min();
        }
        Ok(first)
    }

    /// The last room at or before this one that a run has an entry of.
    pub fn room_up_to(
        &self,
        disk: &mut impl RunDisk,
        room: RoomId,
    ) -> Result<Option<RoomId>, RunReadError> {
        let range = (EntryKey::MIN, EntryKey { room, offset: u64::MAX });
        let mut last: Option<RoomId> = None;
        for run in &self.runs {
            let cursor = RunCursor::of_range(run, disk, range, ScanDirection::Backward)?;
            let found = cursor.entry().map(|entry| entry.key.room);
            last = last.into_iter().chain(found).max();
        }
        Ok(last)
    }

    /// Entries of a room, each offset once with the value that counts, in either direction.
    pub fn scan(
        &self,
        disk: &mut impl RunDisk,
        range: RoomRange,
        direction: ScanDirection,
    ) -> Result<RunScan, RunDiskError> {
        RunScan::begin(self.runs.iter().rev().cloned(), disk, range, direction)
    }
}
