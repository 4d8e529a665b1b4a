//! Commands of the log, done by system calls.
//!
//! Deliberately absent: threads (`workers`), and what to do about an error.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::ReadWriteFlags;

use super::directory::{LogDirectory, LogFilesError};
use super::system::{FileAccess, is_without_room, read_place, write_at, write_place};
use crate::log::{
    LogCommand, LogDisk, LogDiskError, MANIFEST_BYTES, ManifestPlace, PAGE_BYTES, PageBuffer,
    SegmentFile, SegmentId, WriteMode,
};

/// Pages of zeros that are written at a time: one large write would hold up others on the disk.
const ZERO_PAGES: u32 = 64;

/// Segments whose files stay open: the one that is written, and the one before it.
const OPEN_SEGMENTS_MAX: usize = 4;

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
        let path = directory.path().join("probe");
        let access = FileAccess::probe(&path);
        let access = access.map_err(|error| LogFilesError::System(path, error))?;
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

    /// A segment's file, which stays open for the next command.
    fn segment(&mut self, id: SegmentId) -> io::Result<&File> {
        if !self.open.contains_key(&id) {
            if OPEN_SEGMENTS_MAX <= self.open.len() {
                self.open.clear();
            }
            let file = self.access.open_options().open(self.directory.segment(id))?;
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
            LogCommand::WriteManifest { place, bytes } => {
                write_place(self.directory.path(), &self.directory.manifest(), *place, bytes)
            }
        }
    }

    /// A file of zeros that are written, and not left out: a hole would make each later sync
    /// look for space.
    fn zero(&self, path: &Path, pages: u32) -> io::Result<()> {
        let file = self.access.open_options().create(true).truncate(true).open(path)?;
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

    /// Keeps what the system said.
    fn noted<T>(&mut self, path: PathBuf, result: io::Result<T>) -> Result<T, LogDiskError> {
        result.map_err(|error| {
            self.failure = Some(format!("{}: {error}", path.display()));
            if is_without_room(&error) { LogDiskError::Full } else { LogDiskError::Failed }
        })
    }
}

impl LogDisk for LogFiles {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, LogDiskError> {
        let path = self.directory.manifest();
        let result = read_place(&path, place, MANIFEST_BYTES);
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

fn at_page(page: u32) -> u64 {
    u64::from(page) * PAGE_BYTES as u64
}
