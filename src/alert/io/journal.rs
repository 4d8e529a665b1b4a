//! The journal: records, each with its length and checksum, and one sync for all that are written
//! together. The last value of each key counts.
//!
//! The whole state is in memory and small, so any damage of the file is repaired by writing a new
//! one and renaming it: after a failed write or sync, when it has grown, and at each start.
//!
//! Invariant: after `Ok`, the changes survive `kill -9` and a power cut.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use crate::alert::core::record::{JournalRecord, RecordKey, RecordValue};

const MAGIC: &[u8] = b"rookery alert queue 1\n";
const HEAD_BYTES: usize = 12;
const PAYLOAD_START: &[u8] = b"{\"key\":";

/// The least growth, in bytes, after which the file is rewritten.
const GROWTH_BYTES: u64 = 16 << 20;

/// Why the journal cannot be opened.
#[derive(Debug)]
pub enum JournalError {
    /// Another bridge has it open.
    InUse(PathBuf),
    /// The file is no journal.
    Foreign(PathBuf),
    /// An error of the system.
    System(PathBuf, io::Error),
}

impl fmt::Display for JournalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JournalError::InUse(dir) => write!(
                f,
                "{} is used by another alert bridge: give each a directory of its own",
                dir.display()
            ),
            JournalError::Foreign(path) => write!(
                f,
                "{} is no queue of an alert bridge: choose another directory, or move it away",
                path.display()
            ),
            JournalError::System(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

/// A journal that was opened.
#[derive(Debug)]
pub struct OpenedJournal {
    /// The journal, ready for writes.
    pub journal: Journal,
    /// The last value of each key.
    pub records: Vec<JournalRecord>,
    /// Damaged bytes in the middle of the file; a copy of the file was kept.
    pub damaged_bytes: usize,
}

/// The journal, open for writes.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    file: File,
    len: u64,
    whole_len: u64,
    is_broken: bool,
    /// The lock, held for the life of the process.
    _lock: File,
}

