//! The times at which an open loop sends, fixed before it starts.
//!
//! A load that waits for an answer before it sends again stops asking while
//! the server stands still, and so hides the wait from its own histogram. Here
//! the times are fixed, each message carries the time at which it *should*
//! have been sent, and whoever receives it subtracts that.
//!
//! Deliberately absent: the clock.

use rookery::base::Prng;

/// The publishers of one thread, each at the same interval, each with a phase
/// of its own that the seed chooses.
#[derive(Debug)]
pub struct Schedule {
    /// By rising phase.
    phases: Vec<(u64, u32)>,
    interval_ns: u64,
    start_ns: u64,
    round: u64,
    next: usize,
}

impl Schedule {
    /// `publishers` send `per_s` messages a second together with those of the
    /// other threads, of which there are `publishers_total`.
    pub fn new(
        seed: u64,
        start_ns: u64,
        publishers: &[u32],
        publishers_total: u32,
        per_s: u32,
    ) -> Schedule {
        assert!(0 < per_s && 0 < publishers_total, "a checked scenario has both");
        let interval_ns = 1_000_000_000 * u64::from(publishers_total) / u64::from(per_s);
        let interval_ns = interval_ns.max(1);
        let phase = |publisher: u32| {
            // The place follows from the publisher, not from its thread: the same
            // scenario on more threads sends at the same times.
            Prng::from_seed(seed ^ u64::from(publisher) << 20).below(interval_ns)
        };
        let mut phases: Vec<(u64, u32)> = publishers.iter().map(|p| (phase(*p), *p)).collect();
        phases.sort_unstable();
        Schedule { phases, interval_ns, start_ns, round: 0, next: 0 }
    }

    /// When the next message should be sent; `None` without publishers.
    pub fn next_ns(&self) -> Option<u64> {
        let (phase, _) = self.phases.get(self.next)?;
        Some(self.start_ns + self.round * self.interval_ns + phase)
    }

    /// The next message whose time has come: its publisher and its time. Times
    /// that were missed are all given, one by one, none is left out.
    pub fn due(&mut self, now_ns: u64) -> Option<(u32, u64)> {
        let intended_ns = self.next_ns()?;
        if now_ns < intended_ns {
            return None;
        }
        let (_, publisher) = self.phases[self.next];
        self.next += 1;
        if self.next == self.phases.len() {
            self.next = 0;
            self.round += 1;
        }
        Some((publisher, intended_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Latency;

    #[test]
    fn sends_at_the_rate_and_each_publisher_equally() {
        let publishers: Vec<u32> = (0..8).collect();
        let mut schedule = Schedule::new(1, 500, &publishers, 8, 1_000);
        let mut per_publisher = [0; 8];
        let mut last_ns = 0;
        while let Some((publisher, intended_ns)) = schedule.due(500 + 2_000_000_000 - 1) {
            assert!(last_ns <= intended_ns, "times only rise");
            last_ns = intended_ns;
            per_publisher[publisher as usize] += 1;
        }
        assert_eq!(per_publisher, [250; 8]);
    }

    #[test]
    fn threads_do_not_change_the_times() {
        let all: Vec<u32> = (0..9).collect();
        let drain = |part: &[u32]| {
            let mut schedule = Schedule::new(3, 0, part, 9, 900);
            std::iter::from_fn(|| schedule.due(50_000_000)).collect::<Vec<_>>()
        };
        let together = drain(&all);
        let mut apart: Vec<(u32, u64)> =
            [&all[..4], &all[4..]].iter().flat_map(|p| drain(p)).collect();
        apart.sort_by_key(|(publisher, intended_ns)| (*intended_ns, *publisher));
        let mut together = together;
        together.sort_by_key(|(publisher, intended_ns)| (*intended_ns, *publisher));
        assert_eq!(together, apart);
        assert!(Schedule::new(3, 0, &[], 9, 900).due(u64::MAX).is_none());
    }

    /// A server that answers at once, and stands still for a second in ten. By
    /// queueing theory a tenth of all messages wait, evenly between nothing
    /// and a second: p95 of all is half a second. Who measures from the moment
    /// of sending sees one bad message in thousands.
    #[test]
    fn a_pause_of_the_server_is_seen_by_every_message_that_it_delayed() {
        let mut schedule = Schedule::new(9, 0, &[0], 1, 1_000);
        let (mut intended, mut hidden) = (Latency::new(), Latency::new());
        let mut now_ns = 0;
        while now_ns < 10_000_000_000 {
            let waits_ns = if (4_000_000_000..4_001_000_000).contains(&now_ns) {
                1_000_000_000
            } else {
                1_000
            };
            let sent_ns = now_ns;
            now_ns += waits_ns;
            while let Some((_, intended_ns)) = schedule.due(sent_ns) {
                intended.record(now_ns - intended_ns);
                hidden.record(now_ns - sent_ns);
            }
            now_ns = now_ns.max(schedule.next_ns().unwrap());
        }
        let (intended, hidden) = (intended.summary(), hidden.summary());
        let near = |ns: u64, goal: u64| ns.abs_diff(goal) < goal / 10;
        assert!(near(intended.p95_ns, 500_000_000), "{intended:?}");
        assert!(hidden.p95_ns < 10_000, "{hidden:?}");
        assert!(near(intended.max_ns, 1_000_000_000), "{intended:?}");
    }
}
