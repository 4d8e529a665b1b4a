//! Changes of a batch as records of a log's batches, and back.
//!
//! The changes of one commit are a *group*: they happen together, and may need more than one
//! batch of the log.
//!
//! | first byte | then |
//! |---|---|
//! | 0, begin | the log's id (8 bytes) |
//! | 1, put | keyspace (1), length of the key (2), the key, the value or its beginning |
//! | 2, remove | keyspace (1), the key |
//! | 3, more | what follows of the value before it |
//! | 4, end | nothing |
//!
//! Numbers are little-endian. What a group has after its beginning counts when its end is there:
//! a crash may leave a part of one, behind which another begins.
//!
//! Deliberately absent: where batches go (`logged_disk`).

use crate::log::{self, LogBatch, Partition, SealedBatch};

use super::disk::{Batch, KeyChange, StoreKeyspace};
use super::key;
use super::record::ChannelRecord;

const BEGIN: u8 = 0;
const PUT: u8 = 1;
const REMOVE: u8 = 2;
const MORE: u8 = 3;
const END: u8 = 4;

/// The shortest value that is divided where a batch has no room for all of it. A shorter one
/// stands in the next batch.
const DIVIDED_BYTES_MIN: usize = 1 << 10;

/// A group that is durable, as the log has it.
#[derive(Debug, PartialEq, Eq)]
pub struct ChangeGroup {
    /// The sequence of its last batch.
    pub last: u64,
    /// Its batches.
    pub batches: Vec<Vec<u8>>,
}

/// What a log has is not what this store wrote there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangesError {
    /// Records are not of this form, or begin in the middle of a group.
    Damaged,
    /// It is another log.
    OtherLog,
}

/// What a group does to a key: it sets a value, or removes it.
pub type KeyWrite<'a> = (StoreKeyspace, &'a [u8], Option<&'a [u8]>);

/// Writes a batch as a group, into as many of the log's batches as it needs. `new_batch` makes
/// an empty one; all of them have the same bound, of 4 KiB and more. What is removed from the
/// beginning of a channel is not written: the record of the channel, which is, says it.
pub fn encode(
    batch: &Batch,
    log_id: u64,
    new_batch: &mut dyn FnMut() -> LogBatch,
) -> Vec<LogBatch> {
    let mut writer = GroupWriter { batches: vec![new_batch()], new_batch };
    writer.push(Partition::FIRST, &[&[BEGIN], &log_id.to_le_bytes()]);
    for (space, key, value) in batch.iter() {
        match value {
            Some(value) => writer.put(space, key, value),
            None if is_below_first(batch, space, key) => {}
            None => writer.push(partition(key), &[&[REMOVE, code(space)], key]),
        }
    }
    writer.push(Partition::FIRST, &[&[END]]);
    writer.batches
}

/// Whether this is a message below the first offset that its channel has by this batch.
fn is_below_first(batch: &Batch, space: StoreKeyspace, key: &[u8]) -> bool {
    let (StoreKeyspace::Messages, Some((room, offset))) = (space, key::message_of(key)) else {
        return false;
    };
    match batch.change_of(StoreKeyspace::Channels, &key::channel(room)) {
        KeyChange::Put(record) => {
            ChannelRecord::take_first(record).is_ok_and(|first| offset < first)
        }
        KeyChange::Remove => true,
        KeyChange::None => false,
    }
}

struct GroupWriter<'a> {
    /// Never empty.
    batches: Vec<LogBatch>,
    new_batch: &'a mut dyn FnMut() -> LogBatch,
}

