//! What the store needs of a disk: ordered keys in a closed list of spaces, and
//! batches that happen wholly or not at all.
//!
//! Two implementations: `fjall_disk.rs`, and `simulated.rs` for worlds that a
//! seed decides.
//!
//! Deliberately absent: what keys and values mean, and when to sync.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use smallvec::SmallVec;

use super::log_activity::LogActivity;
use super::messages::ReadOrder;
use super::value_arena::{ValueArena, ValuePlace};

/// Which channels may have lost something that nothing tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspectedLoss {
    /// None.
    None,
    /// All: a part of the journal is gone.
    AllChannels,
}

/// Keys of different kinds. Each is ordered by the bytes of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StoreKeyspace {
    /// The format, and the key of names.
    Meta,
    /// By room: its record.
    Channels,
    /// By room and offset: messages.
    Messages,
    /// By room and user: how far the user is.
    Markers,
    /// By inbox and channel's name: a user's conversations.
    Conversations,
    /// By inbox, room and offset: what waits for its reader.
    Pending,
    /// By inbox, room and offset: what was given up.
    Dead,
    /// By time, room and offset: ids that authors gave to messages.
    Ids,
    /// By room and offset: how many reacted to a message with what.
    ReactionTotals,
    /// By room, offset and user: what the user reacted to a message with.
    Reactions,
    /// By room and user: the members of a group, and those who are invited.
    GroupMembers,
    /// By inbox and channel's name: the groups of a user.
    UserGroups,
}

impl StoreKeyspace {
    /// All, in the order of `index`.
    pub const ALL: [StoreKeyspace; 12] = [
        StoreKeyspace::Meta,
        StoreKeyspace::Channels,
        StoreKeyspace::Messages,
        StoreKeyspace::Markers,
        StoreKeyspace::Conversations,
        StoreKeyspace::Pending,
        StoreKeyspace::Dead,
        StoreKeyspace::Ids,
        StoreKeyspace::ReactionTotals,
        StoreKeyspace::Reactions,
        StoreKeyspace::GroupMembers,
        StoreKeyspace::UserGroups,
    ];

    /// Dense, for tables by space.
    pub fn index(self) -> usize {
        match self {
            StoreKeyspace::Meta => 0,
            StoreKeyspace::Channels => 1,
            StoreKeyspace::Messages => 2,
            StoreKeyspace::Markers => 3,
            StoreKeyspace::Conversations => 4,
            StoreKeyspace::Pending => 5,
            StoreKeyspace::Dead => 6,
            StoreKeyspace::Ids => 7,
            StoreKeyspace::ReactionTotals => 8,
            StoreKeyspace::Reactions => 9,
            StoreKeyspace::GroupMembers => 10,
            StoreKeyspace::UserGroups => 11,
        }
    }
}

/// Why the disk did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskError {
    /// No space. What was asked may or may not have happened.
    Full,
    /// A write or a sync failed, or an earlier one did. What was asked may or may
    /// not have happened, and nothing more is written before `reopen`.
    Broken,
    /// What is there does not match its checksum, or is no record.
    Damaged,
}

/// When a batch is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// As soon as `commit` returns.
    Now,
    /// After the next `sync`. Until then the kernel has it: it survives the end
    /// of the process.
    Later,
}

/// How full the disk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Bytes that the store uses.
    pub used_bytes: u64,
    /// Bytes that are free for it.
    pub free_bytes: u64,
}

/// Keys from one to another, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The lowest.
    pub first: Vec<u8>,
    /// The highest.
    pub last: Vec<u8>,
}

/// Sees an entry, and says whether it wants the next.
pub type ScanCallback<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// An ordered key-value store.
pub trait Disk {
    /// The value of a key.
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError>;

    /// Entries of a range one by one, until `on_entry` has enough.
    fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError>;

    /// Writes a batch, wholly or not at all, and may take what is in it. After a failure it is as
    /// it was, and nothing more is written before `reopen` succeeds; reading may go on.
    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError>;

    /// Whether messages may be written: not while so much of what was committed waits behind it
    /// that a commit would soon wait, too.
    fn takes_messages(&self) -> bool;

    /// Returns when all that was committed is on the disk.
    fn sync(&mut self) -> Result<(), DiskError>;

    /// Reads again what is really there. What can be read afterwards is durable.
    fn reopen(&mut self) -> Result<(), DiskError>;

