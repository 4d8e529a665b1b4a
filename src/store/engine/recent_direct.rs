//! Direct messages that were stored a moment ago: the presence feed may not have told of them yet.
//!
//! Their places are written in the batch that stores them, and go when they were kept for as long as
//! telling may take. So a start knows which messages a kill may have left untold.
//!
//! Invariant: while a place is kept, it is on the disk exactly when its message is; and whatever is
//! on the disk is known here, so that it goes.
//!
//! Deliberately absent: who is told, and whether somebody was (`presence_feed`).

use std::collections::VecDeque;
use std::mem;
use std::ops::ControlFlow;

use super::channels::ChannelStore;
use super::staged::StagedDisk;
use crate::base::RoomId;
use crate::base::limits::{RECENT_BATCHES_MAX, RECENT_FOUND_MAX};
use crate::store::disk::{Disk, DiskError, StoreKeyspace};
use crate::store::key;
use crate::store::messages::{ReadOrder, StoredDirect};
use crate::store::options::TellingTime;

/// The places of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KeptBatch {
    number: u64,
    /// `None` until a turn says what time it is: it was found at the start.
    until_unix_ms: Option<u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RecentDirect {
    /// How long telling may take; `None` where nobody is told.
    telling: Option<TellingTime>,
    next_number: u64,
    /// Keys of what waits, of this turn.
    places: Vec<u8>,
    /// Oldest first.
    kept: VecDeque<KeptBatch>,
    /// Those that this turn removes.
    removed: Vec<KeptBatch>,
    /// What was found at the start: inbox, room and offset.
    found: Vec<(RoomId, RoomId, u64)>,
}

impl RecentDirect {
    /// Reads what the life before has left.
    pub fn open<D: Disk>(
        disk: &D,
        telling: Option<TellingTime>,
    ) -> Result<RecentDirect, DiskError> {
        let mut recent = RecentDirect { telling, ..RecentDirect::default() };
        let range = key::all_recent_direct();
        disk.scan(StoreKeyspace::Meta, &range, ReadOrder::OldestFirst, &mut |key, value| {
            if let Some(number) = key::recent_direct_from(key) {
                recent.next_number = number + 1;
                recent.kept.push_back(KeptBatch { number, until_unix_ms: None });
                let room = RECENT_FOUND_MAX.saturating_sub(recent.found.len());
                let places = value.chunks(key::PENDING_BYTES).filter_map(key::pending_from);
                recent.found.extend(places.take(room));
            }
            ControlFlow::Continue(())
        })?;
        Ok(recent)
    }

    /// A direct message is in the turn's batch.
    pub fn on_stored(&mut self, inbox: RoomId, room: RoomId, offset: u64) {
        if self.telling.is_some() {
            self.places.extend_from_slice(&key::pending(inbox, room, offset));
        }
    }

    /// Adds to the turn's batch what it has stored, and removes what was kept long enough.
    pub fn write<D: Disk>(&mut self, now_unix_ms: u64, staged: &mut StagedDisk<D>) {
        self.removed.clear();
        let after_start = self.telling.map_or(0, |telling| telling.after_start_ms);
        for batch in self.kept.iter_mut().take_while(|batch| batch.until_unix_ms.is_none()) {
            batch.until_unix_ms = Some(now_unix_ms.saturating_add(after_start));
        }
        while let Some(first) = self.kept.front()
            && (RECENT_BATCHES_MAX <= self.kept.len()
                || first.until_unix_ms.is_some_and(|until| until <= now_unix_ms))
        {
            staged.remove(StoreKeyspace::Meta, &key::recent_direct(first.number));
            self.removed.extend(self.kept.pop_front());
        }
        if let (false, Some(telling)) = (self.places.is_empty(), self.telling) {
            let (number, places) = (self.next_number, mem::take(&mut self.places));
            staged.put(StoreKeyspace::Meta, &key::recent_direct(number), places);
            self.next_number += 1;
            let until_unix_ms = Some(now_unix_ms.saturating_add(telling.ms));
            self.kept.push_back(KeptBatch { number, until_unix_ms });
        }
    }

    /// The turn's batch is not on the disk, or nobody knows: it is removed in its time as if it were.
    pub fn on_failed(&mut self) {
        self.places.clear();
        self.removed.drain(..).rev().for_each(|batch| self.kept.push_front(batch));
    }

    /// When some of it was kept long enough.
    pub fn next_step_unix_ms(&self) -> Option<u64> {
        self.kept.front().map(|batch| batch.until_unix_ms.unwrap_or(0))
    }

    /// Of what a start has found: what waits still, with its conversation.
    pub fn take_found<D: Disk>(&mut self, channels: &mut ChannelStore<D>) -> Vec<StoredDirect> {
        let found = mem::take(&mut self.found).into_iter();
        let waits = found.filter_map(|(inbox, room, offset)| {
            let pending = key::pending(inbox, room, offset);
            let is_there = channels.staged().get(StoreKeyspace::Pending, &pending).ok()?.is_some();
            let is_there = is_there && !channels.is_removed(room, offset);
            let record = is_there.then(|| channels.record(room)).transpose().ok()??;
            record.map(|record| StoredDirect {
                inbox,
                tenant: record.tenant,
                channel: record.channel,
                offset,
            })
        });
        waits.collect()
    }
}
