//! Where batches lie: the segments of the log with the first page of each batch, 4 B for each.
//!
//! Invariants: segments follow each other without a hole in their sequences; a segment's batches
//! follow each other, from page 0 but in the first one, of which a part may have been damaged.
//!
//! Deliberately absent: spare segments (`segment_pool`).

use std::collections::VecDeque;

use super::manifest::{SegmentEntry, SegmentId};
use super::page::Life;
use super::read_plan::ReadPlan;

/// A segment in one life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSegment {
    id: SegmentId,
    life: Life,
    first: u64,
    previous: u64,
    /// The first page of each batch.
    begins: Vec<u32>,
    end_page: u32,
}

impl LogSegment {
    /// One whose first batch is to be `first`, behind the batch with this seal.
    pub fn new(id: SegmentId, life: Life, first: u64, previous: u64) -> LogSegment {
        LogSegment { id, life, first, previous, begins: Vec::new(), end_page: 0 }
    }

    /// Whether it has no batch.
    pub fn is_empty(&self) -> bool {
        self.begins.is_empty()
    }

    /// Its file.
    pub fn id(&self) -> SegmentId {
        self.id
    }

    /// Its life.
    pub fn life(&self) -> Life {
        self.life
    }

    /// The sequence of its first batch.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The sequence of its last one, which is the one before its first while there is none.
    pub fn last(&self) -> u64 {
        self.first + self.begins.len() as u64 - 1
    }

    /// Where the next batch goes.
    pub fn end_page(&self) -> u32 {
        self.end_page
    }

    /// Notes the next batch, and says at which page it begins.
    pub fn add(&mut self, pages: u32) -> u32 {
        let page = self.end_page;
        self.add_at(page, pages);
        page
    }

    /// Notes the next batch, which begins at this page; where it is the first one, that may be
    /// behind pages that count for nothing.
    pub fn add_at(&mut self, page: u32, pages: u32) {
        assert!(page == self.end_page || self.begins.is_empty(), "batches follow each other");
        self.begins.push(page);
        self.end_page = page + pages;
    }

    /// Forgets what lies behind this sequence. False if nothing is left.
    pub fn cut_behind(&mut self, last: u64) -> bool {
        let kept = (last + 1).saturating_sub(self.first);
        if let Some(begin) = self.begins.get(kept as usize) {
            self.end_page = *begin;
            self.begins.truncate(kept as usize);
        }
        !self.begins.is_empty()
    }

    /// How a manifest has it, sealed or open.
    pub fn entry(&self, last: Option<u64>) -> SegmentEntry {
        let (id, life, previous) = (self.id, self.life, self.previous);
        SegmentEntry { id, life, first: Some(self.first), last, previous }
    }

    /// How to read batches from one on, up to another, within a number of bytes: at least one.
    /// `None` if it does not have the first.
    pub fn plan(&self, from: u64, to: u64, pages_max: u32) -> Option<ReadPlan> {
        if from < self.first || self.last().min(to) < from {
            return None;
        }
        let begin_of = |sequence: u64| {
            let begin = self.begins.get((sequence - self.first) as usize);
            begin.copied().unwrap_or(self.end_page)
        };
        let begin = begin_of(from);
        let fitting = self.begins.partition_point(|page| *page <= begin + pages_max);
        // The last that begins within the bound ends beyond it, unless its end fits, too.
        let fits_whole = self.end_page <= begin + pages_max;
        let before = self.first + fitting as u64 - if fits_whole { 1 } else { 2 };
        let last = before.min(to).min(self.last()).max(from);
        let pages = begin_of(last + 1) - begin;
        Some(ReadPlan::new(self.id, self.life, begin, pages, from))
    }
}

/// All segments with batches that are kept; the last one is written.
#[derive(Debug)]
pub struct Segments {
    all: VecDeque<LogSegment>,
}

impl Segments {
    /// These, of which the last is written from here on.
    pub fn new(all: Vec<LogSegment>) -> Segments {
        assert!(!all.is_empty(), "there is always one that is written");
        let follow = |pair: &[LogSegment]| pair[0].last() + 1 == pair[1].first();
        assert!(all.windows(2).all(follow), "sequences have no hole");
        Segments { all: all.into() }
    }

    /// The one that is written.
    pub fn active(&self) -> &LogSegment {
        self.all.back().expect("there is always one")
    }

    /// Notes a batch in it, and says at which page it begins.
    pub fn add(&mut self, pages: u32) -> u32 {
        self.all.back_mut().expect("there is always one").add(pages)
    }

