//! The state of channels, with the batch of the turn applied: their records, the heads of recently
//! used ones, acknowledgements, and ids.
//!
//! Invariant: the caches agree with the disk and the batch; when the batch is dropped, so are they.
//!
//! Deliberately absent: writes and reads (`writes`, `reads`), and retention (`upkeep`).

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::wire::Publication;

use super::super::disk::{Disk, DiskError, StoreKeyspace, SyncMode};
use super::super::key;
use super::super::messages::{KnownId, ReadMarkers, ReadOrder, StoreError};
use super::super::options::Retention;
use super::super::record::{self, ChannelRecord};
use super::budget::Budget;
use super::heads::{self, ChannelHead, EpochState, Heads};
use super::ids::{IdCursor, KnownIds};
use super::losses::LossCount;
use super::staged::{Committed, StagedDisk};
use super::{EngineSetup, StoreCounts};

/// Most pairs of inbox and room in the cache of acknowledgements.
const ACKNOWLEDGED_MAX: usize = 16_384;

/// All channels of a store.
#[derive(Debug)]
pub(super) struct ChannelStore<D> {
    staged: StagedDisk<D>,
    setup: EngineSetup,
    heads: Heads,
    /// By inbox and room: nothing below this offset is pending. It saves scans over old
    /// acknowledgements.
    acknowledged: BTreeMap<(RoomId, RoomId), u64>,
    losses: LossCount,
    ids: KnownIds,
}

impl<D: Disk> ChannelStore<D> {
    /// The channels on a disk with this number of losses.
    pub fn new(disk: D, setup: EngineSetup, losses_count: u32) -> ChannelStore<D> {
        ChannelStore {
            ids: KnownIds::of(&disk),
            staged: StagedDisk::new(disk),
            setup,
            heads: Heads::default(),
            acknowledged: BTreeMap::new(),
            losses: LossCount::new(losses_count),
        }
    }

    /// The settings of the engine.
    pub fn setup(&self) -> &EngineSetup {
        &self.setup
    }

    /// The disk with the batch.
    pub fn staged(&self) -> &StagedDisk<D> {
        &self.staged
    }

    /// The same, mutable.
    pub fn staged_mut(&mut self) -> &mut StagedDisk<D> {
        &mut self.staged
    }

    /// The disk, for the next start of the store.
    pub fn into_disk(self) -> D {
        self.staged.into_disk()
    }

    /// How often unsynced writes may have been lost.
    pub fn losses_count(&self) -> u32 {
        self.losses.count()
    }

    /// The rules of a namespace.
    pub fn rules(&self, namespace: u16) -> Retention {
        self.setup.rules(namespace)
    }

    /// The sync mode of writes in a namespace.
    pub fn durable(&self, namespace: u16) -> SyncMode {
        self.setup.durable(namespace)
    }

    /// The time of the next sync that is due without a request.
    pub fn sync_due_unix_ms(&self) -> Option<u64> {
        self.losses.sync_due_unix_ms(self.setup.options.interval_ms)
    }

    /// Commits the batch, and syncs when that is due.
    pub fn commit(
        &mut self,
        durable: SyncMode,
        now_unix_ms: u64,
        counts: &mut StoreCounts,
    ) -> Result<(), DiskError> {
        match self.staged.commit(durable)? {
            Committed::Nothing => (),
            Committed::Batch => {
                counts.commits += 1;
                counts.syncs += u64::from(durable == SyncMode::Now);
                self.losses.on_commit(durable, now_unix_ms);
            }
        }
        if self.losses.sync_is_due(now_unix_ms, self.setup.options.interval_ms) {
            self.staged.disk_mut().sync()?;
            counts.syncs += 1;
            self.losses.on_synced();
        }
        Ok(())
    }

    /// The disk has failed: drops the batch and all caches. Returns the rooms that may have one
    /// message more, which shows when the disk is read again.
    pub fn discard(&mut self) -> Vec<RoomId> {
        let rooms = self.staged.staged_rooms().collect();
        self.staged.discard();
        self.forget();
        self.losses.on_failed();
        rooms
    }

    /// Drops all caches.
    pub fn forget(&mut self) {
        self.heads.clear();
        self.acknowledged.clear();
    }

