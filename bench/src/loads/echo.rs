//! Each publisher alone in its room: what it says comes back to it.

use super::{LoadCommand, Part};
use crate::pace::Schedule;
use crate::scenario::Pace;

/// One thread's echoes.
#[derive(Debug)]
pub struct Echo {
    pace: Beat,
    end_ns: u64,
}

#[derive(Debug)]
enum Beat {
    /// Every delivery is answered with the next message.
    Closed {
        /// Who has not begun.
        to_begin: Vec<u32>,
        /// Messages that each has on its way.
        outstanding: u32,
    },
    /// By the clock.
    Open(Schedule),
}

impl Echo {
    pub(super) fn new(part: Part<'_>, pace: Pace, now_ns: u64, end_ns: u64) -> Echo {
        let publishers = part.publishers();
        let pace = match pace {
            Pace::Closed { outstanding } => Beat::Closed { to_begin: publishers, outstanding },
            Pace::Open { per_s } => {
                let (seed, total) = (part.scenario.seed, part.scenario.active);
                Beat::Open(Schedule::new(seed, now_ns, &publishers, total, per_s))
            }
        };
        Echo { pace, end_ns }
    }

    /// Nothing is due any more from now on.
    pub(super) fn end(&mut self, now_ns: u64) {
        self.end_ns = self.end_ns.min(now_ns);
    }

    pub(super) fn on_delivery(&mut self, peer: u32, commands: &mut Vec<LoadCommand>, now_ns: u64) {
        match self.pace {
            Beat::Closed { .. } if now_ns < self.end_ns => {
                commands.push(LoadCommand::Publish { peer, intended_ns: now_ns });
            }
            Beat::Closed { .. } | Beat::Open(_) => {}
        }
    }

    pub(super) fn on_turn(&mut self, now_ns: u64, commands: &mut Vec<LoadCommand>) {
        match &mut self.pace {
            Beat::Closed { to_begin, outstanding } => {
                for peer in to_begin.drain(..) {
                    let first = LoadCommand::Publish { peer, intended_ns: now_ns };
                    commands.extend(std::iter::repeat_n(first, *outstanding as usize));
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
        match &self.pace {
            Beat::Closed { .. } => self.end_ns <= now_ns,
            Beat::Open(schedule) => schedule.next_ns().is_none_or(|next_ns| self.end_ns <= next_ns),
        }
    }

    pub(super) fn next_ns(&self) -> Option<u64> {
        match &self.pace {
            Beat::Closed { .. } => Some(self.end_ns),
            Beat::Open(schedule) => schedule.next_ns().map(|next_ns| next_ns.min(self.end_ns)),
        }
    }
}
