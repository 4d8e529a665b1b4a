//! A disk, and the batch that a turn plans: what is read sees both, until the batch is on the
//! disk or forgotten.
//!
//! Deliberately absent: what keys and values mean, and when a batch is committed.

use crate::base::RoomId;

use super::super::disk::{
    Batch, BatchOverlay, Disk, DiskError, KeyRange, ScanCallback, StoreKeyspace, SyncMode,
};
use super::super::key;
use super::super::messages::ReadOrder;

/// A disk, and what is to be written there.
#[derive(Debug)]
pub(super) struct StagedDisk<D> {
    disk: D,
    batch: Batch,
}

/// A write that is planned: where, key, value.
pub(super) struct StagedWrite {
    /// The keyspace.
    pub space: StoreKeyspace,
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: Vec<u8>,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// There was nothing to write.
    Nothing,
    /// The batch is on the disk.
    Batch,
}

impl<D: Disk> StagedDisk<D> {
    /// Nothing is planned.
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

    /// The disk; what is planned is forgotten.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// The value of a key, as it will be.
    pub fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        BatchOverlay::new(&self.disk, &self.batch).get(space, key)
    }

    /// Entries of a range one by one, as they will be, until `on_entry` has enough.
    pub fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        BatchOverlay::new(&self.disk, &self.batch).scan(space, range, order, on_entry)
    }

    /// Plans to set a key's value.
    pub fn put(&mut self, space: StoreKeyspace, key: &[u8], value: Vec<u8>) {
        self.batch.put(space, key, value);
    }

    /// The same, as it was prepared.
    pub fn put_all(&mut self, puts: impl IntoIterator<Item = StagedWrite>) {
        for StagedWrite { space, key, value } in puts {
            self.batch.put(space, &key, value);
        }
    }

    /// Plans to remove a key.
    pub fn remove(&mut self, space: StoreKeyspace, key: &[u8]) {
        self.batch.remove(space, key);
    }

    /// Bytes of what is planned.
    pub fn staged_bytes(&self) -> usize {
        self.batch.bytes()
    }

    /// Rooms of messages that are planned.
    pub fn staged_rooms(&self) -> impl Iterator<Item = RoomId> {
        let messages = self.batch.iter().filter(|(space, ..)| *space == StoreKeyspace::Messages);
        messages.filter_map(|(_, key, _)| Some(key::message_of(key)?.0))
    }

    /// Writes what is planned. After a failure it is still planned.
    pub fn commit(&mut self, durable: SyncMode) -> Result<Committed, DiskError> {
        if self.batch.is_empty() {
            return Ok(Committed::Nothing);
        }
        self.disk.commit(&self.batch, durable)?;
        self.batch.clear();
        Ok(Committed::Batch)
    }

    /// Forgets what is planned.
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
