//! A log of batches on one host: what is answered is on the disk, by one write and one sync.
//!
//! Records of many channels go into a batch, which is sealed once and is the unit everywhere. A
//! batch gets a position, its successor names it, and it is answered when it is durable. Who
//! reads sees what is durable, and nothing else.
//!
//! `open` decides what of a log counts that a crash, a power cut or a failing disk left behind,
//! and `LogCore` what is written, synced and prepared from then on. Both say what they want of a
//! disk by `LogCommand`, and own none: `LogDisk` is files, or what a test puts in their place.
//!
//! Invariants: no page is written twice in a life; every start and every error ends the life, and
//! what survived is written anew and synced before anybody sees it; only a mark of ours, written
//! behind a sync, proves that a batch that is missing was durable.
//!
//! Deliberately absent: what records say, threads, clocks, other hosts.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod batch;
mod disk;
mod machine;
mod manifest;
mod manifest_writer;
mod opening;
mod options;
mod page;
mod position;
mod read_plan;
mod scan;
mod segment_pool;
mod segments;
mod survey;
mod two_places;
mod window;

#[cfg(test)]
pub(crate) mod tests;

pub use batch::{BATCH_BYTES_MAX, BatchFullError, LogBatch, SealError, SealedBatch};
pub use disk::{LogCommand, LogDisk, LogDiskError, LogEvent, SegmentFile, WriteMode};
pub use machine::{AppendError, LogCore, LogState, SegmentCounts};
pub use manifest::{MANIFEST_BYTES, SegmentId};
pub use manifest_writer::{ManifestStep, ManifestWriter, PlaceWrite};
pub use opening::{open, open_behind, segment_pages};
pub use options::{DEPTH, Options, RESERVED_SEGMENTS};
pub use page::{PAGE_BYTES, PageBuffer, disk_bytes};
pub use position::{LogPosition, PARTITIONS, Partition};
pub use read_plan::{ReadPlan, ReadPlanError};
pub use scan::LogOpenError;
pub use survey::{LogGap, LogSurvey, survey};
pub use two_places::{
    ChosenManifest, HasFiles, ManifestError, ManifestPlace, PLACE_HEAD_BYTES, PlacedManifest,
    choose,
};
pub use window::AppendSync;
