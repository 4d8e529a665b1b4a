//! The one clock of the load generator: nanoseconds since the program began.
//!
//! Every thread reads the same one, so a time that one thread wrote into a
//! message can be subtracted by the thread that receives it.

use std::time::{Duration, Instant};

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
