//! Writing a run: entries in order go in, pieces of a file come out.
//!
//! A piece is written by whoever takes it, when and how fast it likes: a large write would hold up
//! the log on the same disk. Until the last one is written and synced the file is no run. In
//! memory are one block, one part of the index, its upper level, and what was not taken.
//!
//! Deliberately absent: where entries come from.

use super::block::{BLOCK_BYTES_MAX, BlockWriter};
use super::disk::{RunId, RunPiece};
use super::entry::{EntryKey, EntryKind, RunEntry, VALUE_BYTES_MAX};
use super::index::{self, ITEM_BYTES, IndexItem, PART_BLOCKS_MAX};
use super::trailer::{self, LogRange, RUN_BYTES_MAX, RunInfo, TRAILER_BYTES, UpperIndex};
use crate::log::{PAGE_BYTES, PageBuffer};

/// Bytes of each piece but the last.
pub const PIECE_BYTES: usize = 256 << 10;

const _: () = assert!(PIECE_BYTES.is_multiple_of(PAGE_BYTES) && TRAILER_BYTES == PAGE_BYTES);

/// Why an entry is not taken. The run is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPushError {
    /// A piece is to be taken first.
    PieceWaits,
    /// It does not come behind the one before.
    NotInOrder,
    /// The value is beyond `VALUE_BYTES_MAX`.
    ValueTooLong,
    /// The file would be beyond `RUN_BYTES_MAX`.
    RunFull,
    /// It was finished.
    Finished,
}

/// What is known of the whole so far.
#[derive(Debug)]
struct Totals {
    last: Option<EntryKey>,
    entries: u64,
    replacements: u64,
    value_bytes: u64,
}

/// Bytes that were not taken.
#[derive(Debug, Default)]
struct Output {
    place: u64,
    bytes: Vec<u8>,
}

impl Output {
    /// Where the next byte stands.
    fn end(&self) -> u64 {
        self.place + self.bytes.len() as u64
    }
}

/// A run that is being written.
#[derive(Debug)]
pub struct RunWriter {
    id: RunId,
    level: u32,
    log: LogRange,
    newest_unix_ms: u64,
    totals: Totals,
    block: Option<BlockWriter>,
    part: Vec<IndexItem>,
    upper: Vec<IndexItem>,
    output: Output,
    finished: Option<RunInfo>,
}

impl RunWriter {
    /// One without entries, of what the log says in `log`. No entry will be of a time behind
    /// `newest_unix_ms`.
    pub fn new(id: RunId, level: u32, log: LogRange, newest_unix_ms: u64) -> RunWriter {
        assert!(log.first <= log.last, "a range has a first batch");
        RunWriter {
            id,
            level,
            log,
            newest_unix_ms,
            totals: Totals { last: None, entries: 0, replacements: 0, value_bytes: 0 },
            block: None,
            part: Vec::new(),
            upper: Vec::new(),
            output: Output::default(),
            finished: None,
        }
    }

    /// Adds an entry behind all others.
    pub fn push(&mut self, entry: &RunEntry<'_>) -> Result<(), RunPushError> {
        if self.finished.is_some() {
            return Err(RunPushError::Finished);
        }
        if PIECE_BYTES <= self.output.bytes.len() {
            return Err(RunPushError::PieceWaits);
        }
        if self.totals.last.is_some_and(|last| entry.key <= last) {
            return Err(RunPushError::NotInOrder);
        }
        if VALUE_BYTES_MAX < entry.value.len() {
            return Err(RunPushError::ValueTooLong);
        }
        if RUN_BYTES_MAX < self.bytes_max() {
            return Err(RunPushError::RunFull);
        }
        if self.block.as_ref().is_some_and(|block| block.is_over_before(entry.key)) {
            self.end_block();
        }
        match &mut self.block {
            Some(block) => block.push(entry),
            None => self.block = Some(BlockWriter::begin(entry)),
        }
        self.totals.last = Some(entry.key);
        self.totals.entries += 1;
        self.totals.replacements += u64::from(entry.kind == EntryKind::Replacement);
        self.totals.value_bytes += entry.value.len() as u64;
        Ok(())
    }

    /// The number of its file.
    pub fn id(&self) -> RunId {
        self.id
    }

    /// How often its entries were merged.
    pub fn level(&self) -> u32 {
        self.level
    }

    /// All of the log that it covers.
    pub fn log(&self) -> LogRange {
        self.log
    }

    /// The time behind which it has no entry.
    pub fn newest_unix_ms(&self) -> u64 {
        self.newest_unix_ms
    }

    /// Entries that it has.
    pub fn entries(&self) -> u64 {
        self.totals.entries
    }

    /// Ends it: what is left comes as pieces. Says what it is when they are written.
    pub fn finish(&mut self) -> RunInfo {
        if let Some(info) = self.finished {
            return info;
        }
        self.end_block();
        self.end_part();
        let upper = UpperIndex { place: self.output.end(), count: self.upper.len() as u64 };
        let mut bytes = index::encode(&self.upper, self.id, upper.place);
        let place = (upper.place + bytes.len() as u64).next_multiple_of(PAGE_BYTES as u64);
        // The zeros behind the items are under their sum, too.
        bytes.resize((place - upper.place) as usize, 0);
        super::block::put_sum(&mut bytes, self.id, upper.place);
        let info = RunInfo {
            id: self.id,
            level: self.level,
            log: self.log,
            newest_unix_ms: self.newest_unix_ms,
            bytes: place + TRAILER_BYTES as u64,
            entries: self.totals.entries,
            replacements: self.totals.replacements,
            value_bytes: self.totals.value_bytes,
        };
        self.output.bytes.extend(bytes);
        self.output.bytes.extend(trailer::encode(&info, upper));
        self.finished = Some(info);
        info
    }

    /// The next piece, if there is a whole one, or the last.
    pub fn take_piece(&mut self) -> Option<RunPiece> {
        let waiting = self.output.bytes.len();
        if waiting == 0 || (waiting < PIECE_BYTES && self.finished.is_none()) {
            return None;
        }
        let count = waiting.min(PIECE_BYTES);
        let mut pages = PageBuffer::zeroed((count / PAGE_BYTES) as u32);
        pages.bytes_mut().copy_from_slice(&self.output.bytes[..count]);
        self.output.bytes.drain(..count);
        let place = self.output.place;
        self.output.place += count as u64;
        Some(RunPiece { place, pages })
    }

    fn end_block(&mut self) {
        let Some(block) = self.block.take() else { return };
        let place = self.output.end();
        let (first, bytes) = block.seal(self.id, place);
        self.part.push(IndexItem { first, place, bytes: bytes.len() as u32 });
        self.output.bytes.extend(bytes);
        if self.part.len() == PART_BLOCKS_MAX {
            self.end_part();
        }
    }

    fn end_part(&mut self) {
        let Some(block) = self.part.first() else { return };
        let place = self.output.end();
        let bytes = index::encode(&self.part, self.id, place);
        self.upper.push(IndexItem { first: block.first, place, bytes: bytes.len() as u32 });
        self.output.bytes.extend(bytes);
        self.part.clear();
    }

    /// Bytes that the file has at most with one entry more.
    fn bytes_max(&self) -> u64 {
        let parts = self.upper.len() + 2;
        let index = (self.part.len() + 2 + parts) * ITEM_BYTES;
        self.output.end() + (2 * BLOCK_BYTES_MAX + index + 3 * TRAILER_BYTES) as u64
    }
}
