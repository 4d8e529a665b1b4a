//! What the rooms of a shard decided, in order: events to shards, requests to other rooms,
//! requests to the store, and what is counted and measured.
//!
//! Deliberately absent: whoever carries it out.

use std::sync::Arc;
use std::vec::Drain;

use super::message_timing::MessageTiming;
use super::messages::{DirectMessage, ReplyTo, RoomEvent, RoomOp, RoomReply, RoomRequest};
use crate::base::{MonotonicUs, RoomId, ShardId, Trace, trim_list};
use crate::metrics::{ChatType, PublishResult};
use crate::store::StoreRequest;
use crate::wire::{ErrorCode, Publication};

/// What the rooms of a shard decided. Whoever empties a list keeps its order.
#[derive(Debug, Default)]
pub struct RoomOutput {
    /// The shard, and what it is told.
    events: Vec<(ShardId, RoomEvent)>,
    /// What rooms want of other rooms.
    room_requests: Vec<RoomRequest>,
    /// What rooms want of the store.
    requests: Vec<StoreRequest>,
    /// How publishing ended, for those who count.
    published: Vec<(ChatType, PublishResult)>,
    /// What became of messages, for those who measure.
    steps: Vec<MessageStep>,
    /// Messages whose readers are not here.
    unmet: Vec<UnmetMessage>,
}

/// A message whose reader is not here, or may not be.
#[derive(Clone, Debug)]
pub enum UnmetMessage {
    /// A direct message that found nobody.
    Direct {
        /// The tenant whose conversation it is.
        tenant: Arc<str>,
        /// The conversation.
        channel: Arc<str>,
        /// The message.
        publication: Arc<Publication>,
    },
    /// What was said in a group. Who of its members is away nobody knows here.
    InGroup(UnmetInGroup),
}

/// What was said in a group.
#[derive(Clone, Debug)]
pub struct UnmetInGroup {
    /// The tenant whose group it is.
    pub tenant: Arc<str>,
    /// The group.
    pub channel: Arc<str>,
    /// Who said the last of it; empty for a backend in nobody's name.
    pub from: Arc<str>,
    /// The last of it.
    pub offset: u64,
    /// How many messages.
    pub count: u64,
    /// The members that have not muted it.
    pub members: Arc<[Arc<str>]>,
}

/// A step of a message at its room's home. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageStep {
    /// It has its place, and goes out.
    Taken {
        /// In which room.
        room: RoomId,
        /// At which place; 0 where there are none.
        offset: u64,
        /// So far.
        timing: MessageTiming,
        /// When the store was given it, where one keeps it.
        given_at: Option<MonotonicUs>,
    },
    /// Its author was told that it could not be kept.
    Refused {
        /// In which room.
        room: RoomId,
        /// So far.
        timing: MessageTiming,
    },
    /// A direct message whose reader is not here now, and will find it.
    Waits,
    /// A direct message goes out again.
    Again {
        /// From now on.
        timing: MessageTiming,
    },
    /// A direct message was sent as often as it may be.
    GivenUp {
        /// In which conversation.
        room: RoomId,
        /// At which place.
        offset: u64,
        /// Its trace, if it has one.
        trace: Option<Trace>,
    },
}

