//! Commands of a set of runs, and reads, done by system calls.
//!
//! Deliberately absent: threads, and what to do about an error.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
// Threads that read take it for the moment of a look-up; no shard does.
#[allow(clippy::disallowed_types)]
use std::sync::{Arc, PoisonError, RwLock};

use rustix::io::ReadWriteFlags;

use crate::log::ManifestPlace;
use crate::log_disk::{
    FileAccess, is_without_room, make_dir, numbered_files, read_place, sync_dir, write_at,
    write_place,
};
use crate::runs::{
    RUN_MANIFEST_BYTES, RunCommand, RunDisk, RunDiskError, RunFile, RunId, RunStorage,
};

const RUN_PREFIX: &str = "run-";

/// Files that stay open to be read.
const OPEN_RUNS_MAX: usize = 256;

/// Files that are open to be read, for all threads.
#[derive(Debug, Default)]
#[allow(clippy::disallowed_types)]
struct OpenRuns(RwLock<BTreeMap<RunId, Arc<File>>>);

/// The files, for one thread.
#[derive(Debug)]
pub struct RunFiles {
    dir: PathBuf,
    access: FileAccess,
    open: Arc<OpenRuns>,
    /// Those that are being written.
    written: BTreeMap<RunId, File>,
    failure: Option<String>,
}

impl RunFiles {
    /// The files of a directory, which is made where it does not exist. Whoever takes it has it
    /// alone.
    pub fn take(dir: &Path) -> io::Result<RunFiles> {
        make_dir(dir)?;
        let access = FileAccess::probe(&dir.join("probe"))?;
        Ok(RunFiles {
            dir: dir.to_owned(),
            access,
            open: Arc::default(),
            written: BTreeMap::new(),
            failure: None,
        })
    }

    /// The same for another thread, which reads.
    pub fn another(&self) -> RunFiles {
        RunFiles {
            dir: self.dir.clone(),
            access: self.access,
            open: Arc::clone(&self.open),
            written: BTreeMap::new(),
            failure: None,
        }
    }

    /// How runs are written.
    pub fn access(&self) -> FileAccess {
        self.access
    }

    /// What the system said of the last thing that failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Bytes that are free for whoever this process is.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let told = rustix::fs::statvfs(&self.dir)?;
        Ok(told.f_bavail.saturating_mul(told.f_frsize))
    }

    fn path(&self, run: RunId) -> PathBuf {
        self.dir.join(run_name(run))
    }

    fn manifest(&self) -> PathBuf {
        self.dir.join("manifest")
    }

    fn do_command(&mut self, command: &RunCommand) -> io::Result<()> {
        match command {
            RunCommand::Write { run, piece } => {
                if piece.place == 0 {
                    self.open.forget(*run);
                    let mut options = self.access.open_options();
                    let file = options.create(true).truncate(true).open(self.path(*run))?;
                    self.written.insert(*run, file);
                }
                let file = self.written.get(run).ok_or(ErrorKind::NotFound)?;
                write_at(file, piece.pages.bytes(), piece.place, ReadWriteFlags::empty())
            }
            RunCommand::Sync { run } => {
                // The file that was written tells its failures, another one might not.
                let file = self.written.remove(run).ok_or(ErrorKind::NotFound)?;
                file.sync_all()?;
                sync_dir(&self.dir)
            }
            RunCommand::WriteManifest { place, bytes } => {
                write_place(&self.dir, &self.manifest(), *place, bytes)
            }
            RunCommand::Remove { run } => {
                self.written.remove(run);
                self.open.forget(*run);
                match fs::remove_file(self.path(*run)) {
                    Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                    removed => removed,
                }
            }
        }
    }

    /// Keeps what the system said.
    fn noted<T>(&mut self, path: PathBuf, result: io::Result<T>) -> Result<T, RunDiskError> {
        result.map_err(|error| {
            self.failure = Some(format!("{}: {error}", path.display()));
            match error.kind() {
                ErrorKind::ReadOnlyFilesystem => RunDiskError::ReadOnly,
                ErrorKind::NotFound | ErrorKind::UnexpectedEof => RunDiskError::Missing,
                _ if is_without_room(&error) => RunDiskError::Full,
                _ => RunDiskError::Failed,
            }
        })
    }
}

impl RunDisk for RunFiles {
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
        let path = self.path(run);
        let file = self.open.file(run, &path);
        let read = file.and_then(|file| file.read_exact_at(bytes, place));
        self.noted(path, read)
    }
}

impl RunStorage for RunFiles {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, RunDiskError> {
        let path = self.manifest();
        let read = read_place(&path, place, RUN_MANIFEST_BYTES);
        self.noted(path, read)
    }

    fn runs(&mut self) -> Result<Vec<RunFile>, RunDiskError> {
        let listed = numbered_files(&self.dir, RUN_PREFIX, |id| run_name(RunId(id)));
        let listed = self.noted(self.dir.clone(), listed)?;
        Ok(listed.into_iter().map(|(id, bytes)| RunFile { id: RunId(id), bytes }).collect())
    }

    fn run(&mut self, command: &RunCommand) -> Result<(), RunDiskError> {
        let path = match command {
            RunCommand::Write { run, .. }
            | RunCommand::Sync { run }
            | RunCommand::Remove { run } => self.path(*run),
            RunCommand::WriteManifest { .. } => self.manifest(),
        };
        let result = self.do_command(command);
        self.noted(path, result)
    }
}

impl OpenRuns {
    fn file(&self, run: RunId, path: &Path) -> io::Result<Arc<File>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&run).cloned();
        if let Some(file) = known {
            return Ok(file);
        }
        // Under the lock, so that a file that is removed meanwhile is not kept.
        let mut open = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let file = Arc::new(File::open(path)?);
        if OPEN_RUNS_MAX <= open.len() {
            open.clear();
        }
        open.insert(run, Arc::clone(&file));
        Ok(file)
    }

    /// It is about to go, or to be made anew.
    fn forget(&self, run: RunId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }
}

fn run_name(run: RunId) -> String {
    format!("{RUN_PREFIX}{}", run.0)
}
