//! The state of one robot: its rate limit, its pauses and its failures, and when it may send
//! again.
//!
//! Invariant: within any `rate_window_s` at most `rate_count` messages leave, also over
//! restarts, since the times are kept with the messages.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::answer::{RETRY_AFTER_MS_MAX, SendOutcome};
use crate::alert::options::Robot;
use crate::base::{MonotonicMs, Timestamps};

/// The longest backoff after temporary failures, in ms.
const BACKOFF_MS_MAX: u64 = 30_000;

/// The first and the longest pause of a robot that rejects everything, in ms: short enough for a
/// critical alert to arrive within a minute after it was repaired.
const BROKEN_MS: u64 = 10_000;
const BROKEN_MS_MAX: u64 = 40_000;

/// Consecutive refusals after which a robot is paused.
const REFUSALS_MAX: u32 = 8;

/// The part of a robot's state that survives restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSender {
    /// The times of its last messages, in milliseconds since 1970, oldest first.
    pub sent_ms: VecDeque<u64>,
    /// The end of its pause.
    pub paused_until_ms: u64,
}

/// A robot with its state.
#[derive(Clone, Debug)]
pub struct SenderState {
    /// Its settings.
    robot: Robot,
    /// The part that survives restarts.
    kept: SavedSender,
    /// Whether it is sending a message.
    is_busy: bool,
    /// Whether it rejected us at the last attempt.
    is_broken: bool,
    /// The time of its last delivery, in milliseconds since 1970; 0 for none yet.
    delivered_ms: u64,
    /// Consecutive failures.
    failures: u32,
    /// Consecutive messages that it refused for their content.
    refusals: u32,
    /// The time of the last send.
    left: MonotonicMs,
    /// The time at which it last accepted us.
    reached: Option<MonotonicMs>,
    /// The period in which it has not.
    failing: Option<Failing>,
}

/// A period in which a robot could not be reached, or rejected us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failing {
    /// The time of the first failed send.
    pub since: MonotonicMs,
    /// The time of the last failure.
    pub last: MonotonicMs,
}

impl SenderState {
    /// A robot with its saved state.
    pub fn new(robot: Robot, kept: SavedSender) -> SenderState {
        SenderState {
            robot,
            kept,
            is_busy: false,
            is_broken: false,
            delivered_ms: 0,
            failures: 0,
            refusals: 0,
            left: MonotonicMs(0),
            reached: None,
            failing: None,
        }
    }

    /// Its settings.
    pub fn robot(&self) -> &Robot {
        &self.robot
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.robot.name
    }

    /// The part that survives restarts.
    pub fn kept(&self) -> &SavedSender {
        &self.kept
    }

    /// Whether it is sending a message.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Whether it rejected us at the last attempt.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The time of its last delivery, in milliseconds since 1970; 0 for none yet.
    pub fn delivered_ms(&self) -> u64 {
        self.delivered_ms
    }

    /// The time at which it last accepted us.
    pub fn reached(&self) -> Option<MonotonicMs> {
        self.reached
    }

    /// The period in which it has not.
    pub fn failing(&self) -> Option<Failing> {
        self.failing
    }

    /// Reserves it for a message.
    pub fn reserve(&mut self) {
        self.is_busy = true;
    }

    /// Frees it.
    pub fn free(&mut self) {
        self.is_busy = false;
    }

    /// Notes whether it was reached. A robot that limits the rate or refuses a message was reached,
    /// and would answer another bridge the same.
    pub fn note_reached(&mut self, answer: &SendOutcome, now: MonotonicMs) {
        match answer {
            SendOutcome::Delivered
            | SendOutcome::TooOften(_)
            | SendOutcome::TooLong(_)
            | SendOutcome::Refused(_) => {
                (self.reached, self.failing) = (Some(now), None);
            }
            SendOutcome::Stranger(_)
            | SendOutcome::Busy(_)
            | SendOutcome::Unreachable
            | SendOutcome::Unconfirmed => {
                let since = self.failing.map_or(self.left, |failing| failing.since);
                self.failing = Some(Failing { since, last: now });
            }
        }
    }

    /// It is this bridge's turn again: pauses of an earlier turn end.
    pub fn begin_turn(&mut self) {
        if self.failing.is_some() {
            self.failures = 0;
            self.kept.paused_until_ms = 0;
        }
    }

