//! The subscribers of one shard by channel: each with its connection and its class.
//!
//! Most channels have one subscriber on a shard, so one costs no allocation of its own.
//!
//! Deliberately absent: members on other shards, their identity, and their rights.

use std::slice;
use std::sync::Arc;

use crate::base::{RoomId, Slab, SlotIndex};
use crate::session::{SubscriberSlot, SubscriberWants};
use crate::wire::Encoding;

/// The channels that connections of this shard are in.
///
/// Invariants: `index` knows exactly the channels in `channels`; a channel has
/// at least one subscriber; a session in a channel knows its slot there.
#[derive(Debug, Default)]
pub struct Channels {
    channels: Slab<Channel>,
    index: SlotIndex,
    subscribers_count: usize,
}

/// One channel with its subscribers on this shard.
#[derive(Debug)]
pub struct Channel {
    /// The room.
    pub room: RoomId,
    /// Its name, one copy for all shards.
    pub name: Arc<str>,
    subscribers: Subscribers,
}

/// The subscribers of a channel; a small room has one on most shards.
#[derive(Debug)]
enum Subscribers {
    One(Subscriber),
    #[expect(clippy::box_collection, reason = "a pointer, for the sake of those with one")]
    Many(Box<Vec<Subscriber>>),
}

/// One subscriber: the slot of its connection and its class, in four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscriber(u32);

/// How a subscriber is served: there is one shared buffer for each class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriberClass {
    /// Its encoding.
    pub encoding: Encoding,
    /// Whether it gets join and leave messages.
    pub wants_join_leave: bool,
    /// Whether it gets publications as differences to the one before.
    pub takes_deltas: bool,
    /// Whether pushes call the channel by a number.
    pub compacts_channel: bool,
}

impl SubscriberClass {
    /// The number of classes.
    pub const COUNT: usize = 16;

    /// All classes, in the order of `index`.
    pub const ALL: [SubscriberClass; SubscriberClass::COUNT] = {
        let mut all = [SubscriberClass::PLAIN_JSON; SubscriberClass::COUNT];
        let mut index = 0;
        while index < all.len() {
            all[index] = SubscriberClass {
                encoding: if index & 1 == 0 { Encoding::Json } else { Encoding::Protobuf },
                wants_join_leave: index & 2 != 0,
                takes_deltas: index & 4 != 0,
                compacts_channel: index & 8 != 0,
            };
            index += 1;
        }
        all
    };

    const PLAIN_JSON: SubscriberClass = SubscriberClass {
        encoding: Encoding::Json,
        wants_join_leave: false,
        takes_deltas: false,
        compacts_channel: false,
    };

    /// Of a connection with this encoding.
    pub fn of(encoding: Encoding, wants: &SubscriberWants) -> SubscriberClass {
        let SubscriberWants { join_leave, deltas, compact, filter: _ } = wants;
        SubscriberClass {
            encoding,
            wants_join_leave: *join_leave,
            takes_deltas: *deltas,
            compacts_channel: *compact,
        }
    }

    /// A dense index.
    pub fn index(self) -> usize {
        self.encoding.index()
            + 2 * usize::from(self.wants_join_leave)
            + 4 * usize::from(self.takes_deltas)
            + 8 * usize::from(self.compacts_channel)
    }
}

const SLOT_BITS: u32 = 27;
/// Of a subscriber with a filter, above its class.
const FILTERED_BIT: u32 = 1 << 31;

impl Subscriber {
    /// A subscriber for the connection in `slot`.
    pub fn new(slot: u32, class: SubscriberClass) -> Subscriber {
        assert!(slot < 1 << SLOT_BITS, "a shard has fewer than 2^27 connections");
        Subscriber(slot | (class.index() as u32) << SLOT_BITS)
    }

    /// The same, for one that has frames of its own.
    pub fn filtered(slot: u32, class: SubscriberClass) -> Subscriber {
        Subscriber(Subscriber::new(slot, class).0 | FILTERED_BIT)
    }

    /// The slot of its connection.
    pub fn slot(self) -> u32 {
        self.0 & ((1 << SLOT_BITS) - 1)
    }

    /// The index of its class; of one with a filter, an index beyond all classes.
    pub fn class_index(self) -> usize {
        (self.0 >> SLOT_BITS) as usize
    }
}