    /// The head of a channel; `None` when it never had a message.
    pub fn head(&mut self, room: RoomId) -> Result<Option<ChannelHead>, StoreError> {
        if let Some(head) = self.heads.find(room) {
            return Ok(Some(head));
        }
        let Some(record) = self.record(room)? else { return Ok(None) };
        let is_removed = record.removed.is_some_and(|removed| record.first <= removed.last);
        if record.head.saturating_add(1) < record.first
            || record.total_bytes < record.below_bytes
            || is_removed
        {
            return Err(StoreError::Damaged);
        }
        let namespace = (self.setup.namespace_of)(&record.channel);
        let is_sure = self.durable(namespace) == SyncMode::Now;
        let losses_count = self.losses_count();
        // Subscribers before the first message may have seen others than there are now.
        let (epoch, created_unix_ms, epoch_state) =
            match is_sure || record.losses_count == losses_count {
                true => (record.epoch, record.created_unix_ms, EpochState::Written),
                false => (heads::new_epoch(record.epoch, losses_count), 0, EpochState::Replaced),
            };
        let mut head =
            ChannelHead::of_record(&record, namespace, epoch, created_unix_ms, epoch_state);
        let range = key::messages(room, record.first, u64::MAX);
        let mut newest = None;
        self.staged.scan(
            StoreKeyspace::Messages,
            &range,
            ReadOrder::NewestFirst,
            &mut |key, value| {
                let offset = key::message_of(key).map(|(_, offset)| offset);
                newest = Some((offset, record::take_accounting(value)));
                ControlFlow::Break(())
            },
        )?;
        if let Some((offset, accounting)) = newest {
            let offset = offset.ok_or(StoreError::Damaged)?;
            if head.offset() <= offset {
                head.move_to(offset, accounting?);
            }
        }
        self.heads.set(room, head);
        Ok(Some(head))
    }

    /// Whether a message was removed by order, wherever its body is.
    pub fn is_removed(&mut self, room: RoomId, offset: u64) -> bool {
        matches!(self.head(room), Ok(Some(head)) if offset <= head.removed_last())
    }

    /// Sets the head of a channel.
    pub fn set_head(&mut self, room: RoomId, head: ChannelHead) {
        head.assert_in_order();
        self.heads.set(room, head);
    }

    /// A channel's record.
    pub fn record(&self, room: RoomId) -> Result<Option<ChannelRecord>, StoreError> {
        let value = self.staged.get(StoreKeyspace::Channels, &key::channel(room))?;
        Ok(value.map(|value| ChannelRecord::take(&value)).transpose()?)
    }

    /// Writes a channel's record.
    pub fn put_record(&mut self, room: RoomId, head: &ChannelHead, tenant: &str, channel: &str) {
        let record = ChannelRecord {
            epoch: head.epoch(),
            created_unix_ms: head.created_unix_ms(),
            losses_count: self.losses_count(),
            first: head.first(),
            below_bytes: head.below_bytes(),
            head: head.offset(),
            total_bytes: head.total_bytes(),
            last_unix_ms: head.last_unix_ms(),
            removed: head.removed(),
            parties: head.parties(),
            tenant: tenant.into(),
            channel: channel.into(),
        };
        self.staged.put(StoreKeyspace::Channels, &key::channel(room), record.put());
    }

    /// Removes a channel's record, with its entries in the conversations of its two users.
    pub fn remove_record(&mut self, room: RoomId, head: &ChannelHead, channel: &str) {
        for inbox in head.parties().into_iter().flatten() {
            self.staged.remove(StoreKeyspace::Conversations, &key::named(inbox, channel));
            // Offsets start again.
            self.acknowledged.remove(&(inbox, room));
        }
        self.staged.remove(StoreKeyspace::Channels, &key::channel(room));
        self.heads.remove(room);
    }

    /// The read markers of a user in a room.
    pub fn markers_at(&self, key: &[u8]) -> Result<Option<ReadMarkers>, StoreError> {
        let value = self.staged.get(StoreKeyspace::Markers, key)?;
        Ok(value.map(|value| record::take_markers(&value)).transpose()?)
    }

    /// The offset below which nothing of a room is pending in an inbox, if it is cached.
    pub fn acknowledged(&self, inbox: RoomId, room: RoomId) -> u64 {
        self.acknowledged.get(&(inbox, room)).copied().unwrap_or(0)
    }

    /// Notes that nothing is pending there up to an offset.
    pub fn acknowledge(&mut self, inbox: RoomId, room: RoomId, offset: u64) {
        if ACKNOWLEDGED_MAX <= self.acknowledged.len() {
            self.acknowledged.clear();
        }
        let next = self.acknowledged.entry((inbox, room)).or_default();
        *next = offset.saturating_add(1).max(*next);
    }

    /// Notes that a message is pending there again.
    pub fn waits_again(&mut self, inbox: RoomId, room: RoomId, offset: u64) {
        if let Some(next) = self.acknowledged.get_mut(&(inbox, room)) {
            *next = (*next).min(offset);
        }
    }

    /// Stores the id of a message.
    pub fn put_id(&mut self, room: RoomId, publication: &Publication) {
        self.ids.put(&mut self.staged, room, publication);
    }

    /// Ids of a room after a cursor, as many of one period as fit into a slice. Returns the cursor
    /// for more.
    pub fn known_ids(
        &self,
        room: RoomId,
        from: IdCursor,
        budget: &mut Budget,
        on_id: &mut dyn FnMut(KnownId),
    ) -> Result<Option<IdCursor>, StoreError> {
        self.ids.known(&self.staged, room, from, budget, on_id)
    }

    /// Whether an id of a room has not expired, or there are more ids than fit into a slice.
    pub fn knows_ids(&self, room: RoomId, now_unix_ms: u64) -> Result<bool, StoreError> {
        self.ids.knows(&self.staged, room, now_unix_ms)
    }
}
