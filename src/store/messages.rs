//! Everything that a shard and the store say to each other, as values.

use std::sync::Arc;

use crate::base::{ConnId, RoomId, ShardId, UserHash};
use crate::wire::{Epoch, Publication};

mod reactions;

pub use self::reactions::{
    MessageReactions, React, ReactedMessages, ReactionPage, ReactionRefusal, ReactionResult,
    ReactionTotals, ReactionsQuery,
};

/// The number of a request, unique among those of one shard that wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(pub u32);

/// Counts the refused writes that a shard has learned of.
///
/// A message must not be written behind a hole. When the store refuses an
/// append, it refuses all later ones of the same shard that were given in the
/// same round or an earlier one; the shard reads its rooms anew in the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteEpoch(pub u32);

/// For whom something is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The shard that has the connection,
    pub shard: ShardId,
    /// the connection; `ConnId::NOBODY` for what no connection waits for,
    pub conn: ConnId,
    /// and whose it is.
    pub user: UserHash,
}

/// Whose reads take effect in their order. Flows take turns, so that nobody waits for all
/// that another one asks: and a user is one, however many connections it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flow {
    /// What a shard needs itself.
    Shard(ShardId),
    /// What the connections of a user ask, and what is read for all of them.
    User(UserHash),
    /// What the connection asks of somebody without a name.
    Conn(ShardId, ConnId),
}

impl Requester {
    /// The shard that asks, for itself.
    pub const NOBODY: Requester =
        Requester { shard: ShardId(0), conn: ConnId::NOBODY, user: UserHash::NOBODY };

    /// Whose turn its reads take.
    pub fn flow(self) -> Flow {
        match self {
            Requester { shard, conn: ConnId::NOBODY, user: UserHash::NOBODY } => Flow::Shard(shard),
            Requester { shard, conn, user: UserHash::NOBODY } => Flow::Conn(shard, conn),
            Requester { user, .. } => Flow::User(user),
        }
    }
}

/// What a shard asks of the store. Each request is answered by exactly one
/// `StoreReply` with its ticket. Writes of one shard take effect in their order; a read
/// sees every write that was asked for before it, and perhaps later ones.
#[derive(Clone, Debug)]
pub struct StoreRequest {
    /// Chosen by the shard.
    pub request_id: RequestId,
    /// In which it was asked.
    pub write_epoch: WriteEpoch,
    /// For whom.
    pub by: Requester,
    /// What.
    pub op: StoreOp,
}

/// The requests. Closed.
#[derive(Clone, Debug)]
pub enum StoreOp {
    /// What is known of a channel? → `OpenedChannel`.
    Open(OpenChannel),
    /// Keep a message. → `Appended`, as soon as its namespace's durability holds.
    Append(Box<Append>),
    /// Read a part of a channel. → `ConnectionEvent`.
    Read(HistoryRange),
    /// A user has got, or has read, a channel up to a place. → `Marked`.
    AdvanceMarker(Box<AdvanceMarker>),
    /// Who has got and read how much? → `ReadMarkers`.
    ReadMarkers(ReadMarkersQuery),
    /// What conversations has a user? → `Conversations`.
    Conversations(ConversationsQuery),
    /// What waits for a user? → `QueuedAlerts`.
    Pending(PendingQuery),
    /// A user reacts to a message. → `Reacted`.
    React(Box<React>),
    /// What was reacted to messages with? → `Reactions`.
    Reactions(Box<ReactionsQuery>),
    /// A waiting message was sent once more. → `ExemplarResult`.
    Attempted(DeliveryAttempt),
    /// A waiting message is given up. → `ExemplarResult`.
    DeadLetter(NewDeadLetter),
    /// A connection is gone: what waits to be read for it by this shard is answered
    /// with `Abandoned`, and so is this.
    Abandon(Requester),
}

