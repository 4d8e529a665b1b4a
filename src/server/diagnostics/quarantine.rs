//! Client prefixes that are blocked for a while because their sessions panic: which, for how long,
//! and that none is that too many others have.
//!
//! Early panics of all cores come together in a [`Quarantine`], which belongs to the
//! control thread. Before it blocks a prefix, it asks how many of the open
//! connections have it: a prefix that many have stays, because being blocked
//! would hurt more people than the panics do.
//!
//! Invariants: at most `PREFIXES_MAX` prefixes are blocked and as many are
//! suspected; each is listed once.
//!
//! Deliberately absent: panics, cores, clocks, and what a prefix is (`session`).

use std::collections::VecDeque;

use crate::base::MonotonicMs;
use crate::session::{Prefix, QuarantineOptions};

/// Prefixes that are blocked at a time, and prefixes that are suspected.
pub const PREFIXES_MAX: usize = 64;

/// Who locked a prefix out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedBy {
    /// The server, after panics.
    Server,
    /// An operator.
    Operator,
}

/// A prefix that is blocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// When that began.
    pub since: MonotonicMs,
    /// When that ends.
    pub until: MonotonicMs,
    /// Who blocked it.
    pub by: BlockedBy,
}

/// The result for a suspected prefix.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspectResult {
    /// It is blocked.
    Blocked,
    /// Too many clients have it.
    Spared,
    /// There is no room for one more.
    Full,
    /// It is not suspected any more.
    Forgotten,
}

/// A prefix that panicked lately.
#[derive(Debug)]
struct Suspect {
    prefix: Prefix,
    /// The times of the last `panics_min` panics.
    panics: VecDeque<MonotonicMs>,
}

/// What is blocked, and what may be next.
#[derive(Debug)]
pub struct Quarantine {
    options: QuarantineOptions,
    suspects: Vec<Suspect>,
    blocked: Vec<BlockedPrefix>,
}

impl Quarantine {
    /// Nobody is blocked.
    pub fn new(options: QuarantineOptions) -> Quarantine {
        Quarantine { options, suspects: Vec::new(), blocked: Vec::new() }
    }

    /// What is blocked.
    pub fn blocked(&self) -> &[BlockedPrefix] {
        &self.blocked
    }

    /// Notes an early panic. True when the connections with this prefix should be counted now, for
    /// `on_share`.
    pub fn on_panic(&mut self, now: MonotonicMs, prefix: &Prefix) -> bool {
        let panics_min = self.options.panics_min as usize;
        if panics_min == 0 || self.blocked.iter().any(|blocked| blocked.prefix == *prefix) {
            return false;
        }
        let window_ms = self.options.window_ms;
        self.suspects
            .retain(|one| one.panics.back().is_some_and(|&at| now.ms_since(at) <= window_ms));
        let known = self.suspects.iter().position(|one| one.prefix == *prefix);
        let index = known.unwrap_or_else(|| {
            if self.suspects.len() == PREFIXES_MAX {
                // The one without a panic for the longest time.
                let quiet = (0..PREFIXES_MAX).min_by_key(|&at| self.suspects[at].panics.back());
                self.suspects.swap_remove(quiet.expect("there are some"));
            }
            self.suspects.push(Suspect { prefix: prefix.clone(), panics: VecDeque::new() });
            self.suspects.len() - 1
        });
        let panics = &mut self.suspects[index].panics;
        panics.push_back(now);
        if panics_min < panics.len() {
            panics.pop_front();
        }
        panics.len() == panics_min && now.ms_since(panics[0]) <= window_ms
    }

    /// Takes the number of connections with the prefix.
    pub fn on_share(
        &mut self,
        now: MonotonicMs,
        prefix: &Prefix,
        having: u64,
        all: u64,
    ) -> SuspectResult {
        let Some(index) = self.suspects.iter().position(|one| one.prefix == *prefix) else {
            return SuspectResult::Forgotten;
        };
        self.suspects.swap_remove(index);
        if all * u64::from(self.options.share_percent_max) < having * 100 {
            return SuspectResult::Spared;
        }
        self.block(now, prefix.clone(), self.options.hold_ms, BlockedBy::Server)
    }

