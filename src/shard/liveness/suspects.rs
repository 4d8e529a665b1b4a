//! Connections whose time is over: what their peers did not do may be the server's own
//! lateness, so each is judged later, when that can be told. Nobody is while the core is late, or
//! while many are suspected at once: then it is not them.
//!
//! The checks are not paused for ever, or peers by the thousand that keep silent on
//! purpose could stay for ever; but even then only so many are closed a second, as
//! always.
//!
//! Invariant: whoever was pushed is taken once, by `take` or by `take_held`.
//!
//! Deliberately absent: what is known of a peer, and what becomes of it.

use std::collections::VecDeque;

use crate::base::{Bucket, ConnId, MonotonicMs, Rate, trim_queue};
use crate::session::{CorePace, Suspicion};

/// Judged in one turn at most: each costs a system call or two.
const JUDGED_PER_TURN_MAX: usize = 64;

/// That many missing pongs, and this part of all connections, are too many at once.
const CROWD_COUNT_MIN: u32 = 16;
const CROWD_PER_100: u64 = 1;

/// At once is within this time, or twice as much: as long as a pong is waited for.
const CROWD_WINDOW_MS: u64 = 4_000;

/// The longest pause of the checks.
const HELD_MS_MAX: u64 = 300_000;

/// A pause that ended so long ago is over, and the next one begins anew.
const HELD_APART_MS: u64 = 30_000;

/// Connections that are closed for silence in a second: a part of all, and not below this.
const CLOSED_PER_S_MIN: u32 = 16;
const CLOSED_PER_S_PER_100: u32 = 1;

/// Between two tries when no more may be closed.
const PACED_MS: u64 = 100;

/// Whether suspects are checked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspectChecks {
    /// None is.
    Paused,
    /// They are, when all events of the turn were read.
    Running,
}

/// The suspected connections of one core.
#[derive(Debug)]
pub struct Suspects {
    waiting: VecDeque<ConnId>,
    /// Nobody is taken before.
    next_at: MonotonicMs,
    /// Missing pongs of this window, of the one before, and when this one began.
    missing: [u32; 2],
    window_began: MonotonicMs,
    /// The first and the last moment of the present pause.
    held: Option<(MonotonicMs, MonotonicMs)>,
    closed: Bucket,
}

impl Default for Suspects {
    fn default() -> Suspects {
        Suspects {
            waiting: VecDeque::new(),
            next_at: MonotonicMs(0),
            missing: [0; 2],
            window_began: MonotonicMs(0),
            held: None,
            closed: Bucket::full(),
        }
    }
}

impl Suspects {
    /// One more.
    pub fn push(&mut self, now: MonotonicMs, id: ConnId, suspicion: Suspicion) {
        self.turn_window(now);
        self.missing[0] += u32::from(suspicion == Suspicion::Silence);
        self.waiting.push_back(id);
    }

    /// Gives back what a crowd has left.
    pub fn trim(&mut self) {
        trim_queue(&mut self.waiting);
    }