    /// Gives back the space of what was removed, or is kept twice. Takes a while, and
    /// a part of the reserve. What fails is as after a failed `commit`.
    fn reclaim(&mut self) -> Result<(), DiskError>;

    /// Does what it does by itself: takes note of what is over behind it, and begins what is due.
    /// What fails is as after a failed `commit`. `now_unix_ms` is the time of the wall clock.
    fn tend(&mut self, now_unix_ms: u64) -> Result<(), DiskError>;

    /// When `tend` is due, in ms from the last time on; `None` where nothing is.
    fn tend_due_ms(&self) -> Option<u64>;

    /// Makes everything durable, and the next start quick. Nothing is written behind it.
    fn close(&mut self) -> Result<(), DiskError>;

    /// How full it is; may cost a system call for each file.
    fn capacity(&self) -> Result<Capacity, DiskError>;

    /// A number that is another one, and never 0, after what was committed and not
    /// synced may have been lost without our doing: in a power cut.
    fn boot_id(&self) -> u64;

    /// What its log did since this was last asked; the default where it has none.
    fn take_log_activity(&mut self) -> LogActivity;
}

impl<D: Disk + ?Sized> Disk for Box<D> {
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        (**self).get(space, key)
    }

    fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        (**self).scan(space, range, order, on_entry)
    }

    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError> {
        (**self).commit(batch, durable)
    }

    fn takes_messages(&self) -> bool {
        (**self).takes_messages()
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        (**self).sync()
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        (**self).reopen()
    }

    fn reclaim(&mut self) -> Result<(), DiskError> {
        (**self).reclaim()
    }

    fn tend(&mut self, now_unix_ms: u64) -> Result<(), DiskError> {
        (**self).tend(now_unix_ms)
    }

    fn tend_due_ms(&self) -> Option<u64> {
        (**self).tend_due_ms()
    }

    fn close(&mut self) -> Result<(), DiskError> {
        (**self).close()
    }

    fn capacity(&self) -> Result<Capacity, DiskError> {
        (**self).capacity()
    }

    fn boot_id(&self) -> u64 {
        (**self).boot_id()
    }

    fn take_log_activity(&mut self) -> LogActivity {
        (**self).take_log_activity()
    }
}

/// What a batch does to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyChange<'a> {
    /// Nothing.
    None,
    /// It sets this value.
    Put(&'a [u8]),
    /// It removes the key.
    Remove,
}

/// Bytes of a key that stand in the tree itself: all but those with names.
const INLINE_KEY_BYTES: usize = 40;

type BatchKey = SmallVec<[u8; INLINE_KEY_BYTES]>;

type Changes = BTreeMap<BatchKey, Option<ValuePlace>>;

/// Writes that happen together. The last write of a key counts.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    changes: [Changes; StoreKeyspace::ALL.len()],
    /// Also those that were written over.
    values: ValueArena,
    bytes: usize,
}

impl Batch {
    /// Sets a key's value.
    pub fn put(&mut self, space: StoreKeyspace, key: &[u8], value: impl AsRef<[u8]>) {
        assert!(!key.is_empty(), "a key has bytes");
        let value = value.as_ref();
        self.bytes += key.len() + value.len();
        let place = self.values.push(value);
        self.changes[space.index()].insert(BatchKey::from_slice(key), Some(place));
    }

    /// Removes a key.
    pub fn remove(&mut self, space: StoreKeyspace, key: &[u8]) {
        assert!(!key.is_empty(), "a key has bytes");
        self.bytes += key.len();
        self.changes[space.index()].insert(BatchKey::from_slice(key), None);
    }

