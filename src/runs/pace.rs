//! How fast runs are written: a large write holds up the log's syncs on the same disk, and too slow
//! ones let the log and memory grow.
//!
//! From 40 MB a second on, which leaves the log its times; more as more waits. Eight bytes a
//! second for each that is not sorted: even with three merges taking turns with it, which read
//! and write, the sorter then gets one, so what is not sorted stays below what comes in a second. What is
//! not merged is given 16 seconds more.
//!
//! Deliberately absent: a clock, and who waits.

/// Bytes a second that are always allowed.
pub const BYTES_PER_SECOND_MIN: u64 = 40_000_000;

/// What waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SortBacklog {
    /// Bytes that the log has and runs have not.
    pub unsorted_bytes: u64,
    /// Bytes of runs that are to be merged.
    pub unmerged_bytes: u64,
}

impl SortBacklog {
    /// Bytes a second that are read and written.
    pub fn bytes_per_second(self) -> u64 {
        let unsorted = self.unsorted_bytes.saturating_mul(8);
        BYTES_PER_SECOND_MIN.max(unsorted.saturating_add(self.unmerged_bytes / 16))
    }
}

/// Up to when what was read and written has its time.
#[derive(Clone, Copy, Debug, Default)]
pub struct SortPace {
    paid_until_us: u64,
}

impl SortPace {
    /// How long to wait before the next step, in us, when so many bytes were read and written since
    /// this was asked last. Time in which nothing was done is not made up for.
    pub fn wait_us(&mut self, now_us: u64, moved_bytes: u64, backlog: SortBacklog) -> u64 {
        let rate = backlog.bytes_per_second();
        let took_us = moved_bytes.saturating_mul(1_000_000) / rate;
        self.paid_until_us = self.paid_until_us.max(now_us).saturating_add(took_us);
        self.paid_until_us - now_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes not sorted at most, and bytes moved in the last second, where so many come a second:
    /// the sorter moves one of seven bytes.
    fn run(bytes_per_second: u64) -> (u64, u64) {
        let mut pace = SortPace::default();
        let (mut now_us, mut unsorted_bytes, mut highest, mut moved) = (0, 0, 0, 0);
        while now_us < 20_000_000 {
            let backlog = SortBacklog { unsorted_bytes, unmerged_bytes: 0 };
            let bytes = (unsorted_bytes * 7).min((7 * 256) << 10);
            let wait_us = pace.wait_us(now_us, bytes, backlog).max(100);
            unsorted_bytes = unsorted_bytes - bytes / 7 + bytes_per_second * wait_us / 1_000_000;
            now_us += wait_us;
            highest = highest.max(unsorted_bytes);
            moved += if 19_000_000 <= now_us { bytes } else { 0 };
        }
        (highest, moved)
    }

    #[test]
    fn what_is_not_sorted_stays_below_what_comes_in_a_second() {
        for bytes_per_second in [1_000_000, 5_000_000, 20_000_000, 200_000_000, 1_000_000_000] {
            let (highest, moved) = run(bytes_per_second);
            assert!(highest < bytes_per_second + (1 << 20), "{bytes_per_second}: {highest}");
            assert!(moved < 8 * bytes_per_second, "{bytes_per_second}: {moved}");
            assert!(6 * bytes_per_second < moved, "{bytes_per_second}: {moved}");
        }
    }

    #[test]
    fn time_that_was_not_used_is_gone() {
        let mut pace = SortPace::default();
        let none = SortBacklog::default();
        assert_eq!(pace.wait_us(0, 40_000_000, none), 1_000_000);
        assert_eq!(pace.wait_us(500_000, 0, none), 500_000);
        assert_eq!(pace.wait_us(9_000_000, 400_000, none), 10_000);
        assert_eq!(pace.wait_us(9_000_000, 400_000, none), 20_000);
        let much = SortBacklog { unsorted_bytes: u64::MAX, unmerged_bytes: u64::MAX };
        assert_eq!(pace.wait_us(99_000_000, 400_000, much), 0);
        let merges = SortBacklog { unmerged_bytes: 1_600_000_000, ..none };
        assert_eq!(merges.bytes_per_second(), 100_000_000);
    }
}
