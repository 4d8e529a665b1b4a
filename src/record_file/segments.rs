//! A log of records in files of a directory that one process has: the last is written, and the
//! oldest go.
//!
//! Invariants: after `Ok`, what was written survives `kill -9` and a power cut; nothing is added
//! to a file that an earlier process wrote, or of which nobody knows what is in it.
//!
//! Deliberately absent: what is in a record, and which file is needed (its owner).

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{RecordFileError, RecordFileKind, lock_dir};

/// Digits of a number in a name, so that names are in the order of numbers.
const ID_DIGITS: usize = 16;

/// The segments of a log, the last of them open for records.
#[derive(Debug)]
pub struct SegmentFiles {
    kind: &'static RecordFileKind,
    dir: PathBuf,
    /// The one that is written.
    current: Option<(u64, File)>,
    /// Held for the life of the process.
    _lock: File,
}

/// A segment that was found, with the bytes of its records.
pub type FoundSegment = (u64, Vec<u8>);

impl SegmentFiles {
    /// Takes the directory, which is made where it does not exist, and reads its segments, the
    /// oldest first. What they have is on the disk then, whoever wrote it.
    pub fn open(
        dir: &Path,
        kind: &'static RecordFileKind,
    ) -> Result<(SegmentFiles, Vec<FoundSegment>), RecordFileError> {
        let lock = lock_dir(dir, kind)?;
        let files = SegmentFiles { kind, dir: dir.to_owned(), current: None, _lock: lock };
        let mut found = Vec::new();
        for id in files.ids().map_err(|error| files.error(dir, error))? {
            let path = files.path(id);
            let bytes = read_synced(&path).map_err(|error| files.error(&path, error))?;
            found.push((id, files.records_of(&path, bytes)?));
        }
        Ok((files, found))
    }

    /// The numbers of segments that are there, in order.
    fn ids(&self) -> io::Result<Vec<u64>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_prefix(self.kind.name));
            let id = id.and_then(|digits| digits.strip_prefix('-'));
            let id = id.filter(|digits| digits.len() == ID_DIGITS);
            ids.extend(id.and_then(|digits| u64::from_str_radix(digits, 16).ok()));
        }
        ids.sort_unstable();
        Ok(ids)
    }

    /// Takes off what each file begins with. One that was cut off in it has no record.
    fn records_of(&self, path: &Path, mut bytes: Vec<u8>) -> Result<Vec<u8>, RecordFileError> {
        let magic = self.kind.magic;
        if magic.starts_with(&bytes) {
            return Ok(Vec::new());
        }
        if !bytes.starts_with(magic) {
            return Err(RecordFileError::Foreign(self.kind, path.to_owned()));
        }
        Ok(bytes.split_off(magic.len()))
    }

    fn path(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{}-{id:0width$x}", self.kind.name, width = ID_DIGITS))
    }

    /// An error of the system about it.
    pub fn system_error(&self, error: io::Error) -> RecordFileError {
        self.error(&self.dir, error)
    }

    fn error(&self, path: &Path, error: io::Error) -> RecordFileError {
        RecordFileError::System(self.kind, path.to_owned(), error)
    }

    /// Keeps a copy of all segments as they are, in a directory beside them. Returns where.
    pub fn keep_damaged(&self) -> Result<PathBuf, RecordFileError> {
        let copies = self.dir.join("damaged");
        let copied = fs::create_dir_all(&copies).and_then(|()| {
            for id in self.ids()? {
                let path = self.path(id);
                let name = path.file_name().expect("it has a name");
                fs::copy(&path, copies.join(name))?;
            }
            Ok(())
        });
        copied.map_err(|error| self.error(&copies, error))?;
        Ok(copies)
    }

    /// Adds records to a segment, which is made unless it is the last that was written. After an
    /// error that one is written no more.
    pub fn append(&mut self, id: u64, records: &[u8]) -> io::Result<()> {
        let (mut file, is_new) = match self.current.take() {
            Some((current, file)) if current == id => (file, false),
            Some(_) | None => (self.create(id)?, true),
        };
        let written = file.write_all(records).and_then(|()| match is_new {
            true => file.sync_all().and_then(|()| File::open(&self.dir)?.sync_all()),
            false => file.sync_data(),
        });
        match &written {
            Ok(()) => self.current = Some((id, file)),
            // Nobody was told that anything is in it.
            Err(_) if is_new => drop(fs::remove_file(self.path(id))),
            Err(_) => (),
        }
        written
    }

    fn create(&self, id: u64) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let mut file = options.create_new(true).append(true).mode(0o600).open(self.path(id))?;
        file.write_all(self.kind.magic)?;
        Ok(file)
    }

    /// Removes a segment.
    pub fn remove(&self, id: u64) -> io::Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn read_synced(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(path)?;
    File::open(path)?.sync_all()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: RecordFileKind = RecordFileKind {
        name: "feed",
        magic: b"a log 1\n",
        growth_bytes: 0,
        owner: "server",
        content: "log",
        place: "log.dir",
        failure: "",
    };

    #[test]
    fn what_was_written_is_there_in_order_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/log");
        let (mut files, found) = SegmentFiles::open(&path, &KIND).unwrap();
        assert!(found.is_empty());
        files.append(9, b"one").unwrap();
        files.append(9, b"two").unwrap();
        files.append(16, b"three").unwrap();
        drop(files);
        fs::write(path.join("feed-9"), "no segment").unwrap();
        let (mut files, found) = SegmentFiles::open(&path, &KIND).unwrap();
        assert_eq!(found, [(9, b"onetwo".to_vec()), (16, b"three".to_vec())]);
        let again = files.append(16, b"four").unwrap_err();
        assert_eq!(again.kind(), ErrorKind::AlreadyExists, "nobody knows what is in it");
        files.append(17, b"four").unwrap();
        files.remove(9).unwrap();
        files.remove(9).unwrap();
        drop(files);
        let (_, found) = SegmentFiles::open(&path, &KIND).unwrap();
        assert_eq!(found, [(16, b"three".to_vec()), (17, b"four".to_vec())]);
    }

    #[test]
    fn a_segment_that_was_cut_off_where_it_begins_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        for cut in 0..=KIND.magic.len() {
            fs::write(dir.path().join("feed-0000000000000001"), &KIND.magic[..cut]).unwrap();
            let (_files, found) = SegmentFiles::open(dir.path(), &KIND).unwrap();
            assert_eq!(found, [(1, Vec::new())]);
        }
    }

    #[test]
    fn two_servers_share_no_log_and_foreign_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let first = SegmentFiles::open(dir.path(), &KIND).unwrap();
        assert!(matches!(SegmentFiles::open(dir.path(), &KIND), Err(RecordFileError::InUse(..))));
        drop(first);
        let path = dir.path().join("feed-0000000000000001");
        fs::write(&path, "something else").unwrap();
        assert!(matches!(SegmentFiles::open(dir.path(), &KIND), Err(RecordFileError::Foreign(..))));
        assert_eq!(fs::read(path).unwrap(), b"something else");
    }

    #[test]
    fn damaged_segments_are_kept_beside() {
        let dir = tempfile::tempdir().unwrap();
        let (mut files, _) = SegmentFiles::open(dir.path(), &KIND).unwrap();
        files.append(1, b"one").unwrap();
        let copies = files.keep_damaged().unwrap();
        files.remove(1).unwrap();
        let copy = fs::read(copies.join("feed-0000000000000001")).unwrap();
        assert_eq!(copy, [KIND.magic, b"one"].concat());
    }
}
