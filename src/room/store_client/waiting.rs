//! What waits in a shard, for rooms to be read or for the store to keep it, and whose it
//! is: a bound for all, and for each user a share of it, by however many connections.
//!
//! Invariants: `all` is the sum over `of`; who has nothing that waits is not among them.
//!
//! Deliberately absent: what waits, and where.

use std::collections::BTreeMap;

use crate::base::limits::{
    USER_WAITING_BYTES_MAX, USER_WAITING_REQUESTS_MAX, WAITING_BYTES_MAX, WAITING_REQUESTS_MAX,
};
use crate::store::Flow;

/// Questions and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WaitingLoad {
    /// Questions that wait for a room to be read.
    pub requests_count: usize,
    /// What they and messages cost.
    pub bytes: usize,
}

/// All that waits.
#[derive(Debug, Default)]
pub(super) struct WaitingRequests {
    of: BTreeMap<Flow, WaitingLoad>,
    all: WaitingLoad,
}

impl WaitingRequests {
    /// Whether this much more of somebody's may wait.
    pub fn has_room_for(&self, flow: Flow, more: WaitingLoad) -> bool {
        let own = self.of.get(&flow).copied().unwrap_or_default();
        let is_alone = own.bytes == 0;
        self.all.requests_count + more.requests_count <= WAITING_REQUESTS_MAX
            && self.all.bytes + more.bytes <= WAITING_BYTES_MAX
            && own.requests_count + more.requests_count <= USER_WAITING_REQUESTS_MAX
            && (is_alone || own.bytes + more.bytes <= USER_WAITING_BYTES_MAX)
    }

    /// It waits from now on.
    pub fn add(&mut self, flow: Flow, more: WaitingLoad) {
        for load in [&mut self.all, self.of.entry(flow).or_default()] {
            load.requests_count += more.requests_count;
            load.bytes += more.bytes;
        }
    }

    /// It waits no more.
    pub fn remove(&mut self, flow: Flow, less: WaitingLoad) {
        let own = self.of.get_mut(&flow).expect("what waits is somebody's");
        for load in [&mut self.all, &mut *own] {
            load.requests_count -= less.requests_count;
            load.bytes -= less.bytes;
        }
        if *own == WaitingLoad::default() {
            self.of.remove(&flow);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{RoomId, UserHash};

    fn user(number: u128) -> Flow {
        Flow::User(UserHash::of_inbox(RoomId(number)))
    }

    #[test]
    fn nobody_has_more_than_a_quarter_of_what_may_wait() {
        let mut waiting = WaitingRequests::default();
        let request = WaitingLoad { requests_count: 1, bytes: 256 };
        let fill = |waiting: &mut WaitingRequests, flow, load| {
            let mut count = 0;
            while waiting.has_room_for(flow, load) {
                waiting.add(flow, load);
                count += 1;
            }
            count
        };
        assert_eq!(fill(&mut waiting, user(1), request), WAITING_REQUESTS_MAX / 4);
        let message = WaitingLoad { requests_count: 0, bytes: 1 << 20 };
        assert_eq!(fill(&mut waiting, user(2), message), USER_WAITING_BYTES_MAX >> 20);
        assert!(waiting.has_room_for(user(3), request));
        (0..WAITING_REQUESTS_MAX / 4).for_each(|_| waiting.remove(user(1), request));
        (0..USER_WAITING_BYTES_MAX >> 20).for_each(|_| waiting.remove(user(2), message));
        assert!(waiting.of.is_empty() && waiting.all == WaitingLoad::default());
    }

    #[test]
    fn a_message_that_is_larger_than_a_share_passes_alone() {
        let mut waiting = WaitingRequests::default();
        let large = WaitingLoad { requests_count: 0, bytes: USER_WAITING_BYTES_MAX + 1 };
        assert!(waiting.has_room_for(user(1), large));
        waiting.add(user(1), large);
        assert!(!waiting.has_room_for(user(1), WaitingLoad { requests_count: 0, bytes: 1 }));
        assert!(waiting.has_room_for(user(2), large));
    }
}
