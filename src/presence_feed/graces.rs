//! When users are looked at who may have been away for too long.
//!
//! Each kind of grace has one length, so each has one line, in order.
//!
//! Deliberately absent: whether somebody came back, which the table knows when the time is over.

use std::collections::VecDeque;

use super::fact::{AwayFor, UserKey};
use crate::base::MonotonicMs;

/// See the module.
#[derive(Debug)]
pub(super) struct Graces {
    /// By kind.
    lines: [VecDeque<(MonotonicMs, UserKey)>; 2],
    ms: [u64; 2],
}

impl Graces {
    /// Nobody is away. How long each grace is, in ms.
    pub fn new(reload_ms: u64, restart_ms: u64) -> Graces {
        Graces { lines: Default::default(), ms: [reload_ms, restart_ms] }
    }

    /// When a grace is over that begins now.
    pub fn end(&self, away_for: AwayFor, now: MonotonicMs) -> MonotonicMs {
        now.plus_ms(self.ms[away_for as usize])
    }

    /// A user is looked at when a grace is over that begins now.
    pub fn begin(&mut self, away_for: AwayFor, now: MonotonicMs, user: UserKey) {
        let end = self.end(away_for, now);
        self.lines[away_for as usize].push_back((end, user));
    }

    /// The next user whose time has come.
    pub fn next_due(&mut self, now: MonotonicMs) -> Option<UserKey> {
        let is_due = |line: &&mut VecDeque<(MonotonicMs, UserKey)>| {
            line.front().is_some_and(|&(end, _)| end <= now)
        };
        let (_, user) = self.lines.iter_mut().find(is_due)?.pop_front()?;
        Some(user)
    }

    /// When the next one's time comes.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        self.lines.iter().filter_map(|line| line.front()).map(|&(end, _)| end).min()
    }
}
