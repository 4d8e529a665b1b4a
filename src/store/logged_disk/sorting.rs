//! Sorting: when a layer of messages becomes a run, and who waits for it.
//!
//! Deliberately absent: layers and runs themselves (`layered_messages`).

use super::super::disk::{Disk as _, DiskError};
use super::super::follower::LogFollower;
use super::super::message_runs::{MessageRuns, RunsEvent};
use super::{LogPort, LoggedDisk, LoggedLimits};

impl<P: LogPort, F: LogFollower, R: MessageRuns> LoggedDisk<P, F, R> {
    /// Whether the layer of messages could be sorted.
    pub(super) fn may_sort(&self) -> bool {
        !self.messages.is_sorting()
            && !self.messages.active().is_empty()
            && self.is_durable(self.messages.active().last())
    }

    pub(super) fn sort_if_due(&mut self) {
        let LoggedLimits { layer_bytes, layer_log_bytes, .. } = self.setup.limits;
        let is_large = layer_bytes <= self.messages.active().bytes()
            || layer_log_bytes <= self.messages.active().log_bytes();
        if is_large && self.may_sort() {
            self.sort();
        }
    }

    /// Begins to sort the layer of messages that grows.
    fn sort(&mut self) {
        self.progress.sorting_since_ms = self.clock.ms();
        self.messages.sort();
    }

    /// Waits until what is not applied or not sorted has room for another commit.
    pub(super) fn wait_for_readers(&mut self) -> Result<(), DiskError> {
        self.wait_for_follower()?;
        let LoggedLimits { unsorted_bytes_max, .. } = self.setup.limits;
        while unsorted_bytes_max + unsorted_bytes_max / 4 < self.messages.unsorted_log_bytes() {
            self.works()?;
            if !self.messages.is_sorting() {
                self.sync()?;
            }
            if self.may_sort() {
                self.sort();
            }
            // One that has nothing under way sorts nothing: a store that is looked at.
            let Some(event) = self.messages.wait() else { break };
            self.on_runs(event);
        }
        self.works()
    }

    /// Waits until runs have every message.
    pub(super) fn sort_all(&mut self) -> Result<(), DiskError> {
        loop {
            if self.may_sort() {
                self.sort();
            }
            if !self.messages.is_sorting() {
                return self.works();
            }
            match self.messages.wait() {
                Some(event) => self.on_runs(event),
                None => return Err(self.fail(DiskError::Broken)),
            }
            self.works()?;
        }
    }

    /// Waits until runs have given back what they can.
    pub(super) fn reclaim_runs(&mut self) -> Result<(), DiskError> {
        self.messages.runs_mut().reclaim();
        loop {
            match self.messages.wait() {
                None | Some(RunsEvent::Reclaimed) => return self.works(),
                Some(event) => self.on_runs(event),
            }
        }
    }
}
