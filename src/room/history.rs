//! What clients ask to see of what was said: a part of the history, and what they missed while
//! they were away. What is in memory is answered at once, and the rest is read.
//!
//! Deliberately absent: what of it is on disk only, and the steps of a long read (`reading`).

use std::sync::Arc;

use super::decision::{RecoveredMessages, RecoveryStart};
use super::reactions;
use super::reading::{
    RecoveryRead, RecoveryStep, end_edits, is_on_disk_only, is_young, range_on_disk, recovery_range,
};
use super::room_context::RoomContext;
use super::room_memory::RoomMemory;
use super::store_client::{ReadPurpose, ReplyRoute, StoreRead};
use super::{HistoryPage, HistoryQuery, RoomReply, RoomSubscribe};
use crate::base::limits::HISTORY_ANSWER_MAX;
use crate::store::{ReactionPage, StoreOp};
use crate::wire::{ErrorCode, Publication};

/// Looks for what a new member missed.
pub(super) fn catch_up(
    memory: &mut RoomMemory,
    by: ReplyRoute,
    mut subscribe: RoomSubscribe,
    cx: &mut RoomContext<'_>,
) -> RecoveryStart {
    let room = memory.room();
    memory.expire(cx);
    subscribe.since = subscribe.since.map(|since| memory.known_position(since, cx));
    let Some(since) = subscribe.since else {
        return RecoveryStart::Ready(subscribe, RecoveredMessages::NotRequested);
    };
    if let Some(durable) = memory.durable_mut()
        && is_on_disk_only(durable, cx.rules, since)
    {
        let range = recovery_range(room, durable, since.offset.saturating_add(1));
        let purpose = ReadPurpose::Recovery(Box::new(subscribe));
        let reading = StoreRead::new(room, by, purpose);
        let begun = durable.begin_read(reading, StoreOp::Read(range), cx);
        return begun.map_or_else(RecoveryStart::Refused, |()| RecoveryStart::Reading);
    }
    let missed = memory.window().and_then(|window| window.missed(since));
    RecoveryStart::Ready(
        subscribe,
        missed.map_or(RecoveredMessages::Lost, RecoveredMessages::Whole),
    )
}

/// A step of what a new member missed has been read.
pub(super) fn recover(
    memory: &RoomMemory,
    by: ReplyRoute,
    read: RecoveryRead,
    found: Option<Vec<Arc<Publication>>>,
    cx: &mut RoomContext<'_>,
) -> RecoveryStart {
    let durable = memory.durable().expect("what was read is on disk");
    match read.take(memory.room(), found, durable, cx) {
        RecoveryStep::Failed => RecoveryStart::Refused(ErrorCode::Internal),
        RecoveryStep::Over(subscribe, missed) => RecoveryStart::Ready(*subscribe, missed),
        RecoveryStep::Next(read, range) => {
            read.go_on(by, range, cx);
            RecoveryStart::Reading
        }
    }
}

/// A part of what was said.
pub(super) fn history(
    memory: &mut RoomMemory,
    by: ReplyRoute,
    page: &HistoryPage,
    cx: &mut RoomContext<'_>,
) -> Option<RoomReply> {
    let query = page.query;
    let mut query = HistoryQuery { limit: query.limit.min(HISTORY_ANSWER_MAX), ..query };
    memory.expire(cx);
    query.since = query.since.map(|since| memory.known_position(since, cx));
    let Some(window) = memory.window() else {
        return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
    };
    if query.since.is_some_and(|since| since.epoch != window.position().epoch) {
        return Some(RoomReply::Rejected(ErrorCode::UnrecoverablePosition));
    }
    let durable = memory.durable();
    let range = durable.and_then(|durable| range_on_disk(memory.room(), durable, cx.rules, query));
    if let (Some(range), Some(durable)) = (range, memory.durable_mut()) {
        let reading = StoreRead::new(range.room, by, ReadPurpose::History);
        let op = reactions::history_read(durable, page.reader, range);
        return durable.begin_read(reading, op, cx).err().map(RoomReply::Rejected);
    }
    let found = memory.window()?.read(query).unwrap_or_default();
    let reactions = memory.reactions().of(found.iter().map(|one| one.offset), page.reader);
    let position = memory.client_position(cx)?;
    Some(RoomReply::History(reactions::shown(found, reactions), position))
}

/// A part of what was said has been read.
pub(super) fn history_read(
    memory: &RoomMemory,
    found: Option<ReactionPage>,
    cx: &RoomContext<'_>,
) -> RoomReply {
    let (Some(page), Some(window)) = (found, memory.window()) else {
        return RoomReply::Rejected(ErrorCode::Internal);
    };
    let ReactionPage { mut messages, reactions } = page;
    messages.retain(|one| is_young(cx.now, one, cx.rules.history_age_ms_max));
    if let Some(durable) = memory.durable() {
        end_edits(cx.now, durable, cx.rules, &mut messages);
    }
    RoomReply::History(reactions::shown(messages, reactions), window.position())
}
