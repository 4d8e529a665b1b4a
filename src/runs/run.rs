//! A run that is read: by key, or from a place on (`cursor`).
//!
//! In memory it has the upper level of its index. To find a key costs a read of a part of the index,
//! up to 4 KiB, and one of a block.
//!
//! Deliberately absent: which runs there are.

use std::fmt;

use super::block::{BLOCK_BYTES_MAX, DataBlock};
use super::disk::{RunDisk, RunDiskError, RunId};
use super::entry::{EntryKey, StoredEntry};
use super::index::{self, ITEM_BYTES, IndexItem, PART_BLOCKS_MAX};
use super::trailer::{self, LogRange, RunInfo, TRAILER_BYTES, TrailerError};

/// What cannot be read of a run: entries from a key on, up to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunDamage {
    /// The run.
    pub run: RunId,
    /// The first of them.
    pub from: EntryKey,
    /// The first behind them; `None` if they go to the end of the run.
    pub before: Option<EntryKey>,
}

/// An entry, and where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundEntry {
    /// The entry.
    pub entry: StoredEntry,
    /// What its run covers of the log.
    pub log: LogRange,
}

/// Why nothing is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunReadError {
    /// The disk did not do it.
    Disk(RunDiskError),
    /// What the disk has is not what was written.
    Damaged(RunDamage),
}

/// Why a file is not read as a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunOpenError {
    /// The disk did not do it.
    Disk(RunDiskError),
    /// It has no trailer, or another run's: it was never finished, was cut, or is damaged there.
    NoTrailer,
    /// A newer program wrote it, in this form.
    NewerForm(u32),
    /// The upper level of its index is damaged.
    NoIndex,
}

impl From<RunDiskError> for RunReadError {
    fn from(error: RunDiskError) -> RunReadError {
        RunReadError::Disk(error)
    }
}

impl From<RunDiskError> for RunOpenError {
    fn from(error: RunDiskError) -> RunOpenError {
        RunOpenError::Disk(error)
    }
}

impl fmt::Display for RunOpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunOpenError::Disk(error) => error.fmt(f),
            RunOpenError::NoTrailer => f.write_str("its last page is damaged, or another run's"),
            RunOpenError::NewerForm(form) => {
                write!(f, "a newer version of rookery wrote it, in form {form}")
            }
            RunOpenError::NoIndex => f.write_str("its index is damaged"),
        }
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run {
    info: RunInfo,
    upper: Vec<IndexItem>,
}

impl Run {
    /// Opens the file of this run, which has so many bytes.
    pub fn open(disk: &mut impl RunDisk, id: RunId, bytes: u64) -> Result<Run, RunOpenError> {
        let place = bytes.checked_sub(TRAILER_BYTES as u64).ok_or(RunOpenError::NoTrailer)?;
        let mut page = vec![0; TRAILER_BYTES];
        disk.read(id, place, &mut page)?;
        let (info, upper) = trailer::parse(&page, id, bytes).map_err(|error| match error {
            TrailerError::Missing => RunOpenError::NoTrailer,
            TrailerError::NewerForm(form) => RunOpenError::NewerForm(form),
        })?;
        // Bounded: the items with less than two pages of zeros behind them.
        let listed = place - upper.place;
        let items_bytes = upper.count * ITEM_BYTES as u64;
        if items_bytes + 2 * TRAILER_BYTES as u64 <= listed {
            return Err(RunOpenError::NoIndex);
        }
        let mut bytes = vec![0; listed as usize];
        disk.read(id, upper.place, &mut bytes)?;
        let upper = index::parse(&bytes, upper.count as usize, id, upper.place);
        let upper = upper.ok_or(RunOpenError::NoIndex)?;
        Ok(Run { info, upper })
    }

