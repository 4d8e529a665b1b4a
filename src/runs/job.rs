//! A run that is being made, of sorted entries or of other runs, one command after the other.
//!
//! A step reads at most `STEP_BYTES` and what is read ahead once, and ends with a piece to be
//! written where there is one. Entries of rooms below what the caller keeps are left out where runs
//! are merged. Until all is written and synced the file is nothing.
//!
//! Deliberately absent: which runs are merged, and when a run counts (`set`).

use std::sync::Arc;

use super::cursor::RunCursor;
use super::disk::{RunCommand, RunDisk, RunDiskError, RunId};
use super::entry::{EntryKey, EntryKind, RunEntry};
use super::entry_sorter::{EntrySorter, SorterState};
use super::run::{Run, RunReadError};
use super::trailer::{LogRange, RunInfo};
use super::writer::{RunPushError, RunWriter};
use crate::base::RoomId;

/// Bytes that a step reads at most, but for one read more.
pub const STEP_BYTES: u64 = 512 << 10;

/// Which of a room's entries are kept. What says so is durable: after a power cut nobody will look
/// for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptEntries {
    first: u64,
    void_up_to: u64,
}

impl KeptEntries {
    /// All.
    pub const ALL: KeptEntries = KeptEntries::from(0);

    /// None.
    pub const NONE: KeptEntries = KeptEntries { first: u64::MAX, void_up_to: u64::MAX };

    /// Those at this offset and behind it.
    pub const fn from(first: u64) -> KeptEntries {
        KeptEntries { first, void_up_to: 0 }
    }

    /// Of these, those of runs that cover the log behind a sequence: what was said before is of a
    /// room that was removed, and came again.
    pub const fn behind(self, sequence: u64) -> KeptEntries {
        KeptEntries { void_up_to: sequence, ..self }
    }

    fn has(self, offset: u64, run: LogRange) -> bool {
        self.left_out(offset, 1, run) == 0
    }

    /// How many of so many entries, from an offset on, a run has that are not kept.
    pub(super) fn left_out(self, offset: u64, count: u64, run: LogRange) -> u64 {
        match self.void_up_to != 0 && run.last <= self.void_up_to {
            true => count,
            false => self.first.saturating_sub(offset).min(count),
        }
    }
}

/// Says for a room what is kept.
pub type KeepCallback<'a> = dyn FnMut(RoomId) -> Result<KeptEntries, RunDiskError> + 'a;

/// Where entries come from.
#[derive(Debug)]
pub enum JobInput {
    /// From the log.
    Sorter(EntrySorter),
    /// From runs.
    Merge(MergeInput),
}

/// Runs that become one.
#[derive(Debug)]
pub struct MergeInput {
    /// Oldest first.
    sources: Vec<Arc<Run>>,
    /// Of the first sources; the others are opened one a step.
    cursors: Vec<RunCursor>,
    /// What is kept of the room that entries come from.
    room: Option<(RoomId, KeptEntries)>,
}

/// What is next.
#[derive(Debug)]
pub enum JobStep {
    /// This is to be done.
    Do(RunCommand),
    /// Enough was read.
    Again,
    /// The file is written and synced.
    Written(RunInfo),
    /// There is no entry, and no file.
    NothingKept,
}

/// A run that is being made.
#[derive(Debug)]
pub struct RunJob {
    writer: RunWriter,
    input: JobInput,
    finished: Option<RunInfo>,
    is_synced: bool,
}

impl MergeInput {
    /// These, oldest first.
    pub fn new(sources: Vec<Arc<Run>>) -> MergeInput {
        MergeInput { sources, cursors: Vec::new(), room: None }
    }

    /// The runs, oldest first.
    pub fn sources(&self) -> &[Arc<Run>] {
        &self.sources
    }

    /// Gives entries to the writer until a piece waits there, enough was read, or all have gone.
    fn feed(
        &mut self,
        writer: &mut RunWriter,
        disk: &mut CountedDisk<'_, impl RunDisk>,
        keep: &mut KeepCallback<'_>,
    ) -> Result<FeedState, RunReadError> {
        if let Some(source) = self.sources.get(self.cursors.len()) {
            self.cursors.push(RunCursor::of_all(source, disk)?);
            return Ok(FeedState::EnoughRead);
        }
        while let Some((key, newest)) = self.next_key() {
            if STEP_BYTES <= disk.read_bytes {
                return Ok(FeedState::EnoughRead);
            }
            if self.is_kept(key, newest, keep)? {
                let kind = self.kind_of(key);
                let entry = self.cursors[newest].entry().expect("it has the key");
                match writer.push(&RunEntry { kind, ..entry }) {
                    Ok(()) => {}
                    Err(RunPushError::PieceWaits) => return Ok(FeedState::PieceWaits),
                    Err(error) => unreachable!("sources are in order and bounded: {error:?}"),
                }
            }
            for (cursor, source) in self.cursors.iter_mut().zip(&self.sources) {
                if cursor.entry().is_some_and(|entry| entry.key == key) {
                    cursor.advance(source, disk)?;
                }
            }
        }
        Ok(FeedState::AllFed)
    }

