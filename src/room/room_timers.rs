//! When rooms are looked at again: for messages that grow old and rooms that are empty, for
//! members who do not come back, and for what is told or looked for now and then.
//!
//! An entry stays when what it was for has changed: whoever it wakes asks whether it is time.
//!
//! Deliberately absent: what is done then.

use super::members::MemberId;
use crate::base::{MonotonicMs, Timestamps, Wheel};

/// How exactly rooms keep their deadlines.
const WHEEL_GRANULARITY_MS: u64 = 64;

/// The deadlines of all rooms of a shard.
pub(super) struct RoomTimers {
    sweeps: Wheel<u32>,
    absence_ends: Wheel<(u32, MemberId)>,
    redeliveries: Wheel<u32>,
}

/// How long a room stays when nobody is in it, and when it is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Since when nobody is here.
    empty_since: MonotonicMs,
    /// The earliest sweep that is set for this room; the end of time for none.
    sweep_at: MonotonicMs,
}

impl RoomTimers {
    /// No deadlines yet.
    pub fn new(now: Timestamps) -> RoomTimers {
        RoomTimers {
            sweeps: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            absence_ends: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
            redeliveries: Wheel::new(now.tick, WHEEL_GRANULARITY_MS, 0),
        }
    }

    /// Lets a room be swept at `at`, unless it is before.
    pub fn set_sweep(&mut self, lifetime: &mut Lifetime, slot: u32, at: MonotonicMs) {
        if at < lifetime.sweep_at {
            lifetime.sweep_at = at;
            self.sweeps.set(at, slot);
        }
    }

    /// Lets a member's place be given up at `at`.
    pub fn set_absence_end(&mut self, at: MonotonicMs, slot: u32, member_id: MemberId) {
        self.absence_ends.set(at, (slot, member_id));
    }

    /// Lets a room look at `at` for what is to be told, or sent again.
    pub fn set_redelivery(&mut self, at: MonotonicMs, slot: u32) {
        self.redeliveries.set(at, slot);
    }

    /// At most `max` rooms that are to be swept.
    pub fn take_sweeps(&mut self, now: MonotonicMs, max: usize) -> Vec<u32> {
        take(&mut self.sweeps, now, max)
    }

    /// At most `max` members whose places are to be given up.
    pub fn take_absence_ends(&mut self, now: MonotonicMs, max: usize) -> Vec<(u32, MemberId)> {
        take(&mut self.absence_ends, now, max)
    }

    /// At most `max` rooms that look for what is to be told, or sent again.
    pub fn take_redeliveries(&mut self, now: MonotonicMs, max: usize) -> Vec<u32> {
        take(&mut self.redeliveries, now, max)
    }

    /// The next deadline of any of them.
    pub fn next(&self) -> Option<MonotonicMs> {
        let wakes = [self.sweeps.next(), self.absence_ends.next(), self.redeliveries.next()];
        wakes.into_iter().flatten().min()
    }
}

fn take<T: Copy>(wheel: &mut Wheel<T>, now: MonotonicMs, max: usize) -> Vec<T> {
    let mut due = Vec::new();
    wheel.turn(now, max, |key| due.push(key));
    due
}

impl Lifetime {
    /// Of a room that is made now, and empty until somebody comes.
    pub fn new(now: MonotonicMs) -> Lifetime {
        Lifetime { empty_since: now, sweep_at: MonotonicMs(u64::MAX) }
    }

    /// Nobody is here from now on.
    pub fn begin_empty(&mut self, now: MonotonicMs) {
        self.empty_since = now;
    }

    /// When it goes, if nobody comes.
    pub fn leaves_at(&self, stays_ms: u64) -> MonotonicMs {
        self.empty_since.plus_ms(stays_ms)
    }

    /// Whether a sweep that comes now was meant for this room: else it was set for an
    /// earlier one in this slot, or for a time that has changed. No sweep is set then.
    pub fn begin_sweep(&mut self, now: MonotonicMs) -> bool {
        let is_due = self.sweep_at <= now;
        if is_due {
            self.sweep_at = MonotonicMs(u64::MAX);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_swept_at_the_earliest_time_that_was_wanted() {
        let mut timers = RoomTimers::new(Timestamps::default());
        let mut lifetime = Lifetime::new(MonotonicMs(0));
        for at in [5_000, 9_000, 2_000] {
            timers.set_sweep(&mut lifetime, 7, MonotonicMs(at));
        }
        assert!(timers.next().is_some_and(|at| at < MonotonicMs(5_000)));
        assert!(!lifetime.begin_sweep(MonotonicMs(1_999)), "not yet");
        assert_eq!(timers.take_sweeps(MonotonicMs(2_100), 10), [7]);
        assert!(lifetime.begin_sweep(MonotonicMs(2_100)));
        assert_eq!(timers.take_sweeps(MonotonicMs(6_000), 10), [7], "the entry of before stays");
        assert!(!lifetime.begin_sweep(MonotonicMs(6_000)), "and means nothing");
    }
}
