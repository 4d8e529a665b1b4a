//! How often something happened in the last minute, in eight bytes: a sliding window counter. The
//! count of the minute before counts as far as it reaches into the last sixty seconds, as if it
//! had happened evenly.
//!
//! Deliberately absent: clocks; the time is an input.

use super::MonotonicMs;

const MINUTE_MS: u64 = 60_000;

/// A count stops here: 279,000 a second.
const COUNT_MAX: u32 = (1 << 24) - 1;

/// See the module. Minutes are known by 16 bits: what was silent for 45 days may look for a minute
/// or two as it did then.
#[derive(Clone, Copy, Debug, Default)]
pub struct MinuteCount {
    minute: u16,
    current: [u8; 3],
    previous: [u8; 3],
}

impl MinuteCount {
    /// It happens once more.
    pub fn add(&mut self, now: MonotonicMs) {
        let (current, previous) = self.at(now);
        let current = (current + 1).min(COUNT_MAX);
        *self = MinuteCount {
            minute: minute_of(now),
            current: to_bytes(current),
            previous: to_bytes(previous),
        };
    }

    /// How often it happened in the last minute, about.
    pub fn count(&self, now: MonotonicMs) -> u64 {
        let (current, previous) = self.at(now);
        let left_ms = MINUTE_MS - now.0 % MINUTE_MS;
        u64::from(current) + u64::from(previous) * left_ms / MINUTE_MS
    }

    /// The counts of this minute, and of the one before.
    fn at(&self, now: MonotonicMs) -> (u32, u32) {
        match minute_of(now).wrapping_sub(self.minute) {
            0 => (from_bytes(self.current), from_bytes(self.previous)),
            1 => (0, from_bytes(self.current)),
            2.. => (0, 0),
        }
    }
}

fn minute_of(now: MonotonicMs) -> u16 {
    (now.0 / MINUTE_MS) as u16
}

fn to_bytes(count: u32) -> [u8; 3] {
    let [first, second, third, _] = count.to_le_bytes();
    [first, second, third]
}

fn from_bytes([first, second, third]: [u8; 3]) -> u32 {
    u32::from_le_bytes([first, second, third, 0])
}

/// Each room has one.
const _: () = assert!(size_of::<MinuteCount>() == 8);

#[cfg(test)]
mod tests {
    use super::*;

    /// Once in so many ms, until then.
    fn counted(every_ms: usize, until_ms: u64) -> MinuteCount {
        let mut counted = MinuteCount::default();
        (0..until_ms).step_by(every_ms).for_each(|at| counted.add(MonotonicMs(at)));
        counted
    }

    #[test]
    fn what_happens_evenly_is_told_as_it_is() {
        for until_ms in [60_000, 61_000, 90_000, 119_999, 150_500] {
            let told = counted(100, until_ms).count(MonotonicMs(until_ms));
            assert!(told.abs_diff(600) <= 1, "{told} at {until_ms}");
        }
        assert_eq!(counted(100, 30_000).count(MonotonicMs(30_000)), 300);
    }

    #[test]
    fn what_is_over_is_forgotten_within_two_minutes() {
        let counted = counted(1_000, 60_000);
        for (at_ms, want) in [(60_000, 60), (90_000, 30), (119_000, 1), (120_000, 0), (1 << 40, 0)]
        {
            assert_eq!(counted.count(MonotonicMs(at_ms)), want, "at {at_ms}");
        }
        assert_eq!(MinuteCount::default().count(MonotonicMs(7)), 0);
    }

    #[test]
    fn a_count_has_an_end() {
        let full = to_bytes(COUNT_MAX);
        let mut counted = MinuteCount { minute: 0, current: full, previous: full };
        counted.add(MonotonicMs(0));
        assert_eq!(counted.count(MonotonicMs(0)), 2 * u64::from(COUNT_MAX));
        counted.add(MonotonicMs(60_000));
        assert_eq!(counted.count(MonotonicMs(60_000)), u64::from(COUNT_MAX) + 1);
    }
}
