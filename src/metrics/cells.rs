use std::array;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::catalogue::{CELLS, Counter, Gauge, Histogram};

/// One core's numbers: one writer, any number of readers.
///
/// The alignment keeps two cores' cells out of one prefetched pair of cache lines.
#[repr(align(128))]
pub struct Cells {
    values: [AtomicU64; CELLS],
    claimed: AtomicBool,
}

impl Cells {
    /// All series at 0.
    pub fn new() -> Arc<Cells> {
        Arc::new(Cells {
            values: array::from_fn(|_| AtomicU64::new(0)),
            claimed: AtomicBool::new(false),
        })
    }

    /// Gives the right to write, once and for ever.
    pub fn claim(self: &Arc<Cells>) -> Scribe {
        assert!(!self.claimed.swap(true, Relaxed), "cells have one writer");
        Scribe { cells: Arc::clone(self), stay: PhantomData }
    }

    /// What a reader sees. Two cells may be some turns apart.
    pub(super) fn load(&self, place: usize) -> u64 {
        self.values[place].load(Relaxed)
    }
}

/// The right to write one core's cells. The raw pointer makes it `!Send`, so it
/// cannot leave the core that claimed it.
pub struct Scribe {
    cells: Arc<Cells>,
    stay: PhantomData<*const ()>,
}

impl Scribe {
    /// Counts `n` more.
    #[inline]
    pub fn add(&self, counter: Counter, n: u64) {
        self.grow(counter.index(), n);
    }

    /// Says what a gauge shows from here on.
    #[inline]
    pub fn set(&self, gauge: Gauge, value: u64) {
        self.cells.values[gauge.index()].store(value, Relaxed);
    }

    /// Moves a gauge up or down. One that was moved down too often shows a
    /// negative number: seen by everyone, and no reason to end a server.
    #[inline]
    pub fn adjust(&self, gauge: Gauge, by: i64) {
        let value = &self.cells.values[gauge.index()];
        value.store(value.load(Relaxed).wrapping_add_signed(by), Relaxed);
    }

    /// Adds one observation in microseconds.
    #[inline]
    pub fn observe(&self, histogram: Histogram, value_us: u64) {
        let (first, bounds_us) = (histogram.index(), histogram.bounds_us());
        // Counting beats searching: no branch depends on the value.
        let bucket: usize = bounds_us.iter().map(|&bound| usize::from(bound < value_us)).sum();
        self.grow(first + bucket, 1);
        self.grow(first + bounds_us.len() + 1, value_us);
    }

    /// Load and store, not `fetch_add`: with one writer nothing is lost, and
    /// the hot path pays for no locked instruction.
    #[inline]
    fn grow(&self, place: usize, n: u64) {
        let value = &self.cells.values[place];
        value.store(value.load(Relaxed).wrapping_add(n), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "cells have one writer")]
    fn cells_are_claimed_once() {
        let cells = Cells::new();
        let _first = cells.claim();
        let _second = cells.claim();
    }

    #[test]
    fn an_observation_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let cells = Cells::new();
        let scribe = cells.claim();
        let bounds_us = Histogram::Stall.bounds_us();
        scribe.observe(Histogram::Stall, bounds_us[1]);
        scribe.observe(Histogram::Stall, bounds_us[1] + 1);
        scribe.observe(Histogram::Stall, u64::from(u32::MAX));
        let first = Histogram::Stall.index();
        let buckets: Vec<u64> =
            (0..=bounds_us.len()).map(|bucket| cells.load(first + bucket)).collect();
        assert_eq!(buckets, [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]);
        let sum_us = cells.load(first + bounds_us.len() + 1);
        assert_eq!(sum_us, 2 * bounds_us[1] + 1 + u64::from(u32::MAX));
    }
}
