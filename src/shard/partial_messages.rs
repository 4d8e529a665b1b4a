//! Messages of which a part has come: how much all of a shard keep together, and whose is let go
//! when that is too much.
//!
//! Each connection may keep one message, and a peer that sends the half of one and rests
//! makes the server keep it for as long as it is pinged in vain. So all together have a
//! bound, too. At it, whoever keeps most by all its connections has to let one go: so
//! who opens many connections and keeps a little by each does not have others closed.
//!
//! Invariants: `bytes` is the sum over `kept`; `by_size` has the same entries by owner;
//! `owners` and `by_sum` have the sum over each owner's entries, where it has any.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::limits::PARTIAL_MESSAGES_BYTES_MAX;
use crate::base::{ConnId, UserHash};

/// Whose parts of messages are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FragmentOwner {
    /// All who have not said yet who they are: one more of them costs nothing.
    Strangers,
    /// A connection of somebody without a name.
    Conn(ConnId),
    /// A user, by all its connections.
    User(UserHash),
}

/// Connections that keep a part of a message.
#[derive(Debug, Default)]
pub struct PartialMessages {
    kept: BTreeMap<ConnId, (FragmentOwner, usize)>,
    by_size: BTreeSet<(FragmentOwner, usize, ConnId)>,
    owners: BTreeMap<FragmentOwner, usize>,
    by_sum: BTreeSet<(usize, FragmentOwner)>,
    bytes: usize,
}

impl PartialMessages {
    /// A connection keeps so much now.
    pub fn keep(&mut self, id: ConnId, owner: FragmentOwner, bytes: usize) {
        self.forget(id);
        if bytes != 0 {
            self.kept.insert(id, (owner, bytes));
            self.by_size.insert((owner, bytes, id));
            self.change_sum(owner, |sum| sum + bytes);
            self.bytes += bytes;
        }
    }

    /// A connection keeps nothing any more.
    pub fn forget(&mut self, id: ConnId) {
        let Some((owner, bytes)) = self.kept.remove(&id) else { return };
        self.by_size.remove(&(owner, bytes, id));
        self.change_sum(owner, |sum| sum - bytes);
        self.bytes -= bytes;
    }

    /// Who has to go, if all keep too much together: the largest of whoever keeps most.
    pub fn victim(&self) -> Option<ConnId> {
        if self.bytes <= PARTIAL_MESSAGES_BYTES_MAX {
            return None;
        }
        let &(_, owner) = self.by_sum.last()?;
        let nobody = ConnId { slot: 0, generation: 0 };
        let own = (owner, 0, nobody)..=(owner, usize::MAX, ConnId::NOBODY);
        self.by_size.range(own).next_back().map(|&(_, _, id)| id)
    }

    /// What all keep.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn change_sum(&mut self, owner: FragmentOwner, change: impl Fn(usize) -> usize) {
        let before = self.owners.remove(&owner).unwrap_or_default();
        self.by_sum.remove(&(before, owner));
        let after = change(before);
        if after != 0 {
            self.owners.insert(owner, after);
            self.by_sum.insert((after, owner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    #[test]
    fn who_keeps_most_goes_when_all_keep_too_much() {
        let mut partial_messages = PartialMessages::default();
        let each = PARTIAL_MESSAGES_BYTES_MAX / 100;
        let keep = |partial_messages: &mut PartialMessages, slot, bytes| {
            partial_messages.keep(id(slot), FragmentOwner::Conn(id(slot)), bytes);
        };
        (0..100).for_each(|slot| keep(&mut partial_messages, slot, each));
        assert_eq!(partial_messages.victim(), None);
        keep(&mut partial_messages, 7, each + 1_000);
        assert_eq!(partial_messages.victim(), Some(id(7)));
        keep(&mut partial_messages, 7, 0);
        assert_eq!((partial_messages.victim(), partial_messages.bytes()), (None, 99 * each));
        (0..100).for_each(|slot| partial_messages.forget(id(slot)));
        assert!(
            partial_messages.bytes() == 0
                && partial_messages.kept.is_empty()
                && partial_messages.by_size.is_empty()
        );
        assert!(partial_messages.owners.is_empty() && partial_messages.by_sum.is_empty());
    }

    #[test]
    fn a_user_who_keeps_a_little_by_each_of_many_connections_keeps_most() {
        for many in [FragmentOwner::User(UserHash::of_inbox(RoomId(1))), FragmentOwner::Strangers] {
            let mut partial_messages = PartialMessages::default();
            let bystander = FragmentOwner::User(UserHash::of_inbox(RoomId(2)));
            partial_messages.keep(id(0), bystander, 256 << 10);
            let mut slot = 0;
            while partial_messages.victim().is_none() {
                slot += 1;
                partial_messages.keep(id(slot), many, 10_000 + slot as usize);
            }
            assert_eq!(partial_messages.victim(), Some(id(slot)), "its own largest");
        }
    }
}
