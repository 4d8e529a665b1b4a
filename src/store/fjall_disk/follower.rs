//! A fjall database behind the log: a thread applies changes to it, in their order and without a
//! sync, and makes checkpoints.
//!
//! The sequence up to which it has everything is written with them, in the same keyspace, so it
//! is as old or new as they are.
//!
//! Deliberately absent: the log, and what is read of it again (`logged_disk`).

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
// Two threads of the store take it for the moment of a look-up; no shard does.
#[allow(clippy::disallowed_types)]
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use fjall::{OwnedWriteBatch, PersistMode};

use super::super::disk::{Batch, Disk as _, DiskError, StoreKeyspace};
use super::super::follower::{FollowerEvent, LogFollower};
use super::{
    APPLIED_IN_MESSAGES, APPLIED_IN_RECORDS, FjallDisk, Handles, disk_fault, prefix, unwritten,
};
use crate::clock::now;

/// The records of a database as they are applied, for other threads.
#[derive(Clone)]
#[allow(clippy::disallowed_types)]
pub struct AppliedRecords {
    /// `None` while it is not open.
    handles: Arc<Mutex<Option<Handles>>>,
}

impl std::fmt::Debug for AppliedRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppliedRecords").finish_non_exhaustive()
    }
}

impl AppliedRecords {
    #[allow(clippy::disallowed_types)]
    fn of(disk: &FjallDisk) -> AppliedRecords {
        AppliedRecords { handles: Arc::new(Mutex::new(disk.open.clone())) }
    }

    fn set(&self, handles: Option<Handles>) {
        *self.handles.lock().unwrap_or_else(PoisonError::into_inner) = handles;
    }

    fn read<T>(&self, read: impl FnOnce(&Handles) -> fjall::Result<T>) -> Result<T, DiskError> {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        read(handles.as_ref().ok_or(DiskError::Broken)?).map_err(disk_fault)
    }

    /// The sequence of the log up to which they have everything.
    pub fn applied(&self) -> Result<u64, DiskError> {
        self.read(Handles::applied)
    }

    /// The value of a key that is no message's.
    pub fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        let key = [prefix(space), key].concat();
        let value = self.read(|handles| handles.keyspace(space).get(key))?;
        Ok(value.map(|value| value.to_vec()))
    }
}

/// A database, and the thread that writes it.
#[derive(Debug)]
pub struct FjallFollower {
    disk: FjallDisk,
    records: AppliedRecords,
    /// `None` for a store that is looked at, and while the thread could not be started.
    applier: Option<Applier>,
    has_applier: bool,
}

#[derive(Debug)]
struct Applier {
    orders: Option<Sender<Order>>,
    events: Receiver<FollowerEvent>,
    thread: Option<JoinHandle<()>>,
    /// Orders whose end has not come in.
    under_way: usize,
}

#[derive(Debug)]
enum Order {
    Apply(Arc<Batch>, u64),
    Checkpoint,
    Dispose(Arc<Batch>),
}

impl FjallFollower {
    /// A database to which changes are applied.
    pub fn start(disk: FjallDisk) -> io::Result<FjallFollower> {
        let applier = Some(Applier::start(&disk)?);
        let records = AppliedRecords::of(&disk);
        Ok(FjallFollower { disk, records, applier, has_applier: true })
    }

    /// A database that stays as it is.
    pub fn at_rest(disk: FjallDisk) -> FjallFollower {
        let records = AppliedRecords::of(&disk);
        FjallFollower { disk, records, applier: None, has_applier: false }
    }

    /// Its records, for other threads.
    pub fn records(&self) -> AppliedRecords {
        self.records.clone()
    }

    fn start_applier(&mut self) -> Result<(), DiskError> {
        if self.has_applier {
            let applier = Applier::start(&self.disk).map_err(|error| {
                tracing::error!("the store's thread that applies does not start: {error}");
                DiskError::Broken
            })?;
            self.applier = Some(applier);
        }
        Ok(())
    }
}

impl LogFollower for FjallFollower {
    type Disk = FjallDisk;

    fn disk(&self) -> &FjallDisk {
        &self.disk
    }

