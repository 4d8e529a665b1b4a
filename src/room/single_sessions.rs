//! The only connections of users who may have one: the newest one counts.
//!
//! Deliberately absent: who may have one only, and how the one before it is closed.

use std::collections::BTreeMap;

use super::members::MemberId;
use crate::base::RoomId;

/// The only connections of users, by their personal channels.
#[derive(Debug, Default)]
pub(super) struct SingleSessions(BTreeMap<RoomId, MemberId>);

impl SingleSessions {
    /// A connection is its user's only one from now on. Gives the one before it.
    pub fn claim(&mut self, inbox: RoomId, member_id: MemberId) -> Option<MemberId> {
        self.0.insert(inbox, member_id).filter(|&old| old != member_id)
    }

    /// A connection is gone, if it was the only one.
    pub fn release(&mut self, inbox: RoomId, member_id: MemberId) {
        if self.0.get(&inbox) == Some(&member_id) {
            self.0.remove(&inbox);
        }
    }

    /// Whether nobody has an only connection here.
    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, ShardId};

    #[test]
    fn the_newest_connection_counts_and_only_it_can_leave() {
        let member_id = |slot| MemberId { shard: ShardId(1), conn: ConnId { slot, generation: 0 } };
        let mut sessions = SingleSessions::default();
        assert_eq!(sessions.claim(RoomId(1), member_id(1)), None);
        assert_eq!(sessions.claim(RoomId(1), member_id(1)), None, "asked twice");
        assert_eq!(sessions.claim(RoomId(1), member_id(2)), Some(member_id(1)));
        sessions.release(RoomId(1), member_id(1));
        assert!(!sessions.is_empty(), "it was not the only one any more");
        sessions.release(RoomId(1), member_id(2));
        assert!(sessions.is_empty());
    }
}
