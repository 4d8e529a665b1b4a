//! A layer: messages of commits in a row, in memory, until they are sorted into a run.
//!
//! Deliberately absent: which of them are there, and runs.

use std::collections::BTreeMap;

use crate::base::RoomId;
use crate::runs::EntryKey;

/// Memory of a message beside its record, about.
const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// Messages of commits in a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct MessageLayer {
    messages: BTreeMap<EntryKey, Box<[u8]>>,
    bytes: usize,
    last: u64,
    log_bytes: usize,
}

impl MessageLayer {
    /// Its messages, by place.
    pub fn messages(&self) -> impl Iterator<Item = (EntryKey, &[u8])> {
        self.messages.iter().map(|(key, value)| (*key, &value[..]))
    }

    /// Memory that they take, about.
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
        self.messages.get(&place).map(|value| &value[..])
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
    pub(super) fn put(&mut self, key: EntryKey, value: Box<[u8]>) {
        self.bytes += MESSAGE_OVERHEAD_BYTES + value.len();
        if let Some(before) = self.messages.insert(key, value) {
            self.bytes -= MESSAGE_OVERHEAD_BYTES + before.len();
        }
    }

    /// Forgets all messages of a room.
    pub(super) fn forget(&mut self, room: RoomId) {
        let mut behind = self.messages.split_off(&EntryKey { room, offset: 0 });
        let gone = match room.0.checked_add(1) {
            Some(next) => {
                let rest = behind.split_off(&EntryKey { room: RoomId(next), offset: 0 });
                std::mem::replace(&mut behind, rest)
            }
            None => std::mem::take(&mut behind),
        };
        self.messages.append(&mut behind);
        self.bytes -=
            gone.values().map(|value| MESSAGE_OVERHEAD_BYTES + value.len()).sum::<usize>();
    }

    /// Its messages between two places, both included.
    pub(super) fn range(
        &self,
        (low, high): (EntryKey, EntryKey),
    ) -> impl DoubleEndedIterator<Item = (EntryKey, &[u8])> {
        // The tree's own range panics where the ends are the wrong way round.
        let found = (low <= high).then(|| self.messages.range(low..=high));
        found.into_iter().flatten().map(|(key, value)| (*key, &value[..]))
    }
}
