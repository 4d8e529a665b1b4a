//! The timer of one heartbeat: when its client is pinged, and what a missing pong
//! means.
//!
//! A ping is sent when the core comes to it, so the interval grows while the core is overloaded.
//! The time limit for a pong begins when the ping has left. A pong that does not come in time is a
//! suspicion, which is judged elsewhere; two missing ones in a row, or three while the client's
//! host still acknowledges, mean that its program is gone.
//!
//! Invariant: the client is told the interval once, and it stays.
//!
//! Deliberately absent: clocks, sockets, and the lateness of the core.

use super::Options;
use crate::base::{Deadline32, MonotonicMs, Prng, TcpLiveness};

/// Intervals in seconds. The first stands for a fixed interval of the settings; the others depend
/// on the number of connections, or on the wish of the client.
const INTERVALS_S: [u8; 15] = [0, 10, 15, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 95, 110];

/// Pings a second that one core sends at most with the default interval: 0.8% of its time. With
/// more connections the interval grows.
const CHEAP_PINGS_PER_S: u64 = 500;

/// Pings a second at which clients that ask for a shorter interval get it.
const ASKED_PINGS_PER_S: u64 = 1_250;

/// The longest interval behind a proxy, which may close connections that are idle, mostly for a
/// minute, and without one.
const PROXIED_MS_MAX: u64 = 50_000;
const DIRECT_MS_MAX: u64 = 110_000;

/// SDKs wait 10 s longer for a ping than they were told. A short interval may be stretched by a
/// part of this on a core with many connections; the rest is reserved for overload.
const SLIP_MS_MAX: u64 = 4_000;

/// A client whose socket did not take a ping in this time does not read. The kernel's own timeout
/// is usually shorter.
const UNSENT_MS_MAX: u64 = 45_000;

/// Time between two checks whether it has left.
const LOOK_MS: u64 = 1_000;

/// Consecutive missing pongs after which the client is closed, and the same when its host still
/// acknowledges.
const MISSED_MAX: u8 = 2;
const MISSED_ACKNOWLEDGED_MAX: u8 = 3;

/// One connection's heartbeat in five bytes, because every idle connection has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PingTimer {
    at: [u8; 4],
    /// The step in the low four bits, the interval in the high ones.
    bits: u8,
}

/// The state of a heartbeat. `missed` counts consecutive missing pongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A ping is due at `at`.
    Resting,
    /// A ping waits for a send in flight; it must leave by `at`.
    Queued { missed: u8 },
    /// A ping is in flight to the socket; it must leave by `at`.
    Leaving { missed: u8 },
    /// A pong is due at `at`; the ping left `pong_ms_max` before.
    Listening { missed: u8 },
    /// Other bytes of the client came meanwhile, so nothing is missing.
    Heard,
    /// The pong is missing.
    Suspected { missed: u8 },
}

const STEPS: [Step; 14] = [
    Step::Resting,
    Step::Heard,
    Step::Queued { missed: 0 },
    Step::Queued { missed: 1 },
    Step::Queued { missed: 2 },
    Step::Leaving { missed: 0 },
    Step::Leaving { missed: 1 },
    Step::Leaving { missed: 2 },
    Step::Listening { missed: 0 },
    Step::Listening { missed: 1 },
    Step::Listening { missed: 2 },
    Step::Suspected { missed: 0 },
    Step::Suspected { missed: 1 },
    Step::Suspected { missed: 2 },
];

/// The action when the time of a heartbeat has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeartbeatAction {
    /// Nothing.
    Rest,
    /// Ping the client.
    Ping,
    /// A pong is missing.
    Suspect,
    /// A ping did not leave.
    Unsent,
}

/// The verdict about a missing pong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PongResult {
    /// Nothing was missing, or something came.
    Alive,
    /// It is pinged again.
    Again,
    /// The client is gone.
    Silent,
}

impl PingTimer {
    /// Before the interval is chosen; `asked_s` is the longest that the client wants.
    pub fn new(asked_s: Option<u32>) -> PingTimer {
        // The wish is stored as an interval until `settle`.
        let asked = asked_s.map_or(INTERVALS_S.len() - 1, |asked_s| {
            let longest = INTERVALS_S.iter().rposition(|&one| u32::from(one) <= asked_s);
            longest.unwrap_or(1).max(1)
        });
        let mut timer = PingTimer { at: [0; 4], bits: 0 };
        timer.set(Step::Resting, asked, Deadline32::NEVER);
        timer
    }

