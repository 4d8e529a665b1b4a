//! The manifest: which segments the log is made of, in which lives, and up to where each counts.
//!
//! It has two places (`two_places`), and in each:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | sum: XXH3-64 of all that follows |
//! | 8..16 | `rookrlog` |
//! | 16..20 | form, 1 |
//! | 20..24 | pages of a segment |
//! | 24..32 | generation: grows by one with each change |
//! | 32..40 | up to which sequence batches were durable |
//! | 40..44 | segments |
//! | 48.. | of each its number (4 bytes), 4 zeros, life, first sequence, last sequence, and the seal of the batch before the first (8 bytes each) |
//!
//! The last sequence is all ones while the segment is written; the first is 0 for one that
//! comes next and has none.
//!
//! Deliberately absent: when it is written (`manifest_writer`), what is in segments (`scan`).

use std::collections::BTreeSet;

use super::batch::{u32_at, u64_at};
use super::page::{Life, PAGE_BYTES};
use super::two_places::PlacedManifest;

/// Bytes of one place.
pub const MANIFEST_BYTES: usize = 2 * PAGE_BYTES;

/// Segments that a manifest has room for.
pub const SEGMENTS_MAX: usize = 128;

const HEAD_BYTES: usize = 48;
const ENTRY_BYTES: usize = 40;
const OPEN: u64 = u64::MAX;

/// No log comes as far, in batches or in changes, and sums with it do not overflow.
const NUMBER_MAX: u64 = 1 << 62;

const _: () = assert!(HEAD_BYTES + SEGMENTS_MAX * ENTRY_BYTES <= MANIFEST_BYTES);

/// The number of a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SegmentId(pub u32);

/// A segment of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Its file.
    pub id: SegmentId,
    /// The life that counts.
    pub life: Life,
    /// The sequence of its first batch; `None` if it is to be the next and has none.
    pub first: Option<u64>,
    /// The sequence of its last batch, behind which nothing is a batch or a proof; `None` while
    /// it is open.
    pub last: Option<u64>,
    /// The seal of the batch before its first.
    pub previous: u64,
}

/// What the log is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Grows with each change.
    pub generation: u64,
    /// Pages of each segment.
    pub segment_pages: u32,
    /// Batches up to here were durable.
    pub durable: u64,
    /// Segments in the order of their batches.
    pub segments: Vec<SegmentEntry>,
}

impl Manifest {
    /// Of a log in which nothing was written.
    pub fn empty(segment_pages: u32) -> Manifest {
        Manifest { generation: 1, segment_pages, durable: 0, segments: Vec::new() }
    }

    /// Whether what it says is possible: segments in order, each once, sealed before open ones.
    fn is_consistent(&self) -> bool {
        let ids: BTreeSet<SegmentId> = self.segments.iter().map(|segment| segment.id).collect();
        if ids.len() < self.segments.len() || NUMBER_MAX < self.durable.max(self.generation) {
            return false;
        }
        let mut next = None;
        let mut is_open = false;
        for segment in &self.segments {
            let Some(first) = segment.first else {
                is_open = true;
                continue;
            };
            if first == 0 || next.is_some_and(|next| next != first) {
                return false;
            }
            match segment.last {
                Some(last) if is_open || last < first || self.durable < last => return false,
                Some(last) => next = Some(last + 1),
                None => (is_open, next) = (true, None),
            }
        }
        let before = self.segments.first().and_then(|segment| segment.first).unwrap_or(1) - 1;
        0 < self.segment_pages && before <= self.durable
    }
}

impl PlacedManifest for Manifest {
    const BYTES: usize = MANIFEST_BYTES;
    const LETTERS: &'static [u8; 8] = b"rookrlog";
    const FORM: u32 = 1;

    fn generation(&self) -> u64 {
        self.generation
    }

    fn with_generation(self, generation: u64) -> Manifest {
        Manifest { generation, ..self }
    }

    fn own_head(&self) -> u32 {
        self.segment_pages
    }

    fn encode_content(&self, bytes: &mut Vec<u8>) {
        assert!(self.segments.len() <= SEGMENTS_MAX, "segments are bounded by the options");
        bytes.extend(self.durable.to_le_bytes());
        bytes.extend((self.segments.len() as u64).to_le_bytes());
        for segment in &self.segments {
            bytes.extend(u64::from(segment.id.0).to_le_bytes());
            bytes.extend(segment.life.0.to_le_bytes());
            bytes.extend(segment.first.unwrap_or(0).to_le_bytes());
            bytes.extend(segment.last.unwrap_or(OPEN).to_le_bytes());
            bytes.extend(segment.previous.to_le_bytes());
        }
    }

