//! The file of blocks: records, and one sync for all that are written together.
//!
//! All blocks are in memory, too, so whatever happened to the file is repaired by writing a new
//! one and renaming it: after a write that failed, when it has grown, and at each start.
//!
//! Invariants: after `Ok`, the changes survive `kill -9` and a power cut; one process has the
//! directory.
//!
//! Deliberately absent: what is in a record (`blocks`).

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::blocks::{BlockChange, read_records};

/// With what the file begins.
const MAGIC: &[u8] = b"rookery blocks 1\n";

const FILE: &str = "blocks";
const NEW_FILE: &str = "blocks.new";
const DAMAGED_FILE: &str = "blocks.damaged";
const LOCK_FILE: &str = "lock";

/// The least growth after which the file is written anew.
const GROWTH_BYTES: u64 = 4 << 20;

/// Why the directory cannot be used.
#[derive(Debug)]
pub enum BlockJournalError {
    /// Another server has it.
    InUse(PathBuf),
    /// The file is no list of blocks.
    Foreign(PathBuf),
    /// An error of the system.
    System(PathBuf, io::Error),
}

impl fmt::Display for BlockJournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BlockJournalError::InUse(dir) => write!(
                f,
                "{} is used by another server: give each a blocks.dir of its own",
                dir.display()
            ),
            BlockJournalError::Foreign(path) => write!(
                f,
                "{} is no list of blocks: choose another blocks.dir, or move it away",
                path.display()
            ),
            BlockJournalError::System(path, error) => {
                write!(f, "blocks cannot be kept in {}: {error}", path.display())
            }
        }
    }
}

