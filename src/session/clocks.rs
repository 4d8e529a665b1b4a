//! The offsets of clients' clocks, as far as clients send timestamps.
//!
//! A connection's clock is known by messages with a timestamp. The apparent delay of such a message
//! is its network delay plus the offset of the clocks. The minimum over ten minutes belongs to the
//! shortest delay, which is taken as half of the shortest heartbeat. The error is half of the
//! difference between the delays of both directions, plus the millisecond that clients count in.
//!
//! Invariant: at most `CLOCKS_MAX` clocks, whatever clients send.

use std::collections::BTreeMap;

use crate::base::limits::CLOCKS_MAX;
use crate::base::{ConnId, MonotonicMs, Timestamps};

/// The length of a window; the minimum of two windows counts.
const WINDOW_MS: u64 = 300_000;

/// A clock that was not used for so long makes room for another.
const UNUSED_MS: u64 = 600_000;

/// A message with a longer apparent delay was not slow: a clock was set.
const JUMP_US: i64 = 60_000_000;

/// The clocks of a shard's clients.
#[derive(Debug, Default)]
pub struct ClientClocks {
    known: BTreeMap<u32, Clock>,
    /// The time of the last scan of a full table.
    looked_at: MonotonicMs,
}

#[derive(Debug)]
struct Clock {
    generation: u32,
    used_at: MonotonicMs,
    window_since: MonotonicMs,
    /// The apparent delays: the server's clock at arrival minus the client's at sending.
    difference_ms: WindowedMin,
    round_trip_ms: WindowedMin,
}

/// The minima of two windows.
#[derive(Clone, Copy, Debug, Default)]
struct WindowedMin {
    now: Option<i64>,
    before: Option<i64>,
}

/// The delay of a message by its timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockSample {
    /// The offset is not known yet.
    Unknown,
    /// Its network delay,
    Took {
        /// in microseconds.
        us: u32,
    },
    /// It seems to have arrived before it was sent; its delay counts as zero.
    Skewed,
}

impl ClientClocks {
    /// Takes the timestamp of a message. Returns its delay.
    pub fn record(&mut self, now: Timestamps, conn: ConnId, sent_at_unix_ms: u64) -> ClockSample {
        let (Ok(here_ms), Ok(there_ms)) = (i64::try_from(now.unix_ms), sent_at_unix_ms.try_into())
        else {
            return ClockSample::Unknown;
        };
        let Some(difference_ms) = i64::checked_sub(here_ms, there_ms) else {
            return ClockSample::Unknown;
        };
        let Some(clock) = self.clock(now.tick, conn) else { return ClockSample::Unknown };
        let sample = clock.estimate(difference_ms);
        clock.difference_ms.record(difference_ms);
        sample
    }

    /// A heartbeat of this connection came back.
    pub fn on_round_trip(&mut self, now: MonotonicMs, conn: ConnId, took_ms: u64) {
        if let Some(clock) = self.known.get_mut(&conn.slot)
            && clock.generation == conn.generation
            && let Ok(took_ms) = i64::try_from(took_ms)
        {
            clock.turn(now);
            clock.round_trip_ms.record(took_ms);
        }
    }

    /// The connection is gone.
    pub fn forget(&mut self, conn: ConnId) {
        if !self.known.is_empty() {
            self.known.remove(&conn.slot);
        }
    }

    /// The clock of a connection, if there is one or room for one.
    fn clock(&mut self, now: MonotonicMs, conn: ConnId) -> Option<&mut Clock> {
        if !self.known.contains_key(&conn.slot) && CLOCKS_MAX <= self.known.len() {
            if now.ms_since(self.looked_at) < UNUSED_MS {
                return None;
            }
            self.looked_at = now;
            self.known.retain(|_, clock| now.ms_since(clock.used_at) < UNUSED_MS);
            if CLOCKS_MAX <= self.known.len() {
                return None;
            }
        }
        let fresh = || Clock {
            generation: conn.generation,
            used_at: now,
            window_since: now,
            difference_ms: WindowedMin::default(),
            round_trip_ms: WindowedMin::default(),
        };
        let clock = self.known.entry(conn.slot).or_insert_with(fresh);
        if clock.generation != conn.generation {
            *clock = fresh();
        }
        clock.used_at = now;
        clock.turn(now);
        Some(clock)
    }
}

impl Clock {
    fn turn(&mut self, now: MonotonicMs) {
        if WINDOW_MS <= now.ms_since(self.window_since) {
            self.window_since = now;
            self.difference_ms.turn();
            self.round_trip_ms.turn();
        }
    }

    /// The delay of a message with this apparent delay.
    fn estimate(&mut self, difference_ms: i64) -> ClockSample {
        let Some(round_trip_ms) = self.round_trip_ms.get() else { return ClockSample::Unknown };
        let least_ms = self.difference_ms.get().unwrap_or(difference_ms);
        let beyond_us = difference_ms.saturating_sub(least_ms).saturating_mul(1_000);
        let took_us = beyond_us.saturating_add(round_trip_ms.saturating_mul(500));
        if JUMP_US < took_us {
            self.difference_ms = WindowedMin::default();
            return ClockSample::Unknown;
        }
        u32::try_from(took_us).map_or(ClockSample::Skewed, |us| ClockSample::Took { us })
    }
}

impl WindowedMin {
    fn get(self) -> Option<i64> {
        self.now.into_iter().chain(self.before).min()
    }

    fn record(&mut self, value: i64) {
        self.now = Some(self.now.map_or(value, |least| least.min(value)));
    }