impl Channels {
    /// Subscribers in all channels.
    pub fn subscribers_count(&self) -> usize {
        self.subscribers_count
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

    /// Adds a subscriber. The channel begins with its first.
    pub fn add(&mut self, room: RoomId, name: Arc<str>, subscriber: Subscriber) -> SubscriberSlot {
        self.subscribers_count += 1;
        if let Some(channel) = self.find(room) {
            let index = self.channels[channel].subscribers.push(subscriber);
            return SubscriberSlot { channel, index };
        }
        let channel =
            self.channels.insert(Channel { room, name, subscribers: Subscribers::One(subscriber) });
        let channels = &self.channels;
        self.index.insert(channel, |slot| channels[slot].room.fold());
        SubscriberSlot { channel, index: 0 }
    }

    /// Frees the seat of the connection in `slot`. The last one in the row takes its place:
    /// whose that is, is returned. The channel ends with its last seat.
    pub fn remove(&mut self, slot: u32, place: SubscriberSlot) -> Option<(RoomId, Subscriber)> {
        self.subscribers_count -= 1;
        let channel = &mut self.channels[place.channel];
        let subscriber = channel.subscribers().get(place.index as usize);
        assert_eq!(
            subscriber.map(|subscriber| subscriber.slot()),
            Some(slot),
            "sessions and channels agree"
        );
        let room = channel.room;
        if channel.subscribers.all().len() == 1 {
            let channels = &self.channels;
            self.index.remove(place.channel, |slot| channels[slot].room.fold());
            self.channels.remove(place.channel);
            return None;
        }
        channel.subscribers.swap_remove(place.index as usize);
        channel.subscribers().get(place.index as usize).map(|&subscriber| (room, subscriber))
    }
}

impl Subscribers {
    fn all(&self) -> &[Subscriber] {
        match self {
            Subscribers::One(subscriber) => slice::from_ref(subscriber),
            Subscribers::Many(many) => many,
        }
    }

    /// Returns the index of the new one.
    fn push(&mut self, subscriber: Subscriber) -> u32 {
        match self {
            Subscribers::One(other) => {
                *self = Subscribers::Many(Box::new(vec![*other, subscriber]))
            }
            Subscribers::Many(many) => many.push(subscriber),
        }
        (self.all().len() - 1) as u32
    }

    /// Removes one of several.
    fn swap_remove(&mut self, index: usize) {
        let Subscribers::Many(many) = self else { panic!("the last one leaves with its channel") };
        many.swap_remove(index);
        if let [one] = many[..] {
            *self = Subscribers::One(one);
        } else if many.len() * 4 <= many.capacity() {
            many.shrink_to_fit();
        }
    }
}

impl Channel {
    /// All subscribers.
    pub fn subscribers(&self) -> &[Subscriber] {
        self.subscribers.all()
    }

    /// Whether there are subscribers of each class, and then of each with a filter.
    pub fn classes(&self) -> [bool; 2 * SubscriberClass::COUNT] {
        let mut classes = [false; 2 * SubscriberClass::COUNT];
        for subscriber in self.subscribers() {
            classes[subscriber.class_index()] = true;
        }
        classes
    }
}

/// In a full room of ten on sixty shards nearly every member has its channel.
const _: () = assert!(size_of::<Option<Channel>>() <= 48);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    /// Compares with a list of (room, slot); slots follow the moves.
    #[test]
    fn everyone_knows_its_slot() {
        let mut prng = Prng::from_seed(3);
        let mut channels = Channels::default();
        let mut model: Vec<(RoomId, u32, SubscriberSlot)> = Vec::new();
        for slot in 0..2_000 {
            if prng.percent(55) || model.is_empty() {
                let room = RoomId(u128::from(prng.below(20)));
                let class = SubscriberClass::ALL[prng.below(4) as usize];
                let subscriber = Subscriber::new(slot, class);
                assert_eq!((subscriber.slot(), subscriber.class_index()), (slot, class.index()));
                model.push((room, slot, channels.add(room, "c".into(), subscriber)));
            } else {
                let left = model.swap_remove(prng.below(model.len() as u64) as usize);
                if let Some((room, subscriber)) = channels.remove(left.1, left.2) {
                    let moved = model.iter_mut().find(|m| m.0 == room && m.1 == subscriber.slot());
                    moved.unwrap().2 = left.2;
                }
            }
            for &(room, slot, place) in &model {
                let channel = channels.at(place.channel).unwrap();
                assert_eq!(channel.room, room);
                assert_eq!(channel.subscribers()[place.index as usize].slot(), slot);
            }
            assert_eq!(channels.subscribers_count(), model.len());
        }
        let rooms: std::collections::BTreeSet<_> = model.iter().map(|m| m.0).collect();
        assert_eq!(channels.iter().count(), rooms.len());
    }
}
