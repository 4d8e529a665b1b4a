//! What is asked about messages that were said, of rooms that are here or not: history, how far
//! users are, with whom they talk, what messages are reacted to with, and changes of one. `None`
//! stands for an answer that comes later.
//!
//! Deliberately absent: what a room does about it (`room_messages`), and what the store is
//! asked (`receipts`, `history`, `reactions`).

use std::sync::Arc;

use super::decision::Decision;
use super::members::Members;
use super::room_context::RoomContext;
use super::room_messages::RoomMessages;
use super::room_set::RoomSet;
use super::store_client::ReplyRoute;
use super::{
    ConversationsPage, HistoryPage, ReactionsPage, ReadMarkerUpdate, ReceiptsPage, RoomOutput,
    RoomReply, RosterPage, history, receipts,
};
use crate::base::{RoomId, Timestamps};
use crate::store::StoreResult;
use crate::wire::chat::Field;
use crate::wire::{ClientInfo, ErrorCode};

/// A part of what was said.
pub(super) fn history(
    set: &mut RoomSet,
    now: Timestamps,
    id: RoomId,
    by: ReplyRoute,
    page: &HistoryPage,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    if let Some(slot) = set.slot_of(id) {
        let (room, mut cx) = set.visit(now, slot, out);
        return history::history(room.messages_mut().memory_mut(), by, page, &mut cx);
    }
    let Some(channel_key) = &page.channel_key else {
        return Some(RoomReply::Rejected(ErrorCode::UnrecoverablePosition));
    };
    Some(set.history_of_silence(now, id, channel_key, page))
}

/// How far a user got, or read.
pub(super) fn advance_marker(
    set: &mut RoomSet,
    id: RoomId,
    by: ReplyRoute,
    update: Box<ReadMarkerUpdate>,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    let durable = set.find(id).and_then(|room| room.messages().durable());
    if !set.admits(id, &update.info.user) {
        return Some(RoomReply::Rejected(ErrorCode::PermissionDenied));
    }
    match durable.map(|durable| durable.next_offset()) {
        Some(next) => receipts::advance_marker(id, next, by, update, set.store(), out),
        None => Some(RoomReply::Rejected(ErrorCode::NotAvailable)),
    }
}

/// The store says what a mark came to. The other one of a conversation hears of it.
pub(super) fn marker_advanced(
    set: &RoomSet,
    (id, by, update): (RoomId, ReplyRoute, &ReadMarkerUpdate),
    outcome: StoreResult,
    out: &mut RoomOutput,
) {
    let (answer, event) = receipts::marker_advanced(outcome);
    if let (Some(markers), Some(room)) = (event, set.find(id)) {
        room.messages().conversation().notify_receipt(update, markers, out);
    }
    out.answer(id, by, answer);
}

/// How far everybody is.
pub(super) fn receipts(
    set: &mut RoomSet,
    id: RoomId,
    by: ReplyRoute,
    page: ReceiptsPage,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    match set.find(id).and_then(|room| room.messages().durable()) {
        Some(_) => receipts::receipts(id, by, page, set.store(), out),
        None => Some(RoomReply::Rejected(ErrorCode::NotAvailable)),
    }
}

/// The conversations of a user, which only the store knows.
pub(super) fn conversations(
    set: &mut RoomSet,
    id: RoomId,
    by: ReplyRoute,
    page: ConversationsPage,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    if !set.options().has_store() {
        return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
    }
    receipts::conversations(id, by, page, set.store(), out)
}

/// Changes a message, or reacts to it; where its room is not here, neither is the message.
pub(super) fn on_message(
    set: &mut RoomSet,
    now: Timestamps,
    id: RoomId,
    out: &mut RoomOutput,
    act: impl FnOnce(&mut RoomMessages, &Members, &mut RoomContext<'_>) -> Option<RoomReply>,
) -> Option<RoomReply> {
    let Some(slot) = set.slot_of(id) else {
        return Some(RoomReply::InvalidField(Field::Offset));
    };
    let (room, mut cx) = set.visit(now, slot, out);
    let (messages, members) = room.messages_and_members();
    act(messages, members, &mut cx)
}

/// The members of a group.
pub(super) fn roster(set: &RoomSet, id: RoomId, page: &RosterPage) -> Decision {
    let durable = set.find(id).and_then(|room| room.messages().durable());
    let refused = || RoomReply::Rejected(ErrorCode::NotAvailable);
    Decision::Answered(durable.map_or_else(refused, |durable| durable.roster().page(page)))
}

/// A member is writing; where its room is not here, nobody is told.
pub(super) fn typing(
    set: &mut RoomSet,
    now: Timestamps,
    id: RoomId,
    info: Arc<ClientInfo>,
) -> Decision {
    let Some(slot) = set.slot_of(id) else { return Decision::Answered(RoomReply::Done) };
    if !set.admits(id, &info.user) {
        return Decision::refused(ErrorCode::PermissionDenied);
    }
    set[slot].typing(info, now)
}

/// What some messages are reacted to with.
pub(super) fn reactions(
    set: &mut RoomSet,
    now: Timestamps,
    id: RoomId,
    by: ReplyRoute,
    page: ReactionsPage,
    out: &mut RoomOutput,
) -> Option<RoomReply> {
    let Some(slot) = set.slot_of(id) else {
        return Some(RoomReply::Reactions(Vec::new()));
    };
    let (room, mut cx) = set.visit(now, slot, out);
    room.messages_mut().reactions(by, page, &mut cx)
}
