//! A scan of a room's entries over all runs: each offset once, with the value that counts.
//!
//! In memory is a block of each run that has entries of the room. Where a run is damaged, that is
//! told once, as a range of offsets, before anything behind its first. What newer runs have in
//! that range is told all the same; what older ones have is not, since the damaged run may have
//! had what replaced it.
//!
//! Deliberately absent: which runs count.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::{RunCursor, ScanDirection};
use super::disk::{RunDisk, RunDiskError, RunId};
use super::entry::EntryKey;
use super::run::{FoundEntry, Run, RunDamage, RunReadError};
use crate::base::RoomId;

/// Offsets of a room, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomRange {
    /// The room.
    pub room: RoomId,
    /// The lowest offset.
    pub first: u64,
    /// The highest.
    pub last: u64,
}

/// What a scan finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScanItem {
    /// An entry.
    Entry(FoundEntry),
    /// What stood at these offsets in this run cannot be read, and so nothing older either.
    Damaged(RunId, RoomRange),
}

/// A run, from the newest on.
#[derive(Debug)]
struct ScannedRun {
    run: Arc<Run>,
    cursor: Option<RunCursor>,
    /// Offsets that could not be read; two ranges at most, the scan has not passed the last one.
    damaged: Vec<RoomRange>,
}

/// A scan under way.
#[derive(Debug)]
pub struct RunScan {
    range: RoomRange,
    direction: ScanDirection,
    /// Newest first.
    runs: Vec<ScannedRun>,
    untold: VecDeque<(RunId, RoomRange)>,
}

impl RunScan {
    /// At the first entry of these runs, newest first, in this direction.
    pub(super) fn begin(
        runs: impl Iterator<Item = Arc<Run>>,
        disk: &mut impl RunDisk,
        range: RoomRange,
        direction: ScanDirection,
    ) -> Result<RunScan, RunDiskError> {
        let mut scan = RunScan { range, direction, runs: Vec::new(), untold: VecDeque::new() };
        if range.last < range.first {
            return Ok(scan);
        }
        for run in runs {
            let mut scanned = ScannedRun { run, cursor: None, damaged: Vec::new() };
            scan.place(disk, &mut scanned, range)?;
            let has_any = scanned.cursor.is_some() || !scanned.damaged.is_empty();
            if has_any {
                scan.runs.push(scanned);
            }
        }
        Ok(scan)
    }

    /// The next entry or damage. After an error nothing is known of what follows.
    pub fn next(&mut self, disk: &mut impl RunDisk) -> Result<Option<ScanItem>, RunDiskError> {
        loop {
            if let Some((run, range)) = self.untold.pop_front() {
                return Ok(Some(ScanItem::Damaged(run, range)));
            }
            let Some(offset) = self.next_offset() else { return Ok(None) };
            let found = self.take(disk, offset)?;
            if let Some(entry) = found {
                return Ok(Some(ScanItem::Entry(entry)));
            }
        }
    }

    /// The nearest offset at which a run has an entry.
    fn next_offset(&self) -> Option<u64> {
        let offsets = self.runs.iter().filter_map(|scanned| scanned.offset());
        match self.direction {
            ScanDirection::Forward => offsets.min(),
            ScanDirection::Backward => offsets.max(),
        }
    }

    /// The entry at an offset that the newest run with one has, unless a newer run is damaged
    /// there. All runs go on behind it.
    fn take(
        &mut self,
        disk: &mut impl RunDisk,
        offset: u64,
    ) -> Result<Option<FoundEntry>, RunDiskError> {
        let mut found = None;
        let mut is_hidden = false;
        for number in 0..self.runs.len() {
            let scanned = &mut self.runs[number];
            let is_at = scanned.offset() == Some(offset);
            if is_at && found.is_none() && !is_hidden {
                let entry = scanned.cursor.as_ref().and_then(RunCursor::entry);
                let log = scanned.run.info().log;
                found = entry.map(|entry| FoundEntry { entry: entry.stored(), log });
            }
            // What is damaged hides older runs, and not what it has itself or newer ones have.
            is_hidden |= scanned.is_damaged_at(offset);
            if is_at {
                self.advance(disk, number)?;
            }
        }
        Ok(found)
    }

