//! A disk that fails, and one that is full.

use super::super::disk::{Disk, Space};
use super::super::key;
use super::super::letter::Failure;
use super::super::options::Options;
use super::{Engine, life};

/// How long a look at the disk's capacity holds, in ms.
const CAPACITY_MS: u64 = 100;

/// Between tries to read a broken disk again, in ms; doubles up to the second.
const HEAL_MS: (u64, u64) = (50, 5_000);

/// Between two tries to get space back, in ms; doubles up to the second.
const RECLAIM_MS: (u64, u64) = (1_000, 60_000);

/// What was done to get space back since the store was full last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Reclaimed {
    next_try_unix_ms: u64,
    pause_ms: u64,
    /// Commits at the last try: without another one there is nothing to get.
    commits: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Works,
    /// Not to be written before it is read again.
    Broken {
        next_try_unix_ms: u64,
        pause_ms: u64,
    },
}

impl<D: Disk> Engine<D> {
    /// Whether messages are taken: the disk works, and has space.
    pub fn takes_messages(&self) -> Result<(), Failure> {
        match self.health {
            Health::Broken { .. } => Err(Failure::Broken),
            Health::Works if self.is_full() => Err(Failure::Full),
            Health::Works => Ok(()),
        }
    }

    /// Nothing that was planned or remembered counts any more.
    pub(super) fn fail(&mut self, now_unix_ms: u64) {
        // Whether these have one message more is seen when it is read again.
        let messages = self.batch.iter().filter(|(space, ..)| *space == Space::Messages);
        let rooms = messages.filter_map(|(_, key, _)| Some(key::message_of(key)?.0));
        self.doubtful.extend(rooms);
        self.batch.clear();
        self.forget();
        if self.unsynced_since_unix_ms.take().is_some() {
            self.losses_count = self.losses_count.saturating_add(1);
        }
        self.sweeper.forget();
        // The disk says how full it is before the next write.
        self.capacity_seen_unix_ms = None;
        let pause_ms = HEAL_MS.0;
        self.health = Health::Broken { next_try_unix_ms: now_unix_ms, pause_ms };
    }

    /// What is remembered of the disk is read again.
    fn forget(&mut self) {
        self.heads.clear();
        self.acknowledged.clear();
    }

    /// Reads a broken disk again, when it is time.
    pub(super) fn heal(&mut self, now_unix_ms: u64) {
        let Health::Broken { next_try_unix_ms, pause_ms } = self.health else { return };
        // A wall clock that was set back must not make this wait for it.
        let waits = now_unix_ms < next_try_unix_ms && next_try_unix_ms - now_unix_ms <= HEAL_MS.1;
        if waits {
            return;
        }
        self.capacity_seen_unix_ms = None;
        self.look_at_capacity(now_unix_ms);
        // Opening writes; without space it would break at once, and lose the
        // reading that still goes on.
        let is_open = !self.lacks_reserve() && self.disk.reopen().is_ok();
        if is_open && life::put_life(&mut self.disk, self.losses_count).is_ok() {
            // Reads went on meanwhile, and remembered what was to be seen then.
            self.forget();
            self.doubtful.clear();
            self.counts.reopened += 1;
            self.health = Health::Works;
        } else {
            self.health = Health::Broken {
                next_try_unix_ms: now_unix_ms.saturating_add(pause_ms),
                pause_ms: pause_ms.saturating_mul(2).min(HEAL_MS.1),
            };
        }
    }

    /// Gets space back where it is short, when something may have come free: what
    /// expires, or is taken back, takes its space until then.
    pub(super) fn reclaim(&mut self, now_unix_ms: u64) {
        if self.health != Health::Works {
            return;
        }
        if !self.is_full() {
            self.reclaimed = Reclaimed::default();
            return;
        }
        let Reclaimed { next_try_unix_ms, pause_ms, commits } = self.reclaimed;
        let waits =
            now_unix_ms < next_try_unix_ms && next_try_unix_ms - now_unix_ms <= RECLAIM_MS.1;
        if waits || commits == Some(self.counts.commits) {
            return;
        }
        let pause_ms = pause_ms.saturating_mul(2).clamp(RECLAIM_MS.0, RECLAIM_MS.1);
        let next_try_unix_ms = now_unix_ms.saturating_add(pause_ms);
        let commits = Some(self.counts.commits);
        self.reclaimed = Reclaimed { next_try_unix_ms, pause_ms, commits };
        if self.disk.reclaim().is_err() {
            return self.fail(now_unix_ms);
        }
        self.capacity_seen_unix_ms = None;
        self.look_at_capacity(now_unix_ms);
    }

    pub(super) fn look_at_capacity(&mut self, now_unix_ms: u64) {
        let seen = self.capacity_seen_unix_ms;
        if seen.is_some_and(|seen| now_unix_ms.abs_diff(seen) < CAPACITY_MS) {
            return;
        }
        self.capacity_seen_unix_ms = Some(now_unix_ms);
        if let Ok(capacity) = self.disk.capacity() {
            self.capacity = capacity;
        }
    }

    /// Near the end of the disk, or of what may be used of it.
    pub(super) fn is_full(&self) -> bool {
        let Options { disk_bytes_max, reserve_bytes, .. } = self.setup.options;
        let used_bytes = self.capacity.used_bytes.saturating_add(reserve_bytes);
        self.lacks_reserve() || (0 < disk_bytes_max && disk_bytes_max < used_bytes)
    }

    fn lacks_reserve(&self) -> bool {
        self.capacity.free_bytes < self.setup.options.reserve_bytes
    }
}
