//! Messages between a shard and the store, as values.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

use std::sync::Arc;

use super::change::{ChangeKind, MessageChange};
use crate::base::{ConnId, RoomId, ShardId, UserHash};
use crate::wire::chat::{GroupMember, GroupRole};
use crate::wire::{Epoch, Publication};

mod dead_letters;
mod history_removal;
mod reactions;
mod results;
mod roster;

pub use self::dead_letters::{
    ChangeDeadLetters, ChangedDeadLetters, DeadLetterCause, DeadLetterEntry, DeadLetterFate,
    DeadLettersQuery, GivenUpMessage, NewDeadLetter, StoredDirect,
};
pub use self::history_removal::RemoveHistory;
pub use self::reactions::{
    MessageReactions, React, ReactedMessages, ReactionPage, ReactionRejection, ReactionResult,
    ReactionTotals, ReactionsQuery,
};
pub use self::results::{StoreReply, StoreResult};
pub use self::roster::{MuteGroup, MuteResult, RosterChange};

/// The number of a request, unique among those of one shard that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// Counts the refused writes that a shard has learned of.
///
/// A message must not be written behind a hole. When the store refuses an
/// append, it refuses all later ones of the same shard that were given in the
/// same epoch or an earlier one; the shard reads its rooms anew in the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteEpoch(pub u32);

/// The connection and user that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The shard of the connection.
    pub shard: ShardId,
    /// The connection; `ConnId::NOBODY` where no connection waits.
    pub conn: ConnId,
    /// The user of the connection.
    pub user: UserHash,
}

/// A flow of reads, which are served in their order. Flows take turns, so that none waits for
/// all requests of another; all connections of a user are one flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// Reads of a shard for itself.
    Shard(ShardId),
    /// Reads for the connections of a user.
    User(UserHash),
    /// Reads for a connection without a user.
    Conn(ShardId, ConnId),
}

impl Requester {
    /// The shard itself.
    pub const NOBODY: Requester =
        Requester { shard: ShardId(0), conn: ConnId::NOBODY, user: UserHash::NOBODY };

    /// The flow of its reads.
    pub fn flow(self) -> Flow {
        match self {
            Requester { shard, conn: ConnId::NOBODY, user: UserHash::NOBODY } => Flow::Shard(shard),
            Requester { shard, conn, user: UserHash::NOBODY } => Flow::Conn(shard, conn),
            Requester { user, .. } => Flow::User(user),
        }
    }
}

/// A request of a shard to the store. Each is answered by exactly one `StoreReply` with its
/// id. Writes of one shard take effect in their order; a read
/// sees every write that was asked for before it, and perhaps later ones.
#[derive(Clone, Debug)]
pub struct StoreRequest {
    /// Chosen by the shard.
    pub request_id: RequestId,
    /// The epoch in which it was sent.
    pub write_epoch: WriteEpoch,
    /// The requester.
    pub by: Requester,
    /// The operation.
    pub op: StoreOp,
}

/// The operations of the store. Closed.
#[derive(Clone, Debug)]
pub enum StoreOp {
    /// Open a channel. → `Opened`.
    Open(OpenChannel),
    /// Append a message. → `Appended`, as soon as its namespace's durability holds.
    Append(Box<Append>),
    /// Read a part of a channel. → `History`.
    Read(HistoryRange),
    /// Advance the read marker of a user. → `MarkerAdvanced` or `Behind`.
    AdvanceMarker(Box<AdvanceMarker>),
    /// List the read markers of a channel. → `ReadMarkers`.
    ReadMarkers(ReadMarkersQuery),
    /// List the conversations of a user. → `Conversations`.
    Conversations(ConversationsQuery),
    /// List the pending messages of a user. → `Pending`.
    Pending(PendingQuery),
    /// A user reacts to a message. → `Reacted`.
    React(Box<React>),
    /// What was reacted to messages with? → `Reactions`.
    Reactions(Box<ReactionsQuery>),
    /// Count the groups of the user of this personal channel. → `GroupsCounted`.
    CountGroups(RoomId),
    /// Mute a group for one of its members. → `Muted`.
    MuteGroup(Box<MuteGroup>),
    /// Remove all messages of a channel. → `HistoryRemoved`.
    RemoveHistory(RemoveHistory),
    /// Count a delivery attempt of a pending message. → `Done`.
    Attempted(DeliveryAttempt),
    /// Turn a pending message into a dead letter. → `Done`.
    DeadLetter(NewDeadLetter),
    /// List dead letters. → `DeadLetters`.
    DeadLetters(DeadLettersQuery),
    /// Let dead letters wait again, or forget them. → `DeadLettersChanged`.
    ChangeDeadLetters(Box<ChangeDeadLetters>),
    /// Drop the reads of a connection that is gone: they are answered with `Abandoned`, and so
    /// is this.
    Abandon(Requester),
}

