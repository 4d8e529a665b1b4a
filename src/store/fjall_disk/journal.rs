//! fjall's journals, read before fjall reads them.
//!
//! fjall stops at the first batch that it cannot parse and cuts the journal there,
//! which is right for a torn end and loses everything behind a flipped bit. So this
//! looks for whole batches behind the place. A torn end, which no answer depends
//! on, is cut here: fjall refuses one whose lengths are right and bytes are not.
//!
//! A batch is `1, items: u32, sequence: u64`, items, and `3, xxh3 of the items: u64,
//! "FJL" 3`; numbers are little-endian. An item is `2, kind: u8, compression: u8,
//! keyspace: u64, key: u16, value: u32, stored: u32`, the key, the stored bytes; or
//! `4, keyspace: u64`, which empties one. The file is filled up with zeros.
//!
//! Deliberately absent: what the batches say.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::super::{OpenError, SuspectedLoss};
use super::layout::io_open_fault;

const PAGE_BYTES: usize = 4_096;

/// What a journal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// Batches and then zeros.
    Whole,
    /// The batch at this byte was not finished.
    Torn(usize),
    /// What stands at this byte is no batch, and whole ones follow.
    Damaged(usize),
}

/// Checks the journals of a database, and cuts a torn end off. Nobody may have the
/// database open.
pub fn mend(dir: &Path, db_dir: &Path) -> Result<(), OpenError> {
    let fault = |error: std::io::Error| io_open_fault(dir, &error);
    let damaged = |what: String| Err(OpenError::Damaged { dir: dir.to_path_buf(), what });
    let journals = journals(db_dir).map_err(fault)?;
    // Without one fjall would start with nothing, and hide what is in the tables.
    let Some((_, newest)) = journals.last() else {
        return damaged("its journal is missing".into());
    };
    for (_, path) in &journals {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match scan(&fs::read(path).map_err(fault)?) {
            Found::Whole => {}
            Found::Torn(at) if path == newest => cut(path, at).map_err(fault)?,
            Found::Torn(at) | Found::Damaged(at) => {
                return damaged(format!("{name} at byte {at} does not match its checksum"));
            }
        }
    }
    Ok(())
}

/// What is cut off a journal is kept under such a name until it is known that the log has it.
const CUT_PREFIX: &str = "journal.cut-";

/// For a database behind a log, which has everything that a journal may lack: cuts the journals
/// at the first place that is no batch, however whole what follows is. What is cut off is kept
/// until `forget_cuts`. Nobody may have the database open.
pub fn cut_unproven(dir: &Path, db_dir: &Path) -> Result<(), OpenError> {
    let fault = |error: std::io::Error| io_open_fault(dir, &error);
    let mut journals = journals(db_dir).map_err(fault)?.into_iter();
    if journals.len() == 0 {
        let what = "its journal is missing".to_owned();
        return Err(OpenError::Damaged { dir: dir.to_path_buf(), what });
    }
    while let Some((number, path)) = journals.next() {
        let bytes = fs::read(&path).map_err(fault)?;
        let (Found::Torn(at) | Found::Damaged(at)) = scan(&bytes) else { continue };
        // What follows goes first: a journal behind a gap must not be read.
        for (later, path) in journals.rev() {
            fs::rename(path, dir.join(format!("{CUT_PREFIX}{later}"))).map_err(fault)?;
        }
        let kept = dir.join(format!("{CUT_PREFIX}{number}"));
        fs::write(kept, &bytes[at..]).map_err(fault)?;
        File::open(db_dir).and_then(|dir| dir.sync_all()).map_err(fault)?;
        return cut(&path, at).map_err(fault);
    }
    Ok(())
}

/// What was cut off is not needed. Best effort: it takes space, and nothing else.
pub fn forget_cuts(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(CUT_PREFIX) {
            drop(fs::remove_file(entry.path()));
        }
    }
}

/// Cuts the journals where they are damaged, after a copy was made; whether there
/// was anything to cut. What follows the place in the same journal is lost, and
/// nobody can tell of which channels it was.
pub fn cut_damage(dir: &Path, db_dir: &Path) -> Result<SuspectedLoss, OpenError> {
    let fault = |error: std::io::Error| io_open_fault(dir, &error);
    let journals = journals(db_dir).map_err(fault)?;
    let mut suspected_loss = SuspectedLoss::None;
    for (number, path) in &journals {
        let is_newest = journals.last().is_some_and(|(newest, _)| newest == number);
        match scan(&fs::read(path).map_err(fault)?) {
            Found::Torn(_) if is_newest => {}
            Found::Whole => {}
            Found::Torn(at) | Found::Damaged(at) => {
                let copy = dir.join(format!("journal.damaged-{number}"));
                fs::copy(path, copy).map_err(fault)?;
                cut(path, at).map_err(fault)?;
                suspected_loss = SuspectedLoss::AllChannels;
            }
        }
    }
    Ok(suspected_loss)
}

/// Empties the journals of a database all of whose tables are synced and hold
/// everything. Nobody may have it open.
pub fn empty(dir: &Path, db_dir: &Path) -> Result<(), OpenError> {
    let fault = |error: std::io::Error| io_open_fault(dir, &error);
    let mut journals = journals(db_dir).map_err(fault)?;
    // fjall would not go on without one.
    let newest = journals.pop();
    for (_, path) in journals {
        fs::remove_file(path).map_err(fault)?;
    }
    newest.map_or(Ok(()), |(_, path)| cut(&path, 0).map_err(fault))
}

