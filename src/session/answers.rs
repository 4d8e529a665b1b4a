//! Translates a room's answer to a command for the client, and to a chat method for a backend, too.
//!
//! Deliberately absent: answers that change the session (`machine`).

use super::quota::Quota;
use super::{CommandError, Context, SessionOutput};
use crate::room::RoomReply;
use crate::store::{self, MessageReactions, ReadMarkers};
use crate::wire::chat::{self, ConversationEntry, ReactedMessage, Receipt};
use crate::wire::{Answer, Payload};

/// Sends the client the answer of a room to command `id`, which may be a refusal.
pub(super) fn write_answer(
    cx: &Context<'_>,
    quota: &mut Quota,
    id: u32,
    answer: &RoomReply,
    out: &mut SessionOutput,
) {
    match answer {
        RoomReply::Rejected(code) => quota.refuse(cx, id, *code, out),
        RoomReply::InvalidField(field) => {
            quota.refuse(cx, id, CommandError::Field(*field), out);
        }
        RoomReply::Unsubscribed if id == 0 => (),
        RoomReply::Unsubscribed => out.answer(id, Answer::Unsubscribe),
        RoomReply::Published(_) => out.answer(id, Answer::Publish),
        RoomReply::Presence(clients) => out.answer(id, Answer::Presence { clients }),
        RoomReply::PresenceStats { clients, users } => {
            out.answer(id, Answer::PresenceStats { num_clients: *clients, num_users: *users });
        }
        RoomReply::History(publications, position) => {
            out.answer(id, Answer::History { publications, position: *position });
        }
        // By its command: only that of the protocol gives no message id.
        RoomReply::Posted(posted) if posted.id.is_empty() => out.answer(id, Answer::Publish),
        RoomReply::Done if id == 0 => (),
        RoomReply::Posted(_)
        | RoomReply::Members(..)
        | RoomReply::Receipts(..)
        | RoomReply::Conversations(..)
        | RoomReply::Reactions(_)
        | RoomReply::Roster(..)
        | RoomReply::Done => {
            let data = chat_data(answer).expect("a chat method is answered so");
            out.answer(id, Answer::Rpc { data: &data });
        }
        RoomReply::Subscribed(_) | RoomReply::SubscribeRejected(_) | RoomReply::DeadLetters(_) => {
            unreachable!("the session decides what these mean, and no client asks for the last");
        }
    }
}

/// The data that a chat method is answered with, whoever called it; `None` for what is no answer to
/// one, or refuses it.
pub fn chat_data(answer: &RoomReply) -> Option<Payload> {
    match answer {
        RoomReply::Posted(posted) => {
            Some(chat::posted(&posted.channel, posted.position, &posted.id))
        }
        RoomReply::Members(page, next) => Some(chat::members(page, *next)),
        RoomReply::Receipts(page, next) => Some(receipts(page, next.as_deref())),
        RoomReply::Conversations(page, next) => Some(conversations(page, next.as_deref())),
        RoomReply::Reactions(found) => Some(reactions(found)),
        RoomReply::Roster(page, next) => Some(chat::roster(page, next.as_deref())),
        RoomReply::Done => Some(chat::nothing()),
        RoomReply::Subscribed(_)
        | RoomReply::Unsubscribed
        | RoomReply::Published(_)
        | RoomReply::Presence(_)
        | RoomReply::PresenceStats { .. }
        | RoomReply::History(..)
        | RoomReply::DeadLetters(_)
        | RoomReply::InvalidField(_)
        | RoomReply::SubscribeRejected(_)
        | RoomReply::Rejected(_) => None,
    }
}

/// The answer to `chat.receipts`.
fn receipts(page: &[(Box<str>, ReadMarkers)], next: Option<&str>) -> Payload {
    let all = page.iter().map(|(user, markers)| Receipt {
        user,
        delivered: markers.delivered,
        read: markers.read,
    });
    chat::receipts(all, next)
}

/// The answer to `chat.reactions`.
fn reactions(found: &[MessageReactions]) -> Payload {
    let all = found.iter().map(|one| ReactedMessage {
        offset: one.offset,
        totals: one.totals.iter(),
        own: one.own.as_deref(),
    });
    chat::reactions(all)
}

/// The answer to `chat.rooms`.
fn conversations(page: &[store::Conversation], next: Option<&str>) -> Payload {
    let all = page.iter().map(|one| ConversationEntry {
        channel: &one.channel,
        head: one.head,
        delivered: one.markers.delivered,
        read: one.markers.read,
        unread: one.unread,
        last: one.last.as_deref(),
        role: one.role,
        muted_until: one.muted_until_unix_ms,
    });
    chat::conversations(all, next)
}