    /// Chooses the interval, by the number of connections of the core, and the time of the first
    /// ping. It is spread from the start: a million clients that reconnect together must not be
    /// pinged together.
    pub fn settle(
        &mut self,
        now: MonotonicMs,
        options: &Options,
        core_connections: u64,
        prng: &mut Prng,
    ) {
        let asked_ms = interval_ms(self.interval_index());
        let (base_ms, longest_ms) = (options.ping_interval_ms, longest_ms(options));
        let wanted_ms = (core_connections * 1_000 / CHEAP_PINGS_PER_S).clamp(base_ms, longest_ms);
        let least_ms = (core_connections * 1_000 / ASKED_PINGS_PER_S)
            .max(options.pong_ms_max + 1)
            .min(base_ms);
        let chosen_ms = wanted_ms.min(asked_ms.max(least_ms));
        // The configured one is exact; the others are rounded up to one of the list.
        let listed = INTERVALS_S.iter().position(|&one| chosen_ms <= u64::from(one) * 1_000);
        let index = match listed {
            Some(index) if chosen_ms != base_ms && interval_ms(index) <= longest_ms => index,
            Some(_) | None => 0,
        };
        self.set(Step::Resting, index, Deadline32::NEVER);
        let interval_ms = self.interval_ms(options);
        if interval_ms != 0 {
            let phase_ms = prng.below(interval_ms);
            let first_ms = interval_ms / 4 * 3 + phase_ms / 4;
            self.set(Step::Resting, index, Deadline32::at(now, now.plus_ms(first_ms)));
        }
    }

    /// The interval that the client is told; 0 for no pings.
    pub fn interval_ms(self, options: &Options) -> u64 {
        match (options.ping_interval_ms, self.interval_index()) {
            (0, _) => 0,
            (base_ms, 0) => base_ms,
            (_, index) => interval_ms(index),
        }
    }

    /// The time of its next action; `lag_ms` is the lateness of the core, which extends the time
    /// limit.
    pub fn due(self, now: MonotonicMs, options: &Options, lag_ms: u64) -> MonotonicMs {
        match self.step() {
            Step::Listening { .. } | Step::Heard => self.at(now).plus_ms(lag_ms),
            Step::Resting => self.at(now),
            // It is checked when its pong would be due, and from time to time after that: nearly
            // always it has left by then, and a separate deadline would only fill the wheel.
            Step::Queued { .. } | Step::Leaving { .. } => {
                let given = self.at(now).0.saturating_sub(UNSENT_MS_MAX);
                let first = MonotonicMs(given).plus_ms(options.pong_ms_max.min(UNSENT_MS_MAX));
                if now < first { first } else { self.at(now).min(now.plus_ms(LOOK_MS)) }
            }
            Step::Suspected { .. } => MonotonicMs(u64::MAX),
        }
    }

    /// Its time has come.
    pub fn on_due(
        &mut self,
        now: MonotonicMs,
        options: &Options,
        core_connections: u64,
        prng: &mut Prng,
    ) -> HeartbeatAction {
        match self.step() {
            Step::Resting if options.pong_ms_max == 0 => {
                self.rest(now, now, options, core_connections, prng);
                HeartbeatAction::Ping
            }
            Step::Resting => {
                self.ping(now, 0);
                HeartbeatAction::Ping
            }
            Step::Heard => {
                self.rest(now, self.pinged_at(now, options), options, core_connections, prng);
                HeartbeatAction::Rest
            }
            Step::Listening { missed } => {
                self.step_to(Step::Suspected { missed });
                HeartbeatAction::Suspect
            }
            Step::Queued { .. } | Step::Leaving { .. } => HeartbeatAction::Unsent,
            Step::Suspected { .. } => HeartbeatAction::Rest,
        }
    }

    /// The ping waits for a send in flight.
    pub fn on_queued(&mut self) {
        if let Step::Leaving { missed } = self.step() {
            self.step_to(Step::Queued { missed });
        }
    }

