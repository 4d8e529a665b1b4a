//! Sorted runs: messages of many rooms in immutable files, found by room and offset.
//!
//! What came in order of the log is sorted (`EntrySorter`), written once in pieces (`RunWriter`),
//! and read by room and offset (`Run`, `RunCursor`). A later entry for the same room and offset
//! replaces the earlier one; nothing else changes a message.
//!
//! A set (`RunSet`) says which runs count. It makes them of what the log has, merges eight of a
//! level into one of the next, leaves out there what is not kept, and drops runs of which nothing
//! is. Who reads has a view of it (`RunView`), on any thread, which stays as it is.
//!
//! All of it decides and does not act: what is to be written goes out as values, and what is read
//! comes by `RunDisk`, which is files, or what a test puts in their place. When something is
//! written, how fast, and on which thread, is decided by whoever takes it.
//!
//! Invariants: a run that counts is durable with its name, and its file stays while a manifest in
//! either place names it or a view has it; of entries with one key the one of the newest run counts;
//! keys grow within a run; each byte of a file is under a sum that is made with the
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
mod job;
mod jobs;
mod manifest;
mod merge_plan;
mod opening;
mod pace;
mod run;
mod run_scan;
mod set;
mod survey;
mod trailer;
mod view;
mod writer;

#[cfg(test)]
mod tests;

pub use cursor::{RunCursor, ScanDirection};
pub use disk::{RunCommand, RunDisk, RunDiskError, RunFile, RunId, RunPiece, RunStorage};
pub use entry::{EntryKey, EntryKind, RunEntry, StoredEntry, VALUE_BYTES_MAX};
pub use entry_sorter::{EntrySorter, SorterFullError, SorterState};
pub use job::{KeepCallback, KeptEntries};
pub use manifest::{RUN_MANIFEST_BYTES, RUNS_MAX};
pub use merge_plan::MergeSizes;
pub use opening::{DamagedRun, RunSetOpenError};
pub use pace::{BYTES_PER_SECOND_MIN, SortBacklog, SortPace};
pub use run::{FoundEntry, Run, RunDamage, RunOpenError, RunReadError};
pub use run_scan::{RoomRange, RunScan, ScanItem};
pub use set::{BeginRunError, RunSet, RunSetOptions, RunSetStep, RunStepError, SORTER_BYTES_MAX};
pub use trailer::{LogRange, RUN_BYTES_MAX, RunInfo};
pub use view::RunView;
pub use writer::{PIECE_BYTES, RunPushError, RunWriter};
