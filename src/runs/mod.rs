//! Sorted runs: messages of many rooms in immutable files, found by room and offset.
//!
//! What came in order of the log is sorted (`EntrySorter`), written once in pieces (`RunWriter`),
//! and read by room and offset (`Run`, `RunCursor`). A later entry for the same room and offset
//! replaces the earlier one; nothing else changes a message.
//!
//! All of it decides and does not act: pieces go out as values, and what is read comes by
//! `RunDisk`, which is files, or what a test puts in their place. When a piece is written, and
//! on which thread, is decided by whoever takes it.
//!
//! Invariants: keys grow within a run; each byte of a file is under a sum that is made with the
//! run's number and the byte's place, so that nothing else is taken for it; nothing that a file
//! says is believed before its sum and its bounds are right.
//!
//! Deliberately absent: what values say, threads, clocks, and files.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod block;
mod cursor;
mod disk;
mod entry;
mod entry_sorter;
mod index;
mod run;
mod trailer;
mod writer;

#[cfg(test)]
mod tests;

pub use cursor::{RunCursor, ScanDirection};
pub use disk::{RunDisk, RunDiskError, RunId};
pub use entry::{EntryKey, EntryKind, RunEntry, StoredEntry, VALUE_BYTES_MAX};
pub use entry_sorter::{EntrySorter, SorterFullError, SorterState};
pub use run::{Run, RunDamage, RunOpenError, RunReadError};
pub use trailer::{LogRange, RUN_BYTES_MAX, RunInfo};
pub use writer::{PIECE_BYTES, RunPiece, RunPushError, RunWriter};
