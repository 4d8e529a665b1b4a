//! Removals of a room's history that the store was given and has not answered, in their order.
//!
//! A history that is asked for meanwhile would show what is being removed, so it waits here.
//!
//! Deliberately absent: the messages that they remove (`durable_stream`).

use std::collections::VecDeque;

use super::messages::RoomRequest;
use crate::base::ShardId;
use crate::store::RequestId;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct PendingRemovals(VecDeque<PendingRemoval>);

/// A removal that the store was given.
#[derive(Debug)]
struct PendingRemoval {
    request_id: RequestId,
    /// Messages below this offset are removed: those that the store was given before.
    next_offset: u64,
    /// What was asked of the room behind it.
    behind: Vec<(ShardId, RoomRequest)>,
}

impl PendingRemovals {
    /// True when the store has answered all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The store is given one more, of all messages below this offset.
    pub fn push(&mut self, request_id: RequestId, next_offset: u64) {
        self.0.push_back(PendingRemoval { request_id, next_offset, behind: Vec::new() });
    }

    /// Whether the removal of this request is among them.
    pub fn contains(&self, request_id: RequestId) -> bool {
        self.0.iter().any(|pending| pending.request_id == request_id)
    }

    /// Takes what waits for the first, if that is the removal of this request.
    pub fn take_first_of(&mut self, request_id: RequestId) -> Vec<(ShardId, RoomRequest)> {
        let first = self.0.pop_front_if(|pending| pending.request_id == request_id);
        first.map_or(Vec::new(), |pending| pending.behind)
    }

    /// Takes what waits for any.
    pub fn take_all(&mut self) -> impl Iterator<Item = (ShardId, RoomRequest)> {
        self.0.drain(..).flat_map(|pending| pending.behind)
    }

    /// What waits for the latest, unless the message at this offset was given to the store after
    /// it, and is answered after it, too.
    pub fn behind_latest(
        &mut self,
        offset: Option<u64>,
    ) -> Option<&mut Vec<(ShardId, RoomRequest)>> {
        let latest = self.0.back_mut()?;
        offset.is_none_or(|offset| offset < latest.next_offset).then_some(&mut latest.behind)
    }
}
