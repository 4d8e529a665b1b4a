//! Commands of the log, done by system calls.
//!
//! Deliberately absent: threads (`workers`), and what to do about an error.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::{Errno, ReadWriteFlags, pwritev2};

use super::directory::{LogDirectory, LogFilesError};
use crate::log::{
    LogCommand, LogDisk, LogDiskError, MANIFEST_BYTES, ManifestPlace, PAGE_BYTES, PageBuffer,
    SegmentFile, SegmentId, WriteMode,
};

/// Pages of zeros that are written at a time: one large write would hold up others on the disk.
const ZERO_PAGES: u32 = 64;

/// Segments whose files stay open: the one that is written, and the one before it.
const OPEN_SEGMENTS_MAX: usize = 4;

/// How segments are written and read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// Past the page cache.
    Direct,
    /// Through it: the file system has no direct writes.
    Buffered,
}

impl fmt::Display for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileAccess::Direct => "written past the page cache",
            FileAccess::Buffered => {
                "the file system takes no direct writes, so they go through the page cache; what is \
                 answered is synced all the same"
            }
        })
    }
}

/// The files, for one thread.
#[derive(Debug)]
pub struct LogFiles {
    directory: Arc<LogDirectory>,
    access: FileAccess,
    open: BTreeMap<SegmentId, File>,
    failure: Option<String>,
}

impl LogFiles {
    /// Takes a directory, which is made where it does not exist.
    pub fn take(dir: &Path) -> Result<LogFiles, LogFilesError> {
        let directory = Arc::new(LogDirectory::take(dir)?);
        let access = probe(&directory)?;
        Ok(LogFiles { directory, access, open: BTreeMap::new(), failure: None })
    }

    /// The same for another thread, with open files of its own.
    pub fn another(&self) -> LogFiles {
        let (directory, access) = (Arc::clone(&self.directory), self.access);
        LogFiles { directory, access, open: BTreeMap::new(), failure: None }
    }

    /// How segments are written and read.
    pub fn access(&self) -> FileAccess {
        self.access
    }

    /// What the system said of the last command that failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    fn open_options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o600);
        match self.access {
            FileAccess::Direct => options.custom_flags(libc::O_DIRECT),
            FileAccess::Buffered => &mut options,
        };
        options
    }

    /// A segment's file, which stays open for the next command.
    fn segment(&mut self, id: SegmentId) -> io::Result<&File> {
        if !self.open.contains_key(&id) {
            if OPEN_SEGMENTS_MAX <= self.open.len() {
                self.open.clear();
            }
            let file = self.open_options().open(self.directory.segment(id))?;
            self.open.insert(id, file);
        }
        Ok(&self.open[&id])
    }

    fn do_command(&mut self, command: &LogCommand) -> io::Result<()> {
        match command {
            LogCommand::Write { segment, page, pages, mode, .. } => {
                let flags = match mode {
                    WriteMode::Through => ReadWriteFlags::DSYNC,
                    WriteMode::Cached => ReadWriteFlags::empty(),
                };
                write_at(self.segment(*segment)?, pages.bytes(), at_page(*page), flags)
            }
            LogCommand::Flush { segment } => self.segment(*segment)?.sync_data(),
            LogCommand::Zero { segment, pages } => {
                self.open.remove(segment);
                let path = self.directory.segment(*segment);
                let made = self.zero(&path, *pages);
                if made.is_err() {
                    // What there is of it takes space that something else may need.
                    let _ = fs::remove_file(&path);
                }
                made
            }
            LogCommand::WriteManifest { place, bytes } => self.write_manifest(*place, bytes),
        }
    }

    /// A file of zeros that are written, and not left out: a hole would make each later sync
    /// look for space.
    fn zero(&self, path: &Path, pages: u32) -> io::Result<()> {
        let file = self.open_options().create(true).truncate(true).open(path)?;
        let zeros = PageBuffer::zeroed(ZERO_PAGES.min(pages));
        let mut page = 0;
        while page < pages {
            let count = ZERO_PAGES.min(pages - page);
            let bytes = &zeros.bytes()[..count as usize * PAGE_BYTES];
            write_at(&file, bytes, at_page(page), ReadWriteFlags::empty())?;
            page += count;
        }
        file.sync_all()?;
        self.directory.sync()
    }

    fn write_manifest(&self, place: ManifestPlace, bytes: &[u8]) -> io::Result<()> {
        let path = self.directory.manifest();
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        write_at(&file, bytes, at_place(place), ReadWriteFlags::empty())?;
        file.sync_all()?;
        if is_new { self.directory.sync() } else { Ok(()) }
    }

    /// Keeps what the system said.
    fn noted<T>(&mut self, path: PathBuf, result: io::Result<T>) -> Result<T, LogDiskError> {
        result.map_err(|error| {
            self.failure = Some(format!("{}: {error}", path.display()));
            match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => LogDiskError::Full,
                _ => LogDiskError::Failed,
            }
        })
    }
}

