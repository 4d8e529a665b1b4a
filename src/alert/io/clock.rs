//! The clocks for the core: the tick begins with the process.
//!
//! Deliberately absent: time zones, and decisions.

use std::sync::OnceLock;
use std::time::Instant;

use crate::base::{MonotonicMs, Timestamps};
use crate::clock;

/// The clocks, now.
pub(super) fn now() -> Timestamps {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = START.get_or_init(clock::now);
    Timestamps {
        tick: MonotonicMs(start.elapsed().as_millis() as u64),
        unix_ms: clock::unix_ms(),
        ..Timestamps::default()
    }
}
