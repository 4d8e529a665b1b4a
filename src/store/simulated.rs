//! A disk in a world that a seed decides: it forgets what was not synced when the power is cut or
//! its process killed, tears the last batch off, fails, fills up, and is slow.
//!
//! Invariants: equal seeds and equal calls give equal fates; a batch is there
//! wholly or not at all; what was synced stays, and batches survive in order.
//!
//! Deliberately absent: time (the caller adds `take_spent_us` to its clock).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::base::Prng;

use super::disk::{
    Batch, Capacity, Disk, DiskError, KeyRange, ScanCallback, StoreKeyspace, SyncMode,
};
use super::log_activity::LogActivity;
use super::messages::ReadOrder;

/// What may go wrong, in percent of the calls, and how long things take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskFaultProfile {
    /// A commit fails; it may have happened all the same.
    pub commit_fails_percent: u8,
    /// A sync fails; what it was for may or may not survive.
    pub sync_fails_percent: u8,
    /// Opening again fails.
    pub reopen_fails_percent: u8,
    /// Bytes that it holds.
    pub capacity_bytes: u64,
    /// How long a sync takes, in µs; up to twice that.
    pub sync_us: u64,
    /// A sync takes a hundred times as long.
    pub slow_percent: u8,
    /// Whether what waits behind it leaves room for messages.
    pub takes_messages: bool,
}

impl DiskFaultProfile {
    /// Nothing goes wrong, and nothing takes time.
    pub const CALM: DiskFaultProfile = DiskFaultProfile {
        commit_fails_percent: 0,
        sync_fails_percent: 0,
        reopen_fails_percent: 0,
        capacity_bytes: u64::MAX,
        sync_us: 0,
        slow_percent: 0,
        takes_messages: true,
    };
}

/// What ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// It was killed: the kernel has all that was committed.
    Killed,
    /// The power is gone: batches since the last sync are there up to a point.
    PowerCut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Works,
    /// A write failed; nothing more is written before it is read again.
    Failed,
}

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// A disk made of maps.
#[derive(Clone, Debug)]
pub struct SimulatedDisk {
    prng: Prng,
    fault_profile: DiskFaultProfile,
    /// What is on the disk.
    durable: [Entries; StoreKeyspace::ALL.len()],
    /// What the kernel has beside that, in order.
    unsynced: Vec<Batch>,
    /// Batches whose commit or sync failed: nobody knows.
    doubtful: Vec<Batch>,
    /// What is read: `durable` and then `unsynced`.
    visible: [Entries; StoreKeyspace::ALL.len()],
    damaged: BTreeSet<(StoreKeyspace, Vec<u8>)>,
    state: State,
    spent_us: u64,
    syncs_count: u64,
    reads_count: Cell<u64>,
    boot_id: u64,
}

impl SimulatedDisk {
    /// An empty one.
    pub fn new(seed: u64, fault_profile: DiskFaultProfile) -> SimulatedDisk {
        SimulatedDisk {
            prng: Prng::from_seed(seed),
            fault_profile,
            durable: Default::default(),
            unsynced: Vec::new(),
            doubtful: Vec::new(),
            visible: Default::default(),
            damaged: BTreeSet::new(),
            state: State::Works,
            spent_us: 0,
            syncs_count: 0,
            reads_count: Cell::new(0),
            boot_id: 1,
        }
    }

    /// Sets what goes wrong from now on.
    pub fn set_fault_profile(&mut self, fault_profile: DiskFaultProfile) {
        self.fault_profile = fault_profile;
    }

    /// The process ends now; what is left is what the next one finds.
    pub fn crash(&mut self, crash: Crash) {
        self.settle(crash);
        self.state = State::Works;
        self.boot_id += u64::from(crash == Crash::PowerCut);
    }

    /// From now on this key does not match its checksum.
    pub fn damage(&mut self, space: StoreKeyspace, key: &[u8]) {
        self.damaged.insert((space, key.to_vec()));
    }

    /// How long calls took since this was asked last, in µs.
    pub fn take_spent_us(&mut self) -> u64 {
        std::mem::take(&mut self.spent_us)
    }

    /// Syncs that there were, those of commits included.
    pub fn syncs_count(&self) -> u64 {
        self.syncs_count
    }

    /// Keys that were read and entries that were looked at.
    pub fn reads_count(&self) -> u64 {
        self.reads_count.get()
    }

    fn count_read(&self) {
        self.reads_count.set(self.reads_count.get() + 1);
    }

