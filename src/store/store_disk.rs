//! The disk of a store in a directory: a log, and behind it sorted runs of messages and a database
//! of all other records.
//!
//! A store of before is made into one, once, by steps each of which may be the last one of a
//! process. One without a log is a database alone: everything of it is brought into tables, which
//! takes a moment, and a log is begun in front of it. Messages that stand in the database are sorted
//! into runs (`conversion`). Then the format is raised, so that a program that does not know the new
//! form refuses it, and then messages are removed from the database.
//!
//! Deliberately absent: what the three do (`logged_disk`, `fjall_disk`, `sorted_runs`), and damage
//! (`opening`).

#[cfg(test)]
mod tests;

use std::path::Path;

use super::conversion;
use super::disk::{Batch, Disk, DiskError, StoreKeyspace, SyncMode};
use super::fjall_disk::{
    BackgroundThreads, DatabaseMessages, FjallDisk, FjallFollower, io_open_fault, log_dir,
};
use super::follower::LogFollower as _;
use super::log_port::LogFilesPort;
use super::log_reading::{LogFinding, LogReading, read_log};
use super::log_sizes::{log_setup, new_segment_pages};
use super::logged_disk::{LogPort as _, LogSetup, LoggedDisk, LoggedOpenError};
use super::message_runs::MessageRuns as _;
use super::sorted_runs::{RunsOpenError, SortedRuns};
use super::store_messages::StoreMessages;
use super::{FORMAT, OpenError, Options, engine, key};
use crate::log::{self, LogOpenError};
use crate::log_disk::{FileAccess, LogFilesError};
use crate::runs::RunSetOpenError;

/// The disk of a store: a log, and a database and runs behind it.
pub type StoreDisk = LoggedDisk<LogFilesPort, FjallFollower, StoreMessages>;

/// The format of a store without a log.
pub(super) const FORMAT_WITHOUT_LOG: u32 = 1;

/// The format of a store whose messages stand in its database.
const FORMAT_WITHOUT_RUNS: u32 = 2;

/// Opens the store of a directory, whose database is there. A damaged one is refused.
pub(super) fn open_whole(options: &Options) -> Result<StoreDisk, OpenError> {
    let dir = &options.dir;
    if !FjallDisk::has_log(dir)? {
        prepare_for_log(options)?;
    }
    convert_if_needed(options)?;
    let mut disk = open_logged(options, BackgroundThreads::One)?;
    raise_format(&mut disk, dir)?;
    if disk.port().access() == FileAccess::Buffered {
        tracing::warn!(dir = %dir.display(), "the store's log: {}", FileAccess::Buffered);
    }
    Ok(disk)
}

/// Brings everything of a store without a log into tables.
fn prepare_for_log(options: &Options) -> Result<(), OpenError> {
    let disk = FjallDisk::open_existing(options, BackgroundThreads::One)?;
    match engine::format(&disk, &options.dir)? {
        None => {}
        Some(FORMAT_WITHOUT_LOG) => tracing::info!("the store gets a log in front of its database"),
        Some(_) => {
            let what = "its log is missing".to_owned();
            return Err(OpenError::Damaged { dir: options.dir.clone(), what });
        }
    }
    disk.empty_journal()
}

/// Sorts messages that stand in the database, and removes them there.
fn convert_if_needed(options: &Options) -> Result<(), OpenError> {
    let dir = &options.dir;
    let mut disk = FjallDisk::open_existing(options, BackgroundThreads::One)?;
    let failed = |fault| disk_fault(dir, fault);
    match engine::format(&disk, dir)? {
        // One that is new: its first records may stand in its log alone.
        None => return Ok(()),
        Some(FORMAT_WITHOUT_LOG | FORMAT_WITHOUT_RUNS) => {
            let mut port = take_port(dir)?;
            let log_id = log_id(&mut disk, &mut port).map_err(failed)?;
            conversion::convert(dir, &disk, log_id)?;
            put_format(&mut disk, FORMAT).map_err(failed)?;
        }
        Some(_) => {}
    }
    disk.clear_messages().map_err(failed)
}

fn take_port(dir: &Path) -> Result<LogFilesPort, OpenError> {
    LogFilesPort::take(&log_dir(dir)).map_err(|error| files_fault(dir, error))
}

/// Opens log, database and runs as they are.
pub(super) fn open_logged(
    options: &Options,
    threads: BackgroundThreads,
) -> Result<StoreDisk, OpenError> {
    let dir = &options.dir;
    let StoreParts { port, setup, follower, messages } = open_parts(options, threads)?;
    let messages = match messages {
        Some(messages) => StoreMessages::Database(messages),
        None => {
            let records = follower.records();
            let runs = match threads {
                BackgroundThreads::One => SortedRuns::start(dir, setup.log_id, records),
                BackgroundThreads::None => SortedRuns::at_rest(dir, setup.log_id, records),
            };
            StoreMessages::Runs(runs.map_err(|error| runs_fault(dir, error))?)
        }
    };
    let disk = LoggedDisk::open(port, follower, messages, setup);
    let disk = disk.map_err(|error| open_fault(dir, error))?;
    disk.follower().disk().forget_cuts();
    Ok(disk)
}

/// The parts of a store that has a log.
struct StoreParts {
    port: LogFilesPort,
    setup: LogSetup,
    follower: FjallFollower,
    /// Messages that stand in the database; `None` where they are in runs.
    messages: Option<DatabaseMessages>,
}

