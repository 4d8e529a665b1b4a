//! What commits change: channels get messages, lose them from the beginning, are removed, and come
//! again with the same offsets; and records that have nothing to do with channels.

use super::Model;
use crate::base::{Prng, RoomId};
use crate::store::disk::{Batch, KeyChange, StoreKeyspace};
use crate::store::key;
use crate::store::record::ChannelRecord;
use crate::wire::Epoch;

/// Changes of a commit: what the model has, with what is staged so far.
struct Staged<'a> {
    model: &'a Model,
    batch: Batch,
}

impl Staged<'_> {
    fn record(&self, room: RoomId) -> Option<ChannelRecord> {
        let key = key::channel(room);
        let value = match self.batch.change_of(StoreKeyspace::Channels, &key) {
            KeyChange::Put(value) => Some(value.to_vec()),
            KeyChange::Remove => None,
            KeyChange::None => self.model.value(StoreKeyspace::Channels, &key),
        };
        value.map(|value| ChannelRecord::take(&value).unwrap())
    }

    fn put_record(&mut self, room: RoomId, record: &ChannelRecord) {
        self.batch.put(StoreKeyspace::Channels, &key::channel(room), record.put());
    }

    fn put_message(&mut self, room: RoomId, offset: u64, prng: &mut Prng) {
        let bytes = if prng.percent(10) { prng.below(20_000) } else { prng.below(400) };
        let value = vec![prng.below(256) as u8; 1 + bytes as usize];
        self.batch.put(StoreKeyspace::Messages, &key::message(room, offset), value);
    }

    /// One of the things that happen to a channel.
    fn change_channel(&mut self, room: RoomId, prng: &mut Prng) {
        let Some(mut record) = self.record(room) else {
            // One that was removed in this commit comes again in a later one.
            let key = key::channel(room);
            if self.batch.change_of(StoreKeyspace::Channels, &key) == KeyChange::None {
                self.put_record(room, &ChannelRecord { head: 1, ..new_record() });
                self.put_message(room, 1, prng);
            }
            return;
        };
        match prng.below(10) {
            0..=4 => {
                record.head += 1;
                self.put_record(room, &record);
                self.put_message(room, record.head, prng);
            }
            5 if record.first <= record.head => {
                let offset = record.first + prng.below(record.head - record.first + 1);
                self.batch.remove(StoreKeyspace::Messages, &key::message(room, offset));
            }
            6 if record.first <= record.head => {
                let offset = record.first + prng.below(record.head - record.first + 1);
                self.put_message(room, offset, prng);
            }
            5..=8 => {
                let first = record.first + prng.below(record.head + 2 - record.first);
                for offset in record.first..first {
                    self.batch.remove(StoreKeyspace::Messages, &key::message(room, offset));
                }
                record.first = first;
                self.put_record(room, &record);
            }
            _ if record.head < record.first => {
                self.batch.remove(StoreKeyspace::Channels, &key::channel(room));
            }
            // Nothing would be no commit.
            _ => self.put_record(room, &record),
        }
    }
}

fn new_record() -> ChannelRecord {
    ChannelRecord {
        epoch: Epoch(1),
        created_unix_ms: 1,
        losses_count: 0,
        first: 1,
        below_bytes: 0,
        head: 0,
        total_bytes: 0,
        last_unix_ms: 0,
        removed: None,
        parties: None,
        tenant: "t".into(),
        channel: "c".into(),
    }
}

/// Spaces that have nothing to do with channels here.
pub const RECORDS: [StoreKeyspace; 3] =
    [StoreKeyspace::Meta, StoreKeyspace::Markers, StoreKeyspace::Pending];

/// One of a few rooms, also the first and the last of all.
pub fn random_room(prng: &mut Prng) -> RoomId {
    RoomId([0, 1, 2, u128::MAX][prng.below(4) as usize])
}

/// Changes of a commit.
pub fn random_batch(model: &Model, prng: &mut Prng) -> Batch {
    let mut staged = Staged { model, batch: Batch::default() };
    for _ in 0..1 + prng.below(6) {
        if prng.percent(60) {
            staged.change_channel(random_room(prng), prng);
            continue;
        }
        let space = RECORDS[prng.below(3) as usize];
        let key = [b'k', prng.below(12) as u8];
        if prng.percent(20) {
            staged.batch.remove(space, &key);
            continue;
        }
        let bytes = if prng.percent(10) { prng.below(20_000) } else { prng.below(400) };
        staged.batch.put(space, &key, vec![prng.below(256) as u8; 1 + bytes as usize]);
    }
    staged.batch
}
