//! Which runs become one: eight of a level, beside each other in the log, the oldest first.
//!
//! A run beyond half of what a merged run may have is not merged any more. Where runs become many,
//! merged runs may be larger: what readers ask, and a manifest, has a bound.
//!
//! Deliberately absent: how they are merged (`job`).

use std::collections::BTreeSet;
use std::ops::Range;

use super::disk::RunId;
use super::manifest::{ListedRun, RUNS_MAX};
use super::trailer::RUN_BYTES_MAX;

/// Sizes of merges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeSizes {
    /// Runs of a level that become one of the next.
    pub runs: usize,
    /// Bytes of a merged run.
    pub bytes_max: u64,
}

impl Default for MergeSizes {
    fn default() -> MergeSizes {
        MergeSizes { runs: 8, bytes_max: 1 << 30 }
    }
}

impl MergeSizes {
    /// Bytes of a merged run where there are so many runs.
    fn bytes_max(self, run_count: usize) -> u64 {
        // Merging changes where blocks end, and so the size of the index a little.
        let largest = RUN_BYTES_MAX / 8 * 7;
        if RUNS_MAX / 4 * 3 < run_count { largest } else { self.bytes_max.min(largest) }
    }

    /// The next runs to be merged, of all in the order of the log. Those that are busy stay, and
    /// their levels, too.
    pub fn next(self, runs: &[ListedRun], busy: &Busy) -> Option<Range<usize>> {
        let groups = self.groups(runs, busy);
        groups.into_iter().find(|group| !busy.levels.contains(&runs[group.start].level))
    }

    /// Bytes of runs that are to be merged.
    pub fn waiting_bytes(self, runs: &[ListedRun], busy: &Busy) -> u64 {
        let groups = self.groups(runs, busy);
        groups.into_iter().flat_map(|group| &runs[group]).map(|run| run.bytes).sum()
    }

    /// All that could be merged, in the order of the log.
    fn groups(self, runs: &[ListedRun], busy: &Busy) -> Vec<Range<usize>> {
        let bytes_max = self.bytes_max(runs.len());
        let is_free = |run: &ListedRun| !busy.runs.contains(&run.id) && run.bytes <= bytes_max / 2;
        let mut groups = Vec::new();
        let mut begin = 0;
        while begin < runs.len() {
            let level = runs[begin].level;
            let row = runs[begin..].iter().take_while(|run| run.level == level && is_free(run));
            let count = row.take(self.runs).count();
            if count < self.runs {
                begin += count.max(1);
                continue;
            }
            let mut bytes = 0;
            let fitting = runs[begin..begin + count].iter().take_while(|run| {
                bytes += run.bytes;
                bytes <= bytes_max
            });
            let end = begin + fitting.count();
            groups.push(begin..end);
            begin = end;
        }
        groups
    }
}

/// What is being merged, or can't be.
#[derive(Debug, Default)]
pub struct Busy {
    /// These runs.
    pub runs: BTreeSet<RunId>,
    /// Of these levels runs are being merged.
    pub levels: BTreeSet<u32>,
}

#[cfg(test)]
mod tests {
    use super::super::trailer::LogRange;
    use super::*;

    const SIZES: MergeSizes = MergeSizes { runs: 3, bytes_max: 100 };

    /// Runs of these levels and bytes.
    fn runs(given: &[(u32, u64)]) -> Vec<ListedRun> {
        let run = |(number, (level, bytes)): (usize, &(u32, u64))| {
            let number = number as u64;
            let log = LogRange { first: number, last: number };
            ListedRun { id: RunId(number), level: *level, log, newest_unix_ms: 0, bytes: *bytes }
        };
        given.iter().enumerate().map(run).collect()
    }

    fn next(given: &[(u32, u64)]) -> Option<Range<usize>> {
        SIZES.next(&runs(given), &Busy::default())
    }

    #[test]
    fn as_many_as_there_have_to_be_of_a_level_and_the_oldest_of_them() {
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[(1, 9), (0, 9), (0, 9)]), None);
        assert_eq!(next(&[(1, 9), (0, 9), (0, 9), (0, 9), (0, 9)]), Some(1..4));
        assert_eq!(next(&[(1, 9), (1, 9), (0, 9), (1, 9)]), None, "not beside each other");
        assert_eq!(next(&[(0, 9), (0, 9), (1, 9), (0, 9)]), None);
    }

    #[test]
    fn merged_runs_have_a_bound_and_large_ones_stay() {
        assert_eq!(next(&[(0, 50), (0, 50), (0, 50)]), Some(0..2));
        assert_eq!(next(&[(0, 51), (0, 9), (0, 9)]), None);
        assert_eq!(next(&[(0, 51), (0, 9), (0, 9), (0, 9)]), Some(1..4));
    }

    #[test]
    fn what_is_busy_stays_and_each_level_has_one_merge() {
        let given = runs(&[(1, 9), (1, 9), (1, 9), (0, 9), (0, 9), (0, 9), (0, 9)]);
        let levels = BTreeSet::from([1]);
        let busy = Busy { levels, ..Busy::default() };
        assert_eq!(SIZES.next(&given, &busy), Some(3..6));
        let busy = Busy { runs: BTreeSet::from([RunId(1), RunId(4)]), ..Busy::default() };
        assert_eq!(SIZES.next(&given, &busy), None);
        assert_eq!(SIZES.waiting_bytes(&given, &Busy::default()), 54);
        assert_eq!(SIZES.waiting_bytes(&given, &busy), 0);
    }

    #[test]
    fn where_runs_are_many_they_become_larger() {
        let mut given = runs(&vec![(9, 90); RUNS_MAX / 4 * 3]);
        assert_eq!(SIZES.next(&given, &Busy::default()), None);
        given.extend(runs(&[(9, 90)]));
        assert_eq!(SIZES.next(&given, &Busy::default()), Some(0..3));
    }
}
