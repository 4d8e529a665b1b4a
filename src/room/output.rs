//! What the rooms of a shard decided, in order: events to shards, requests to other rooms,
//! requests to the store, and what is counted and measured.
//!
//! Deliberately absent: whoever carries it out.

use super::message_timing::MessageTiming;
use super::messages::{ReplyTo, RoomEvent, RoomOp, RoomReply, RoomRequest};
use crate::base::{MonotonicUs, RoomId, ShardId, Trace, trim_list};
use crate::metrics::{ChatType, PublishResult};
use crate::store::StoreRequest;
use crate::wire::ErrorCode;

/// What the rooms of a shard decided. Whoever empties a list keeps its order.
#[derive(Debug, Default)]
pub struct RoomOutput {
    /// The shard, and what it is told.
    pub events: Vec<(ShardId, RoomEvent)>,
    /// What rooms want of other rooms.
    pub room_requests: Vec<RoomRequest>,
    /// What rooms want of the store.
    pub requests: Vec<StoreRequest>,
    /// How publishing ended, for those who count.
    pub published: Vec<(ChatType, PublishResult)>,
    /// What became of messages, for those who measure.
    pub steps: Vec<MessageStep>,
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
    /// Gives back what very many decisions have left of the lists.
    pub fn trim(&mut self) {
        let RoomOutput { events, room_requests, requests, published, steps } = self;
        trim_list(events);
        trim_list(room_requests);
        trim_list(requests);
        trim_list(published);
        trim_list(steps);
    }

    /// Answers a question.
    pub(super) fn answer(
        &mut self,
        room: RoomId,
        (from, reply_to): (ShardId, ReplyTo),
        answer: RoomReply,
    ) {
        self.events.push((from, RoomEvent::Reply(room, reply_to, answer)));
    }

    /// Answers a question with no.
    pub(super) fn refuse(&mut self, from: ShardId, request: &RoomRequest, code: ErrorCode) {
        let (by, answer) = ((from, request.reply_to), request.op.refusal(code));
        if let RoomOp::Publish(publish) = &request.op {
            if code == ErrorCode::Internal {
                // Whoever looks for what a broken store refused wants these, too.
                self.steps
                    .push(MessageStep::Refused { room: request.room, timing: publish.timing });
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
        self.published.push((chat_type, publish_result(&answer)));
        self.answer(room, by, answer);
    }
}

/// What a publish came to.
pub(super) fn publish_result(answer: &RoomReply) -> PublishResult {
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
        | RoomReply::Presence(_)
        | RoomReply::PresenceStats { .. }
        | RoomReply::History(..)
        | RoomReply::Done => PublishResult::Accepted,
    }
}