/// The class of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOpClass {
    /// It changes something.
    Write,
    /// It only looks.
    Read,
    /// It is about other requests.
    Control,
}

impl StoreOp {
    /// Its class.
    pub fn class(&self) -> StoreOpClass {
        match self {
            StoreOp::Append(_)
            | StoreOp::AdvanceMarker(_)
            | StoreOp::Attempted(_)
            | StoreOp::DeadLetter(_)
            | StoreOp::ChangeDeadLetters(_)
            | StoreOp::RemoveHistory(_)
            | StoreOp::MuteGroup(_)
            | StoreOp::React(_) => StoreOpClass::Write,
            StoreOp::Open(_)
            | StoreOp::Read(_)
            | StoreOp::ReadMarkers(_)
            | StoreOp::Conversations(_)
            | StoreOp::Pending(_)
            | StoreOp::DeadLetters(_)
            | StoreOp::Reactions(_)
            | StoreOp::CountGroups(_) => StoreOpClass::Read,
            StoreOp::Abandon(_) => StoreOpClass::Control,
        }
    }
}

/// A request to open a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChannel {
    /// The channel.
    pub room: RoomId,
    /// Largest number of its newest messages.
    pub count_max: u32,
    /// Largest size of its newest messages, except that one is always returned.
    pub bytes_max: u32,
    /// All messages above this offset, whatever the limits say: what the room
    /// gave to the store before something went wrong.
    pub after: Option<u64>,
    /// Ids of messages since this time are returned.
    pub ids_since_unix_ms: u64,
}

/// A message to append. Its offset is one above the last that was given.
#[derive(Clone, Debug)]
pub struct Append {
    /// The channel.
    pub room: RoomId,
    /// Index of its namespace, for durability.
    pub namespace: u16,
    /// The record of a channel that the store does not know.
    pub channel_created: Option<ChannelCreated>,
    /// The message, with its offset.
    pub publication: Arc<Publication>,
    /// The addressee of a direct message.
    pub addressee: Option<Addressee>,
    /// Whether its id is kept for a while, because its author may repeat the message.
    pub keeps_id: bool,
    /// What it does to an earlier message.
    pub change: Option<MessageChange>,
    /// Whose role in a group it changes.
    pub roster: Option<RosterChange>,
}

impl Append {
    /// Whether it is no message that is read, and says something about another one or a member.
    pub fn is_about_others(&self) -> bool {
        self.change.is_some() || self.roster.is_some()
    }

    /// Whether its author is no member of the group any more by it.
    pub fn is_farewell(&self) -> bool {
        let author = self.publication.info.as_ref().map_or("", |info| &info.user);
        self.roster.as_ref().is_some_and(|change| change.after.is_none() && *change.user == *author)
    }

    /// Whether it takes a message back.
    pub fn takes_back(&self) -> bool {
        self.change.as_ref().is_some_and(|change| change.kind == ChangeKind::Retraction)
    }
}

/// The record of a new channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelCreated {
    /// The tenant whose channel it is.
    pub tenant: Arc<str>,
    /// Its name.
    pub channel: Arc<str>,
    /// The epoch of its stream.
    pub epoch: Epoch,
    /// The time of its first message, Unix ms; 0 where it is unknown.
    pub created_unix_ms: u64,
    /// The last offset before: not 0 where all messages are gone and the store has removed the
    /// channel.
    pub behind: u64,
    /// The inboxes of both users of a conversation, who have it in their lists.
    pub parties: Option<[RoomId; 2]>,
}

/// The inbox in which a direct message is pending until it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// Its expiry, Unix ms.
    pub expires_unix_ms: u64,
}

/// A part of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRange {
    /// The channel.
    pub room: RoomId,
    /// The first offset.
    pub first: u64,
    /// The last offset.
    pub last: u64,
    /// Largest number of messages.
    pub count_max: u32,
    /// Largest size, except that one message is always returned.
    pub bytes_max: u32,
    /// The order.
    pub order: ReadOrder,
}

/// The order in which a channel is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOrder {
    /// Oldest first.
    OldestFirst,
    /// Newest first.
    NewestFirst,
}

/// The read markers of a user in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadMarkers {
    /// All up to this offset has arrived.
    pub delivered: u64,
    /// All up to this offset was read; never above `delivered`.
    pub read: u64,
}

/// A request to advance the read marker of a user in a channel.
#[derive(Clone, Debug)]
pub struct AdvanceMarker {
    /// The channel.
    pub room: RoomId,
    /// The user.
    pub user: Box<str>,
    /// The user's personal channel: messages that are delivered now are no longer pending there,
    /// and the channel becomes one of the user's conversations.
    pub inbox: RoomId,
    /// The new position.
    pub position: MarkerPosition,
}