    /// A send has left. The next deadline is never earlier than the one before.
    pub fn on_sent(&mut self, now: MonotonicMs, options: &Options) {
        match self.step() {
            Step::Queued { missed } => {
                self.step_to(Step::Leaving { missed });
                self.set_at(now, now.plus_ms(UNSENT_MS_MAX));
            }
            Step::Leaving { missed } => {
                self.step_to(Step::Listening { missed });
                self.set_at(now, now.plus_ms(options.pong_ms_max));
            }
            Step::Resting | Step::Listening { .. } | Step::Heard | Step::Suspected { .. } => {}
        }
    }

    /// Notes that bytes of the client came.
    pub fn on_heard(&mut self) {
        match self.step() {
            Step::Listening { .. } | Step::Suspected { .. } => self.step_to(Step::Heard),
            Step::Resting | Step::Queued { .. } | Step::Leaving { .. } | Step::Heard => {}
        }
    }

    /// A pong came. Returns the time at which its ping left, if one was expected.
    pub fn on_pong(
        &mut self,
        now: MonotonicMs,
        options: &Options,
        core_connections: u64,
        prng: &mut Prng,
    ) -> Option<MonotonicMs> {
        match self.step() {
            Step::Listening { .. } | Step::Heard | Step::Suspected { .. } => {
                let pinged = self.pinged_at(now, options);
                self.rest(now, pinged, options, core_connections, prng);
                Some(pinged)
            }
            // It comes before the ping is known to have left.
            Step::Leaving { .. } => {
                let given = MonotonicMs(self.at(now).0.saturating_sub(UNSENT_MS_MAX));
                self.rest(now, given, options, core_connections, prng);
                Some(given)
            }
            Step::Resting | Step::Queued { .. } => None,
        }
    }

    /// Whether a pong is missing.
    pub fn is_suspected(self) -> bool {
        matches!(self.step(), Step::Suspected { .. })
    }

    /// Judges a missing pong by the socket's signs of life.
    pub fn judge(
        &mut self,
        now: MonotonicMs,
        options: &Options,
        core_connections: u64,
        tcp_liveness: TcpLiveness,
        prng: &mut Prng,
    ) -> PongResult {
        let Step::Suspected { missed } = self.step() else { return PongResult::Alive };
        let since_ms = now.ms_since(self.pinged_at(now, options));
        let is_later = |ago: Option<u32>| ago.is_some_and(|ago| u64::from(ago) <= since_ms);
        if tcp_liveness.has_unread || is_later(tcp_liveness.heard_ms_ago) {
            self.spare(now, options, core_connections, prng);
            return PongResult::Alive;
        }
        let missed = missed + 1;
        let missed_max = if is_later(tcp_liveness.acknowledged_ms_ago) {
            MISSED_ACKNOWLEDGED_MAX
        } else {
            MISSED_MAX
        };
        if missed_max <= missed {
            return PongResult::Silent;
        }
        self.ping(now, missed);
        PongResult::Again
    }

    /// Spares a suspect: the client is pinged again in its time, as if it had answered.
    pub fn spare(
        &mut self,
        now: MonotonicMs,
        options: &Options,
        core_connections: u64,
        prng: &mut Prng,
    ) {
        if self.is_suspected() {
            self.rest(now, self.pinged_at(now, options), options, core_connections, prng);
        }
    }

    fn ping(&mut self, now: MonotonicMs, missed: u8) {
        self.step_to(Step::Leaving { missed });
        self.set_at(now, now.plus_ms(UNSENT_MS_MAX));
    }

    /// The next ping is due an interval after `pinged`, minus up to a tenth of it, and later when
    /// the core has more connections than when the interval was chosen.
    fn rest(
        &mut self,
        now: MonotonicMs,
        pinged: MonotonicMs,
        options: &Options,
        core_connections: u64,
        prng: &mut Prng,
    ) {
        let interval_ms = self.interval_ms(options);
        let wanted_ms = core_connections * 1_000 / CHEAP_PINGS_PER_S;
        let slip_ms_max = if is_fixed(options) { 0 } else { SLIP_MS_MAX };
        let slip_ms = wanted_ms.saturating_sub(interval_ms).min(slip_ms_max);
        let jitter_ms = prng.below(interval_ms / 10 + 1);
        self.step_to(Step::Resting);
        self.set_at(now, pinged.plus_ms(interval_ms + slip_ms - jitter_ms));
    }

