//! How many dead letters there are, and since when: counted once after each start, in
//! steps, and kept up from there.
//!
//! Invariant: what lies at or before `at` is counted, and what becomes a dead letter
//! there is added; what lies behind is found later.

use std::ops::ControlFlow;

use super::super::disk::{Disk, StoreKeyspace};
use super::super::key;
use super::super::messages::ReadOrder;
use super::super::record::DeadLetterRecord;

/// Dead letters that one turn looks at.
const STEP_DEAD: usize = 1_024;

/// Dead letters that nobody has sent again or dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterTotals {
    /// How many, as far as they were counted.
    pub count: u64,
    /// When the oldest of them was given up, Unix ms.
    pub oldest_unix_ms: Option<u64>,
}

/// How far the counting is.
#[derive(Debug)]
pub(super) struct DeadLetterScan {
    /// The last key that was looked at; `None` when all were.
    at: Option<Vec<u8>>,
    found: DeadLetterTotals,
    /// When the oldest of those that the sweep under way leaves was given up.
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

    /// Counts some more of what is on the disk. What cannot be read is counted as
    /// damage elsewhere, by whoever asks for it.
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

    /// One more is written.
    pub fn add(&mut self, key: &[u8], at_unix_ms: u64) {
        if self.at.as_ref().is_none_or(|at| key <= &at[..]) {
            self.found = self.found.and(at_unix_ms);
        }
        self.stays(at_unix_ms);
    }

    /// One is removed.
    pub fn remove(&mut self, key: &[u8]) {
        if self.at.as_ref().is_none_or(|at| key <= &at[..]) {
            self.found.count = self.found.count.saturating_sub(1);
        }
    }

    /// One that was looked at stays.
    pub fn stays(&mut self, at_unix_ms: u64) {
        self.staying_unix_ms = self.staying_unix_ms.into_iter().chain([at_unix_ms]).min();
    }

    /// All were looked at: the oldest may be another one now.
    pub fn end_sweep(&mut self) {
        let staying_unix_ms = self.staying_unix_ms.take();
        if self.at.is_none() {
            self.found.oldest_unix_ms = staying_unix_ms;
        }
    }
}

impl DeadLetterTotals {
    /// The same, and one that was given up then.
    fn and(self, at_unix_ms: u64) -> DeadLetterTotals {
        let oldest_unix_ms = self.oldest_unix_ms.into_iter().chain([at_unix_ms]).min();
        DeadLetterTotals { count: self.count + 1, oldest_unix_ms }
    }
}
