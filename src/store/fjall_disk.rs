//! The real disk: a fjall database in the store's directory.
//!
//! The database is `<dir>/db`. It is made as `<dir>/db.new` and then renamed, so a
//! crash in its first moments leaves nothing that looks like a store.
//!
//! Two keyspaces, because each has its memory and pins its part of the journal:
//! messages, and everything else behind a byte that says its space.
//!
//! What fjall does not do is done here: its journal is checked before it is opened
//! (`journal.rs`), since fjall takes a damaged batch in the middle for the journal's
//! end; and writes wait while its workers are behind, since its memory has no limit.
//! Behind a log (`follower.rs`) its journal proves nothing: what is missing there is read
//! from the log again.
//!
//! Invariants: `open` is `None` only while reading it again failed; a failed write
//! poisons the database until then, and reading goes on.
//!
//! Deliberately absent: when to sync, what to do when it is full, and what is done about damage
//! (`opening`).

mod fault;
mod follower;
mod journal;
mod layout;
mod messages;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::disk::{
    Batch, Capacity, Disk, DiskError, KeyRange, ScanCallback, StoreKeyspace, SuspectedLoss,
    SyncMode,
};
use super::log_activity::LogActivity;
use super::messages::ReadOrder;
use super::{OpenError, Options};

use fault::{disk_fault, io_fault, open_fault, reopen_fault, unwritten};

pub use follower::{AppliedRecords, FjallFollower};
pub(super) use layout::{
    adopt_messages, free_bytes, fresh_messages_dir, io_open_fault, log_dir, messages_dir,
    remember_damage,
};
pub use messages::DatabaseMessages;

/// Memory of a keyspace for what is not in tables yet.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Over this, a write waits for the worker.
const BUFFER_BYTES_MAX: u64 = 64 << 20;
/// How long a write waits before it gives up, and between two looks.
const BUFFER_WAIT: (Duration, Duration) = (Duration::from_secs(10), Duration::from_millis(1));
/// Bytes of all journals together. A keyspace that is seldom written pins old ones.
const JOURNALS_BYTES_MAX: u64 = 128 << 20;
/// One table: a compaction needs the space of some of them again.
const TABLE_BYTES: u64 = 16 << 20;
/// Tables that are smaller together are merged into one to get space back, if there
/// is as much space again; merging larger ones takes too long. Those wait for fjall to
/// merge them when more is written.
const MERGE_BYTES_MAX: u64 = 256 << 20;
const SNAPSHOTS_PER_LOOK: u32 = 10_000;
const BLOCK_BYTES: u32 = 4 << 10;
/// Descriptors that stay open.
const FILES_MAX: usize = 256;

/// The keys of the sequence of the log up to which a keyspace has everything. No space has a
/// key that is as short, or begins so.
const APPLIED_IN_MESSAGES: &[u8] = &[u8::MAX];
const APPLIED_IN_RECORDS: &[u8] = b"L";
/// The key of the log's id, among records.
const LOG_ID: &[u8] = b"I";

/// One look at the disk's capacity in so many counts the files: there may be
/// thousands.
const LOOKS_PER_COUNT: u32 = 10;

/// Who works behind the scenes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackgroundThreads {
    /// One thread that flushes and compacts.
    One,
    /// None: the store is looked at, and stays as it is.
    None,
}

/// What a journal proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalProof {
    /// A whole batch behind a place that is none proves that something was there: damage.
    Damage,
    /// Nothing: what it may lack stands in the log.
    Nothing,
}

/// A database in a directory.
pub struct FjallDisk {
    dir: PathBuf,
    cache_bytes: u64,
    background_threads: BackgroundThreads,
    proof: JournalProof,
    open: Option<Handles>,
    looks_count: Cell<u32>,
    used_bytes: Cell<u64>,
}

#[derive(Clone)]
struct Handles {
    db: Database,
    messages: Keyspace,
    records: Keyspace,
}

impl std::fmt::Debug for FjallDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let FjallDisk { dir, background_threads, open, .. } = self;
        f.debug_struct("FjallDisk")
            .field("dir", dir)
            .field("background_threads", background_threads)
            .field("is_open", &open.is_some())
            .finish_non_exhaustive()
    }
}

