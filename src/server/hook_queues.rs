//! Which questions to an application's backend are asked next: a line for each hook, with so many
//! under way at once, and a rest for a backend that does not answer.
//!
//! | the backend | what happens |
//! |---|---|
//! | answers | its line moves |
//! | is slow | its line grows; who has waited longer than an answer may take is not asked any more |
//! | says what means nothing | its line moves: whose question it was may be why |
//! | did not answer ten times in a row | nobody is asked for a second, then one; while that fails, twice as long each time, up to ten |
//!
//! Invariants: a question that came leaves once, to be asked or not; lines are bounded by what
//! cores may have under way.
//!
//! Deliberately absent: HTTP (`hook_client`), and clocks.

use std::collections::VecDeque;

use super::hook_client::HookEndpoint;
use crate::hook::Hook;
use crate::shard::HookCall;

/// Answers in a row that are missing until the backend is left alone.
const MISSES_MAX: u32 = 10;

/// For how long it is at first, and at most, in ms.
const REST_MS_MIN: u64 = 1_000;
const REST_MS_MAX: u64 = 10_000;

/// A question, and whose it is.
#[derive(Debug)]
pub(super) struct CoreCall {
    pub core: usize,
    pub call: HookCall,
    /// The other end of the connection, as the server sees it.
    pub peer: Option<std::net::IpAddr>,
    /// When it came, in ms.
    pub since_ms: u64,
}

/// What becomes of the next question of a line.
#[derive(Debug)]
pub(super) enum NextCall {
    /// It is asked now, for at most so many ms.
    Ask(CoreCall, u64),
    /// It has waited too long.
    Late(CoreCall),
    /// The backend is left alone.
    Skipped(CoreCall),
}

/// Whether an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallEnd {
    /// One did, whatever it says.
    Answered,
    /// None did: nobody seems to be there.
    Missing,
}

/// See the module.
pub(super) struct HookQueues {
    /// By hook.
    lines: Vec<Line>,
}

#[derive(Default)]
struct Line {
    /// How long an answer may take, in ms.
    timeout_ms: u64,
    at_once_max: usize,
    waiting: VecDeque<CoreCall>,
    asked_count: usize,
    breaker: Breaker,
}

/// Whether a backend is asked.
#[derive(Debug, Default)]
struct Breaker {
    misses_count: u32,
    /// Nobody is asked before.
    rests_until_ms: u64,
    /// How long it rests the next time; 0 for the first.
    rest_ms: u64,
}

impl Breaker {
    fn is_broken(&self) -> bool {
        MISSES_MAX <= self.misses_count
    }

    fn on_end(&mut self, end: CallEnd, now_ms: u64) {
        match end {
            CallEnd::Answered => *self = Breaker::default(),
            CallEnd::Missing => {
                self.misses_count = self.misses_count.saturating_add(1);
                // Those that were asked together are one try.
                if self.is_broken() && self.rests_until_ms <= now_ms {
                    self.rest_ms = (2 * self.rest_ms).clamp(REST_MS_MIN, REST_MS_MAX);
                    self.rests_until_ms = now_ms + self.rest_ms;
                }
            }
        }
    }
}

impl HookQueues {
    /// Nobody asks anything.
    pub fn new(endpoints: &[HookEndpoint]) -> HookQueues {
        let line = |hook: &Hook| {
            let endpoint = endpoints.iter().find(|endpoint| endpoint.hook == *hook);
            endpoint.map_or_else(Line::default, |endpoint| Line {
                timeout_ms: endpoint.timeout_ms,
                at_once_max: endpoint.at_once_max,
                ..Line::default()
            })
        };
        HookQueues { lines: Hook::ALL.iter().map(line).collect() }
    }

    /// A question has come.
    pub fn push(&mut self, call: CoreCall) {
        self.lines[call.call.request.question.hook() as usize].waiting.push_back(call);
    }

    /// What becomes of the next one of this hook, if its turn has come.
    pub fn next(&mut self, hook: Hook, now_ms: u64) -> Option<NextCall> {
        let line = &mut self.lines[hook as usize];
        let first = line.waiting.front()?;
        let waited_ms = now_ms.saturating_sub(first.since_ms);
        let is_broken = line.breaker.is_broken();
        let rests = is_broken && now_ms < line.breaker.rests_until_ms;
        let is_tried = is_broken && line.asked_count != 0;
        if rests || is_tried {
            return line.waiting.pop_front().map(NextCall::Skipped);
        }
        if line.timeout_ms <= waited_ms {
            return line.waiting.pop_front().map(NextCall::Late);
        }
        if line.at_once_max <= line.asked_count {
            return None;
        }
        line.asked_count += 1;
        let left_ms = line.timeout_ms - waited_ms;
        line.waiting.pop_front().map(|call| NextCall::Ask(call, left_ms))
    }

