//! A block: entries of one room, read and checked as a whole.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | sum: XXH3-64 of the rest, under a seed of the run and the block's place |
//! | then | of each entry how far its offset is from the one before (0 for the first, whose offset stands in the index), twice its value's length and 1 for a replacement, and the value |
//!
//! Both numbers take 7 bits a byte, the lowest first. A block ends with the entry that brings it to
//! 32 KiB or beyond, so one with a long value is longer.
//!
//! Deliberately absent: which room it is, and where it lies (`index`).

use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::disk::RunId;
use super::entry::{EntryKey, EntryKind, RunEntry, VALUE_BYTES_MAX};

/// A block that has so many bytes takes no more entries.
pub const BLOCK_BYTES: usize = 32 << 10;

/// Bytes of two numbers.
const ENTRY_HEAD_BYTES_MAX: usize = 10 + 4;

/// Bytes of the longest block.
pub const BLOCK_BYTES_MAX: usize = BLOCK_BYTES + ENTRY_HEAD_BYTES_MAX + VALUE_BYTES_MAX;

/// Bytes of a sum.
pub const SUM_BYTES: usize = 8;

/// What a sum is made with, so that nothing from elsewhere is taken for what belongs there.
fn seed(run: RunId, place: u64) -> u64 {
    run.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ place.wrapping_mul(0xC2B2_AE3D_27D4_EB4F)
}

/// Writes the sum of what follows into the first bytes of what begins at `place`.
pub fn put_sum(bytes: &mut [u8], run: RunId, place: u64) {
    let sum = xxh3_64_with_seed(&bytes[SUM_BYTES..], seed(run, place));
    bytes[..SUM_BYTES].copy_from_slice(&sum.to_le_bytes());
}

/// What stands behind the sum; `None` if that is wrong.
pub fn summed(bytes: &[u8], run: RunId, place: u64) -> Option<&[u8]> {
    let (sum, rest) = bytes.split_at_checked(SUM_BYTES)?;
    let is_right = sum == xxh3_64_with_seed(rest, seed(run, place)).to_le_bytes();
    is_right.then_some(rest)
}

/// A block that is being filled.
#[derive(Debug)]
pub struct BlockWriter {
    first: EntryKey,
    last: u64,
    bytes: Vec<u8>,
}

impl BlockWriter {
    /// One that begins with this entry.
    pub fn begin(entry: &RunEntry<'_>) -> BlockWriter {
        let bytes = vec![0; SUM_BYTES];
        let mut block = BlockWriter { first: entry.key, last: entry.key.offset, bytes };
        block.push(entry);
        block
    }

    /// Whether the entry, which comes behind all, belongs into another one.
    pub fn is_over_before(&self, key: EntryKey) -> bool {
        self.first.room != key.room || BLOCK_BYTES <= self.bytes.len()
    }

    /// Adds the next entry of the same room.
    pub fn push(&mut self, entry: &RunEntry<'_>) {
        assert!(self.first.room == entry.key.room, "a block has one room");
        put_number(&mut self.bytes, entry.key.offset - self.last);
        let is_replacement = u64::from(entry.kind == EntryKind::Replacement);
        put_number(&mut self.bytes, (entry.value.len() as u64) << 1 | is_replacement);
        self.bytes.extend_from_slice(entry.value);
        self.last = entry.key.offset;
    }

    /// Its first key, and its bytes at this place.
    pub fn seal(mut self, run: RunId, place: u64) -> (EntryKey, Vec<u8>) {
        put_sum(&mut self.bytes, run, place);
        (self.first, self.bytes)
    }
}

/// An entry of a block that was read.
#[derive(Debug)]
struct EntryPlace {
    offset: u64,
    kind: EntryKind,
    value: Range<usize>,
}

/// A block that was read. Its memory is a small multiple of its bytes, which are bounded.
#[derive(Debug)]
pub struct DataBlock {
    first: EntryKey,
    bytes: Vec<u8>,
    entries: Vec<EntryPlace>,
}

