//! What comes between a core and its peers: what delays, cuts, breaks and
//! reorders, drawn from one seed.
//!
//! Invariant: equal seeds and equal questions in the same order give equal
//! answers.
//!
//! Deliberately absent: connections.

use crate::base::{MonotonicMs, Prng};

/// How the world behaves between a core and its peers.
#[derive(Clone, Debug)]
pub struct FaultProfile {
    /// What a peer does is seen at most this much later, and the other way round.
    pub latency_ms_max: u64,
    /// How many of 100 receives and sends bring less than they could.
    pub cut_percent: u64,
    /// How many of 10,000 events are a reset instead.
    pub resets_per_10_000: u64,
    /// What one receive can bring at most.
    pub receive_bytes_max: usize,
    /// What a peer that does not read takes before its sends wait.
    pub window_bytes: usize,
}

impl FaultProfile {
    /// Everything arrives whole and at once.
    pub fn calm() -> FaultProfile {
        FaultProfile {
            latency_ms_max: 0,
            cut_percent: 0,
            resets_per_10_000: 0,
            receive_bytes_max: 4_096,
            window_bytes: 1 << 20,
        }
    }

    /// Late and in pieces, without resets.
    pub fn rough() -> FaultProfile {
        FaultProfile { latency_ms_max: 40, cut_percent: 60, ..FaultProfile::calm() }
    }
}

/// The faults, and the chance that decides each case.
#[derive(Debug)]
pub(super) struct FaultInjector {
    prng: Prng,
    fault_profile: FaultProfile,
}

impl FaultInjector {
    pub fn new(seed: u64, fault_profile: FaultProfile) -> FaultInjector {
        assert!(0 < fault_profile.receive_bytes_max && 0 < fault_profile.window_bytes);
        FaultInjector { prng: Prng::from_seed(seed), fault_profile }
    }

    /// When something that happens at `now` on one side is seen on the other.
    pub fn after(&mut self, now: MonotonicMs) -> MonotonicMs {
        now.plus_ms(self.prng.below(self.fault_profile.latency_ms_max + 1))
    }

    /// A part of `whole`, at least 1, and often all.
    pub fn part_of(&mut self, whole: usize) -> usize {
        if self.prng.percent(self.fault_profile.cut_percent) {
            1 + self.prng.below(whole as u64) as usize
        } else {
            whole
        }
    }

    /// What one receive brings of `waiting` bytes.
    pub fn received_of(&mut self, waiting: usize) -> usize {
        self.part_of(waiting.min(self.fault_profile.receive_bytes_max))
    }

    /// Any part of what was under way when it was cut off, all and nothing included.
    pub fn rest_of(&mut self, under_way: usize) -> usize {
        self.prng.below(under_way as u64 + 1) as usize
    }

    /// Whether the network breaks a connection now.
    pub fn breaks(&mut self) -> bool {
        self.prng.below(10_000) < self.fault_profile.resets_per_10_000
    }

    /// One of two, equally likely.
    pub fn coin(&mut self) -> bool {
        self.prng.percent(50)
    }

    /// The one of `count` whose turn it is.
    pub fn chooses(&mut self, count: usize) -> usize {
        self.prng.below(count as u64) as usize
    }

    /// What a peer that has not read `unread` bytes still takes.
    pub fn room(&self, unread: usize) -> usize {
        self.fault_profile.window_bytes.saturating_sub(unread)
    }
}
