//! A file of records in a directory that one process has, and one sync for all records that are
//! written together.
//!
//! Its owner has all of it in memory, too, so whatever happened to the file is repaired by writing
//! a new one and renaming it: at each start, after a write that failed, and when it has grown.
//!
//! Invariants: after `Ok`, what was written survives `kill -9` and a power cut; what was added to a
//! file of which nobody knows what is in it is never read.
//!
//! A log that does not fit into one file is `SegmentFiles`.
//!
//! Deliberately absent: what is in a record (`base::put_record`, and its owner).

mod segments;

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

pub use self::segments::{FoundSegment, SegmentFiles};

const LOCK_FILE: &str = "lock";

/// Whose file it is.
#[derive(Debug)]
pub struct RecordFileKind {
    /// Its name.
    pub name: &'static str,
    /// With what it begins.
    pub magic: &'static [u8],
    /// The least growth in bytes after which it is written anew.
    pub growth_bytes: u64,
    /// Who has it, for errors.
    pub owner: &'static str,
    /// What it is, for errors.
    pub content: &'static str,
    /// What its directory is called in settings, for errors.
    pub place: &'static str,
    /// What stands before the path and the system's error.
    pub failure: &'static str,
}

/// Why a directory cannot be used.
#[derive(Debug)]
pub enum RecordFileError {
    /// Another process has it.
    InUse(&'static RecordFileKind, PathBuf),
    /// The file is another one.
    Foreign(&'static RecordFileKind, PathBuf),
    /// An error of the system.
    System(&'static RecordFileKind, PathBuf, io::Error),
}

impl fmt::Display for RecordFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecordFileError::InUse(kind, dir) => {
                let (dir, RecordFileKind { owner, place, .. }) = (dir.display(), kind);
                write!(f, "{dir} is used by another {owner}: give each a {place} of its own")
            }
            RecordFileError::Foreign(kind, path) => {
                let (path, RecordFileKind { content, place, .. }) = (path.display(), kind);
                write!(f, "{path} is no {content}: choose another {place}, or move it away")
            }
            RecordFileError::System(kind, path, error) => {
                write!(f, "{}{}: {error}", kind.failure, path.display())
            }
        }
    }
}

/// The file, open for changes.
#[derive(Debug)]
pub struct RecordFile {
    kind: &'static RecordFileKind,
    dir: PathBuf,
    /// `None` until it was written anew.
    file: Option<File>,
    bytes: u64,
    /// Of the file when it was written anew.
    whole_bytes: u64,
    /// What is in the file is not known.
    is_broken: bool,
    /// Held for the life of the process.
    _lock: File,
}

impl RecordFile {
    /// Takes the directory, which is made where it does not exist, and reads its file. Returns the
    /// bytes of its records, too. It is to be written anew before anything else.
    pub fn open(
        dir: &Path,
        kind: &'static RecordFileKind,
    ) -> Result<(RecordFile, Vec<u8>), RecordFileError> {
        let lock = lock_dir(dir, kind)?;
        let system = |path: &Path, error| RecordFileError::System(kind, path.to_owned(), error);
        let path = dir.join(kind.name);
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => kind.magic.to_vec(),
            Err(error) => return Err(system(&path, error)),
        };
        if !bytes.starts_with(kind.magic) {
            return Err(RecordFileError::Foreign(kind, path));
        }
        let records = bytes.split_off(kind.magic.len());
        let (dir, bytes, whole_bytes, file) = (dir.to_owned(), 0, 0, None);
        let is_broken = true;
        let opened = RecordFile { kind, dir, file, bytes, whole_bytes, is_broken, _lock: lock };
        Ok((opened, records))
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.dir.join(self.kind.name)
    }

    /// An error of the system about it.
    pub fn system_error(&self, error: io::Error) -> RecordFileError {
        RecordFileError::System(self.kind, self.path(), error)
    }

    /// Keeps a copy of the file as it is, beside it. Returns where.
    pub fn keep_damaged(&self) -> Result<PathBuf, RecordFileError> {
        let copy = self.beside("damaged");
        match fs::copy(self.path(), &copy) {
            Ok(_) => Ok(copy),
            Err(error) => Err(RecordFileError::System(self.kind, copy, error)),
        }
    }

    /// Whether the file is to be written anew instead of a change being added to it.
    pub fn needs_rewrite(&self) -> bool {
        let most_bytes = self.whole_bytes.saturating_mul(4).saturating_add(self.kind.growth_bytes);
        self.is_broken || most_bytes < self.bytes
    }

    /// Whether it is not known what is in it: it was not written anew yet, or a write failed.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Adds records.
    pub fn append(&mut self, records: &[u8]) -> io::Result<()> {
        assert!(!self.is_broken, "a broken file is written anew");
        let file = self.file.as_mut().expect("it is there unless it is broken");
        let written = file.write_all(records).and_then(|()| file.sync_data());
        self.bytes += records.len() as u64;
        self.is_broken = written.is_err();
        written
    }

    /// Puts a file with these records in the place of the old one.
    pub fn rewrite(&mut self, records: &[u8]) -> io::Result<()> {
        self.is_broken = true;
        let beside = self.beside("new");
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => (), // of an earlier try
        }
        let mut file = private(&beside)?;
        file.write_all(self.kind.magic)?;
        file.write_all(records)?;
        file.sync_all()?;
        fs::rename(&beside, self.path())?;
        File::open(&self.dir)?.sync_all()?;
        let bytes = (self.kind.magic.len() + records.len()) as u64;
        (self.file, self.bytes, self.whole_bytes) = (Some(file), bytes, bytes);
        self.is_broken = false;
        Ok(())
    }

    /// Its length.
    #[cfg(test)]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next write fails.
    #[cfg(test)]
    pub fn refuse_writes(&mut self) {
        self.file = Some(File::open(self.path()).unwrap());
    }

    fn beside(&self, end: &str) -> PathBuf {
        self.dir.join(format!("{}.{end}", self.kind.name))
    }
}

/// Takes a directory, which is made where it does not exist, for the life of what is returned.
fn lock_dir(dir: &Path, kind: &'static RecordFileKind) -> Result<File, RecordFileError> {
    let system = |path: &Path, error| RecordFileError::System(kind, path.to_owned(), error);
    let mut making = DirBuilder::new();
    making.recursive(true).mode(0o700).create(dir).map_err(|error| system(dir, error))?;
    let path = dir.join(LOCK_FILE);
    let lock = private(&path).map_err(|error| system(&path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(RecordFileError::InUse(kind, dir.to_owned())),
        Err(TryLockError::Error(error)) => Err(system(&path, error)),
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
