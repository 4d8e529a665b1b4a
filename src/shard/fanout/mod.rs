//! Fan-out: the channels of one shard with their subscribers, and the messages of a turn,
//! encoded once for each class of subscriber.
//!
//! Invariant: a buffer begins for a channel that exists. A channel may end before its buffer,
//! when its last subscriber leaves in the same turn: then the buffer is dropped, and no
//! subscriber has lost anything.
//!
//! Deliberately absent: connections and their outboxes (`delivery`).

mod buffer;
mod channels;

use std::sync::Arc;

pub use buffer::{FanoutBuffer, opcode, put_message};
pub use channels::{Channel, Channels, Subscriber, SubscriberClass};

use buffer::{FanoutBuffers, Recipients};

use super::messages::Gap;
use crate::base::RoomId;
use crate::room::{MemberReplacement, RoomEvent};
use crate::session::SubscriberSlot;
use crate::wire::{self, Message, Push};

/// The channels of one shard, and their messages of this turn.
#[derive(Debug, Default)]
pub struct Fanout {
    channels: Channels,
    buffers: FanoutBuffers,
}

impl Fanout {
    /// Takes an event of a room's home for all subscribers of its channel.
    pub fn on_room_event(&mut self, event: RoomEvent) {
        match event {
            RoomEvent::Published(room, publication, timing) => {
                let push = Push::Publication(&publication);
                if let Some(buffer) = self.append_to_channel(room, push, Recipients::All) {
                    buffer.push_timing(timing);
                }
            }
            RoomEvent::Joined(room, info, chan_info) => {
                let push = Push::Join { info: &info, chan_info: chan_info.as_deref() };
                self.append_to_channel(room, push, Recipients::JoinLeave);
            }
            RoomEvent::Left(room, info, chan_info) => {
                let push = Push::Leave { info: &info, chan_info: chan_info.as_deref() };
                self.append_to_channel(room, push, Recipients::JoinLeave);
            }
            RoomEvent::MemberReplaced(room, replacement) => {
                let MemberReplacement { joined, joined_chan_info, left, left_chan_info } =
                    *replacement;
                let join = Push::Join { info: &joined, chan_info: joined_chan_info.as_deref() };
                self.append_to_channel(room, join, Recipients::JoinLeave);
                let leave = Push::Leave { info: &left, chan_info: left_chan_info.as_deref() };
                self.append_to_channel(room, leave, Recipients::JoinLeave);
            }
            RoomEvent::Typing(room, info) => {
                let Some(channel) = self.channels.of(room) else { return };
                let data = wire::chat::typing(&channel.name, &info);
                self.append_to_channel(room, Push::Message { data: &data }, Recipients::All);
            }
            RoomEvent::MembershipSummary(room, data) => {
                let push = Push::Message { data: &data };
                self.append_to_channel(room, push, Recipients::JoinLeave);
            }
            RoomEvent::Notice(room, data) => {
                self.append_to_channel(room, Push::Message { data: &data }, Recipients::All);
            }
            // These are for one session, or are not passed on.
            RoomEvent::Reply(..) | RoomEvent::Lost(_) | RoomEvent::Replaced(_) => (),
        }
    }

    /// Appends a message to the buffer of a channel that has subscribers on this shard.
    fn append_to_channel(
        &mut self,
        room: RoomId,
        push: Push<'_>,
        recipients: Recipients,
    ) -> Option<&mut FanoutBuffer> {
        let channel = self.channels.of(room)?;
        let message = Message::Push { channel: &channel.name, push };
        let buffer = self.buffers.of(channel);
        buffer.append(&message, recipients);
        Some(buffer)
    }

    /// Adds a subscriber to a channel.
    pub fn add(&mut self, room: RoomId, name: Arc<str>, subscriber: Subscriber) -> SubscriberSlot {
        self.channels.add(room, name, subscriber)
    }

    /// Frees the seat of the connection in `slot`. Whose seat took its place, is returned.
    pub fn remove(&mut self, slot: u32, place: SubscriberSlot) -> Option<(RoomId, Subscriber)> {
        self.channels.remove(slot, place)
    }

    /// All channels.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// The channels that a gap is about: room, name, and slots of the subscribers' connections.
    /// `is_home` tells whether the home of a room is the shard that the gap came from.
    pub fn subscribers_of(
        &self,
        gap: Gap,
        is_home: impl Fn(RoomId) -> bool,
    ) -> Vec<(RoomId, Arc<str>, Vec<u32>)> {
        let rooms = match gap {
            Gap::Rooms(rooms) => rooms,
            Gap::All => {
                let all = self.channels.iter().map(|(_, one)| one.room);
                all.filter(|&room| is_home(room)).collect()
            }
        };
        let hit = rooms.into_iter().filter_map(|room| {
            let channel = self.channels.of(room)?;
            let slots = channel.subscribers().iter().map(|subscriber| subscriber.slot()).collect();
            Some((room, Arc::clone(&channel.name), slots))
        });
        hit.collect()
    }

    /// Takes the buffer of a channel.
    pub fn take(&mut self, room: RoomId) -> Option<FanoutBuffer> {
        self.buffers.take(room)
    }

    /// Takes all buffers, in the order in which they were begun.
    pub fn take_all(&mut self) -> Vec<FanoutBuffer> {
        self.buffers.take_all()
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        self.buffers.trim();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Encoding, Payload};

    fn data() -> Arc<Payload> {
        Arc::new(Payload { bytes: bytes::Bytes::from_static(b"{}"), is_json: true })
    }

    fn add(fanout: &mut Fanout, slot: u32, wants_join_leave: bool) -> SubscriberSlot {
        let class = SubscriberClass { encoding: Encoding::Json, wants_join_leave };
        fanout.add(RoomId(1), "c".into(), Subscriber::new(slot, class))
    }

    #[test]
    fn join_and_leave_go_to_those_who_want_them() {
        let mut fanout = Fanout::default();
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data()));
        assert!(fanout.take(RoomId(1)).is_none(), "nobody is there");
        add(&mut fanout, 1, false);
        add(&mut fanout, 2, true);
        fanout.on_room_event(RoomEvent::MembershipSummary(RoomId(1), data()));
        let [plain, _, curious, _] = fanout.take(RoomId(1)).expect("it speaks").finish();
        assert!(plain.is_empty() && !curious.is_empty());
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data()));
        let [plain, _, curious, _] = fanout.take(RoomId(1)).expect("it speaks").finish();
        assert!(!plain.is_empty() && plain == curious);
    }

    #[test]
    fn what_is_said_to_a_channel_that_ends_is_heard_by_nobody() {
        let mut fanout = Fanout::default();
        let place = add(&mut fanout, 1, false);
        fanout.on_room_event(RoomEvent::Notice(RoomId(1), data()));
        assert_eq!(fanout.remove(1, place), None);
        let left: Vec<RoomId> = fanout.take_all().iter().map(FanoutBuffer::room).collect();
        assert_eq!(left, [RoomId(1)]);
        assert!(fanout.channels().of(RoomId(1)).is_none());
    }

    #[test]
    fn a_gap_names_who_may_have_missed_something() {
        let mut fanout = Fanout::default();
        add(&mut fanout, 1, false);
        add(&mut fanout, 2, true);
        let here = [(RoomId(1), "c".into(), vec![1, 2])];
        assert_eq!(fanout.subscribers_of(Gap::All, |_| true), here);
        assert_eq!(fanout.subscribers_of(Gap::All, |_| false), []);
        let some = Gap::Rooms(vec![RoomId(7), RoomId(1)]);
        assert_eq!(fanout.subscribers_of(some, |_| false), here);
    }
}
