//! Spare segments: filled with zeros once, so that no write has to find blocks for itself, and
//! used again in other lives.
//!
//! What is taken here may still be named in its old life. It is written when a manifest is durable
//! that names it in a new one.
//!
//! Deliberately absent: which life a segment gets (`machine`).

use std::collections::{BTreeSet, VecDeque};

use super::manifest::SegmentId;
use super::options::RESERVED_SEGMENTS;

/// How long after a segment could not be made it is tried again, in ms.
const RETRY_MS: u64 = 1_000;

/// What there is of segments, and what is made.
#[derive(Debug)]
pub struct SegmentPool {
    spares: VecDeque<SegmentId>,
    /// All that have a file, in the log or spare.
    known: BTreeSet<SegmentId>,
    making: Option<SegmentId>,
    segments_max: u32,
    /// Nothing is made before this time.
    paused_until_ms: u64,
}

impl SegmentPool {
    /// These are spare, and those used.
    pub fn new(
        spares: impl IntoIterator<Item = SegmentId>,
        used: impl IntoIterator<Item = SegmentId>,
        segments_max: u32,
    ) -> SegmentPool {
        let spares: VecDeque<SegmentId> = spares.into_iter().collect();
        let known = spares.iter().copied().chain(used).collect();
        SegmentPool { spares, known, making: None, segments_max, paused_until_ms: 0 }
    }

    /// Segments that are spare.
    pub fn spares_count(&self) -> usize {
        self.spares.len()
    }

    /// One for the log to go on in. Those that are reserved stay.
    pub fn take(&mut self) -> Option<SegmentId> {
        if self.spares.len() <= RESERVED_SEGMENTS {
            return None;
        }
        self.spares.pop_front()
    }

    /// These are spare again.
    pub fn give_back(&mut self, ids: impl IntoIterator<Item = SegmentId>) {
        self.spares.extend(ids);
    }

    /// The one to be made now, if more are wanted than there are.
    pub fn make(&mut self, now_ms: u64) -> Option<SegmentId> {
        let has_enough = RESERVED_SEGMENTS < self.spares.len();
        if has_enough || self.making.is_some() || now_ms < self.paused_until_ms {
            return None;
        }
        let id = free_id(&self.known, self.segments_max)?;
        self.making = Some(id);
        self.known.insert(id);
        Some(id)
    }

    /// It is made.
    pub fn on_made(&mut self) {
        let id = self.making.take().expect("one is being made");
        self.spares.push_back(id);
    }

    /// It could not be made.
    pub fn on_failed(&mut self, now_ms: u64) {
        let id = self.making.take().expect("one is being made");
        self.known.remove(&id);
        self.paused_until_ms = now_ms + RETRY_MS;
    }

    /// Whether there may be one to go on in without anything being let go.
    pub fn may_get_more(&self, now_ms: u64) -> bool {
        RESERVED_SEGMENTS < self.spares.len()
            || self.making.is_some()
            || (self.paused_until_ms <= now_ms && free_id(&self.known, self.segments_max).is_some())
    }
}

/// The lowest number that no segment has.
pub fn free_id(known: &BTreeSet<SegmentId>, segments_max: u32) -> Option<SegmentId> {
    (0..segments_max).map(SegmentId).find(|id| !known.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_stay_for_the_end_of_a_life() {
        let mut pool = SegmentPool::new([1, 2, 3].map(SegmentId), [SegmentId(0)], 5);
        assert_eq!(pool.take(), Some(SegmentId(1)));
        assert_eq!(pool.take(), None);
        assert!(pool.may_get_more(0));
        assert_eq!(pool.make(0), Some(SegmentId(4)));
        assert_eq!(pool.make(0), None, "one at a time");
        pool.on_failed(10);
        assert!(!pool.may_get_more(10));
        assert_eq!(pool.make(10 + RETRY_MS - 1), None);
        assert_eq!(pool.make(10 + RETRY_MS), Some(SegmentId(4)));
        pool.on_made();
        assert_eq!(pool.take(), Some(SegmentId(2)));
        assert_eq!(pool.make(9_999), None, "there may not be more");
        assert!(!pool.may_get_more(9_999));
        pool.give_back([SegmentId(0)]);
        assert_eq!(pool.take(), Some(SegmentId(3)));
        assert_eq!(pool.take(), None);
    }
}