/// The file, open for changes.
#[derive(Debug)]
pub(super) struct BlockJournal {
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

impl BlockJournal {
    /// Takes the directory, which is made where it does not exist, and reads the changes that are
    /// in its file, in order. It is to be written anew before anything else.
    pub fn open(dir: &Path) -> Result<(BlockJournal, Vec<BlockChange>), BlockJournalError> {
        let system = |path: &Path, error| BlockJournalError::System(path.to_owned(), error);
        let mut making = DirBuilder::new();
        making.recursive(true).mode(0o700).create(dir).map_err(|error| system(dir, error))?;
        let lock_path = dir.join(LOCK_FILE);
        let lock = private(&lock_path).map_err(|error| system(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BlockJournalError::InUse(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(system(&lock_path, error)),
        }
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => MAGIC.to_vec(),
            Err(error) => return Err(system(&path, error)),
        };
        let records = bytes.strip_prefix(MAGIC);
        let read = read_records(records.ok_or(BlockJournalError::Foreign(path.clone()))?);
        if read.damaged_bytes != 0 {
            let copy = dir.join(DAMAGED_FILE);
            fs::write(&copy, &bytes).map_err(|error| system(&copy, error))?;
            tracing::error!(
                "{} bytes of {} are damaged, and blocks are missing; {} is a copy as it was",
                read.damaged_bytes,
                path.display(),
                copy.display()
            );
        }
        let dir = dir.to_owned();
        let (bytes, whole_bytes) = (0, 0);
        let journal =
            BlockJournal { dir, file: None, bytes, whole_bytes, is_broken: true, _lock: lock };
        Ok((journal, read.changes))
    }

    /// Whether the file is to be written anew instead of a change being added to it.
    pub fn needs_rewrite(&self) -> bool {
        let growth_bytes = self.whole_bytes.saturating_mul(4).saturating_add(GROWTH_BYTES);
        self.is_broken || growth_bytes < self.bytes
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
        let (path, beside) = (self.dir.join(FILE), self.dir.join(NEW_FILE));
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => (), // of an earlier try
        }
        let mut file = private(&beside)?;
        file.write_all(MAGIC)?;
        file.write_all(records)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(&self.dir)?.sync_all()?;
        let bytes = (MAGIC.len() + records.len()) as u64;
        (self.file, self.bytes, self.whole_bytes) = (Some(file), bytes, bytes);
        self.is_broken = false;
        Ok(())
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::{BlockTarget, BlockTerms, write_record};

    fn record(user: &str) -> Vec<u8> {
        let target = BlockTarget::User { tenant: "".into(), user: user.into() };
        let mut bytes = Vec::new();
        write_record(&target, Some(BlockTerms::default()), &mut bytes);
        bytes
    }

    fn users(changes: &[BlockChange]) -> Vec<&str> {
        changes
            .iter()
            .map(|change| match &change.target {
                BlockTarget::User { user, .. } => &**user,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/blocks");
        let (mut journal, changes) = BlockJournal::open(&path).unwrap();
        assert!(changes.is_empty() && journal.needs_rewrite());
        journal.rewrite(&record("anna")).unwrap();
        journal.append(&record("bob")).unwrap();
        drop(journal);
        let (mut journal, changes) = BlockJournal::open(&path).unwrap();
        assert_eq!(users(&changes), ["anna", "bob"]);
        journal.rewrite(&record("carl")).unwrap();
        journal.append(&record("dora")).unwrap();
        drop(journal);
        // A write that did not end.
        let torn = fs::read(path.join(FILE)).unwrap();
        fs::write(path.join(FILE), &torn[..torn.len() - 1]).unwrap();
        let (_, changes) = BlockJournal::open(&path).unwrap();
        assert_eq!(users(&changes), ["carl"]);
        assert!(!path.join(DAMAGED_FILE).exists());
    }

    #[test]
    fn a_damaged_file_is_kept_beside_what_was_whole() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = BlockJournal::open(dir.path()).unwrap();
        journal.rewrite(&[record("anna"), record("bob")].concat()).unwrap();
        drop(journal);
        let mut bytes = fs::read(dir.path().join(FILE)).unwrap();
        bytes[MAGIC.len() + 20] ^= 1;
        fs::write(dir.path().join(FILE), &bytes).unwrap();
        let (_journal, changes) = BlockJournal::open(dir.path()).unwrap();
        assert_eq!(users(&changes), ["bob"]);
        assert_eq!(fs::read(dir.path().join(DAMAGED_FILE)).unwrap(), bytes);
    }

    #[test]
    fn two_servers_share_no_directory_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = BlockJournal::open(dir.path()).unwrap();
        assert!(matches!(BlockJournal::open(dir.path()), Err(BlockJournalError::InUse(_))));
        drop(first);
        fs::write(dir.path().join(FILE), "something else").unwrap();
        assert!(matches!(BlockJournal::open(dir.path()), Err(BlockJournalError::Foreign(_))));
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"something else");
    }

    #[test]
    fn a_failed_write_is_mended_by_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = BlockJournal::open(dir.path()).unwrap();
        journal.rewrite(&record("anna")).unwrap();
        journal.file = Some(File::open(dir.path().join(FILE)).unwrap()); // not for writing
        assert!(journal.append(&record("bob")).is_err());
        assert!(journal.needs_rewrite());
        journal.rewrite(&record("anna")).unwrap();
        journal.append(&record("carl")).unwrap();
        drop(journal);
        let (_, changes) = BlockJournal::open(dir.path()).unwrap();
        assert_eq!(users(&changes), ["anna", "carl"]);
    }

    #[test]
    fn a_file_that_has_grown_is_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _) = BlockJournal::open(dir.path()).unwrap();
        journal.rewrite(&[]).unwrap();
        let many = record("anna").repeat(10_000);
        while !journal.needs_rewrite() {
            journal.append(&many).unwrap();
        }
        assert!(GROWTH_BYTES < journal.bytes && journal.bytes < 2 * GROWTH_BYTES);
        journal.rewrite(&record("anna")).unwrap();
        assert!(!journal.needs_rewrite());
    }
}