    fn applied(&self) -> Result<Option<u64>, DiskError> {
        let applied = self.disk.handles()?.applied().map_err(|error| self.disk.fault(error));
        match applied {
            Ok(applied) => Ok(Some(applied)),
            // It stands beside a message that is damaged.
            Err(DiskError::Damaged) if !self.has_applier => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.disk.sync()
    }

    fn apply(&mut self, changes: Arc<Batch>, sequence: u64) {
        self.order(Order::Apply(changes, sequence));
    }

    fn dispose(&mut self, changes: Arc<Batch>) {
        if let Some(Applier { orders: Some(orders), .. }) = &self.applier {
            // One that ended has freed what it had.
            let _ = orders.send(Order::Dispose(changes));
        }
    }

    fn checkpoint(&mut self) {
        self.order(Order::Checkpoint);
    }

    fn poll(&mut self) -> Option<FollowerEvent> {
        let applier = self.applier.as_mut()?;
        let event = applier.events.try_recv().ok()?;
        applier.under_way -= 1;
        Some(event)
    }

    fn wait(&mut self) -> Option<FollowerEvent> {
        let applier = self.applier.as_mut().filter(|applier| 0 < applier.under_way)?;
        // A thread that failed has told it, and ends.
        let event = applier.events.recv().ok()?;
        applier.under_way -= 1;
        Some(event)
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        // Every handle must be gone before the lock is.
        self.applier = None;
        self.records.set(None);
        self.disk.reopen()?;
        self.records.set(self.disk.open.clone());
        self.start_applier()
    }

    fn reclaim(&mut self) -> Result<(), DiskError> {
        self.applier = None;
        self.records.set(None);
        let reclaimed = self.disk.reclaim();
        self.records.set(self.disk.open.clone());
        reclaimed?;
        self.start_applier()
    }
}

impl FjallFollower {
    fn order(&mut self, order: Order) {
        if let Some(Applier { orders: Some(orders), under_way, .. }) = &mut self.applier
            && orders.send(order).is_ok()
        {
            *under_way += 1;
        }
    }
}

impl Applier {
    fn start(disk: &FjallDisk) -> io::Result<Applier> {
        let handles = disk.handles().map_err(|_| io::Error::other("the database is not open"))?;
        let handles = handles.clone();
        let applied = handles.applied().map_err(io::Error::other)?;
        let (orders, wanted) = channel();
        let (done, events) = channel();
        let thread = thread::Builder::new()
            .name("store-apply".to_owned())
            .spawn(move || work(&handles, applied, &wanted, &done))?;
        Ok(Applier { orders: Some(orders), events, thread: Some(thread), under_way: 0 })
    }
}

impl Drop for Applier {
    fn drop(&mut self) {
        // Without a sender the thread ends, behind what it was given.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

fn work(
    handles: &Handles,
    mut applied: u64,
    orders: &Receiver<Order>,
    done: &Sender<FollowerEvent>,
) {
    for order in orders {
        let event = match order {
            Order::Apply(changes, sequence) => {
                handles.write(&changes, Some(sequence), None).map(|()| {
                    applied = sequence;
                    FollowerEvent::Applied(sequence)
                })
            }
            Order::Dispose(changes) => {
                drop(changes);
                continue;
            }
            Order::Checkpoint => {
                let began = now();
                let persisted = handles.db.persist(PersistMode::SyncData).map_err(unwritten);
                persisted.map(|()| FollowerEvent::CheckpointMade(applied, began.elapsed()))
            }
        };
        let has_failed = event.is_err();
        let event = event.unwrap_or_else(FollowerEvent::Failed);
        if done.send(event).is_err() || has_failed {
            return;
        }
    }
}

fn sequence(value: Option<fjall::Slice>) -> u64 {
    value.and_then(|bytes| bytes[..].try_into().ok()).map_or(0, u64::from_be_bytes)
}

impl Handles {
    /// Up to which sequence of the log it has everything.
    fn applied(&self) -> fjall::Result<u64> {
        Ok(sequence(self.records.get(APPLIED_IN_RECORDS)?))
    }

    /// Up to which sequence of the log the database has every message, where messages are there.
    pub(super) fn messages_applied(&self) -> fjall::Result<u64> {
        Ok(sequence(self.messages.get(APPLIED_IN_MESSAGES)?))
    }

    /// Adds the sequence up to which it has everything.
    pub(super) fn add_applied(&self, writes: &mut OwnedWriteBatch, sequence: u64) {
        writes.insert(&self.records, APPLIED_IN_RECORDS, sequence.to_be_bytes());
    }
}
