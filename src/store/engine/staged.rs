//! A disk with the batch of a turn: reads see both, until the batch is committed or dropped.
//!
//! Deliberately absent: the meaning of keys and values, and the time of a commit.

use crate::base::RoomId;

use super::super::disk::{
    Batch, BatchOverlay, Disk, DiskError, KeyRange, ScanCallback, StoreKeyspace, SyncMode,
};
use super::super::key;
use super::super::messages::ReadOrder;

/// A disk with a batch.
#[derive(Debug)]
pub(super) struct StagedDisk<D> {
    disk: D,
    batch: Batch,
}

/// A planned write.
pub(super) struct StagedWrite {
    /// The keyspace.
    pub space: StoreKeyspace,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// The result of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// There was nothing to write.
    Nothing,
    /// A batch was committed.
    Batch,
}

impl<D: Disk> StagedDisk<D> {
    /// An empty batch.
    pub fn new(disk: D) -> StagedDisk<D> {
        StagedDisk { disk, batch: Batch::default() }
    }

    /// The disk without the batch.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    /// The same, to change.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// The disk; the batch is dropped.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The value of a key, with the batch applied.
    pub fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        BatchOverlay::new(&self.disk, &self.batch).get(space, key)
    }

    /// Scans a range, with the batch applied, until `on_entry` has enough.
    pub fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        BatchOverlay::new(&self.disk, &self.batch).scan(space, range, order, on_entry)
    }

    /// Adds a write to the batch.
    pub fn put(&mut self, space: StoreKeyspace, key: &[u8], value: Vec<u8>) {
        self.batch.put(space, key, value);
    }

    /// Adds prepared writes to the batch.
    pub fn put_all(&mut self, puts: impl IntoIterator<Item = StagedWrite>) {
        for StagedWrite { space, key, value } in puts {
            self.batch.put(space, &key, value);
        }
    }

    /// Adds a removal to the batch.
    pub fn remove(&mut self, space: StoreKeyspace, key: &[u8]) {
        self.batch.remove(space, key);
    }

    /// Bytes of the batch.
    pub fn staged_bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Rooms of the messages in the batch, and of channels that have less from then on.
    pub fn staged_rooms(&self) -> impl Iterator<Item = RoomId> {
        self.batch.iter().filter_map(|(space, key, _)| match space {
            StoreKeyspace::Messages => Some(key::message_of(key)?.0),
            StoreKeyspace::Channels => key::room_of(key),
            StoreKeyspace::Meta
            | StoreKeyspace::Markers
            | StoreKeyspace::Conversations
            | StoreKeyspace::Pending
            | StoreKeyspace::Dead
            | StoreKeyspace::Ids
            | StoreKeyspace::ReactionTotals
            | StoreKeyspace::Reactions
            | StoreKeyspace::GroupMembers
            | StoreKeyspace::UserGroups => None,
        })
    }

    /// Commits the batch. After a failure it is still there.
    pub fn commit(&mut self, durable: SyncMode) -> Result<Committed, DiskError> {
        if self.batch.is_empty() {
            return Ok(Committed::Nothing);
        }
        self.disk.commit(&mut self.batch, durable)?;
        self.batch.clear();
        Ok(Committed::Batch)
    }

    /// Drops the batch.
    pub fn discard(&mut self) {
        self.batch.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DiskFaultProfile, SimulatedDisk};

    #[test]
    fn a_batch_that_is_discarded_leaves_nothing() {
        let mut staged = StagedDisk::new(SimulatedDisk::new(1, DiskFaultProfile::CALM));
        staged.put(StoreKeyspace::Meta, b"a", vec![1]);
        assert_eq!(
            staged.get(StoreKeyspace::Meta, b"a"),
            Ok(Some(vec![1])),
            "what is planned is seen"
        );
        staged.discard();
        assert_eq!(staged.get(StoreKeyspace::Meta, b"a"), Ok(None));
        assert_eq!(staged.commit(SyncMode::Now), Ok(Committed::Nothing));
        staged.put(StoreKeyspace::Meta, b"a", vec![2]);
        assert_eq!(staged.commit(SyncMode::Now), Ok(Committed::Batch));
        assert_eq!(
            (staged.get(StoreKeyspace::Meta, b"a"), staged.staged_bytes()),
            (Ok(Some(vec![2])), 0)
        );
    }
}
