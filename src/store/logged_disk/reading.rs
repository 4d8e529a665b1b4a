//! Records: in the layers, from the newest on, and then in the follower.
//!
//! Deliberately absent: messages (`layered_messages`).

use super::super::disk::{
    Batch, Disk, DiskError, KeyChange, KeyRange, ScanCallback, StoreKeyspace, scan_changed,
};
use super::super::follower::LogFollower;
use super::super::layered_messages::ChannelFloor;
use super::super::message_runs::MessageRuns;
use super::super::messages::ReadOrder;
use super::{LogPort, LoggedDisk};
use crate::base::RoomId;

impl<P: LogPort, F: LogFollower, R: MessageRuns> LoggedDisk<P, F, R> {
    /// Which messages of a channel are there.
    pub(super) fn floor_of(&self, room: RoomId) -> Result<Option<ChannelFloor>, DiskError> {
        ChannelFloor::read(room, |space, key| self.record(space, key))
    }

    /// The value of a key that is no message's.
    pub(super) fn record(
        &self,
        space: StoreKeyspace,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, DiskError> {
        let frozen = self.frozen.as_ref().map(|frozen| &*frozen.changes);
        record([Some(&self.active.changes), frozen], self.follower.disk(), (space, key))
    }

    /// Records of a range one by one.
    pub(super) fn scan_records(
        &self,
        (space, range): (StoreKeyspace, &KeyRange),
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        let applied = &mut |on_entry: &mut ScanCallback<'_>| {
            self.follower.disk().scan(space, range, order, on_entry)
        };
        let mut below = |on_entry: &mut ScanCallback<'_>| match &self.frozen {
            Some(frozen) => scan_changed(&frozen.changes, (space, range), order, on_entry, applied),
            None => applied(on_entry),
        };
        scan_changed(&self.active.changes, (space, range), order, on_entry, &mut below)
    }
}

/// The value of a key that is no message's, in layers from the newest on, and then on the disk.
pub(super) fn record(
    layers: [Option<&Batch>; 2],
    disk: &impl Disk,
    (space, key): (StoreKeyspace, &[u8]),
) -> Result<Option<Vec<u8>>, DiskError> {
    for layer in layers.into_iter().flatten() {
        match layer.change_of(space, key) {
            KeyChange::Put(value) => return Ok(Some(value.to_vec())),
            KeyChange::Remove => return Ok(None),
            KeyChange::None => {}
        }
    }
    disk.get(space, key)
}
