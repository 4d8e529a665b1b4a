//! What a call of the server API is answered with.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::BytesMut;

use super::method::ApiMethod;
use super::operator_answers::{ApiOperatorAnswer, put_operator};
use super::requests::ApiRequestError;
use crate::base::ClientId;
use crate::wire::json_out::{JsonMembers, object, put_info, put_publication};
use crate::wire::{ClientInfo, ErrorCode, Payload, Position, Publication};

/// The outcome of a call.
#[derive(Debug)]
pub enum ApiAnswer<'a> {
    /// It failed.
    Error(ApiRequestError),
    /// To publish: where the message stands; `None` in a channel that keeps none.
    Published(Option<Position>),
    /// To broadcast: the same for each channel, in order.
    Broadcast(Vec<ApiChannelAnswer>),
    /// To presence.
    Presence(&'a [(Arc<ClientInfo>, Option<Arc<Payload>>)]),
    /// To presence_stats.
    PresenceStats {
        /// Connections.
        clients_count: u32,
        /// Different users among them.
        users_count: u32,
    },
    /// To history: messages, and the position of the last message of the channel.
    History(&'a [Arc<Publication>], Position),
    /// To info.
    Info(ApiNode),
    /// To channels: each with how many connections are in it.
    Channels(&'a [(Arc<str>, u32)]),
    /// To connections: those of a user.
    Connections(&'a str, Vec<ApiConnection>),
    /// To a method whose result is empty.
    Done(ApiMethod),
    /// To a method that changes who is kept out: whether that outlives the server.
    Blocked {
        /// The method.
        method: ApiMethod,
        /// Whether it is on a disk.
        is_durable: bool,
    },
    /// To blocks: some of them, and whether there may be more.
    Blocks {
        /// In order.
        blocks: Vec<ApiBlock<'a>>,
        /// The page is full: the next one begins behind its last.
        is_full: bool,
    },
    /// To a chat method: as clients are answered.
    Chat(ApiMethod, Payload),
    /// To a method of operators' programs.
    Operator(ApiMethod, ApiOperatorAnswer<'a>),
    /// To batch: the outcome of each call, with its method where it has one.
    Batch(Vec<ApiAnswer<'a>>),
}

/// A block, as `blocks` tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBlock<'a> {
    /// The user, the token's id, or the addresses.
    pub name: Cow<'a, str>,
    /// When it ends, Unix seconds; 0 for never.
    pub until_unix_s: u32,
    /// Of a user's tokens, those from before this time; 0 for other kinds.
    pub issued_before_unix_s: u32,
}

/// What a broadcast came to in one channel.
pub type ApiChannelAnswer = Result<Option<Position>, ErrorCode>;

/// A connection, as `connections` tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiConnection {
    /// Its id.
    pub client: ClientId,
    /// What its program is.
    pub app_name: &'static str,
    /// Its encoding.
    pub protocol: &'static str,
}

/// The state of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the answer's fields, by their names")]
pub struct ApiNode {
    pub uid: String,
    pub name: String,
    pub version: &'static str,
    pub num_clients: u64,
    pub num_subs: u64,
    pub num_channels: u64,
    /// In s.
    pub uptime: u64,
}

impl ApiAnswer<'_> {
    /// Why the call as a whole failed, if it did.
    pub fn error(&self) -> Option<ApiRequestError> {
        match self {
            ApiAnswer::Error(error) => Some(*error),
            ApiAnswer::Published(_)
            | ApiAnswer::Broadcast(_)
            | ApiAnswer::Presence(_)
            | ApiAnswer::PresenceStats { .. }
            | ApiAnswer::History(..)
            | ApiAnswer::Info(_)
            | ApiAnswer::Channels(_)
            | ApiAnswer::Connections(..)
            | ApiAnswer::Done(_)
            | ApiAnswer::Blocked { .. }
            | ApiAnswer::Blocks { .. }
            | ApiAnswer::Chat(..)
            | ApiAnswer::Operator(..)
            | ApiAnswer::Batch(_) => None,
        }
    }
}

/// Appends the body of an answer.
pub fn write_answer(answer: &ApiAnswer<'_>, out: &mut BytesMut) {
    object(out, |members| {
        if let Some(error) = answer.error() {
            put_error(error, members);
        } else if let ApiAnswer::Batch(answers) = answer {
            members.list("replies", answers, |answer, members| put_named(answer, members));
        } else if let ApiAnswer::Chat(_, data) = answer {
            members.json("result", &data.bytes);
        } else {
            members.object("result", |members| put_result(answer, members));
        }
    });
}

/// An outcome in a batch: under the name of its method.
fn put_named(answer: &ApiAnswer<'_>, members: &mut JsonMembers<'_>) {
    let name = match answer {
        ApiAnswer::Error(error) => return put_error(*error, members),
        ApiAnswer::Published(_) => "publish",
        ApiAnswer::Broadcast(_) => "broadcast",
        ApiAnswer::Presence(_) => "presence",
        ApiAnswer::PresenceStats { .. } => "presence_stats",
        ApiAnswer::History(..) => "history",
        ApiAnswer::Info(_) => "info",
        ApiAnswer::Channels(_) => "channels",
        ApiAnswer::Connections(..) => "connections",
        ApiAnswer::Done(method)
        | ApiAnswer::Blocked { method, .. }
        | ApiAnswer::Operator(method, _) => method.name(),
        ApiAnswer::Blocks { .. } => "blocks",
        ApiAnswer::Chat(method, data) => return members.json(method.name(), &data.bytes),
        ApiAnswer::Batch(_) => unreachable!("a batch is in no batch"),
    };
    members.object(name, |members| put_result(answer, members));
}

fn put_result(answer: &ApiAnswer<'_>, members: &mut JsonMembers<'_>) {
    match answer {
        ApiAnswer::Error(_) | ApiAnswer::Batch(_) | ApiAnswer::Chat(..) => {
            unreachable!("they have no members to be put")
        }
        ApiAnswer::Published(position) => put_position(*position, members),
        ApiAnswer::Broadcast(answers) => {
            members.list("responses", answers, |answer, members| match answer {
                Ok(position) => {
                    members.object("result", |members| put_position(*position, members));
                }
                Err(code) => put_error(ApiRequestError::Code(*code), members),
            });
        }
        ApiAnswer::Presence(clients) => members.object("presence", |by_client| {
            for (info, chan_info) in *clients {
                by_client.object_at(&info.client.text(), |members| {
                    put_info(info, chan_info.as_deref(), members);
                });
            }
        }),
        ApiAnswer::PresenceStats { clients_count, users_count } => {
            members.number("num_clients", u64::from(*clients_count));
            members.number("num_users", u64::from(*users_count));
        }
        ApiAnswer::History(publications, position) => {
            members.list("publications", *publications, |publication, members| {
                put_publication(publication, members);
            });
            put_position(Some(*position), members);
        }
        ApiAnswer::Info(node) => {
            members.list("nodes", [node], put_node);
        }
        ApiAnswer::Channels(channels) => members.object("channels", |by_name| {
            for (channel, clients_count) in *channels {
                by_name.object_at(channel.as_bytes(), |members| {
                    members.number("num_clients", u64::from(*clients_count));
                });
            }
        }),
        ApiAnswer::Connections(user, connections) => members.object("connections", |by_client| {
            for connection in connections {
                by_client.object_at(&connection.client.text(), |members| {
                    put_connection(user, connection, members);
                });
            }
        }),
        ApiAnswer::Operator(_, answer) => put_operator(answer, members),
        ApiAnswer::Done(_) => (),
        ApiAnswer::Blocks { blocks, is_full } => {
            members.list("blocks", blocks, |block, members| {
                members.text("name", &block.name);
                members.number_if_any("expire_at", u64::from(block.until_unix_s));
                members.number_if_any("issued_before", u64::from(block.issued_before_unix_s));
            });
            if let Some(last) = blocks.last().filter(|_| *is_full) {
                members.text("next", &last.name);
            }
        }
        ApiAnswer::Blocked { is_durable, .. } => {
            members.json("durable", if *is_durable { b"true" } else { b"false" });
        }
    }
}

fn put_position(position: Option<Position>, members: &mut JsonMembers<'_>) {
    if let Some(position) = position {
        members.number("offset", position.offset);
        members.ascii("epoch", &position.epoch.text());
    }
}

fn put_connection(user: &str, connection: &ApiConnection, members: &mut JsonMembers<'_>) {
    members.text_if_any("app_name", connection.app_name);
    members.text("transport", "websocket");
    members.text("protocol", connection.protocol);
    members.text("user", user);
}

fn put_node(node: &ApiNode, members: &mut JsonMembers<'_>) {
    members.text("uid", &node.uid);
    members.text("name", &node.name);
    members.text("version", node.version);
    members.number("num_clients", node.num_clients);
    members.number("num_subs", node.num_subs);
    members.number("num_channels", node.num_channels);
    members.number("uptime", node.uptime);
}

fn put_error(error: ApiRequestError, members: &mut JsonMembers<'_>) {
    members.object("error", |members| match error {
        ApiRequestError::Field(field) | ApiRequestError::Unfit(field) => {
            let (number, text, _) = ErrorCode::BadRequest.parts();
            members.number("code", u64::from(number));
            members.text("message", &format!("{text}: {}", field.name()));
        }
        ApiRequestError::Missing(field) => {
            let (number, ..) = ErrorCode::BadRequest.parts();
            members.number("code", u64::from(number));
            members.text("message", &format!("not found: {}", field.name()));
        }
        ApiRequestError::Code(code) => {
            let (number, text, _) = code.parts();
            members.number("code", u64::from(number));
            members.text("message", text);
        }
    });
}
