//! Where the sweeps are, and when the next step of one is due.
//!
//! Deliberately absent: what a step does.

use std::collections::BTreeSet;
use std::mem;

use crate::base::RoomId;
use crate::store::options::Retention;

/// Between two steps of a sweep, in ms.
const STEP_MS: u64 = 10;
/// Channels with too much that are remembered; a sweep finds the others.
const OVER_LIMIT_MAX: usize = 4_096;
/// Between two sweeps over the channels, in ms, whatever their age may be.
const SWEEP_MS: (u64, u64) = (1_000, 300_000);

/// Where the sweeps are.
#[derive(Debug)]
pub(super) struct Sweeper {
    /// Channels with too much.
    over_limit: BTreeSet<RoomId>,
    sweeps: [Sweep; SweepKind::COUNT],
    /// The earliest end of waiting that the sweep has met.
    found_unix_ms: u64,
    pause_ms: u64,
    last_step_unix_ms: Option<u64>,
}

/// What is visited from time to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::engine) enum SweepKind {
    /// Channels.
    Channels,
    /// What waits for readers.
    Pending,
    /// Dead letters.
    Dead,
    /// Conversations of users.
    Conversations,
    /// Ids of messages.
    Ids,
}

impl SweepKind {
    const COUNT: usize = 5;
}

/// How far a sweep is.
#[derive(Debug)]
pub(in crate::store::engine) enum Sweep {
    /// Until then.
    Rests(u64),
    /// Behind this key next.
    At(Vec<u8>),
}

impl Sweep {
    fn due(&self, step_unix_ms: u64) -> u64 {
        match self {
            Sweep::Rests(until) => *until,
            Sweep::At(_) => step_unix_ms,
        }
    }
}

/// Whether it is time for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepTime {
    /// It is time.
    Due,
    /// The last one was a moment ago.
    Between,
}

impl Sweeper {
    /// All is visited at once.
    pub fn new(retention: &[Retention]) -> Sweeper {
        let age_ms = retention.iter().map(|rules| rules.age_ms_max).min().unwrap_or(u64::MAX);
        Sweeper {
            over_limit: BTreeSet::new(),
            sweeps: [const { Sweep::Rests(0) }; SweepKind::COUNT],
            found_unix_ms: u64::MAX,
            pause_ms: (age_ms / 20).clamp(SWEEP_MS.0, SWEEP_MS.1),
            last_step_unix_ms: None,
        }
    }

    /// A channel has too much.
    pub fn on_over_limit(&mut self, room: RoomId) {
        if self.over_limit.len() < OVER_LIMIT_MAX {
            self.over_limit.insert(room);
        }
    }

    /// One of those that have too much.
    pub fn first_over_limit(&self) -> Option<RoomId> {
        self.over_limit.first().copied()
    }

    /// It has not any more.
    pub fn end_over_limit(&mut self, room: RoomId) {
        self.over_limit.remove(&room);
    }

    /// Something waits until then.
    pub fn expects(&mut self, expires_unix_ms: u64) {
        self.found_unix_ms = self.found_unix_ms.min(expires_unix_ms);
        if let Sweep::Rests(until) = &mut self.sweeps[SweepKind::Pending as usize] {
            *until = (*until).min(expires_unix_ms);
        }
    }

    /// The earliest end of waiting that was met.
    pub fn found_unix_ms(&self) -> u64 {
        self.found_unix_ms
    }

    /// That is known anew.
    pub fn set_found(&mut self, found_unix_ms: u64) {
        self.found_unix_ms = found_unix_ms;
    }

    /// Where a sweep goes on, when it is time.
    pub fn begin(&mut self, kind: SweepKind, now_unix_ms: u64) -> Option<Vec<u8>> {
        match &mut self.sweeps[kind as usize] {
            Sweep::Rests(until) if now_unix_ms < *until => None,
            Sweep::Rests(_) => Some(Vec::new()),
            Sweep::At(key) => Some(mem::take(key)),
        }
    }

    /// How far it is now.
    pub fn set(&mut self, kind: SweepKind, sweep: Sweep) {
        self.sweeps[kind as usize] = sweep;
    }

    /// What was planned did not happen: everything is visited again.
    pub fn restart(&mut self) {
        self.sweeps = [const { Sweep::Rests(0) }; SweepKind::COUNT];
    }

    /// When a sweep that found nothing more begins anew.
    pub fn rest_until(&self, now_unix_ms: u64) -> u64 {
        now_unix_ms.saturating_add(self.pause_ms)
    }

    /// When there is something to do.
    pub fn next_step_unix_ms(&self) -> u64 {
        let step = self.last_step_unix_ms.map_or(0, |last| last.saturating_add(STEP_MS));
        let over_limit = if self.over_limit.is_empty() { u64::MAX } else { step };
        let due = self.sweeps.iter().map(|sweep| sweep.due(step)).min();
        due.unwrap_or(u64::MAX).min(over_limit).max(step)
    }

    /// Whether it is time for a step.
    pub fn step(&self, now_unix_ms: u64) -> StepTime {
        match self.last_step_unix_ms {
            Some(last) if now_unix_ms.abs_diff(last) < STEP_MS => StepTime::Between,
            Some(_) | None => StepTime::Due,
        }
    }

    /// A step was done.
    pub fn end_step(&mut self, now_unix_ms: u64) {
        self.last_step_unix_ms = Some(now_unix_ms);
    }
}