    /// Blocks a prefix; one that is already gets the new time.
    pub fn block(
        &mut self,
        now: MonotonicMs,
        prefix: Prefix,
        hold_ms: u64,
        by: BlockedBy,
    ) -> SuspectResult {
        let until = now.plus_ms(hold_ms);
        if let Some(blocked) = self.blocked.iter_mut().find(|blocked| blocked.prefix == prefix) {
            blocked.until = until;
            return SuspectResult::Blocked;
        }
        if self.blocked.len() == PREFIXES_MAX {
            return SuspectResult::Full;
        }
        self.blocked.push(BlockedPrefix { prefix, since: now, until, by });
        SuspectResult::Blocked
    }

    /// Lets a prefix in again. False when it is not blocked.
    pub fn unblock(&mut self, prefix: &Prefix) -> bool {
        let before = self.blocked.len();
        self.blocked.retain(|blocked| blocked.prefix != *prefix);
        self.blocked.len() < before
    }

    /// Ends quarantines whose time is over. True when there were any.
    pub fn expire(&mut self, now: MonotonicMs) -> bool {
        let before = self.blocked.len();
        self.blocked.retain(|blocked| now < blocked.until);
        self.blocked.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Agent;

    const AGENT: Agent = Agent::ALL[0];

    fn bot() -> Prefix {
        Prefix::of("acme", "bot-17", AGENT)
    }

    fn quarantine() -> Quarantine {
        Quarantine::new(QuarantineOptions::default())
    }

    #[test]
    fn early_panics_within_the_window_lock_a_prefix_out() {
        let mut all = quarantine();
        assert!(!all.on_panic(MonotonicMs(0), &bot()));
        assert!(!all.on_panic(MonotonicMs(30_000), &bot()));
        assert!(!all.on_panic(MonotonicMs(60_001), &bot()), "the first is too long ago");
        assert!(all.on_panic(MonotonicMs(61_000), &bot()));
        assert_eq!(all.on_share(MonotonicMs(61_000), &bot(), 0, 0), SuspectResult::Blocked);
        assert!(!all.on_panic(MonotonicMs(61_001), &bot()), "it is blocked already");
        assert!(!all.expire(MonotonicMs(661_000 - 1)));
        assert!(all.expire(MonotonicMs(661_000)));
        assert!(all.blocked().is_empty());
    }

    #[test]
    fn a_prefix_that_many_have_is_spared() {
        for (having, all_count, want) in [
            (10, 100, SuspectResult::Blocked),
            (11, 100, SuspectResult::Spared),
            (1, 1, SuspectResult::Spared),
            (0, 1, SuspectResult::Blocked),
        ] {
            let mut all = quarantine();
            (0..3).for_each(|at| assert_eq!(all.on_panic(MonotonicMs(at), &bot()), at == 2));
            assert_eq!(all.on_share(MonotonicMs(3), &bot(), having, all_count), want);
            assert_eq!(all.on_share(MonotonicMs(3), &bot(), 0, 0), SuspectResult::Forgotten);
        }
    }

    #[test]
    fn zero_panics_lock_nobody_out() {
        let options = QuarantineOptions { panics_min: 0, ..QuarantineOptions::default() };
        let mut all = Quarantine::new(options);
        assert!((0..10).all(|at| !all.on_panic(MonotonicMs(at), &bot())));
    }

    #[test]
    fn lists_have_ends() {
        let mut all = quarantine();
        let prefix = |n: usize| Prefix::of("", &format!("u{n}"), AGENT);
        for n in 0..=PREFIXES_MAX {
            assert!(!all.on_panic(MonotonicMs(n as u64), &prefix(n)));
        }
        assert_eq!(all.suspects.len(), PREFIXES_MAX);
        assert!(all.suspects.iter().all(|one| one.prefix != prefix(0)), "the quietest went");
        for n in 0..PREFIXES_MAX {
            assert_eq!(
                all.block(MonotonicMs(0), prefix(n), 1, BlockedBy::Operator),
                SuspectResult::Blocked
            );
        }
        assert_eq!(all.block(MonotonicMs(0), bot(), 1, BlockedBy::Operator), SuspectResult::Full);
        assert_eq!(
            all.block(MonotonicMs(5), prefix(7), 9, BlockedBy::Operator),
            SuspectResult::Blocked
        );
        assert_eq!(all.blocked()[7].until, MonotonicMs(14));
        assert!(all.unblock(&prefix(7)) && !all.unblock(&prefix(7)));
        assert_eq!(
            all.block(MonotonicMs(0), bot(), 1, BlockedBy::Operator),
            SuspectResult::Blocked
        );
    }
}
