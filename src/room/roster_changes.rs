//! Changes of the members of a group: judged, kept with a message that says so, and answered when
//! both are on disk. Who is new in the group is in so many groups, which the store counts first.
//!
//! Deliberately absent: the judgement (`roster`), and who hears of it (`room_messages`).

use std::sync::Arc;

use super::decision::Decision;
use super::durable_stream::StreamState;
use super::pending_messages::MessageInFlight;
use super::room::Room;
use super::room_context::RoomContext;
use super::room_messages::RoomMessages;
use super::room_set::RoomSet;
use super::roster::{GroupPast, RosterDecision};
use super::store_client::ReplyRoute;
use super::user_rates::UserRates;
use super::{IdSource, RoomOutput, RoomReply, RosterRequest};
use crate::base::limits::USER_GROUPS_MAX;
use crate::base::{RoomId, Timestamps};
use crate::store::{RosterChange, StoreResult};
use crate::wire::ErrorCode;
use crate::wire::chat;

/// Whether it is known how many groups a user is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum GroupsCount {
    /// The store says so.
    Known(u32),
    /// It was not asked.
    Unknown,
}

/// Who asks for which change.
type RosterWish = (ReplyRoute, Box<RosterRequest>, GroupsCount);

/// The members of a group shall be others.
pub(super) fn change_roster(
    set: &mut RoomSet,
    room_creations: &mut UserRates,
    now: Timestamps,
    (id, by, request): (RoomId, ReplyRoute, Box<RosterRequest>),
    out: &mut RoomOutput,
) -> Decision {
    change(set, room_creations, now, (id, (by, request, GroupsCount::Unknown)), out)
}

fn change(
    set: &mut RoomSet,
    room_creations: &mut UserRates,
    now: Timestamps,
    (id, wish): (RoomId, RosterWish),
    out: &mut RoomOutput,
) -> Decision {
    let Some(slot) = set.slot_of(id) else {
        return Decision::Answered(RoomReply::Rejected(ErrorCode::Internal));
    };
    let (room, mut cx) = set.visit(now, slot, out);
    Decision::of(change_in(room.messages_mut(), wish, room_creations, &mut cx))
}

/// The store says how many groups a user is in that shall be in one more.
pub(super) fn on_counted(
    set: &mut RoomSet,
    room_creations: &mut UserRates,
    now: Timestamps,
    (id, by, request): (RoomId, ReplyRoute, Box<RosterRequest>),
    outcome: StoreResult,
    out: &mut RoomOutput,
) {
    let decision = match outcome.groups_counted() {
        Ok(count) => {
            let wish = (by, request, GroupsCount::Known(count));
            change(set, room_creations, now, (id, wish), out)
        }
        Err(_) => Decision::Answered(RoomReply::Rejected(ErrorCode::Internal)),
    };
    decision.act_on(id, by, set.find(id).map(Room::members), out);
    set.store().end_reading(by, out);
    set.end_read(now, id);
}

fn change_in(
    messages: &mut RoomMessages,
    (by, request, groups): RosterWish,
    room_creations: &mut UserRates,
    cx: &mut RoomContext<'_>,
) -> Option<RoomReply> {
    let room = messages.id();
    let past = match messages.memory().next_offset() {
        1 => GroupPast::Empty,
        _ => GroupPast::Kept,
    };
    let Some(durable) = messages.durable_mut().filter(|_| cx.rules.is_group()) else {
        return Some(RoomReply::Rejected(ErrorCode::NotAvailable));
    };
    if durable.phase() != StreamState::Open {
        return Some(RoomReply::Rejected(ErrorCode::Internal));
    }
    let expected = durable.expected_roster();
    let before = expected.role(&request.user);
    let decision = expected.judge(cx.rules.groups, past, &request);
    let after = match decision {
        RosterDecision::Refused(answer) => return Some(answer),
        RosterDecision::AlreadySo => {
            drop(expected);
            // What was asked before is kept first.
            let Some(pending) = durable.roster_change_of(&request.user) else {
                return Some(RoomReply::Done);
            };
            pending.reply_tos.push(by);
            return None;
        }
        RosterDecision::May(after) => after,
    };
    let since_unix_ms = expected.since_unix_ms(&request.user, after, cx.now.unix_ms);
    drop(expected);
    match groups {
        GroupsCount::Unknown if before.is_none() => {
            let asked = durable.begin_count((room, by), request, cx);
            return asked.err().map(RoomReply::Rejected);
        }
        GroupsCount::Known(count) if USER_GROUPS_MAX <= count && before.is_none() => {
            return Some(RoomReply::Rejected(ErrorCode::LimitExceeded));
        }
        GroupsCount::Unknown | GroupsCount::Known(_) => (),
    }
    let RosterRequest { user, inbox, action: _, authority: _, mut publish } = *request;
    if !messages.takes_message(by, &publish, room_creations, cx) {
        return Some(RoomReply::Rejected(ErrorCode::TooManyRequests));
    }
    let (data, tags) = chat::role_change(&user, after);
    publish.data = data;
    publish.tags.extend(tags);
    let channel = Arc::clone(&messages.channel_key().channel);
    let roster = Some(RosterChange { channel, user, inbox, before, after, since_unix_ms });
    let (mode, timing, id_source) = (publish.mode, publish.timing, IdSource::Server);
    let publication = Arc::new(publish.into_publication(cx.now, messages.memory().next_offset()));
    let message = MessageInFlight { publication, change: None, roster, mode, id_source, timing };
    messages.keep(by, message, cx)
}