    fn turn(&mut self) {
        *self = WindowedMin { now: None, before: self.now };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    const CONN: ConnId = ConnId { slot: 7, generation: 1 };

    fn now(ms: u64) -> Timestamps {
        Timestamps::at(MonotonicMs(ms), 1_700_000_000_000 + ms)
    }

    /// A client whose clock is `ahead_ms` before ours.
    struct Client {
        clocks: ClientClocks,
        ahead_ms: i64,
    }

    impl Client {
        fn new(ahead_ms: i64) -> Client {
            Client { clocks: ClientClocks::default(), ahead_ms }
        }

        /// A message that arrives at `at_ms`, after `way_ms`.
        fn says(&mut self, at_ms: u64, way_ms: u64) -> ClockSample {
            let sent = (now(at_ms).unix_ms - way_ms).checked_add_signed(self.ahead_ms).unwrap();
            self.clocks.record(now(at_ms), CONN, sent)
        }

        fn beats(&mut self, at_ms: u64, round_trip_ms: u64) {
            self.clocks.on_round_trip(now(at_ms).tick, CONN, round_trip_ms);
        }
    }

    #[test]
    fn a_clock_that_is_off_by_hours_tells_how_long_a_message_took() {
        for ahead_ms in [-7_200_000, -3, 0, 7_200_000] {
            let mut client = Client::new(ahead_ms);
            assert_eq!(client.says(1_000, 30), ClockSample::Unknown, "no heartbeat yet");
            client.beats(2_000, 40);
            // The quickest so far took 30 ms, and is taken for 20.
            assert_eq!(client.says(3_000, 30), ClockSample::Took { us: 20_000 });
            assert_eq!(client.says(4_000, 20), ClockSample::Took { us: 10_000 });
            assert_eq!(client.says(5_000, 520), ClockSample::Took { us: 520_000 });
        }
    }

    #[test]
    fn the_error_is_half_of_the_difference_between_there_and_back() {
        let mut prng = Prng::from_seed(2);
        for _ in 0..200 {
            let (there, back) = (prng.below(100), prng.below(100));
            let mut client = Client::new(prng.below(1_000_000) as i64 - 500_000);
            client.says(1_000, there);
            client.beats(1_000, there + back);
            let waits = prng.below(400);
            let ClockSample::Took { us } = client.says(2_000, there + waits) else { panic!() };
            let error_us = i64::from(us) - (there + waits) as i64 * 1_000;
            let asymmetry_us = there.abs_diff(back) as i64 * 1_000;
            assert!(error_us.abs() <= asymmetry_us / 2 + 1_000, "{error_us} {there} {back}");
        }
    }

    #[test]
    fn what_seems_to_come_before_it_left_is_skewed_once() {
        let mut client = Client::new(0);
        client.says(1_000, 10);
        client.beats(1_000, 20);
        client.ahead_ms = 500; // its clock is set
        assert_eq!(client.says(2_000, 10), ClockSample::Skewed);
        assert_eq!(client.says(3_000, 10), ClockSample::Took { us: 10_000 }, "and is known now");
        client.ahead_ms = -100_000;
        assert_eq!(client.says(4_000, 10), ClockSample::Unknown, "a jump is no latency");
        assert_eq!(client.says(5_000, 10), ClockSample::Took { us: 10_000 });
    }

    #[test]
    fn a_clock_that_drifts_is_followed() {
        let mut client = Client::new(0);
        client.says(0, 10);
        client.beats(0, 20);
        for minute in 1..60 {
            client.ahead_ms -= 6; // 100 ppm, ten times what is usual
            let ClockSample::Took { us } = client.says(minute * 60_000, 10) else { panic!() };
            assert!(us <= 10_000 + 10 * 6_000, "{us} after {minute} min");
            client.beats(minute * 60_000, 20);
        }
    }

    #[test]
    fn times_that_cannot_be_are_nothing() {
        for sent in [0, 1, u64::MAX, i64::MAX as u64] {
            let mut clocks = ClientClocks::default();
            assert_eq!(clocks.record(now(5), CONN, sent), ClockSample::Unknown);
            clocks.on_round_trip(MonotonicMs(5), CONN, u64::MAX);
            clocks.on_round_trip(MonotonicMs(5), CONN, 2);
            let sample = clocks.record(now(6), CONN, sent);
            assert_ne!(sample, ClockSample::Skewed, "{sent}");
        }
    }

    #[test]
    fn there_is_a_limit_and_who_is_silent_makes_room() {
        let mut clocks = ClientClocks::default();
        let conn = |slot: usize, generation| ConnId { slot: slot as u32, generation };
        for slot in 0..CLOCKS_MAX + 10 {
            clocks.record(now(0), conn(slot, 1), 5);
        }
        assert_eq!(clocks.known.len(), CLOCKS_MAX);
        clocks.forget(conn(3, 1));
        clocks.record(now(0), conn(CLOCKS_MAX, 1), 5);
        assert!(clocks.known.contains_key(&(CLOCKS_MAX as u32)));
        clocks.record(now(UNUSED_MS), conn(CLOCKS_MAX + 1, 1), 5);
        assert_eq!(clocks.known.len(), 1, "all of them were silent");
    }

    #[test]
    fn a_clock_is_not_the_next_connections() {
        let mut client = Client::new(0);
        client.says(1_000, 10);
        client.beats(1_000, 20);
        let next = ConnId { generation: 2, ..CONN };
        assert_eq!(client.clocks.record(now(2_000), next, 1), ClockSample::Unknown);
        client.clocks.on_round_trip(MonotonicMs(2_000), CONN, 4);
        assert_eq!(client.clocks.record(now(2_000), next, 1), ClockSample::Unknown);
    }
}
