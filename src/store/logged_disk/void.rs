//! Forgetting which channels were removed: what says so is needed as long as a run may have their
//! messages.
//!
//! Deliberately absent: what it is for (`layered_messages`).

use std::ops::ControlFlow;

use super::super::disk::{Disk as _, DiskError, KeyRange, StoreKeyspace};
use super::super::follower::LogFollower;
use super::super::key;
use super::super::message_runs::MessageRuns;
use super::super::messages::ReadOrder;
use super::{LogPort, LoggedDisk};

/// Removed channels that are looked at in a step.
const STEP_CHANNELS: usize = 256;

impl<P: LogPort, F: LogFollower, R: MessageRuns> LoggedDisk<P, F, R> {
    /// Forgets some removed channels of which no run has anything.
    pub(super) fn forget_void(&mut self) -> Result<(), DiskError> {
        let Some(behind) = self.void_behind.take() else { return Ok(()) };
        let all = key::all_void_messages();
        let first = all.first.max(key::rest(&behind).first);
        let range = KeyRange { first, last: all.last };
        let mut looked_at = 0;
        let mut needless = Vec::new();
        let mut last = Vec::new();
        self.scan(StoreKeyspace::Meta, &range, ReadOrder::OldestFirst, &mut |key, value| {
            looked_at += 1;
            last = key.to_vec();
            let removed_at = value.try_into().map_or(u64::MAX, u64::from_be_bytes);
            if !self.messages.may_have_void(removed_at) {
                needless.push(key.to_vec());
            }
            if looked_at < STEP_CHANNELS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        // It is not in the log: what is forgotten twice is as good as once.
        needless.iter().for_each(|key| self.active.changes.remove(StoreKeyspace::Meta, key));
        self.void_behind = (looked_at == STEP_CHANNELS).then_some(last);
        Ok(())
    }
}
