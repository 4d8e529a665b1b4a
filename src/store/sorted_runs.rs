//! Sorted runs of a store's messages: read where they are asked for, written by a thread of their
//! own, a step at a time.
//!
//! What the log has comes first; merges go on while nothing else is to be done, and wait for
//! it. What is gone is left out by merges, as the records of the database say, for what these
//! have already.
//!
//! Deliberately absent: which runs count, and what a run is (`runs`), files (`runs_disk`).

mod passed_damage;
mod sequence;
mod sorter;

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::DiskError;
use super::fjall_disk::{AppliedRecords, messages_dir, remember_damage};
use super::log_activity::RunsActivity;
use super::log_reading::LogFinding;
use super::message_layer::MessageLayer;
use super::message_runs::{MessageRuns, RunsEvent, SortedCallback, SortedMessage};
use super::messages::ReadOrder;
use crate::base::RoomId;
use crate::runs::{
    DamagedRun, EntryKey, MergeSizes, RoomRange, Run, RunDiskError, RunReadError, RunSet,
    RunSetOpenError, RunSetOptions, RunView, ScanDirection, ScanItem,
};
use crate::runs_disk::RunFiles;
use passed_damage::PassedDamage;
use sorter::{Sorter, SorterEvent};

pub use sequence::RunSequence;
pub use sorter::said_unix_ms;

/// Why runs are not opened.
#[derive(Debug)]
pub enum RunsOpenError {
    /// They are not as they were written.
    Set(RunSetOpenError),
    /// The system does not do it.
    System(std::io::Error),
}

impl From<RunsOpenError> for DiskError {
    fn from(error: RunsOpenError) -> DiskError {
        match error {
            RunsOpenError::Set(RunSetOpenError::Disk(error)) => disk_error(error),
            RunsOpenError::Set(
                RunSetOpenError::NoManifest
                | RunSetOpenError::NewerForm(_)
                | RunSetOpenError::OtherLog(_)
                | RunSetOpenError::Run(..),
            ) => DiskError::Damaged,
            RunsOpenError::System(_) => DiskError::Broken,
        }
    }
}

impl fmt::Display for RunsOpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunsOpenError::Set(error) => write!(f, "its messages: {error}"),
            RunsOpenError::System(error) => write!(f, "its messages: {error}"),
        }
    }
}

/// Who writes runs.
#[derive(Debug)]
enum Writer {
    /// A thread.
    Sorter(Sorter),
    /// Nobody: they are looked at.
    Nobody,
    /// It could not be started again.
    Failed,
}

/// The runs of a store.
#[derive(Debug)]
pub struct SortedRuns {
    /// The store's directory.
    dir: PathBuf,
    log_id: u64,
    view: Arc<RunView>,
    files: RunFiles,
    records: AppliedRecords,
    writer: Writer,
}

impl SortedRuns {
    /// Opens the runs of a store's directory, and begins a thread that writes them.
    pub fn start(
        dir: &Path,
        log_id: u64,
        records: AppliedRecords,
    ) -> Result<SortedRuns, RunsOpenError> {
        let mut files = RunFiles::take(&messages_dir(dir)).map_err(RunsOpenError::System)?;
        let set = RunSet::open(&mut files, options(log_id)).map_err(RunsOpenError::Set)?;
        let view = Arc::clone(set.view());
        let sorter = Sorter::start(set, files.another(), records.clone());
        let writer = Writer::Sorter(sorter.map_err(RunsOpenError::System)?);
        let dir = dir.to_path_buf();
        Ok(SortedRuns { dir, log_id, view, files, records, writer })
    }

    /// Opens the runs of a store's directory as they are.
    pub fn at_rest(
        dir: &Path,
        log_id: u64,
        records: AppliedRecords,
    ) -> Result<SortedRuns, RunsOpenError> {
        let (runs, damaged) = SortedRuns::look(dir, log_id, records)?;
        match damaged.first() {
            None => Ok(runs),
            Some(run) => Err(RunsOpenError::Set(RunSetOpenError::Run(run.id, run.error))),
        }
    }

    /// Opens those runs of a store's directory that can be read, and says which cannot.
    pub fn readable(
        dir: &Path,
        log_id: u64,
        records: AppliedRecords,
    ) -> Result<(SortedRuns, Vec<LogFinding>), RunsOpenError> {
        let (runs, damaged) = SortedRuns::look(dir, log_id, records)?;
        let finding = |run: DamagedRun| LogFinding::UnreadableRun(run.id.0, run.error.to_string());
        Ok((runs, damaged.into_iter().map(finding).collect()))
    }

