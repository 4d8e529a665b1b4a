//! The health of the disk: whether it has failed, and whether it is full, so that messages are not
//! taken now; and when it is tried again.
//!
//! Deliberately absent: refusals, and caches.

use std::collections::BTreeSet;

use super::super::disk::{Capacity, Disk, DiskError};
use super::super::messages::StoreError;
use super::super::options::Options;
use super::boot;
use super::channels::ChannelStore;
use crate::base::RoomId;

/// How long a reading of the disk's capacity is valid, in ms.
const CAPACITY_MS: u64 = 100;

/// Time between attempts to reopen a broken disk, in ms; it doubles up to the second value.
const HEAL_MS: (u64, u64) = (50, 5_000);

/// Time between attempts to reclaim space, in ms; it doubles up to the second value.
const RECLAIM_MS: (u64, u64) = (1_000, 60_000);

/// The attempts to reclaim space since the store was last full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reclaimed {
    next_try_unix_ms: u64,
    pause_ms: u64,
    /// Commits at the last attempt: without another one there is nothing to reclaim.
    commits: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Works,
    /// It must not be written before it is reopened.
    Broken {
        next_try_unix_ms: u64,
        pause_ms: u64,
    },
}

/// The health of the disk.
#[derive(Debug)]
pub(super) struct DiskHealth {
    state: Health,
    capacity: Capacity,
    capacity_seen_unix_ms: Option<u64>,
    reclaimed: Reclaimed,
    /// Rooms of messages whose commit failed, until the disk is reopened.
    in_doubt: BTreeSet<RoomId>,
}

/// Whether a disk was reopened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReopenResult {
    /// It was not broken, or it still is.
    NotReopened,
    /// It was broken, and works now.
    Reopened,
}

impl DiskHealth {
    /// A disk without failures.
    pub fn new() -> DiskHealth {
        DiskHealth {
            state: Health::Works,
            capacity: Capacity { used_bytes: 0, free_bytes: u64::MAX },
            capacity_seen_unix_ms: None,
            reclaimed: Reclaimed::default(),
            in_doubt: BTreeSet::new(),
        }
    }

    /// The last reading of its capacity.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Whether it can be written.
    pub fn works(&self) -> bool {
        self.state == Health::Works
    }

    /// Whether a room may have one message more than was confirmed.
    pub fn is_in_doubt(&self, room: RoomId) -> bool {
        self.in_doubt.contains(&room)
    }

    /// The time of the next attempt, if it is broken.
    pub fn next_try_unix_ms(&self) -> Option<u64> {
        match self.state {
            Health::Works => None,
            Health::Broken { next_try_unix_ms, .. } => Some(next_try_unix_ms),
        }
    }

    /// Whether messages are taken: the disk works, and has space.
    pub fn takes_messages(&self, options: &Options) -> Result<(), StoreError> {
        match self.state {
            Health::Broken { .. } => Err(StoreError::Broken),
            Health::Works if self.is_full(options) => Err(StoreError::Full),
            Health::Works => Ok(()),
        }
    }

    /// It has failed. These rooms may have one message more, which shows when it is reopened.
    pub fn fail(&mut self, now_unix_ms: u64, rooms: Vec<RoomId>) {
        self.in_doubt.extend(rooms);
        // The capacity is read again before the next write.
        self.capacity_seen_unix_ms = None;
        let pause_ms = HEAL_MS.0;
        self.state = Health::Broken { next_try_unix_ms: now_unix_ms, pause_ms };
    }

    /// Reopens a broken disk, when that is due.
    pub fn heal<D: Disk>(
        &mut self,
        now_unix_ms: u64,
        channels: &mut ChannelStore<D>,
    ) -> ReopenResult {
        let Health::Broken { next_try_unix_ms, pause_ms } = self.state else {
            return ReopenResult::NotReopened;
        };
        // A wall clock that was set back must not make this wait for it.
        let waits = now_unix_ms < next_try_unix_ms && next_try_unix_ms - now_unix_ms <= HEAL_MS.1;
        if waits {
            return ReopenResult::NotReopened;
        }
        self.capacity_seen_unix_ms = None;
        self.look(now_unix_ms, channels.staged().disk());
        let losses_count = channels.losses_count();
        // Opening writes; without space it would fail at once, and reads would not work any more
        // either.
        let has_reserve = !self.lacks_reserve(&channels.setup().options);
        let disk = channels.staged_mut().disk_mut();
        let is_open = has_reserve && disk.reopen().is_ok();
        if is_open && boot::put_boot_record(disk, losses_count).is_ok() {
            // Reads went on meanwhile, and have filled the caches.
            channels.forget();
            self.in_doubt.clear();
            self.state = Health::Works;
            return ReopenResult::Reopened;
        }
        self.state = Health::Broken {
            next_try_unix_ms: now_unix_ms.saturating_add(pause_ms),
            pause_ms: pause_ms.saturating_mul(2).min(HEAL_MS.1),
        };
        ReopenResult::NotReopened
    }

    /// Reclaims space when it is short, and when something may have become free: expired and
    /// retracted messages take space until then.
    pub fn reclaim<D: Disk>(
        &mut self,
        now_unix_ms: u64,
        commits_count: u64,
        channels: &mut ChannelStore<D>,
    ) -> Result<(), DiskError> {
        if !self.works() {
            return Ok(());
        }
        if !self.is_full(&channels.setup().options) {
            self.reclaimed = Reclaimed::default();
            return Ok(());
        }
        let Reclaimed { next_try_unix_ms, pause_ms, commits } = self.reclaimed;
        let waits =
            now_unix_ms < next_try_unix_ms && next_try_unix_ms - now_unix_ms <= RECLAIM_MS.1;
        if waits || commits == Some(commits_count) {
            return Ok(());
        }
        let pause_ms = pause_ms.saturating_mul(2).clamp(RECLAIM_MS.0, RECLAIM_MS.1);
        let next_try_unix_ms = now_unix_ms.saturating_add(pause_ms);
        let commits = Some(commits_count);
        self.reclaimed = Reclaimed { next_try_unix_ms, pause_ms, commits };
        channels.staged_mut().disk_mut().reclaim()?;
        self.capacity_seen_unix_ms = None;
        self.look(now_unix_ms, channels.staged().disk());
        Ok(())
    }

    /// Reads the capacity of the disk, unless the last reading is still valid.
    pub fn look(&mut self, now_unix_ms: u64, disk: &impl Disk) {
        let seen = self.capacity_seen_unix_ms;
        if seen.is_some_and(|seen| now_unix_ms.abs_diff(seen) < CAPACITY_MS) {
            return;
        }
        self.capacity_seen_unix_ms = Some(now_unix_ms);
        if let Ok(capacity) = disk.capacity() {
            self.capacity = capacity;
        }
    }

    /// Whether the disk, or the part of it that may be used, is nearly full.
    pub fn is_full(&self, options: &Options) -> bool {
        let Options { disk_bytes_max, reserve_bytes, .. } = *options;
        let used_bytes = self.capacity.used_bytes.saturating_add(reserve_bytes);
        self.lacks_reserve(options) || (0 < disk_bytes_max && disk_bytes_max < used_bytes)
    }

    fn lacks_reserve(&self, options: &Options) -> bool {
        self.capacity.free_bytes < options.reserve_bytes
    }
}
