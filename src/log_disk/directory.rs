//! The directory: its lock, its names, and that they are durable.
//!
//! Deliberately absent: what is in the files (`files`).

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::system::{make_dir, numbered_files, sync_dir};
use crate::log::SegmentId;

const LOCK_FILE: &str = "lock";
const MANIFEST_FILE: &str = "manifest";
const SEGMENT_PREFIX: &str = "segment-";

/// Why a directory is not used.
#[derive(Debug)]
pub enum LogFilesError {
    /// Another process has it.
    InUse(PathBuf),
    /// An error of the system.
    System(PathBuf, io::Error),
}

impl fmt::Display for LogFilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogFilesError::InUse(dir) => {
                write!(f, "{} is used by another process: give each its own", dir.display())
            }
            LogFilesError::System(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// A directory that this process has.
#[derive(Debug)]
pub(super) struct LogDirectory {
    dir: PathBuf,
    /// Held as long as somebody uses it.
    lock: File,
}

impl Drop for LogDirectory {
    /// A process that is just being begun has a copy of every open file, and would hold the lock
    /// for a moment longer.
    fn drop(&mut self) {
        // A lock that cannot be given back ends with the file.
        let _ = self.lock.unlock();
    }
}

impl LogDirectory {
    /// Takes it; it is made where it does not exist, in a directory that does.
    pub fn take(dir: &Path) -> Result<LogDirectory, LogFilesError> {
        let system = |path: &Path, error| LogFilesError::System(path.to_owned(), error);
        make_dir(dir).map_err(|error| system(dir, error))?;
        let path = dir.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&path).map_err(|error| system(&path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(LogDirectory { dir: dir.to_owned(), lock }),
            Err(TryLockError::WouldBlock) => Err(LogFilesError::InUse(dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(system(&path, error)),
        }
    }

    pub fn path(&self) -> &Path {
        &self.dir
    }

    pub fn manifest(&self) -> PathBuf {
        self.dir.join(MANIFEST_FILE)
    }

    pub fn segment(&self, id: SegmentId) -> PathBuf {
        self.dir.join(segment_name(id))
    }

    /// The files of segments, with their bytes. What has another name is none.
    pub fn segments(&self) -> io::Result<Vec<(SegmentId, u64)>> {
        let found = numbered_files(&self.dir, SEGMENT_PREFIX, |id| segment_name(SegmentId(id)))?;
        Ok(found.into_iter().map(|(id, bytes)| (SegmentId(id), bytes)).collect())
    }

    /// Makes names durable.
    pub fn sync(&self) -> io::Result<()> {
        sync_dir(&self.dir)
    }
}

fn segment_name(id: SegmentId) -> String {
    format!("{SEGMENT_PREFIX}{:03}", id.0)
}
