//! What backends ask of the rooms of this shard and of the connections of users, by the server
//! API, and the answers that wait for the control thread.
//!
//! Invariant: each question is answered once.
//!
//! Deliberately absent: who may ask (`api`), and how many may be under way: the control
//! thread bounds them.

use std::sync::Arc;

use super::connection_page::{ConnectionPage, PageOfConnections};
use super::top_rooms::{RankBy, RankPlace, TopRooms};
use crate::base::limits::{API_CHANNELS_LISTED_MAX, API_CONNECTIONS_MAX};
use crate::base::{ClientId, ConnId, RoomId, UserHash};
use crate::blocks::{BlockKinds, BlockTable};
use crate::metrics::Agent;
use crate::room::{ChannelKey, ReplyTo, RoomEvent, RoomOp, RoomReply};
use crate::session::{CommandError, ServerChat, ServerHistory, ServerPublish};
use crate::wire::{Encoding, Payload};

/// A question of a backend.
#[derive(Clone, Debug)]
pub struct ServerQuestion {
    /// By it the answer is known; never 0.
    pub id: u32,
    /// Who asks: what shares its part of the store's time.
    pub asker: UserHash,
    /// What is asked, and of whom.
    pub ask: ServerAsk,
}

/// What a backend asks, and of whom.
#[derive(Clone, Debug)]
pub enum ServerAsk {
    /// Of a room, at its home.
    Room(RoomId, ServerOp),
    /// Of the connections of a user, on every shard.
    User(Arc<UserQuestion>),
    /// Of every shard, which channels there are.
    Channels(Arc<ChannelsQuestion>),
    /// Of every shard, that it keeps out who is blocked, and lets go who is in.
    Blocks(Arc<BlocksUpdate>),
}

/// What is blocked from now on.
#[derive(Clone, Debug)]
pub struct BlocksUpdate {
    /// All blocks.
    pub table: BlockTable,
    /// The kinds of those that are new: connections may be in that they are about.
    pub added: BlockKinds,
}

/// What a backend asks of a room.
#[derive(Clone, Debug)]
pub enum ServerOp {
    /// Publish a message.
    Publish(Box<ServerPublish>),
    /// Do or read something as a user.
    Chat(Box<ServerChat>),
    /// Read what was said, as a user.
    History(Box<ServerHistory>),
    /// Anything else.
    Room(RoomOp),
}

/// Which channels a backend asks for: those of a tenant that fit both.
#[derive(Clone, Debug)]
pub struct ChannelsQuestion {
    /// The tenant; empty for the only one.
    pub tenant: Box<str>,
    /// One of these patterns, which are those of the key.
    pub covered: Vec<Box<str>>,
    /// This pattern, which is the call's.
    pub pattern: Box<str>,
    /// Which of them.
    pub wants: ChannelsWanted,
}

/// Which of the channels that fit a backend wants.
#[derive(Clone, Debug)]
pub enum ChannelsWanted {
    /// All.
    All,
    /// The first by some measure.
    Top {
        /// The measure.
        by: RankBy,
        /// Those behind this place; `None` for the first page.
        after: Option<RankPlace>,
        /// How many at most.
        rooms_max: usize,
    },
}

/// What a backend asks of the connections of a user.
#[derive(Clone, Debug)]
pub struct UserQuestion {
    /// The tenant that the user is of; empty for the only one.
    pub tenant: Box<str>,
    /// The user.
    pub user: Box<str>,
    /// This connection alone; `None` for all of the user's.
    pub client: Option<ClientId>,
    /// What is asked.
    pub op: UserOp,
}

/// What is asked of connections.
#[derive(Clone, Debug)]
pub enum UserOp {
    /// To be listed.
    List,
    /// To be shown, as many as a page has.
    Page(PageOfConnections),
    /// To end.
    Close {
        /// The code of the close frame.
        code: u16,
        /// Its reason.
        reason: Box<str>,
        /// Connections that stay.
        kept: Box<[ClientId]>,
    },
    /// To be subscribed.
    Subscribe {
        /// The room.
        room: RoomId,
        /// Its name.
        channel_key: ChannelKey,
        /// What others there are told of them.
        chan_info: Option<Arc<Payload>>,
    },
    /// To be unsubscribed.
    Unsubscribe {
        /// The room.
        room: RoomId,
        /// Its name.
        channel: Box<str>,
    },
    /// To expire then, Unix seconds, as if their tokens said so.
    ExpireAt(u64),
}

/// The answer to a question of a backend.
#[derive(Clone, Debug)]
pub struct ServerAnswer {
    /// The question's.
    pub id: u32,
    /// What the room, or this shard, says.
    pub reply: ServerReply,
}

