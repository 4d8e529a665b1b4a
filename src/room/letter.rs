use std::sync::Arc;

use crate::base::{ConnId, RoomId};
use crate::wire::{ClientInfo, ErrorCode, Payload, Position, Publication};

/// Who asked, on the shard that the letter came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The connection.
    pub conn: ConnId,
    /// Its command; 0 when no client waits for the answer.
    pub id: u32,
}

/// What a shard asks of a room's home. Each is answered by exactly one `Tell`
/// with the same asker, so that requests under way can be counted.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Which room.
    pub room: RoomId,
    /// For whom.
    pub asker: Asker,
    /// What.
    pub what: What,
}

/// The questions. Closed.
#[derive(Clone, Debug)]
pub enum What {
    /// Let a member in.
    Subscribe(Box<Entry>),
    /// Let a member go.
    Unsubscribe(Departure),
    /// Put a message in order.
    Publish(Box<Draft>),
    /// Who is there?
    Presence,
    /// How many are there?
    PresenceStats,
    /// What was said?
    History(Passage),
    /// Tell the others that this member is writing.
    Typing(Arc<ClientInfo>),
}

/// A member at the door.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The room's name, for a room that does not exist yet.
    pub title: Title,
    /// Who.
    pub info: Arc<ClientInfo>,
    /// What the subscription's token says about the member.
    pub chan_info: Option<Arc<Payload>>,
    /// What the client saw last, when it wants to know what it missed.
    pub since: Option<Position>,
}

/// How a member leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It said so: others hear it at once.
    Said,
    /// Its connection is gone: it may come back within the grace period.
    Lost,
}

/// A message before it has a place.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The room's name, for a room that does not exist yet; `None` from a member.
    pub title: Option<Title>,
    /// What is said.
    pub data: Payload,
    /// By whom; `None` for the server.
    pub info: Option<Arc<ClientInfo>>,
    /// What the subscription's token says about the publisher.
    pub chan_info: Option<Arc<Payload>>,
}

/// A room's name and the rules that hold in it.
#[derive(Clone, Debug)]
pub struct Title {
    /// The channel, without tenant.
    pub channel: Arc<str>,
    /// Index into the configured namespaces, equal on all shards.
    pub namespace: u16,
}

/// A part of a room's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passage {
    /// At most so many; 0 for the position only.
    pub limit: u32,
    /// Only behind this place (or before it, newest first).
    pub since: Option<Position>,
    /// From which end.
    pub order: Order,
}

/// In which order history is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As it happened.
    OldestFirst,
    /// Backwards.
    NewestFirst,
}

/// What a room's home says to a shard.
#[derive(Clone, Debug)]
pub enum Tell {
    /// The answer to an `Ask`.
    Answer(RoomId, Asker, Answer),
    /// To every subscriber of the shard: something was said.
    Said(RoomId, Arc<Publication>),
    /// To every subscriber that wants to know: somebody came.
    Came(RoomId, Arc<ClientInfo>, Option<Arc<Payload>>),
    /// To every subscriber that wants to know: somebody left.
    Went(RoomId, Arc<ClientInfo>, Option<Arc<Payload>>),
    /// To every subscriber: this member is writing.
    Typing(RoomId, Arc<ClientInfo>),
}

/// Answers, by question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To `Subscribe`: the member is in.
    Subscribed(Box<Welcome>),
    /// To `Unsubscribe`; also when it was not in.
    Unsubscribed,
    /// To `Publish`: the message has its place and is on its way.
    Published,
    /// To `Presence`.
    Presence(Vec<(Arc<ClientInfo>, Option<Arc<Payload>>)>),
    /// To `PresenceStats`.
    PresenceStats {
        /// Connections.
        clients: u32,
        /// Different users among them.
        users: u32,
    },
    /// To `History`.
    History(Vec<Arc<Publication>>, Position),
    /// To `Typing`.
    Noted,
    /// To `Subscribe`: no, and why. Apart from `Refused`, because the asker
    /// waits with a seat, and ids of commands are the client's choice.
    Unwelcome(ErrorCode),
    /// To any other question: no, and why.
    Refused(ErrorCode),
}

impl What {
    /// The answer that says no.
    pub fn refusal(&self, code: ErrorCode) -> Answer {
        match self {
            What::Subscribe(_) => Answer::Unwelcome(code),
            What::Unsubscribe(_)
            | What::Publish(_)
            | What::Presence
            | What::PresenceStats
            | What::History(_)
            | What::Typing(_) => Answer::Refused(code),
        }
    }
}

/// Where a new member stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Welcome {
    /// The home's copy of the room's name, to be kept instead of an own one.
    pub name: Arc<str>,
    /// The stream's head at that moment; `None` where there is no stream.
    pub position: Option<Position>,
    /// What the member asked to recover, oldest first.
    pub missed: Vec<Arc<Publication>>,
    /// Whether `missed` is everything.
    pub recovery: Recovery,
}

/// How recovery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// Nobody asked.
    NotAsked,
    /// All that was missed is there.
    Whole,
    /// Something is lost; the client must read anew.
    Lost,
}
