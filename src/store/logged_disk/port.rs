//! What does the commands of a log: files and threads, or what a test puts in their place.
//!
//! Deliberately absent: what the log wants.

use super::super::disk::DiskError;
use super::super::log_activity::LogWrites;
use crate::base::Csprng;
use crate::log::{LogCommand, LogDisk, LogEvent};

/// Does what the log wants, some of it on other threads.
pub trait LogPort {
    /// Where the log lies.
    type Disk: LogDisk;

    /// The disk, while nothing is under way that a reader may not see.
    fn disk(&mut self) -> &mut Self::Disk;

    /// Where lives of segments are drawn from.
    fn lives(&mut self) -> Result<Csprng, DiskError>;

    /// Begins a command.
    fn begin(&mut self, command: LogCommand);

    /// A command that is over, if there is one.
    fn poll(&mut self) -> Option<LogEvent>;

    /// The same, and waits for it; `None` where none is under way.
    fn wait(&mut self) -> Option<LogEvent>;

    /// After a failure: what was open is opened again. Nothing is under way.
    fn restart(&mut self) -> Result<(), DiskError>;

    /// What was written since this was last asked.
    fn take_writes(&mut self) -> LogWrites;
}
