//! What channels say in one turn, encoded once for each kind of subscriber, so that all
//! subscribers of a kind share one buffer and get one send.
//!
//! Deliberately absent: who the subscribers are (`channels`), and their outboxes.

use std::mem;

use bytes::{Bytes, BytesMut};
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::channels::{Channel, SubscriberClass};
use crate::base::RoomId;
use crate::room::MessageTiming;
use crate::shard::delivery::PublicationCounts;
use crate::wire::{self, Encoding, Message};
use crate::ws::{self, Opcode};

/// Channels that an index keeps memory for when none of them speaks.
const INDEX_ENTRIES_KEPT: usize = 4_096;

/// What all channels say in one turn.
///
/// Invariant: `index` knows exactly the gatherings in `all`, by room.
#[derive(Debug, Default)]
pub struct FanoutBuffers {
    all: Vec<FanoutBuffer>,
    index: HashTable<u32>,
}

impl FanoutBuffers {
    /// The channel's, begun now if it has none.
    pub fn of(&mut self, channel: &Channel) -> &mut FanoutBuffer {
        let FanoutBuffers { all, index } = self;
        let found = index.find(channel.room.fold(), |&at| all[at as usize].room == channel.room);
        let at = found.copied().unwrap_or_else(|| {
            let at = all.len() as u32;
            all.push(FanoutBuffer::begin(channel));
            index.insert_unique(channel.room.fold(), at, |&at| all[at as usize].room.fold());
            at
        });
        &mut all[at as usize]
    }

    /// Takes what a channel said so far.
    pub fn take(&mut self, room: RoomId) -> Option<FanoutBuffer> {
        let FanoutBuffers { all, index } = self;
        let found = index.find_entry(room.fold(), |&at| all[at as usize].room == room).ok()?;
        let (at, _) = found.remove();
        let last = all.len() as u32 - 1;
        if at != last {
            let moved = index.find_mut(all[last as usize].room.fold(), |&other| other == last);
            *moved.expect("the index knows every gathering") = at;
        }
        Some(all.swap_remove(at as usize))
    }

    /// Gives back what a turn in which very many spoke has left.
    pub fn trim(&mut self) {
        if self.all.is_empty() && INDEX_ENTRIES_KEPT < self.index.capacity() {
            self.index = HashTable::new();
        }
    }

    /// Takes everything, in the order in which channels began to speak.
    pub fn take_all(&mut self) -> Vec<FanoutBuffer> {
        self.index.clear();
        mem::take(&mut self.all)
    }
}

/// What one channel says in one turn: the frames of each kind of subscriber lie
/// in one buffer, so that whoever is in the channel gets one slice of it.
#[derive(Debug)]
pub struct FanoutBuffer {
    room: RoomId,
    frames: [Option<BytesMut>; SubscriberClass::COUNT],
    /// Of the publications among the frames, each in every kind.
    ways: SmallVec<[MessageTiming; 1]>,
}

/// Who hears a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every subscriber.
    All,
    /// Those who want to know who comes and goes.
    NewsOfMembers,
}

impl FanoutBuffer {
    /// Nothing said yet. Only kinds that the channel has now are served: a new
    /// subscriber ends the gathering before it sits down.
    pub fn begin(channel: &Channel) -> FanoutBuffer {
        let frames = channel.kinds().map(|present| present.then(BytesMut::new));
        FanoutBuffer { room: channel.room, frames, ways: SmallVec::new() }
    }

    /// Adds one message for all subscribers of the audience.
    pub fn say(&mut self, message: &Message<'_>, audience: Audience) {
        for (kind, frames) in SubscriberClass::ALL.iter().zip(&mut self.frames) {
            let hears = match audience {
                Audience::All => true,
                Audience::NewsOfMembers => kind.news_of_members,
            };
            if let Some(frames) = frames
                && hears
            {
                put_message(kind.encoding, message, frames);
            }
        }
    }

    /// Which channel.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// One of the frames is a publication that came this way.
    pub fn push_way(&mut self, way: MessageTiming) {
        self.ways.push(way);
    }

    /// Takes the ways of all publications.
    pub fn take_ways(&mut self) -> SmallVec<[MessageTiming; 1]> {
        mem::take(&mut self.ways)
    }

    /// Publications among the frames.
    pub fn publications_count(&self) -> u64 {
        self.ways.len() as u64
    }

    /// The same, for whoever carries them; a channel is of one chat type.
    pub fn publications(&self) -> PublicationCounts {
        let chat_type = self.ways.first().map(|way| way.chat_type);
        chat_type.map_or(PublicationCounts::NONE, |one| {
            PublicationCounts::of(one, self.publications_count())
        })
    }

    /// The frames of each kind, ready to be shared.
    pub fn finish(self) -> [Bytes; SubscriberClass::COUNT] {
        self.frames.map(|frames| frames.map_or_else(Bytes::new, BytesMut::freeze))
    }
}

/// One message in a frame of its own.
pub fn put_message(encoding: Encoding, message: &Message<'_>, out: &mut BytesMut) {
    if out.is_empty() {
        out.reserve(wire::bytes_about(message));
    }
    let start = ws::begin_frame(out);
    wire::encode(encoding, message, out);
    ws::finish_frame(out, start, opcode(encoding));
}

/// How frames of an encoding are marked.
pub fn opcode(encoding: Encoding) -> Opcode {
    match encoding {
        Encoding::Json => Opcode::Text,
        Encoding::Protobuf => Opcode::Binary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;
    use crate::room::way;
    use crate::shard::fanout::{Channels, Subscriber};

    /// A list of rooms beside the gatherings.
    #[test]
    fn a_channel_has_one_gathering_until_it_is_taken() {
        let mut channels = Channels::default();
        let kind = SubscriberClass::ALL[0];
        for slot in 0..40 {
            channels.sit(RoomId(u128::from(slot)), "c".into(), Subscriber::new(slot, kind));
        }
        let (mut prng, mut gatherings) = (Prng::from_seed(8), FanoutBuffers::default());
        let mut model: Vec<(RoomId, u64)> = Vec::new();
        for _ in 0..4_000 {
            let room = RoomId(u128::from(prng.below(40)));
            let place = model.iter().position(|&(other, _)| other == room);
            match prng.below(100) {
                0 => {
                    let all = gatherings.take_all().into_iter();
                    let mut all: Vec<_> =
                        all.map(|one| (one.room, one.publications_count())).collect();
                    all.sort_unstable();
                    model.sort_unstable();
                    assert_eq!(all, std::mem::take(&mut model));
                }
                1..40 => {
                    let taken = gatherings.take(room).map(|one| one.publications_count());
                    assert_eq!(taken, place.map(|place| model.swap_remove(place).1));
                }
                _ => {
                    let channel = channels.of(room).unwrap();
                    gatherings.of(channel).push_way(way());
                    match place {
                        Some(place) => model[place].1 += 1,
                        None => model.push((room, 1)),
                    }
                }
            }
        }
    }
}