    fn advance(&mut self, disk: &mut impl RunDisk, number: usize) -> Result<(), RunDiskError> {
        let scanned = &mut self.runs[number];
        let Some(cursor) = &mut scanned.cursor else { return Ok(()) };
        let at = cursor.entry().map(|entry| entry.key.offset);
        match cursor.advance(&scanned.run, disk) {
            Ok(()) => {
                if cursor.entry().is_none() {
                    scanned.cursor = None;
                }
                Ok(())
            }
            Err(RunReadError::Disk(error)) => Err(error),
            Err(RunReadError::Damaged(damage)) => {
                scanned.cursor = None;
                let rest = at.and_then(|at| behind(self.range, at, self.direction));
                let Some(rest) = rest else { return Ok(()) };
                // It has passed what was damaged before.
                let run = Arc::clone(&scanned.run);
                let mut moved = ScannedRun { run, cursor: None, damaged: Vec::new() };
                if let Some(rest) = self.note(&mut moved, damage, rest) {
                    self.place(disk, &mut moved, rest)?;
                }
                self.runs[number] = moved;
                Ok(())
            }
        }
    }

    /// Puts the cursor to the first entry of a range that can be read.
    fn place(
        &mut self,
        disk: &mut impl RunDisk,
        scanned: &mut ScannedRun,
        mut range: RoomRange,
    ) -> Result<(), RunDiskError> {
        loop {
            let low = EntryKey { room: range.room, offset: range.first };
            let cursor = RunCursor::of_room(&scanned.run, disk, low, range.last, self.direction);
            match cursor {
                Ok(cursor) => {
                    scanned.cursor = cursor.entry().is_some().then_some(cursor);
                    return Ok(());
                }
                Err(RunReadError::Disk(error)) => return Err(error),
                Err(RunReadError::Damaged(damage)) => match self.note(scanned, damage, range) {
                    Some(rest) => range = rest,
                    None => return Ok(()),
                },
            }
        }
    }

    /// Takes note of damage within a range, and says what of the range is behind it.
    fn note(
        &mut self,
        scanned: &mut ScannedRun,
        damage: RunDamage,
        range: RoomRange,
    ) -> Option<RoomRange> {
        let room = range.room;
        let low = damage.from.max(EntryKey { room, offset: range.first });
        let high = EntryKey { room, offset: range.last };
        let high = match damage.before {
            Some(before) if before <= high => {
                EntryKey { room, offset: offset_below(before, room)? }
            }
            Some(_) | None => high,
        };
        if high < low {
            return None;
        }
        let (first, last) = (low.offset, high.offset);
        let id = scanned.run.info().id;
        let damaged = RoomRange { first, last, ..range };
        // Blocks in a row are one range.
        if scanned.damaged.last_mut().is_some_and(|known| known.join(damaged)) {
            let told = self.untold.back_mut().filter(|(run, _)| *run == id);
            if !told.is_some_and(|(_, known)| known.join(damaged)) {
                self.untold.push_back((id, damaged));
            }
        } else {
            scanned.damaged.push(damaged);
            self.untold.push_back((id, damaged));
        }
        let end = match self.direction {
            ScanDirection::Forward => last,
            ScanDirection::Backward => first,
        };
        behind(range, end, self.direction)
    }
}

impl RoomRange {
    /// Takes in another range that begins or ends beside it.
    fn join(&mut self, other: RoomRange) -> bool {
        let is_beside = self.last.checked_add(1) == Some(other.first)
            || other.last.checked_add(1) == Some(self.first);
        if is_beside {
            self.first = self.first.min(other.first);
            self.last = self.last.max(other.last);
        }
        is_beside
    }
}

impl ScannedRun {
    fn is_damaged_at(&self, offset: u64) -> bool {
        self.damaged.iter().any(|range| range.first <= offset && offset <= range.last)
    }

    fn offset(&self) -> Option<u64> {
        let entry = self.cursor.as_ref().and_then(RunCursor::entry)?;
        Some(entry.key.offset)
    }
}

/// The highest offset of a room below a key; `None` where there is none.
fn offset_below(key: EntryKey, room: RoomId) -> Option<u64> {
    if key.room == room { key.offset.checked_sub(1) } else { None }
}

/// What of a range comes behind an offset.
fn behind(range: RoomRange, offset: u64, direction: ScanDirection) -> Option<RoomRange> {
    let rest = match direction {
        ScanDirection::Forward => RoomRange { first: offset.checked_add(1)?, ..range },
        ScanDirection::Backward => RoomRange { last: offset.checked_sub(1)?, ..range },
    };
    (rest.first <= rest.last).then_some(rest)
}
