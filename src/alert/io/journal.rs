//! The journal: records, of which the last value of each key counts.
//!
//! The whole state is in memory and small.
//!
//! Deliberately absent: the file (`record_file`).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use crate::alert::core::record::{JournalRecord, RecordKey, RecordValue};
use crate::base::{FoundRecords, find_records, put_record};
use crate::record_file::{RecordFile, RecordFileError, RecordFileKind};

const KIND: RecordFileKind = RecordFileKind {
    name: "queue",
    magic: b"rookery alert queue 1\n",
    growth_bytes: 16 << 20,
    owner: "alert bridge",
    content: "queue of an alert bridge",
    place: "directory",
    failure: "",
};

/// With what each record begins.
const PAYLOAD_START: &[u8] = b"{\"key\":";

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
pub struct Journal(RecordFile);

impl Journal {
    /// Opens the journal in `dir`, which is created when it does not exist.
    pub fn open(dir: &Path) -> Result<OpenedJournal, RecordFileError> {
        let (file, bytes) = RecordFile::open(dir, &KIND)?;
        let (records, damaged_bytes) = read(&bytes);
        if damaged_bytes > 0 {
            file.keep_damaged()?;
        }
        let mut journal = Journal(file);
        journal.rewrite(&records).map_err(|error| journal.0.system_error(error))?;
        Ok(OpenedJournal { journal, records, damaged_bytes })
    }

    /// Whether the next write should rewrite the file, and not append to it.
    pub fn needs_rewrite(&self) -> bool {
        self.0.needs_rewrite()
    }

    /// Whether the last write failed.
    pub fn is_broken(&self) -> bool {
        self.0.is_broken()
    }

    /// Appends records, and syncs.
    pub fn append(&mut self, records: &[JournalRecord]) -> io::Result<()> {
        self.0.append(&written(records))
    }

    /// Rewrites the file with the whole state.
    pub fn rewrite(&mut self, all: &[JournalRecord]) -> io::Result<()> {
        self.0.rewrite(&written(all))
    }
}

fn written(records: &[JournalRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    records.iter().for_each(|record| frame(record, &mut bytes));
    bytes
}

fn frame(record: &JournalRecord, bytes: &mut Vec<u8>) {
    put_record(&serde_json::to_vec(record).expect("records are texts and numbers"), bytes);
}

/// The last value of each key, and the number of damaged bytes between records. A torn record at
/// the end was never confirmed.
fn read(bytes: &[u8]) -> (Vec<JournalRecord>, usize) {
    let parse = |payload: &[u8]| serde_json::from_slice::<JournalRecord>(payload).ok();
    let FoundRecords { records, damaged_bytes } = find_records(bytes, PAYLOAD_START, parse);
    let mut values: BTreeMap<RecordKey, RecordValue> = BTreeMap::new();
    for JournalRecord { key, value } in records {
        match value {
            Some(value) => values.insert(key, value),
            None => values.remove(&key),
        };
    }
    let records = values.into_iter().map(|(key, value)| JournalRecord { key, value: Some(value) });
    (records.collect(), damaged_bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        assert!(matches!(Journal::open(dir.path()), Err(RecordFileError::InUse(..))));
        drop(first);
        fs::write(dir.path().join("queue"), "something else").unwrap();
        assert!(matches!(Journal::open(dir.path()), Err(RecordFileError::Foreign(..))));
        assert_eq!(fs::read(dir.path().join("queue")).unwrap(), b"something else");
    }

    #[test]
    fn a_failed_write_is_mended_by_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path()).unwrap().journal;
        journal.0.refuse_writes();
        assert!(journal.append(&[record("a", Some(1))]).is_err());
        assert!(journal.is_broken() && journal.needs_rewrite());
        journal.rewrite(&[record("a", Some(1))]).unwrap();
        journal.append(&[record("b", Some(2))]).unwrap();
        drop(journal);
        assert_eq!(Journal::open(dir.path()).unwrap().records.len(), 2);
    }
}
