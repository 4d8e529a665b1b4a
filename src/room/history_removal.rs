//! Removing all that was said in a room, as a backend wants it: in memory at once, and on disk in
//! the order in which the store is given messages and this.
//!
//! Deliberately absent: what is deleted of it on disk, and when (`store`).

use super::reopening::on_removal_failed;
use super::room_set::RoomSet;
use super::store_client::{PendingOp, ReplyRoute, requester};
use super::stream::RoomStream;
use super::{HistoryRemoval, InboxDelivery, RoomOutput, RoomReply, RoomRequest};
use crate::base::{RoomId, ShardId, Timestamps};
use crate::store::{RemoveHistory, RequestId, StoreOp, StoreResult};
use crate::wire::ErrorCode;

/// All that was said in a room shall be gone. The answer comes later, if there is none now.
pub(super) fn remove(
    set: &mut RoomSet,
    now: Timestamps,
    id: RoomId,
    by: ReplyRoute,
    removal: &HistoryRemoval,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    let is_durable = set.options().rules(&removal.channel_key).is_durable();
    let Some(slot) = set.slot_of(id) else {
        // One on disk would be here, if there were room for it.
        return Some(match is_durable {
            true => RoomReply::Rejected(ErrorCode::Internal),
            false => RoomReply::Done,
        });
    };
    let (room, cx) = set.visit(now, slot, out);
    let messages = room.messages_mut();
    let next_offset = messages.memory().next_offset();
    match messages.memory().stream() {
        RoomStream::None => Some(RoomReply::Rejected(ErrorCode::NotAvailable)),
        RoomStream::Memory(_) | RoomStream::Durable(_) if next_offset == 1 => Some(RoomReply::Done),
        RoomStream::Memory(_) => {
            messages.remove_up_to(next_offset - 1);
            // Its messages kept it so far.
            set.rest(now, slot, id);
            Some(RoomReply::Done)
        }
        RoomStream::Durable(_) if cx.store.is_full() => {
            Some(RoomReply::Rejected(ErrorCode::TooManyRequests))
        }
        RoomStream::Durable(_) => {
            let op = StoreOp::RemoveHistory(RemoveHistory { room: id, at_unix_ms: now.unix_ms });
            let pending_op = PendingOp::HistoryRemoved(id, by, removal.parties);
            let request_id = cx.store.send(requester(Some(by)), pending_op, op, cx.out);
            let durable = messages.durable_mut().expect("it is on disk");
            durable.begin_removal(request_id);
            None
        }
    }
}

/// The store has removed it, or could not. Gives what was asked behind it.
pub(super) fn on_removed(
    set: &mut RoomSet,
    now: Timestamps,
    (id, by, parties): (RoomId, ReplyRoute, Option<[RoomId; 2]>),
    (request_id, outcome): (RequestId, StoreResult),
    out: &mut RoomOutput,
) -> Vec<(ShardId, RoomRequest)> {
    let removed = outcome.history_removed();
    out.answer(
        id,
        by,
        removed.map_or(RoomReply::Rejected(ErrorCode::Internal), |_| RoomReply::Done),
    );
    if let Ok(offset) = removed {
        for inbox in parties.into_iter().flatten() {
            out.deliver(inbox, InboxDelivery::Removed { room: id, offset });
        }
    }
    let Some(slot) = set.slot_of(id) else { return Vec::new() };
    let (room, mut cx) = set.visit(now, slot, out);
    let messages = room.messages_mut();
    match removed {
        Ok(last) => {
            messages.remove_up_to(last);
            let durable = messages.durable_mut().expect("what the store removes is on disk");
            durable.end_removal(request_id)
        }
        Err(failure) => {
            on_removal_failed(messages.memory_mut(), request_id, failure, &mut cx);
            Vec::new()
        }
    }
}
