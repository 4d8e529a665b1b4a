//! Who was turned away for now, and when it asks again, as the SDKs do: a server that is late
//! answers newcomers with 503, or with an error that it calls temporary, and expects them again.
//!
//! Deliberately absent: what counts as turned away for now (`worker` knows), and connections.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// How long a connection waits before its second attempt, at most; the double before each
/// further one.
const DELAY_NS_MIN: u64 = 500_000_000;

/// How long it waits at most.
const DELAY_NS_MAX: u64 = 8_000_000_000;

/// How often one connection asks again before it has failed.
const RETRIES_MAX: u8 = 12;

/// Connections that ask again, of one thread.
#[derive(Debug, Default)]
pub struct RetryQueue {
    /// How often those who are not in yet were turned away.
    retries: BTreeMap<u32, u8>,
    /// Turned away, and their old connection is not gone yet.
    leaving: BTreeSet<u32>,
    /// When each asks again.
    due: BinaryHeap<Reverse<(u64, u32)>>,
}

impl RetryQueue {
    /// A connection was turned away. `false` if it was turned away too often.
    pub fn turned_away(&mut self, peer: u32) -> bool {
        let retries = self.retries.entry(peer).or_default();
        if *retries == RETRIES_MAX {
            return false;
        }
        *retries += 1;
        self.leaving.insert(peer)
    }

    /// Its old connection is gone; if it was turned away, the time to its next attempt begins.
    pub fn on_gone(&mut self, peer: u32, now_ns: u64) {
        if self.leaving.remove(&peer) {
            let retries = self.retries.get(&peer).copied().unwrap_or(1);
            self.due.push(Reverse((now_ns + delay_ns(peer, retries), peer)));
        }
    }

    /// It got in.
    pub fn on_joined(&mut self, peer: u32) {
        self.retries.remove(&peer);
    }

    /// One who has to ask again by now.
    pub fn next_due(&mut self, now_ns: u64) -> Option<u32> {
        let Reverse((due_ns, peer)) = *self.due.peek()?;
        if now_ns < due_ns {
            return None;
        }
        self.due.pop();
        Some(peer)
    }

    /// Whether nobody will ask again.
    pub fn is_empty(&self) -> bool {
        self.leaving.is_empty() && self.due.is_empty()
    }
}

/// Between a half and the whole of the delay of so many retries: who was turned away together
/// does not come back together.
fn delay_ns(peer: u32, retries: u8) -> u64 {
    let doublings = u32::from(retries.saturating_sub(1)).min(16);
    let whole_ns = (DELAY_NS_MIN << doublings).min(DELAY_NS_MAX);
    let spread = (peer ^ u32::from(retries) << 24).wrapping_mul(0x9e37_79b1);
    whole_ns / 2 + ((whole_ns / 2 * u64::from(spread)) >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_turned_away_asks_again_when_its_connection_is_gone_and_time_has_passed() {
        let mut queue = RetryQueue::default();
        assert!(queue.turned_away(3));
        assert!(!queue.is_empty());
        assert_eq!(queue.next_due(u64::MAX), None, "its old connection is still there");
        queue.on_gone(3, 1_000);
        assert_eq!(queue.next_due(1_000 + DELAY_NS_MIN / 2 - 1), None);
        assert_eq!(queue.next_due(1_000 + DELAY_NS_MIN), Some(3));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_connection_that_was_not_turned_away_does_not_come_back() {
        let mut queue = RetryQueue::default();
        queue.on_gone(3, 0);
        assert_eq!(queue.next_due(u64::MAX), None);
    }

    #[test]
    fn each_delay_doubles_up_to_its_limit_and_none_is_the_same_for_all() {
        for retries in 1..=RETRIES_MAX {
            let whole_ns = (DELAY_NS_MIN << (retries - 1)).min(DELAY_NS_MAX);
            let delays: BTreeSet<u64> = (0..100).map(|peer| delay_ns(peer, retries)).collect();
            assert!(90 < delays.len());
            assert!(delays.iter().all(|delay| (whole_ns / 2..=whole_ns).contains(delay)));
        }
    }

    #[test]
    fn it_gives_up_at_its_limit_and_begins_anew_once_in() {
        let mut queue = RetryQueue::default();
        let turn_away = |queue: &mut RetryQueue| {
            let may = queue.turned_away(7);
            queue.on_gone(7, 0);
            while queue.next_due(u64::MAX).is_some() {}
            may
        };
        assert!((0..RETRIES_MAX).all(|_| turn_away(&mut queue)));
        assert!(!turn_away(&mut queue));
        queue.on_joined(7);
        assert!(turn_away(&mut queue));
    }
}
