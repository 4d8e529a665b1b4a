//! What a log needs of a disk: segments, and two places for the manifest.
//!
//! Deliberately absent: a disk.

use super::manifest::SegmentId;
use super::manifest_writer::PlaceWrite;
use super::page::PageBuffer;
use super::two_places::ManifestPlace;

/// When a write is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// When its own bytes are durable. Nothing else is by that.
    Through,
    /// When the system has it: it survives the end of the process, and the next flush of the
    /// segment makes it durable.
    Cached,
}

/// What the log wants to be done. Each is answered by one `LogEvent`.
#[derive(Debug)]
pub enum LogCommand {
    /// Pages of one batch.
    Write {
        /// The segment.
        segment: SegmentId,
        /// The first page.
        page: u32,
        /// All of them.
        pages: PageBuffer,
        /// When it is over.
        mode: WriteMode,
        /// The batch.
        sequence: u64,
    },
    /// Makes all of a segment durable whose write was over before this began.
    Flush {
        /// The segment.
        segment: SegmentId,
    },
    /// Makes a segment of zeros, durable with its name, and whatever it had is gone.
    Zero {
        /// The segment.
        segment: SegmentId,
        /// Its pages.
        pages: u32,
    },
    /// Writes one place of the manifest, and makes it durable.
    WriteManifest {
        /// The place.
        place: ManifestPlace,
        /// All of it.
        bytes: Vec<u8>,
    },
}

impl From<PlaceWrite> for LogCommand {
    fn from(PlaceWrite { place, bytes }: PlaceWrite) -> LogCommand {
        LogCommand::WriteManifest { place, bytes }
    }
}

impl LogCommand {
    /// How it came out, as the log is told.
    pub fn answered(&self, result: Result<(), LogDiskError>) -> LogEvent {
        match self {
            LogCommand::Write { sequence, .. } => LogEvent::Written { sequence: *sequence, result },
            LogCommand::Flush { .. } => LogEvent::Flushed { result },
            LogCommand::Zero { .. } => LogEvent::Zeroed { result },
            LogCommand::WriteManifest { .. } => LogEvent::ManifestWritten { result },
        }
    }
}

/// A command is over. Of all but writes only one is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// A write.
    Written {
        /// The batch.
        sequence: u64,
        /// How it came out.
        result: Result<(), LogDiskError>,
    },
    /// A flush.
    Flushed {
        /// How it came out.
        result: Result<(), LogDiskError>,
    },
    /// A segment of zeros.
    Zeroed {
        /// How it came out.
        result: Result<(), LogDiskError>,
    },
    /// A place of the manifest.
    ManifestWritten {
        /// How it came out.
        result: Result<(), LogDiskError>,
    },
}

/// Why the disk did not do it. What was asked may have happened, wholly or in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogDiskError {
    /// No space.
    Full,
    /// It failed, or cannot be written.
    Failed,
}

/// A segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its number.
    pub id: SegmentId,
    /// It has all of its bytes, and the file system has blocks for them.
    pub is_whole: bool,
}

/// A disk, for whoever may wait for it.
///
/// A failure is told to every command on its segment that is over later, until the log is opened
/// again. A kernel tells a failed write-back once to each open file, to whoever asks it first: so
/// commands that may be under way at a time have a file each.
pub trait LogDisk {
    /// What stands in a place of the manifest; nothing where there is no file.
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, LogDiskError>;

    /// The segments that there are, of so many pages each. Their names are durable then.
    fn segments(&mut self, segment_pages: u32) -> Result<Vec<SegmentFile>, LogDiskError>;

    /// Fills `pages`, whole ones out of a `PageBuffer`, from a page of a segment on.
    fn read(&mut self, segment: SegmentId, page: u32, pages: &mut [u8])
    -> Result<(), LogDiskError>;

    /// Does what is wanted, and returns when it is over.
    fn run(&mut self, command: &LogCommand) -> Result<(), LogDiskError>;
}
