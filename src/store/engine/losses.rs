//! Tracks commits that are not synced yet, when a sync is due, and how often such commits may have
//! been lost.
//!
//! Deliberately absent: the new epoch of a channel after a loss (`heads`).

use super::super::disk::SyncMode;

/// The number of losses of unsynced commits.
#[derive(Debug)]
pub(super) struct LossCount {
    count: u32,
    /// The time of the oldest commit that is not synced.
    unsynced_since_unix_ms: Option<u64>,
}

impl LossCount {
    /// The number from the disk; everything on it is synced.
    pub fn new(count: u32) -> LossCount {
        LossCount { count, unsynced_since_unix_ms: None }
    }

    /// The number of losses.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Notes a commit.
    pub fn on_commit(&mut self, durable: SyncMode, now_unix_ms: u64) {
        match durable {
            SyncMode::Now => self.on_synced(),
            SyncMode::Later => {
                self.unsynced_since_unix_ms.get_or_insert(now_unix_ms);
            }
        }
    }

    /// Notes that all commits are synced.
    pub fn on_synced(&mut self) {
        self.unsynced_since_unix_ms = None;
    }

    /// Notes a failure of the disk.
    pub fn on_failed(&mut self) {
        if self.unsynced_since_unix_ms.take().is_some() {
            self.count = self.count.saturating_add(1);
        }
    }

    /// Whether a sync is due.
    pub fn sync_is_due(&self, now_unix_ms: u64, interval_ms: u64) -> bool {
        // A wall clock that was set back must not make a sync wait for it.
        let age_ms = self.unsynced_since_unix_ms.map(|since| now_unix_ms.abs_diff(since));
        age_ms.is_some_and(|age_ms| interval_ms <= age_ms)
    }

    /// The time at which a sync is due.
    pub fn sync_due_unix_ms(&self, interval_ms: u64) -> Option<u64> {
        self.unsynced_since_unix_ms.map(|since| since.saturating_add(interval_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_synced_can_be_lost() {
        let mut losses = LossCount::new(3);
        losses.on_failed();
        losses.on_commit(SyncMode::Now, 5);
        losses.on_failed();
        assert_eq!(losses.count(), 3);
        losses.on_commit(SyncMode::Later, 5);
        losses.on_commit(SyncMode::Later, 9);
        assert_eq!(losses.sync_due_unix_ms(10), Some(15), "the oldest counts");
        assert!(!losses.sync_is_due(14, 10) && losses.sync_is_due(15, 10));
        losses.on_failed();
        losses.on_failed();
        assert_eq!((losses.count(), losses.sync_due_unix_ms(10)), (4, None));
    }
}
