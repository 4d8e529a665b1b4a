//! How far what follows the log is behind it.
//!
//! Deliberately absent: what is done about it.

use super::super::follower::LogFollower;
use super::super::log_activity::LogBacklog;
use super::super::message_runs::MessageRuns;
use super::{LogPort, LoggedDisk};
use crate::log::LogPosition;

impl<P: LogPort, F: LogFollower, R: MessageRuns> LoggedDisk<P, F, R> {
    /// Bytes of the log that the follower does not have.
    pub(super) fn unapplied_bytes(&self) -> usize {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.log_bytes);
        self.active.log_bytes + frozen
    }

    /// How far the follower is behind.
    pub(super) fn backlog(&self) -> LogBacklog {
        let frozen = self.frozen.as_ref();
        let active_ms = (0 < self.active.log_bytes).then_some(self.active.since_ms);
        let since_ms = frozen.map(|frozen| frozen.since_ms).or(active_ms);
        let frozen_bytes = frozen.map_or(0, |frozen| frozen.changes.bytes());
        let unread = LogPosition::of_file(self.progress.applied + 1);
        let segments = self.log.as_ref().map(|log| log.segment_counts(unread));
        LogBacklog {
            unapplied_bytes: self.unapplied_bytes() as u64,
            unapplied_bytes_max: self.setup.limits.unapplied_bytes_max as u64,
            unapplied_age_ms: since_ms.map_or(0, |since| self.clock.ms().saturating_sub(since)),
            layers_bytes: (self.active.changes.bytes() + frozen_bytes) as u64,
            segments: segments.unwrap_or_default(),
            unsorted_bytes: self.messages.unsorted_log_bytes() as u64,
            unsorted_bytes_max: self.setup.limits.unsorted_bytes_max as u64,
            sorting_ms: match self.messages.is_sorting() {
                true => self.clock.ms().saturating_sub(self.progress.sorting_since_ms),
                false => 0,
            },
        }
    }
}