impl FjallDisk {
    /// Makes an empty store in a directory, which must exist, if there is none.
    pub(super) fn make_if_missing(options: &Options) -> Result<(), OpenError> {
        let dir = &options.dir;
        layout::check_dir(dir)?;
        if !layout::exists(dir, &layout::db_dir(dir))? {
            if layout::exists(dir, &layout::log_dir(dir))? {
                let what = "it has a log, and its database is missing".to_owned();
                return Err(OpenError::Damaged { dir: dir.clone(), what });
            }
            let new_dir = layout::fresh_dir(dir)?;
            let fault = |error| open_fault(dir, error);
            let made = Handles::open(&new_dir, options.cache_bytes, BackgroundThreads::One)
                .map_err(fault)?;
            made.db.persist(PersistMode::SyncAll).map_err(fault)?;
            drop(made);
            layout::adopt(dir, &new_dir)?;
        }
        Ok(())
    }

    /// Refuses a directory for a new store that has anything in it.
    pub(super) fn check_empty(dir: &Path) -> Result<(), OpenError> {
        layout::check_dir(dir)?;
        layout::check_empty(dir)
    }

    /// Whether somebody met damage there before.
    pub(super) fn damage_was_met(dir: &Path) -> bool {
        layout::damage_was_met(dir)
    }

    /// Whether the store of a directory has a log.
    pub(super) fn has_log(dir: &Path) -> Result<bool, OpenError> {
        layout::exists(dir, &layout::log_dir(dir))
    }

    /// Opens the database of a directory as it is; there must be one. What its journal proves
    /// depends on whether there is a log.
    pub fn open_existing(
        options: &Options,
        background_threads: BackgroundThreads,
    ) -> Result<FjallDisk, OpenError> {
        let proof = match FjallDisk::has_log(&options.dir)? {
            true => JournalProof::Nothing,
            false => JournalProof::Damage,
        };
        let Options { dir, cache_bytes, .. } = options;
        layout::check_dir(dir)?;
        let db_dir = layout::db_dir(dir);
        if !layout::exists(dir, &db_dir)? {
            return Err(OpenError::Missing(db_dir));
        }
        layout::check_lock(dir, &db_dir)?;
        mend_journal(dir, proof)?;
        let handles = Handles::open(&db_dir, *cache_bytes, background_threads);
        let handles = handles.map_err(|error| open_fault(dir, error))?;
        Ok(FjallDisk { proof, ..FjallDisk::over(dir, *cache_bytes, background_threads, handles) })
    }

    /// Before a log is begun in front of it: everything stands in tables, which are synced, so
    /// that nothing depends on the journal any more.
    pub(super) fn empty_journal(mut self) -> Result<(), OpenError> {
        let dir = self.dir.clone();
        let written = self.handles().and_then(Handles::write_out);
        written
            .map_err(|_| OpenError::System { dir: dir.clone(), what: "writing failed".into() })?;
        self.open = None;
        journal::empty(&dir, &layout::db_dir(&dir))
    }

    /// Removes all messages, which stand elsewhere.
    pub(super) fn clear_messages(&mut self) -> Result<(), DiskError> {
        let handles = self.handles()?;
        if handles.messages.first_key_value().is_none() {
            return Ok(());
        }
        handles.messages.clear().map_err(unwritten)?;
        handles.db.persist(PersistMode::SyncAll).map_err(unwritten)
    }

    /// What was cut off the journal is not needed: the log has it.
    pub(super) fn forget_cuts(&self) {
        journal::forget_cuts(&self.dir);
    }

    /// Which log is in front of it; `None` before there was one.
    pub(super) fn log_id(&self) -> Result<Option<u64>, DiskError> {
        let found = self.handles()?.records.get(LOG_ID).map_err(|error| self.fault(error))?;
        let Some(bytes) = found else { return Ok(None) };
        let bytes = bytes[..].try_into().map_err(|_| DiskError::Damaged)?;
        Ok(Some(u64::from_be_bytes(bytes)))
    }

