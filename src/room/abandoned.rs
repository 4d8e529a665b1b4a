//! Connections that are gone while something was to be read for them: nothing of it is read,
//! and each of their requests has its answer all the same.
//!
//! Deliberately absent: reads that the store was asked for already. They end as others do.

use super::room_set::RoomSet;
use super::store_client::{DeadLettersStep, PendingOp, ReadPurpose, ReplyRoute, StoreRead};
use super::{RoomOutput, RoomReply};
use crate::base::{RoomId, Timestamps};
use crate::wire::ErrorCode;

/// Whoever asked this way is gone: what would be read for it is not.
pub(super) fn abandon(set: &mut RoomSet, now: Timestamps, by: ReplyRoute, out: &mut RoomOutput) {
    let Some(line) = set.store().withdraw(by) else { return };
    for (_, pending_op, _) in line {
        answer_abandoned(set, now, pending_op, out);
    }
    set.store().abandon(by, out);
}

/// Answers a request of a connection that is gone: each request has its answer.
fn answer_abandoned(
    set: &mut RoomSet,
    now: Timestamps,
    pending_op: PendingOp,
    out: &mut RoomOutput,
) {
    let gone = ErrorCode::NotAvailable;
    match pending_op {
        PendingOp::Read(reading) => {
            let StoreRead { room, by, purpose, .. } = *reading;
            match purpose {
                ReadPurpose::Recovery(_) => {
                    out.answer(room, by, RoomReply::SubscribeRejected(gone))
                }
                ReadPurpose::History => out.answer(room, by, RoomReply::Rejected(gone)),
                ReadPurpose::Change(_) => {
                    out.answer(room, by, RoomReply::Rejected(gone));
                    refuse_behind_read(set, room, by, out);
                }
            }
            set.end_read(now, room);
        }
        PendingOp::Receipts(room, by, _)
        | PendingOp::Conversations(room, by)
        | PendingOp::Reactions(room, by)
        | PendingOp::OfDeadLetters(room, by, DeadLettersStep::Listed) => {
            out.answer(room, by, RoomReply::Rejected(gone));
        }
        PendingOp::GroupsCounted(room, by, _) => {
            out.answer(room, by, RoomReply::Rejected(gone));
            set.end_read(now, room);
        }
        PendingOp::Opened(..)
        | PendingOp::Appended(..)
        | PendingOp::MarkerAdvanced(..)
        | PendingOp::Muted(..)
        | PendingOp::Reacted(..)
        | PendingOp::HistoryRemoved(..)
        | PendingOp::Pending(_)
        | PendingOp::DeadLetter(_)
        | PendingOp::OfDeadLetters(.., DeadLettersStep::Changed(_))
        | PendingOp::Done => unreachable!("these stand in no line"),
    }
}

/// Whoever asked is gone: the message of its change is not read, and what it asked
/// behind that is for nobody.
fn refuse_behind_read(set: &mut RoomSet, id: RoomId, by: ReplyRoute, out: &mut RoomOutput) {
    let slot = set.slot_of(id).expect("a room stays while it is read");
    let durable = set[slot].messages_mut().durable_mut().expect("what is read is on disk");
    for (from, request) in durable.end_change_read(by) {
        set.store().end_wait(from, &request);
        out.refuse(from, &request, ErrorCode::NotAvailable);
    }
}
