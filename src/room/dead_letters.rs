//! Dead letters, for operators' programs: rooms remember nothing of them, so the store is asked.
//!
//! What waits again is sent to its reader at once, if the reader is here, with all that waits, in
//! the order of the conversation.
//!
//! Deliberately absent: how a message becomes one (`inbox`).

use super::room_set::RoomSet;
use super::store_client::{DeadLettersStep, PendingOp, ReadClass, ReplyRoute, requester};
use super::{DeadLettersAsk, DeadLettersReply, InboxDelivery, RoomOutput, RoomReply};
use crate::base::RoomId;
use crate::store::{DeadLetterFate, StoreOp, StoreResult};
use crate::wire::ErrorCode;

/// Asks the store. The answer comes later, if there is none now.
pub(super) fn ask(
    set: &mut RoomSet,
    room: RoomId,
    by: ReplyRoute,
    asked: DeadLettersAsk,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    if !set.options().has_store() {
        return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
    }
    let store = set.store();
    match asked {
        DeadLettersAsk::List(query) => {
            let pending_op = PendingOp::OfDeadLetters(room, by, DeadLettersStep::Listed);
            let op = StoreOp::DeadLetters(query);
            store.want(ReadClass::Question, by, pending_op, op, out).err().map(RoomReply::Rejected)
        }
        DeadLettersAsk::Change(_) if store.is_full() => {
            Some(RoomReply::Rejected(ErrorCode::TooManyRequests))
        }
        DeadLettersAsk::Change(change) => {
            let inboxes = match change.fate {
                DeadLetterFate::Requeued { .. } => Some(change.inboxes),
                DeadLetterFate::Dropped => None,
            };
            let pending_op = PendingOp::OfDeadLetters(room, by, DeadLettersStep::Changed(inboxes));
            let op = StoreOp::ChangeDeadLetters(Box::new(change));
            store.send(requester(Some(by)), pending_op, op, out);
            None
        }
    }
}

/// The store has answered.
pub(super) fn on_answer(
    set: &mut RoomSet,
    (room, by): (RoomId, ReplyRoute),
    step: DeadLettersStep,
    outcome: StoreResult,
    out: &mut RoomOutput,
) {
    let failed = |_| RoomReply::Rejected(ErrorCode::Internal);
    match step {
        DeadLettersStep::Listed => {
            let page = outcome.dead_letters();
            let page = page.map(|(found, next)| DeadLettersReply::Page(found, next));
            out.answer(room, by, page.map_or_else(failed, RoomReply::DeadLetters));
            set.store().end_reading(by, out);
        }
        DeadLettersStep::Changed(inboxes) => {
            let changed = outcome.dead_letters_changed();
            let reply = changed.map(DeadLettersReply::Changed);
            out.answer(room, by, reply.map_or_else(failed, RoomReply::DeadLetters));
            let counts = changed.map_or([0; 2], |changed| changed.counts);
            for (inbox, count) in inboxes.into_iter().flatten().zip(counts) {
                if count != 0 {
                    out.deliver(inbox, InboxDelivery::Stored);
                }
            }
        }
    }
}