impl Journal {
    /// Opens the journal in `dir`, which is created when it does not exist.
    pub fn open(dir: &Path) -> Result<OpenedJournal, JournalError> {
        let system = |path: &Path, error| JournalError::System(path.to_owned(), error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|error| system(dir, error))?;
        let lock_path = dir.join("lock");
        let lock = private(&lock_path).map_err(|error| system(&lock_path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(JournalError::InUse(dir.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(system(&lock_path, error)),
        }
        let path = dir.join("queue");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => MAGIC.to_vec(),
            Err(error) => return Err(system(&path, error)),
        };
        let Some(frames) = bytes.strip_prefix(MAGIC) else {
            return Err(JournalError::Foreign(path));
        };
        let (records, damaged_bytes) = read(frames);
        if damaged_bytes > 0 {
            let copy = dir.join("queue.damaged");
            fs::write(&copy, &bytes).map_err(|error| system(&copy, error))?;
        }
        let (file, len) = write_whole(dir, &records).map_err(|error| system(&path, error))?;
        let journal = Journal {
            dir: dir.to_owned(),
            file,
            len,
            whole_len: len,
            is_broken: false,
            _lock: lock,
        };
        Ok(OpenedJournal { journal, records, damaged_bytes })
    }

    /// Whether the next write should rewrite the file, and not append to it.
    pub fn needs_rewrite(&self) -> bool {
        self.is_broken || self.len > self.whole_len.saturating_mul(4).saturating_add(GROWTH_BYTES)
    }

    /// Whether the last write failed.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Appends records, and syncs.
    pub fn append(&mut self, records: &[JournalRecord]) -> io::Result<()> {
        assert!(!self.is_broken, "a broken queue is written anew");
        let mut bytes = Vec::new();
        for record in records {
            frame(record, &mut bytes);
        }
        let written = self.file.write_all(&bytes).and_then(|()| self.file.sync_data());
        self.len += bytes.len() as u64;
        // The content of the file is unknown now; the state in memory is right.
        self.is_broken = written.is_err();
        written
    }

    /// Rewrites the file with the whole state.
    pub fn rewrite(&mut self, all: &[JournalRecord]) -> io::Result<()> {
        let written = write_whole(&self.dir, all);
        self.is_broken = written.is_err();
        let (file, len) = written?;
        (self.file, self.len, self.whole_len) = (file, len, len);
        Ok(())
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

fn write_whole(dir: &Path, records: &[JournalRecord]) -> io::Result<(File, u64)> {
    let (path, beside) = (dir.join("queue"), dir.join("queue.new"));
    let mut bytes = MAGIC.to_vec();
    for record in records {
        frame(record, &mut bytes);
    }
    let _ = fs::remove_file(&beside); // of an earlier try
    let mut file = private(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, &path)?;
    File::open(dir)?.sync_all()?;
    Ok((file, bytes.len() as u64))
}

fn frame(record: &JournalRecord, bytes: &mut Vec<u8>) {
    let payload = serde_json::to_vec(record).expect("records are texts and numbers");
    let len = u32::try_from(payload.len()).expect("notifications are bounded");
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&xxh3_64(&payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
}

/// Parses the record at the start of `bytes`. Returns its length, too.
fn unframe(bytes: &[u8]) -> Option<(JournalRecord, usize)> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let len = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let hash = u64::from_le_bytes(head[4..].try_into().ok()?);
    let payload = rest.get(..len)?;
    // A cheap check of its start, so that the search for whole records is fast.
    if !payload.starts_with(PAYLOAD_START) || xxh3_64(payload) != hash {
        return None;
    }
    Some((serde_json::from_slice(payload).ok()?, HEAD_BYTES + len))
}

/// The last value of each key, and the number of damaged bytes between records. A torn record at
/// the end was never confirmed.
fn read(mut bytes: &[u8]) -> (Vec<JournalRecord>, usize) {
    let mut values: BTreeMap<RecordKey, RecordValue> = BTreeMap::new();
    let (mut damaged, mut skipped) = (0, 0);
    while !bytes.is_empty() {
        let Some((record, len)) = unframe(bytes) else {
            skipped += 1;
            bytes = &bytes[1..];
            continue;
        };
        damaged += skipped;
        skipped = 0;
        bytes = &bytes[len..];
        match record.value {
            Some(value) => values.insert(record.key, value),
            None => values.remove(&record.key),
        };
    }
    let records = values.into_iter().map(|(key, value)| JournalRecord { key, value: Some(value) });
    (records.collect(), damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, value: Option<u64>) -> JournalRecord {
        JournalRecord {
            key: RecordKey::Action(name.to_owned()),
            value: value.map(RecordValue::Action),
        }
    }

    #[test]
    fn the_last_value_counts_after_every_cut() {
        let mut bytes = Vec::new();
        let mut whole = vec![0];
        let changes =
            [record("a", Some(1)), record("b", Some(2)), record("a", Some(3)), record("b", None)];
        for change in &changes {
            frame(change, &mut bytes);
            whole.push(bytes.len());
        }
        for end in 0..=bytes.len() {
            let (records, damaged) = read(&bytes[..end]);
            let count = whole.iter().filter(|at| **at <= end).count() - 1;
            let want: Vec<JournalRecord> = match count {
                0 => vec![],
                1 => vec![record("a", Some(1))],
                2 => vec![record("a", Some(1)), record("b", Some(2))],
                3 => vec![record("a", Some(3)), record("b", Some(2))],
                _ => vec![record("a", Some(3))],
            };
            assert_eq!((records, damaged), (want, 0), "cut at {end}");
        }
    }

    #[test]
    fn what_is_whole_behind_a_damaged_place_is_found() {
        let mut bytes = Vec::new();
        frame(&record("a", Some(1)), &mut bytes);
        let second = bytes.len();
        frame(&record("b", Some(2)), &mut bytes);
        let third = bytes.len();
        frame(&record("c", Some(3)), &mut bytes);
        for at in second..third {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x20;
            let (records, skipped) = read(&damaged);
            assert_eq!(records, [record("a", Some(1)), record("c", Some(3))], "byte {at}");
            assert_eq!(skipped, third - second);
        }
    }

    #[test]
    fn what_was_written_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/queue");
        let mut journal = Journal::open(&path).unwrap().journal;
        journal.append(&[record("a", Some(1)), record("b", Some(1))]).unwrap();
        journal.append(&[record("a", None)]).unwrap();
        drop(journal);
        let OpenedJournal { records, mut journal, .. } = Journal::open(&path).unwrap();
        assert_eq!(records, [record("b", Some(1))]);
        journal.rewrite(&[record("c", Some(2))]).unwrap();
        journal.append(&[record("d", Some(3))]).unwrap();
        drop(journal);
        let opened = Journal::open(&path).unwrap();
        assert_eq!(opened.records, [record("c", Some(2)), record("d", Some(3))]);
    }

    #[test]
    fn two_bridges_do_not_share_a_queue_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = Journal::open(dir.path()).unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::InUse(_))));
        drop(first);
        fs::write(dir.path().join("queue"), "something else").unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(JournalError::Foreign(_))));
        assert_eq!(fs::read(dir.path().join("queue")).unwrap(), b"something else");
    }

    #[test]
    fn a_failed_write_is_mended_by_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap().journal;
        journal.file = File::open(dir.path().join("queue")).unwrap(); // not for writing
        assert!(journal.append(&[record("a", Some(1))]).is_err());
        assert!(journal.is_broken() && journal.needs_rewrite());
        journal.rewrite(&[record("a", Some(1))]).unwrap();
        journal.append(&[record("b", Some(2))]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().records.len(), 2);
    }
}
