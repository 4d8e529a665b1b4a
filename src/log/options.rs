//! How large the parts of a log are, and the bounds that follow from each other.
//!
//! Deliberately absent: what does not depend on an option (`page`, `batch`, `manifest`).

use super::batch::BATCH_BYTES_MAX;
use super::manifest::SEGMENTS_MAX;
use super::page::pages_of;

/// Batches that may be under way. A second one hides the wait of the first; a third was not
/// faster in any measurement.
pub const DEPTH: usize = 2;

/// Spare segments that nothing but the end of a life takes: two, so that a log whose file system
/// is full can still end a life, and end it again when the disk fails once more.
pub const RESERVED_SEGMENTS: usize = 2;

/// Sizes of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Pages of a segment. A log keeps what it was made with.
    pub segment_pages: u32,
    /// Segments that there may be, spare ones too.
    pub segments_max: u32,
    /// Bytes of a sealed batch.
    pub batch_bytes_max: u32,
    /// Pages of batches that are not durable. All that a crash may leave behind the mark, which
    /// is written anew at the next start, fits into one segment with that.
    pub undurable_pages_max: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_pages: 16_384,
            segments_max: 64,
            batch_bytes_max: BATCH_BYTES_MAX,
            undurable_pages_max: 4_096,
        }
    }
}

impl Options {
    /// Whether sizes fit each other; all others refuse to work with them.
    pub fn are_possible(&self) -> bool {
        let batch_pages = pages_of(self.batch_bytes_max as usize);
        let under_way = DEPTH as u32 * batch_pages;
        self.batch_bytes_max <= BATCH_BYTES_MAX
            && under_way <= self.undurable_pages_max
            && self.undurable_pages_max <= self.segment_pages / 2
            && RESERVED_SEGMENTS + 2 < self.segments_max as usize
            && self.segments_max as usize <= SEGMENTS_MAX
    }
}