    /// What it says of itself.
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The entry with this key.
    pub fn get(
        &self,
        disk: &mut impl RunDisk,
        key: EntryKey,
    ) -> Result<Option<StoredEntry>, RunReadError> {
        let Some(number) = self.part_of(key) else { return Ok(None) };
        let part = self.read_part(disk, number)?;
        let Some(block) = part.block_of(key).filter(|block| part.room_is(*block, key)) else {
            return Ok(None);
        };
        let block = self.read_block(disk, &part, block)?;
        let number = block.entries_below(key);
        let found = (number < block.entry_count()).then(|| block.entry(number));
        Ok(found.filter(|entry| entry.key == key).map(|entry| entry.stored()))
    }

    /// Parts of its index.
    pub(super) fn part_count(&self) -> usize {
        self.upper.len()
    }

    /// The part that has the key, if it is there: the last one that begins at or before it.
    pub(super) fn part_of(&self, key: EntryKey) -> Option<usize> {
        self.upper.partition_point(|item| item.first <= key).checked_sub(1)
    }

    /// Reads a part of the index.
    pub(super) fn read_part(
        &self,
        disk: &mut impl RunDisk,
        number: usize,
    ) -> Result<IndexPart, RunReadError> {
        let item = &self.upper[number];
        let before = self.upper.get(number + 1).map(|next| next.first);
        let damaged = RunDamage { run: self.info.id, from: item.first, before };
        let damaged = RunReadError::Damaged(damaged);
        let count = (item.bytes as usize).saturating_sub(8) / ITEM_BYTES;
        if PART_BLOCKS_MAX < count {
            return Err(damaged);
        }
        let mut bytes = vec![0; item.bytes as usize];
        disk.read(self.info.id, item.place, &mut bytes)?;
        let blocks = index::parse(&bytes, count, self.info.id, item.place).ok_or(damaged)?;
        let is_its_own = blocks.first().is_some_and(|block| block.first == item.first)
            && before.is_none_or(|before| blocks.iter().all(|block| block.first < before));
        if is_its_own { Ok(IndexPart { blocks, before }) } else { Err(damaged) }
    }

    /// Reads a block of a part.
    pub(super) fn read_block(
        &self,
        disk: &mut impl RunDisk,
        part: &IndexPart,
        number: usize,
    ) -> Result<DataBlock, RunReadError> {
        let item = &part.blocks[number];
        assert!(item.bytes as usize <= BLOCK_BYTES_MAX, "the index was checked");
        let mut bytes = vec![0; item.bytes as usize];
        disk.read(self.info.id, item.place, &mut bytes)?;
        self.parse_block(part, number, bytes)
    }

    /// The same of bytes that were read.
    pub(super) fn parse_block(
        &self,
        part: &IndexPart,
        number: usize,
        bytes: Vec<u8>,
    ) -> Result<DataBlock, RunReadError> {
        let item = &part.blocks[number];
        let before = part.blocks.get(number + 1).map(|next| next.first).or(part.before);
        let block = DataBlock::parse(bytes, item.first, self.info.id, item.place);
        let block = block.filter(|block| {
            let last = block.entry(block.entry_count() - 1).key;
            before.is_none_or(|before| last < before)
        });
        let damage = RunDamage { run: self.info.id, from: item.first, before };
        block.ok_or(RunReadError::Damaged(damage))
    }
}

/// A part of an index that was read.
#[derive(Debug)]
pub struct IndexPart {
    blocks: Vec<IndexItem>,
    before: Option<EntryKey>,
}

impl IndexPart {
    /// Its blocks, at least one.
    pub fn blocks(&self) -> &[IndexItem] {
        &self.blocks
    }

    /// What the next part begins with.
    pub fn before(&self) -> Option<EntryKey> {
        self.before
    }

    /// The last block that begins at or before the key.
    pub fn block_of(&self, key: EntryKey) -> Option<usize> {
        self.blocks.partition_point(|item| item.first <= key).checked_sub(1)
    }

    /// Whether a block is of the key's room.
    pub fn room_is(&self, block: usize, key: EntryKey) -> bool {
        self.blocks[block].first.room == key.room
    }
}