fn open_parts(options: &Options, threads: BackgroundThreads) -> Result<StoreParts, OpenError> {
    let dir = &options.dir;
    let failed = |fault| disk_fault(dir, fault);
    let mut disk = FjallDisk::open_existing(options, threads)?;
    let mut port = take_port(dir)?;
    let log_id = log_id(&mut disk, &mut port).map_err(failed)?;
    let made = log::segment_pages(port.disk());
    let segment_pages = made.unwrap_or_else(|| new_segment_pages(options, disk.capacity().ok()));
    let setup = log_setup(segment_pages, log_id);
    let is_converted = match engine::format(&disk, dir)? {
        None => true,
        Some(format) => FORMAT_WITHOUT_RUNS < format,
    };
    let messages = match is_converted {
        true => None,
        false => Some(DatabaseMessages::of(&disk).map_err(failed)?),
    };
    let follower = match threads {
        BackgroundThreads::One => FjallFollower::start(disk).map_err(|error| system(dir, error))?,
        BackgroundThreads::None => FjallFollower::at_rest(disk),
    };
    Ok(StoreParts { port, setup, follower, messages })
}

/// A store whose log or runs may not open: what can be read of it, and what is wrong with them.
pub(super) struct PartialStore {
    pub disk: StoreDisk,
    pub findings: Vec<LogFinding>,
}

/// Opens what can be read of a store whose log or runs may not open. It stays as it is.
pub(super) fn open_partial(options: &Options) -> Result<PartialStore, OpenError> {
    let dir = &options.dir;
    let failed = |fault| disk_fault(dir, fault);
    let StoreParts { mut port, setup, follower, messages } =
        open_parts(options, BackgroundThreads::None)?;
    let (messages, mut findings) = match messages {
        Some(messages) => (StoreMessages::Database(messages), Vec::new()),
        None => {
            let read = SortedRuns::readable(dir, setup.log_id, follower.records());
            let (runs, findings) = read.map_err(|error| runs_fault(dir, error))?;
            (StoreMessages::Runs(runs), findings)
        }
    };
    let applied = follower.applied().map_err(failed)?;
    let sorted = messages.sorted().map_err(failed)?;
    let had = applied.map(|applied| applied.min(sorted));
    let groups = match read_log(port.disk(), setup.log_id, had) {
        Ok(LogReading { groups, findings: found }) => {
            findings.extend(found);
            groups
        }
        Err(error @ LoggedOpenError::Log(LogOpenError::NewerForm(_))) => {
            return Err(open_fault(dir, error));
        }
        Err(error) => {
            findings.push(LogFinding::Unreadable(error.to_string()));
            Vec::new()
        }
    };
    let disk = LoggedDisk::over(port, follower, messages, setup, groups).map_err(failed)?;
    Ok(PartialStore { disk, findings })
}

/// The id of a database's log; one that has none yet gets one.
fn log_id(disk: &mut FjallDisk, port: &mut LogFilesPort) -> Result<u64, DiskError> {
    if let Some(log_id) = disk.log_id()? {
        return Ok(log_id);
    }
    let log_id = port.lives()?.draw();
    disk.set_log(log_id, 0)?;
    Ok(log_id)
}

/// The log of a store that ended in its first moments may say an older format: what is read of it
/// goes over that of the database.
fn raise_format(disk: &mut StoreDisk, dir: &Path) -> Result<(), OpenError> {
    match engine::format(disk, dir)? {
        None | Some(FORMAT) => Ok(()),
        Some(_) => put_format(disk, FORMAT).map_err(|fault| disk_fault(dir, fault)),
    }
}

pub(super) fn put_format(disk: &mut impl Disk, format: u32) -> Result<(), DiskError> {
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Meta, key::FORMAT, format.to_be_bytes());
    disk.commit(&mut batch, SyncMode::Now)
}

/// Opens a store at rest for whoever looks at it, with or without a log.
pub(super) fn open_at_rest(
    options: &Options,
    threads: BackgroundThreads,
) -> Result<Box<dyn Disk>, OpenError> {
    match FjallDisk::has_log(&options.dir)? {
        true => Ok(Box::new(open_logged(options, threads)?)),
        false => Ok(Box::new(FjallDisk::open_existing(options, threads)?)),
    }
}

fn system(dir: &Path, what: impl ToString) -> OpenError {
    OpenError::System { dir: dir.to_path_buf(), what: what.to_string() }
}

fn files_fault(dir: &Path, error: LogFilesError) -> OpenError {
    match error {
        LogFilesError::InUse(_) => OpenError::Locked(dir.to_path_buf()),
        LogFilesError::System(_, error) => io_open_fault(dir, &error),
    }
}

fn runs_fault(dir: &Path, error: RunsOpenError) -> OpenError {
    match error {
        RunsOpenError::System(error) => io_open_fault(dir, &error),
        RunsOpenError::Set(RunSetOpenError::NewerForm(found)) => {
            OpenError::Newer { dir: dir.to_path_buf(), found: Some(found) }
        }
        error @ RunsOpenError::Set(_) => {
            let what = error.to_string();
            fault_of(dir, error.into(), what)
        }
    }
}

fn open_fault(dir: &Path, error: LoggedOpenError) -> OpenError {
    if let LoggedOpenError::Log(LogOpenError::NewerForm(found)) = error {
        return OpenError::Newer { dir: dir.to_path_buf(), found: Some(found) };
    }
    fault_of(dir, error.into(), error.to_string())
}

fn disk_fault(dir: &Path, fault: DiskError) -> OpenError {
    fault_of(dir, fault, LoggedOpenError::Disk(fault).to_string())
}

fn fault_of(dir: &Path, fault: DiskError, what: String) -> OpenError {
    let dir = dir.to_path_buf();
    match fault {
        DiskError::Full => OpenError::NoSpace(dir),
        DiskError::Broken => OpenError::System { dir, what },
        DiskError::Damaged => OpenError::Damaged { dir, what },
    }
}
