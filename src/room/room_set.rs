//! The rooms of one shard, and all that they share: their rules, deadlines, requests of the
//! store, and numbers. Whoever decides something about one room visits it here.
//!
//! Invariant: a room without members, history in memory, grace and anything under way is
//! gone.
//!
//! Deliberately absent: questions and answers (`rooms`).

use std::ops::{Index, IndexMut};
use std::sync::Arc;

use super::decision::RoomUse;
use super::epochs::Epochs;
use super::room::Room;
use super::room_context::RoomContext;
use super::room_table::RoomTable;
use super::room_timers::RoomTimers;
use super::store_client::StoreClient;
use super::stream::RoomStream;
use super::{ChannelKey, HistoryPage, Options, RoomEvent, RoomOutput, RoomReply};
use crate::base::{Csprng, MonotonicMs, RoomId, SealKey, Timestamps};

/// The rooms of one shard, and all that they share.
pub(super) struct RoomSet {
    options: Arc<Options>,
    table: RoomTable,
    timers: RoomTimers,
    store: StoreClient,
    epochs: Epochs,
}

impl RoomSet {
    /// No rooms yet.
    pub fn new(
        now: Timestamps,
        options: Arc<Options>,
        ids: Csprng,
        silent_key: SealKey,
    ) -> RoomSet {
        RoomSet {
            options,
            table: RoomTable::default(),
            timers: RoomTimers::new(now),
            store: StoreClient::default(),
            epochs: Epochs::new(ids, silent_key),
        }
    }

    /// How many rooms there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// All rooms.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.table.iter()
    }

    /// The room of a slot that may be empty.
    pub fn in_slot(&self, slot: u32) -> Option<&Room> {
        self.table.at(slot)
    }

    /// One behind the highest slot.
    pub fn span(&self) -> u32 {
        self.table.span()
    }

    /// What holds for all of them.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Requests that the store has not answered.
    pub fn requests_count(&self) -> usize {
        self.store.requests_count()
    }

    /// What is asked of the store.
    pub fn store(&mut self) -> &mut StoreClient {
        &mut self.store
    }

    /// When rooms are looked at again.
    pub fn timers(&mut self) -> &mut RoomTimers {
        &mut self.timers
    }

    /// When rooms are looked at next.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        self.timers.next()
    }

    /// The slot of a room, if it is here.
    pub fn slot_of(&self, id: RoomId) -> Option<u32> {
        self.table.find(id)
    }

    /// A room, if it is here.
    pub fn find(&self, id: RoomId) -> Option<&Room> {
        self.slot_of(id).map(|slot| &self.table[slot])
    }

    /// The room in a slot, and all else that it may use; `None` for a slot without a room.
    pub fn at<'r>(
        &'r mut self,
        now: Timestamps,
        slot: u32,
        out: &'r mut RoomOutput,
    ) -> Option<(&'r mut Room, RoomContext<'r>)> {
        let RoomSet { options, table, timers, store, epochs } = self;
        let room = table.at_mut(slot)?;
        let rules = room.rules(options);
        Some((room, RoomContext { now, slot, options, rules, timers, store, epochs, out }))
    }

    /// The same, of a room that is here.
    pub fn visit<'r>(
        &'r mut self,
        now: Timestamps,
        slot: u32,
        out: &'r mut RoomOutput,
    ) -> (&'r mut Room, RoomContext<'r>) {
        self.at(now, slot, out).expect("only a room that is here is visited")
    }

    /// The slot of a room, which is made if it is not here; `None` where there is no room
    /// for one more.
    pub fn get_or_create(
        &mut self,
        now: Timestamps,
        id: RoomId,
        channel_key: &ChannelKey,
    ) -> Option<u32> {
        if let Some(slot) = self.slot_of(id) {
            return Some(slot);
        }
        if self.options.rooms_max as usize <= self.table.len() {
            return None;
        }
        let stream = RoomStream::of(self.options.rules(channel_key), self.epochs.fresh());
        Some(self.table.insert(Room::new(id, channel_key.clone(), stream, now)))
    }

    /// Drops a room that is not needed any more.
    pub fn remove(&mut self, slot: u32) {
        self.table.remove(slot);
    }

    /// Somebody left, or something is over: drops the room, if it is not needed any more.
    pub fn after_leaving(&mut self, now: Timestamps, slot: u32) {
        let RoomSet { options, table, timers, .. } = self;
        let room = &mut table[slot];
        let rules = room.rules(options);
        let (messages, members) = room.messages_and_members();
        if messages.memory_mut().leaves(members, now, rules, slot, timers) == RoomUse::Unneeded {
            table.remove(slot);
        }
    }

    /// The same, of a room that may have gone already.
    pub fn rest(&mut self, now: Timestamps, slot: u32, id: RoomId) {
        if self.slot_of(id) == Some(slot) {
            self.after_leaving(now, slot);
        }
    }

    /// A read of this room is over.
    pub fn end_read(&mut self, now: Timestamps, id: RoomId) {
        let slot = self.slot_of(id).expect("a room stays while it is read");
        self.table[slot].messages_mut().durable_mut().expect("what was read is on disk").end_read();
        self.rest(now, slot, id);
    }

    /// Whether a user may do something in a room, as far as that is known here: in a group its
    /// members alone.
    pub fn admits(&self, id: RoomId, user: &str) -> bool {
        self.find(id).is_none_or(|room| room.messages().admits(user, room.rules(&self.options)))
    }

    /// Members of a room did not hear of one that came or went.
    pub fn on_event_lost(&mut self, now: Timestamps, id: RoomId, lost: &RoomEvent) {
        if let Some(slot) = self.slot_of(id) {
            self.table[slot].join_leave().count(now, lost, slot, &mut self.timers);
        }
    }

    /// The history of a room that is not here because nothing was said in it.
    pub fn history_of_silence(
        &self,
        now: Timestamps,
        id: RoomId,
        channel_key: &ChannelKey,
        page: &HistoryPage,
    ) -> RoomReply {
        self.epochs.silence().history(now, id, page, self.options.rules(channel_key))
    }
}

impl Index<u32> for RoomSet {
    type Output = Room;

    fn index(&self, slot: u32) -> &Room {
        &self.table[slot]
    }
}

impl IndexMut<u32> for RoomSet {
    fn index_mut(&mut self, slot: u32) -> &mut Room {
        &mut self.table[slot]
    }
}
