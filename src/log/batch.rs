//! A batch: records of many channels in one buffer, sealed once and the unit everywhere.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | seal: XXH3-64 of all that follows |
//! | 8..16 | the seal of the batch before, which makes a chain of them |
//! | 16..24 | term |
//! | 24..32 | sequence |
//! | 32..36 | records |
//! | 36..40 | form, 1 |
//! | then | of each record its partition (1 byte), its length (3 bytes), and its bytes |
//!
//! Numbers are little-endian.
//!
//! Deliberately absent: pages (`page`), what a record says.

use xxhash_rust::xxh3::xxh3_64;

use super::position::{LogPosition, Partition};

/// Bytes of a sealed batch.
pub const BATCH_BYTES_MAX: u32 = 256 << 10;

/// Bytes before the first record.
pub const BATCH_HEAD_BYTES: usize = 40;

/// Bytes before each record's own.
const RECORD_HEAD_BYTES: usize = 4;

/// What the bytes of this form begin with.
const FORM: u32 = 1;

/// The record would be beyond the bound of a batch, which is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchFullError;

/// A batch that is being filled. Its memory is used again for the next one.
#[derive(Debug)]
pub struct LogBatch {
    bytes: Vec<u8>,
    record_count: u32,
    bytes_max: usize,
}

impl LogBatch {
    /// An empty one that takes so many bytes.
    pub fn new(bytes_max: u32) -> LogBatch {
        let bytes_max = (bytes_max.min(BATCH_BYTES_MAX)) as usize;
        LogBatch { bytes: vec![0; BATCH_HEAD_BYTES], record_count: 0, bytes_max }
    }

    /// Adds a record.
    pub fn push(&mut self, partition: Partition, record: &[u8]) -> Result<(), BatchFullError> {
        self.push_parts(partition, &[record])
    }

    /// Adds a record that is these parts, one behind the other.
    pub fn push_parts(
        &mut self,
        partition: Partition,
        parts: &[&[u8]],
    ) -> Result<(), BatchFullError> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if self.bytes_max < self.bytes.len() + RECORD_HEAD_BYTES + len {
            return Err(BatchFullError);
        }
        // The bound is below 2^24, so the length is, too.
        let head = u32::from(partition.number()) | (len as u32) << 8;
        self.bytes.extend_from_slice(&head.to_le_bytes());
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.record_count += 1;
        Ok(())
    }

    /// Bytes that another record may have; 0 also where there is no room for any.
    pub fn record_room(&self) -> usize {
        self.bytes_max.saturating_sub(self.bytes.len() + RECORD_HEAD_BYTES)
    }

    /// Records in it.
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Bytes that it has when it is sealed.
    pub fn sealed_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// An empty one whose memory was another one's.
    pub fn reusing(bytes_max: u32, mut memory: Vec<u8>) -> LogBatch {
        memory.clear();
        memory.resize(BATCH_HEAD_BYTES, 0);
        LogBatch { bytes: memory, ..LogBatch::new(bytes_max) }
    }

    /// All of its bytes. They are sealed if it was appended.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Makes it empty.
    pub fn clear(&mut self) {
        self.bytes.truncate(BATCH_HEAD_BYTES);
        self.record_count = 0;
    }

    /// Gives it its place behind the batch with the seal `previous`. Its bytes are not changed
    /// from here on.
    pub(super) fn seal(&mut self, position: LogPosition, previous: u64) -> SealedBatch<'_> {
        self.bytes[8..16].copy_from_slice(&previous.to_le_bytes());
        self.bytes[16..24].copy_from_slice(&position.term.to_le_bytes());
        self.bytes[24..32].copy_from_slice(&position.sequence.to_le_bytes());
        self.bytes[32..36].copy_from_slice(&self.record_count.to_le_bytes());
        self.bytes[36..40].copy_from_slice(&FORM.to_le_bytes());
        let seal = xxh3_64(&self.bytes[8..]);
        self.bytes[..8].copy_from_slice(&seal.to_le_bytes());
        SealedBatch { bytes: &self.bytes }
    }
}

#[cfg(test)]
impl LogBatch {
    /// All of its bytes, sealed behind nothing.
    pub fn seal_for_test(mut self, sequence: u64) -> Vec<u8> {
        self.seal(LogPosition::of_file(sequence), 0);
        self.into_bytes()
    }
}

/// The bytes are no sealed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealError;

/// A sealed batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealedBatch<'b> {
    bytes: &'b [u8],
}

impl<'b> SealedBatch<'b> {
    /// Reads bytes that come from a disk or another host.
    pub fn parse(bytes: &'b [u8]) -> Result<SealedBatch<'b>, SealError> {
        if bytes.len() < BATCH_HEAD_BYTES || (BATCH_BYTES_MAX as usize) < bytes.len() {
            return Err(SealError);
        }
        let batch = SealedBatch { bytes };
        let counted = u32_at(bytes, 32) as usize;
        let is_whole = u32_at(bytes, 36) == FORM
            && batch.seal() == xxh3_64(&bytes[8..])
            && batch.records().count() == counted
            && batch.records().all(|record| record.is_some());
        if is_whole { Ok(batch) } else { Err(SealError) }
    }

    /// All of its bytes, as they are sent and kept.
    pub fn bytes(&self) -> &'b [u8] {
        self.bytes
    }

