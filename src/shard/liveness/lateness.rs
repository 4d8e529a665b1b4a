//! How late a core is with what is due, and what follows from that: whom it takes in, and
//! that it judges nobody.
//!
//! The measure is its own timers. A core that fires them late, because it has too much
//! to do or because the machine gives it no time, also sees late what its peers did.
//!
//! Invariants: a core that is on time is `CorePace::OnTime` within `FAR_BEHIND_HOLD_MS`, whatever
//! was before; however late it is, some peers are let in.
//!
//! Deliberately absent: connections, and who is suspected.

use crate::base::limits::{PEERS_PER_LATE_TURN_MAX, PEERS_PER_TURN_MAX};
use crate::base::{Action, MonotonicMs};
use crate::session::CorePace;

/// A timer that fires this much later than it should shows that the core is late. A turn
/// that takes 4,096 events takes about as long.
const LATE_MS_MIN: u64 = 20;

/// So long a core counts as late after that.
const LATE_HOLD_MS: u64 = 100;

/// From here on nobody is accepted for a while. Between the two, fewer are: a quota of CPU
/// time that is used up each 100 ms makes every timer late by 75, and must not keep
/// everybody out.
const ACCEPT_LAG_MS_MAX: u64 = 250;

/// So long nobody is accepted then.
const ACCEPT_REST_MS: u64 = 100;

/// From here on new subscriptions are refused as temporary: an eighth of what a ping may
/// slip before clients give up.
const NEWCOMERS_LAG_MS_MAX: u64 = 1_000;

/// So long they are refused after that.
const FAR_BEHIND_HOLD_MS: u64 = 500;

/// The lag that is shown is the worst of this time, or of twice as much.
const SHOWN_MS: u64 = 5_000;

/// One core's lateness.
#[derive(Debug, Default)]
pub struct Lateness {
    lag_ms: u64,
    late_until: MonotonicMs,
    far_behind_until: MonotonicMs,
    rests_until: MonotonicMs,
    /// What the `Io` was told last.
    peers_per_turn_max: Option<u16>,
    /// The worst of this window, of the one before, and when this one began.
    worst_ms: [u64; 2],
    window_began: MonotonicMs,
    /// When the time that was late was counted last, and what was not counted yet.
    counted_at: MonotonicMs,
    late_ms: u64,
    rests_count: u64,
}

impl Lateness {
    /// At `now` the core begins to fire what is due; the first of it should have fired at
    /// `due`.
    pub fn observe(&mut self, now: MonotonicMs, due: Option<MonotonicMs>) {
        self.lag_ms = due.map_or(0, |due| now.ms_since(due));
        let is_late = LATE_MS_MIN < self.lag_ms;
        // The time that it counted as late, and the time that it did not see.
        let held_until = self.late_until.min(now).max(self.counted_at);
        self.late_ms += held_until.ms_since(self.counted_at);
        if let Some(due) = due.filter(|_| is_late) {
            self.late_ms += now.ms_since(due.max(held_until));
            self.late_until = now.plus_ms(LATE_HOLD_MS);
        }
        self.counted_at = now;
        if NEWCOMERS_LAG_MS_MAX < self.lag_ms {
            self.far_behind_until = now.plus_ms(FAR_BEHIND_HOLD_MS);
        }
        if SHOWN_MS <= now.ms_since(self.window_began) {
            let is_next = now.ms_since(self.window_began) < 2 * SHOWN_MS;
            self.worst_ms[1] = if is_next { self.worst_ms[0] } else { 0 };
            (self.worst_ms[0], self.window_began) = (0, now);
        }
        self.worst_ms[0] = self.worst_ms[0].max(self.lag_ms);
    }

    /// How the core keeps its times.
    pub fn pace(&self, now: MonotonicMs) -> CorePace {
        if now < self.far_behind_until {
            CorePace::FarBehind
        } else if now < self.late_until {
            CorePace::Late
        } else {
            CorePace::OnTime
        }
    }

    /// How late it was when it fired last.
    pub fn lag_ms(&self) -> u64 {
        self.lag_ms
    }

    /// The worst of the last seconds.
    pub fn worst_ms(&self) -> u64 {
        self.worst_ms[0].max(self.worst_ms[1])
    }

