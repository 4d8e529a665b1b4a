//! What follows when it becomes unknown what the store has of a room, and when it is known
//! again: who waits is told to try again, and members hear what they have not heard.
//!
//! Deliberately absent: what a stream on disk knows of that itself (`durable_stream`).

use super::conversation::DirectConversation;
use super::decision::OpenOutcome;
use super::durable_stream::{ClosedStream, ReopenedStream};
use super::members::Members;
use super::pending_messages::PendingAppend;
use super::room_context::RoomContext;
use super::room_memory::RoomMemory;
use super::{InboxDelivery, MessageStep, RoomEvent, RoomReply, RoomRequest};
use crate::base::{MonotonicMs, ShardId};
use crate::store::{OpenedChannel, RequestId, Requester, StoreError};
use crate::wire::ErrorCode;

/// How long after a failure the store is asked again, in ms.
const AGAIN_MS: u64 = 1_000;

/// It is known again what the store has. Gives who waited for that.
pub(super) fn reopen(
    memory: &mut RoomMemory,
    conversation: DirectConversation<'_>,
    members: &Members,
    mut opened: Option<OpenedChannel>,
    losses_count: u32,
    cx: &mut RoomContext<'_>,
) -> Vec<(ShardId, RoomRequest)> {
    let (room, fresh) = (memory.room(), cx.epochs.fresh());
    memory.restore_ids(opened.as_mut());
    let durable = memory.durable_mut().expect("what is opened is on disk");
    let reopened = durable.on_opened(opened, losses_count, fresh);
    if reopened.unseen.is_none() {
        members.send_to_shards(&RoomEvent::Lost(room), cx.out);
        for to in reopened.addressees() {
            cx.out.deliver(to, InboxDelivery::Stored);
        }
    }
    for user in &reopened.expelled {
        members.send_to_shards(&RoomEvent::Expelled(room, user.clone()), cx.out);
    }
    let ReopenedStream { unseen, in_doubt, waiting, .. } = reopened;
    for publication in unseen.into_iter().flatten() {
        let letter = in_doubt.iter().find(|(offset, _)| *offset == publication.offset);
        let chat_type = cx.rules.chat_type();
        let timing = cx.epochs.redelivery_timing(cx.now, room, &publication, chat_type);
        if let Some(&(_, mode)) = letter {
            conversation.deliver_direct(&publication, mode, timing, cx.out);
        }
        members.send_to_shards(&RoomEvent::Published(room, publication, timing), cx.out);
    }
    waiting
}

/// The store could not say what it knows of the room to whoever wanted to know.
pub(super) fn on_open_failed(
    memory: &mut RoomMemory,
    by: Requester,
    failure: StoreError,
    cx: &mut RoomContext<'_>,
) -> OpenOutcome {
    let room = memory.room();
    let durable = memory.durable_mut().expect("what is opened is on disk");
    let is_abandoned = failure == StoreError::Abandoned;
    if is_abandoned && durable.open_for_next(room, by, cx) {
        return OpenOutcome::Retried;
    }
    let again_ms = if is_abandoned { 0 } else { AGAIN_MS };
    close(memory, cx.now.tick.plus_ms(again_ms), ErrorCode::Internal, cx);
    OpenOutcome::Known(Vec::new())
}

/// The store refused a message. False when that was given up before.
pub(super) fn on_append_failed(
    memory: &mut RoomMemory,
    request_id: RequestId,
    failure: StoreError,
    cx: &mut RoomContext<'_>,
) -> bool {
    let is_pending = memory.durable().is_some_and(|durable| durable.is_pending(request_id));
    if is_pending {
        let now = cx.now.tick;
        let (again_at, code) = match failure {
            // Nothing was written, and what is there may be read at once.
            StoreError::Full | StoreError::Stale => (now, ErrorCode::Internal),
            StoreError::Crowded | StoreError::Overloaded => (now, ErrorCode::TooManyRequests),
            StoreError::Broken | StoreError::Damaged | StoreError::Abandoned => {
                (now.plus_ms(AGAIN_MS), ErrorCode::Internal)
            }
        };
        close(memory, again_at, code, cx);
    }
    is_pending
}

/// The store could not remove what was said, or did and could not say so.
pub(super) fn on_removal_failed(
    memory: &mut RoomMemory,
    request_id: RequestId,
    failure: StoreError,
    cx: &mut RoomContext<'_>,
) {
    if memory.durable().is_some_and(|durable| durable.is_removing(request_id)) {
        let again_ms = match failure {
            StoreError::Full | StoreError::Overloaded => 0, // nothing was written
            StoreError::Broken
            | StoreError::Stale
            | StoreError::Damaged
            | StoreError::Abandoned
            | StoreError::Crowded => AGAIN_MS,
        };
        close(memory, cx.now.tick.plus_ms(again_ms), ErrorCode::Internal, cx);
    }
}

/// It is not known any more what the store has of this room: who waits for it is
/// told to try again, with this code, and it is read anew, from `again_at` on.
fn close(
    memory: &mut RoomMemory,
    again_at: MonotonicMs,
    code: ErrorCode,
    cx: &mut RoomContext<'_>,
) {
    let room = memory.room();
    let durable = memory.durable_mut().expect("what is given up is on disk");
    let ClosedStream { pending, mut waiting } = durable.close(again_at);
    for PendingAppend { message, reply_tos, behind, .. } in pending {
        waiting.extend(behind);
        cx.store.end_append(&message.publication, &reply_tos);
        memory.forget_id(&message.publication);
        cx.out.step(MessageStep::Refused { room, timing: message.timing });
        message.answer(room, reply_tos, &RoomReply::Rejected(code), cx.out);
    }
    for (from, request) in waiting {
        cx.store.end_wait(from, &request);
        cx.out.refuse(from, &request, code);
    }
    memory.sweep_at(again_at, cx);
}