/// What a request does to the store.
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
    /// What it does.
    pub fn class(&self) -> StoreOpClass {
        match self {
            StoreOp::Append(_)
            | StoreOp::AdvanceMarker(_)
            | StoreOp::Attempted(_)
            | StoreOp::DeadLetter(_)
            | StoreOp::React(_) => StoreOpClass::Write,
            StoreOp::Open(_)
            | StoreOp::Read(_)
            | StoreOp::ReadMarkers(_)
            | StoreOp::Conversations(_)
            | StoreOp::Pending(_)
            | StoreOp::Reactions(_) => StoreOpClass::Read,
            StoreOp::Abandon(_) => StoreOpClass::Control,
        }
    }
}

/// A channel is needed in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenChannel {
    /// Which.
    pub room: RoomId,
    /// Its newest messages: at most so many,
    pub count_max: u32,
    /// and what costs so many bytes (at least one message).
    pub bytes_max: u32,
    /// All messages above this offset, whatever the limits say: what the room
    /// gave to the store before something went wrong.
    pub after: Option<u64>,
    /// Ids that authors gave to messages since then are remembered.
    pub ids_since_unix_ms: u64,
}

/// A message to keep. Its offset is one above the last that was given.
#[derive(Clone, Debug)]
pub struct Append {
    /// In which channel.
    pub room: RoomId,
    /// Index of its namespace, for durability.
    pub namespace: u16,
    /// Of a channel that the store does not know.
    pub channel_created: Option<ChannelCreated>,
    /// The message, with its offset.
    pub publication: Arc<Publication>,
    /// For a direct message: whom it waits for.
    pub addressee: Option<Addressee>,
    /// Whether its id is known for a while, because its author gave it and may repeat it.
    pub keeps_id: bool,
    /// For a retraction: what is left of the message that it takes back, and takes its
    /// place wherever that stands, together with the append or not at all.
    pub retracts: Option<Arc<Publication>>,
}

/// A channel's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelCreated {
    /// Whose.
    pub tenant: Arc<str>,
    /// Its name.
    pub channel: Arc<str>,
    /// Its stream's.
    pub epoch: Epoch,
    /// When its first message was said, Unix ms; 0 where nobody knows.
    pub created_unix_ms: u64,
    /// The last offset before: not 0 where all that was said is gone, and the store has
    /// forgotten the channel since.
    pub behind: u64,
    /// Inboxes of the two of a conversation; both find it among theirs.
    pub parties: Option<[RoomId; 2]>,
}

/// Whom a direct message waits for until it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressee {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// When waiting ends, Unix ms.
    pub expires_unix_ms: u64,
}

/// A part of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRange {
    /// Of which.
    pub room: RoomId,
    /// Only offsets from here on,
    pub first: u64,
    /// up to here.
    pub last: u64,
    /// At most so many messages,
    pub count_max: u32,
    /// and what costs so many bytes (at least one message).
    pub bytes_max: u32,
    /// From which end.
    pub order: ReadOrder,
}

/// From which end a channel is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOrder {
    /// As it happened.
    OldestFirst,
    /// Backwards.
    NewestFirst,
}

/// How far a user is in a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadMarkers {
    /// All up to this offset has arrived.
    pub delivered: u64,
    /// All up to this offset was read; never above `delivered`.
    pub read: u64,
}

/// A user gets on in a channel.
#[derive(Clone, Debug)]
pub struct AdvanceMarker {
    /// In which.
    pub room: RoomId,
    /// Who.
    pub user: Box<str>,
    /// The user's personal channel: messages that wait there and are delivered
    /// now wait no more, and the channel is one of the user's conversations.
    pub inbox: RoomId,
    /// What was reached.
    pub position: MarkerPosition,
}

/// What a user reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerPosition {
    /// Everything up to this offset arrived. What is behind is no fault.
    Delivered(u64),
    /// Everything up to this offset was read. Reading does not go backwards.
    Read(u64),
}

