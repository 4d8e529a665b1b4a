//! The messages of a store of before, which stand in the database, become sorted runs.
//!
//! They are read in their order and written to a directory beside, which gets its name when it is
//! complete; then the format is raised, and then they are removed from the database. Whatever
//! ends the process, the next start begins again, or goes on with the last of these steps.
//!
//! Deliberately absent: which stores are converted (`store_disk`).

use std::ops::ControlFlow;
use std::path::Path;

use super::OpenError;
use super::disk::DiskError;
use super::fjall_disk::{
    DatabaseMessages, FjallDisk, adopt_messages, free_bytes, fresh_messages_dir, io_open_fault,
};
use super::message_runs::MessageRuns as _;
use super::messages::ReadOrder;
use super::sorted_runs::{RunSequence, said_unix_ms};
use crate::runs::{
    EntryKey, EntryKind, EntrySorter, KeptEntries, MergeSizes, RunDiskError, RunEntry, RunSet,
    RunSetOptions, RunSetStep, RunStorage as _, SorterFullError,
};
use crate::runs_disk::RunFiles;

/// Memory of what becomes one run.
const RUN_BYTES: u32 = 128 << 20;

/// Space that stays free beside what messages take now.
const SPARE_BYTES: u64 = 64 << 20;

/// After so many messages it says how far it is.
const MESSAGES_PER_NOTE: u64 = 1_000_000;

/// Sorts the messages of a database with this log into runs.
pub(super) fn convert(dir: &Path, disk: &FjallDisk, log_id: u64) -> Result<(), OpenError> {
    let failed = |fault| ConversionError::Disk(fault).of(dir);
    let messages = DatabaseMessages::of(disk).map_err(failed)?;
    let needed = messages.table_bytes() + SPARE_BYTES;
    let free = free_bytes(dir).map_err(|error| io_open_fault(dir, &error))?;
    if free < needed {
        return Err(OpenError::ConversionSpace { dir: dir.to_path_buf(), needed, free });
    }
    let new_dir = fresh_messages_dir(dir)?;
    tracing::info!("messages are sorted into runs, once; the store opens when that is done");
    let mut files = RunFiles::take(&new_dir).map_err(|error| io_open_fault(dir, &error))?;
    let options = RunSetOptions { log_id, new_behind: 0, merges: MergeSizes::default() };
    let set = RunSet::open(&mut files, options)
        .map_err(|error| OpenError::System { dir: dir.to_path_buf(), what: error.to_string() })?;
    let mut conversion = Conversion::new(set, files);
    let copied = conversion.copy(&messages);
    copied.map_err(|failed| failed.of(dir))?;
    let count = conversion.messages_count;
    drop(conversion);
    adopt_messages(dir, &new_dir)?;
    tracing::info!(messages = count, "messages are sorted");
    Ok(())
}

/// Why it stops.
#[derive(Clone, Copy, Debug)]
enum ConversionError {
    Disk(DiskError),
    Runs(RunDiskError),
}

impl ConversionError {
    fn of(self, dir: &Path) -> OpenError {
        let dir = dir.to_path_buf();
        match self {
            ConversionError::Disk(DiskError::Full) | ConversionError::Runs(RunDiskError::Full) => {
                OpenError::NoSpace(dir)
            }
            ConversionError::Disk(DiskError::Damaged) => {
                OpenError::Damaged { dir, what: "messages in its database".to_owned() }
            }
            ConversionError::Disk(DiskError::Broken) | ConversionError::Runs(_) => {
                OpenError::System { dir, what: "sorting its messages failed".to_owned() }
            }
        }
    }
}

struct Conversion {
    set: RunSet,
    files: RunFiles,
    sorter: EntrySorter,
    newest_unix_ms: u64,
    runs_count: u64,
    messages_count: u64,
}

impl Conversion {
    fn new(set: RunSet, files: RunFiles) -> Conversion {
        let sorter = EntrySorter::new(RUN_BYTES);
        Conversion { set, files, sorter, newest_unix_ms: 0, runs_count: 0, messages_count: 0 }
    }

    fn copy(&mut self, messages: &DatabaseMessages) -> Result<(), ConversionError> {
        let mut fault = Ok(());
        let all = (EntryKey::MIN, EntryKey::MAX);
        let scanned = messages.scan(all, ReadOrder::OldestFirst, &mut |key, value, _| {
            fault = self.take(key, value);
            if fault.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        fault?;
        scanned.map_err(ConversionError::Disk)?;
        if self.messages_count != 0 {
            self.write_run(self.runs_count + 1)?;
        }
        // All of the log that the database has is sorted.
        self.write_run(RunSequence::of(messages.applied()).0)
    }

    fn take(&mut self, key: EntryKey, value: &[u8]) -> Result<(), ConversionError> {
        let said = said_unix_ms(value);
        let entry = RunEntry { key, kind: EntryKind::Message, value };
        if let Err(SorterFullError) = self.sorter.push(&entry) {
            self.write_run(self.runs_count + 1)?;
            self.sorter.push(&entry).map_err(|_| ConversionError::Disk(DiskError::Damaged))?;
        }
        self.newest_unix_ms = self.newest_unix_ms.max(said);
        self.messages_count += 1;
        if self.messages_count.is_multiple_of(MESSAGES_PER_NOTE) {
            tracing::info!(messages = self.messages_count, "messages are being sorted");
        }
        Ok(())
    }

    /// Writes what was taken as a run that ends at a sequence.
    fn write_run(&mut self, through: u64) -> Result<(), ConversionError> {
        let sorter = std::mem::replace(&mut self.sorter, EntrySorter::new(RUN_BYTES));
        self.set.begin_run(sorter, through, std::mem::take(&mut self.newest_unix_ms));
        self.runs_count += 1;
        loop {
            let step = self.set.step(&mut self.files, &mut |_| Ok(KeptEntries::ALL));
            match step.map_err(|error| ConversionError::Runs(error.into()))? {
                RunSetStep::Do(command) => {
                    let result = self.files.run(&command);
                    self.set.on_done(result);
                    result.map_err(ConversionError::Runs)?;
                }
                RunSetStep::Again => {}
                RunSetStep::Idle => return Ok(()),
            }
        }
    }
}
