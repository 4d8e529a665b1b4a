//! The channels of one shard: who is in them, and what they say in a turn, encoded once for
//! each kind of subscriber.
//!
//! Invariant: a buffer begins for a channel that exists. A channel may end first, when its
//! last subscriber leaves in the turn in which something was said: then nobody hears it, and
//! nobody lost it.
//!
//! Deliberately absent: connections and what waits for them (`delivery`).

mod buffer;
mod channels;

use std::sync::Arc;

pub use buffer::{FanoutBuffer, opcode, put_message};
pub use channels::{Channel, Channels, Subscriber, SubscriberClass};

use buffer::{Audience, FanoutBuffers};

use super::Gap;
use crate::base::RoomId;
use crate::room::{RoomEvent, Swap};
use crate::session::SubscriberSlot;
use crate::wire::{self, Message, Push};

/// The channels of one shard, and what they say in this turn.
#[derive(Debug, Default)]
pub struct Fanout {
    channels: Channels,
    buffers: FanoutBuffers,
}

impl Fanout {
    /// A room's home says something to all who are in its channel.
    pub fn on_news(&mut self, news: RoomEvent) {
        match news {
            RoomEvent::Published(room, publication, way) => {
                let push = Push::Publication(&publication);
                if let Some(gathering) = self.announce(room, push, Audience::All) {
                    gathering.push_way(way);
                }
            }
            RoomEvent::Joined(room, info, chan_info) => {
                let push = Push::Join { info: &info, chan_info: chan_info.as_deref() };
                self.announce(room, push, Audience::NewsOfMembers);
            }
            RoomEvent::Left(room, info, chan_info) => {
                let push = Push::Leave { info: &info, chan_info: chan_info.as_deref() };
                self.announce(room, push, Audience::NewsOfMembers);
            }
            RoomEvent::Swapped(room, swap) => {
                let Swap { came, came_chan_info, went, went_chan_info } = *swap;
                let join = Push::Join { info: &came, chan_info: came_chan_info.as_deref() };
                self.announce(room, join, Audience::NewsOfMembers);
                let leave = Push::Leave { info: &went, chan_info: went_chan_info.as_deref() };
                self.announce(room, leave, Audience::NewsOfMembers);
            }
            RoomEvent::Typing(room, info) => {
                let Some(channel) = self.channels.of(room) else { return };
                let data = wire::chat::typing(&channel.name, &info);
                self.announce(room, Push::Message { data: &data }, Audience::All);
            }
            RoomEvent::MembershipSummary(room, data) => {
                let push = Push::Message { data: &data };
                self.announce(room, push, Audience::NewsOfMembers);
            }
            RoomEvent::Notice(room, data) => {
                self.announce(room, Push::Message { data: &data }, Audience::All);
            }
            // Each is for one session, or asks for something else than to be passed on.
            RoomEvent::Reply(..) | RoomEvent::Lost(_) | RoomEvent::Replaced(_) => (),
        }
    }

    /// Adds to what a channel says in this turn, if anybody here is in it.
    fn announce(
        &mut self,
        room: RoomId,
        push: Push<'_>,
        audience: Audience,
    ) -> Option<&mut FanoutBuffer> {
        let channel = self.channels.of(room)?;
        let message = Message::Push { channel: &channel.name, push };
        let gathering = self.buffers.of(channel);
        gathering.say(&message, audience);
        Some(gathering)
    }

    /// Gives a seat in a channel.
    pub fn sit(&mut self, room: RoomId, name: Arc<str>, seat: Subscriber) -> SubscriberSlot {
        self.channels.sit(room, name, seat)
    }

    /// Frees a seat. Whose seat took its place, is returned.
    pub fn stand(&mut self, place: SubscriberSlot) -> Option<(RoomId, Subscriber)> {
        self.channels.stand(place)
    }

    /// All channels.
    pub fn channels(&self) -> &Channels {
        &self.channels
    }

    /// Who is in the channels that a gap is about, with their names: slots of connections.
    /// `is_home` knows which rooms live where the gap is.
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
            let slots = channel.seats().iter().map(|seat| seat.slot()).collect();
            Some((room, Arc::clone(&channel.name), slots))
        });
        hit.collect()
    }

    /// Takes what a channel said so far.
    pub fn take(&mut self, room: RoomId) -> Option<FanoutBuffer> {
        self.buffers.take(room)
    }

    /// Takes what all said, in the order in which they began to speak.
    pub fn take_all(&mut self) -> Vec<FanoutBuffer> {
        self.buffers.take_all()
    }

    /// Gives back what a turn in which very many spoke has left.
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

    fn sit(fanout: &mut Fanout, slot: u32, news_of_members: bool) -> SubscriberSlot {
        let kind = SubscriberClass { encoding: Encoding::Json, news_of_members };
        fanout.sit(RoomId(1), "c".into(), Subscriber::new(slot, kind))
    }

    #[test]
    fn news_go_to_those_who_want_them() {
        let mut fanout = Fanout::default();
        fanout.on_news(RoomEvent::Notice(RoomId(1), data()));
        assert!(fanout.take(RoomId(1)).is_none(), "nobody is there");
        sit(&mut fanout, 1, false);
        sit(&mut fanout, 2, true);
        fanout.on_news(RoomEvent::MembershipSummary(RoomId(1), data()));
        let [plain, _, curious, _] = fanout.take(RoomId(1)).expect("it speaks").finish();
        assert!(plain.is_empty() && !curious.is_empty());
        fanout.on_news(RoomEvent::Notice(RoomId(1), data()));
        let [plain, _, curious, _] = fanout.take(RoomId(1)).expect("it speaks").finish();
        assert!(!plain.is_empty() && plain == curious);
    }

    #[test]
    fn what_is_said_to_a_channel_that_ends_is_heard_by_nobody() {
        let mut fanout = Fanout::default();
        let place = sit(&mut fanout, 1, false);
        fanout.on_news(RoomEvent::Notice(RoomId(1), data()));
        assert_eq!(fanout.stand(place), None);
        let left: Vec<RoomId> = fanout.take_all().iter().map(FanoutBuffer::room).collect();
        assert_eq!(left, [RoomId(1)]);
        assert!(fanout.channels().of(RoomId(1)).is_none());
    }

    #[test]
    fn a_gap_names_who_may_have_missed_something() {
        let mut fanout = Fanout::default();
        sit(&mut fanout, 1, false);
        sit(&mut fanout, 2, true);
        let here = [(RoomId(1), "c".into(), vec![1, 2])];
        assert_eq!(fanout.subscribers_of(Gap::All, |_| true), here);
        assert_eq!(fanout.subscribers_of(Gap::All, |_| false), []);
        let some = Gap::Rooms(vec![RoomId(7), RoomId(1)]);
        assert_eq!(fanout.subscribers_of(some, |_| false), here);
    }
}