    /// From now on this log is in front of it, and it has everything up to this sequence of it.
    pub(super) fn set_log(&mut self, log_id: u64, applied: u64) -> Result<(), DiskError> {
        let handles = self.handles()?;
        let mut writes = handles.db.batch().durability(Some(PersistMode::SyncData));
        writes.insert(&handles.records, LOG_ID, log_id.to_be_bytes());
        handles.add_applied(&mut writes, applied);
        writes.commit().map_err(unwritten)?;
        self.proof = JournalProof::Nothing;
        Ok(())
    }

    /// Cuts the journal where it is damaged, and says what that leaves in doubt.
    pub(super) fn cut_damage(options: &Options) -> Result<SuspectedLoss, OpenError> {
        let dir = &options.dir;
        let db_dir = layout::db_dir(dir);
        layout::check_dir(dir)?;
        layout::check_lock(dir, &db_dir)?;
        journal::cut_damage(dir, &db_dir)
    }

    /// A directory of the store's that is not used any more makes room for another one.
    pub(super) fn put_aside(dir: &Path, old: &Path) -> Result<(), OpenError> {
        if layout::exists(dir, old)? { layout::put_aside(dir, old) } else { Ok(()) }
    }

    /// An empty database beside the one that is there, and where it is.
    pub(super) fn beside(options: &Options) -> Result<(FjallDisk, PathBuf), OpenError> {
        let Options { dir, cache_bytes, .. } = options;
        let new_dir = layout::fresh_dir(dir)?;
        let handles = Handles::open(&new_dir, *cache_bytes, BackgroundThreads::One);
        let handles = handles.map_err(|error| open_fault(dir, error))?;
        Ok((FjallDisk::over(dir, *cache_bytes, BackgroundThreads::One, handles), new_dir))
    }

    /// Lets that one take the place of the other, which stays as `db.damaged-<number>`. Both
    /// are closed.
    pub(super) fn replace_by(dir: &Path, new_dir: &Path) -> Result<(), OpenError> {
        layout::put_aside(dir, &layout::db_dir(dir))?;
        layout::forget_damage(dir)?;
        layout::adopt(dir, new_dir)
    }

    fn over(
        dir: &Path,
        cache_bytes: u64,
        background_threads: BackgroundThreads,
        handles: Handles,
    ) -> FjallDisk {
        FjallDisk {
            dir: dir.to_path_buf(),
            cache_bytes,
            background_threads,
            proof: JournalProof::Damage,
            open: Some(handles),
            looks_count: Cell::new(0),
            used_bytes: Cell::new(0),
        }
    }

    /// The disk's words for an error; damage is remembered for the next start.
    fn fault(&self, error: fjall::Error) -> DiskError {
        let fault = disk_fault(error);
        if fault == DiskError::Damaged {
            layout::remember_damage(&self.dir);
        }
        fault
    }

    fn open_again(&self) -> Result<Handles, DiskError> {
        let db_dir = layout::db_dir(&self.dir);
        Handles::open(&db_dir, self.cache_bytes, self.background_threads).map_err(unwritten)
    }

    fn handles(&self) -> Result<&Handles, DiskError> {
        self.open.as_ref().ok_or(DiskError::Broken)
    }
}

impl Handles {
    fn open(
        db_dir: &Path,
        cache_bytes: u64,
        background_threads: BackgroundThreads,
    ) -> fjall::Result<Handles> {
        let threads_count = match background_threads {
            BackgroundThreads::One => 1,
            BackgroundThreads::None => 0,
        };
        let db = Database::builder(db_dir)
            .cache_size(cache_bytes)
            // With two, one of them spins while the other one compacts.
            .worker_threads_unchecked(threads_count)
            .max_journaling_size(JOURNALS_BYTES_MAX)
            .max_cached_files(Some(FILES_MAX))
            .manual_journal_persist(true)
            .open()?;
        // Asked for only when the keyspace is made; later it is as it was made.
        let options = || {
            KeyspaceCreateOptions::default()
                .max_memtable_size(MEMTABLE_BYTES)
                .manual_journal_persist(true)
                .data_block_size_policy(BlockSizePolicy::all(BLOCK_BYTES))
                .filter_block_pinning_policy(PinningPolicy::all(false))
                .index_block_pinning_policy(PinningPolicy::all(false))
                .expect_point_read_hits(true)
                .compaction_strategy(Arc::new(
                    Leveled::default().with_table_target_size(TABLE_BYTES),
                ))
        };
        let messages = db.keyspace("messages", options)?;
        let records = db.keyspace("records", options)?;
        Ok(Handles { db, messages, records })
    }

