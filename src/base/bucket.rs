use super::Tick;

/// How much of something may happen: a steady rate and a burst after silence
/// (token bucket). Eight bytes, because every connection has two.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    left: u32,
    filled_at_ms: u32,
}

/// A rate with its burst; a rate of 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Steady units a second.
    pub per_s: u32,
    /// Units at once after silence; never below `per_s` in effect.
    pub burst: u32,
}

impl Bucket {
    /// A full bucket.
    pub fn full(now: Tick, rate: Rate) -> Bucket {
        Bucket { left: rate.burst.max(rate.per_s), filled_at_ms: now.0 as u32 }
    }

    /// Takes `units` when they are there; takes nothing otherwise.
    ///
    /// The clock is kept in 32 bits: a bucket that rests for a multiple of 49
    /// days may be less full than it could be, never fuller.
    #[must_use]
    pub fn take(&mut self, now: Tick, rate: Rate, units: u32) -> bool {
        if rate.per_s == 0 {
            return true;
        }
        let elapsed_ms = (now.0 as u32).wrapping_sub(self.filled_at_ms);
        let refill = u64::from(elapsed_ms) * u64::from(rate.per_s) / 1_000;
        if 0 < refill {
            let burst = rate.burst.max(rate.per_s);
            let level = u64::from(self.left) + refill;
            if level < u64::from(burst) {
                // Only the time that became whole units is used up.
                let used_ms = refill * 1_000 / u64::from(rate.per_s);
                self.filled_at_ms = self.filled_at_ms.wrapping_add(used_ms as u32);
                self.left = level as u32;
            } else {
                self.filled_at_ms = now.0 as u32;
                self.left = burst;
            }
        }
        let enough = units <= self.left;
        self.left -= if enough { units } else { 0 };
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_run_is_the_rate_and_the_start_is_the_burst() {
        for step_ms in [1, 3, 7, 100, 999] {
            let rate = Rate { per_s: 30, burst: 50 };
            let mut bucket = Bucket::full(Tick(0), rate);
            let mut taken = 0;
            let mut now = Tick(0);
            while now.0 < 100_000 {
                while bucket.take(now, rate, 1) {
                    taken += 1;
                }
                now = now.plus_ms(step_ms);
            }
            assert!((3_000..=3_050).contains(&taken), "{taken} with steps of {step_ms} ms");
        }
    }

    #[test]
    fn too_much_takes_nothing_and_no_rate_is_no_limit() {
        let rate = Rate { per_s: 1, burst: 5 };
        let mut bucket = Bucket::full(Tick(9), rate);
        assert!(!bucket.take(Tick(9), rate, 6));
        assert!(bucket.take(Tick(9), rate, 5));
        assert!(!bucket.take(Tick(1_008), rate, 1));
        assert!(bucket.take(Tick(1_009), rate, 1));
        assert!(bucket.take(Tick(9), Rate { per_s: 0, burst: 0 }, u32::MAX));
    }
}
