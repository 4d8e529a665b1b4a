//! The disk of a store in a directory: a log, and a database behind it.
//!
//! A store of before there were logs is a database alone. Everything of it is brought into tables,
//! which takes a moment, then a log is begun in front of it, and then its format is raised, so that
//! a program that knows no logs refuses it. Each step may be the last one of a process.
//!
//! Deliberately absent: what the two do (`logged_disk`, `fjall_disk`), and damage (`opening`).

#[cfg(test)]
mod tests;

use std::path::Path;

use super::disk::{Batch, Disk, DiskError, StoreKeyspace, SyncMode};
use super::fjall_disk::{BackgroundThreads, FjallDisk, FjallFollower, io_open_fault, log_dir};
use super::follower::LogFollower as _;
use super::log_port::LogFilesPort;
use super::log_reading::{LogFinding, LogReading, read_log};
use super::log_sizes::{log_setup, new_segment_pages};
use super::logged_disk::{LogPort as _, LogSetup, LoggedDisk, LoggedOpenError};
use super::{FORMAT, OpenError, Options, engine, key};
use crate::log::{self, LogOpenError};
use crate::log_disk::{FileAccess, LogFilesError};

/// The disk of a store: a log, and a database behind it.
pub type StoreDisk = LoggedDisk<LogFilesPort, FjallFollower>;

/// The format of a store without a log.
pub(super) const FORMAT_WITHOUT_LOG: u32 = 1;

/// Opens the store of a directory, whose database is there. A damaged one is refused.
pub(super) fn open_whole(options: &Options) -> Result<StoreDisk, OpenError> {
    let dir = &options.dir;
    if !FjallDisk::has_log(dir)? {
        prepare_for_log(options)?;
    }
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

/// Opens log and database as they are.
pub(super) fn open_logged(
    options: &Options,
    threads: BackgroundThreads,
) -> Result<StoreDisk, OpenError> {
    let dir = &options.dir;
    let (disk, port, setup) = open_parts(options, threads)?;
    let follower = match threads {
        BackgroundThreads::One => FjallFollower::start(disk).map_err(|error| system(dir, error))?,
        BackgroundThreads::None => FjallFollower::at_rest(disk),
    };
    let disk = LoggedDisk::open(port, follower, setup).map_err(|error| open_fault(dir, error))?;
    disk.follower().disk().forget_cuts();
    Ok(disk)
}

fn open_parts(
    options: &Options,
    threads: BackgroundThreads,
) -> Result<(FjallDisk, LogFilesPort, LogSetup), OpenError> {
    let dir = &options.dir;
    let mut disk = FjallDisk::open_existing(options, threads)?;
    let mut port = LogFilesPort::take(&log_dir(dir)).map_err(|error| files_fault(dir, error))?;
    let log_id = log_id(&mut disk, &mut port).map_err(|fault| disk_fault(dir, fault))?;
    let made = log::segment_pages(port.disk());
    let segment_pages = made.unwrap_or_else(|| new_segment_pages(options, disk.capacity().ok()));
    Ok((disk, port, log_setup(segment_pages, log_id)))
}

/// A store whose log does not open: what can be read of it, and what is wrong with the log.
pub(super) struct PartialStore {
    pub disk: StoreDisk,
    pub findings: Vec<LogFinding>,
}

/// Opens what can be read of a store whose log does not open. It stays as it is.
pub(super) fn open_partial(options: &Options) -> Result<PartialStore, OpenError> {
    let dir = &options.dir;
    let (disk, mut port, setup) = open_parts(options, BackgroundThreads::None)?;
    let follower = FjallFollower::at_rest(disk);
    let applied = follower.applied().map_err(|fault| disk_fault(dir, fault))?;
    let (changes, findings) = match read_log(port.disk(), setup.log_id, applied) {
        Ok(LogReading { changes, findings }) => (changes, findings),
        Err(error @ LoggedOpenError::Log(LogOpenError::NewerForm(_))) => {
            return Err(open_fault(dir, error));
        }
        Err(error) => (Batch::default(), vec![LogFinding::Unreadable(error.to_string())]),
    };
    Ok(PartialStore { disk: LoggedDisk::over(port, follower, setup, changes), findings })
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

/// A program that knows no logs refuses the store from here on.
fn raise_format(disk: &mut StoreDisk, dir: &Path) -> Result<(), OpenError> {
    let database = disk.follower_mut().disk_mut();
    if engine::format(database, dir)? != Some(FORMAT_WITHOUT_LOG) {
        return Ok(());
    }
    put_format(database, FORMAT).map_err(|fault| disk_fault(dir, fault))
}

pub(super) fn put_format(disk: &mut FjallDisk, format: u32) -> Result<(), DiskError> {
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Meta, key::FORMAT, format.to_be_bytes().to_vec());
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