    /// Goes on in another one.
    pub fn begin(&mut self, segment: LogSegment) {
        assert_eq!(self.active().last() + 1, segment.first(), "sequences have no hole");
        self.all.push_back(segment);
    }

    /// The sequence of the first batch that is kept, or of the next one if none is.
    pub fn first(&self) -> u64 {
        self.all.front().expect("there is always one").first()
    }

    /// Forgets segments whose batches are all before this sequence, and returns them; never the
    /// one that is written.
    pub fn let_go(&mut self, below: u64) -> Vec<SegmentId> {
        let count = self.count_below(below);
        self.all.drain(..count).map(|segment| segment.id()).collect()
    }

    /// Segments whose batches are all before this sequence, without the one that is written.
    pub fn count_below(&self, below: u64) -> usize {
        let old = self.all.iter().take(self.all.len() - 1);
        old.take_while(|segment| segment.last() < below).count()
    }

    /// All of them.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// As a manifest has them. Those behind which writing went on are sealed where all is durable.
    pub fn entries(&self, durable: u64) -> Vec<SegmentEntry> {
        let written = self.all.len() - 1;
        let entry = |(place, segment): (usize, &LogSegment)| {
            let is_sealed = place < written && segment.last() <= durable;
            segment.entry(is_sealed.then(|| segment.last()))
        };
        self.all.iter().enumerate().map(entry).collect()
    }

    /// See `LogSegment::plan`.
    pub fn plan(&self, from: u64, to: u64, pages_max: u32) -> Option<ReadPlan> {
        let place = self.all.partition_point(|segment| segment.last() < from);
        self.all.get(place)?.plan(from, to, pages_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(first: u64, batches: &[u32]) -> LogSegment {
        let mut segment = LogSegment::new(SegmentId(first as u32), Life(first), first, 0);
        batches.iter().for_each(|pages| {
            segment.add(*pages);
        });
        segment
    }

    #[test]
    fn a_plan_has_as_many_whole_batches_as_fit_and_at_least_one() {
        let one = segment(10, &[2, 1, 3, 1]);
        let check = |from, to, pages_max, wanted: Option<(u32, u32)>| {
            let found = one.plan(from, to, pages_max).map(|plan| (plan.page(), plan.pages()));
            assert_eq!(found, wanted, "{from} to {to} in {pages_max}");
        };
        check(10, 99, 100, Some((0, 7)));
        check(10, 99, 7, Some((0, 7)));
        check(10, 99, 6, Some((0, 6)));
        check(10, 99, 5, Some((0, 3)));
        check(10, 99, 3, Some((0, 3)));
        check(10, 99, 1, Some((0, 2)));
        check(12, 99, 1, Some((3, 3)));
        check(13, 99, 1, Some((6, 1)));
        check(10, 11, 100, Some((0, 3)));
        check(12, 11, 100, None);
        check(9, 99, 100, None);
        check(14, 99, 100, None);
    }

    #[test]
    fn what_lies_behind_a_cut_is_forgotten() {
        let check = |last, wanted: Option<(u64, u32)>| {
            let mut one = segment(10, &[2, 1, 3]);
            let found = one.cut_behind(last).then(|| (one.last(), one.end_page()));
            assert_eq!(found, wanted, "{last}");
        };
        check(9, None);
        check(8, None);
        check(10, Some((10, 2)));
        check(11, Some((11, 3)));
        check(12, Some((12, 6)));
        check(15, Some((12, 6)));
    }

    #[test]
    fn segments_go_whole_and_are_sealed_when_all_is_durable() {
        let mut all =
            Segments::new(vec![segment(1, &[1, 1]), segment(3, &[1]), segment(4, &[1, 1])]);
        let sealed = |all: &Segments, durable| {
            all.entries(durable).iter().map(|entry| entry.last).collect::<Vec<_>>()
        };
        assert_eq!(sealed(&all, 5), [Some(2), Some(3), None]);
        assert_eq!(sealed(&all, 2), [Some(2), None, None]);
        assert_eq!(sealed(&all, 1), [None, None, None]);
        assert_eq!(all.plan(3, 5, 9).map(|plan| plan.segment()), Some(SegmentId(3)));
        assert_eq!([1, 2, 3, 4, 99].map(|below| all.count_below(below)), [0, 0, 1, 2, 2]);
        assert_eq!(all.count(), 3);
        assert!(all.let_go(2).is_empty());
        assert_eq!(all.let_go(3), [SegmentId(1)]);
        assert_eq!(all.first(), 3);
        assert_eq!(all.plan(2, 5, 9), None);
        assert_eq!(all.let_go(99), [SegmentId(3)]);
        assert!(all.let_go(99).is_empty());
    }
}
