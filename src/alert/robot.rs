//! When a robot may speak: its rate, and its pauses.
//!
//! Invariant: within any `rate_window_s` at most `rate_count` messages leave, also over
//! restarts, since the times are kept with the messages.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::answer::Answer;
use super::options::Robot;

/// The longest pause after failures that may be over soon, in ms.
const BACKOFF_MS_MAX: u64 = 60_000;

/// The pause of a robot that does not know us: somebody has to do something.
const BROKEN_MS: u64 = 600_000;

/// What is kept of a robot over restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// When its last messages left, in milliseconds since 1970, oldest first.
    pub sent_ms: VecDeque<u64>,
    /// Until when it rests.
    pub paused_until_ms: u64,
}

/// A robot, and what it has been through.
#[derive(Clone, Debug)]
pub struct Speaker {
    /// What it is.
    pub robot: Robot,
    /// What is kept.
    pub kept: Kept,
    /// Whether it has a message in its hands.
    pub is_busy: bool,
    /// Failures in a row.
    failures: u32,
}

impl Speaker {
    /// A robot as it was left.
    pub fn new(robot: Robot, kept: Kept) -> Speaker {
        Speaker { robot, kept, is_busy: false, failures: 0 }
    }

    /// The same robot with other settings.
    pub fn change(&mut self, robot: Robot) {
        // Who changed its token expects it to be tried now.
        if self.robot != robot {
            self.failures = 0;
            self.kept.paused_until_ms = 0;
        }
        self.robot = robot;
    }

    /// From when on it may speak, busy or not.
    pub fn ready_ms(&self) -> u64 {
        let count = self.robot.rate_count.max(1) as usize;
        let window_ms = self.robot.rate_window_s.max(1) * 1_000;
        let by_rate = match self.kept.sent_ms.len().checked_sub(count) {
            Some(index) => self.kept.sent_ms[index].saturating_add(window_ms),
            None => 0,
        };
        by_rate.max(self.kept.paused_until_ms)
    }

    /// Forgets what a clock that was set back says about the future.
    pub fn settle(&mut self, now_ms: u64) {
        let window_ms = self.robot.rate_window_s.max(1) * 1_000;
        if self.kept.sent_ms.back().is_some_and(|&last_ms| last_ms > now_ms + window_ms) {
            self.kept.sent_ms.clear();
        }
        let latest_ms = now_ms + self.robot.pause_ms().max(BROKEN_MS);
        self.kept.paused_until_ms = self.kept.paused_until_ms.min(latest_ms);
    }

    /// Whether it may speak now.
    pub fn is_ready(&self, now_ms: u64) -> bool {
        !self.is_busy && self.ready_ms() <= now_ms
    }

    /// Until when it rests, whatever its rate says; 0 when it does not.
    pub fn rests_until_ms(&self) -> u64 {
        self.kept.paused_until_ms
    }

    /// Notes that a message leaves.
    pub fn sends(&mut self, now_ms: u64) {
        let count = self.robot.rate_count.max(1) as usize;
        while self.kept.sent_ms.len() >= count {
            self.kept.sent_ms.pop_front();
        }
        self.kept.sent_ms.push_back(now_ms);
    }

    /// Draws the consequences of an answer; how long the robot rests now.
    pub fn hears(&mut self, answer: &Answer, now_ms: u64) -> u64 {
        let pause_ms = match answer {
            Answer::Delivered => {
                self.failures = 0;
                return 0;
            }
            Answer::TooOften => self.robot.pause_ms(),
            Answer::Unreachable | Answer::Busy(_) | Answer::Doubtful => {
                self.failures = self.failures.saturating_add(1);
                (1_000u64 << self.failures.min(10)).min(BACKOFF_MS_MAX)
            }
            // It says so at once, and the next message is another one.
            Answer::TooLong(_) => 0,
            Answer::Stranger(_) | Answer::Refused(_) => BROKEN_MS,
        };
        self.kept.paused_until_ms = now_ms.saturating_add(pause_ms);
        pause_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker(rate_count: u32) -> Speaker {
        let robot = Robot { rate_count, rate_window_s: 60, ..Robot::default() };
        Speaker::new(robot, Kept::default())
    }

    #[test]
    fn no_window_holds_more_than_the_rate() {
        for step_ms in [1, 37, 999, 3_000, 3_400, 61_000] {
            let mut speaker = speaker(18);
            let mut sent = Vec::new();
            for now_ms in (1_000_000..1_400_000).step_by(step_ms) {
                if speaker.is_ready(now_ms) {
                    speaker.sends(now_ms);
                    sent.push(now_ms);
                    speaker = Speaker::new(speaker.robot.clone(), speaker.kept.clone());
                }
            }
            assert!(sent.windows(19).all(|part| part[18] - part[0] >= 60_000), "{step_ms}");
            assert!(sent.len() >= (400_000 / 60_000 * 18).min(400_000 / step_ms), "{step_ms}");
        }
    }

    #[test]
    fn answers_have_their_pauses() {
        #[track_caller]
        fn check(channel: super::super::options::Channel, answer: &Answer, want_ms: u64) {
            let robot = Robot { channel, rate_count: 18, rate_window_s: 60, ..Robot::default() };
            let mut speaker = Speaker::new(robot, Kept::default());
            assert_eq!(speaker.hears(answer, 5_000), want_ms);
            assert!(speaker.is_ready(5_000 + want_ms));
            assert_eq!(speaker.is_ready(4_999 + want_ms), want_ms == 0);
        }
        use super::super::options::Channel::{Dingtalk, Wecom};
        check(Wecom, &Answer::TooOften, 60_000);
        check(Dingtalk, &Answer::TooOften, 600_000);
        check(Wecom, &Answer::Delivered, 0);
        check(Wecom, &Answer::Unreachable, 2_000);
        check(Wecom, &Answer::Doubtful, 2_000);
        check(Wecom, &Answer::Stranger(93_000), 600_000);
    }

    #[test]
    fn failures_in_a_row_wait_longer_and_a_success_forgets_them() {
        let mut speaker = speaker(18);
        let waits: Vec<u64> = (0..8).map(|_| speaker.hears(&Answer::Unreachable, 0)).collect();
        assert_eq!(waits, [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        speaker.hears(&Answer::Delivered, 0);
        assert_eq!(speaker.hears(&Answer::Unreachable, 0), 2_000);
    }

    #[test]
    fn a_new_token_is_tried_at_once() {
        let mut speaker = speaker(18);
        speaker.hears(&Answer::Stranger(93_000), 1_000);
        speaker.change(speaker.robot.clone());
        assert!(!speaker.is_ready(1_000));
        let mut robot = speaker.robot.clone();
        robot.token.value = "new".to_owned();
        speaker.change(robot);
        assert!(speaker.is_ready(1_000));
    }
}