    /// What the next one names.
    pub fn seal(&self) -> u64 {
        u64_at(self.bytes, 0)
    }

    /// The seal of the one before.
    pub fn previous(&self) -> u64 {
        u64_at(self.bytes, 8)
    }

    /// Where it stands.
    pub fn position(&self) -> LogPosition {
        LogPosition { term: u64_at(self.bytes, 16), sequence: u64_at(self.bytes, 24) }
    }

    /// Its records in order; `None` for one that is none, behind which nothing comes.
    pub fn records(&self) -> impl Iterator<Item = Option<(Partition, &'b [u8])>> + use<'b> {
        let mut rest = &self.bytes[BATCH_HEAD_BYTES..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let record = split_record(rest);
            rest = record.map_or(&[], |(_, _, rest)| rest);
            Some(record.map(|(partition, record, _)| (partition, record)))
        })
    }
}

/// The first record, and what follows it.
fn split_record(bytes: &[u8]) -> Option<(Partition, &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(RECORD_HEAD_BYTES)?;
    let head = u32_at(head, 0);
    let (record, rest) = rest.split_at_checked((head >> 8) as usize)?;
    Some((Partition::new(head as u8)?, record, rest))
}

/// A number at a place that is there.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// See `u64_at`.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(records: &[&[u8]]) -> Vec<u8> {
        let mut batch = LogBatch::new(BATCH_BYTES_MAX);
        for (number, record) in records.iter().enumerate() {
            batch.push(Partition::new(number as u8).unwrap(), record).unwrap();
        }
        batch.seal(LogPosition { term: 3, sequence: 7 }, 99).bytes().to_vec()
    }

    #[test]
    fn what_is_sealed_is_read() {
        let three: [&[u8]; 3] = [b"one", b"", b"three"];
        for records in [&[][..], &three[1..2], &three[..]] {
            let bytes = sealed(records);
            let batch = SealedBatch::parse(&bytes).unwrap();
            assert_eq!(batch.position(), LogPosition { term: 3, sequence: 7 });
            assert_eq!(batch.previous(), 99);
            let found: Vec<_> = batch.records().map(Option::unwrap).collect();
            let wanted = records.iter().enumerate();
            let wanted =
                wanted.map(|(number, bytes)| (Partition::new(number as u8).unwrap(), *bytes));
            assert_eq!(found, wanted.collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_seen() {
        let bytes = sealed(&[b"one", b"two"]);
        for cut in 0..bytes.len() {
            assert_eq!(SealedBatch::parse(&bytes[..cut]), Err(SealError), "{cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SealedBatch::parse(&other), Err(SealError), "{bit}");
        }
    }

    /// A seal says who wrote it, and not that its writer made no mistake.
    #[test]
    fn records_that_are_none_are_refused_under_a_right_seal() {
        let reseal = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = sealed(&[b"one", b"two"]);
            change(&mut bytes);
            let seal = xxh3_64(&bytes[8..]);
            bytes[..8].copy_from_slice(&seal.to_le_bytes());
            SealedBatch::parse(&bytes).map(|_| ())
        };
        assert_eq!(reseal(&|_| ()), Ok(()));
        assert_eq!(reseal(&|bytes| bytes[40] = PARTITIONS_BYTE), Err(SealError), "partition");
        assert_eq!(reseal(&|bytes| bytes[41] += 1), Err(SealError), "a length too long");
        assert_eq!(reseal(&|bytes| bytes[48] = 1), Err(SealError), "a length too short");
        assert_eq!(reseal(&|bytes| bytes[32] = 3), Err(SealError), "count");
        assert_eq!(reseal(&|bytes| bytes[36] = 2), Err(SealError), "form");
    }

    const PARTITIONS_BYTE: u8 = super::super::position::PARTITIONS;

    #[test]
    fn a_batch_takes_what_its_bound_says_and_not_a_byte_more() {
        let one = Partition::new(0).unwrap();
        let mut batch = LogBatch::new(100);
        let whole = [7; 100 - BATCH_HEAD_BYTES - RECORD_HEAD_BYTES];
        assert_eq!(batch.push(one, &[&whole[..], &[7]].concat()), Err(BatchFullError));
        assert_eq!(batch.sealed_bytes(), BATCH_HEAD_BYTES);
        batch.push(one, &whole).unwrap();
        assert_eq!((batch.record_count(), batch.sealed_bytes()), (1, 100));
        assert_eq!(batch.push(one, &[]), Err(BatchFullError));
        batch.clear();
        assert_eq!((batch.record_count(), batch.sealed_bytes()), (0, BATCH_HEAD_BYTES));
    }
}