    /// The lowest key, and the newest source that has it.
    fn next_key(&self) -> Option<(EntryKey, usize)> {
        let mut lowest: Option<(EntryKey, usize)> = None;
        for (number, cursor) in self.cursors.iter().enumerate() {
            let Some(entry) = cursor.entry() else { continue };
            if lowest.is_none_or(|(key, _)| entry.key <= key) {
                lowest = Some((entry.key, number));
            }
        }
        lowest
    }

    /// What the oldest source says: where that has the message itself, nothing older is replaced.
    fn kind_of(&self, key: EntryKey) -> EntryKind {
        let mut entries = self.cursors.iter().filter_map(RunCursor::entry);
        let oldest = entries.find(|entry| entry.key == key);
        oldest.map_or(EntryKind::Replacement, |entry| entry.kind)
    }

    fn is_kept(
        &mut self,
        key: EntryKey,
        newest: usize,
        keep: &mut KeepCallback<'_>,
    ) -> Result<bool, RunDiskError> {
        let kept = match self.room {
            Some((room, kept)) if room == key.room => kept,
            Some(_) | None => {
                let kept = keep(key.room)?;
                self.room = Some((key.room, kept));
                kept
            }
        };
        Ok(kept.has(key.offset, self.sources[newest].info().log))
    }
}

/// Whether there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FeedState {
    PieceWaits,
    EnoughRead,
    AllFed,
}

impl RunJob {
    /// One of which nothing is written.
    pub fn new(
        id: RunId,
        level: u32,
        log: LogRange,
        newest_unix_ms: u64,
        input: JobInput,
    ) -> RunJob {
        let writer = RunWriter::new(id, level, log, newest_unix_ms);
        RunJob { writer, input, finished: None, is_synced: false }
    }

    /// The number of its file.
    pub fn id(&self) -> RunId {
        self.writer.id()
    }

    /// All of the log that it will cover.
    pub fn log(&self) -> LogRange {
        self.writer.log()
    }

    /// Where its entries come from.
    pub fn input(&self) -> &JobInput {
        &self.input
    }

    /// The same from the beginning, as another run.
    pub fn again(self, id: RunId) -> RunJob {
        let (level, log, newest_unix_ms) =
            (self.writer.level(), self.writer.log(), self.writer.newest_unix_ms());
        let input = match self.input {
            JobInput::Sorter(mut sorter) => {
                sorter.rewind();
                JobInput::Sorter(sorter)
            }
            JobInput::Merge(MergeInput { sources, .. }) => {
                JobInput::Merge(MergeInput::new(sources))
            }
        };
        RunJob::new(id, level, log, newest_unix_ms, input)
    }

    /// What is next. What it said before is done.
    pub fn step(
        &mut self,
        disk: &mut CountedDisk<'_, impl RunDisk>,
        keep: &mut KeepCallback<'_>,
    ) -> Result<JobStep, RunReadError> {
        let run = self.id();
        loop {
            if let Some(piece) = self.writer.take_piece() {
                return Ok(JobStep::Do(RunCommand::Write { run, piece }));
            }
            if let Some(info) = self.finished {
                if self.is_synced {
                    return Ok(JobStep::Written(info));
                }
                self.is_synced = true;
                return Ok(JobStep::Do(RunCommand::Sync { run }));
            }
            let fed = match &mut self.input {
                JobInput::Sorter(sorter) => match sorter.feed(&mut self.writer) {
                    Ok(SorterState::PieceWaits) => FeedState::PieceWaits,
                    Ok(SorterState::AllFed) => FeedState::AllFed,
                    Err(error) => unreachable!("entries are sorted and bounded: {error:?}"),
                },
                JobInput::Merge(input) => input.feed(&mut self.writer, disk, keep)?,
            };
            match fed {
                FeedState::PieceWaits => {}
                FeedState::EnoughRead => return Ok(JobStep::Again),
                FeedState::AllFed if self.writer.entries() == 0 => return Ok(JobStep::NothingKept),
                FeedState::AllFed => self.finished = Some(self.writer.finish()),
            }
        }
    }
}

/// A disk of which is known how much was read.
#[derive(Debug)]
pub struct CountedDisk<'a, D> {
    disk: &'a mut D,
    /// Bytes so far.
    pub read_bytes: u64,
}

impl<'a, D: RunDisk> CountedDisk<'a, D> {
    /// Nothing was read.
    pub fn new(disk: &'a mut D) -> CountedDisk<'a, D> {
        CountedDisk { disk, read_bytes: 0 }
    }
}

impl<D: RunDisk> RunDisk for CountedDisk<'_, D> {
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
        self.read_bytes += bytes.len() as u64;
        self.disk.read(run, place, bytes)
    }
}
