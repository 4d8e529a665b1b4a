//! What a room's home answers, on its way to the session that asked: measured, weighed
//! against what the client has room for, and given back where nobody waits for it.
//!
//! Deliberately absent: what a session makes of an answer.

use super::sessions::Sessions;
use super::turn_context::TurnContext;
use crate::base::{ConnId, RoomId};
use crate::room::{Answer, Ask, Asker, Departure, Recovery, Way, Welcome, What};
use crate::wire::ErrorCode;

/// A room answers a connection.
pub fn on_answer(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    room: RoomId,
    asker: Asker,
    answer: Answer,
) {
    if asker.id != 0
        && let Some(way) = way_of(&answer)
    {
        let tenant = sessions.connections().tenant_of(asker.conn);
        sessions.observing(cx).on_posted(room, tenant, &way);
    }
    // What is long can be asked for again, and must not pile up in here.
    let answer = match answer {
        Answer::Subscribed(welcome) => Answer::Subscribed(trimmed(sessions, asker.conn, welcome)),
        Answer::History(..)
        | Answer::Presence(_)
        | Answer::Members(..)
        | Answer::Receipts(..)
        | Answer::Conversations(..)
            if outbox_room_bytes(sessions, asker.conn) == 0 =>
        {
            Answer::Refused(ErrorCode::TooManyRequests)
        }
        other => other,
    };
    if let Answer::Subscribed(welcome) = &answer {
        cx.observer.on_recovery(welcome.recovery);
    }
    if sessions.connections().session(asker.conn).is_some() {
        sessions.with_session(cx, asker.conn, |session, cx, out| {
            session.on_answer(cx, room, asker.id, answer, out);
        });
        sessions.rest(cx.now, asker.conn);
    } else if matches!(answer, Answer::Subscribed(_)) {
        // It left before it was let in.
        let asker = Asker { id: 0, ..asker };
        sessions.ask(cx, Ask { room, asker, what: What::Unsubscribe(Departure::Lost) });
    }
}

/// What a connection's outbox has room for; all where there is no connection any more.
fn outbox_room_bytes(sessions: &Sessions, id: ConnId) -> usize {
    let bytes_max = sessions.options().session.outbox_bytes_max as usize;
    let conn = sessions.connections().get(id);
    conn.map_or(bytes_max, |conn| sessions.queue().room_bytes(conn))
}

/// Recoveries end where the outbox does, but one that is larger goes into an outbox
/// that is half empty: who was closed because it was slow has missed more than its
/// outbox holds. Who has no room for it reads anew.
fn trimmed(sessions: &Sessions, id: ConnId, mut welcome: Box<Welcome>) -> Box<Welcome> {
    let room_bytes = outbox_room_bytes(sessions, id);
    let half_bytes = sessions.options().session.outbox_bytes_max as usize / 2;
    let fits = welcome.missed_bytes() <= room_bytes || half_bytes <= room_bytes;
    if !welcome.missed.is_empty() && !fits {
        welcome.missed.clear();
        welcome.recovery = Recovery::Lost;
    }
    welcome
}

/// The way of a message whose author is answered.
fn way_of(answer: &Answer) -> Option<Way> {
    match answer {
        Answer::Published(way) => Some(*way),
        Answer::Posted(posted) => posted.way,
        Answer::Subscribed(_)
        | Answer::Unsubscribed
        | Answer::Presence(_)
        | Answer::PresenceStats { .. }
        | Answer::History(..)
        | Answer::Members(..)
        | Answer::Receipts(..)
        | Answer::Conversations(..)
        | Answer::Noted
        | Answer::Wrong(_)
        | Answer::Unwelcome(_)
        | Answer::Refused(_) => None,
    }
}