impl RoomOutput {
    /// What shards are told, to be taken.
    pub fn take_events(&mut self) -> Drain<'_, (ShardId, RoomEvent)> {
        self.events.drain(..)
    }

    /// What rooms want of other rooms, to be taken.
    pub fn take_room_requests(&mut self) -> Drain<'_, RoomRequest> {
        self.room_requests.drain(..)
    }

    /// What rooms want of the store, to be put behind what it is to be asked already.
    pub fn take_requests(&mut self, behind: &mut Vec<StoreRequest>) {
        behind.append(&mut self.requests);
    }

    /// How publishing ended, to be taken.
    pub fn take_published(&mut self) -> Drain<'_, (ChatType, PublishResult)> {
        self.published.drain(..)
    }

    /// What became of messages, to be taken.
    pub fn take_steps(&mut self) -> Drain<'_, MessageStep> {
        self.steps.drain(..)
    }

    /// Messages whose readers are not here, to be taken.
    pub fn take_unmet(&mut self) -> Drain<'_, UnmetMessage> {
        self.unmet.drain(..)
    }

    /// Whether all of it was taken.
    pub fn is_empty(&self) -> bool {
        let RoomOutput { events, room_requests, requests, published, steps, unmet } = self;
        events.is_empty()
            && room_requests.is_empty()
            && requests.is_empty()
            && published.is_empty()
            && steps.is_empty()
            && unmet.is_empty()
    }

    /// Gives back what very many decisions have left of the lists.
    pub fn trim(&mut self) {
        let RoomOutput { events, room_requests, requests, published, steps, unmet } = self;
        trim_list(unmet);
        trim_list(events);
        trim_list(room_requests);
        trim_list(requests);
        trim_list(published);
        trim_list(steps);
    }

    /// A shard is told something.
    pub(super) fn send(&mut self, to: ShardId, event: RoomEvent) {
        self.events.push((to, event));
    }

    /// Another room is asked something.
    pub(super) fn request_of_room(&mut self, request: RoomRequest) {
        self.room_requests.push(request);
    }

    /// The store is asked something.
    pub(super) fn request_of_store(&mut self, request: StoreRequest) {
        self.requests.push(request);
    }

    /// A publish ended this way.
    pub(super) fn count_publish(&mut self, chat_type: ChatType, answer: &RoomReply) {
        self.published.push((chat_type, publish_result(answer)));
    }

    /// A direct message finds nobody.
    pub(super) fn find_nobody(&mut self, tenant: &Arc<str>, message: &DirectMessage) {
        self.unmet.push(UnmetMessage::Direct {
            tenant: Arc::clone(tenant),
            channel: Arc::clone(&message.channel),
            publication: Arc::clone(&message.publication),
        });
    }

    /// Something was said in a group, for members who may be away.
    pub(super) fn find_members(&mut self, unmet: UnmetInGroup) {
        self.unmet.push(UnmetMessage::InGroup(unmet));
    }

    /// A message made a step.
    pub(super) fn step(&mut self, step: MessageStep) {
        self.steps.push(step);
    }

    /// Answers a question.
    pub(super) fn answer(
        &mut self,
        room: RoomId,
        (from, reply_to): (ShardId, ReplyTo),
        answer: RoomReply,
    ) {
        self.send(from, RoomEvent::Reply(room, reply_to, answer));
    }

    /// Answers a question with no.
    pub(super) fn refuse(&mut self, from: ShardId, request: &RoomRequest, code: ErrorCode) {
        let (by, answer) = ((from, request.reply_to), request.op.refusal(code));
        if let RoomOp::Publish(publish) = &request.op {
            if code == ErrorCode::Internal {
                // Whoever looks for what a broken store refused wants these, too.
                self.step(MessageStep::Refused { room: request.room, timing: publish.timing });
            }
            self.answer_publish(publish.timing.chat_type, request.room, by, answer);
        } else {
            self.answer(request.room, by, answer);
        }
    }

    /// Answers whoever published.
    pub(super) fn answer_publish(
        &mut self,
        chat_type: ChatType,
        room: RoomId,
        by: (ShardId, ReplyTo),
        answer: RoomReply,
    ) {
        self.count_publish(chat_type, &answer);
        self.answer(room, by, answer);
    }
}

#[cfg(test)]
impl RoomOutput {
    /// The shard, and what it is told.
    pub fn events(&mut self) -> &mut Vec<(ShardId, RoomEvent)> {
        &mut self.events
    }

    /// What rooms want of other rooms.
    pub fn room_requests(&mut self) -> &mut Vec<RoomRequest> {
        &mut self.room_requests
    }

    /// What rooms want of the store.
    pub fn requests(&mut self) -> &mut Vec<StoreRequest> {
        &mut self.requests
    }

    /// What became of messages.
    pub fn steps(&mut self) -> &mut Vec<MessageStep> {
        &mut self.steps
    }
}

/// What a publish came to.
fn publish_result(answer: &RoomReply) -> PublishResult {
    match answer {
        RoomReply::Rejected(ErrorCode::TooManyRequests) => PublishResult::Limited,
        RoomReply::Rejected(_) | RoomReply::InvalidField(_) => PublishResult::Failed,
        RoomReply::Subscribed(_)
        | RoomReply::SubscribeRejected(_)
        | RoomReply::Unsubscribed
        | RoomReply::Published(_)
        | RoomReply::Posted(_)
        | RoomReply::Members(..)
        | RoomReply::Receipts(..)
        | RoomReply::Conversations(..)
        | RoomReply::Reactions(_)
        | RoomReply::Roster(..)
        | RoomReply::DeadLetters(_)
        | RoomReply::Presence(_)
        | RoomReply::PresenceStats { .. }
        | RoomReply::History(..)
        | RoomReply::Done => PublishResult::Accepted,
    }
}