/// A page of a channel's marks, by name.
#[derive(Clone, Debug)]
pub struct ReadMarkersQuery {
    /// Of which channel.
    pub room: RoomId,
    /// Names behind this one.
    pub after: Box<str>,
    /// At most so many.
    pub count_max: u32,
}

/// A page of a user's conversations.
#[derive(Clone, Debug)]
pub struct ConversationsQuery {
    /// The user's personal channel,
    pub inbox: RoomId,
    /// and name.
    pub user: Box<str>,
    /// Channels behind this one, by name.
    pub after: Box<str>,
    /// At most so many.
    pub count_max: u32,
}

/// A page of what waits for a user.
#[derive(Clone, Copy, Debug)]
pub struct PendingQuery {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// Behind this message of this channel.
    pub after: Option<(RoomId, u64)>,
    /// At most so many.
    pub count_max: u32,
}

/// One more try to bring a message to its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryAttempt {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// The message's channel,
    pub room: RoomId,
    /// and offset.
    pub offset: u64,
    /// How many tries there were with this one.
    pub tries_count: u16,
}

/// The end of waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewDeadLetter {
    /// The user's personal channel.
    pub inbox: RoomId,
    /// The message's channel,
    pub room: RoomId,
    /// and offset.
    pub offset: u64,
    /// Why.
    pub cause: DeadLetterCause,
    /// When, Unix ms.
    pub at_unix_ms: u64,
}

/// Why a message is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterCause {
    /// It was sent as often as it may be.
    Attempts,
    /// Its time to live is over.
    Expired,
}

/// The store's answer.
#[derive(Clone, Debug)]
pub struct StoreReply {
    /// To which request.
    pub request_id: RequestId,
    /// What it was about, and what came of it.
    pub outcome: StoreResult,
}

/// The answers, by request.
#[derive(Clone, Debug)]
pub enum StoreResult {
    /// To `OpenChannel`; `None` when nothing was ever said there, or nothing is left of it. And
    /// how often the store lost what was not synced.
    Opened(Option<Box<OpenedChannel>>, u32),
    /// To `Append`.
    Appended,
    /// To `Read`, in the order asked for.
    History(Vec<Arc<Publication>>),
    /// To `AdvanceMarker`: what held before and what holds now.
    MarkerAdvanced {
        /// Before.
        before: ReadMarkers,
        /// From now on.
        after: ReadMarkers,
    },
    /// To `AdvanceMarker`: it would go backwards; nothing changed.
    Behind(ReadMarkers),
    /// To `ReadMarkers`.
    ReadMarkers(Vec<(Box<str>, ReadMarkers)>),
    /// To `Conversations`: as many as one answer may hold, and the channel that the
    /// next page is behind, unless this is the last.
    Conversations(Vec<Conversation>, Option<Box<str>>),
    /// To `QueuedAlerts`: as many as one answer may hold, and the message that the next
    /// page is behind, unless this is the last.
    Pending(Vec<PendingMessage>, Option<(RoomId, u64)>),
    /// To `React`.
    Reacted(ReactionResult),
    /// To `Reactions`.
    Reactions(ReactionPage),
    /// To `Tried` and `Bury`.
    Done,
    /// To any: no, and why.
    Failed(StoreError),
}

impl StoreResult {
    /// Of `OpenChannel`: the channel, and how often the store lost what was not synced.
    pub fn opened(self) -> Result<(Option<Box<OpenedChannel>>, u32), StoreError> {
        let StoreResult::Opened(opened, losses_count) = self else { return Err(self.failure()) };
        Ok((opened, losses_count))
    }

    /// Of `Append`.
    pub fn appended(self) -> Result<(), StoreError> {
        let StoreResult::Appended = self else { return Err(self.failure()) };
        Ok(())
    }

    /// Of `Read`: the messages.
    pub fn history(self) -> Result<Vec<Arc<Publication>>, StoreError> {
        let StoreResult::History(found) = self else { return Err(self.failure()) };
        Ok(found)
    }

