//! An entry: what is kept at an offset of a room.
//!
//! Deliberately absent: what a value says, how entries lie in a file (`block`).

use crate::base::RoomId;

/// Bytes of a value: a batch of the log has no longer one.
pub const VALUE_BYTES_MAX: usize = 256 << 10;

/// What entries are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryKey {
    /// The room.
    pub room: RoomId,
    /// Its offset there.
    pub offset: u64,
}

impl EntryKey {
    /// The lowest of all.
    pub const MIN: EntryKey = EntryKey { room: RoomId(0), offset: 0 };

    /// The highest of all.
    pub const MAX: EntryKey = EntryKey { room: RoomId(u128::MAX), offset: u64::MAX };
}

/// Whether something was at the offset before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// The first that was said there.
    Message,
    /// An edit or a retraction: older runs may still have what it replaces.
    Replacement,
}

/// An entry whose value lies elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunEntry<'e> {
    /// Where it stands.
    pub key: EntryKey,
    /// Whether it replaces one.
    pub kind: EntryKind,
    /// What it says.
    pub value: &'e [u8],
}

/// An entry that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Where it stands.
    pub key: EntryKey,
    /// Whether it replaces one.
    pub kind: EntryKind,
    /// What it says.
    pub value: Vec<u8>,
}

impl RunEntry<'_> {
    /// The same with a value of its own.
    pub fn stored(&self) -> StoredEntry {
        StoredEntry { key: self.key, kind: self.kind, value: self.value.to_vec() }
    }
}
