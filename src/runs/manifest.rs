//! The manifest of a set: which runs count, in the order of the log.
//!
//! It has two places (`log`), and in each:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | sum: XXH3-64 of all that follows |
//! | 8..16 | `rookrset` |
//! | 16..20 | form, 1 |
//! | 20..24 | runs |
//! | 24..32 | generation: grows by one with each change |
//! | 32..40 | id of the log |
//! | 40..48 | the next number of a run |
//! | 48..56 | sorted: up to which sequence of the log the runs have everything that is kept |
//! | 64.. | of each run its number (8 bytes), level (4), 4 zeros, first and last sequence, a time behind which no entry is, and bytes (8 each) |
//!
//! Deliberately absent: when it is written (`set`), what is in runs.

use std::collections::BTreeSet;

use super::disk::RunId;
use super::trailer::{LogRange, RUN_BYTES_MAX, RunInfo};
use crate::log::{PAGE_BYTES, PLACE_HEAD_BYTES, PlacedManifest};

/// Bytes of one place.
pub const RUN_MANIFEST_BYTES: usize = 16 * PAGE_BYTES;

/// Runs that a manifest has room for.
pub const RUNS_MAX: usize = 1_024;

const HEAD_BYTES: usize = 64;
const ITEM_BYTES: usize = 48;

/// Nothing comes as far, and sums with it do not overflow.
const NUMBER_MAX: u64 = 1 << 62;

const _: () = assert!(HEAD_BYTES + RUNS_MAX * ITEM_BYTES <= RUN_MANIFEST_BYTES);
const _: () = assert!(PLACE_HEAD_BYTES == 32);

/// A run that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedRun {
    /// Its number.
    pub id: RunId,
    /// How often its entries were merged.
    pub level: u32,
    /// All of the log that it covers.
    pub log: LogRange,
    /// No entry is of a later time than this, in ms since 1970.
    pub newest_unix_ms: u64,
    /// Bytes of its file.
    pub bytes: u64,
}

impl From<&RunInfo> for ListedRun {
    fn from(info: &RunInfo) -> ListedRun {
        let RunInfo { id, level, log, newest_unix_ms, bytes, .. } = *info;
        ListedRun { id, level, log, newest_unix_ms, bytes }
    }
}

/// What a set is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunManifest {
    /// Grows with each change.
    pub generation: u64,
    /// The log that is sorted.
    pub log_id: u64,
    /// The next number of a run.
    pub next: RunId,
    /// Up to which sequence of the log the runs have everything that is kept.
    pub sorted: u64,
    /// In the order of the log.
    pub runs: Vec<ListedRun>,
}

impl RunManifest {
    /// Of a set without runs, of what the log has behind `sorted`.
    pub fn empty(log_id: u64, sorted: u64) -> RunManifest {
        RunManifest { generation: 1, log_id, next: RunId(1), sorted, runs: Vec::new() }
    }

    /// Whether what it says is possible: runs in order, each once.
    fn is_consistent(&self) -> bool {
        let ids: BTreeSet<RunId> = self.runs.iter().map(|run| run.id).collect();
        let is_each_possible = self.runs.iter().all(|run| {
            run.id < self.next
                && run.log.first <= run.log.last
                && 0 < run.bytes
                && run.bytes <= RUN_BYTES_MAX
                && run.bytes.is_multiple_of(PAGE_BYTES as u64)
        });
        let is_ordered = self.runs.windows(2).all(|two| two[0].log.last < two[1].log.first);
        let last = self.runs.last().map_or(0, |run| run.log.last);
        ids.len() == self.runs.len()
            && is_each_possible
            && is_ordered
            && last <= self.sorted
            && self.sorted.max(self.generation).max(self.next.0) <= NUMBER_MAX
    }
}

impl PlacedManifest for RunManifest {
    const BYTES: usize = RUN_MANIFEST_BYTES;
    const LETTERS: &'static [u8; 8] = b"rookrset";
    const FORM: u32 = 1;

    fn generation(&self) -> u64 {
        self.generation
    }

    fn with_generation(self, generation: u64) -> RunManifest {
        RunManifest { generation, ..self }
    }

    fn own_head(&self) -> u32 {
        self.runs.len() as u32
    }