    /// Decides about everything that is not on the disk yet. A prefix survives.
    fn settle(&mut self, crash: Crash) {
        let sure = match crash {
            Crash::Killed => self.unsynced.len() as u64,
            Crash::PowerCut => 0,
        };
        self.unsynced.append(&mut self.doubtful);
        let unsure = self.unsynced.len() as u64 - sure;
        let survive = sure + self.prng.below(unsure + 1);
        for batch in self.unsynced.drain(..).take(survive as usize) {
            apply(&mut self.durable, &batch);
        }
        self.visible = self.durable.clone();
    }

    fn works(&self) -> Result<(), DiskError> {
        match self.state {
            State::Works => Ok(()),
            State::Failed => Err(DiskError::Broken),
        }
    }

    fn used_bytes(&self) -> u64 {
        let entries = self.visible.iter().flatten();
        entries.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}

impl Disk for SimulatedDisk {
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.count_read();
        if self.damaged.contains(&(space, key.to_vec())) {
            return Err(DiskError::Damaged);
        }
        Ok(self.visible[space.index()].get(key).cloned())
    }

    fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        if range.last < range.first {
            return Ok(());
        }
        let bounds = (Bound::Included(&range.first[..]), Bound::Included(&range.last[..]));
        let mut entries = self.visible[space.index()].range::<[u8], _>(bounds);
        while let Some((key, value)) = match order {
            ReadOrder::OldestFirst => entries.next(),
            ReadOrder::NewestFirst => entries.next_back(),
        } {
            if self.damaged.contains(&(space, key.clone())) {
                return Err(DiskError::Damaged);
            }
            self.count_read();
            if on_entry(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError> {
        self.works()?;
        let capacity_bytes = self.fault_profile.capacity_bytes;
        // Counting is slow, and most disks here have no end.
        if capacity_bytes < u64::MAX && capacity_bytes < self.used_bytes() + batch.bytes() as u64 {
            // Where it does not fit it is torn, so it is not there afterwards.
            self.state = State::Failed;
            return Err(DiskError::Full);
        }
        if self.prng.percent(self.fault_profile.commit_fails_percent.into()) {
            self.doubtful.push(batch.clone());
            self.state = State::Failed;
            return Err(DiskError::Broken);
        }
        match durable {
            SyncMode::Later => {
                apply(&mut self.visible, batch);
                self.unsynced.push(batch.clone());
            }
            SyncMode::Now => {
                // Not to be seen unless it is durable.
                self.doubtful.push(batch.clone());
                self.sync()?;
            }
        }
        Ok(())
    }

    fn takes_messages(&self) -> bool {
        self.fault_profile.takes_messages
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.works()?;
        let slow = if self.prng.percent(self.fault_profile.slow_percent.into()) { 100 } else { 1 };
        self.spent_us +=
            slow * (self.fault_profile.sync_us + self.prng.below(self.fault_profile.sync_us + 1));
        self.syncs_count += 1;
        if self.prng.percent(self.fault_profile.sync_fails_percent.into()) {
            self.state = State::Failed;
            return Err(DiskError::Broken);
        }
        for batch in self.unsynced.drain(..) {
            apply(&mut self.durable, &batch);
        }
        for batch in self.doubtful.drain(..) {
            apply(&mut self.durable, &batch);
            apply(&mut self.visible, &batch);
        }
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        if self.prng.percent(self.fault_profile.reopen_fails_percent.into()) {
            self.state = State::Failed;
            return Err(DiskError::Broken);
        }
        // A failed sync may have lost what came before it, too.
        let crash = match self.state {
            State::Works => Crash::Killed,
            State::Failed => Crash::PowerCut,
        };
        self.settle(crash);
        self.state = State::Works;
        Ok(())
    }

    /// What was removed takes no space here. Like the real disk's, it syncs.
    fn reclaim(&mut self) -> Result<(), DiskError> {
        self.sync()
    }

    fn tend(&mut self, _now_unix_ms: u64) -> Result<(), DiskError> {
        Ok(())
    }

    fn tend_due_ms(&self) -> Option<u64> {
        None
    }

    fn close(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn capacity(&self) -> Result<Capacity, DiskError> {
        let used_bytes = self.used_bytes();
        let free_bytes = self.fault_profile.capacity_bytes.saturating_sub(used_bytes);
        Ok(Capacity { used_bytes, free_bytes })
    }

    fn boot_id(&self) -> u64 {
        self.boot_id
    }

    fn take_log_activity(&mut self) -> LogActivity {
        LogActivity::default()
    }
}

fn apply(entries: &mut [Entries; StoreKeyspace::ALL.len()], batch: &Batch) {
    for (space, key, value) in batch.iter() {
        let entries = &mut entries[space.index()];
        match value {
            Some(value) => drop(entries.insert(key.to_vec(), value.to_vec())),
            None => drop(entries.remove(key)),
        }
    }
}
