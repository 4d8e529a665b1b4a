//! How far users are in channels, and whom they talk with. Rooms remember nothing of it: it is
//! written and read on disk.
//!
//! Deliberately absent: messages that wait until they are acknowledged (`inbox`).

use super::store_client::{PendingOp, ReadClass, ReplyRoute, StoreClient, requester};
use super::{ConversationsPage, ReadMarkerUpdate, ReceiptsPage, RoomOutput, RoomReply};
use crate::base::RoomId;
use crate::store::{
    self, AdvanceMarker, MarkerPosition, ReadMarkers, ReadMarkersQuery, StoreError, StoreOp,
    StoreResult,
};
use crate::wire::ErrorCode;
use crate::wire::chat::Field;

/// A user got, or read, messages. The answer comes later, if there is none now.
/// `next` is the offset of the message that is said next.
pub(super) fn advance_marker(
    room: RoomId,
    next: u64,
    by: ReplyRoute,
    update: Box<ReadMarkerUpdate>,
    store: &mut StoreClient,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    let offset = match update.position {
        MarkerPosition::Delivered(offset) | MarkerPosition::Read(offset) => offset,
    };
    // The store may have brought a message to its reader before it said here that
    // it has it.
    if next <= offset {
        return Some(RoomReply::InvalidField(Field::Offset));
    }
    if next == 1 {
        return Some(RoomReply::Done); // the store knows nothing of such a channel
    }
    if store.is_full() {
        return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
    }
    let advance = AdvanceMarker {
        room,
        user: update.info.user.clone(),
        inbox: update.inbox,
        position: update.position,
    };
    let pending_op = PendingOp::MarkerAdvanced(room, by, update);
    store.send(requester(Some(by)), pending_op, StoreOp::AdvanceMarker(Box::new(advance)), out);
    None
}

/// What a mark came to: the answer, and how far the user is now if that is news.
pub(super) fn marker_advanced(outcome: StoreResult) -> (RoomReply, Option<ReadMarkers>) {
    if let StoreResult::MarkerAdvanced { before, after } = outcome {
        return (RoomReply::Done, (before != after).then_some(after));
    }
    if let StoreResult::Behind(_) = outcome {
        return (RoomReply::InvalidField(Field::Offset), None);
    }
    (failed(outcome.failure()), None)
}

/// How far everybody is. The answer comes later, if there is none now.
pub(super) fn receipts(
    room: RoomId,
    by: ReplyRoute,
    page: ReceiptsPage,
    store: &mut StoreClient,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    let (after, count_max) = (page.after, page.count_max);
    // One more than asked for tells whether there is another page.
    let op = StoreOp::ReadMarkers(ReadMarkersQuery { room, after, count_max: count_max + 1 });
    let pending_op = PendingOp::Receipts(room, by, count_max);
    store.want(ReadClass::Question, by, pending_op, op, out).err().map(RoomReply::Rejected)
}

/// With whom a user talks. The answer comes later, if there is none now.
pub(super) fn conversations(
    inbox: RoomId,
    by: ReplyRoute,
    page: ConversationsPage,
    store: &mut StoreClient,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    let ConversationsPage { channel_key: _, user, after, count_max } = page;
    let page = store::ConversationsQuery { inbox, user, after, count_max };
    let (pending_op, op) = (PendingOp::Conversations(inbox, by), StoreOp::Conversations(page));
    store.want(ReadClass::Question, by, pending_op, op, out).err().map(RoomReply::Rejected)
}

/// A page of so many receipts has been read.
pub(super) fn receipts_answer(outcome: StoreResult, count_max: u32) -> RoomReply {
    match outcome.markers() {
        Ok(mut all) => {
            let more = (count_max as usize) < all.len();
            all.truncate(count_max as usize);
            let next = all.last().filter(|_| more).map(|(user, _)| user.clone());
            RoomReply::Receipts(all, next)
        }
        Err(failure) => failed(failure),
    }
}

/// A page of conversations has been read.
pub(super) fn conversations_answer(outcome: StoreResult) -> RoomReply {
    match outcome.conversations() {
        Ok((all, next)) => RoomReply::Conversations(all, next),
        Err(failure) => failed(failure),
    }
}

/// The answer when the store did not do it.
fn failed(failure: StoreError) -> RoomReply {
    match failure {
        StoreError::Full
        | StoreError::Broken
        | StoreError::Stale
        | StoreError::Damaged
        | StoreError::Abandoned
        | StoreError::Crowded
        | StoreError::Overloaded => RoomReply::Rejected(ErrorCode::Internal),
    }
}
