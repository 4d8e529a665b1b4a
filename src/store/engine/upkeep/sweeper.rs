//! The progress of sweeps, and the time of their next steps.
//!
//! Deliberately absent: the work of a step.

use std::collections::BTreeSet;
use std::mem;

use crate::base::RoomId;
use crate::store::options::Retention;

/// Time between two steps of a sweep, in ms.
const STEP_MS: u64 = 10;
/// Most channels in a list: of those that exceed a limit, and of those of which something was
/// removed; a sweep finds the others.
const OVER_LIMIT_MAX: usize = 4_096;
/// Shortest and longest time between two sweeps over the channels, in ms.
const SWEEP_MS: (u64, u64) = (1_000, 300_000);

/// The progress of all sweeps.
#[derive(Debug)]
pub(super) struct Sweeper {
    /// Channels that exceed a limit.
    over_limit: BTreeSet<RoomId>,
    /// Channels with removed messages of which something is left on the disk.
    removed: BTreeSet<RoomId>,
    sweeps: [Sweep; SweepKind::COUNT],
    /// The earliest expiry of a pending message that the sweep has met.
    found_unix_ms: u64,
    pause_ms: u64,
    last_step_unix_ms: Option<u64>,
}

/// What a sweep visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::engine) enum SweepKind {
    /// Channels.
    Channels,
    /// Pending messages.
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

/// The progress of a sweep.
#[derive(Debug)]
pub(in crate::store::engine) enum Sweep {
    /// It is idle until then.
    Rests(u64),
    /// It continues after this key.
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

/// Whether a step is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepTime {
    /// It is time.
    Due,
    /// The last one was a moment ago.
    Between,
}

impl Sweeper {
    /// All sweeps are due.
    pub fn new(retention: &[Retention]) -> Sweeper {
        let age_ms = retention.iter().map(|rules| rules.age_ms_max).min().unwrap_or(u64::MAX);
        Sweeper {
            over_limit: BTreeSet::new(),
            removed: BTreeSet::new(),
            sweeps: [const { Sweep::Rests(0) }; SweepKind::COUNT],
            found_unix_ms: u64::MAX,
            pause_ms: (age_ms / 20).clamp(SWEEP_MS.0, SWEEP_MS.1),
            last_step_unix_ms: None,
        }
    }

    /// Notes a channel that exceeds a limit.
    pub fn on_over_limit(&mut self, room: RoomId) {
        if self.over_limit.len() < OVER_LIMIT_MAX {
            self.over_limit.insert(room);
        }
    }

    /// One of the channels that exceed a limit.
    pub fn first_over_limit(&self) -> Option<RoomId> {
        self.over_limit.first().copied()
    }

    /// A channel does not exceed a limit any more.
    pub fn end_over_limit(&mut self, room: RoomId) {
        self.over_limit.remove(&room);
    }

    /// Notes a channel whose messages were removed by order.
    pub fn on_removed(&mut self, room: RoomId) {
        if self.removed.len() < OVER_LIMIT_MAX {
            self.removed.insert(room);
        }
    }

    /// One of the channels of which something is left that was removed.
    pub fn first_removed(&self) -> Option<RoomId> {
        self.removed.first().copied()
    }

    /// Nothing is left of what was removed of a channel.
    pub fn end_removed(&mut self, room: RoomId) {
        self.removed.remove(&room);
    }

    /// Notes the expiry of a pending message.
    pub fn expects(&mut self, expires_unix_ms: u64) {
        self.found_unix_ms = self.found_unix_ms.min(expires_unix_ms);
        if let Sweep::Rests(until) = &mut self.sweeps[SweepKind::Pending as usize] {
            *until = (*until).min(expires_unix_ms);
        }
    }

    /// The earliest expiry that was met.
    pub fn found_unix_ms(&self) -> u64 {
        self.found_unix_ms
    }

    /// Sets the earliest expiry.
    pub fn set_found(&mut self, found_unix_ms: u64) {
        self.found_unix_ms = found_unix_ms;
    }

    /// Where a sweep continues, when it is due.
    pub fn begin(&mut self, kind: SweepKind, now_unix_ms: u64) -> Option<Vec<u8>> {
        match &mut self.sweeps[kind as usize] {
            Sweep::Rests(until) if now_unix_ms < *until => None,
            Sweep::Rests(_) => Some(Vec::new()),
            Sweep::At(key) => Some(mem::take(key)),
        }
    }

    /// Sets the progress of a sweep.
    pub fn set(&mut self, kind: SweepKind, sweep: Sweep) {
        self.sweeps[kind as usize] = sweep;
    }

    /// The batch was dropped: all sweeps start again.
    pub fn restart(&mut self) {
        self.sweeps = [const { Sweep::Rests(0) }; SweepKind::COUNT];
    }

    /// The time at which a finished sweep starts again.
    pub fn rest_until(&self, now_unix_ms: u64) -> u64 {
        now_unix_ms.saturating_add(self.pause_ms)
    }

    /// The time of the next step.
    pub fn next_step_unix_ms(&self) -> u64 {
        let step = self.last_step_unix_ms.map_or(0, |last| last.saturating_add(STEP_MS));
        let is_idle = self.over_limit.is_empty() && self.removed.is_empty();
        let listed = if is_idle { u64::MAX } else { step };
        let due = self.sweeps.iter().map(|sweep| sweep.due(step)).min();
        due.unwrap_or(u64::MAX).min(listed).max(step)
    }

    /// Whether a step is due.
    pub fn step(&self, now_unix_ms: u64) -> StepTime {
        match self.last_step_unix_ms {
            Some(last) if now_unix_ms.abs_diff(last) < STEP_MS => StepTime::Between,
            Some(_) | None => StepTime::Due,
        }
    }

    /// Ends a step.
    pub fn end_step(&mut self, now_unix_ms: u64) {
        self.last_step_unix_ms = Some(now_unix_ms);
    }
}
