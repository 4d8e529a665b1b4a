//! Times and deadlines as values, each with its clock and its unit.
//!
//! Deliberately absent: clocks; times are handed in.

/// Milliseconds on the shard's own monotonic clock, from its start.
///
/// Handed in; pure code never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(pub u64);

impl Tick {
    /// The moment `ms` later; stays at the end of time instead of wrapping.
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms))
    }

    /// How long ago `earlier` was in ms, 0 when it is still to come.
    pub fn ms_since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A deadline in four bytes, for what every idle connection keeps: the low bits
/// of its tick. Right as long as it is read within `REACH_MS` of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Soon(u32);

impl Soon {
    /// No deadline.
    pub const NEVER: Soon = Soon(u32::MAX);

    /// How far ahead or behind a deadline may be: 24 days.
    pub const REACH_MS: u64 = (1 << 31) - 1;

    /// The deadline `at`. One that is too far from `now` comes early, and whoever
    /// set it looks again then.
    pub fn at(now: Tick, at: Tick) -> Soon {
        let low = at.min(now.plus_ms(Soon::REACH_MS - 1)).0 as u32;
        Soon(if low == u32::MAX { low - 1 } else { low })
    }

    /// As bytes, for where four bytes must not be aligned.
    pub fn to_bytes(self) -> [u8; 4] {
        self.0.to_le_bytes()
    }

    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 4]) -> Soon {
        Soon(u32::from_le_bytes(bytes))
    }

    /// The tick again; the end of time for none.
    pub fn tick(self, now: Tick) -> Tick {
        if self == Soon::NEVER {
            return Tick(u64::MAX);
        }
        let ahead = i64::from(self.0.wrapping_sub(now.0 as u32) as i32);
        Tick(now.0.saturating_add_signed(ahead))
    }
}

/// Microseconds on the monotonic clock that all cores of a process share, so that
/// what began on one can end on another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// How long ago `earlier` was in us, 0 when it is still to come.
    pub fn us_since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// The moment `us` before; the beginning of time at most.
    pub fn minus_us(self, us: u64) -> Moment {
        Moment(self.0.saturating_sub(us))
    }
}

/// What the clocks showed at the start of a turn. Constant within the turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines: never goes backwards.
    pub tick: Tick,
    /// For people and tokens: milliseconds since 1970-01-01 UTC; may jump.
    pub unix_ms: u64,
    /// For lengths, also of what crosses cores.
    pub moment: Moment,
}

impl Now {
    /// A time of a world whose clocks all began together; for tests and worlds of a
    /// seed.
    pub fn at(tick: Tick, unix_ms: u64) -> Now {
        Now { tick, unix_ms, moment: Moment(tick.0 * 1_000) }
    }

    /// So much later, by all clocks.
    pub fn plus_ms(self, ms: u64) -> Now {
        Now {
            tick: self.tick.plus_ms(ms),
            unix_ms: self.unix_ms + ms,
            moment: Moment(self.moment.0 + ms * 1_000),
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
            for ahead in [0, 1, 25_000, Soon::REACH_MS - 1] {
                let (now, at) = (Tick(now), Tick(now).plus_ms(ahead));
                let soon = Soon::at(now, at);
                // The one value that means never is a millisecond early.
                let want = if at.0 as u32 == u32::MAX { at.0 - 1 } else { at.0 };
                assert_eq!(soon.tick(now), Tick(want));
                assert_eq!(soon.tick(at), Tick(want), "read when it is due");
                assert_eq!(soon.tick(at.plus_ms(60_000)), Tick(want), "read late");
            }
        }
        assert_eq!(Soon::NEVER.tick(Tick(9)), Tick(u64::MAX));
    }

    #[test]
    fn what_is_too_far_comes_early() {
        let now = Tick(1 << 40);
        let soon = Soon::at(now, Tick(u64::MAX));
        assert!(now < soon.tick(now) && soon.tick(now) < now.plus_ms(Soon::REACH_MS));
    }
}
