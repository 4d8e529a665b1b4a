//! A steady day: some rooms are spoken in, and members of all rooms come and
//! go. Whoever comes back gets what it missed.

use rookery::base::Prng;

use super::{LoadCommand, Part};
use crate::pace::Schedule;
use crate::scenario::Role;

/// One thread's part of it.
#[derive(Debug)]
pub struct Soak {
    messages: Schedule,
    churn: Option<Churn>,
    end_ns: u64,
}

/// Who leaves next, and when.
#[derive(Debug)]
struct Churn {
    prng: Prng,
    listeners: Vec<u32>,
    interval_ns: u64,
    next_ns: u64,
}

impl Soak {
    pub(super) fn new(
        part: Part<'_>,
        per_s: u32,
        churn_per_s: u32,
        now_ns: u64,
        end_ns: u64,
    ) -> Soak {
        let scenario = part.scenario;
        let total = scenario.publishers();
        let messages = Schedule::new(scenario.seed, now_ns, &part.publishers(), total, per_s);
        let range = scenario.of_thread(part.thread);
        let listeners = range.clone().filter(|c| scenario.role(*c) == Role::Listener);
        let listeners: Vec<u32> = listeners.map(|connection| connection - range.start).collect();
        let churn = (0 < churn_per_s && !listeners.is_empty()).then(|| {
            let threads = u64::from(scenario.threads);
            let interval_ns = 1_000_000_000 * threads / u64::from(churn_per_s);
            let seed = scenario.seed ^ u64::from(part.thread) << 40;
            let next_ns = now_ns + interval_ns;
            Churn { prng: Prng::from_seed(seed), listeners, interval_ns, next_ns }
        });
        Soak { messages, churn, end_ns }
    }

    pub(super) fn on_turn(&mut self, now_ns: u64, commands: &mut Vec<LoadCommand>) {
        let until_ns = now_ns.min(self.end_ns - 1);
        while let Some((peer, intended_ns)) = self.messages.due(until_ns) {
            commands.push(LoadCommand::Publish { peer, intended_ns });
        }
        let Some(churn) = &mut self.churn else { return };
        while churn.next_ns <= until_ns {
            churn.next_ns += churn.interval_ns.max(1);
            let chosen = churn.prng.below(churn.listeners.len() as u64) as usize;
            commands.push(LoadCommand::Drop { peer: churn.listeners[chosen] });
        }
    }

    pub(super) fn is_silent(&self, now_ns: u64) -> bool {
        self.end_ns <= now_ns
    }

    pub(super) fn next_ns(&self) -> Option<u64> {
        let churn_ns = self.churn.as_ref().map(|churn| churn.next_ns);
        let next_ns = [self.messages.next_ns(), churn_ns].into_iter().flatten().min();
        Some(next_ns.unwrap_or(self.end_ns).min(self.end_ns))
    }
}