    fn keyspace(&self, space: StoreKeyspace) -> &Keyspace {
        match space {
            StoreKeyspace::Messages => &self.messages,
            StoreKeyspace::Meta
            | StoreKeyspace::Channels
            | StoreKeyspace::Markers
            | StoreKeyspace::Conversations
            | StoreKeyspace::Pending
            | StoreKeyspace::Dead
            | StoreKeyspace::Ids
            | StoreKeyspace::ReactionTotals
            | StoreKeyspace::Reactions
            | StoreKeyspace::GroupMembers
            | StoreKeyspace::UserGroups => &self.records,
        }
    }

    /// Writes changes, wholly or not at all, and with them up to which sequence of the log it has
    /// everything then. Without a mode they stay in the process until the next sync.
    fn write(
        &self,
        changes: &Batch,
        applied: Option<u64>,
        mode: Option<PersistMode>,
    ) -> Result<(), DiskError> {
        self.wait_for_buffer(BUFFER_BYTES_MAX)?;
        let mut writes = self.db.batch().durability(mode);
        for (space, key, value) in changes.iter() {
            let keyspace = self.keyspace(space);
            let key = match prefix(space) {
                [] => fjall::Slice::from(key),
                prefix => fjall::Slice::from([prefix, key].concat()),
            };
            match value {
                Some(value) => writes.insert(keyspace, key, value),
                None => writes.remove(keyspace, key),
            }
        }
        if let Some(sequence) = applied {
            self.add_applied(&mut writes, sequence);
        }
        writes.commit().map_err(unwritten)
    }

    /// Waits until the worker has written out enough. `commit` waits for nothing
    /// but a worker that is four memtables behind.
    fn wait_for_buffer(&self, bytes_max: u64) -> Result<(), DiskError> {
        let (mut left, pause) = BUFFER_WAIT;
        while bytes_max < self.db.write_buffer_size() {
            // A worker that failed has ended, and nobody else says so.
            self.db.persist(PersistMode::Buffer).map_err(unwritten)?;
            left = left.checked_sub(pause).ok_or(DiskError::Broken)?;
            std::thread::sleep(pause);
        }
        Ok(())
    }

    /// Merges the tables of each keyspace into one, without what was removed.
    fn merge(&self) -> Result<(), DiskError> {
        // What was removed stays for snapshots that might see it. fjall looks which
        // there are when so many have gone.
        for _ in 0..SNAPSHOTS_PER_LOOK {
            drop(self.db.snapshot());
        }
        for keyspace in [&self.messages, &self.records] {
            keyspace.major_compact().map_err(unwritten)?;
        }
        Ok(())
    }

    fn tables_bytes(&self) -> u64 {
        self.messages.disk_space() + self.records.disk_space()
    }

    /// Writes what memory holds into tables, which are synced.
    fn write_out(&self) -> Result<(), DiskError> {
        for keyspace in [&self.messages, &self.records] {
            keyspace.rotate_memtable().map_err(unwritten)?;
        }
        let (mut left, pause) = BUFFER_WAIT;
        let waits = |keyspace: &Keyspace| 0 < keyspace.sealed_memtable_count();
        while waits(&self.messages) || waits(&self.records) {
            self.db.persist(PersistMode::Buffer).map_err(unwritten)?;
            left = left.checked_sub(pause).ok_or(DiskError::Broken)?;
            std::thread::sleep(pause);
        }
        self.db.persist(PersistMode::SyncAll).map_err(unwritten)
    }
}

/// Makes the journals such that fjall reads all of them that counts.
fn mend_journal(dir: &Path, proof: JournalProof) -> Result<(), OpenError> {
    match proof {
        JournalProof::Damage => journal::mend(dir, &layout::db_dir(dir)),
        JournalProof::Nothing => journal::cut_unproven(dir, &layout::db_dir(dir)),
    }
}