    /// Takes new settings.
    pub fn change(&mut self, robot: Robot) {
        // An operator who has changed its token expects an attempt now.
        if self.robot != robot {
            (self.failures, self.refusals, self.is_broken) = (0, 0, false);
            self.kept.paused_until_ms = 0;
        }
        self.robot = robot;
    }

    /// The time from which it may send, busy or not.
    pub fn ready_ms(&self) -> u64 {
        let count = self.robot.rate_count.max(1) as usize;
        let window_ms = self.robot.rate_window_s.max(1) * 1_000;
        let by_rate = match self.kept.sent_ms.len().checked_sub(count) {
            Some(index) => self.kept.sent_ms[index].saturating_add(window_ms),
            None => 0,
        };
        by_rate.max(self.kept.paused_until_ms)
    }

    /// Removes times in the future, which a clock that was set back has left.
    pub fn settle(&mut self, now_ms: u64) {
        let window_ms = self.robot.rate_window_s.max(1) * 1_000;
        if self.kept.sent_ms.back().is_some_and(|&last_ms| last_ms > now_ms + window_ms) {
            self.kept.sent_ms.clear();
        }
        let latest_ms = now_ms + self.robot.pause_ms().max(RETRY_AFTER_MS_MAX);
        self.kept.paused_until_ms = self.kept.paused_until_ms.min(latest_ms);
    }

    /// Whether it can take a message now.
    pub fn is_ready(&self, now_ms: u64) -> bool {
        !self.is_busy && self.ready_ms() <= now_ms
    }

    /// The end of its pause, apart from the rate limit; 0 when it is not paused.
    pub fn rests_until_ms(&self) -> u64 {
        self.kept.paused_until_ms
    }

    /// Notes that a message is sent.
    pub fn sends(&mut self, now: Timestamps) {
        self.is_busy = true;
        self.left = now.tick;
        let count = self.robot.rate_count.max(1) as usize;
        while self.kept.sent_ms.len() >= count {
            self.kept.sent_ms.pop_front();
        }
        self.kept.sent_ms.push_back(now.unix_ms);
    }

    /// Handles the outcome of a send. Returns the length of the pause that follows, in ms.
    pub fn on_outcome(&mut self, answer: &SendOutcome, now_ms: u64) -> u64 {
        let pause_ms = match answer {
            SendOutcome::Delivered => {
                (self.failures, self.refusals, self.is_broken) = (0, 0, false);
                self.delivered_ms = now_ms;
                return 0;
            }
            SendOutcome::TooOften(0) => self.robot.pause_ms(),
            SendOutcome::TooOften(wait_ms) => *wait_ms,
            SendOutcome::Unreachable | SendOutcome::Busy(_) | SendOutcome::Unconfirmed => {
                self.failures = self.failures.saturating_add(1);
                (1_000u64 << self.failures.min(10)).min(BACKOFF_MS_MAX)
            }
            // It says so at once, and the next message is a shorter one.
            SendOutcome::TooLong(_) => 0,
            SendOutcome::Refused(_) => {
                self.refusals = self.refusals.saturating_add(1);
                if self.refusals.is_multiple_of(REFUSALS_MAX) {
                    return self.breaks(now_ms);
                }
                0
            }
            SendOutcome::Stranger(_) => return self.breaks(now_ms),
        };
        if pause_ms > 0 {
            self.kept.paused_until_ms = now_ms.saturating_add(pause_ms);
        }
        pause_ms
    }

    /// Whether it has refused every message since its last delivery: then the messages are not to
    /// blame.
    pub fn refuses_all(&self) -> bool {
        self.refusals > 1
    }