    fn look(
        dir: &Path,
        log_id: u64,
        records: AppliedRecords,
    ) -> Result<(SortedRuns, Vec<DamagedRun>), RunsOpenError> {
        let mut files = RunFiles::take(&messages_dir(dir)).map_err(RunsOpenError::System)?;
        let opened = RunView::open(&mut files, options(log_id)).map_err(RunsOpenError::Set);
        let (view, damaged) = opened?;
        let (dir, writer, view) = (dir.to_path_buf(), Writer::Nobody, Arc::new(view));
        Ok((SortedRuns { dir, log_id, view, files, records, writer }, damaged))
    }

    fn take_event(&mut self, event: SorterEvent) -> RunsEvent {
        match event {
            SorterEvent::Changed(view) => {
                self.view = view;
                RunsEvent::Merged
            }
            SorterEvent::Sorted(view) => {
                self.view = view;
                RunsEvent::Sorted(RunSequence(self.view.sorted()).of_log())
            }
            SorterEvent::Reclaimed(view) => {
                self.view = view;
                RunsEvent::Reclaimed
            }
            SorterEvent::Failed(failure) => RunsEvent::Failed(failure),
        }
    }

    /// Messages of one room.
    fn scan_room(
        &self,
        range: RoomRange,
        order: ReadOrder,
        on_message: &mut SortedCallback<'_>,
    ) -> Result<ControlFlow<()>, DiskError> {
        let direction = match order {
            ReadOrder::OldestFirst => ScanDirection::Forward,
            ReadOrder::NewestFirst => ScanDirection::Backward,
        };
        if let Writer::Nobody = self.writer {
            return self.scan_past_damage(range, direction, on_message);
        }
        // Whoever is told may ask for others meanwhile.
        let mut files = self.files.another();
        let mut scan = self.view.scan(&mut files, range, direction).map_err(disk_error)?;
        // Damage is told early; what stands before it is read all the same.
        let mut damaged: Option<u64> = None;
        let is_before = |damaged: Option<u64>, offset: u64| match order {
            ReadOrder::OldestFirst => damaged.is_some_and(|first| first <= offset),
            ReadOrder::NewestFirst => damaged.is_some_and(|last| offset <= last),
        };
        while let Some(item) = scan.next(&mut files).map_err(disk_error)? {
            match item {
                ScanItem::Entry(found) => {
                    if is_before(damaged, found.entry.key.offset) {
                        break;
                    }
                    let last = RunSequence(found.log.last).of_log();
                    if on_message(found.entry.key, &found.entry.value, last).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                ScanItem::Damaged(run, range) => {
                    tracing::error!(?run, ?range, "messages of a run are damaged");
                    remember_damage(&self.dir);
                    let begins = match order {
                        ReadOrder::OldestFirst => range.first,
                        ReadOrder::NewestFirst => range.last,
                    };
                    if !is_before(damaged, begins) {
                        damaged = Some(begins);
                    }
                }
            }
        }
        if damaged.is_some() {
            return Err(DiskError::Damaged);
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The same for whoever looks at a store at rest: all that can be read, whatever is damaged
    /// before it. Messages that are missing between others say where damage is, so it ends with
    /// `Damaged` only where the end of the room may be.
    fn scan_past_damage(
        &self,
        range: RoomRange,
        direction: ScanDirection,
        on_message: &mut SortedCallback<'_>,
    ) -> Result<ControlFlow<()>, DiskError> {
        let mut files = self.files.another();
        let mut scan = self.view.scan(&mut files, range, direction).map_err(disk_error)?;
        let mut passed = PassedDamage::default();
        while let Some(item) = scan.next(&mut files).map_err(disk_error)? {
            match item {
                ScanItem::Entry(found) => {
                    passed.on_entry(&found);
                    let last = RunSequence(found.log.last).of_log();
                    if on_message(found.entry.key, &found.entry.value, last).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                ScanItem::Damaged(run, range) => {
                    remember_damage(&self.dir);
                    let info = self.view.runs().map(|run| run.info()).find(|info| info.id == run);
                    passed.on_damage(info.expect("a scan is of the view's runs").log, range);
                }
            }
        }
        match passed.may_be_the_end() {
            true => Err(DiskError::Damaged),
            false => Ok(ControlFlow::Continue(())),
        }
    }

    /// The nearest room with messages, at a room or behind it in this order.
    fn next_room(&self, room: RoomId, order: ReadOrder) -> Result<Option<RoomId>, DiskError> {
        let mut files = self.files.another();
        let found = match order {
            ReadOrder::OldestFirst => self.view.room_from(&mut files, room),
            ReadOrder::NewestFirst => self.view.room_up_to(&mut files, room),
        };
        found.map_err(|error| self.read_error(error))
    }

    fn read_error(&self, error: RunReadError) -> DiskError {
        match error {
            RunReadError::Disk(error) => disk_error(error),
            RunReadError::Damaged(damage) => {
                tracing::error!(?damage, "messages of a run are damaged");
                remember_damage(&self.dir);
                DiskError::Damaged
            }
        }
    }
}

fn options(log_id: u64) -> RunSetOptions {
    let new_behind = RunSequence::of(0).0;
    RunSetOptions { log_id, new_behind, merges: MergeSizes::default() }
}

fn disk_error(error: RunDiskError) -> DiskError {
    match error {
        RunDiskError::Full => DiskError::Full,
        RunDiskError::ReadOnly | RunDiskError::Failed => DiskError::Broken,
        RunDiskError::Missing => DiskError::Damaged,
    }
}

impl MessageRuns for SortedRuns {
    fn get(&self, key: EntryKey) -> Result<Option<SortedMessage>, DiskError> {
        let found = self.view.get(&mut self.files.another(), key);
        let found = found.map_err(|error| self.read_error(error))?;
        Ok(found.map(|found| {
            let run_last = RunSequence(found.log.last).of_log();
            SortedMessage { value: found.entry.value, run_last }
        }))
    }

    fn scan(
        &self,
        (low, high): (EntryKey, EntryKey),
        order: ReadOrder,
        on_message: &mut SortedCallback<'_>,
    ) -> Result<(), DiskError> {
        if high < low {
            return Ok(());
        }
        let mut next = match order {
            ReadOrder::OldestFirst => Some(low.room),
            ReadOrder::NewestFirst => Some(high.room),
        };
        // Nearly always one room is asked for, which need not be looked for.
        if low.room != high.room {
            next = self.next_room(next.expect("there is an end"), order)?;
        }
        while let Some(room) = next.filter(|room| low.room <= *room && *room <= high.room) {
            let first = if room == low.room { low.offset } else { 0 };
            let last = if room == high.room { high.offset } else { u64::MAX };
            if self.scan_room(RoomRange { room, first, last }, order, on_message)?.is_break() {
                return Ok(());
            }
            let behind = match order {
                ReadOrder::OldestFirst => room.0.checked_add(1),
                ReadOrder::NewestFirst => room.0.checked_sub(1),
            };
            next = match behind.filter(|_| low.room != high.room) {
                Some(behind) => self.next_room(RoomId(behind), order)?,
                None => None,
            };
        }
        Ok(())
    }

    fn sorted(&self) -> Result<u64, DiskError> {
        match self.writer {
            Writer::Failed => Err(DiskError::Broken),
            Writer::Sorter(_) | Writer::Nobody => Ok(RunSequence(self.view.sorted()).of_log()),
        }
    }

    fn oldest_last(&self) -> Option<u64> {
        self.view.runs().next().map(|run| RunSequence(run.info().log.last).of_log())
    }

    fn sort(&mut self, layer: Arc<MessageLayer>) {
        if let Writer::Sorter(sorter) = &mut self.writer {
            sorter.sort(layer);
        }
    }

    fn reclaim(&mut self) {
        if let Writer::Sorter(sorter) = &mut self.writer {
            sorter.reclaim();
        }
    }

    fn dispose(&mut self, layer: Arc<MessageLayer>) {
        if let Writer::Sorter(sorter) = &mut self.writer {
            sorter.dispose(layer);
        }
    }

    fn poll(&mut self) -> Option<RunsEvent> {
        let Writer::Sorter(sorter) = &mut self.writer else { return None };
        let event = sorter.poll()?;
        Some(self.take_event(event))
    }

    fn wait(&mut self) -> Option<RunsEvent> {
        let Writer::Sorter(sorter) = &mut self.writer else { return None };
        let event = sorter.wait()?;
        Some(self.take_event(event))
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        if matches!(self.writer, Writer::Nobody) {
            return Ok(());
        }
        // The thread has ended when this returns.
        self.writer = Writer::Failed;
        let again = SortedRuns::start(&self.dir, self.log_id, self.records.clone());
        *self = again.map_err(|error| {
            tracing::error!("the store's messages could not be read again: {error}");
            DiskError::from(error)
        })?;
        Ok(())
    }

    fn used_bytes(&self) -> u64 {
        self.view.runs().map(|run| run.info().bytes).sum()
    }

    fn take_activity(&mut self) -> RunsActivity {
        let (moved_bytes, failures) = match &self.writer {
            Writer::Sorter(sorter) => sorter.take_counts(),
            Writer::Nobody | Writer::Failed => (0, 0),
        };
        let is_new = |run: &&Arc<Run>| run.info().level == 0;
        let unmerged_bytes = self.view.runs().filter(is_new).map(|run| run.info().bytes).sum();
        let merged_bytes = self.used_bytes() - unmerged_bytes;
        RunsActivity { moved_bytes, failures, unmerged_bytes, merged_bytes }
    }
}