impl DataBlock {
    /// The block that begins with `first`; `None` for what is none.
    pub fn parse(bytes: Vec<u8>, first: EntryKey, run: RunId, place: u64) -> Option<DataBlock> {
        let mut rest = summed(&bytes, run, place)?;
        let mut entries: Vec<EntryPlace> = Vec::new();
        let mut offset = first.offset;
        while !rest.is_empty() {
            let distance = take_number(&mut rest)?;
            if (distance == 0) != entries.is_empty() {
                return None;
            }
            offset = offset.checked_add(distance)?;
            let head = take_number(&mut rest)?;
            let kind = if head & 1 == 0 { EntryKind::Message } else { EntryKind::Replacement };
            let length = usize::try_from(head >> 1).ok()?;
            let begin = bytes.len() - rest.len();
            let (value, behind) = rest.split_at_checked(length)?;
            entries.push(EntryPlace { offset, kind, value: begin..begin + value.len() });
            rest = behind;
        }
        (!entries.is_empty()).then_some(DataBlock { first, bytes, entries })
    }

    /// Entries in it, at least one.
    pub fn entry_count(&self) -> usize {
        self.entries.len()
    }

    /// One of them.
    pub fn entry(&self, number: usize) -> RunEntry<'_> {
        let place = &self.entries[number];
        let key = EntryKey { room: self.first.room, offset: place.offset };
        RunEntry { key, kind: place.kind, value: &self.bytes[place.value.clone()] }
    }

    /// How many of its entries are below this key.
    pub fn entries_below(&self, key: EntryKey) -> usize {
        let room = self.first.room;
        self.entries.partition_point(|place| EntryKey { room, offset: place.offset } < key)
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while 0x80 <= number {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// A number, which is taken off; `None` where none begins, or one beyond 64 bits.
fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        let bits = u64::from(byte & 0x7F);
        if bits << shift >> shift != bits {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;

    const RUN: RunId = RunId(3);

    fn key(offset: u64) -> EntryKey {
        EntryKey { room: RoomId(7), offset }
    }

    #[test]
    fn numbers_are_read_as_they_were_written_and_others_are_none() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::MAX - 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(take_number(&mut &bytes[..]), Some(number));
            let cut = bytes.len() - 1;
            assert_eq!(take_number(&mut &bytes[..cut]), None, "{number}");
        }
        let beyond = [&[0xFF; 9][..], &[2]].concat();
        assert_eq!(take_number(&mut &beyond[..]), None);
        assert_eq!(take_number(&mut &[0x80; 20][..]), None);
    }

    /// A sum says who wrote it, and not that its writer made no mistake.
    #[test]
    fn what_no_writer_makes_is_refused_under_a_right_sum() {
        let parse = |entries: &[u8], first: u64| {
            let mut bytes = [&[0; SUM_BYTES][..], entries].concat();
            put_sum(&mut bytes, RUN, 9);
            DataBlock::parse(bytes, key(first), RUN, 9)
        };
        let block = parse(&[0, 2, b'a', 3, 5, b'b', b'c'], 10).unwrap();
        assert_eq!(block.entry(1).key, key(13));
        assert_eq!(block.entry(1).kind, EntryKind::Replacement);
        assert_eq!(block.entry(1).value, b"bc");
        for (entries, first, what) in [
            (&[][..], 10, "no entry"),
            (&[1, 2, b'a'], 10, "the first is not where the index says"),
            (&[0, 0, 0, 0], 10, "an offset twice"),
            (&[0, 4, b'a'], 10, "a value beyond the end"),
            (&[0], 10, "no length"),
            (&[0, 0, 1, 0], u64::MAX, "an offset beyond all"),
        ] {
            assert!(parse(entries, first).is_none(), "{what}");
        }
    }
}