/// By number, the newest last.
fn journals(db_dir: &Path) -> std::io::Result<Vec<(u64, PathBuf)>> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(db_dir)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), true) = (number, path.extension().is_some_and(|end| end == "jnl")) {
            journals.push((number, path));
        }
    }
    journals.sort();
    Ok(journals)
}

fn cut(path: &Path, at: usize) -> std::io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(at as u64)?;
    file.sync_all()
}

fn scan(bytes: &[u8]) -> Found {
    let (mut at, mut last) = (0, None);
    // The checksum does not cover the sequence number, so that must rise.
    while let Some((next, sequence)) = batch_at(bytes, at).filter(|(_, found)| Some(*found) > last)
    {
        (at, last) = (next, Some(sequence));
    }
    if bytes[at..].iter().all(|byte| *byte == 0) {
        return Found::Whole;
    }
    // A whole batch whose number does not rise is one, too.
    let follows = (at..bytes.len()).find(|&behind| batch_at(bytes, behind).is_some());
    match follows {
        // Pages that the power cut kept from the disk read as zeros: all of this
        // was not synced, so nothing that must be kept stands behind it.
        Some(behind) if !has_empty_page(bytes, at, behind) => Found::Damaged(at),
        Some(_) | None => Found::Torn(at),
    }
}

fn has_empty_page(bytes: &[u8], from: usize, to: usize) -> bool {
    let pages = from.div_ceil(PAGE_BYTES)..to / PAGE_BYTES;
    pages
        .into_iter()
        .any(|page| bytes[page * PAGE_BYTES..(page + 1) * PAGE_BYTES].iter().all(|byte| *byte == 0))
}

/// The whole batch that begins here: where it ends, and its sequence number.
fn batch_at(bytes: &[u8], at: usize) -> Option<(usize, u64)> {
    let mut from = Part { bytes, at };
    if from.take() != Some([1]) {
        return None;
    }
    let items_count = u32::from_le_bytes(from.take()?);
    let sequence = u64::from_le_bytes(from.take()?);
    let begin = from.at;
    for _ in 0..items_count {
        match from.take()? {
            [2] => {
                from.skip(1 + 1 + 8)?;
                let key = u16::from_le_bytes(from.take()?);
                from.skip(4)?;
                let stored = u32::from_le_bytes(from.take()?);
                from.skip(usize::from(key) + stored as usize)?;
            }
            [4] => from.skip(8)?,
            [_] => return None,
        }
    }
    let sum = xxh3_64(&bytes[begin..from.at]);
    let is_whole = from.take()? == [3]
        && u64::from_le_bytes(from.take()?) == sum
        && &from.take::<4>()? == b"FJL\x03";
    is_whole.then_some((from.at, sequence))
}

struct Part<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Part<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.bytes.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(*taken)
    }

    fn skip(&mut self, len: usize) -> Option<()> {
        self.at = self.at.checked_add(len).filter(|at| *at <= self.bytes.len())?;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(sequence: u64, value: &[u8]) -> Vec<u8> {
        let mut items = vec![2, 0, 0];
        items.extend(7u64.to_le_bytes());
        items.extend(3u16.to_le_bytes());
        items.extend((value.len() as u32).to_le_bytes());
        items.extend((value.len() as u32).to_le_bytes());
        items.extend(b"key");
        items.extend(value);
        let mut bytes = vec![1, 1, 0, 0, 0];
        bytes.extend(sequence.to_le_bytes());
        bytes.extend(&items);
        bytes.push(3);
        bytes.extend(xxh3_64(&items).to_le_bytes());
        bytes.extend(b"FJL\x03");
        bytes
    }

    fn journal() -> (Vec<u8>, Vec<usize>) {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for sequence in 1..5 {
            bytes.extend(batch(sequence, &[b'v'; 40]));
            ends.push(bytes.len());
        }
        (bytes, ends)
    }

    #[test]
    fn a_journal_cut_anywhere_is_torn_there() {
        let (bytes, ends) = journal();
        for len in 0..=bytes.len() {
            let mut cut = bytes[..len].to_vec();
            let whole = *ends.iter().rfind(|end| **end <= len).unwrap();
            let want = if whole == len { Found::Whole } else { Found::Torn(whole) };
            assert_eq!(scan(&cut), want);
            cut.extend([0; 100]);
            assert_eq!(scan(&cut), want, "filled up with zeros");
        }
    }

    #[test]
    fn a_flipped_bit_before_the_last_batch_is_damage() {
        let (bytes, ends) = journal();
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            let begin = *ends.iter().rfind(|end| **end <= at).unwrap();
            let is_last = begin == ends[3];
            let is_sequence = (5..13).contains(&(at - begin));
            let found = scan(&flipped);
            match (is_last, is_sequence) {
                // A number that is too high is seen at the next batch, unless it is
                // the last one's, of which nothing depends on it.
                (_, true) => assert!(matches!(found, Found::Whole | Found::Damaged(_))),
                (false, false) => assert_eq!(found, Found::Damaged(begin), "byte {at}"),
                (true, false) => assert_eq!(found, Found::Torn(begin), "byte {at}"),
            }
        }
    }

    #[test]
    fn pages_that_never_arrived_are_no_damage() {
        let mut bytes = batch(1, &[b'v'; 100]);
        let end = bytes.len();
        bytes.extend(batch(2, &[b'v'; 3 * PAGE_BYTES]));
        bytes.extend(batch(3, b"v"));
        assert_eq!(scan(&bytes), Found::Whole);
        bytes[PAGE_BYTES..2 * PAGE_BYTES].fill(0);
        assert_eq!(scan(&bytes), Found::Torn(end));
        bytes[PAGE_BYTES] = 1;
        assert_eq!(scan(&bytes), Found::Damaged(end));
    }
}
