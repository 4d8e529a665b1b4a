//! Refuses appends after a failed one of the same epoch, so that no message is written behind a
//! hole.
//!
//! Deliberately absent: whether the disk has space (`health`).

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{RoomId, ShardId};

use super::super::messages::{StoreError, WriteEpoch};

/// Most conversations in the list; a message of one beyond it is refused for another reason.
const CROWDED_MAX: usize = 16_384;

/// Appends that are refused because of an earlier refusal.
#[derive(Debug, Default)]
pub(super) struct AppendGate {
    /// By shard: appends of this epoch and earlier ones are stale.
    refused: BTreeMap<ShardId, WriteEpoch>,
    /// Conversations in which an append was refused because too much is pending, until they are
    /// opened again: later appends are refused for the same reason.
    crowded: BTreeSet<RoomId>,
}

impl AppendGate {
    /// Whether an append with this epoch of a shard is admitted.
    pub fn admits(&self, from: ShardId, write_epoch: WriteEpoch) -> Result<(), StoreError> {
        let is_stale = self.refused.get(&from).is_some_and(|refused| write_epoch <= *refused);
        if is_stale { Err(StoreError::Stale) } else { Ok(()) }
    }

    /// An append was refused, and with it all others of its epoch or earlier ones.
    pub fn refuse(&mut self, from: ShardId, write_epoch: WriteEpoch) {
        let refused = self.refused.entry(from).or_default();
        *refused = write_epoch.max(*refused);
    }

    /// Whether a conversation refuses messages until it is opened again.
    pub fn is_crowded(&self, room: RoomId) -> bool {
        self.crowded.contains(&room)
    }

    /// Too much is pending in a conversation.
    pub fn crowd(&mut self, room: RoomId) {
        if CROWDED_MAX <= self.crowded.len() {
            self.crowded.clear();
        }
        self.crowded.insert(room);
    }

    /// A channel is opened: earlier appends were written or refused.
    pub fn reopen(&mut self, room: RoomId) {
        self.crowded.remove(&room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_with_a_refused_append_is_stale() {
        let mut gate = AppendGate::default();
        gate.refuse(ShardId(1), WriteEpoch(4));
        gate.refuse(ShardId(1), WriteEpoch(3));
        assert_eq!(gate.admits(ShardId(1), WriteEpoch(4)), Err(StoreError::Stale));
        assert_eq!(gate.admits(ShardId(1), WriteEpoch(5)), Ok(()));
        assert_eq!(gate.admits(ShardId(2), WriteEpoch(0)), Ok(()), "another shard's");
    }

    #[test]
    fn a_crowded_conversation_is_so_until_it_is_opened() {
        let mut gate = AppendGate::default();
        gate.crowd(RoomId(1));
        assert!(gate.is_crowded(RoomId(1)) && !gate.is_crowded(RoomId(2)));
        gate.reopen(RoomId(1));
        assert!(!gate.is_crowded(RoomId(1)));
    }
}
