//! What users react to messages with: what rooms ask of the store for it, what its answers
//! mean, and how a history shows it.
//!
//! Where messages are on disk, nothing of it is in memory but which messages may have been
//! reacted to (`durable_stream`): the others are shown as they are in memory.
//!
//! Deliberately absent: who is told (`reaction_notices`).

use std::sync::Arc;

use super::durable_stream::DurableStream;
use super::messages::RoomReply;
use super::requests::{Reaction, ReactionsPage};
use super::room_context::RoomContext;
use super::store_client::{PendingOp, ReadClass, ReplyRoute, requester};
use crate::base::limits::HISTORY_ANSWER_BYTES_MAX;
use crate::base::{RoomId, UserHash};
use crate::store::{
    HistoryRange, MessageReactions, React, ReactedMessages, ReactionRejection, ReactionResult,
    ReactionTotals, ReactionsQuery, StoreError, StoreOp, StoreResult,
};
use crate::wire::chat::{self, Field};
use crate::wire::{ErrorCode, Publication};

/// Gives the store a reaction. The answer comes later, if there is none now.
pub(super) fn keep(
    room: RoomId,
    kept: &mut DurableStream,
    by: ReplyRoute,
    reaction: Reaction,
    cx: &mut RoomContext<'_>,
) -> Option<RoomReply> {
    let offset = reaction.offset;
    if kept.next_offset() <= offset {
        return Some(RoomReply::InvalidField(Field::Offset));
    }
    if cx.store.is_full() {
        return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
    }
    kept.on_react(offset);
    let op = StoreOp::React(Box::new(React {
        room,
        offset,
        user: reaction.user,
        name: reaction.info.user.clone(),
        value: reaction.value.clone(),
        said_since_unix_ms: said_since_unix_ms(cx),
    }));
    let pending_op = PendingOp::Reacted(room, by, Box::new(reaction));
    cx.store.send(requester(Some(by)), pending_op, op, cx.out);
    None
}

/// What a reaction came to: the answer, and the message's totals if they are others now.
pub(super) fn reacted(
    result: Result<ReactionResult, StoreError>,
) -> (RoomReply, Option<ReactionTotals>) {
    match result {
        Ok(ReactionResult::Changed(totals)) => (RoomReply::Done, Some(totals)),
        Ok(ReactionResult::Unchanged) => (RoomReply::Done, None),
        Ok(ReactionResult::Refused(ReactionRejection::NoMessage)) => {
            (RoomReply::InvalidField(Field::Offset), None)
        }
        Ok(ReactionResult::Refused(ReactionRejection::Limit)) => {
            (RoomReply::Rejected(ErrorCode::LimitExceeded), None)
        }
        Err(
            StoreError::Full
            | StoreError::Broken
            | StoreError::Stale
            | StoreError::Damaged
            | StoreError::Abandoned
            | StoreError::Crowded
            | StoreError::Overloaded,
        ) => (RoomReply::Rejected(ErrorCode::Internal), None),
    }
}

/// Asks the store what some messages are reacted to with. The answer comes later, if there is
/// none now.
pub(super) fn ask(
    room: RoomId,
    by: ReplyRoute,
    page: ReactionsPage,
    cx: &mut RoomContext<'_>,
) -> Option<RoomReply> {
    let of = ReactedMessages::Listed(page.offsets, said_since_unix_ms(cx));
    let op = StoreOp::Reactions(Box::new(ReactionsQuery { room, user: page.reader, of }));
    let pending_op = PendingOp::Reactions(room, by);
    cx.store.want(ReadClass::Question, by, pending_op, op, cx.out).err().map(RoomReply::Rejected)
}

/// That has been read.
pub(super) fn reactions_answer(outcome: StoreResult) -> RoomReply {
    match outcome.reactions() {
        Ok(page) => RoomReply::Reactions(page.reactions),
        Err(_) => RoomReply::Rejected(ErrorCode::Internal),
    }
}

/// What the store is asked for a part of the history: with what it is reacted to with, where
/// it may have been.
pub(super) fn history_read(kept: &DurableStream, reader: UserHash, range: HistoryRange) -> StoreOp {
    if !kept.may_be_reacted_to(range.first, range.last) {
        return StoreOp::Read(range);
    }
    let (room, user, of) = (range.room, reader, ReactedMessages::Read(range));
    StoreOp::Reactions(Box::new(ReactionsQuery { room, user, of }))
}

/// Messages as a history shows them, each with what it is reacted to with, by offset. As many
/// as fit one answer, and one at least.
pub(super) fn shown(
    messages: Vec<Arc<Publication>>,
    reactions: Vec<MessageReactions>,
) -> Vec<Arc<Publication>> {
    if reactions.is_empty() {
        return messages;
    }
    let mut bytes = 0;
    let mut all = Vec::with_capacity(messages.len());
    for message in messages {
        let place = reactions.binary_search_by_key(&message.offset, |one| one.offset).ok();
        let one = place.map(|index| &reactions[index]);
        let message = match one.filter(|_| chat::takes_reactions(&message)) {
            Some(one) => {
                let own = one.own.as_deref();
                Arc::new(chat::with_reactions(&message, one.totals.iter(), own))
            }
            None => message,
        };
        bytes += message.cost_bytes();
        if HISTORY_ANSWER_BYTES_MAX < bytes && !all.is_empty() {
            break;
        }
        all.push(message);
    }
    all
}

/// A message that was said before is too old.
fn said_since_unix_ms(cx: &RoomContext<'_>) -> u64 {
    // The first moment at which a message is not shown any more is one that it must not have
    // been said at.
    cx.now.unix_ms.saturating_add(1).saturating_sub(cx.rules.history_age_ms_max)
}