    /// The time at which the ping left whose pong was due at `at`.
    fn pinged_at(self, now: MonotonicMs, options: &Options) -> MonotonicMs {
        MonotonicMs(self.at(now).0.saturating_sub(options.pong_ms_max))
    }

    fn at(self, now: MonotonicMs) -> MonotonicMs {
        Deadline32::from_bytes(self.at).tick(now)
    }

    fn set_at(&mut self, now: MonotonicMs, at: MonotonicMs) {
        self.at = Deadline32::at(now, at).to_bytes();
    }

    fn step(self) -> Step {
        STEPS[usize::from(self.bits & 0xf)]
    }

    fn step_to(&mut self, step: Step) {
        let number = STEPS.iter().position(|&one| one == step);
        let number = number.expect("a pong is missing three times at most") as u8;
        self.bits = self.bits & 0xf0 | number;
    }

    fn interval_index(self) -> usize {
        usize::from(self.bits >> 4)
    }

    fn set(&mut self, step: Step, interval: usize, at: Deadline32) {
        self.bits = (interval as u8) << 4;
        self.step_to(step);
        self.at = at.to_bytes();
    }
}

fn interval_ms(index: usize) -> u64 {
    u64::from(INTERVALS_S[index]) * 1_000
}

/// Whether the interval is independent of the number of connections.
fn is_fixed(options: &Options) -> bool {
    longest_ms(options) <= options.ping_interval_ms
}

