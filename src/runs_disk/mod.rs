//! A set's disk as it is: a directory with a file for each run and one for the manifest.
//!
//! Runs are written past the page cache, in the pieces that the set gives, so that nothing large
//! waits to be written where the log is synced; where a file system takes no direct writes they go
//! through it. They are read through it, by any thread.
//!
//! Each thread has a `RunFiles` of its own; those of one directory share which files are open, so a
//! file that was removed keeps no space in use.
//!
//! Deliberately absent: what is written, and what counts (`runs`), and that one process at a time has
//! the directory: whoever has the log's (`log_disk`) has this one.
#![forbid(unsafe_code)]

mod files;

#[cfg(test)]
mod tests;

pub use files::RunFiles;
