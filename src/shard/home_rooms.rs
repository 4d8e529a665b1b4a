//! The rooms whose home is this shard, with their decisions and their requests to the store.
//!
//! Invariant: decisions are taken out before anything else is decided.
//!
//! Deliberately absent: sending the decisions (`mesh`), and the store.

use std::sync::Arc;

use super::options::Options;
use crate::base::limits::TURN_TIMERS_MAX;
use crate::base::{
    Csprng, MonotonicMs, RoomId, SealKey, SealPurpose, ShardId, Timestamps, trim_list,
};
use crate::room::{ReplyTo, RoomEvent, RoomOutput, RoomRequest, Rooms};
use crate::session::NameKey;
use crate::store::{StoreReply, StoreRequest};

/// The rooms of one shard.
pub struct HomeRooms {
    rooms: Rooms,
    /// Kept between questions for its capacity only.
    out: RoomOutput,
    /// Requests that wait for the store.
    requests: Vec<StoreRequest>,
}

impl HomeRooms {
    /// No rooms yet.
    pub fn new(now: Timestamps, options: &Options, names: NameKey, ids: Csprng) -> HomeRooms {
        let silent_key = SealKey::derive(names.0, SealPurpose::SilentRoom);
        let options = Arc::new(options.room.clone());
        let rooms = Rooms::new(now, options, ids, silent_key);
        HomeRooms { rooms, out: RoomOutput::default(), requests: Vec::new() }
    }

    /// The rooms.
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// Handles a request to a room.
    pub fn handle(&mut self, now: Timestamps, from: ShardId, request: RoomRequest) {
        self.rooms.handle(now, from, request, &mut self.out);
    }

    /// A connection with open requests to rooms of ours is gone.
    pub fn abandon(&mut self, now: Timestamps, from: ShardId, reply_to: ReplyTo) {
        self.rooms.abandon(now, from, reply_to, &mut self.out);
    }

    /// Handles an answer of the store.
    pub fn on_reply(&mut self, now: Timestamps, reply: StoreReply) {
        self.rooms.on_reply(now, reply, &mut self.out);
    }

    /// Handles the timers that are due.
    pub fn tick(&mut self, now: Timestamps) {
        self.rooms.tick(now, TURN_TIMERS_MAX, &mut self.out);
    }

    /// Takes the decisions.
    pub fn take_out(&mut self) -> RoomOutput {
        std::mem::take(&mut self.out)
    }

    /// Gives back the buffer of decisions, for its capacity. Requests to the store are kept.
    pub fn give_back(&mut self, mut out: RoomOutput) {
        out.take_requests(&mut self.requests);
        let is_done = out.is_empty() && self.out.is_empty();
        assert!(is_done, "decisions of rooms are passed on at once");
        self.out = out;
    }

    /// Members of a room on that shard.
    pub fn members_on(&self, room: RoomId, shard: ShardId) -> u64 {
        self.rooms.members_on(room, shard)
    }

    /// A join or leave event did not reach another shard.
    pub fn on_event_lost(&mut self, now: Timestamps, lost: &RoomEvent) {
        self.rooms.on_event_lost(now, lost);
    }

    /// Requests that wait for the store, in order.
    pub fn requests(&mut self) -> &mut Vec<StoreRequest> {
        &mut self.requests
    }

    /// The time of the next timer.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        self.rooms.next_wake()
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        trim_list(&mut self.requests);
        self.out.trim();
    }
}