    /// Of `Read`, or of `Reactions` for a part of a channel: the messages, and what they are
    /// reacted to with as far as that was asked for.
    pub fn reacted_passage(self) -> Result<ReactionPage, StoreError> {
        match self {
            StoreResult::History(messages) => Ok(ReactionPage { messages, reactions: Vec::new() }),
            other => other.reactions(),
        }
    }

    /// Of `ReadMarkers`: users, and how far they are.
    pub fn markers(self) -> Result<Vec<(Box<str>, ReadMarkers)>, StoreError> {
        let StoreResult::ReadMarkers(all) = self else { return Err(self.failure()) };
        Ok(all)
    }

    /// Of `Conversations`: a page, and what the next one is behind.
    pub fn conversations(self) -> Result<(Vec<Conversation>, Option<Box<str>>), StoreError> {
        let StoreResult::Conversations(all, next) = self else { return Err(self.failure()) };
        Ok((all, next))
    }

    /// Of `QueuedAlerts`: a page of what waits.
    pub fn pending(self) -> Result<DuePage, StoreError> {
        let StoreResult::Pending(due, next) = self else { return Err(self.failure()) };
        Ok(DuePage { due, next })
    }

    /// Of `React`: what it came to.
    pub fn reacted(self) -> Result<ReactionResult, StoreError> {
        let StoreResult::Reacted(result) = self else { return Err(self.failure()) };
        Ok(result)
    }

    /// Of `Reactions`: a page.
    pub fn reactions(self) -> Result<ReactionPage, StoreError> {
        let StoreResult::Reactions(page) = self else { return Err(self.failure()) };
        Ok(page)
    }

    /// Why the store did not do it.
    pub fn failure(self) -> StoreError {
        match self {
            StoreResult::Failed(failure) => failure,
            StoreResult::Opened(..)
            | StoreResult::Appended
            | StoreResult::History(_)
            | StoreResult::MarkerAdvanced { .. }
            | StoreResult::Behind(_)
            | StoreResult::ReadMarkers(_)
            | StoreResult::Conversations(..)
            | StoreResult::Pending(..)
            | StoreResult::Reacted(_)
            | StoreResult::Reactions(_)
            | StoreResult::Done => unreachable!("the store answers what it was asked"),
        }
    }
}

/// A channel as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenedChannel {
    /// Its stream's.
    pub epoch: Epoch,
    /// When its first message was said, Unix ms; 0 where nobody knows, or where positions
    /// from before that say nothing about this stream.
    pub created_unix_ms: u64,
    /// The last offset ever given to a message that is answered.
    pub head: u64,
    /// The lowest offset that is kept; above `head` when nothing is.
    pub first: u64,
    /// The newest messages, oldest first, without a hole, up to `head`.
    pub tail: Vec<Arc<Publication>>,
    /// Of messages since the time asked for, also of those that are not kept any more.
    pub ids: Vec<KnownId>,
    /// The lowest and the highest offset of messages that somebody reacted to.
    pub reacted: Option<(u64, u64)>,
}

/// An id that a user gave to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownId {
    /// Who.
    pub user: Box<str>,
    /// The id.
    pub id: Box<str>,
    /// Where the message stands, or stood.
    pub offset: u64,
    /// When it was said.
    pub time_unix_ms: u64,
}

/// One of a user's conversations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The channel.
    pub channel: Box<str>,
    /// Its last offset.
    pub head: u64,
    /// How far the user is.
    pub markers: ReadMarkers,
    /// How many messages are behind what it read, without retractions.
    pub unread: u64,
    /// Its last message, if it is kept.
    pub last: Option<Arc<Publication>>,
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

/// Why the store did not do it. What a failed write left behind is known only
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
}

const fn crosses_threads<T: Send + 'static>() {}
const _: () = {
    crosses_threads::<StoreRequest>();
    crosses_threads::<StoreReply>();
};
