//! The clocks of the process, for modules that act: how long something takes, and the time
//! of day.
//!
//! `ring` makes of them the time of a turn. What decides reads none.
//!
//! Deliberately absent: tokio's clock, which a test may stop.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// For lengths.
#[expect(clippy::disallowed_methods, reason = "clocks are read here")]
pub fn now() -> Instant {
    Instant::now()
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "clocks are read here")]
pub fn time_of_day() -> SystemTime {
    SystemTime::now()
}

/// The time of day in ms, as messages and events carry it.
pub fn unix_ms() -> u64 {
    let since = time_of_day().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day in s, as tokens carry it.
pub fn unix_s() -> u64 {
    time_of_day().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