    /// What the batch does to a key.
    pub fn change_of(&self, space: StoreKeyspace, key: &[u8]) -> KeyChange<'_> {
        match self.changes[space.index()].get(key) {
            None => KeyChange::None,
            Some(None) => KeyChange::Remove,
            Some(Some(place)) => KeyChange::Put(self.values.get(*place)),
        }
    }

    /// What becomes of the keys of a range, by key.
    pub fn range(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
    ) -> impl DoubleEndedIterator<Item = (&[u8], Option<&[u8]>)> {
        let bounds = (Bound::Included(&range.first[..]), Bound::Included(&range.last[..]));
        // The tree's own range panics where the ends are the wrong way round.
        let changes = (range.first <= range.last)
            .then(|| self.changes[space.index()].range::<[u8], _>(bounds));
        changes.into_iter().flatten().map(|change| self.change(change))
    }

    fn change<'b>(
        &'b self,
        (key, value): (&'b BatchKey, &'b Option<ValuePlace>),
    ) -> (&'b [u8], Option<&'b [u8]>) {
        (&key[..], value.map(|place| self.values.get(place)))
    }

    /// All changes of a space, by key.
    pub fn changes_of(&self, space: StoreKeyspace) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes[space.index()].iter().map(|change| self.change(change))
    }

    /// All changes, by space and key.
    pub fn iter(&self) -> impl Iterator<Item = (StoreKeyspace, &[u8], Option<&[u8]>)> {
        StoreKeyspace::ALL
            .into_iter()
            .flat_map(|space| self.changes_of(space).map(move |(key, value)| (space, key, value)))
    }

    /// Adds the changes of a space of another one, which happen behind its own.
    pub fn absorb(&mut self, space: StoreKeyspace, other: &Batch) {
        for (key, value) in other.changes_of(space) {
            match value {
                Some(value) => self.put(space, key, value),
                None => self.remove(space, key),
            }
        }
    }

    /// The keys of a space that are removed.
    pub fn removed(&self, space: StoreKeyspace) -> impl Iterator<Item = &[u8]> {
        self.changes_of(space).filter(|(_, value)| value.is_none()).map(|(key, _)| key)
    }

    /// Bytes of keys and values that were written, also those written over.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(BTreeMap::is_empty)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.changes.iter_mut().for_each(BTreeMap::clear);
        self.values.clear();
        self.bytes = 0;
    }
}

/// A disk as it will be when a batch has happened.
#[derive(Debug)]
pub struct BatchOverlay<'a, D> {
    disk: &'a D,
    batch: &'a Batch,
}

impl<'a, D: Disk> BatchOverlay<'a, D> {
    /// An overlay of `batch` over `disk`.
    pub fn new(disk: &'a D, batch: &'a Batch) -> BatchOverlay<'a, D> {
        BatchOverlay { disk, batch }
    }

    /// The value of a key.
    pub fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        match self.batch.change_of(space, key) {
            KeyChange::Put(value) => Ok(Some(value.to_vec())),
            KeyChange::Remove => Ok(None),
            KeyChange::None => self.disk.get(space, key),
        }
    }

    /// Entries of a range one by one, until `on_entry` has enough.
    pub fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        scan_changed(self.batch, (space, range), order, on_entry, &mut |on_entry| {
            self.disk.scan(space, range, order, on_entry)
        })
    }
}

/// Scans what a batch goes over.
pub type ScanBelow<'a> = dyn FnMut(&mut ScanCallback<'_>) -> Result<(), DiskError> + 'a;

/// Entries of a range as they will be when a batch has happened to what `below` scans, in the
/// same order.
pub fn scan_changed(
    batch: &Batch,
    (space, range): (StoreKeyspace, &KeyRange),
    order: ReadOrder,
    on_entry: &mut ScanCallback<'_>,
    below: &mut ScanBelow<'_>,
) -> Result<(), DiskError> {
    let changes = batch.range(space, range);
    match order {
        ReadOrder::OldestFirst => merge(order, &mut changes.peekable(), on_entry, below),
        ReadOrder::NewestFirst => merge(order, &mut changes.rev().peekable(), on_entry, below),
    }
}

fn merge<'b, I>(
    order: ReadOrder,
    changes: &mut std::iter::Peekable<I>,
    on_entry: &mut ScanCallback<'_>,
    below: &mut ScanBelow<'_>,
) -> Result<(), DiskError>
where
    I: Iterator<Item = (&'b [u8], Option<&'b [u8]>)>,
{
    let mut flow = ControlFlow::Continue(());
    below(&mut |key, value| {
        let mut is_changed = false;
        while let Some((changed, new)) = changes.next_if(|(changed, _)| match order {
            ReadOrder::OldestFirst => *changed <= key,
            ReadOrder::NewestFirst => key <= *changed,
        }) {
            is_changed |= changed == key;
            if let Some(new) = new {
                flow = on_entry(changed, new);
            }
            if flow.is_break() {
                return flow;
            }
        }
        if !is_changed {
            flow = on_entry(key, value);
        }
        flow
    })?;
    for (changed, new) in changes {
        if flow.is_break() {
            break;
        }
        if let Some(new) = new {
            flow = on_entry(changed, new);
        }
    }
    Ok(())
}