/// The position of a read marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerPosition {
    /// Everything up to this offset arrived. An older position is no error.
    Delivered(u64),
    /// Everything up to this offset was read. An older position is refused.
    Read(u64),
}

/// A page of a channel's read markers, by user.
#[derive(Clone, Debug)]
pub struct ReadMarkersQuery {
    /// The channel.
    pub room: RoomId,
    /// Users after this one, by name.
    pub after: Box<str>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// A page of a user's conversations.
#[derive(Clone, Debug)]
pub struct ConversationsQuery {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// The user.
    pub user: Box<str>,
    /// Channels after this one, by name.
    pub after: Box<str>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// A page of the pending messages of a user.
#[derive(Clone, Copy, Debug)]
pub struct PendingQuery {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// Messages after this one.
    pub after: Option<(RoomId, u64)>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// One more attempt to deliver a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// The message's channel.
    pub room: RoomId,
    /// The message's offset.
    pub offset: u64,
    /// Attempts so far, this one included.
    pub tries_count: u16,
}

/// The state of a channel in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedChannel {
    /// The epoch of its stream.
    pub epoch: Epoch,
    /// The time of its first message, Unix ms; 0 where it is unknown, or where positions from
    /// before that are not of this stream.
    pub created_unix_ms: u64,
    /// The last offset ever given to a message that is answered.
    pub head: u64,
    /// The lowest offset that is kept; above `head` when nothing is.
    pub first: u64,
    /// The newest messages, oldest first, without a hole, up to `head`.
    pub tail: Vec<Arc<Publication>>,
    /// Ids of messages since the requested time, also of messages that are gone.
    pub ids: Vec<KnownId>,
    /// The lowest and the highest offset of messages that somebody reacted to.
    pub reacted: Option<(u64, u64)>,
    /// The members of a group, and who is invited, by name.
    pub roster: Vec<GroupMember>,
}

/// An id that a user gave to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownId {
    /// The user.
    pub user: Box<str>,
    /// The id.
    pub id: Box<str>,
    /// The offset of the message.
    pub offset: u64,
    /// The time of the message.
    pub time_unix_ms: u64,
}

/// One of a user's conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The channel.
    pub channel: Box<str>,
    /// Its last offset.
    pub head: u64,
    /// The read markers of the user.
    pub markers: ReadMarkers,
    /// How many messages are behind what it read, without those that change others.
    pub unread: u64,
    /// Its last message, if it is kept.
    pub last: Option<Arc<Publication>>,
    /// What the user is there, if it is a group.
    pub role: Option<GroupRole>,
    /// Until when the user has muted it, Unix ms; 0 where it has not.
    pub muted_until_unix_ms: u64,
}

impl Conversation {
    /// What it costs in an answer, about.
    pub fn cost_bytes(&self) -> usize {
        let last = self.last.as_ref().map_or(0, |last| last.cost_bytes());
        CONVERSATION_OVERHEAD_BYTES + self.channel.len() + last
    }
}

/// What a conversation costs beside its name and its last message.
const CONVERSATION_OVERHEAD_BYTES: usize = 64;

/// A message that waits for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingMessage {
    /// Its channel,
    pub room: RoomId,
    /// by name.
    pub channel: Arc<str>,
    /// The message.
    pub publication: Arc<Publication>,
    /// How often it was sent.
    pub tries_count: u16,
    /// When it is given up, Unix ms.
    pub expires_unix_ms: u64,
}

/// Messages that wait for their reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePage {
    /// As many as one answer may hold.
    pub due: Vec<PendingMessage>,
    /// The message that the next page is behind, unless this is the last.
    pub next: Option<(RoomId, u64)>,
}

/// Why it failed. What a failed write left behind is known only
/// when it is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The disk, or what the store may use of it, is full; nothing was written.
    Full,
    /// A write or a sync failed; it may or may not have happened.
    Broken,
    /// An earlier append of this shard was refused; nothing was written.
    Stale,
    /// What is needed does not match its checksum.
    Damaged,
    /// Who asked is gone; nothing was read.
    Abandoned,
    /// So much waits for the other one of a conversation that no more may; nothing was
    /// written, and nothing of what was given in that channel behind it.
    Crowded,
    /// So much of what was written waits to be sorted that no message is taken for now; nothing
    /// was written.
    Overloaded,
}

const fn crosses_threads<T: Send + 'static>() {}
const _: () = {
    crosses_threads::<StoreRequest>();
    crosses_threads::<StoreReply>();
};