    /// What the `Io` has to know about peers that come, if it does not know it.
    pub fn pace_accepting(&mut self, now: MonotonicMs) -> Option<Action> {
        let peers_per_turn_max = match self.pace(now) {
            CorePace::OnTime => PEERS_PER_TURN_MAX,
            CorePace::Late | CorePace::FarBehind => PEERS_PER_LATE_TURN_MAX,
        };
        // One turn between two rests may take some: nobody is kept out for ever.
        let rests = ACCEPT_LAG_MS_MAX < self.lag_ms && self.rests_until < now;
        if rests {
            self.rests_until = now.plus_ms(ACCEPT_REST_MS);
            self.rests_count += 1;
        }
        let is_known = self.peers_per_turn_max == Some(peers_per_turn_max);
        if is_known && !rests {
            return None;
        }
        self.peers_per_turn_max = Some(peers_per_turn_max);
        Some(Action::PaceAccepting { peers_per_turn_max, from: self.rests_until })
    }

    /// Time that was late, in ms, and rests of accepting, since the last call.
    pub fn take_counts(&mut self) -> (u64, u64) {
        (std::mem::take(&mut self.late_ms), std::mem::take(&mut self.rests_count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(peers_per_turn_max: u16, from: u64) -> Option<Action> {
        Some(Action::PaceAccepting { peers_per_turn_max, from: MonotonicMs(from) })
    }

    #[test]
    fn a_core_is_late_from_20_ms_on_and_for_100() {
        let mut lateness = Lateness::default();
        for (now, due, want) in [
            (1_000, None, CorePace::OnTime),
            (1_020, Some(1_000), CorePace::OnTime),
            (1_041, Some(1_020), CorePace::Late),
            (1_140, None, CorePace::Late),
            (1_141, None, CorePace::OnTime),
            (3_000, Some(1_999), CorePace::FarBehind),
            (3_499, None, CorePace::FarBehind),
            (3_500, None, CorePace::OnTime),
        ] {
            lateness.observe(MonotonicMs(now), due.map(MonotonicMs));
            assert_eq!(lateness.pace(MonotonicMs(now)), want, "at {now}");
        }
    }

    #[test]
    fn a_late_core_takes_fewer_peers_and_a_later_one_rests() {
        let mut lateness = Lateness::default();
        lateness.observe(MonotonicMs(1_000), None);
        assert_eq!(lateness.pace_accepting(MonotonicMs(1_000)), paced(16, 0));
        assert_eq!(lateness.pace_accepting(MonotonicMs(1_001)), None);
        lateness.observe(MonotonicMs(1_100), Some(MonotonicMs(1_050)));
        assert_eq!(lateness.pace_accepting(MonotonicMs(1_100)), paced(4, 0));
        lateness.observe(MonotonicMs(1_400), Some(MonotonicMs(1_100)));
        assert_eq!(lateness.pace_accepting(MonotonicMs(1_400)), paced(4, 1_500));
        // As late, all the time: at the end of each rest some are taken.
        for now in [1_410, 1_499, 1_500] {
            lateness.observe(MonotonicMs(now), Some(MonotonicMs(now - 300)));
            assert_eq!(lateness.pace_accepting(MonotonicMs(now)), None, "at {now}");
        }
        lateness.observe(MonotonicMs(1_501), Some(MonotonicMs(1_201)));
        assert_eq!(lateness.pace_accepting(MonotonicMs(1_501)), paced(4, 1_601));
        assert_eq!(lateness.take_counts().1, 2);
        lateness.observe(MonotonicMs(1_700), None);
        assert_eq!(lateness.pace_accepting(MonotonicMs(1_700)), paced(16, 1_601));
    }

    #[test]
    fn what_is_shown_is_the_worst_of_the_last_seconds() {
        let mut lateness = Lateness::default();
        for (now, due, want) in [
            (10_000, Some(9_970), 30),
            (10_010, Some(10_000), 30),
            (15_000, None, 30),
            (19_999, None, 30),
            (20_000, None, 0),
        ] {
            lateness.observe(MonotonicMs(now), due.map(MonotonicMs));
            assert_eq!(lateness.worst_ms(), want, "at {now}");
        }
    }

    #[test]
    fn time_that_was_late_is_counted_once() {
        let mut lateness = Lateness::default();
        lateness.observe(MonotonicMs(1_000), None);
        // 50 ms that nobody saw, and the 100 after them.
        lateness.observe(MonotonicMs(1_050), Some(MonotonicMs(1_000)));
        lateness.observe(MonotonicMs(1_100), None);
        lateness.observe(MonotonicMs(2_000), None);
        assert_eq!(lateness.take_counts(), (150, 0));
        // Late in each turn: all of the time.
        for now in (3_000..4_000).step_by(40) {
            lateness.observe(MonotonicMs(now), Some(MonotonicMs(now - 30)));
        }
        let (late_ms, _) = lateness.take_counts();
        assert!((960..1_100).contains(&late_ms), "{late_ms} ms");
    }
}
