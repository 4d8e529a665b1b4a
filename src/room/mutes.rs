//! A member mutes a group for itself: its record says so, and its connections hear of it.
//!
//! Deliberately absent: what is not told of a group that is muted.

use std::sync::Arc;

use super::room_set::RoomSet;
use super::store_client::{PendingOp, ReplyRoute, requester};
use super::{InboxDelivery, MuteRequest, RoomOutput, RoomReply};
use crate::base::RoomId;
use crate::store::{MuteGroup, MuteResult, StoreOp, StoreResult};
use crate::wire::ErrorCode;
use crate::wire::chat;

/// A member mutes a group. `None` stands for an answer that comes later.
pub(super) fn mute(
    set: &mut RoomSet,
    room: RoomId,
    by: ReplyRoute,
    request: Box<MuteRequest>,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    let durable = set.find(room).and_then(|room| room.messages().durable());
    let Some(durable) = durable else {
        return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
    };
    if !durable.roster().has_member(&request.user) {
        return Some(RoomReply::Rejected(ErrorCode::PermissionDenied));
    }
    if set.store().is_full() {
        return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
    }
    let (user, until_unix_ms) = (request.user.clone(), request.until_unix_ms);
    let op = StoreOp::MuteGroup(Box::new(MuteGroup { room, user, until_unix_ms }));
    set.store().send(requester(Some(by)), PendingOp::Muted(room, by, request), op, out);
    None
}

/// The store has the mute, or no such member.
pub(super) fn on_muted(
    set: &mut RoomSet,
    (room, by, request): (RoomId, ReplyRoute, &MuteRequest),
    outcome: StoreResult,
    out: &mut RoomOutput,
) {
    let answer = match outcome.muted() {
        Ok(MuteResult::Muted) => {
            let MuteRequest { channel_key, user, inbox, until_unix_ms } = request;
            // A room that is not here any more reads it with its members.
            if let Some(slot) = set.slot_of(room)
                && let Some(durable) = set[slot].messages_mut().durable_mut()
            {
                durable.roster_mut().mute(user, *until_unix_ms);
            }
            let notice = chat::muted_notice(&channel_key.channel, *until_unix_ms);
            out.deliver(*inbox, InboxDelivery::Notice(Arc::new(notice)));
            RoomReply::Done
        }
        // It left meanwhile.
        Ok(MuteResult::NoMember) => RoomReply::Rejected(ErrorCode::PermissionDenied),
        Err(_) => RoomReply::Rejected(ErrorCode::Internal),
    };
    out.answer(room, by, answer);
}
