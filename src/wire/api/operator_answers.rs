//! What operators' programs are answered.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use super::operator_requests::ApiRoomMeasure;
use crate::base::{ClientId, DeadLetterPlace};
use crate::wire::json_out::JsonMembers;

/// The result of a call.
#[derive(Debug)]
pub enum ApiOperatorAnswer<'a> {
    /// Connections of a user.
    Connections {
        /// In the order of their ids.
        connections: Vec<ApiKnownConnection<'a>>,
        /// The page is full: the next one begins behind its last.
        is_full: bool,
    },
    /// Rooms.
    Rooms {
        /// By what they are ranked.
        by: ApiRoomMeasure,
        /// In that order.
        rooms: Vec<ApiRankedRoom<'a>>,
        /// The page is full: the next one begins behind its last.
        is_full: bool,
    },
    /// Dead letters.
    DeadLetters {
        /// In the order of their places.
        letters: Vec<ApiDeadLetter<'a>>,
        /// The place that the next page comes after; `None` where this is the last.
        next: Option<DeadLetterPlace>,
    },
    /// Kinds of clients that are kept out.
    Quarantined(&'a [ApiQuarantinedPrefix]),
    /// It is done, and there is nothing to tell of it.
    Done,
    /// How far a drain is.
    Drain(ApiDrainStatus),
    /// Dead letters were changed.
    DeadLettersChanged {
        /// How many.
        count: u64,
        /// How many stay, as what they said is gone; `None` where that does not matter.
        empty_count: Option<u64>,
        /// Whether there may be more.
        has_more: bool,
    },
}

/// A connection with what is known of it.
#[derive(Debug)]
pub struct ApiKnownConnection<'a> {
    /// Its id.
    pub client: ClientId,
    /// Where it comes from; `None` where it is gone.
    pub address: Option<IpAddr>,
    /// What its program is.
    pub agent: &'static str,
    /// Its encoding.
    pub protocol: &'static str,
    /// Since its upgrade.
    pub age_ms: u64,
    /// Some of the channels that it is in.
    pub channels: &'a [Arc<str>],
    /// How many it is in.
    pub channels_count: usize,
}

/// A kind of clients that is kept out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiQuarantinedPrefix {
    /// Which.
    pub prefix: Box<str>,
    /// Who said so.
    pub by: &'static str,
    /// For how long it has been so, in ms.
    pub held_ms: u64,
    /// For how long it will be so, in ms.
    pub left_ms: u64,
}

/// How far a drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiDrainStatus {
    /// What the server is doing: a word.
    pub state: &'static str,
    /// Connections that are left.
    pub clients_count: u64,
    /// When the drain began, Unix ms, and how long it may take, in ms.
    pub drain: Option<(u64, u64)>,
}

/// A dead letter, without what it says.
#[derive(Debug)]
pub struct ApiDeadLetter<'a> {
    /// Its conversation.
    pub channel: Cow<'a, str>,
    /// Its offset there.
    pub offset: u64,
    /// Whom it did not reach.
    pub user: &'a str,
    /// Why it was given up.
    pub cause: &'static str,
    /// When, Unix ms.
    pub at_unix_ms: u64,
    /// How often it was sent.
    pub tries_count: u16,
}

/// A room with what it is ranked by.
#[derive(Debug)]
pub struct ApiRankedRoom<'a> {
    /// Its name.
    pub channel: Cow<'a, str>,
    /// Connections in it.
    pub clients_count: u32,
    /// Messages in the last minute.
    pub messages_per_min: u64,
}

impl ApiRankedRoom<'_> {
    fn value(&self, by: ApiRoomMeasure) -> u64 {
        match by {
            ApiRoomMeasure::Clients => u64::from(self.clients_count),
            ApiRoomMeasure::MessageRate => self.messages_per_min,
        }
    }
}

/// The members of a result.
pub(super) fn put_operator(answer: &ApiOperatorAnswer<'_>, members: &mut JsonMembers<'_>) {
    match answer {
        ApiOperatorAnswer::Connections { connections, is_full } => {
            members.list("connections", connections, put_connection);
            if let Some(last) = connections.last().filter(|_| *is_full) {
                members.ascii("next", &last.client.text());
            }
        }
        ApiOperatorAnswer::DeadLetters { letters, next } => {
            members.list("dead_letters", letters, put_dead_letter);
            if let Some(next) = next {
                members.text("next", &next.text());
            }
        }
        ApiOperatorAnswer::Quarantined(prefixes) => {
            members.list("prefixes", *prefixes, |one, members| {
                members.text("prefix", &one.prefix);
                members.text("by", one.by);
                members.number("held_ms", one.held_ms);
                members.number("left_ms", one.left_ms);
            });
        }
        ApiOperatorAnswer::Done => (),
        ApiOperatorAnswer::Drain(status) => {
            members.text("state", status.state);
            members.number("num_clients", status.clients_count);
            if let Some((began_unix_ms, limit_ms)) = status.drain {
                members.number("began", began_unix_ms);
                members.number("limit_ms", limit_ms);
            }
        }
        ApiOperatorAnswer::DeadLettersChanged { count, empty_count, has_more } => {
            members.number("count", *count);
            if let Some(empty_count) = empty_count {
                members.number("empty", *empty_count);
            }
            members.json("more", if *has_more { b"true" } else { b"false" });
        }
        ApiOperatorAnswer::Rooms { by, rooms, is_full } => {
            members.list("rooms", rooms, |room, members| {
                members.text("channel", &room.channel);
                members.number("num_clients", u64::from(room.clients_count));
                members.number("messages_per_min", room.messages_per_min);
            });
            if let Some(last) = rooms.last().filter(|_| *is_full) {
                members.object("next", |members| {
                    members.number("value", last.value(*by));
                    members.text("channel", &last.channel);
                });
            }
        }
    }
}

fn put_connection(connection: &ApiKnownConnection<'_>, members: &mut JsonMembers<'_>) {
    members.ascii("client", &connection.client.text());
    if let Some(address) = connection.address {
        members.text("address", &address.to_string());
    }
    members.text("agent", connection.agent);
    members.text("transport", "websocket");
    members.text("protocol", connection.protocol);
    members.number("age_ms", connection.age_ms);
    members.texts("channels", connection.channels);
    members.number("channels_count", connection.channels_count as u64);
}

fn put_dead_letter(letter: &ApiDeadLetter<'_>, members: &mut JsonMembers<'_>) {
    members.text("channel", &letter.channel);
    members.number("offset", letter.offset);
    members.text("user", letter.user);
    members.text("cause", letter.cause);
    members.number("at", letter.at_unix_ms);
    members.number("tries", u64::from(letter.tries_count));
}