/// What a backend is answered.
#[derive(Clone, Debug)]
pub enum ServerReply {
    /// By a room.
    Room(RoomReply),
    /// By a shard, for what it has.
    Cores(CoresReply),
}

/// What a shard answers for what it has of the connections of a user, or of channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoresReply {
    /// It is done, whether the user had some or not.
    Done,
    /// These are they.
    Connections(Vec<UserConnection>),
    /// These are some of them.
    ConnectionPage(ConnectionPage),
    /// Channels with somebody in them, and how many connections each has.
    Channels(Vec<(Arc<str>, u32)>),
    /// The first of them by some measure.
    TopRooms(TopRooms),
    /// There are more than one answer holds, or some are in as many channels as they may be.
    LimitExceeded,
}

/// A connection of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserConnection {
    /// Its id.
    pub client: ClientId,
    /// What its program is.
    pub agent: Agent,
    /// Its encoding.
    pub encoding: Encoding,
}

impl ServerReply {
    /// One answer out of those of two shards to the same question.
    pub fn joined(self, other: ServerReply) -> ServerReply {
        match (self, other) {
            (ServerReply::Cores(one), ServerReply::Cores(other)) => {
                ServerReply::Cores(one.joined(other))
            }
            (room @ ServerReply::Room(_), _) | (_, room @ ServerReply::Room(_)) => room,
        }
    }
}

impl CoresReply {
    /// The answer for the connections of both.
    pub fn joined(self, other: CoresReply) -> CoresReply {
        match (self, other) {
            (CoresReply::Connections(mut all), CoresReply::Connections(more)) => {
                all.extend(more);
                if all.len() <= API_CONNECTIONS_MAX {
                    CoresReply::Connections(all)
                } else {
                    CoresReply::LimitExceeded
                }
            }
            (CoresReply::Channels(mut all), CoresReply::Channels(more)) => {
                all.extend(more);
                if all.len() <= API_CHANNELS_LISTED_MAX {
                    CoresReply::Channels(all)
                } else {
                    CoresReply::LimitExceeded
                }
            }
            (CoresReply::ConnectionPage(one), CoresReply::ConnectionPage(other)) => {
                CoresReply::ConnectionPage(one.joined(other))
            }
            (CoresReply::TopRooms(one), CoresReply::TopRooms(other)) => {
                CoresReply::TopRooms(one.joined(other))
            }
            (CoresReply::LimitExceeded, _) | (_, CoresReply::LimitExceeded) => {
                CoresReply::LimitExceeded
            }
            (CoresReply::Done, reply) | (reply, CoresReply::Done) => reply,
            (
                CoresReply::Connections(_)
                | CoresReply::ConnectionPage(_)
                | CoresReply::Channels(_)
                | CoresReply::TopRooms(_),
                _,
            ) => unreachable!("all are asked the same"),
        }
    }
}

/// Answers that wait for the control thread.
#[derive(Debug, Default)]
pub struct ServerAnswers(Vec<ServerAnswer>);

impl ServerAnswers {
    /// Where a room's answer goes.
    pub fn reply_to(question: &ServerQuestion) -> ReplyTo {
        assert_ne!(question.id, 0, "that would be nobody's question");
        ReplyTo { conn: ConnId::NOBODY, user: question.asker, id: question.id }
    }

    /// Keeps an answer that is a backend's, and gives back everything else.
    pub fn keep(&mut self, event: RoomEvent) -> Option<RoomEvent> {
        let RoomEvent::Reply(room, reply_to, reply) = event else { return Some(event) };
        if !reply_to.is_backend() {
            return Some(RoomEvent::Reply(room, reply_to, reply));
        }
        self.0.push(ServerAnswer { id: reply_to.id, reply: ServerReply::Room(reply) });
        None
    }

    /// Adds the answer to a question that comes to no room.
    pub fn refuse(&mut self, id: u32, refusal: CommandError) {
        let reply = match refusal {
            CommandError::Code(code) => RoomReply::Rejected(code),
            CommandError::Field(field) => RoomReply::InvalidField(field),
        };
        self.0.push(ServerAnswer { id, reply: ServerReply::Room(reply) });
    }

    /// Adds an answer of this shard itself.
    pub fn push(&mut self, id: u32, reply: CoresReply) {
        self.0.push(ServerAnswer { id, reply: ServerReply::Cores(reply) });
    }

    /// Takes those that have come.
    pub fn take(&mut self) -> Vec<ServerAnswer> {
        std::mem::take(&mut self.0)
    }
}
