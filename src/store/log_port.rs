//! The log's commands on real files: whoever appends writes and syncs by itself, and what takes
//! longer is done by threads beside it.
//!
//! Deliberately absent: what the log wants (`log`).

use std::collections::VecDeque;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::rand;

use super::disk::DiskError;
use super::log_activity::{LogWrites, keep_length};
use super::logged_disk::LogPort;
use crate::base::Csprng;
use crate::clock::now;
use crate::log::{LogCommand, LogDisk as _, LogEvent, WriteMode};
use crate::log_disk::{FileAccess, LogFiles, LogFilesError, LogWorkers};

/// Batches are written by the thread that has this.
const WRITERS: usize = 0;

/// A directory with a log, and its threads.
#[derive(Debug)]
pub struct LogFilesPort {
    files: LogFiles,
    /// `None` while they could not be started.
    workers: Option<LogWorkers>,
    /// Commands that the workers have.
    under_way: usize,
    /// What was done here.
    done: VecDeque<LogEvent>,
    writes: LogWrites,
}

impl LogFilesPort {
    /// Takes the directory, which is made where it does not exist, and starts the threads.
    pub fn take(dir: &Path) -> Result<LogFilesPort, LogFilesError> {
        let files = LogFiles::take(dir)?;
        let workers = LogWorkers::start(&files, WRITERS);
        let workers = workers.map_err(|error| LogFilesError::System(dir.to_owned(), error))?;
        Ok(LogFilesPort {
            files,
            workers: Some(workers),
            under_way: 0,
            done: VecDeque::new(),
            writes: LogWrites::default(),
        })
    }

    /// A command that was done here and took so long.
    fn note(&mut self, command: &LogCommand, took: Duration) {
        let LogWrites { batches, bytes, syncs } = &mut self.writes;
        match command {
            LogCommand::Write { pages, mode, .. } => {
                *batches += 1;
                *bytes += pages.bytes().len() as u64;
                if *mode == WriteMode::Through {
                    keep_length(syncs, took);
                }
            }
            LogCommand::Flush { .. } => keep_length(syncs, took),
            LogCommand::Zero { .. } | LogCommand::WriteManifest { .. } => {}
        }
    }

    /// How it is written and read.
    pub fn access(&self) -> FileAccess {
        self.files.access()
    }
}

impl LogPort for LogFilesPort {
    type Disk = LogFiles;

    fn disk(&mut self) -> &mut LogFiles {
        &mut self.files
    }

    fn lives(&mut self) -> Result<Csprng, DiskError> {
        let mut key = [0; 16];
        rand::fill(&mut key).map_err(|_| DiskError::Broken)?;
        Ok(Csprng::from_key(key))
    }

    fn begin(&mut self, command: LogCommand) {
        let workers = match &command {
            LogCommand::Write { .. } | LogCommand::Flush { .. } => None,
            LogCommand::Zero { .. } | LogCommand::WriteManifest { .. } => self.workers.as_mut(),
        };
        if let Some(workers) = workers {
            workers.begin(command);
            self.under_way += 1;
            return;
        }
        let began = now();
        let result = self.files.run(&command);
        match result {
            Ok(()) => self.note(&command, began.elapsed()),
            Err(error) => {
                let said = self.files.failure().unwrap_or_default();
                tracing::error!(?error, "the store's log could not be written: {said}");
            }
        }
        self.done.push_back(command.answered(result));
    }

    fn poll(&mut self) -> Option<LogEvent> {
        if let Some(event) = self.done.pop_front() {
            return Some(event);
        }
        let event = self.workers.as_mut()?.poll()?;
        self.under_way -= 1;
        Some(event)
    }

    fn wait(&mut self) -> Option<LogEvent> {
        if let Some(event) = self.done.pop_front() {
            return Some(event);
        }
        if self.under_way == 0 {
            return None;
        }
        let event = self.workers.as_mut()?.wait();
        self.under_way -= 1;
        Some(event)
    }

    fn take_writes(&mut self) -> LogWrites {
        std::mem::take(&mut self.writes)
    }

    fn restart(&mut self) -> Result<(), DiskError> {
        assert!(self.under_way == 0 && self.done.is_empty(), "all of it is waited for");
        // Open files of the old ones may have a failure to tell.
        self.files = self.files.another();
        self.workers = None;
        let workers = LogWorkers::start(&self.files, WRITERS).map_err(|error| {
            tracing::error!("threads of the store's log do not start: {error}");
            DiskError::Broken
        })?;
        self.workers = Some(workers);
        Ok(())
    }
}
