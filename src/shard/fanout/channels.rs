//! The subscribers of one shard by channel: which connection is in, and how it is served.
//!
//! Most channels have one subscriber on a shard, so one costs no allocation of its own.
//!
//! Deliberately absent: members on other shards, who they are, and their rights.

use std::slice;
use std::sync::Arc;

use crate::base::{RoomId, Slab, SlotIndex};
use crate::session::SubscriberSlot;
use crate::wire::Encoding;

/// The channels that connections of this shard are in.
///
/// Invariants: `index` knows exactly the channels in `channels`; a channel has
/// at least one seat; a session in a channel knows its place there.
#[derive(Debug, Default)]
pub struct Channels {
    channels: Slab<Channel>,
    index: SlotIndex,
    seats_count: usize,
}

/// One channel, seen from one shard.
#[derive(Debug)]
pub struct Channel {
    /// Which room.
    pub room: RoomId,
    /// Its name, one copy for all shards.
    pub name: Arc<str>,
    seats: Seats,
}

/// A small room has one member on most shards.
#[derive(Debug)]
enum Seats {
    One(Subscriber),
    #[expect(clippy::box_collection, reason = "a pointer, for the sake of those with one")]
    Many(Box<Vec<Subscriber>>),
}

/// One subscriber: its connection's slot and what it wants, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber(u32);

/// How a subscriber is served: one shared buffer for each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberClass {
    /// How it reads.
    pub encoding: Encoding,
    /// Whether it hears who comes and goes.
    pub news_of_members: bool,
}

impl SubscriberClass {
    /// How many kinds there are.
    pub const COUNT: usize = 4;

    /// All kinds, in the order of `index`.
    pub const ALL: [SubscriberClass; SubscriberClass::COUNT] = [
        SubscriberClass { encoding: Encoding::Json, news_of_members: false },
        SubscriberClass { encoding: Encoding::Protobuf, news_of_members: false },
        SubscriberClass { encoding: Encoding::Json, news_of_members: true },
        SubscriberClass { encoding: Encoding::Protobuf, news_of_members: true },
    ];

    /// Dense.
    pub fn index(self) -> usize {
        self.encoding.index() + 2 * usize::from(self.news_of_members)
    }
}

const SLOT_BITS: u32 = 30;

impl Subscriber {
    /// A seat of the connection in `slot`.
    pub fn new(slot: u32, kind: SubscriberClass) -> Subscriber {
        assert!(slot < 1 << SLOT_BITS, "a shard has fewer than 2^30 connections");
        Subscriber(slot | (kind.index() as u32) << SLOT_BITS)
    }

    /// Whose it is.
    pub fn slot(self) -> u32 {
        self.0 & ((1 << SLOT_BITS) - 1)
    }

    /// How to serve it.
    pub fn kind_index(self) -> usize {
        (self.0 >> SLOT_BITS) as usize
    }
}

impl Channels {
    /// Seats in all channels.
    pub fn seats_count(&self) -> usize {
        self.seats_count
    }

    /// The channel of a room.
    pub fn of(&self, room: RoomId) -> Option<&Channel> {
        self.at(self.find(room)?)
    }

    fn find(&self, room: RoomId) -> Option<u32> {
        self.index.find(room.fold(), |slot| self.channels[slot].room == room)
    }

    /// One channel.
    pub fn at(&self, channel: u32) -> Option<&Channel> {
        self.channels.at(channel)
    }

    /// All channels.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Channel)> {
        self.channels.iter()
    }

    /// Gives a seat. The channel comes into being with its first.
    pub fn sit(&mut self, room: RoomId, name: Arc<str>, seat: Subscriber) -> SubscriberSlot {
        self.seats_count += 1;
        if let Some(channel) = self.find(room) {
            let index = self.channels[channel].seats.push(seat);
            return SubscriberSlot { channel, index };
        }
        let channel = self.channels.insert(Channel { room, name, seats: Seats::One(seat) });
        let channels = &self.channels;
        self.index.insert(channel, |slot| channels[slot].room.fold());
        SubscriberSlot { channel, index: 0 }
    }

    /// Frees a seat. The last one in the row takes its place: whose that is, is
    /// returned. The channel ends with its last seat.
    pub fn stand(&mut self, place: SubscriberSlot) -> Option<(RoomId, Subscriber)> {
        self.seats_count -= 1;
        let channel = &mut self.channels[place.channel];
        let room = channel.room;
        if channel.seats.all().len() == 1 {
            let channels = &self.channels;
            self.index.remove(place.channel, |slot| channels[slot].room.fold());
            self.channels.remove(place.channel);
            return None;
        }
        channel.seats.swap_remove(place.index as usize);
        channel.seats().get(place.index as usize).map(|&seat| (room, seat))
    }
}

impl Seats {
    fn all(&self) -> &[Subscriber] {
        match self {
            Seats::One(seat) => slice::from_ref(seat),
            Seats::Many(many) => many,
        }
    }

    /// Returns the index of the new one.
    fn push(&mut self, seat: Subscriber) -> u32 {
        match self {
            Seats::One(other) => *self = Seats::Many(Box::new(vec![*other, seat])),
            Seats::Many(many) => many.push(seat),
        }
        (self.all().len() - 1) as u32
    }

    /// Frees one of several.
    fn swap_remove(&mut self, index: usize) {
        let Seats::Many(many) = self else { panic!("the last one leaves with its channel") };
        many.swap_remove(index);
        if let [one] = many[..] {
            *self = Seats::One(one);
        } else if many.len() * 4 <= many.capacity() {
            many.shrink_to_fit();
        }
    }
}

impl Channel {
    /// Who is in.
    pub fn seats(&self) -> &[Subscriber] {
        self.seats.all()
    }

    /// Which kinds of subscribers there are.
    pub fn kinds(&self) -> [bool; SubscriberClass::COUNT] {
        let mut kinds = [false; SubscriberClass::COUNT];
        for seat in self.seats() {
            kinds[seat.kind_index()] = true;
        }
        kinds
    }
}

/// In a full room of ten on sixty shards nearly every member has its channel.
const _: () = assert!(size_of::<Option<Channel>>() <= 48);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    /// A list of (room, slot) beside the channels; places follow the moves.
    #[test]
    fn everyone_knows_its_place() {
        let mut prng = Prng::from_seed(3);
        let mut channels = Channels::default();
        let mut model: Vec<(RoomId, u32, SubscriberSlot)> = Vec::new();
        for slot in 0..2_000 {
            if prng.percent(55) || model.is_empty() {
                let room = RoomId(u128::from(prng.below(20)));
                let kind = SubscriberClass::ALL[prng.below(4) as usize];
                let seat = Subscriber::new(slot, kind);
                assert_eq!((seat.slot(), seat.kind_index()), (slot, kind.index()));
                model.push((room, slot, channels.sit(room, "c".into(), seat)));
            } else {
                let left = model.swap_remove(prng.below(model.len() as u64) as usize);
                if let Some((room, seat)) = channels.stand(left.2) {
                    let moved = model.iter_mut().find(|m| m.0 == room && m.1 == seat.slot());
                    moved.unwrap().2 = left.2;
                }
            }
            for &(room, slot, place) in &model {
                let channel = channels.at(place.channel).unwrap();
                assert_eq!(channel.room, room);
                assert_eq!(channel.seats()[place.index as usize].slot(), slot);
            }
            assert_eq!(channels.seats_count(), model.len());
        }
        let rooms: std::collections::BTreeSet<_> = model.iter().map(|m| m.0).collect();
        assert_eq!(channels.iter().count(), rooms.len());
    }
}
