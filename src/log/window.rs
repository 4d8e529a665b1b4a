//! Batches that are written and not durable yet, and which sync makes them so.
//!
//! A write that goes through covers its own bytes, so it is used only while everything before it
//! goes through, too. Behind a batch that may wait for its sync, all others are cached and a
//! flush covers them in order: a sync that left out what stands before it would answer a batch
//! that a power cut takes along with its predecessor.
//!
//! Invariants: what is durable has no hole; a batch that wants a sync is answered when it is
//! durable, another one when it and all before it are written.
//!
//! Deliberately absent: pages, and where they go (`segments`).

use std::collections::VecDeque;

use super::disk::WriteMode;
use super::manifest::SegmentId;

/// When a batch is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendSync {
    /// When it is durable.
    Now,
    /// When it is written. It is durable with the next sync, for whomever that is.
    Later,
}

/// A batch under way.
#[derive(Clone, Copy, Debug)]
pub struct WindowEntry {
    /// Its sequence.
    pub sequence: u64,
    /// Where it goes.
    pub segment: SegmentId,
    /// Pages that it takes.
    pub pages: u32,
    /// The mark in its pages.
    pub mark: u64,
    /// How it is written.
    pub mode: WriteMode,
    /// When it is answered; `None` for one that carries a mark, and wants a sync like others.
    pub answer: Option<AppendSync>,
}

/// All that are under way, in order.
#[derive(Debug)]
pub struct Window {
    entries: VecDeque<(WindowEntry, bool)>,
    durable: u64,
    /// All batches up to here are written.
    written: u64,
    /// Up to here somebody wants a sync.
    wanted: u64,
    /// What the flush under way covers.
    flushing: Option<u64>,
    /// The highest mark that is durable itself.
    marked: u64,
    writes: usize,
    cached: usize,
    pages: u32,
    answered: VecDeque<u64>,
}

impl Window {
    /// Nothing is under way behind this batch, and a mark says so.
    pub fn new(durable: u64) -> Window {
        Window {
            entries: VecDeque::new(),
            durable,
            written: durable,
            wanted: durable,
            flushing: None,
            marked: durable,
            writes: 0,
            cached: 0,
            pages: 0,
            answered: VecDeque::new(),
        }
    }

    /// Up to where all is durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The highest mark that is durable.
    pub fn marked(&self) -> u64 {
        self.marked
    }

    /// A manifest says that batches were durable up to here.
    pub fn on_marked(&mut self, mark: u64) {
        self.marked = self.marked.max(mark);
    }

    /// Whether all is durable.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes that are not over.
    pub fn writes(&self) -> usize {
        self.writes
    }

    /// Pages of batches that are not durable.
    pub fn pages(&self) -> u32 {
        self.pages
    }

    /// How the next batch is written.
    pub fn mode(&self, answer: Option<AppendSync>) -> WriteMode {
        match answer {
            Some(AppendSync::Now) | None if self.cached == 0 => WriteMode::Through,
            Some(_) | None => WriteMode::Cached,
        }
    }

    /// A batch is being written.
    pub fn push(&mut self, entry: WindowEntry) {
        if entry.mode == WriteMode::Cached && entry.answer != Some(AppendSync::Later) {
            self.wanted = entry.sequence;
        }
        self.cached += usize::from(entry.mode == WriteMode::Cached);
        self.writes += 1;
        self.pages += entry.pages;
        self.entries.push_back((entry, false));
    }

    /// All that is there is to be durable.
    pub fn want_sync(&mut self) {
        if let Some((entry, _)) = self.entries.back() {
            self.wanted = entry.sequence;
        }
    }

    /// A write is over.
    pub fn on_written(&mut self, sequence: u64) {
        let front = self.entries.front().expect("it is under way").0.sequence;
        let (_, is_written) = &mut self.entries[(sequence - front) as usize];
        assert!(!*is_written, "each write is over once");
        *is_written = true;
        self.writes -= 1;
        while let Some((entry, true)) = self.entries.get((self.written + 1 - front) as usize) {
            self.written = entry.sequence;
            if entry.answer == Some(AppendSync::Later) {
                self.answered.push_back(entry.sequence);
            }
        }
        while let Some((WindowEntry { mode: WriteMode::Through, .. }, true)) = self.entries.front()
        {
            self.pop();
        }
    }

    /// The segment to flush now; that is under way then.
    pub fn flush(&mut self) -> Option<SegmentId> {
        let (front, _) = self.entries.front()?;
        if self.flushing.is_some() || front.mode == WriteMode::Through {
            return None;
        }
        let segment = front.segment;
        let count = self.entries.partition_point(|(entry, _)| entry.segment == segment);
        let last = self.entries[count - 1].0.sequence;
        let is_wanted = front.sequence <= self.wanted && self.wanted.min(last) <= self.written;
        if !is_wanted {
            return None;
        }
        self.flushing = Some(self.written.min(last));
        Some(segment)
    }

