//! The number of dead letters and the age of the oldest: counted once after each start, in steps,
//! and updated from then on.
//!
//! Invariant: what lies at or before `at` is counted, and what becomes a dead letter
//! there is added; what lies behind is found later.

use std::ops::ControlFlow;

use super::super::disk::{Disk, StoreKeyspace};
use super::super::key;
use super::super::messages::ReadOrder;
use super::super::record::DeadLetterRecord;

/// Most dead letters that one turn counts.
const STEP_DEAD: usize = 1_024;

/// The dead letters that were neither sent again nor dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterTotals {
    /// Their number, as far as they were counted.
    pub count: u64,
    /// The time at which the oldest became one, Unix ms.
    pub oldest_unix_ms: Option<u64>,
}

/// The progress of the count.
#[derive(Debug)]
pub(super) struct DeadLetterScan {
    /// The last key that was counted; `None` when all were.
    at: Option<Vec<u8>>,
    found: DeadLetterTotals,
    /// The time of the oldest one that the current sweep has left.
    staying_unix_ms: Option<u64>,
}

impl Default for DeadLetterScan {
    fn default() -> DeadLetterScan {
        let found = DeadLetterTotals::default();
        DeadLetterScan { at: Some(Vec::new()), found, staying_unix_ms: None }
    }
}

impl DeadLetterScan {
    /// What is known of dead letters.
    pub fn dead_letters(&self) -> DeadLetterTotals {
        self.found
    }

    /// Counts some more of the dead letters on the disk. Those that cannot be read are counted as
    /// damaged elsewhere.
    pub fn count(&mut self, disk: &impl Disk) {
        let Some(at) = self.at.take() else { return };
        let (mut last, mut seen_count) = (at.clone(), 0);
        let found = &mut self.found;
        let seen = disk.scan(
            StoreKeyspace::Dead,
            &key::rest(&at),
            ReadOrder::OldestFirst,
            &mut |key, value| {
                if let Ok(record) = DeadLetterRecord::take(value) {
                    *found = found.and(record.at_unix_ms);
                }
                last = key.to_vec();
                seen_count += 1;
                match seen_count {
                    STEP_DEAD => ControlFlow::Break(()),
                    _ => ControlFlow::Continue(()),
                }
            },
        );
        if seen.is_ok() && seen_count == STEP_DEAD {
            self.at = Some(last);
        }
    }

    /// Adds one.
    pub fn add(&mut self, key: &[u8], at_unix_ms: u64) {
        if self.at.as_ref().is_none_or(|at| key <= &at[..]) {
            self.found = self.found.and(at_unix_ms);
        }
        self.stays(at_unix_ms);
    }

    /// Removes one.
    pub fn remove(&mut self, key: &[u8]) {
        if self.at.as_ref().is_none_or(|at| key <= &at[..]) {
            self.found.count = self.found.count.saturating_sub(1);
        }
    }

    /// A sweep leaves one.
    pub fn stays(&mut self, at_unix_ms: u64) {
        self.staying_unix_ms = self.staying_unix_ms.into_iter().chain([at_unix_ms]).min();
    }

    /// A sweep has seen all: the oldest may be another one now.
    pub fn end_sweep(&mut self) {
        let staying_unix_ms = self.staying_unix_ms.take();
        if self.at.is_none() {
            self.found.oldest_unix_ms = staying_unix_ms;
        }
    }
}

impl DeadLetterTotals {
    /// The totals with one more.
    fn and(self, at_unix_ms: u64) -> DeadLetterTotals {
        let oldest_unix_ms = self.oldest_unix_ms.into_iter().chain([at_unix_ms]).min();
        DeadLetterTotals { count: self.count + 1, oldest_unix_ms }
    }
}
