//! Messages of channels in one turn, encoded once for each class of subscriber, so that all
//! subscribers of a class share one buffer and get one send.
//!
//! Deliberately absent: who the subscribers are (`channels`), and their outboxes.

use std::mem;

use bytes::{Bytes, BytesMut};
use hashbrown::HashTable;
use smallvec::SmallVec;

use super::channels::{Channel, SubscriberClass};
use super::filters::{FilteredFrames, Filters};
use super::frames::{Recipients, put_message};
use crate::base::RoomId;
use crate::metrics::ChatType;
use crate::room::MessageTiming;
use crate::shard::outbox::PublicationCounts;
use crate::wire::{Message, Publication, PublicationForm, Push};

/// Channels that the index keeps memory for while it is empty.
const INDEX_ENTRIES_KEPT: usize = 4_096;

/// The buffers of all channels with messages in this turn.
///
/// Invariant: `index` knows exactly the buffers in `all`, by room.
#[derive(Debug, Default)]
pub struct FanoutBuffers {
    all: Vec<FanoutBuffer>,
    index: HashTable<u32>,
}

impl FanoutBuffers {
    /// The buffer of a channel, begun now if it has none.
    pub fn of(&mut self, channel: &Channel, filters: &Filters) -> &mut FanoutBuffer {
        let FanoutBuffers { all, index } = self;
        let found = index.find(channel.room.fold(), |&at| all[at as usize].room == channel.room);
        let at = found.copied().unwrap_or_else(|| {
            let at = all.len() as u32;
            all.push(FanoutBuffer::begin(channel, filters));
            index.insert_unique(channel.room.fold(), at, |&at| all[at as usize].room.fold());
            at
        });
        &mut all[at as usize]
    }

    /// Takes the buffer of a channel.
    pub fn take(&mut self, room: RoomId) -> Option<FanoutBuffer> {
        let FanoutBuffers { all, index } = self;
        let found = index.find_entry(room.fold(), |&at| all[at as usize].room == room).ok()?;
        let (at, _) = found.remove();
        let last = all.len() as u32 - 1;
        if at != last {
            let moved = index.find_mut(all[last as usize].room.fold(), |&other| other == last);
            *moved.expect("the index knows every buffer") = at;
        }
        Some(all.swap_remove(at as usize))
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        if self.all.is_empty() && INDEX_ENTRIES_KEPT < self.index.capacity() {
            self.index = HashTable::new();
        }
    }

    /// Takes all buffers, in the order in which they were begun.
    pub fn take_all(&mut self) -> Vec<FanoutBuffer> {
        self.index.clear();
        mem::take(&mut self.all)
    }
}

/// The messages of one channel in one turn: the frames for each class of subscriber lie in
/// one buffer, of which every subscriber gets one slice.
#[derive(Debug)]
pub struct FanoutBuffer {
    room: RoomId,
    frames: [Option<BytesMut>; SubscriberClass::COUNT],
    /// The timings of the publications, each of which is in every class.
    timings: SmallVec<[MessageTiming; 1]>,
    /// What is for subscribers with filters, where there are such.
    filtered: Option<Box<FilteredFrames>>,
}

impl FanoutBuffer {
    /// An empty buffer. Only classes that the channel has now are served: the buffer is
    /// flushed before a new subscriber is added.
    pub fn begin(channel: &Channel, filters: &Filters) -> FanoutBuffer {
        let classes = channel.classes();
        let (plain, filtered) = classes.split_at(SubscriberClass::COUNT);
        let frames =
            std::array::from_fn(|class| (plain[class] || filtered[class]).then(BytesMut::new));
        let filtered = filtered.contains(&true).then(|| Box::new(filters.frames_of(channel.room)));
        FanoutBuffer { room: channel.room, frames, timings: SmallVec::new(), filtered }
    }

    /// Appends one push for all subscribers of the audience.
    pub fn append(&mut self, channel: &str, push: Push<'_>, recipients: Recipients) {
        self.append_by_class(channel, recipients, (push, push));
    }

    /// Appends a publication, for those who take deltas as the difference to the one before
    /// where there is one.
    pub fn append_publication(
        &mut self,
        channel: &str,
        publication: &Publication,
        delta: Option<&[u8]>,
    ) {
        let push = |form| Push::Publication(publication, form);
        let plain = push(PublicationForm::Plain);
        let for_deltas = push(delta.map_or(PublicationForm::Whole, PublicationForm::Delta));
        self.append_by_class(channel, Recipients::All, (plain, for_deltas));
    }