    fn encode_content(&self, bytes: &mut Vec<u8>) {
        assert!(self.runs.len() <= RUNS_MAX, "runs are bounded by the set");
        for number in [self.log_id, self.next.0, self.sorted, 0] {
            bytes.extend(number.to_le_bytes());
        }
        for run in &self.runs {
            let level = u64::from(run.level);
            let ListedRun { id, log, newest_unix_ms, bytes: length, .. } = run;
            for number in [id.0, level, log.first, log.last, *newest_unix_ms, *length] {
                bytes.extend(number.to_le_bytes());
            }
        }
    }

    fn parse(place: &[u8]) -> Option<RunManifest> {
        let number = |at: usize| {
            let bytes = place[at..].first_chunk().expect("a place has all of its bytes");
            u64::from_le_bytes(*bytes)
        };
        let count = (number(16) >> 32) as usize;
        if RUNS_MAX < count {
            return None;
        }
        let run = |at: usize| ListedRun {
            id: RunId(number(at)),
            level: number(at + 8) as u32,
            log: LogRange { first: number(at + 16), last: number(at + 24) },
            newest_unix_ms: number(at + 32),
            bytes: number(at + 40),
        };
        let manifest = RunManifest {
            generation: number(24),
            log_id: number(32),
            next: RunId(number(40)),
            sorted: number(48),
            runs: (0..count).map(|index| run(HEAD_BYTES + index * ITEM_BYTES)).collect(),
        };
        manifest.is_consistent().then_some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{ChosenManifest, HasFiles, ManifestError, ManifestPlace, choose};

    fn manifest() -> RunManifest {
        let run = |id, level, first, last| ListedRun {
            id: RunId(id),
            level,
            log: LogRange { first, last },
            newest_unix_ms: 1 << 41,
            bytes: 8_192,
        };
        let runs = vec![run(9, 2, 3, 90), run(4, 1, 91, 91), run(12, 0, 95, 99)];
        RunManifest { generation: 6, log_id: u64::MAX, next: RunId(13), sorted: 120, runs }
    }

    fn found(manifest: &RunManifest) -> bool {
        let chosen = choose(&manifest.encode(), &[], HasFiles::Some);
        let whole = ChosenManifest::Found(manifest.clone(), ManifestPlace::First);
        chosen == Ok(whole)
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_possible_is_damage() {
        let is_read = |change: &dyn Fn(&mut RunManifest)| {
            let mut one = manifest();
            change(&mut one);
            found(&one)
        };
        assert!(is_read(&|_| ()));
        assert!(is_read(&|one| one.runs.clear()));
        assert!(is_read(&|one| one.sorted = 99));
        assert!(!is_read(&|one| one.sorted = 98), "a run of what is not sorted");
        assert!(!is_read(&|one| one.next = RunId(12)), "a number would be used twice");
        assert!(!is_read(&|one| one.runs[1].id = RunId(9)), "one of them twice");
        assert!(!is_read(&|one| one.runs[0].log.last = 91), "two runs of one batch");
        assert!(!is_read(&|one| one.runs.swap(0, 1)), "not in order");
        assert!(!is_read(&|one| one.runs[0].log.first = 91), "last before first");
        assert!(!is_read(&|one| one.runs[0].bytes = 0));
        assert!(!is_read(&|one| one.runs[0].bytes = 8_191));
        assert!(!is_read(&|one| one.runs[0].bytes = RUN_BYTES_MAX + 4_096));
        assert!(!is_read(&|one| one.generation = u64::MAX), "no change could follow");
        assert!(!is_read(&|one| one.sorted = u64::MAX));
    }

    #[test]
    fn as_many_as_there_may_be_fit_and_a_log_s_manifest_is_none() {
        let mut one = manifest();
        let of = one.runs[0];
        let run =
            |at: u64| ListedRun { id: RunId(at), log: LogRange { first: at, last: at }, ..of };
        one.runs = (1..=RUNS_MAX as u64).map(run).collect();
        (one.next, one.sorted) = (RunId(RUNS_MAX as u64 + 1), RUNS_MAX as u64);
        assert!(found(&one));
        let mut other = manifest().encode();
        other[8..16].copy_from_slice(b"rookrlog");
        let sum = xxhash_rust::xxh3::xxh3_64(&other[8..]);
        other[..8].copy_from_slice(&sum.to_le_bytes());
        let chosen = choose::<RunManifest>(&other, &other, HasFiles::Some);
        assert_eq!(chosen, Err(ManifestError::Damaged));
    }
}
