use super::letter::{Answer, Ask, Asker, Tell, What};
use crate::base::{RoomId, ShardId};
use crate::metrics::{ChatType, PublishResult};
use crate::store::Request;
use crate::wire::ErrorCode;

/// What the rooms of a shard decided. Whoever empties a list keeps its order.
#[derive(Debug, Default)]
pub struct Out {
    /// The shard, and what it is told.
    pub told: Vec<(ShardId, Tell)>,
    /// What rooms want of other rooms.
    pub asks: Vec<Ask>,
    /// What rooms want of the store.
    pub requests: Vec<Request>,
    /// How publishing ended, for those who count.
    pub published: Vec<(ChatType, PublishResult)>,
}

impl Out {
    /// Answers a question.
    pub(super) fn answer(&mut self, room: RoomId, (from, asker): (ShardId, Asker), answer: Answer) {
        self.told.push((from, Tell::Answer(room, asker, answer)));
    }

    /// Answers a question with no.
    pub(super) fn refuse(&mut self, from: ShardId, ask: &Ask, code: ErrorCode) {
        let (by, answer) = ((from, ask.asker), ask.what.refusal(code));
        if let What::Publish(draft) = &ask.what {
            self.answer_publish(draft.chat_type, ask.room, by, answer);
        } else {
            self.answer(ask.room, by, answer);
        }
    }

    /// Answers whoever published.
    pub(super) fn answer_publish(
        &mut self,
        chat_type: ChatType,
        room: RoomId,
        by: (ShardId, Asker),
        answer: Answer,
    ) {
        self.published.push((chat_type, publish_result(&answer)));
        self.answer(room, by, answer);
    }
}

/// What a publish came to.
pub(super) fn publish_result(answer: &Answer) -> PublishResult {
    match answer {
        Answer::Refused(ErrorCode::TooManyRequests) => PublishResult::Limited,
        Answer::Refused(_) | Answer::Wrong(_) => PublishResult::Failed,
        Answer::Subscribed(_)
        | Answer::Unwelcome(_)
        | Answer::Unsubscribed
        | Answer::Published
        | Answer::Posted(_)
        | Answer::Members(..)
        | Answer::Receipts(..)
        | Answer::Conversations(..)
        | Answer::Presence(_)
        | Answer::PresenceStats { .. }
        | Answer::History(..)
        | Answer::Noted => PublishResult::Accepted,
    }
}