    /// Whether there are subscribers who take deltas.
    pub fn has_deltas(&self) -> bool {
        SubscriberClass::ALL
            .iter()
            .zip(&self.frames)
            .any(|(class, frames)| class.takes_deltas && frames.is_some())
    }

    fn append_by_class(
        &mut self,
        channel: &str,
        recipients: Recipients,
        (plain, for_deltas): (Push<'_>, Push<'_>),
    ) {
        let mut parts = [const { 0..0 }; SubscriberClass::COUNT];
        for ((class, frames), part) in
            SubscriberClass::ALL.iter().zip(&mut self.frames).zip(&mut parts)
        {
            if let Some(frames) = frames
                && recipients.include(*class)
            {
                let start = frames.len();
                let push = if class.takes_deltas { for_deltas } else { plain };
                let message = match (class.compacts_channel, push) {
                    // Clients take these as they come, whatever channel they are in.
                    (_, Push::Message { .. }) | (false, _) => Message::Push { channel, push },
                    (true, push) => Message::CompactPush { channel_id: self.room.compact(), push },
                };
                put_message(class.encoding, &message, frames);
                *part = start..frames.len();
            }
        }
        if let Some(filtered) = &mut self.filtered {
            filtered.note(&plain, recipients, &parts);
        }
    }

    /// Takes what is for subscribers with filters.
    pub fn take_filtered(&mut self) -> Option<Box<FilteredFrames>> {
        self.filtered.take()
    }

    /// The channel.
    pub fn room(&self) -> RoomId {
        self.room
    }

    /// Adds the timing of a publication among the messages.
    pub fn push_timing(&mut self, timing: MessageTiming) {
        self.timings.push(timing);
    }

    /// Takes the timings of all publications.
    pub fn take_timings(&mut self) -> SmallVec<[MessageTiming; 1]> {
        mem::take(&mut self.timings)
    }

    /// Publications among the messages.
    pub fn publications_count(&self) -> u64 {
        self.timings.len() as u64
    }

    /// The chat type of the channel, if there are publications.
    pub fn chat_type(&self) -> Option<ChatType> {
        self.timings.first().map(|timing| timing.chat_type)
    }

    /// The same by chat type, of which a channel has one.
    pub fn publications(&self) -> PublicationCounts {
        self.chat_type().map_or(PublicationCounts::NONE, |one| {
            PublicationCounts::of(one, self.publications_count())
        })
    }

    /// The frames for each class, ready to be shared.
    pub fn finish(self) -> [Bytes; SubscriberClass::COUNT] {
        self.frames.map(|frames| frames.map_or_else(Bytes::new, BytesMut::freeze))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;
    use crate::room::timing;
    use crate::shard::fanout::{Channels, Subscriber};

    /// Compares with a list of rooms.
    #[test]
    fn a_channel_has_one_buffer_until_it_is_taken() {
        let mut channels = Channels::default();
        let class = SubscriberClass::ALL[0];
        for slot in 0..40 {
            channels.add(RoomId(u128::from(slot)), "c".into(), Subscriber::new(slot, class));
        }
        let (mut prng, mut buffers) = (Prng::from_seed(8), FanoutBuffers::default());
        let mut model: Vec<(RoomId, u64)> = Vec::new();
        for _ in 0..4_000 {
            let room = RoomId(u128::from(prng.below(40)));
            let place = model.iter().position(|&(other, _)| other == room);
            match prng.below(100) {
                0 => {
                    let all = buffers.take_all().into_iter();
                    let mut all: Vec<_> =
                        all.map(|one| (one.room, one.publications_count())).collect();
                    all.sort_unstable();
                    model.sort_unstable();
                    assert_eq!(all, std::mem::take(&mut model));
                }
                1..40 => {
                    let taken = buffers.take(room).map(|one| one.publications_count());
                    assert_eq!(taken, place.map(|place| model.swap_remove(place).1));
                }
                _ => {
                    let channel = channels.of(room).unwrap();
                    buffers.of(channel, &Filters::default()).push_timing(timing());
                    match place {
                        Some(place) => model[place].1 += 1,
                        None => model.push((room, 1)),
                    }
                }
            }
        }
    }
}
