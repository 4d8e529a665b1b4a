//! The trailer: the last page of a run, without which a file is none.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | sum of the page, as that of a block |
//! | 8..16 | `rookrrun` |
//! | 16..20 | form, 1 |
//! | 20..24 | level: how often its entries were merged |
//! | 24..32 | number of the run |
//! | 32..48 | first and last sequence of the log that it covers |
//! | 48..56 | bytes of the file |
//! | 56..72 | where the upper level of the index begins, and its items |
//! | 72..96 | entries, replacements among them, bytes of values |
//! | 96..104 | a time, in ms since 1970, behind which no entry is |
//!
//! Numbers are little-endian; the rest is zeros.
//!
//! Deliberately absent: which runs count.

use super::block::{SUM_BYTES, put_sum, summed};
use super::disk::RunId;
use super::index::{ITEM_BYTES, PART_BLOCKS_MAX};

/// Bytes of the trailer, and what a file's length is a multiple of, for direct writes.
pub const TRAILER_BYTES: usize = 4_096;

/// Bytes of a run. The index that is kept of it is at most a 160th.
pub const RUN_BYTES_MAX: u64 = 4 << 30;

const MAGIC: &[u8; 8] = b"rookrrun";
const FORM: u64 = 1;

/// Bytes of a part of the index with its blocks; only the last may be shorter.
const PART_BYTES_MIN: u64 = (SUM_BYTES + PART_BLOCKS_MAX * (ITEM_BYTES + SUM_BYTES + 2)) as u64;

/// Batches of the log, first and last included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogRange {
    /// The first one's sequence.
    pub first: u64,
    /// The last one's.
    pub last: u64,
}

/// What a run says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// Its number.
    pub id: RunId,
    /// How often its entries were merged.
    pub level: u32,
    /// All of the log that it covers.
    pub log: LogRange,
    /// No entry is of a later time than this, in ms since 1970.
    pub newest_unix_ms: u64,
    /// Bytes of its file.
    pub bytes: u64,
    /// Entries in it.
    pub entries: u64,
    /// Those of them that replace what older runs may have.
    pub replacements: u64,
    /// Bytes of values.
    pub value_bytes: u64,
}

/// Where the upper level of the index stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpperIndex {
    /// Its first byte; it goes to the trailer, with zeros behind its items.
    pub place: u64,
    /// Its items.
    pub count: u64,
}

/// Why there is no trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrailerError {
    /// Nothing says that the file is whole.
    Missing,
    /// A newer program wrote it, in this form.
    NewerForm(u32),
}

/// The trailer of a file.
pub fn encode(info: &RunInfo, upper: UpperIndex) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    bytes.extend(MAGIC);
    bytes.extend((FORM | u64::from(info.level) << 32).to_le_bytes());
    for number in [info.id.0, info.log.first, info.log.last, info.bytes, upper.place, upper.count] {
        bytes.extend(number.to_le_bytes());
    }
    for number in [info.entries, info.replacements, info.value_bytes, info.newest_unix_ms] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(TRAILER_BYTES, 0);
    put_sum(&mut bytes, info.id, info.bytes - TRAILER_BYTES as u64);
    bytes
}

/// Reads the last page of the file of this run, which has so many bytes.
pub fn parse(page: &[u8], id: RunId, bytes: u64) -> Result<(RunInfo, UpperIndex), TrailerError> {
    let place = bytes.checked_sub(TRAILER_BYTES as u64).ok_or(TrailerError::Missing)?;
    let said = summed(page, id, place).filter(|said| said.starts_with(MAGIC));
    let said = said.ok_or(TrailerError::Missing)?;
    let mut numbers = said[MAGIC.len()..]
        .chunks_exact(8)
        .map(|number| u64::from_le_bytes(number.try_into().expect("eight bytes")));
    let mut next = || numbers.next().unwrap_or(0);
    let form = next();
    let level = (form >> 32) as u32;
    let form = form as u32;
    if u64::from(form) != FORM {
        return Err(TrailerError::NewerForm(form));
    }
    let said_id = RunId(next());
    let log = LogRange { first: next(), last: next() };
    let said_bytes = next();
    let upper = UpperIndex { place: next(), count: next() };
    let (entries, replacements, value_bytes) = (next(), next(), next());
    let newest_unix_ms = next();
    let info =
        RunInfo { id, level, log, newest_unix_ms, bytes, entries, replacements, value_bytes };
    let listed = place.saturating_sub(upper.place) / ITEM_BYTES as u64;
    let is_possible = said_id == id
        && said_bytes == bytes
        && bytes <= RUN_BYTES_MAX
        && log.first <= log.last
        && upper.place < place
        && upper.count <= listed
        && upper.count.saturating_sub(1) * PART_BYTES_MIN <= upper.place
        && (upper.count == 0) == (entries == 0);
    if is_possible { Ok((info, upper)) } else { Err(TrailerError::Missing) }
}
