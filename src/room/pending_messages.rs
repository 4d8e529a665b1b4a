//! Messages of one room that the store was given and has not answered, in their order.
//!
//! Invariants: their offsets are consecutive; `changing` knows for each message that some of
//! them change the last of these.
//!
//! Deliberately absent: what waits for the room to be read (`durable_stream`), and the store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::message_timing::MessageTiming;
use super::messages::{ReplyTo, RoomRequest};
use super::requests::{IdSource, PublishMode};
use super::store_client::ReplyRoute;
use super::{RoomOutput, RoomReply};
use crate::base::{ConnId, MonotonicUs, RoomId, ShardId};
use crate::store::{ChangeKind, MessageChange, RequestId, RosterChange};
use crate::wire::Publication;

/// A message that has its place, on its way to where it is kept.
#[derive(Clone, Debug)]
pub(super) struct MessageInFlight {
    /// The message.
    pub publication: Arc<Publication>,
    /// What it does to an earlier message.
    pub change: Option<MessageChange>,
    /// Whose role in a group it changes.
    pub roster: Option<RosterChange>,
    /// How it was said.
    pub mode: PublishMode,
    /// Who gave it its id, if it has one.
    pub id_source: IdSource,
    /// What was measured of it.
    pub timing: MessageTiming,
}

impl MessageInFlight {
    /// The message that it takes back, if it takes one back.
    pub fn takes_back(&self) -> Option<u64> {
        let change = self.change.as_ref()?;
        (change.kind == ChangeKind::Retraction).then_some(change.target())
    }

    /// Answers who wait for it.
    pub fn answer(
        &self,
        room: RoomId,
        reply_tos: Vec<ReplyRoute>,
        answer: &RoomReply,
        out: &mut RoomOutput,
    ) {
        for by in reply_tos {
            if self.change.is_none() && self.roster.is_none() {
                out.answer_publish(self.timing.chat_type, room, by, answer.clone());
            } else {
                out.answer(room, by, answer.clone());
            }
        }
    }
}

/// A message that the store was given.
#[derive(Debug)]
pub(super) struct PendingAppend {
    /// The request.
    pub request_id: RequestId,
    /// The message.
    pub message: MessageInFlight,
    /// When the store was given it.
    pub given_at: MonotonicUs,
    /// Who wait for it: its author, and again, when it was sent twice.
    pub reply_tos: Vec<(ShardId, ReplyTo)>,
    /// What was asked of the room behind it by who knows of it, and wants to find it done.
    pub behind: Vec<(ShardId, RoomRequest)>,
}

impl PendingAppend {
    /// Where it stands.
    pub fn offset(&self) -> u64 {
        self.message.publication.offset
    }

    /// Whether it is a direct message. Its reader may have it before the room knows that the
    /// store has it: the reader's personal channel, on another core, asks the store.
    pub fn is_direct(&self) -> bool {
        self.message.mode.is_direct()
    }

    /// Whether this connection waits for it.
    pub fn is_said_by(&self, shard: ShardId, conn: ConnId) -> bool {
        self.reply_tos.iter().any(|(on, reply_to)| *on == shard && reply_to.conn == conn)
    }
}

/// The messages of a room that the store was given and has not answered.
#[derive(Debug, Default)]
pub(super) struct PendingMessages {
    queue: VecDeque<PendingAppend>,
    /// Messages that those in `queue` change, and the place of the last that does.
    changing: BTreeMap<u64, u64>,
}

impl PendingMessages {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// True when the store has answered all.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The one that the store answers next.
    pub fn first(&self) -> Option<&PendingAppend> {
        self.queue.front()
    }

    /// The store is given one more.
    #[inline]
    pub fn push(&mut self, pending: PendingAppend) {
        if let Some(last) = self.queue.back() {
            assert_eq!(pending.offset(), last.offset() + 1, "offsets are consecutive");
        }
        if let Some(change) = &pending.message.change {
            self.changing.insert(change.target(), pending.offset());
        }
        self.queue.push_back(pending);
    }

    /// Takes the first, if it is that of this request.
    #[inline]
    pub fn take_first_of(&mut self, request_id: RequestId) -> Option<PendingAppend> {
        let taken = self.queue.pop_front_if(|pending| pending.request_id == request_id)?;
        if let Some(target) = taken.message.change.as_ref().map(MessageChange::target)
            && self.changing.get(&target) == Some(&taken.offset())
        {
            self.changing.remove(&target);
        }
        Some(taken)
    }

    /// Changes of roles in a group, in their order.
    pub fn roster_changes(&self) -> impl Iterator<Item = &RosterChange> {
        self.queue.iter().filter_map(|pending| pending.message.roster.as_ref())
    }