/// Bytes before a key that say its space.
fn prefix(space: StoreKeyspace) -> &'static [u8] {
    match space {
        StoreKeyspace::Messages => &[],
        StoreKeyspace::Meta => b"0",
        StoreKeyspace::Channels => b"c",
        StoreKeyspace::Markers => b"m",
        StoreKeyspace::Conversations => b"t",
        StoreKeyspace::Pending => b"p",
        StoreKeyspace::Dead => b"x",
        StoreKeyspace::Ids => b"i",
        StoreKeyspace::ReactionTotals => b"n",
        StoreKeyspace::Reactions => b"r",
        StoreKeyspace::GroupMembers => b"g",
        StoreKeyspace::UserGroups => b"u",
    }
}

impl Disk for FjallDisk {
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        let keyspace = self.handles()?.keyspace(space);
        let value = match prefix(space) {
            [] => keyspace.get(key),
            prefix => keyspace.get([prefix, key].concat()),
        };
        Ok(value.map_err(|error| self.fault(error))?.map(|value| value.to_vec()))
    }

    fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        let prefix = prefix(space);
        let end = |key: &[u8]| [prefix, key].concat();
        let mut entries =
            self.handles()?.keyspace(space).range(end(&range.first)..=end(&range.last));
        while let Some(entry) = match order {
            ReadOrder::OldestFirst => entries.next(),
            ReadOrder::NewestFirst => entries.next_back(),
        } {
            let (key, value) = entry.into_inner().map_err(|error| self.fault(error))?;
            if prefix.is_empty() && &key[..] == APPLIED_IN_MESSAGES {
                continue;
            }
            if on_entry(&key[prefix.len()..], &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError> {
        let mode = match durable {
            SyncMode::Now => PersistMode::SyncData,
            SyncMode::Later => PersistMode::Buffer,
        };
        self.handles()?.write(batch, None, Some(mode))
    }

    fn takes_messages(&self) -> bool {
        true
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.handles()?.db.persist(PersistMode::SyncData).map_err(unwritten)
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        // Every handle must be gone before the lock is.
        self.open = None;
        mend_journal(&self.dir, self.proof).map_err(|fault| reopen_fault(&fault))?;
        let handles = self.open_again()?;
        // After a failed sync the kernel may show what the disk does not have, and
        // will not write it again. We do, elsewhere.
        handles.write_out()?;
        self.open = Some(handles);
        tracing::info!("the store was read again after a failure, and works");
        Ok(())
    }

    /// fjall keeps a journal until 64 MB are written, and what was removed until a
    /// table is merged with the next: neither comes while nothing more is written.
    fn reclaim(&mut self) -> Result<(), DiskError> {
        self.handles()?.write_out()?;
        // All is in tables that are synced, and what merges them needs the space.
        self.open = None;
        journal::empty(&self.dir, &layout::db_dir(&self.dir))
            .map_err(|fault| reopen_fault(&fault))?;
        let handles = self.open_again()?;
        let free_bytes = layout::free_bytes(&self.dir).map_err(|error| io_fault(&error))?;
        if handles.tables_bytes() < MERGE_BYTES_MAX.min(free_bytes) {
            handles.merge()?;
            // The old tables go with their last reader.
            drop(handles);
            self.open = Some(self.open_again()?);
        } else {
            self.open = Some(handles);
        }
        self.looks_count.set(0);
        Ok(())
    }

    fn tend(&mut self, _now_unix_ms: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn tend_due_ms(&self) -> Option<u64> {
        None
    }

    fn close(&mut self) -> Result<(), DiskError> {
        self.sync()
    }

    fn capacity(&self) -> Result<Capacity, DiskError> {
        let counted = |error: std::io::Error| io_fault(&error);
        if self.looks_count.replace((self.looks_count.get() + 1) % LOOKS_PER_COUNT) == 0 {
            let db_bytes = layout::used_bytes(&layout::db_dir(&self.dir)).map_err(counted)?;
            let log_bytes = layout::used_bytes(&layout::log_dir(&self.dir)).unwrap_or(0);
            self.used_bytes.set(db_bytes + log_bytes);
        }
        let free_bytes = layout::free_bytes(&self.dir).map_err(counted)?;
        Ok(Capacity { used_bytes: self.used_bytes.get(), free_bytes })
    }

    fn boot_id(&self) -> u64 {
        layout::boot()
    }

    fn take_log_activity(&mut self) -> LogActivity {
        LogActivity::default()
    }
}