    /// It rejects everything until somebody repairs it. Returns the length of the pause, in ms.
    pub fn breaks(&mut self, now_ms: u64) -> u64 {
        self.is_broken = true;
        self.failures = self.failures.saturating_add(1);
        let pause_ms = (BROKEN_MS << (self.failures - 1).min(10)).min(BROKEN_MS_MAX);
        self.kept.paused_until_ms = now_ms.saturating_add(pause_ms);
        pause_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(rate_count: u32) -> SenderState {
        let robot = Robot { rate_count, rate_window_s: 60, ..Robot::default() };
        SenderState::new(robot, SavedSender::default())
    }

    #[test]
    fn no_window_holds_more_than_the_rate() {
        for step_ms in [1, 37, 999, 3_000, 3_400, 61_000] {
            let mut sender = sender(18);
            let mut sent = Vec::new();
            for now_ms in (1_000_000..1_400_000).step_by(step_ms) {
                if sender.is_ready(now_ms) {
                    sender.sends(Timestamps { unix_ms: now_ms, ..Timestamps::default() });
                    sent.push(now_ms);
                    sender = SenderState::new(sender.robot.clone(), sender.kept.clone());
                }
            }
            assert!(sent.windows(19).all(|part| part[18] - part[0] >= 60_000), "{step_ms}");
            assert!(sent.len() >= (400_000 / 60_000 * 18).min(400_000 / step_ms), "{step_ms}");
        }
    }

    #[test]
    fn answers_have_their_pauses() {
        #[track_caller]
        fn check(channel: crate::alert::options::Messenger, answer: &SendOutcome, want_ms: u64) {
            let robot = Robot { channel, rate_count: 18, rate_window_s: 60, ..Robot::default() };
            let mut sender = SenderState::new(robot, SavedSender::default());
            assert_eq!(sender.on_outcome(answer, 5_000), want_ms);
            assert!(sender.is_ready(5_000 + want_ms));
            assert_eq!(sender.is_ready(4_999 + want_ms), want_ms == 0);
        }
        use crate::alert::options::Messenger::{Dingtalk, Wecom};
        check(Wecom, &SendOutcome::TooOften(0), 60_000);
        check(Wecom, &SendOutcome::TooOften(7_000), 7_000);
        check(Dingtalk, &SendOutcome::TooOften(0), 600_000);
        check(Wecom, &SendOutcome::Delivered, 0);
        check(Wecom, &SendOutcome::Unreachable, 2_000);
        check(Wecom, &SendOutcome::Unconfirmed, 2_000);
        check(Wecom, &SendOutcome::Stranger(93_000), 10_000);
        check(Wecom, &SendOutcome::Refused(40_008), 0);
        check(Wecom, &SendOutcome::TooLong(40_058), 0);
    }

    #[test]
    fn failures_in_a_row_wait_longer_and_a_success_forgets_them() {
        let mut sender = sender(18);
        let waits: Vec<u64> =
            (0..8).map(|_| sender.on_outcome(&SendOutcome::Unreachable, 0)).collect();
        assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
        sender.on_outcome(&SendOutcome::Delivered, 0);
        assert_eq!(sender.on_outcome(&SendOutcome::Unreachable, 0), 2_000);
    }

    #[test]
    fn a_robot_that_takes_nothing_is_asked_often_enough_for_what_is_critical() {
        let mut sender = sender(18);
        let waits: Vec<u64> =
            (0..4).map(|_| sender.on_outcome(&SendOutcome::Stranger(404), 0)).collect();
        assert_eq!(waits, [10_000, 20_000, 40_000, 40_000]);
        assert!(sender.is_broken);
        sender.on_outcome(&SendOutcome::Delivered, 5);
        assert!(!sender.is_broken && sender.delivered_ms == 5);
    }

    #[test]
    fn one_refused_message_is_its_own_fault_and_all_of_them_are_the_robots() {
        let mut sender = sender(18);
        sender.on_outcome(&SendOutcome::Refused(400), 0);
        assert!(!sender.refuses_all());
        sender.on_outcome(&SendOutcome::Delivered, 0);
        sender.on_outcome(&SendOutcome::Refused(400), 0);
        assert!(!sender.refuses_all());
        sender.on_outcome(&SendOutcome::Refused(400), 0);
        assert!(sender.refuses_all());
    }

    #[test]
    fn a_new_token_is_tried_at_once() {
        let mut sender = sender(18);
        sender.on_outcome(&SendOutcome::Stranger(93_000), 1_000);
        sender.change(sender.robot.clone());
        assert!(!sender.is_ready(1_000));
        let mut robot = sender.robot.clone();
        robot.token.value = "new".to_owned();
        sender.change(robot);
        assert!(sender.is_ready(1_000));
    }
}
