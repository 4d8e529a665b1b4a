//! What every module may use: identities, limits, time, random numbers, containers with
//! limits, and the interface between a core and its sockets (`io`).
//!
//! Deliberately absent: I/O, anything that knows about chat.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod bucket;
mod contain;
mod csprng;
mod dead_letter_place;
mod ids;
mod io;
mod json_depth;
pub mod limits;
mod minute_count;
mod plain;
mod prng;
mod records;
mod scratch;
mod seal;
mod slab;
mod slot_index;
mod time;
mod trace;
mod wheel;

pub use bucket::{BriefBucket, Bucket, DebtClock, Rate};
pub use contain::{PanicError, catch_panic, panic_scope};
pub use csprng::{Csprng, RandomSources};
pub use dead_letter_place::DeadLetterPlace;
pub use ids::{ClientId, ConnId, RoomId, ShardId, TokenHash, UserHash};
pub use io::{Action, DisconnectReason, Event, Io, TcpLiveness};
pub use json_depth::json_depth;
pub use minute_count::MinuteCount;
pub use plain::{is_obeyed, plain};
pub use prng::Prng;
pub use records::{FoundRecords, find_records, put_record};
pub use scratch::{trim_list, trim_queue};
pub use seal::{SealKey, SealPurpose};
pub use slab::{Slab, Slots};
pub use slot_index::SlotIndex;
pub use time::{Deadline32, MonotonicMs, MonotonicUs, Timestamps};
pub use trace::{Origin, SpanId, TRACEPARENT_BYTES, Trace, TraceId};
pub use wheel::Wheel;