impl GroupWriter<'_> {
    fn last(&mut self) -> &mut LogBatch {
        self.batches.last_mut().expect("there is one")
    }

    fn push(&mut self, partition: Partition, record: &[&[u8]]) {
        if self.last().push_parts(partition, record).is_err() {
            let next = (self.new_batch)();
            self.batches.push(next);
            self.last().push_parts(partition, record).expect("keys are shorter than batches");
        }
    }

    fn put(&mut self, space: StoreKeyspace, key: &[u8], value: &[u8]) {
        let key_bytes = u16::try_from(key.len()).expect("keys are short").to_le_bytes();
        let head = [PUT, code(space), key_bytes[0], key_bytes[1]];
        let room = self.last().record_room();
        let head_bytes = head.len() + key.len();
        let is_divided = room < head_bytes + value.len() && DIVIDED_BYTES_MIN < value.len();
        if !is_divided {
            return self.push(partition(key), &[&head, key, value]);
        }
        let begin_bytes = room.saturating_sub(head_bytes).min(value.len());
        let (begin, mut rest) = value.split_at(begin_bytes);
        self.push(partition(key), &[&head, key, begin]);
        while !rest.is_empty() {
            let room = match self.last().record_room().checked_sub(1) {
                None | Some(0) => DIVIDED_BYTES_MIN,
                Some(room) => room,
            };
            let (more, behind) = rest.split_at(room.min(rest.len()));
            self.push(partition(key), &[&[MORE], more]);
            rest = behind;
        }
    }
}

/// The partition of a key's room: rooms are keyed hashes of tenant and channel, and keys begin
/// with one. Those that do not belong to no channel.
fn partition(key: &[u8]) -> Partition {
    let bits = key.first().map_or(0, |first| first >> 2);
    Partition::new(bits).unwrap_or(Partition::FIRST)
}

/// Makes groups of batches that come in order.
#[derive(Debug)]
pub struct GroupReader {
    log_id: u64,
    /// The batches of a group so far; empty between groups.
    begun: Vec<Vec<u8>>,
    /// What comes first may be the rest of a group whose beginning the log has let go.
    begins_within: bool,
}

impl GroupReader {
    /// For the log with this id, from the beginning of a group on.
    pub fn new(log_id: u64) -> GroupReader {
        GroupReader { log_id, begun: Vec::new(), begins_within: false }
    }

    /// The same from any batch on: the rest of a group whose beginning is gone counts for nothing.
    pub fn within(log_id: u64) -> GroupReader {
        GroupReader { begins_within: true, ..GroupReader::new(log_id) }
    }

    /// The next batch of the log, which was read and is whole; the group that ends with it.
    pub fn next(&mut self, sealed: Vec<u8>) -> Result<Option<ChangeGroup>, ChangesError> {
        let (begins, ends, last) = {
            let batch = SealedBatch::parse(&sealed).map_err(|_| ChangesError::Damaged)?;
            let mut records = batch.records().map_while(|record| record.map(|(_, bytes)| bytes));
            let Some(first) = records.next() else { return Ok(None) };
            let begins = self.begins(first)?;
            (begins, records.last().unwrap_or(first) == [END], batch.position().sequence)
        };
        if begins {
            // What stood before it was never whole, and nobody was told that it is.
            self.begun.clear();
            self.begins_within = false;
        } else if self.begins_within {
            return Ok(None);
        } else if self.begun.is_empty() {
            return Err(ChangesError::Damaged);
        }
        self.begun.push(sealed);
        if !ends {
            return Ok(None);
        }
        Ok(Some(ChangeGroup { last, batches: std::mem::take(&mut self.begun) }))
    }

    fn begins(&self, record: &[u8]) -> Result<bool, ChangesError> {
        let Some(id) = record.strip_prefix(&[BEGIN]) else { return Ok(false) };
        let id: [u8; 8] = id.try_into().map_err(|_| ChangesError::Damaged)?;
        if u64::from_le_bytes(id) != self.log_id {
            return Err(ChangesError::OtherLog);
        }
        Ok(true)
    }
}

impl ChangeGroup {
    /// Bytes that its batches take on the disk.
    pub fn disk_bytes(&self) -> usize {
        self.batches.iter().map(|batch| log::disk_bytes(batch.len())).sum()
    }

