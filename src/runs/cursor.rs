//! A cursor: entries of a run between two keys, in order or against it, a block at a time.
//!
//! In memory are a part of the index and one block, and what was read ahead.
//!
//! Deliberately absent: several runs at once.

use super::block::DataBlock;
use super::disk::RunDisk;
use super::entry::{EntryKey, RunEntry};
use super::run::{IndexPart, Run, RunReadError};

/// Bytes that are read at a time by whoever reads a run as a whole.
const READ_AHEAD_BYTES: u64 = 256 << 10;

/// Which entry is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanDirection {
    /// The next higher one.
    Forward,
    /// The next lower one.
    Backward,
}

/// How far is read at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadAhead {
    None,
    Blocks,
}

/// Bytes of a run that were read ahead.
#[derive(Debug)]
struct AheadBytes {
    mode: ReadAhead,
    place: u64,
    bytes: Vec<u8>,
}

/// The block that the cursor is in.
#[derive(Debug)]
struct Current {
    part_number: usize,
    part: IndexPart,
    block_number: usize,
    block: DataBlock,
    entry: usize,
}

impl Current {
    fn place(self) -> (usize, IndexPart, usize) {
        (self.part_number, self.part, self.block_number)
    }
}

/// A place in a run. It is used with the run that it was made of.
#[derive(Debug)]
pub struct RunCursor {
    low: EntryKey,
    high: EntryKey,
    direction: ScanDirection,
    ahead: AheadBytes,
    current: Option<Current>,
}

impl RunCursor {
    /// At the first or the last of a room's entries whose offsets lie in the range.
    pub fn of_room(
        run: &Run,
        disk: &mut impl RunDisk,
        low: EntryKey,
        high_offset: u64,
        direction: ScanDirection,
    ) -> Result<RunCursor, RunReadError> {
        let high = EntryKey { offset: high_offset, ..low };
        RunCursor::between(run, disk, (low, high), direction, ReadAhead::None)
    }

    /// At the first or the last of all entries between two keys, both included.
    pub fn of_range(
        run: &Run,
        disk: &mut impl RunDisk,
        range: (EntryKey, EntryKey),
        direction: ScanDirection,
    ) -> Result<RunCursor, RunReadError> {
        RunCursor::between(run, disk, range, direction, ReadAhead::None)
    }

    /// At the first entry of all, and forward.
    pub fn of_all(run: &Run, disk: &mut impl RunDisk) -> Result<RunCursor, RunReadError> {
        let range = (EntryKey::MIN, EntryKey::MAX);
        RunCursor::between(run, disk, range, ScanDirection::Forward, ReadAhead::Blocks)
    }

