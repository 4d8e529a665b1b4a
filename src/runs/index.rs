//! The index of a run, in two levels of the same form: where each block lies, and where each part of
//! that list lies.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | sum, as that of a block |
//! | then | of each block or part its first room (16 bytes), its first offset (8), and its place (5 bytes) over its length (3 bytes) |
//!
//! A part has up to 127 blocks and stands behind them, so that whoever writes keeps no more. The
//! upper level stands at the end of the file, and is all that is kept of a run in memory: 32 bytes
//! for 127 blocks.
//!
//! Deliberately absent: what is in a block.

use super::block::{BLOCK_BYTES_MAX, SUM_BYTES, put_sum, summed};
use super::disk::RunId;
use super::entry::EntryKey;
use crate::base::RoomId;

/// Blocks of one part: it is read by one block of a file system.
pub const PART_BLOCKS_MAX: usize = 127;

/// Bytes of an item.
pub const ITEM_BYTES: usize = 32;

/// Where something begins and lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexItem {
    /// The first key in it.
    pub first: EntryKey,
    /// Where it begins.
    pub place: u64,
    /// Its bytes.
    pub bytes: u32,
}

impl IndexItem {
    /// Where it ends: both are bounded by 40 and 24 bits.
    pub fn end(&self) -> u64 {
        self.place + u64::from(self.bytes)
    }
}

/// A list of them, as it stands at `place`.
pub fn encode(items: &[IndexItem], run: RunId, place: u64) -> Vec<u8> {
    let mut bytes = vec![0; SUM_BYTES];
    for item in items {
        assert!(item.place >> 40 == 0 && item.bytes >> 24 == 0, "bounded by the writer");
        bytes.extend(item.first.room.0.to_le_bytes());
        bytes.extend(item.first.offset.to_le_bytes());
        bytes.extend((item.place << 24 | u64::from(item.bytes)).to_le_bytes());
    }
    put_sum(&mut bytes, run, place);
    bytes
}

/// Reads a list of `count` items that stands at `place`; they lie before it, in order. `None` for
/// anything else.
pub fn parse(bytes: &[u8], count: usize, run: RunId, place: u64) -> Option<Vec<IndexItem>> {
    let listed = summed(bytes, run, place)?.get(..count.checked_mul(ITEM_BYTES)?)?;
    let items: Vec<IndexItem> = listed.chunks_exact(ITEM_BYTES).map(item).collect();
    let is_ordered =
        items.windows(2).all(|two| two[0].first < two[1].first && two[0].end() <= two[1].place);
    let is_bounded = items.iter().all(|item| item.bytes as usize <= BLOCK_BYTES_MAX);
    let is_before = items.last().is_none_or(|last| last.end() <= place);
    (is_ordered && is_bounded && is_before).then_some(items)
}

fn item(bytes: &[u8]) -> IndexItem {
    let (room, rest) = bytes.split_first_chunk().expect("an item has 32 bytes");
    let (offset, rest) = rest.split_first_chunk().expect("an item has 32 bytes");
    let lies = u64::from_le_bytes(rest.try_into().expect("an item has 32 bytes"));
    let room = RoomId(u128::from_le_bytes(*room));
    let first = EntryKey { room, offset: u64::from_le_bytes(*offset) };
    IndexItem { first, place: lies >> 24, bytes: (lies & 0xFF_FFFF) as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: RunId = RunId(5);

    fn item(offset: u64, place: u64, bytes: u32) -> IndexItem {
        IndexItem { first: EntryKey { room: RoomId(1 << 100), offset }, place, bytes }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_not_possible_is_refused() {
        let read =
            |items: &[IndexItem]| parse(&encode(items, RUN, 900), items.len(), RUN, 900).is_some();
        let whole = [item(1, 0, 100), item(u64::MAX - 1, 100, 800)];
        assert_eq!(parse(&encode(&whole, RUN, 900), 2, RUN, 900).unwrap(), whole);
        assert!(read(&[]));
        assert!(!read(&[item(2, 0, 100), item(1, 100, 800)]), "keys not in order");
        assert!(!read(&[item(1, 0, 100), item(1, 100, 800)]), "a key twice");
        assert!(!read(&[item(1, 0, 101), item(2, 100, 800)]), "one in the other");
        assert!(!read(&[item(1, 0, 901)]), "beyond its list");
        assert!(!read(&[item(1, 0, BLOCK_BYTES_MAX as u32 + 1)]), "too long");
        assert!(parse(&encode(&whole, RUN, 900), 3, RUN, 900).is_none(), "count");
        assert!(parse(&encode(&whole, RUN, 900), usize::MAX, RUN, 900).is_none());
        assert!(parse(&encode(&whole, RUN, 900), 2, RUN, 901).is_none(), "another place");
        assert!(parse(&encode(&whole, RUN, 900), 2, RunId(6), 900).is_none(), "another run");
    }
}