    /// When somebody who waits can be taken.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        (!self.waiting.is_empty()).then_some(self.next_at)
    }

    /// Whether suspects are checked now; asked in each turn.
    pub fn checks(
        &mut self,
        now: MonotonicMs,
        pace: CorePace,
        connections_count: usize,
    ) -> SuspectChecks {
        self.turn_window(now);
        let missing = self.missing[0] + self.missing[1];
        let is_crowd = CROWD_COUNT_MIN <= missing
            && connections_count as u64 * CROWD_PER_100 < u64::from(missing) * 100;
        if pace == CorePace::OnTime && !is_crowd {
            self.held = self.held.filter(|(_, last)| now.ms_since(*last) < HELD_APART_MS);
            return SuspectChecks::Running;
        }
        let (since, _) = self.held.unwrap_or((now, now));
        self.held = Some((since, now));
        if now.ms_since(since) < HELD_MS_MAX {
            SuspectChecks::Paused
        } else {
            SuspectChecks::Running
        }
    }

    /// Some to be judged in this turn, the oldest.
    pub fn take(&mut self, now: MonotonicMs) -> Vec<ConnId> {
        let count = if now < self.next_at { 0 } else { JUDGED_PER_TURN_MAX };
        self.waiting.drain(..self.waiting.len().min(count)).collect()
    }

    /// All, while nobody is judged.
    pub fn take_held(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.waiting).into()
    }

    /// One that was taken cannot be closed yet.
    pub fn put_back(&mut self, now: MonotonicMs, id: ConnId) {
        self.waiting.push_back(id);
        self.next_at = now.plus_ms(PACED_MS);
    }

    /// Whether one more may be closed for silence now.
    pub fn may_close(&mut self, now: MonotonicMs, connections_count: usize) -> bool {
        let part = connections_count as u64 * u64::from(CLOSED_PER_S_PER_100) / 100;
        let per_s = u32::try_from(part).unwrap_or(u32::MAX).max(CLOSED_PER_S_MIN);
        self.closed.take(now, Rate { per_s, burst: per_s }, 1)
    }

    fn turn_window(&mut self, now: MonotonicMs) {
        let passed_ms = now.ms_since(self.window_began);
        if CROWD_WINDOW_MS <= passed_ms {
            let is_next = passed_ms < 2 * CROWD_WINDOW_MS;
            self.missing = [0, if is_next { self.missing[0] } else { 0 }];
            self.window_began = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    fn suspect(suspects: &mut Suspects, now: u64, count: u32) {
        (0..count).for_each(|slot| suspects.push(MonotonicMs(now), id(slot), Suspicion::Silence));
    }

    #[test]
    fn nobody_is_judged_by_a_late_core_for_five_minutes() {
        let mut suspects = Suspects::default();
        for now in (1_000..301_000).step_by(1_000) {
            assert_eq!(
                suspects.checks(MonotonicMs(now), CorePace::Late, 10),
                SuspectChecks::Paused,
                "at {now}"
            );
        }
        assert_eq!(
            suspects.checks(MonotonicMs(301_000), CorePace::FarBehind, 10),
            SuspectChecks::Running
        );
        // A moment on time does not begin another five minutes, and half a minute does.
        assert_eq!(
            suspects.checks(MonotonicMs(302_000), CorePace::OnTime, 10),
            SuspectChecks::Running
        );
        assert_eq!(
            suspects.checks(MonotonicMs(303_000), CorePace::Late, 10),
            SuspectChecks::Running
        );
        for now in [304_000, 333_000, 334_000] {
            assert_eq!(
                suspects.checks(MonotonicMs(now), CorePace::OnTime, 10),
                SuspectChecks::Running
            );
        }
        assert_eq!(
            suspects.checks(MonotonicMs(335_000), CorePace::Late, 10),
            SuspectChecks::Paused
        );
    }

    #[test]
    fn a_crowd_is_16_and_more_than_one_in_a_hundred_within_seconds() {
        for (connections, missing, want) in [
            (10, 15, SuspectChecks::Running),
            (10, 16, SuspectChecks::Paused),
            (1_599, 16, SuspectChecks::Paused),
            (1_600, 16, SuspectChecks::Running),
            (1_600, 17, SuspectChecks::Paused),
            (1_000_000, 10_000, SuspectChecks::Running),
        ] {
            let mut suspects = Suspects::default();
            suspect(&mut suspects, 50_000, missing);
            let checks = suspects.checks(MonotonicMs(50_100), CorePace::OnTime, connections);
            assert_eq!(checks, want, "{missing} of {connections}");
        }
        let mut suspects = Suspects::default();
        suspect(&mut suspects, 50_000, 10);
        suspect(&mut suspects, 56_000, 10);
        assert_eq!(
            suspects.checks(MonotonicMs(56_000), CorePace::OnTime, 100),
            SuspectChecks::Paused
        );
        assert_eq!(
            suspects.checks(MonotonicMs(61_000), CorePace::OnTime, 100),
            SuspectChecks::Running
        );
        let mut others = Suspects::default();
        (0..100).for_each(|slot| others.push(MonotonicMs(9), id(slot), Suspicion::Deadline));
        assert_eq!(
            others.checks(MonotonicMs(9), CorePace::OnTime, 100),
            SuspectChecks::Running,
            "they never began"
        );
    }

    #[test]
    fn each_is_taken_once_and_few_in_a_turn() {
        let mut suspects = Suspects::default();
        suspect(&mut suspects, 1, 150);
        let mut taken = Vec::new();
        while suspects.next_wake().is_some() {
            let some = suspects.take(MonotonicMs(2));
            assert!(some.len() <= JUDGED_PER_TURN_MAX);
            taken.extend(some);
        }
        assert_eq!(taken, (0..150).map(id).collect::<Vec<_>>());
        suspects.put_back(MonotonicMs(2), id(3));
        assert_eq!(suspects.next_wake(), Some(MonotonicMs(102)));
        assert_eq!(suspects.take(MonotonicMs(101)), []);
        assert_eq!(suspects.take(MonotonicMs(102)), [id(3)]);
        suspects.put_back(MonotonicMs(102), id(4));
        assert_eq!((suspects.take_held(), suspects.take_held()), (vec![id(4)], vec![]));
    }

    #[test]
    fn closes_for_silence_are_paced() {
        for (connections, want) in [(50, 16), (100_000, 1_000)] {
            let mut suspects = Suspects::default();
            let mut closes = |now| {
                (0..5_000).filter(|_| suspects.may_close(MonotonicMs(now), connections)).count()
            };
            assert_eq!(closes(10_000), want);
            assert_eq!(closes(10_000), 0);
            assert_eq!(closes(10_500), want / 2);
        }
    }
}
