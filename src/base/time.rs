//! Times and deadlines as values, each with its clock and its unit.
//!
//! Deliberately absent: clocks; times are handed in.

/// Milliseconds on the shard's own monotonic clock, from its start.
///
/// Handed in; pure code never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicMs(pub u64);

impl MonotonicMs {
    /// The moment `ms` later; stays at the end of time instead of wrapping.
    pub fn plus_ms(self, ms: u64) -> MonotonicMs {
        MonotonicMs(self.0.saturating_add(ms))
    }

    /// How long ago `earlier` was in ms, 0 when it is still to come.
    pub fn ms_since(self, earlier: MonotonicMs) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A deadline in four bytes, for what every idle connection keeps: the low bits
/// of its tick. Right as long as it is read within `REACH_MS` of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline32(u32);

impl Deadline32 {
    /// No deadline.
    pub const NEVER: Deadline32 = Deadline32(u32::MAX);

    /// How far ahead or behind a deadline may be: 24 days.
    pub const REACH_MS: u64 = (1 << 31) - 1;

    /// The deadline `at`. One that is too far from `now` comes early, and whoever
    /// set it looks again then.
    pub fn at(now: MonotonicMs, at: MonotonicMs) -> Deadline32 {
        let low = at.min(now.plus_ms(Deadline32::REACH_MS - 1)).0 as u32;
        Deadline32(if low == u32::MAX { low - 1 } else { low })
    }

    /// As bytes, for where four bytes must not be aligned.
    pub fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 4]) -> Deadline32 {
        Deadline32(u32::from_le_bytes(bytes))
    }

    /// The tick again; the end of time for none.
    pub fn tick(self, now: MonotonicMs) -> MonotonicMs {
        if self == Deadline32::NEVER {
            return MonotonicMs(u64::MAX);
        }
        let ahead = i64::from(self.0.wrapping_sub(now.0 as u32) as i32);
        MonotonicMs(now.0.saturating_add_signed(ahead))
    }
}

/// Microseconds on the monotonic clock that all cores of a process share, so that
/// what began on one can end on another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicUs(pub u64);

impl MonotonicUs {
    /// How long ago `earlier` was in us, 0 when it is still to come.
    pub fn us_since(self, earlier: MonotonicUs) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `us` before; the beginning of time at most.
    pub fn minus_us(self, us: u64) -> MonotonicUs {
        MonotonicUs(self.0.saturating_sub(us))
    }
}

/// What the clocks showed at the start of a turn. Constant within the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timestamps {
    /// For deadlines: never goes backwards.
    pub tick: MonotonicMs,
    /// For people and tokens: milliseconds since 1970-01-01 UTC; may jump.
    pub unix_ms: u64,
    /// For lengths, also of what crosses cores.
    pub moment: MonotonicUs,
}

impl Timestamps {
    /// A time of a world whose clocks all began together; for tests and worlds of a
    /// seed.
    pub fn at(tick: MonotonicMs, unix_ms: u64) -> Timestamps {
        Timestamps { tick, unix_ms, moment: MonotonicUs(tick.0 * 1_000) }
    }

    /// So much later, by all clocks.
    pub fn plus_ms(self, ms: u64) -> Timestamps {
        Timestamps {
            tick: self.tick.plus_ms(ms),
            unix_ms: self.unix_ms + ms,
            moment: MonotonicUs(self.moment.0 + ms * 1_000),
        }
    }

    /// Whole seconds since 1970-01-01 UTC, as tokens count them (RFC 7519, 2).
    pub fn unix_s(self) -> u64 {
        self.unix_ms / 1_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_in_four_bytes_is_the_tick_again() {
        for now in [0, 1, 5_000, (1 << 31) - 3, (1 << 32) - 2, (1 << 32) + 7, 1 << 45] {
            for ahead in [0, 1, 25_000, Deadline32::REACH_MS - 1] {
                let (now, at) = (MonotonicMs(now), MonotonicMs(now).plus_ms(ahead));
                let soon = Deadline32::at(now, at);
                // The one value that means never is a millisecond early.
                let want = if at.0 as u32 == u32::MAX { at.0 - 1 } else { at.0 };
                assert_eq!(soon.tick(now), MonotonicMs(want));
                assert_eq!(soon.tick(at), MonotonicMs(want), "read when it is due");
                assert_eq!(soon.tick(at.plus_ms(60_000)), MonotonicMs(want), "read late");
            }
        }
        assert_eq!(Deadline32::NEVER.tick(MonotonicMs(9)), MonotonicMs(u64::MAX));
    }

    #[test]
    fn what_is_too_far_comes_early() {
        let now = MonotonicMs(1 << 40);
        let soon = Deadline32::at(now, MonotonicMs(u64::MAX));
        assert!(now < soon.tick(now) && soon.tick(now) < now.plus_ms(Deadline32::REACH_MS));
    }
}
