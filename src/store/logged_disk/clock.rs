//! The log's time: it never goes back, and follows no wall clock that jumps.
//!
//! Deliberately absent: reading a clock.

/// The longest step of the log's clock, in ms: a wall clock that jumps is not followed.
const CLOCK_STEP_MS_MAX: u64 = 1_000;

/// Ms that never go back.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogClock {
    ms: u64,
    seen_unix_ms: u64,
}

impl LogClock {
    /// The time.
    pub fn ms(self) -> u64 {
        self.ms
    }

    /// The wall clock says so.
    pub fn advance(&mut self, now_unix_ms: u64) {
        let step_ms = now_unix_ms.saturating_sub(self.seen_unix_ms);
        self.ms += step_ms.min(CLOCK_STEP_MS_MAX);
        self.seen_unix_ms = now_unix_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_never_goes_back_and_follows_no_jump() {
        let mut clock = LogClock::default();
        let mut seen = Vec::new();
        for now_unix_ms in [1_000_000, 1_000_300, 900, 950, 1 << 60, (1 << 60) + 7] {
            clock.advance(now_unix_ms);
            seen.push(clock.ms());
        }
        assert_eq!(seen, [1_000, 1_300, 1_300, 1_350, 2_350, 2_357]);
    }
}