    /// A question that was asked has ended.
    pub fn on_end(&mut self, hook: Hook, end: CallEnd, now_ms: u64) {
        let line = &mut self.lines[hook as usize];
        line.asked_count -= 1;
        line.breaker.on_end(end, now_ms);
    }

    /// Questions of a hook that have no answer yet.
    pub fn under_way_count(&self, hook: Hook) -> usize {
        let line = &self.lines[hook as usize];
        line.waiting.len() + line.asked_count
    }

    /// Whether the backend of a hook is left alone.
    pub fn is_suspended(&self, hook: Hook) -> bool {
        self.lines[hook as usize].breaker.is_broken()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::{ClientId, ConnId};
    use crate::hook::{HookAsker, HookQuestion, HookRequest};
    use crate::outbound::HttpUrl;
    use crate::wire::Encoding;

    fn queues(at_once_max: usize) -> HookQueues {
        let url = HttpUrl::parse("http://localhost/").unwrap();
        let endpoint = HookEndpoint { hook: Hook::Refresh, url, timeout_ms: 1_000, at_once_max };
        HookQueues::new(&[endpoint])
    }

    fn call(id: u32, since_ms: u64) -> CoreCall {
        let asker = HookAsker {
            client: ClientId::from_random(1),
            encoding: Encoding::Json,
            user: "ann".into(),
            tenant: Arc::default(),
            meta: None,
            headers: None,
        };
        let request = HookRequest { asker, question: HookQuestion::Refresh };
        let call = HookCall { id, conn: ConnId { slot: 1, generation: 1 }, request };
        CoreCall { core: 0, call, peer: None, since_ms }
    }

    fn asked(queues: &mut HookQueues, now_ms: u64) -> Option<(u32, u64)> {
        match queues.next(Hook::Refresh, now_ms)? {
            NextCall::Ask(call, left_ms) => Some((call.call.id, left_ms)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn so_many_are_asked_at_once_in_the_order_in_which_they_came() {
        let mut queues = queues(2);
        (0..4).for_each(|id| queues.push(call(id, 50)));
        assert_eq!(asked(&mut queues, 60), Some((0, 990)));
        assert_eq!(asked(&mut queues, 60), Some((1, 990)));
        assert_eq!(asked(&mut queues, 60), None);
        assert_eq!(queues.under_way_count(Hook::Refresh), 4);
        queues.on_end(Hook::Refresh, CallEnd::Answered, 70);
        assert_eq!(asked(&mut queues, 100), Some((2, 950)));
        queues.on_end(Hook::Refresh, CallEnd::Missing, 1_050);
        let late = queues.next(Hook::Refresh, 1_050);
        assert!(matches!(late, Some(NextCall::Late(call)) if call.call.id == 3), "it waited");
        assert!(queues.next(Hook::Refresh, 1_050).is_none());
    }

    #[test]
    fn who_does_not_answer_is_left_alone_and_tried_again() {
        let mut queues = queues(64);
        for id in 0..MISSES_MAX {
            assert!(!queues.is_suspended(Hook::Refresh));
            queues.push(call(id, 0));
            assert!(asked(&mut queues, 0).is_some());
            queues.on_end(Hook::Refresh, CallEnd::Missing, 0);
        }
        let mut now_ms = 0;
        for rest_ms in [1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
            assert!(queues.is_suspended(Hook::Refresh));
            now_ms += rest_ms - 1;
            queues.push(call(1, now_ms));
            assert!(matches!(queues.next(Hook::Refresh, now_ms), Some(NextCall::Skipped(_))));
            now_ms += 1;
            queues.push(call(2, now_ms));
            queues.push(call(3, now_ms));
            assert_eq!(asked(&mut queues, now_ms), Some((2, 1_000)));
            let other = queues.next(Hook::Refresh, now_ms);
            assert!(matches!(other, Some(NextCall::Skipped(_))), "one is enough");
            queues.on_end(Hook::Refresh, CallEnd::Missing, now_ms);
        }
        now_ms += 10_000;
        queues.push(call(4, now_ms));
        assert!(asked(&mut queues, now_ms).is_some());
        queues.on_end(Hook::Refresh, CallEnd::Answered, now_ms);
        assert!(!queues.is_suspended(Hook::Refresh));
        assert!(!queues.is_suspended(Hook::Connect), "each has its own");
    }

    #[test]
    fn those_that_fail_together_are_one_try() {
        let mut queues = queues(64);
        for id in 0..40 {
            queues.push(call(id, 0));
            assert!(asked(&mut queues, 0).is_some());
        }
        (0..40).for_each(|_| queues.on_end(Hook::Refresh, CallEnd::Missing, 10));
        queues.push(call(99, 1_010));
        assert_eq!(asked(&mut queues, 1_010), Some((99, 1_000)));
    }
}