    fn parse(bytes: &[u8]) -> Option<Manifest> {
        let count = u64_at(bytes, 40) as usize;
        if SEGMENTS_MAX < count {
            return None;
        }
        let entries = bytes[HEAD_BYTES..].chunks_exact(ENTRY_BYTES).take(count);
        let segments = entries.map(|entry| SegmentEntry {
            id: SegmentId(u32_at(entry, 0)),
            life: Life(u64_at(entry, 8)),
            first: Some(u64_at(entry, 16)).filter(|first| *first != 0),
            last: Some(u64_at(entry, 24)).filter(|last| *last != OPEN),
            previous: u64_at(entry, 32),
        });
        let manifest = Manifest {
            generation: u64_at(bytes, 24),
            segment_pages: u32_at(bytes, 20),
            durable: u64_at(bytes, 32),
            segments: segments.collect(),
        };
        manifest.is_consistent().then_some(manifest)
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::super::two_places::{
        self, ChosenManifest, HasFiles, ManifestError, ManifestPlace, PlaceContent,
    };
    use super::*;

    fn manifest(generation: u64) -> Manifest {
        let entry = |id, first, last| SegmentEntry {
            id: SegmentId(id),
            life: Life(u64::from(id) + 77),
            first,
            last,
            previous: 5,
        };
        let segments =
            vec![entry(4, Some(10), Some(19)), entry(1, Some(20), None), entry(2, None, None)];
        Manifest { generation, segment_pages: 16, durable: 21, segments }
    }

    const BLANK: [u8; MANIFEST_BYTES] = [0; MANIFEST_BYTES];

    fn choose(first: &[u8], second: &[u8]) -> Result<ChosenManifest<Manifest>, ManifestError> {
        two_places::choose(first, second, HasFiles::Some)
    }

    #[test]
    fn the_newer_of_two_counts_and_any_single_place_is_enough() {
        use ManifestPlace::{First, Second};
        let (old, new) = (manifest(6), manifest(7));
        let found = |manifest: &Manifest, place| Ok(ChosenManifest::Found(manifest.clone(), place));
        assert_eq!(choose(&old.encode(), &new.encode()), found(&new, Second));
        assert_eq!(choose(&new.encode(), &old.encode()), found(&new, First));
        assert_eq!(choose(&new.encode(), &new.encode()), found(&new, First));
        let mut torn = new.encode();
        for bit in (0..MANIFEST_BYTES * 8).step_by(997) {
            torn[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(choose(&torn, &old.encode()), found(&old, Second), "{bit}");
            assert_eq!(choose(&old.encode(), &torn), found(&old, First), "{bit}");
            assert_eq!(choose(&torn, &torn), Err(ManifestError::Damaged), "{bit}");
            torn[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(choose(&BLANK, &old.encode()), found(&old, Second));
        assert_eq!(choose(&old.encode(), &BLANK), found(&old, First));
    }

    #[test]
    fn blank_places_are_a_new_log_where_there_are_no_segments() {
        let none = |first: &[u8], second: &[u8]| {
            two_places::choose::<Manifest>(first, second, HasFiles::None)
        };
        assert_eq!(none(&BLANK, &BLANK), Ok(ChosenManifest::New));
        assert_eq!(none(&[], &[]), Ok(ChosenManifest::New));
        assert_eq!(choose(&BLANK, &BLANK), Err(ManifestError::Damaged));
        let torn = &manifest(1).encode()[..MANIFEST_BYTES - 1];
        assert_eq!(none(torn, &BLANK), Ok(ChosenManifest::New), "its first write was torn");
        assert_eq!(none(&BLANK, torn), Err(ManifestError::Damaged));
        assert_eq!(none(torn, torn), Err(ManifestError::Damaged));
    }

    #[test]
    fn another_form_is_refused_in_either_place() {
        let mut newer = manifest(3).encode();
        newer[16] = 2;
        let sum = xxh3_64(&newer[8..]);
        newer[..8].copy_from_slice(&sum.to_le_bytes());
        let old = manifest(9).encode();
        assert_eq!(choose(&newer, &old), Err(ManifestError::NewerForm(2)));
        assert_eq!(choose(&old, &newer), Err(ManifestError::NewerForm(2)));
    }

    #[test]
    fn what_is_not_possible_is_damage() {
        let is_read = |change: &dyn Fn(&mut Manifest)| {
            let mut one = manifest(3);
            change(&mut one);
            matches!(two_places::read_place::<Manifest>(&one.encode()), PlaceContent::Whole(_))
        };
        assert!(is_read(&|_| ()));
        assert!(is_read(&|one| one.segments.clear()));
        assert!(!is_read(&|one| one.segments[1].first = Some(21)), "a hole");
        assert!(!is_read(&|one| one.segments[0].last = Some(9)), "last before first");
        assert!(!is_read(&|one| one.durable = 18), "sealed and not durable");
        assert!(!is_read(&|one| one.segments.swap(0, 1)), "open before sealed");
        assert!(!is_read(&|one| one.segment_pages = 0));
        assert!(!is_read(&|one| one.segments[2].id = SegmentId(4)), "one of them twice");
        assert!(!is_read(&|one| one.durable = u64::MAX));
        assert!(!is_read(&|one| one.generation = u64::MAX), "no change could follow");
    }
}