    /// The entry that it is at; `None` behind the last.
    pub fn entry(&self) -> Option<RunEntry<'_>> {
        self.current.as_ref().map(|current| current.block.entry(current.entry))
    }

    /// Goes on to the next one. After an error it is behind the last.
    pub fn advance(&mut self, run: &Run, disk: &mut impl RunDisk) -> Result<(), RunReadError> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let next = match self.direction {
            ScanDirection::Forward => Some(current.entry + 1),
            ScanDirection::Backward => current.entry.checked_sub(1),
        };
        let moved = match next.filter(|next| *next < current.block.entry_count()) {
            Some(next) => {
                current.entry = next;
                Some(current)
            }
            None => self.next_block(run, disk, current.place())?,
        };
        self.current = moved.filter(|current| self.is_within(current));
        Ok(())
    }

    fn between(
        run: &Run,
        disk: &mut impl RunDisk,
        (low, high): (EntryKey, EntryKey),
        direction: ScanDirection,
        mode: ReadAhead,
    ) -> Result<RunCursor, RunReadError> {
        let ahead = AheadBytes { mode, place: 0, bytes: Vec::new() };
        let mut cursor = RunCursor { low, high, direction, ahead, current: None };
        let start = match direction {
            ScanDirection::Forward => low,
            ScanDirection::Backward => high,
        };
        let part_number = match (run.part_of(start), direction) {
            (Some(number), ScanDirection::Forward | ScanDirection::Backward) => number,
            (None, ScanDirection::Forward) if 0 < run.part_count() => 0,
            (None, ScanDirection::Forward | ScanDirection::Backward) => return Ok(cursor),
        };
        if high < low {
            return Ok(cursor);
        }
        let part = run.read_part(disk, part_number)?;
        let block_number = part.block_of(start).unwrap_or(0);
        if direction == ScanDirection::Forward
            && part.blocks()[block_number].first.room < start.room
        {
            // A block has one room, and that of this room begins behind it.
            let found = cursor.next_block(run, disk, (part_number, part, block_number))?;
            cursor.current = found.filter(|current| cursor.is_within(current));
            return Ok(cursor);
        }
        let Some(mut current) = cursor.enter(run, disk, part_number, part, block_number)? else {
            return Ok(cursor);
        };
        let below = current.block.entries_below(start);
        let is_there = |number: usize| {
            number < current.block.entry_count() && current.block.entry(number).key == start
        };
        let entry = match direction {
            ScanDirection::Forward => Some(below),
            ScanDirection::Backward if is_there(below) => Some(below),
            ScanDirection::Backward => below.checked_sub(1),
        };
        let found = match entry.filter(|entry| *entry < current.block.entry_count()) {
            Some(entry) => {
                current.entry = entry;
                Some(current)
            }
            None => cursor.next_block(run, disk, current.place())?,
        };
        cursor.current = found.filter(|current| cursor.is_within(current));
        Ok(cursor)
    }

    fn is_within(&self, current: &Current) -> bool {
        let key = current.block.entry(current.entry).key;
        self.low <= key && key <= self.high
    }

    /// The first entry, in its direction, of the block behind this one.
    fn next_block(
        &mut self,
        run: &Run,
        disk: &mut impl RunDisk,
        (part_number, part, block_number): (usize, IndexPart, usize),
    ) -> Result<Option<Current>, RunReadError> {
        let within = match self.direction {
            ScanDirection::Forward => Some(block_number + 1),
            ScanDirection::Backward => block_number.checked_sub(1),
        };
        if let Some(block_number) = within.filter(|number| *number < part.blocks().len()) {
            return self.enter(run, disk, part_number, part, block_number);
        }
        let part_number = match self.direction {
            ScanDirection::Forward => Some(part_number + 1),
            ScanDirection::Backward => part_number.checked_sub(1),
        };
        let Some(part_number) = part_number.filter(|number| *number < run.part_count()) else {
            return Ok(None);
        };
        let part = run.read_part(disk, part_number)?;
        let block_number = match self.direction {
            ScanDirection::Forward => 0,
            ScanDirection::Backward => part.blocks().len() - 1,
        };
        self.enter(run, disk, part_number, part, block_number)
    }

    /// At the entry of a block that is first in this direction; a block that begins behind the
    /// range, or is of a room before it, is not read.
    fn enter(
        &mut self,
        run: &Run,
        disk: &mut impl RunDisk,
        part_number: usize,
        part: IndexPart,
        block_number: usize,
    ) -> Result<Option<Current>, RunReadError> {
        let first = part.blocks()[block_number].first;
        let is_out = self.high < first
            || (self.direction == ScanDirection::Backward && first.room < self.low.room);
        if is_out {
            return Ok(None);
        }
        let block = match self.ahead.mode {
            ReadAhead::None => run.read_block(disk, &part, block_number)?,
            ReadAhead::Blocks => {
                let bytes = self.read_ahead(run, disk, &part, block_number)?;
                run.parse_block(&part, block_number, bytes)?
            }
        };
        let entry = match self.direction {
            ScanDirection::Forward => 0,
            ScanDirection::Backward => block.entry_count() - 1,
        };
        Ok(Some(Current { part_number, part, block_number, block, entry }))
    }

    /// A block's bytes, with those of blocks behind it in one read.
    fn read_ahead(
        &mut self,
        run: &Run,
        disk: &mut impl RunDisk,
        part: &IndexPart,
        block_number: usize,
    ) -> Result<Vec<u8>, RunReadError> {
        let item = &part.blocks()[block_number];
        let ahead = &mut self.ahead;
        let is_there =
            ahead.place <= item.place && item.end() <= ahead.place + ahead.bytes.len() as u64;
        if !is_there {
            let blocks = part.blocks()[block_number..].iter().map(|block| block.end());
            let limit = item.place + READ_AHEAD_BYTES;
            let end = blocks.take_while(|end| *end <= limit).last().unwrap_or(item.end());
            ahead.place = item.place;
            ahead.bytes.resize((end - item.place) as usize, 0);
            if let Err(error) = disk.read(run.info().id, item.place, &mut ahead.bytes) {
                ahead.bytes.clear();
                return Err(error.into());
            }
        }
        let begin = (item.place - ahead.place) as usize;
        Ok(ahead.bytes[begin..][..item.bytes as usize].to_vec())
    }
}