    /// The flush is over.
    pub fn on_flushed(&mut self) {
        let covered = self.flushing.take().expect("a flush is under way");
        while self.entries.front().is_some_and(|(entry, _)| entry.sequence <= covered) {
            self.pop();
        }
    }

    /// A batch that is to be answered.
    pub fn take_answered(&mut self) -> Option<u64> {
        self.answered.pop_front()
    }

    /// The first one is durable.
    fn pop(&mut self) {
        let (entry, is_written) = self.entries.pop_front().expect("there is one");
        assert!(is_written && entry.sequence == self.durable + 1, "what is durable has no hole");
        self.durable = entry.sequence;
        self.marked = self.marked.max(entry.mark);
        self.cached -= usize::from(entry.mode == WriteMode::Cached);
        self.pages -= entry.pages;
        if entry.answer == Some(AppendSync::Now) {
            self.answered.push_back(entry.sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(window: &mut Window, sequence: u64, segment: u32, sync: AppendSync) -> WriteMode {
        let answer = Some(sync);
        let mode = window.mode(answer);
        let (segment, pages, mark) = (SegmentId(segment), 1, window.durable());
        window.push(WindowEntry { sequence, segment, pages, mark, mode, answer });
        mode
    }

    fn answered(window: &mut Window) -> Vec<u64> {
        std::iter::from_fn(|| window.take_answered()).collect()
    }

    #[test]
    fn writes_that_go_through_are_answered_in_order() {
        let mut window = Window::new(4);
        assert_eq!(push(&mut window, 5, 0, AppendSync::Now), WriteMode::Through);
        assert_eq!(push(&mut window, 6, 0, AppendSync::Now), WriteMode::Through);
        window.on_written(6);
        assert_eq!((window.durable(), window.flush()), (4, None));
        assert!(answered(&mut window).is_empty());
        window.on_written(5);
        assert_eq!((window.durable(), answered(&mut window)), (6, vec![5, 6]));
        assert!(window.is_empty() && window.pages() == 0 && window.writes() == 0);
    }

    #[test]
    fn behind_what_waits_a_flush_covers_both() {
        let mut window = Window::new(0);
        assert_eq!(push(&mut window, 1, 0, AppendSync::Later), WriteMode::Cached);
        window.on_written(1);
        assert_eq!(answered(&mut window), [1]);
        assert_eq!((window.durable(), window.flush()), (0, None), "nobody wants one");
        assert_eq!(push(&mut window, 2, 0, AppendSync::Now), WriteMode::Cached);
        assert_eq!(window.flush(), None, "its write is not over");
        window.on_written(2);
        assert_eq!(window.flush(), Some(SegmentId(0)));
        assert_eq!(push(&mut window, 3, 0, AppendSync::Now), WriteMode::Cached);
        window.on_written(3);
        assert_eq!(window.flush(), None, "one at a time");
        window.on_flushed();
        assert_eq!((window.durable(), answered(&mut window)), (2, vec![2]), "3 came later");
        assert_eq!(window.flush(), Some(SegmentId(0)));
        window.on_flushed();
        assert_eq!((window.durable(), answered(&mut window)), (3, vec![3]));
        assert_eq!(push(&mut window, 4, 0, AppendSync::Now), WriteMode::Through);
    }

    #[test]
    fn segments_are_flushed_one_after_the_other() {
        let mut window = Window::new(0);
        for (sequence, segment) in [(1, 7), (2, 8)] {
            push(&mut window, sequence, segment, AppendSync::Later);
            window.on_written(sequence);
        }
        window.want_sync();
        assert_eq!(window.flush(), Some(SegmentId(7)));
        window.on_flushed();
        assert_eq!(window.durable(), 1);
        assert_eq!(window.flush(), Some(SegmentId(8)));
        window.on_flushed();
        assert_eq!((window.durable(), window.flush()), (2, None));
    }

    #[test]
    fn a_write_that_goes_through_is_waited_for_before_a_flush_behind_it() {
        let mut window = Window::new(0);
        push(&mut window, 1, 0, AppendSync::Now);
        push(&mut window, 2, 0, AppendSync::Later);
        window.on_written(2);
        window.want_sync();
        assert_eq!((window.flush(), answered(&mut window)), (None, vec![]));
        window.on_written(1);
        assert_eq!(answered(&mut window), [2, 1]);
        assert_eq!((window.durable(), window.flush()), (1, Some(SegmentId(0))));
    }
}
