//! A log's disk as it is: a directory with a file for each segment and one for the manifest.
//!
//! Writes and reads of segments go past the page cache where the file system has that
//! (`O_DIRECT`); elsewhere they go through it, which `LogFiles::access` says. One process at a
//! time has the directory.
//!
//! Each thread that does commands has a `LogFiles` of its own, with open files of its own: a kernel
//! tells a failed write-back once to each open file, so each command is told. `LogWorkers` are such
//! threads.
//!
//! Deliberately absent: what is written, and what counts (`log`).
#![forbid(unsafe_code)]

mod directory;
mod files;
mod system;
mod workers;

#[cfg(test)]
mod tests;

pub use directory::LogFilesError;
pub use files::LogFiles;
pub use system::{
    FileAccess, is_without_room, make_dir, numbered_files, read_place, sync_dir, write_at,
    write_place,
};
pub use workers::LogWorkers;