    /// Its changes.
    pub fn changes(&self) -> Result<Batch, ChangesError> {
        let mut changes = Batch::default();
        self.for_each(&mut |(space, key, value)| match value {
            Some(value) => changes.put(space, key, value),
            None => changes.remove(space, key),
        })?;
        Ok(changes)
    }

    /// Every change, in the order of the batch.
    fn for_each(&self, on_write: &mut dyn FnMut(KeyWrite<'_>)) -> Result<(), ChangesError> {
        let batches = self.batches.iter().map(|bytes| SealedBatch::parse(bytes));
        let batches = batches.collect::<Result<Vec<_>, _>>().map_err(|_| ChangesError::Damaged)?;
        let records = batches.iter().flat_map(SealedBatch::records);
        let mut records = records.map_while(|record| record.map(|(_, bytes)| bytes)).peekable();
        while let Some(record) = records.next() {
            let (kind, rest) = record.split_first().ok_or(ChangesError::Damaged)?;
            match *kind {
                BEGIN | END => {}
                REMOVE => {
                    let (space, key) = split_space(rest)?;
                    on_write((space, key, None));
                }
                PUT => {
                    let (space, rest) = split_space(rest)?;
                    let (key_bytes, rest) =
                        rest.split_first_chunk().ok_or(ChangesError::Damaged)?;
                    let key_bytes = usize::from(u16::from_le_bytes(*key_bytes));
                    let (key, value) =
                        rest.split_at_checked(key_bytes).ok_or(ChangesError::Damaged)?;
                    let mut more = std::iter::from_fn(|| {
                        records.next_if(|next| next.first() == Some(&MORE)).map(|next| &next[1..])
                    });
                    match more.next() {
                        None => on_write((space, key, Some(value))),
                        Some(second) => {
                            let mut whole = [value, second].concat();
                            more.for_each(|part| whole.extend_from_slice(part));
                            on_write((space, key, Some(&whole)));
                        }
                    }
                }
                _ => return Err(ChangesError::Damaged),
            }
        }
        Ok(())
    }
}

fn split_space(bytes: &[u8]) -> Result<(StoreKeyspace, &[u8]), ChangesError> {
    let (code, rest) = bytes.split_first().ok_or(ChangesError::Damaged)?;
    let space = StoreKeyspace::ALL.into_iter().find(|space| self::code(*space) == *code);
    Ok((space.ok_or(ChangesError::Damaged)?, rest))
}

/// What stands for a keyspace in logs. It stays what it is.
fn code(space: StoreKeyspace) -> u8 {
    match space {
        StoreKeyspace::Meta => b'0',
        StoreKeyspace::Channels => b'c',
        StoreKeyspace::Messages => b's',
        StoreKeyspace::Markers => b'm',
        StoreKeyspace::Conversations => b't',
        StoreKeyspace::Pending => b'p',
        StoreKeyspace::Dead => b'x',
        StoreKeyspace::Ids => b'i',
        StoreKeyspace::ReactionTotals => b'n',
        StoreKeyspace::Reactions => b'r',
        StoreKeyspace::GroupMembers => b'g',
        StoreKeyspace::UserGroups => b'u',
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    const STORE: u64 = 7;
    const BATCH_BYTES: u32 = 4 << 10;

    /// A batch of random changes, some of which are longer than a batch of the log.
    fn random_batch(prng: &mut Prng) -> Batch {
        let mut batch = Batch::default();
        for _ in 0..prng.below(30) {
            let space = StoreKeyspace::ALL[prng.below(12) as usize];
            let key: Vec<u8> = (0..1 + prng.below(40)).map(|_| prng.below(256) as u8).collect();
            if prng.percent(20) {
                batch.remove(space, &key);
                continue;
            }
            let bytes = match prng.below(4) {
                0 => 0,
                1 => prng.below(4_200),
                2 => prng.below(20_000),
                _ => prng.below(300),
            };
            batch.put(space, &key, vec![prng.below(256) as u8; bytes as usize]);
        }
        batch
    }

    /// Groups as they stand in a log that begins behind `last`.
    fn sealed(batch: &Batch, log_id: u64, last: &mut u64) -> Vec<Vec<u8>> {
        let batches = encode(batch, log_id, &mut || LogBatch::new(BATCH_BYTES));
        let sealed = batches.into_iter().map(|batch| {
            *last += 1;
            batch.seal_for_test(*last)
        });
        sealed.collect()
    }

    fn entries(batch: &Batch) -> Vec<(StoreKeyspace, Vec<u8>, Option<Vec<u8>>)> {
        let owned = batch.iter();
        owned.map(|(space, key, value)| (space, key.to_vec(), value.map(<[u8]>::to_vec))).collect()
    }

    #[test]
    fn what_is_written_is_read_and_parts_of_groups_are_left_out() {
        let (mut divided, mut left_out) = (0, 0);
        for seed in 0..2_000 {
            let mut prng = Prng::from_seed(seed);
            let (mut last, mut reader) = (0, GroupReader::new(STORE));
            for _ in 0..4 {
                let batch = random_batch(&mut prng);
                let mut batches = sealed(&batch, STORE, &mut last);
                let count = batches.len();
                divided += u32::from(1 < count);
                let is_cut = 1 < count && prng.percent(50);
                if is_cut {
                    left_out += 1;
                    batches.truncate(1 + prng.below(count as u64 - 1) as usize);
                }
                let mut found = None;
                for one in batches {
                    assert_eq!(found, None, "a group ends with its last batch");
                    found = reader.next(one).unwrap();
                }
                assert_eq!(found.is_none(), is_cut, "seed {seed}");
                if let Some(group) = found {
                    assert_eq!((group.last, group.batches.len()), (last, count));
                    assert_eq!(entries(&group.changes().unwrap()), entries(&batch), "seed {seed}");
                }
            }
        }
        assert!(500 < divided && 200 < left_out, "{divided} {left_out}");
    }

    #[test]
    fn batches_of_another_store_or_another_form_are_refused() {
        let mut batch = Batch::default();
        batch.put(StoreKeyspace::Meta, b"a", vec![1; 10_000]);
        let mut last = 0;
        let other = sealed(&batch, STORE + 1, &mut last);
        let mut reader = GroupReader::new(STORE);
        assert_eq!(reader.next(other[0].clone()), Err(ChangesError::OtherLog));
        let own = sealed(&batch, STORE, &mut last);
        assert_eq!(reader.next(own[1].clone()), Err(ChangesError::Damaged), "no beginning");
        let mut within = GroupReader::within(STORE);
        for batch in &own[1..] {
            assert_eq!(within.next(batch.clone()), Ok(None), "the beginning was let go");
        }
        let found = own.iter().filter_map(|batch| within.next(batch.clone()).unwrap());
        assert_eq!(found.count(), 1, "and the next group counts");
        assert_eq!(within.next(own[1].clone()), Err(ChangesError::Damaged));
        for record in [&[9_u8][..], &[], &[PUT, b'0', 9, 0, 1], &[PUT, b'?', 0, 0], &[REMOVE]] {
            let mut wrong = LogBatch::new(BATCH_BYTES);
            let begin = [&[BEGIN][..], &STORE.to_le_bytes()].concat();
            for record in [&begin[..], record, &[END]] {
                wrong.push(Partition::FIRST, record).unwrap();
            }
            let mut reader = GroupReader::new(STORE);
            let group = reader.next(wrong.seal_for_test(1)).unwrap().unwrap();
            assert_eq!(group.changes().unwrap_err(), ChangesError::Damaged);
        }
        let empty = LogBatch::new(0);
        assert_eq!(reader.next(empty.seal_for_test(1)), Ok(None), "a mark is none of them");
    }
}
