use super::Tick;

/// How much of something may happen: a steady rate and a burst after silence.
///
/// The generic cell rate algorithm (ITU-T I.371): instead of a level and the
/// time of its last change, the one moment at which the bucket would be full
/// again. Eight bytes, because every connection has several, and no rounding
/// that adds up.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    full_at_ns: u64,
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
    pub fn full() -> Bucket {
        Bucket { full_at_ns: 0 }
    }

    /// Takes `units` when they are there; takes nothing otherwise.
    #[must_use]
    pub fn take(&mut self, now: Tick, rate: Rate, units: u32) -> bool {
        if rate.per_s == 0 {
            return true;
        }
        let now_ns = now.0.saturating_mul(1_000_000);
        let burst = rate.burst.max(rate.per_s);
        let full_at_ns = self.full_at_ns.max(now_ns).saturating_add(span_ns(units, rate));
        let enough = full_at_ns <= now_ns.saturating_add(span_ns(burst, rate));
        if enough {
            self.full_at_ns = full_at_ns;
        }
        enough
    }
}

/// How long the rate takes to bring so many units.
fn span_ns(units: u32, rate: Rate) -> u64 {
    u64::from(units) * 1_000_000_000 / u64::from(rate.per_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_run_is_the_rate_and_the_start_is_the_burst() {
        for (step_ms, per_s) in [(1, 30), (3, 30), (7, 30), (100, 30), (999, 30), (1, 600)] {
            let rate = Rate { per_s, burst: per_s + 20 };
            let mut bucket = Bucket::full();
            let mut taken = 0;
            let mut now = Tick(0);
            while now.0 < 100_000 {
                while bucket.take(now, rate, 1) {
                    taken += 1;
                }
                now = now.plus_ms(step_ms);
            }
            let steady = 100 * per_s;
            assert!((steady..=steady + per_s + 20).contains(&taken), "{taken}, {step_ms} ms");
        }
    }

    #[test]
    fn too_much_takes_nothing_and_no_rate_is_no_limit() {
        let rate = Rate { per_s: 1, burst: 5 };
        let mut bucket = Bucket::full();
        assert!(!bucket.take(Tick(9), rate, 6));
        assert!(bucket.take(Tick(9), rate, 5));
        assert!(!bucket.take(Tick(1_008), rate, 1));
        assert!(bucket.take(Tick(1_009), rate, 1));
        assert!(bucket.take(Tick(9), Rate { per_s: 0, burst: 0 }, u32::MAX));
    }
}
