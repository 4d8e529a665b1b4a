//! The clocks of the load generator: nanoseconds since the program began, and the world's.
//!
//! Every thread reads the same one, so a time that one thread wrote into a
//! message can be subtracted by the thread that receives it.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The world's clock, for what others hold against theirs.
#[expect(clippy::disallowed_methods, reason = "messages and tokens carry times of the world")]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Nanoseconds since one beginning that all copies share.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Begins now.
    #[expect(clippy::disallowed_methods, reason = "this is where the load generator reads time")]
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Since the beginning. 2^64 ns are 584 years.
    pub fn ns(self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }

    /// Since the beginning.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
