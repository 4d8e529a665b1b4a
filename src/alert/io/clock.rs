//! The bridge's own clocks.
//!
//! Deliberately absent: time zones, and what is decided by the time.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime};

use crate::base::{Now, Tick};

/// The clocks, now. The tick begins with the process.
#[expect(clippy::disallowed_methods, reason = "the bridge's own process reads its clocks here")]
pub(super) fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let start = START.get_or_init(Instant::now);
    Now {
        tick: Tick(start.elapsed().as_millis() as u64),
        unix_ms: unix.as_millis() as u64,
        ..Now::default()
    }
}
