//! How large the log of a store is: a small disk gets small segments.
//!
//! Deliberately absent: what fills it.

use super::disk::Capacity;
use super::logged_disk::{LogSetup, LoggedLimits};
use super::options::Options;
use crate::log::{self, BATCH_BYTES_MAX, PAGE_BYTES};

/// Bytes of a segment: at least and at most.
pub const SEGMENT_BYTES: (u64, u64) = (128 << 10, 64 << 20);

/// A segment is at most such a part of what is free, and of what the store may use: four are
/// there, and a log that is behind takes more.
const FREE_PART: u64 = 64;
const USED_PART: u64 = 16;

/// What is durable and not applied, at most: in bytes of the log, and in segments.
const UNAPPLIED_BYTES_MAX: u64 = 64 << 20;
const UNAPPLIED_SEGMENTS_MAX: u64 = 8;

/// What is durable and stands in no run, at most: in bytes of the log, and in segments.
const UNSORTED_BYTES_MAX: u64 = 256 << 20;
const UNSORTED_SEGMENTS_MAX: u64 = 24;

/// What becomes one run, at most: in bytes of the log, in segments, and in memory.
const LAYER_LOG_BYTES_MAX: u64 = 64 << 20;
const LAYER_SEGMENTS_MAX: u64 = 4;
const LAYER_BYTES_MAX: usize = 16 << 20;

/// What is applied between two checkpoints, at most. One makes the database's journal durable,
/// and a large sync holds up the log's.
const CHECKPOINT_BYTES_MAX: u64 = 8 << 20;

/// The pages of a segment of a log that is made.
pub fn new_segment_pages(options: &Options, capacity: Option<Capacity>) -> u32 {
    (segment_bytes(options, capacity) / PAGE_BYTES as u64) as u32
}

/// What a log with segments of so many pages is opened with.
pub fn log_setup(segment_pages: u32, log_id: u64) -> LogSetup {
    let segment_bytes = u64::from(segment_pages) * PAGE_BYTES as u64;
    LogSetup {
        options: log::Options {
            segment_pages,
            batch_bytes_max: BATCH_BYTES_MAX.min((segment_bytes / 8) as u32),
            undurable_pages_max: (segment_pages / 2).min(4_096),
            ..log::Options::default()
        },
        limits: LoggedLimits {
            unapplied_bytes_max: UNAPPLIED_BYTES_MAX.min(UNAPPLIED_SEGMENTS_MAX * segment_bytes)
                as usize,
            checkpoint_bytes: CHECKPOINT_BYTES_MAX.min(segment_bytes) as usize,
            unsorted_bytes_max: UNSORTED_BYTES_MAX.min(UNSORTED_SEGMENTS_MAX * segment_bytes)
                as usize,
            layer_log_bytes: LAYER_LOG_BYTES_MAX.min(LAYER_SEGMENTS_MAX * segment_bytes) as usize,
            layer_bytes: LAYER_BYTES_MAX,
        },
        log_id,
    }
}

fn segment_bytes(options: &Options, capacity: Option<Capacity>) -> u64 {
    let (least, most) = SEGMENT_BYTES;
    let wanted = match options.log_segment_bytes {
        0 => {
            let free = capacity.map_or(u64::MAX, |capacity| capacity.free_bytes / FREE_PART);
            let used = match options.disk_bytes_max {
                0 => u64::MAX,
                bytes => bytes / USED_PART,
            };
            free.min(used)
        }
        bytes => bytes,
    };
    let wanted = wanted.clamp(least, most);
    // A power of two.
    1 << wanted.ilog2()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_fit_each_other_on_any_disk() {
        let sizes = [0, 1, 1 << 20, 6 << 20, 1 << 30, 1 << 40, u64::MAX];
        for (disk_bytes_max, free_bytes) in
            sizes.into_iter().flat_map(|used| sizes.map(|free| (used, free)))
        {
            let options = Options { disk_bytes_max, ..Options::default() };
            let capacity = Capacity { used_bytes: 0, free_bytes };
            let pages = new_segment_pages(&options, Some(capacity));
            let setup = log_setup(pages, 1);
            assert!(setup.options.are_possible(), "{setup:?}");
            let bytes = u64::from(setup.options.segment_pages) * PAGE_BYTES as u64;
            let least = SEGMENT_BYTES.0;
            assert!(bytes <= (free_bytes / FREE_PART).max(least));
            assert!(disk_bytes_max == 0 || bytes <= (disk_bytes_max / USED_PART).max(least));
        }
        for (wanted, bytes) in [(1, 128 << 10), (1_000_000, 512 << 10), (u64::MAX, 64 << 20)] {
            let options = Options { log_segment_bytes: wanted, ..Options::default() };
            assert_eq!(segment_bytes(&options, None), bytes);
        }
    }
}
