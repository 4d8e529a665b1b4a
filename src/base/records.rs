//! Records of a file: each with its length and checksum, so that whatever was cut off or changed
//! of the file, the records that are whole are found.
//!
//! Deliberately absent: what a record says, and the file.

use xxhash_rust::xxh3::xxh3_64;

/// A record's length and its checksum.
const HEAD_BYTES: usize = 12;

/// What was found in a file.
#[derive(Debug, PartialEq, Eq)]
pub struct FoundRecords<T> {
    /// Records that are whole, in order.
    pub records: Vec<T>,
    /// Bytes between them that are no record's. A record at the end that was cut off is no damage:
    /// nobody was told that it was written.
    pub damaged_bytes: usize,
}

/// Appends a record.
pub fn put_record(payload: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(payload.len()).expect("a record is bounded");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&xxh3_64(payload).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Finds all records that `parse` understands. `start` is how each of them begins, a cheap check
/// that makes the search for the next whole record fast.
pub fn find_records<T>(
    mut bytes: &[u8],
    start: &[u8],
    mut parse: impl FnMut(&[u8]) -> Option<T>,
) -> FoundRecords<T> {
    let mut found = FoundRecords { records: Vec::new(), damaged_bytes: 0 };
    let mut skipped_bytes = 0;
    while !bytes.is_empty() {
        let whole = first_payload(bytes, start);
        match whole.and_then(|payload| Some((parse(payload)?, HEAD_BYTES + payload.len()))) {
            Some((record, len)) => {
                found.damaged_bytes += std::mem::take(&mut skipped_bytes);
                found.records.push(record);
                bytes = &bytes[len..];
            }
            None => {
                skipped_bytes += 1;
                bytes = &bytes[1..];
            }
        }
    }
    found
}

/// The payload of the record at the start of these bytes, if there is one.
fn first_payload<'b>(bytes: &'b [u8], start: &[u8]) -> Option<&'b [u8]> {
    let (head, rest) = bytes.split_at_checked(HEAD_BYTES)?;
    let len = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let hash = u64::from_le_bytes(head[4..].try_into().ok()?);
    let payload = rest.get(..len)?;
    (payload.starts_with(start) && xxh3_64(payload) == hash).then_some(payload)
}
