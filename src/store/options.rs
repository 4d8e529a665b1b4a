//! What an operator may set for the store, and what it keeps of each namespace.
//!
//! Deliberately absent: names, ranges and texts of settings (`config`).

use std::path::PathBuf;

/// When a message counts as kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// When it is on the disk: it survives a power cut.
    #[default]
    Fsync,
    /// When the kernel has it: it survives the end of the process, and a power
    /// cut loses at most the last `interval_ms`.
    Interval,
    /// Never: it is in memory only, and the store does not see it.
    Memory,
}

/// What is kept of each channel of one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// When a message counts as kept.
    pub durability: Durability,
    /// Messages.
    pub count_max: u32,
    /// Bytes of their data.
    pub bytes_max: u64,
    /// How long, in ms.
    pub age_ms_max: u64,
    /// How long after its last message a channel is known in which nothing is kept any
    /// more, in ms: positions that were given before stay good as long.
    pub channel_ms_max: u64,
    /// Whether its channels are groups.
    pub has_rosters: bool,
}

/// What an operator may set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The directory; must exist.
    pub dir: PathBuf,
    /// Bytes on the disk that the store may use; 0 for all but the reserve.
    pub disk_bytes_max: u64,
    /// Bytes of a segment of a log that is made; 0 for as many as suit the disk.
    pub log_segment_bytes: u64,
    /// Bytes that stay free, of the disk and below `disk_bytes_max`: there
    /// messages are refused, and acknowledging and deleting go on.
    pub reserve_bytes: u64,
    /// The longest time between a write and its sync where durability is
    /// `Interval`, in ms.
    pub interval_ms: u64,
    /// Memory for blocks that were read, and for what is not in tables yet.
    pub cache_bytes: u64,
    /// Opens a damaged store all the same, without what cannot be read.
    pub ignore_damage: bool,
    /// How long telling of a direct message may take; `None` where nobody is told.
    pub telling: Option<TellingTime>,
}

/// How long it may take until whoever tells of direct messages has told of one, or has found out
/// that there is nothing to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TellingTime {
    /// From when it is stored, in ms.
    pub ms: u64,
    /// From the start after the life in which it was stored, in ms.
    pub after_start_ms: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            dir: PathBuf::from("/var/lib/rookery"),
            disk_bytes_max: 0,
            log_segment_bytes: 0,
            reserve_bytes: 256 << 20,
            interval_ms: 1_000,
            cache_bytes: 32 << 20,
            ignore_damage: false,
            telling: None,
        }
    }
}
