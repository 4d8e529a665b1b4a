//! What a chat method is answered with.

use std::sync::Arc;

use bytes::Bytes;

use super::cursor::{self, MemberCursor};
use super::groups::GroupRole;
use super::payload;
use crate::wire::json_out::{put_info, put_publication};
use crate::wire::{ClientInfo, Payload, Position, Publication};

/// How far a user is in a channel.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the answer's fields, by their names")]
pub struct Receipt<'a> {
    pub user: &'a str,
    pub delivered: u64,
    pub read: u64,
}

/// One of a user's conversations.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the answer's fields, by their names")]
pub struct ConversationEntry<'a> {
    pub channel: &'a str,
    pub head: u64,
    pub delivered: u64,
    pub read: u64,
    pub unread: u64,
    pub last: Option<&'a Publication>,
    pub role: Option<GroupRole>,
    /// 0 where it is not muted.
    pub muted_until: u64,
}

/// It is done: `{}`.
pub fn nothing() -> Payload {
    Payload { bytes: Bytes::from_static(b"{}"), is_json: true }
}

/// Where a message stands: `{channel, offset, epoch, id}`. A channel that keeps
/// no messages has no places, only offset 0.
pub fn posted(channel: &str, position: Position, id: &str) -> Payload {
    payload(|members| {
        members.text("channel", channel);
        members.number("offset", position.offset);
        if 0 < position.offset {
            members.ascii("epoch", &position.epoch.text());
        }
        members.text("id", id);
    })
}

/// A page of who is there: `{members: [{user, client, conn_info, chan_info}], next}`.
pub fn members(
    page: &[(Arc<ClientInfo>, Option<Arc<Payload>>)],
    next: Option<MemberCursor>,
) -> Payload {
    payload(|members| {
        members.list("members", page, |(info, chan_info), members| {
            put_info(info, chan_info.as_deref(), members);
        });
        if let Some(member) = next {
            members.text("next", &cursor::text(member));
        }
    })
}

/// A page of how far users are: `{receipts: [{user, delivered, read}], next}`.
pub fn receipts<'a>(page: impl IntoIterator<Item = Receipt<'a>>, next: Option<&str>) -> Payload {
    payload(|members| {
        members.list("receipts", page, |one, members| {
            members.text("user", one.user);
            members.number("delivered", one.delivered);
            members.number("read", one.read);
        });
        if let Some(next) = next {
            members.text("next", next);
        }
    })
}

/// A page of a user's conversations:
/// `{rooms: [{channel, head, delivered, read, unread, role, muted_until, last}], next}`.
pub fn conversations<'a>(
    page: impl IntoIterator<Item = ConversationEntry<'a>>,
    next: Option<&str>,
) -> Payload {
    payload(|members| {
        members.list("rooms", page, |one, members| {
            members.text("channel", one.channel);
            members.number("head", one.head);
            members.number("delivered", one.delivered);
            members.number("read", one.read);
            members.number("unread", one.unread);
            if let Some(role) = one.role {
                members.text("role", role.word());
            }
            if one.muted_until != 0 {
                members.number("muted_until", one.muted_until);
            }
            if let Some(last) = one.last {
                members.object("last", |members| put_publication(last, members));
            }
        });
        if let Some(next) = next {
            members.text("next", next);
        }
    })
}
