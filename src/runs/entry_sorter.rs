//! Entries in the order of the log become entries in the order of a run.
//!
//! Memory: the bytes of values, and 40 B an entry, both within one bound.
//!
//! Deliberately absent: when a run is begun.

use super::entry::{EntryKey, EntryKind, RunEntry, VALUE_BYTES_MAX};
use super::writer::{RunPushError, RunWriter};

/// Memory of an entry beside its value.
const ITEM_BYTES: usize = size_of::<SortedItem>();

/// The entry would be beyond the bound; it belongs to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SorterFullError;

#[derive(Clone, Copy, Debug)]
struct SortedItem {
    key: EntryKey,
    begin: u32,
    bytes: u32,
    kind: EntryKind,
}

/// Entries of one run.
#[derive(Debug)]
pub struct EntrySorter {
    bytes_max: usize,
    values: Vec<u8>,
    items: Vec<SortedItem>,
    /// Those that are written; `None` until they are sorted.
    fed: Option<usize>,
}

impl EntrySorter {
    /// An empty one, of so many bytes.
    pub fn new(bytes_max: u32) -> EntrySorter {
        let bytes_max = bytes_max as usize;
        EntrySorter { bytes_max, values: Vec::new(), items: Vec::new(), fed: None }
    }

    /// Takes an entry that came after all others: it replaces one with its key. What is longer
    /// than a run's values is refused, too.
    pub fn push(&mut self, entry: &RunEntry<'_>) -> Result<(), SorterFullError> {
        let bytes = self.values.len() + entry.value.len() + (self.items.len() + 1) * ITEM_BYTES;
        if self.bytes_max < bytes || VALUE_BYTES_MAX < entry.value.len() || self.fed.is_some() {
            return Err(SorterFullError);
        }
        let (begin, bytes) = (self.values.len() as u32, entry.value.len() as u32);
        self.values.extend_from_slice(entry.value);
        self.items.push(SortedItem { key: entry.key, begin, bytes, kind: entry.kind });
        Ok(())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The bytes that it may have.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Bytes of values and entries in it, a bound of those that are written.
    pub fn bytes(&self) -> usize {
        self.values.len() + self.items.len() * ITEM_BYTES
    }

    /// Gives all entries once more, to another writer.
    pub fn rewind(&mut self) {
        self.fed = self.fed.map(|_| 0);
    }

    /// Gives entries to the writer until a piece waits there, or all have gone, which it says. No
    /// entry is taken any more.
    pub fn feed(&mut self, writer: &mut RunWriter) -> Result<SorterState, RunPushError> {
        let mut fed = match self.fed {
            Some(fed) => fed,
            None => {
                self.sort();
                0
            }
        };
        let mut result = Ok(SorterState::AllFed);
        for item in &self.items[fed..] {
            let value = &self.values[item.begin as usize..][..item.bytes as usize];
            match writer.push(&RunEntry { key: item.key, kind: item.kind, value }) {
                Ok(()) => fed += 1,
                Err(RunPushError::PieceWaits) => {
                    result = Ok(SorterState::PieceWaits);
                    break;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.fed = Some(fed);
        result
    }

    /// In order of keys, and of those with the same the last one's value. Where the first of them
    /// is a message, nothing older is replaced.
    fn sort(&mut self) {
        // A stable sort: what came later stands behind.
        self.items.sort_by_key(|item| item.key);
        self.items.reverse();
        self.items.dedup_by(|earlier, later| {
            let is_same = earlier.key == later.key;
            if is_same {
                later.kind = earlier.kind;
            }
            is_same
        });
        self.items.reverse();
    }
}

/// Whether there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SorterState {
    /// A piece of the writer is to be taken.
    PieceWaits,
    /// The writer has all.
    AllFed,
}