    /// The last one that changes this user's role.
    pub fn roster_change_of(&mut self, user: &str) -> Option<&mut PendingAppend> {
        self.queue.iter_mut().rev().find(|pending| {
            pending.message.roster.as_ref().is_some_and(|change| *change.user == *user)
        })
    }

    /// Takes all of them.
    pub fn take_all(&mut self) -> Vec<PendingAppend> {
        self.changing.clear();
        self.queue.drain(..).collect()
    }

    /// Whether the message of this request is among them.
    pub fn contains(&self, request_id: RequestId) -> bool {
        self.queue.iter().any(|pending| pending.request_id == request_id)
    }

    /// The one at a place.
    pub fn at(&mut self, offset: u64) -> Option<&mut PendingAppend> {
        let index = offset.checked_sub(self.queue.front()?.offset())?;
        self.queue.get_mut(usize::try_from(index).ok()?)
    }

    /// The last that changes the message with this offset.
    pub fn change_of(&mut self, offset: u64) -> Option<&mut PendingAppend> {
        let place = *self.changing.get(&offset)?;
        self.at(place)
    }

    /// The latest that this connection knows of: one that it waits for, or a direct message,
    /// which its reader's personal channel may have brought.
    pub fn latest_shown(&mut self, shard: ShardId, conn: ConnId) -> Option<&mut PendingAppend> {
        let is_shown = |one: &PendingAppend| one.is_said_by(shard, conn) || one.is_direct();
        self.queue.iter_mut().rev().find(|pending| is_shown(pending))
    }

    /// The latest direct message.
    pub fn latest_direct(&mut self) -> Option<&mut PendingAppend> {
        self.queue.iter_mut().rev().find(|pending| pending.is_direct())
    }

    /// The latest that this command waits for.
    pub fn latest_asked_by(&mut self, by: &(ShardId, ReplyTo)) -> Option<&mut PendingAppend> {
        self.queue.iter_mut().rev().find(|pending| pending.reply_tos.contains(by))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::Payload;

    /// A message with this offset.
    pub fn message(offset: u64) -> Arc<Publication> {
        let data = Payload { bytes: Bytes::from_static(b"{}"), is_json: true };
        let (info, chan_info, tags, trace) = (None, None, Vec::new(), None);
        Arc::new(Publication { offset, data, info, chan_info, tags, time_unix_ms: 1, trace })
    }

    /// The same, given to the store under its offset.
    pub fn pending(offset: u64) -> PendingAppend {
        let reply_to = ReplyTo { id: 1, ..ReplyTo::NOBODY };
        let message = MessageInFlight {
            publication: message(offset),
            change: None,
            roster: None,
            mode: PublishMode::Publish,
            id_source: IdSource::Server,
            timing: crate::room::timing(),
        };
        PendingAppend {
            request_id: RequestId(offset as u32),
            message,
            given_at: MonotonicUs(0),
            reply_tos: vec![(ShardId(0), reply_to)],
            behind: Vec::new(),
        }
    }

    #[test]
    fn messages_are_answered_in_their_order() {
        let mut all = PendingMessages::default();
        all.push(pending(6));
        all.push(pending(7));
        assert!(all.at(5).is_none() && all.at(8).is_none());
        assert_eq!(all.at(7).map(|one| one.offset()), Some(7));
        assert!(all.take_first_of(RequestId(7)).is_none(), "not before the first");
        assert!(all.take_first_of(RequestId(6)).is_some());
        assert_eq!(
            (all.len(), all.contains(RequestId(6)), all.contains(RequestId(7))),
            (1, false, true)
        );
    }

    #[test]
    fn the_last_change_of_a_message_is_found_by_that_until_it_is_kept() {
        let mut all = PendingMessages::default();
        for (offset, kind) in [(6, ChangeKind::Edit), (7, ChangeKind::Retraction)] {
            let mut change = pending(offset);
            let (replacement, superseded) = (message(2), None);
            change.message.change = Some(MessageChange { kind, replacement, superseded });
            let is_retraction = kind == ChangeKind::Retraction;
            assert_eq!(change.message.takes_back(), is_retraction.then_some(2));
            all.push(change);
            assert_eq!(all.change_of(2).map(|one| one.offset()), Some(offset));
        }
        assert!(all.change_of(6).is_none());
        assert!(all.take_first_of(RequestId(6)).is_some());
        assert_eq!(all.change_of(2).map(|one| one.offset()), Some(7));
        assert!(all.take_first_of(RequestId(7)).is_some());
        assert!(all.change_of(2).is_none() && all.is_empty());
    }
}