/// The longest interval.
fn longest_ms(options: &Options) -> u64 {
    let by_network = if options.proxied { PROXIED_MS_MAX } else { DIRECT_MS_MAX };
    match (options.ping_interval_ms_max, options.ping_interval_ms) {
        (0, Options::PING_INTERVAL_MS) => by_network,
        (0, base_ms) => base_ms,
        (longest_ms, base_ms) => longest_ms.max(base_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: MonotonicMs = MonotonicMs(1 << 33);

    /// What a client is told that comes to a core with so many connections.
    fn announced_s(options: &Options, core_connections: u64, asked_s: Option<u32>) -> u64 {
        let mut timer = PingTimer::new(asked_s);
        timer.settle(NOW, options, core_connections, &mut Prng::from_seed(1));
        let told_ms = timer.interval_ms(options);
        let first_ms = timer.due(NOW, options, 0).ms_since(NOW);
        assert!(told_ms / 4 * 3 <= first_ms && first_ms <= told_ms, "{first_ms} of {told_ms}");
        assert_eq!(told_ms % 1_000, 0);
        told_ms / 1_000
    }

    #[test]
    fn the_interval_follows_the_connections_of_the_core() {
        let proxied = Options::default();
        let direct = Options { proxied: false, ..Options::default() };
        for (connections, behind_proxy, without) in [
            (1, 25, 25),
            (12_500, 25, 25),
            (14_000, 30, 30),
            (20_000, 40, 40),
            (25_000, 50, 50),
            (40_000, 50, 80),
            (55_000, 50, 110),
            (1_000_000, 50, 110),
        ] {
            assert_eq!(announced_s(&proxied, connections, None), behind_proxy, "{connections}");
            assert_eq!(announced_s(&direct, connections, None), without, "{connections}");
        }
    }

    #[test]
    fn a_configured_interval_is_fixed_or_grows_as_far_as_it_says() {
        let fixed = Options { ping_interval_ms: 7_000, pong_ms_max: 1_000, ..Options::default() };
        assert_eq!(announced_s(&fixed, 1_000_000, None), 7);
        assert_eq!(announced_s(&fixed, 1, Some(3)), 7);
        let same = Options { ping_interval_ms_max: 25_000, ..Options::default() };
        assert_eq!(announced_s(&same, 1_000_000, None), 25);
        let grows = Options { ping_interval_ms_max: 40_000, ..fixed.clone() };
        assert_eq!(announced_s(&grows, 1_000_000, None), 40);
        assert_eq!(announced_s(&grows, 1, None), 7);
        let never = Options { ping_interval_ms: 0, ..Options::default() };
        assert_eq!(told_s_never(&never), 0);
    }

    fn told_s_never(options: &Options) -> u64 {
        let mut timer = PingTimer::new(Some(10));
        timer.settle(NOW, options, 5, &mut Prng::from_seed(1));
        timer.interval_ms(options)
    }

    #[test]
    fn a_client_may_ask_for_less_while_the_core_has_few() {
        let options = Options { proxied: false, ..Options::default() };
        for (connections, asked_s, want) in [
            (100, 0, 10),
            (100, 10, 10),
            (100, 17, 15),
            (100, 24, 20),
            (100, 60, 25),
            (12_500, 10, 10),
            (20_000, 10, 20),
            (1_000_000, 10, 25),
            (1_000_000, 30, 30),
            (1_000_000, 4_000_000_000, 110),
        ] {
            let told = announced_s(&options, connections, Some(asked_s));
            assert_eq!(told, want, "{asked_s} s among {connections}");
        }
    }

    #[test]
    fn a_core_with_many_lets_the_pings_of_those_who_came_early_slip_a_little() {
        let options = Options::default();
        for (connections, slip_ms) in [(1, 0), (13_000, 1_000), (14_500, 4_000), (1_000_000, 4_000)]
        {
            let mut timer = PingTimer::new(None);
            let mut prng = Prng::from_seed(3);
            timer.settle(NOW, &options, 1, &mut prng);
            for _ in 0..100 {
                let now = timer.due(NOW, &options, 0);
                assert_eq!(
                    timer.on_due(now, &options, connections, &mut prng),
                    HeartbeatAction::Ping
                );
                timer.on_sent(now, &options);
                let pinged = timer.on_pong(now, &options, connections, &mut prng);
                assert_eq!(pinged, Some(now));
                let rest_ms = timer.due(now, &options, 0).ms_since(now);
                let want = 22_500 + slip_ms..=25_000 + slip_ms;
                assert!(want.contains(&rest_ms), "{rest_ms} ms among {connections}");
            }
        }
    }

    #[test]
    fn without_patience_nobody_is_suspected() {
        let options = Options { pong_ms_max: 0, ..Options::default() };
        let (mut timer, mut prng) = (PingTimer::new(None), Prng::from_seed(5));
        timer.settle(NOW, &options, 1, &mut prng);
        for _ in 0..10 {
            let now = timer.due(NOW, &options, 0);
            assert_eq!(timer.on_due(now, &options, 1, &mut prng), HeartbeatAction::Ping);
            timer.on_sent(now, &options);
        }
    }

    /// Whatever happens to it, it is pinged again, suspected, or given up; and the interval
    /// stays what it was.
    #[test]
    fn a_heartbeat_goes_on_whatever_happens() {
        let options = Options::default();
        let mut prng = Prng::from_seed(11);
        let (mut timer, mut now) = (PingTimer::new(Some(20)), NOW);
        timer.settle(now, &options, 1, &mut prng);
        let (mut pings, mut suspicions, mut silent) = (0, 0, 0);
        for _ in 0..100_000 {
            now = now.plus_ms(prng.below(3_000));
            match prng.below(40) {
                0 => timer.on_heard(),
                1 => _ = timer.on_pong(now, &options, 1, &mut prng),
                2 => timer.on_queued(),
                3 => timer.spare(now, &options, 1, &mut prng),
                4..10 => timer.on_sent(now, &options),
                10..20 => {
                    // Known in a third of the cases.
                    let ago = |draw: u64| (draw < 20_000).then_some(draw as u32);
                    let tcp_liveness = TcpLiveness {
                        has_unread: prng.percent(10),
                        heard_ms_ago: ago(prng.below(60_000)),
                        acknowledged_ms_ago: ago(prng.below(60_000)),
                    };
                    let found = timer.judge(now, &options, 1, tcp_liveness, &mut prng);
                    if found == PongResult::Silent {
                        silent += 1;
                        timer.settle(now, &options, 1, &mut prng);
                    }
                }
                _ if timer.due(now, &options, 0) <= now => {
                    match timer.on_due(now, &options, 1, &mut prng) {
                        HeartbeatAction::Ping => pings += 1,
                        HeartbeatAction::Suspect => suspicions += 1,
                        HeartbeatAction::Rest | HeartbeatAction::Unsent => {}
                    }
                }
                _ => {}
            }
            assert!(timer.is_suspected() || timer.due(now, &options, 0) <= now.plus_ms(60_000));
            assert_eq!(timer.interval_ms(&options), 20_000);
        }
        assert!(1_000 < pings && 100 < suspicions && 10 < silent, "{pings} {suspicions} {silent}");
    }
}
