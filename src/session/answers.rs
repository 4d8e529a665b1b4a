//! Translates a room's answer to a command for the client.
//!
//! Deliberately absent: answers that change the session (`machine`).

use super::quota::Quota;
use super::{CommandError, Context, SessionOutput};
use crate::room::{PublishAck, RoomReply};
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
        RoomReply::Posted(posted) => write_posted(id, posted, out),
        RoomReply::Members(page, next) => rpc(id, &chat::members(page, *next), out),
        RoomReply::Receipts(page, next) => rpc(id, &receipts(page, next.as_deref()), out),
        RoomReply::Conversations(page, next) => rpc(id, &conversations(page, next.as_deref()), out),
        RoomReply::Reactions(found) => rpc(id, &reactions(found), out),
        RoomReply::Done if id == 0 => (),
        RoomReply::Done => rpc(id, &chat::nothing(), out),
        RoomReply::Subscribed(_) | RoomReply::SubscribeRejected(_) => {
            unreachable!("the session decides what these mean");
        }
    }
}

fn rpc(id: u32, data: &Payload, out: &mut SessionOutput) {
    out.answer(id, Answer::Rpc { data });
}

/// The answer to a publish, by its command: only that of the protocol gives no message id.
fn write_posted(id: u32, posted: &PublishAck, out: &mut SessionOutput) {
    if posted.id.is_empty() {
        out.answer(id, Answer::Publish);
    } else {
        rpc(id, &chat::posted(&posted.channel, posted.position, &posted.id), out);
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
    });
    chat::conversations(all, next)
}
