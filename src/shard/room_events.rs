//! Events of a room's home: those of a channel go to its subscribers, and an answer to the
//! session that asked. Answers are measured, checked against the free bytes of the outbox, and
//! undone where the session is gone.
//!
//! Deliberately absent: the replies to clients (`session`).

use std::sync::Arc;

use super::messages::Gap;
use super::sessions::Sessions;
use super::turn_context::TurnContext;
use crate::base::{ConnId, RoomId};
use crate::room::{
    LeaveReason, MessageTiming, RecoveryOutcome, ReplyTo, RoomEvent, RoomOp, RoomReply,
    RoomRequest, Subscribed,
};
use crate::session::{Fault, ServerAct};
use crate::wire::ErrorCode;

/// Handles an event of a room's home.
pub fn on_room_event(sessions: &mut Sessions, cx: &mut TurnContext<'_>, event: RoomEvent) {
    match event {
        RoomEvent::Reply(room, reply_to, answer) => on_answer(sessions, cx, room, reply_to, answer),
        RoomEvent::Lost(room) => {
            let home = cx.mesh.home(room);
            sessions.on_gap(cx, home, Gap::Rooms(vec![room]));
        }
        RoomEvent::Replaced(conn) => sessions.end(cx, conn, Fault::Replaced),
        RoomEvent::Expelled(room, user) => expel(sessions, cx, room, &user),
        event @ (RoomEvent::Published(..)
        | RoomEvent::Joined(..)
        | RoomEvent::Left(..)
        | RoomEvent::MemberReplaced(..)
        | RoomEvent::Typing(..)
        | RoomEvent::MembershipSummary(..)
        | RoomEvent::Notice(..)) => sessions.fanout_mut().on_room_event(event),
    }
}

/// A user is no member of a group any more: its connections leave it. The work is that of a message
/// to the group.
fn expel(sessions: &mut Sessions, cx: &mut TurnContext<'_>, room: RoomId, user: &str) {
    let Some(channel) = sessions.fanout().channels().of(room) else { return };
    let name = Arc::clone(&channel.name);
    let slots = channel.subscribers().iter().map(|subscriber| subscriber.slot());
    let those = slots.filter_map(|slot| sessions.connections().subscriber(slot));
    let of_user = those.filter(|(id, _)| {
        let session = sessions.connections().session(*id);
        session.and_then(|session| session.who()).is_some_and(|who| who.user == user)
    });
    let ids: Vec<ConnId> = of_user.map(|(id, _)| id).collect();
    for id in ids {
        let act = ServerAct::Unsubscribe { room, channel: &name };
        let done =
            sessions.with_session(cx, id, |session, cx, out| session.on_server_act(cx, act, out));
        assert!(done.is_none_or(|done| done.is_ok()), "nothing keeps a subscription from ending");
        sessions.set_next_timer(cx.now, id);
    }
}

/// A room answers a connection.
fn on_answer(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    room: RoomId,
    reply_to: ReplyTo,
    answer: RoomReply,
) {
    if reply_to.id != 0
        && let Some(timing) = timing_of(&answer)
    {
        let tenant = sessions.connections().tenant_of(reply_to.conn);
        sessions.observing(cx).on_posted(room, tenant, &timing);
    }
    // Long answers can be requested again, and must not pile up in the outbox.
    let answer = match answer {
        RoomReply::Subscribed(subscribed) => {
            RoomReply::Subscribed(trimmed(sessions, reply_to.conn, subscribed))
        }
        RoomReply::History(..)
        | RoomReply::Presence(_)
        | RoomReply::Members(..)
        | RoomReply::Receipts(..)
        | RoomReply::Conversations(..)
        | RoomReply::Reactions(_)
        | RoomReply::Roster(..)
        | RoomReply::DeadLetters(_)
            if outbox_room_bytes(sessions, reply_to.conn) == 0 =>
        {
            RoomReply::Rejected(ErrorCode::TooManyRequests)
        }
        other @ (RoomReply::Unsubscribed
        | RoomReply::Published(_)
        | RoomReply::Presence(_)
        | RoomReply::PresenceStats { .. }
        | RoomReply::History(..)
        | RoomReply::Posted(_)
        | RoomReply::Members(..)
        | RoomReply::Receipts(..)
        | RoomReply::Conversations(..)
        | RoomReply::Reactions(_)
        | RoomReply::Roster(..)
        | RoomReply::DeadLetters(_)
        | RoomReply::Done
        | RoomReply::InvalidField(_)
        | RoomReply::SubscribeRejected(_)
        | RoomReply::Rejected(_)) => other,
    };
    if let RoomReply::Subscribed(subscribed) = &answer {
        cx.observer.on_recovery(subscribed.recovery);
    }
    if sessions.connections().session(reply_to.conn).is_some() {
        sessions.with_session(cx, reply_to.conn, |session, cx, out| {
            session.on_answer(cx, room, reply_to.id, answer, out);
        });
        sessions.set_next_timer(cx.now, reply_to.conn);
    } else if matches!(answer, RoomReply::Subscribed(_)) {
        // The connection closed before its subscription began.
        let reply_to = ReplyTo { id: 0, ..reply_to };
        sessions.send_request(
            cx,
            RoomRequest { room, reply_to, op: RoomOp::Unsubscribe(LeaveReason::Disconnected) },
        );
    }
}

/// The free bytes of a connection's outbox; all where the connection is gone.
fn outbox_room_bytes(sessions: &Sessions, id: ConnId) -> usize {
    let bytes_max = sessions.options().session.outbox_bytes_max as usize;
    let conn = sessions.connections().get(id);
    conn.map_or(bytes_max, |conn| sessions.queue().room_bytes(conn))
}

/// Drops the missed messages of a recovery that does not fit into the outbox. A larger one
/// goes into an outbox that is half empty: a reader that was closed for being slow has missed
/// more than its outbox holds. A client without room for it reads the channel anew.
fn trimmed(sessions: &Sessions, id: ConnId, mut subscribed: Box<Subscribed>) -> Box<Subscribed> {
    let room_bytes = outbox_room_bytes(sessions, id);
    let half_bytes = sessions.options().session.outbox_bytes_max as usize / 2;
    let fits = subscribed.missed_bytes() <= room_bytes || half_bytes <= room_bytes;
    if !subscribed.missed.is_empty() && !fits {
        subscribed.missed.clear();
        subscribed.recovery = RecoveryOutcome::Lost;
    }
    subscribed
}

/// The timing of a message whose author is answered.
fn timing_of(answer: &RoomReply) -> Option<MessageTiming> {
    match answer {
        RoomReply::Published(timing) => Some(*timing),
        RoomReply::Posted(posted) => posted.timing,
        RoomReply::Subscribed(_)
        | RoomReply::Unsubscribed
        | RoomReply::Presence(_)
        | RoomReply::PresenceStats { .. }
        | RoomReply::History(..)
        | RoomReply::Members(..)
        | RoomReply::Receipts(..)
        | RoomReply::Conversations(..)
        | RoomReply::Reactions(_)
        | RoomReply::Roster(..)
        | RoomReply::DeadLetters(_)
        | RoomReply::Done
        | RoomReply::InvalidField(_)
        | RoomReply::SubscribeRejected(_)
        | RoomReply::Rejected(_) => None,
    }
}
