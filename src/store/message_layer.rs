//! A layer: messages of commits in a row, in memory, until they are sorted into a run.
//!
//! Deliberately absent: which of them are there, and runs.

use std::collections::BTreeMap;

use super::value_arena::{ValueArena, ValuePlace};
use crate::base::RoomId;
use crate::runs::EntryKey;

/// Memory of a message beside its record, and of a room beside its messages, about.
const MESSAGE_OVERHEAD_BYTES: usize = 64;
const ROOM_OVERHEAD_BYTES: usize = 128;

/// Messages of commits in a row.
#[derive(Debug, Default)]
pub struct MessageLayer {
    /// Those of each room, by offset.
    rooms: BTreeMap<RoomId, Vec<LayerMessage>>,
    values: ValueArena,
    bytes: usize,
    last: u64,
    log_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct LayerMessage {
    offset: u64,
    value: ValuePlace,
}

impl MessageLayer {
    /// Its messages, by place.
    pub fn messages(&self) -> impl Iterator<Item = (EntryKey, &[u8])> {
        self.range((EntryKey::MIN, EntryKey::MAX))
    }

    /// Memory that they take, about, also those that were replaced or forgotten.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of the log that it covers.
    pub fn log_bytes(&self) -> usize {
        self.log_bytes
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.log_bytes == 0
    }

    /// The message at a place.
    pub fn get(&self, place: EntryKey) -> Option<&[u8]> {
        let messages = self.rooms.get(&place.room)?;
        let number = messages.binary_search_by_key(&place.offset, |message| message.offset).ok()?;
        Some(self.values.get(messages[number].value))
    }

    /// An empty one behind this one.
    pub fn next(&self) -> MessageLayer {
        MessageLayer { last: self.last, ..MessageLayer::default() }
    }

    /// It covers the log up to a sequence, which takes so many bytes more.
    pub(super) fn extend(&mut self, last: u64, log_bytes: usize) {
        self.last = last;
        self.log_bytes += log_bytes;
    }

    /// The sequence of the log's last batch that it covers.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Sets the record at a place.
    pub(super) fn put(&mut self, key: EntryKey, value: &[u8]) {
        let EntryKey { room, offset } = key;
        let message = LayerMessage { offset, value: self.values.push(value) };
        self.bytes += MESSAGE_OVERHEAD_BYTES + value.len();
        let messages = self.rooms.entry(room).or_default();
        if messages.is_empty() {
            self.bytes += ROOM_OVERHEAD_BYTES;
        }
        // Nearly every one is the newest of its room.
        if messages.last().is_none_or(|last| last.offset < offset) {
            messages.push(message);
            return;
        }
        match messages.binary_search_by_key(&offset, |message| message.offset) {
            Ok(number) => messages[number] = message,
            Err(number) => messages.insert(number, message),
        }
    }

    /// Forgets all messages of a room.
    pub(super) fn forget(&mut self, room: RoomId) {
        self.rooms.remove(&room);
    }

    /// Its messages between two places, both included.
    pub(super) fn range(
        &self,
        (low, high): (EntryKey, EntryKey),
    ) -> impl DoubleEndedIterator<Item = (EntryKey, &[u8])> {
        // The tree's own range panics where the ends are the wrong way round.
        let rooms = (low <= high).then(|| self.rooms.range(low.room..=high.room));
        rooms.into_iter().flatten().flat_map(move |(room, messages)| {
            let room = *room;
            let begin =
                messages.partition_point(|message| EntryKey { room, offset: message.offset } < low);
            let end = messages
                .partition_point(|message| EntryKey { room, offset: message.offset } <= high);
            messages[begin..end].iter().map(move |message| {
                (EntryKey { room, offset: message.offset }, self.values.get(message.value))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    /// Beside a plain map: messages in any order, replaced, and rooms that are forgotten.
    #[test]
    fn it_has_what_was_put_there_last_in_order() {
        let mut prng = Prng::from_seed(7);
        let (mut layer, mut model) = (MessageLayer::default(), BTreeMap::new());
        let mut place = {
            let mut prng = Prng::from_seed(8);
            move || EntryKey { room: RoomId(prng.below(4).into()), offset: prng.below(40) }
        };
        for number in 0..4_000_u32 {
            let key = place();
            if prng.percent(1) {
                layer.forget(key.room);
                model.retain(|at: &EntryKey, _| at.room != key.room);
            }
            let value = number.to_be_bytes()[..prng.below(5) as usize].to_vec();
            layer.put(key, &value);
            model.insert(key, value);
            let (low, high) = (place(), place());
            let wanted: Vec<_> = match low <= high {
                true => model.range(low..=high).map(|(key, value)| (*key, &value[..])).collect(),
                false => Vec::new(),
            };
            let found: Vec<_> = layer.range((low, high)).collect();
            assert_eq!(found, wanted);
            let mut backward: Vec<_> = layer.range((low, high)).rev().collect();
            backward.reverse();
            assert_eq!(backward, wanted);
            assert_eq!(layer.get(low), model.get(&low).map(|value| &value[..]));
        }
        let all: Vec<_> = layer.messages().map(|(key, value)| (key, value.to_vec())).collect();
        assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}
