//! Rate limits of a few bytes each: a rate with a burst, the same within one second, and a
//! debt that time pays back.
//!
//! Deliberately absent: clocks; the time is an input.

use super::{Deadline32, MonotonicMs};

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

    /// Whether nothing is missing.
    pub fn is_full(&self, now: MonotonicMs) -> bool {
        self.full_at_ns <= now.0.saturating_mul(1_000_000)
    }

    /// Takes `units` when they are there; takes nothing otherwise.
    #[must_use]
    pub fn take(&mut self, now: MonotonicMs, rate: Rate, units: u32) -> bool {
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

/// A bucket of a second's units, in four bytes: the moment at which it would be full
/// again is never further away, so the low bits of its microseconds say it. Once in 72
/// minutes one that is full may look as if it were not, for a second.
#[derive(Clone, Copy, Debug)]
pub struct BriefBucket {
    full_at_us: u32,
}

/// What was spent beyond a rate, in four bytes: when time will have paid it. What is
/// spent for less than a millisecond is free, and nothing is owed for longer than a
/// minute.
#[derive(Clone, Copy, Debug)]
pub struct DebtClock {
    paid_at: Deadline32,
}

impl BriefBucket {
    /// A full bucket.
    pub fn full() -> BriefBucket {
        BriefBucket { full_at_us: 0 }
    }

    /// Takes `units` when they are there; takes nothing otherwise.
    #[must_use]
    pub fn take(&mut self, now: MonotonicMs, per_s: u32, units: u32) -> bool {
        const SECOND_US: u32 = 1_000_000;
        if per_s == 0 {
            return true;
        }
        let now_us = now.0.wrapping_mul(1_000) as u32;
        let missing_us = self.full_at_us.wrapping_sub(now_us);
        let missing_us = if missing_us <= SECOND_US { missing_us } else { 0 };
        let span_us = u64::from(units) * u64::from(SECOND_US) / u64::from(per_s);
        let after_us = u64::from(missing_us) + span_us;
        let enough = after_us <= u64::from(SECOND_US);
        if enough {
            self.full_at_us = now_us.wrapping_add(after_us as u32);
        }
        enough
    }
}

impl DebtClock {
    const OWED_MS_MAX: u64 = 60_000;

    /// Nothing is owed.
    pub fn paid() -> DebtClock {
        DebtClock { paid_at: Deadline32::NEVER }
    }

    /// So much is spent, whether or not it is there.
    pub fn spend(&mut self, now: MonotonicMs, rate: Rate, units: u32) {
        if rate.per_s != 0 {
            let burst_ms = span_ns(rate.burst.max(rate.per_s), rate) / 1_000_000;
            let spent_ms = span_ns(units, rate) / 1_000_000;
            let ahead_ms = self.ahead_ms(now, burst_ms).saturating_add(spent_ms);
            let ahead_ms = ahead_ms.min(burst_ms.saturating_add(DebtClock::OWED_MS_MAX));
            self.paid_at = Deadline32::at(now, now.plus_ms(ahead_ms));
        }
    }

    /// Whether more was spent than the burst, and time has not made it good.
    #[must_use]
    pub fn is_in_debt(self, now: MonotonicMs, rate: Rate) -> bool {
        if rate.per_s == 0 {
            return false;
        }
        let burst_ms = span_ns(rate.burst.max(rate.per_s), rate) / 1_000_000;
        burst_ms < self.ahead_ms(now, burst_ms)
    }

    /// What is further ahead than anything that is ever owed is of long ago.
    fn ahead_ms(self, now: MonotonicMs, burst_ms: u64) -> u64 {
        let ahead_ms = self.paid_at.tick(now).ms_since(now);
        if ahead_ms <= burst_ms.saturating_add(DebtClock::OWED_MS_MAX) { ahead_ms } else { 0 }
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
            let mut now = MonotonicMs(0);
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
    fn what_was_spent_and_was_not_there_is_a_debt_until_time_has_paid_it() {
        let rate = Rate { per_s: 1_000, burst: 2_000 };
        let mut clock = DebtClock::paid();
        let start = MonotonicMs(1 << 40);
        clock.spend(start, rate, 2_000);
        assert!(!clock.is_in_debt(start, rate));
        clock.spend(start, rate, 3_000);
        assert!(clock.is_in_debt(start.plus_ms(2_999), rate));
        assert!(!clock.is_in_debt(start.plus_ms(3_000), rate));
        for days in 1..100 {
            assert!(!clock.is_in_debt(start.plus_ms(days * 86_400_000), rate), "{days} days");
        }
        let later = start.plus_ms(50 * 86_400_000);
        clock.spend(later, rate, u32::MAX);
        assert!(clock.is_in_debt(later.plus_ms(59_999), rate));
        assert!(!clock.is_in_debt(later.plus_ms(60_000), rate), "a minute at the longest");
        let none = Rate { per_s: 0, burst: 0 };
        clock.spend(later, none, u32::MAX);
        assert!(!clock.is_in_debt(later, none));
    }

    #[test]
    fn a_brief_bucket_is_a_bucket() {
        for per_s in [1, 7, 20, 1_000_000] {
            let rate = Rate { per_s, burst: per_s };
            let (mut brief, mut bucket) = (BriefBucket::full(), Bucket::full());
            let mut now = MonotonicMs(u64::from(u32::MAX));
            let mut differ_count = 0;
            for step in 0..5_000u64 {
                now = now.plus_ms(step * 7 % 61);
                let units = (step * 13 % u64::from(per_s / 3 + 2)) as u32;
                let [one, other] = [brief.take(now, per_s, units), bucket.take(now, rate, units)];
                differ_count += u32::from(one != other);
            }
            assert!(differ_count < 50, "{differ_count} at {per_s}/s");
        }
        assert!(BriefBucket::full().take(MonotonicMs(9), 0, u32::MAX));
        assert!(!BriefBucket::full().take(MonotonicMs(9), 5, 6));
    }

    #[test]
    fn too_much_takes_nothing_and_no_rate_is_no_limit() {
        let rate = Rate { per_s: 1, burst: 5 };
        let mut bucket = Bucket::full();
        assert!(!bucket.take(MonotonicMs(9), rate, 6));
        assert!(bucket.take(MonotonicMs(9), rate, 5));
        assert!(!bucket.take(MonotonicMs(1_008), rate, 1));
        assert!(bucket.take(MonotonicMs(1_009), rate, 1));
        assert!(bucket.take(MonotonicMs(9), Rate { per_s: 0, burst: 0 }, u32::MAX));
    }
}