impl LogDisk for LogFiles {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, LogDiskError> {
        let path = self.directory.manifest();
        let read = || {
            let file = match File::open(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
                file => file?,
            };
            let mut bytes = vec![0; MANIFEST_BYTES];
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], at_place(place) + filled as u64)? {
                    0 => break,
                    count => filled += count,
                }
            }
            bytes.truncate(filled);
            Ok(bytes)
        };
        let result = read();
        self.noted(path, result)
    }

    fn segments(&mut self, segment_pages: u32) -> Result<Vec<SegmentFile>, LogDiskError> {
        // Files that were open when a write failed have told it; nobody else has to be.
        self.open.clear();
        let listed = self.directory.segments();
        let path = self.directory.path().to_owned();
        let listed = self.noted(path.clone(), listed)?;
        let mut found = Vec::new();
        for (id, bytes) in listed {
            let is_whole = bytes == at_page(segment_pages);
            if is_whole {
                // One whose making was not over may have a length, and not on the disk.
                let path = self.directory.segment(id);
                let synced = File::open(&path).and_then(|file| file.sync_all());
                self.noted(path, synced)?;
            }
            found.push(SegmentFile { id, is_whole });
        }
        let synced = self.directory.sync();
        self.noted(path, synced)?;
        Ok(found)
    }

    fn read(
        &mut self,
        segment: SegmentId,
        page: u32,
        pages: &mut [u8],
    ) -> Result<(), LogDiskError> {
        let file = self.segment(segment);
        let read = file.and_then(|file| file.read_exact_at(pages, at_page(page)));
        let path = self.directory.segment(segment);
        self.noted(path, read)
    }

    fn run(&mut self, command: &LogCommand) -> Result<(), LogDiskError> {
        let path = match command {
            LogCommand::Write { segment, .. }
            | LogCommand::Flush { segment }
            | LogCommand::Zero { segment, .. } => self.directory.segment(*segment),
            LogCommand::WriteManifest { .. } => self.directory.manifest(),
        };
        let result = self.do_command(command);
        self.noted(path, result)
    }
}

/// Whether the file system takes direct writes, tried with a file that is removed again.
fn probe(directory: &LogDirectory) -> Result<FileAccess, LogFilesError> {
    let path = directory.path().join("probe");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let direct = options.clone().custom_flags(libc::O_DIRECT).open(&path);
    let page = PageBuffer::zeroed(1);
    let written = direct.and_then(|file| file.write_all_at(page.bytes(), 0));
    let access = match written {
        Ok(()) => Ok(FileAccess::Direct),
        // `open` says so, or the write.
        Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(FileAccess::Buffered),
        // A log is read where nothing can be written; what is wrong is said by whoever writes.
        Err(error) if is_without_room(&error) => Ok(FileAccess::Direct),
        Err(error) => Err(LogFilesError::System(path.clone(), error)),
    };
    let _ = fs::remove_file(&path);
    access
}

fn is_without_room(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

/// Writes all of it. Interrupted calls go on.
fn write_at(file: &File, bytes: &[u8], at: u64, flags: ReadWriteFlags) -> io::Result<()> {
    let mut written = 0;
    while written < bytes.len() {
        let rest = [IoSlice::new(&bytes[written..])];
        match pwritev2(file, &rest, at + written as u64, flags) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn at_page(page: u32) -> u64 {
    u64::from(page) * PAGE_BYTES as u64
}

fn at_place(place: ManifestPlace) -> u64 {
    match place {
        ManifestPlace::First => 0,
        ManifestPlace::Second => MANIFEST_BYTES as u64,
    }
}
