//! One room of many: what a publisher says comes to all of them.
//!
//! With a window, a message is under way until the last member of the room has
//! it, whichever thread that one is on. Members receive in order, so a message
//! that all have is behind one mark, and a thread needs to count its members
//! once for each message under way.

use super::SharedProgress;
use super::{LoadCommand, Part};
use crate::pace::Schedule;
use crate::scenario::{Pace, Scenario};

/// One thread's part of the room.
#[derive(Debug)]
pub struct Fanout {
    beat: Beat,
    received: Received,
    end_ns: u64,
    is_over: bool,
}

#[derive(Debug)]
enum Beat {
    /// As many under way as the window takes.
    Window { publishers: Vec<u32>, next: usize, outstanding: u64, threads: u16 },
    /// By the clock.
    Open(Schedule),
}

impl Fanout {
    pub(super) fn new(part: Part<'_>, pace: Pace, now_ns: u64, end_ns: u64) -> Fanout {
        let Scenario { seed, threads, .. } = *part.scenario;
        let publishers = part.publishers();
        let (beat, under_way_max) = match pace {
            Pace::Closed { outstanding } => {
                let outstanding = u64::from(outstanding);
                (Beat::Window { publishers, next: 0, outstanding, threads }, outstanding)
            }
            Pace::Open { per_s } => {
                let total = part.scenario.publishers();
                let schedule = Schedule::new(seed, now_ns, &publishers, total, per_s);
                (Beat::Open(schedule), 0)
            }
        };
        let received = Received::new(part.hearers(), under_way_max);
        Fanout { beat, received, end_ns, is_over: false }
    }

    #[inline]
    pub(super) fn on_delivery(&mut self, number: u64) {
        self.received.count(number);
    }

    pub(super) fn on_turn(
        &mut self,
        now_ns: u64,
        shared_progress: &SharedProgress,
        commands: &mut Vec<LoadCommand>,
    ) {
        match &mut self.beat {
            Beat::Window { publishers, next, outstanding, threads } => {
                if publishers.is_empty() || self.end_ns <= now_ns {
                    self.is_over = true;
                    return;
                }
                let received = if *threads == 1 {
                    self.received.watermark
                } else {
                    shared_progress.shown().watermark
                };
                let under_way =
                    shared_progress.published(0) - received.min(shared_progress.published(0));
                for _ in under_way..*outstanding {
                    let peer = publishers[*next];
                    *next = (*next + 1) % publishers.len();
                    commands.push(LoadCommand::Publish { peer, intended_ns: now_ns });
                }
            }
            Beat::Open(schedule) => {
                while let Some((peer, intended_ns)) = schedule.due(now_ns.min(self.end_ns - 1)) {
                    commands.push(LoadCommand::Publish { peer, intended_ns });
                }
            }
        }
    }

    pub(super) fn is_silent(&self, now_ns: u64) -> bool {
        match &self.beat {
            Beat::Window { publishers, .. } => {
                self.is_over || publishers.is_empty() || self.end_ns <= now_ns
            }
            Beat::Open(schedule) => schedule.next_ns().is_none_or(|next_ns| self.end_ns <= next_ns),
        }
    }

    pub(super) fn next_ns(&self, now_ns: u64) -> Option<u64> {
        match &self.beat {
            // Other threads move the window, and do not say so.
            Beat::Window { threads: 2.., .. } if now_ns < self.end_ns => Some(now_ns + 1),
            Beat::Window { .. } => Some(self.end_ns),
            Beat::Open(schedule) => schedule.next_ns().map(|next_ns| next_ns.min(self.end_ns)),
        }
    }

    pub(super) fn watermark(&self) -> u64 {
        self.received.watermark
    }
}

/// How many members of this thread have each message under way.
#[derive(Debug)]
struct Received {
    /// By number, modulo the length; empty when nobody asks.
    counts: Vec<u32>,
    members: u32,
    /// All members have this message and those before it.
    watermark: u64,
}

impl Received {
    /// A window of 0 counts nothing.
    fn new(members: u32, under_way_max: u64) -> Received {
        let counts = match under_way_max {
            0 => Vec::new(),
            max => vec![0; (max as usize + 1).next_power_of_two()],
        };
        // A thread without members holds nobody up.
        let watermark = if members == 0 { u64::MAX } else { 0 };
        Received { counts, members, watermark }
    }

    /// One member has the message, and had all before it.
    #[inline]
    fn count(&mut self, number: u64) {
        if self.counts.is_empty() {
            return;
        }
        let place = number as usize & (self.counts.len() - 1);
        let count = &mut self.counts[place];
        *count += 1;
        if *count == self.members {
            *count = 0;
            self.watermark = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rookery::base::Prng;

    /// Members that receive in order, each at its own speed: the mark is the
    /// slowest member's place.
    #[test]
    fn the_mark_is_what_the_slowest_member_has() {
        for seed in 0..20 {
            let mut prng = Prng::from_seed(seed);
            let members = 1 + prng.below(9);
            let window = 1 + prng.below(20);
            let mut received = Received::new(members as u32, window);
            let mut places = vec![0u64; members as usize];
            for _ in 0..2_000 {
                let slowest = *places.iter().min().unwrap();
                assert_eq!(received.watermark, slowest, "seed {seed}");
                let member = prng.below(members) as usize;
                if places[member] < slowest + window {
                    places[member] += 1;
                    received.count(places[member]);
                }
            }
        }
    }

    #[test]
    fn nobody_waits_for_a_thread_without_members() {
        assert_eq!(Received::new(0, 8).watermark, u64::MAX);
    }
}
