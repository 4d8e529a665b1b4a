//! A disk that fails, and one that is full.
//!
//! Deliberately absent: what is refused then, and what is forgotten.

use std::collections::BTreeSet;

use super::super::disk::{Capacity, Disk, DiskError};
use super::super::messages::StoreError;
use super::super::options::Options;
use super::boot;
use super::channels::ChannelStore;
use crate::base::RoomId;

/// How long a look at the disk's capacity holds, in ms.
const CAPACITY_MS: u64 = 100;

/// Between tries to read a broken disk again, in ms; doubles up to the second.
const HEAL_MS: (u64, u64) = (50, 5_000);

/// Between two tries to get space back, in ms; doubles up to the second.
const RECLAIM_MS: (u64, u64) = (1_000, 60_000);

/// What was done to get space back since the store was full last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Reclaimed {
    next_try_unix_ms: u64,
    pause_ms: u64,
    /// Commits at the last try: without another one there is nothing to get.
    commits: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Works,
    /// Not to be written before it is read again.
    Broken {
        next_try_unix_ms: u64,
        pause_ms: u64,
    },
}

/// What is known of the disk.
#[derive(Debug)]
pub(super) struct DiskHealth {
    state: Health,
    capacity: Capacity,
    capacity_seen_unix_ms: Option<u64>,
    reclaimed: Reclaimed,
    /// Rooms of messages whose commit failed, until the disk was read again.
    in_doubt: BTreeSet<RoomId>,
}

/// Whether a disk was read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReopenResult {
    /// It was not broken, or still is.
    NotReopened,
    /// It was, and works.
    Reopened,
}

impl DiskHealth {
    /// It works, as far as is known.
    pub fn new() -> DiskHealth {
        DiskHealth {
            state: Health::Works,
            capacity: Capacity { used_bytes: 0, free_bytes: u64::MAX },
            capacity_seen_unix_ms: None,
            reclaimed: Reclaimed::default(),
            in_doubt: BTreeSet::new(),
        }
    }

    /// How full it was when somebody looked last.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Whether it may be written.
    pub fn works(&self) -> bool {
        self.state == Health::Works
    }

    /// Whether a room may have one message more than anybody was told.
    pub fn is_in_doubt(&self, room: RoomId) -> bool {
        self.in_doubt.contains(&room)
    }

    /// When it is tried again, if it is broken.
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

    /// It failed, and these rooms may have one message more: that is seen when it is read
    /// again.
    pub fn fail(&mut self, now_unix_ms: u64, rooms: Vec<RoomId>) {
        self.in_doubt.extend(rooms);
        // The disk says how full it is before the next write.
        self.capacity_seen_unix_ms = None;
        let pause_ms = HEAL_MS.0;
        self.state = Health::Broken { next_try_unix_ms: now_unix_ms, pause_ms };
    }

    /// Reads a broken disk again, when it is time.
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
        // Opening writes; without space it would break at once, and lose the
        // reading that still goes on.
        let has_reserve = !self.lacks_reserve(&channels.setup().options);
        let disk = channels.staged_mut().disk_mut();
        let is_open = has_reserve && disk.reopen().is_ok();
        if is_open && boot::put_boot_record(disk, losses_count).is_ok() {
            // Reads went on meanwhile, and remembered what was to be seen then.
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

    /// Gets space back where it is short, when something may have come free: what
    /// expires, or is taken back, takes its space until then.
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

    /// Looks how full the disk is, unless somebody did a moment ago.
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

    /// Near the end of the disk, or of what may be used of it.
    pub fn is_full(&self, options: &Options) -> bool {
        let Options { disk_bytes_max, reserve_bytes, .. } = *options;
        let used_bytes = self.capacity.used_bytes.saturating_add(reserve_bytes);
        self.lacks_reserve(options) || (0 < disk_bytes_max && disk_bytes_max < used_bytes)
    }

    fn lacks_reserve(&self, options: &Options) -> bool {
        self.capacity.free_bytes < options.reserve_bytes
    }
}
