//! Messages between a room's home and other shards, as values: requests (`RoomRequest`, which
//! carry what stands in `requests`), and answers and notices (`RoomEvent`).
//!
//! Invariant: each `RoomRequest` is answered by exactly one `RoomEvent` with the same
//! `ReplyTo`.
//!
//! Deliberately absent: lanes and their limits (`shard`), and replies to clients.

use std::sync::Arc;

use super::MessageTiming;
use super::requests::{
    ChangeRequest, ChannelKey, ConversationsPage, DeadLettersAsk, HistoryPage, HistoryRemoval,
    LeaveReason, MembersPage, MuteRequest, Reaction, ReactionsPage, ReadMarkerUpdate, ReceiptsPage,
    RoomPublish, RoomSubscribe, RosterPage, RosterRequest,
};
use crate::base::{ConnId, DeadLetterPlace, RoomId, ShardId, UserHash};
use crate::store::{
    ChangedDeadLetters, Conversation, DeadLetterEntry, MessageReactions, ReadMarkers,
};
use crate::wire::chat::{Field, GroupMember};
use crate::wire::{ClientInfo, ErrorCode, Payload, Position, Publication};

/// The receiver of the answer, on the shard that the request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The connection.
    pub conn: ConnId,
    /// Its user. All connections of a user share the limits on requests.
    pub user: UserHash,
    /// The id of its command; 0 when no client waits for the answer.
    pub id: u32,
}

impl ReplyTo {
    /// No client: one room asks another.
    pub const NOBODY: ReplyTo = ReplyTo { conn: ConnId::NOBODY, user: UserHash::NOBODY, id: 0 };

    /// Whether a backend waits: it has an id, and no connection.
    pub fn is_backend(self) -> bool {
        self.conn == ConnId::NOBODY && self.id != 0
    }
}

/// A request to a room's home. Each is answered by exactly one `RoomEvent` with the same
/// `ReplyTo`, so that open requests can be counted.
#[derive(Clone, Debug)]
pub struct RoomRequest {
    /// The room.
    pub room: RoomId,
    /// The receiver of the answer.
    pub reply_to: ReplyTo,
    /// The operation.
    pub op: RoomOp,
}

/// The operations of a room. Closed.
#[derive(Clone, Debug)]
pub enum RoomOp {
    /// Add a member.
    Subscribe(Box<RoomSubscribe>),
    /// Remove a member.
    Unsubscribe(LeaveReason),
    /// Publish a message.
    Publish(Box<RoomPublish>),
    /// List all members.
    Presence,
    /// Count the members.
    PresenceStats,
    /// Read the history.
    History(Box<HistoryPage>),
    /// Remove the history.
    RemoveHistory(Box<HistoryRemoval>),
    /// Send a typing notice to all subscribers.
    Typing(Arc<ClientInfo>),
    /// List a page of members.
    Members(MembersPage),
    /// Advance the read marker of a user.
    AdvanceMarker(Box<ReadMarkerUpdate>),
    /// List the read markers of all users.
    Receipts(Box<ReceiptsPage>),
    /// Of a personal channel: list the conversations of its user.
    Conversations(Box<ConversationsPage>),
    /// Take a message back, or give it other words.
    Change(Box<ChangeRequest>),
    /// React to a message, or not any more.
    React(Box<Reaction>),
    /// What some messages are reacted to with.
    Reactions(Box<ReactionsPage>),
    /// Change the members of a group.
    ChangeRoster(Box<RosterRequest>),
    /// List the members of a group.
    Roster(Box<RosterPage>),
    /// Mute a group for one of its members.
    Mute(Box<MuteRequest>),
    /// List dead letters, let them wait again, or forget them.
    DeadLetters(Box<DeadLettersAsk>),
    /// Of a personal channel: make this the only connection of its user.
    Claim,
    /// Of a personal channel: its only connection, if this was it, is gone.
    Release,
    /// Of a personal channel: deliver something to its user. Sent by another room, so nobody
    /// waits for the answer.
    Deliver(Box<InboxDelivery>),
}

/// A message of a conversation, on its way to a personal channel.
#[derive(Clone, Debug)]
pub struct DirectMessage {
    /// The conversation,
    pub room: RoomId,
    /// by name.
    pub channel: Arc<str>,
    /// The message.
    pub publication: Arc<Publication>,
    /// Its timing.
    pub timing: MessageTiming,
}

impl DirectMessage {
    /// Where it is among what waits for a user: conversation and offset.
    pub fn position(&self) -> Option<(RoomId, u64)> {
        Some((self.room, self.publication.offset))
    }

    /// What it costs to hold it.
    pub fn cost_bytes(&self) -> usize {
        self.publication.cost_bytes()
    }
}

/// A delivery to the personal channel of a user.
#[derive(Clone, Debug)]
pub enum InboxDelivery {
    /// A direct message, stored in its conversation.
    Message {
        /// The tenant whose conversation it is.
        tenant: Arc<str>,
        /// The message.
        message: DirectMessage,
    },
    /// A copy for the author's other devices; it needs no acknowledgement.
    Copy(DirectMessage),
    /// The user has acknowledged messages.
    Acknowledged {
        /// The conversation.
        room: RoomId,
        /// Up to this offset.
        offset: u64,
    },
    /// Direct messages that were refused are stored all the same, more of them than a room has
    /// in memory: pending messages are to be queried.
    Stored,
    /// The messages of a conversation up to this offset were removed.
    Removed {
        /// The conversation.
        room: RoomId,
        /// Up to this offset.
        offset: u64,
    },
    /// The other user of a conversation is typing.
    Typing {
        /// The conversation.
        channel: Arc<str>,
        /// The user.
        info: Arc<ClientInfo>,
    },
    /// A notice of a receipt or a retraction, for connections that are there now.
    Notice(Arc<Payload>),
}

/// A message of a room's home to a shard.
#[derive(Clone, Debug)]
pub enum RoomEvent {
    /// The answer to a `RoomRequest`.
    Reply(RoomId, ReplyTo, RoomReply),
    /// To all subscribers of the shard: a publication.
    Published(RoomId, Arc<Publication>, MessageTiming),
    /// To subscribers that want join and leave messages: a member joined.
    Joined(RoomId, Arc<ClientInfo>, Option<Arc<Payload>>),
    /// To subscribers that want join and leave messages: a member left.
    Left(RoomId, Arc<ClientInfo>, Option<Arc<Payload>>),
    /// To subscribers that want join and leave messages: a new connection of a user replaced
    /// one that was away.
    MemberReplaced(RoomId, Box<MemberReplacement>),
    /// To all subscribers: this member is typing.
    Typing(RoomId, Arc<ClientInfo>),
    /// To subscribers that want join and leave messages: how many joined and left.
    MembershipSummary(RoomId, Arc<Payload>),
    /// To all subscribers: messages were lost.
    Lost(RoomId),
    /// To all subscribers: a message that is not kept in the history.
    Notice(RoomId, Arc<Payload>),
    /// To one connection: its user has a newer one, and may have only one.
    Replaced(ConnId),
    /// To all subscribers of the shard that are this user's: it is no member of the group any
    /// more.
    Expelled(RoomId, Box<str>),
}

/// A connection of a user that replaced another.
#[derive(Clone, Debug)]
pub struct MemberReplacement {
    /// The new member.
    pub joined: Arc<ClientInfo>,
    /// Information from its subscription token.
    pub joined_chan_info: Option<Arc<Payload>>,
    /// The member that was replaced.
    pub left: Arc<ClientInfo>,
    /// Information from its subscription token.
    pub left_chan_info: Option<Arc<Payload>>,
}

/// The answers, by operation.
#[derive(Clone, Debug)]
pub enum RoomReply {
    /// To `Subscribe`: the member was added.
    Subscribed(Box<Subscribed>),
    /// To `Unsubscribe`; also when it was no member.
    Unsubscribed,
    /// To `Publish`: the message has its offset and is being delivered.
    Published(MessageTiming),
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
    /// To `Publish` by a chat method, and to `Change` (an edit): the message has its place.
    Posted(Box<PublishAck>),
    /// To `Members`: a page, and its last entry, unless this is the last page.
    Members(Vec<(Arc<ClientInfo>, Option<Arc<Payload>>)>, Option<(ShardId, ConnId)>),
    /// To `Receipts`: a page by user, and its last user, unless this is the last page.
    Receipts(Vec<(Box<str>, ReadMarkers)>, Option<Box<str>>),
    /// To `Conversations`: a page by channel, and its last channel, unless this is the last
    /// page.
    Conversations(Vec<Conversation>, Option<Box<str>>),
    /// To `Reactions`: those that somebody reacted to.
    Reactions(Vec<MessageReactions>),
    /// To `Roster`: a page by user, and its last user, unless this is the last page.
    Roster(Vec<GroupMember>, Option<Box<str>>),
    /// To `DeadLetters`.
    DeadLetters(DeadLettersReply),
    /// To operations without a result: `Typing`, `AdvanceMarker`, `Change` (a
    /// retraction), `React`, `ChangeRoster`, `RemoveHistory`, `Claim`,
    /// `Release`, `Deliver`.
    Done,
    /// To any operation but `Subscribe`: this field is invalid.
    InvalidField(Field),
    /// To `Subscribe`: refused. Separate from `Rejected`, because the session has a pending
    /// subscription, and ids of commands are the client's choice.
    SubscribeRejected(ErrorCode),
    /// To any other operation: refused.
    Rejected(ErrorCode),
}

/// Whether an operation needs the stream of its room, and how the room is named.
#[derive(Clone, Copy, Debug)]
pub(super) enum StreamRequirement<'a> {
    /// It does not.
    None,
    /// It does, and comes from a member: the room is in memory.
    OfMember,
    /// It does, and the room may not be in memory.
    Named(&'a ChannelKey),
}

/// The memory of a request that waits.
const REQUEST_BYTES: usize = 256;

impl RoomOp {
    /// Whether it needs the stream of its room.
    pub(super) fn stream_need(&self) -> StreamRequirement<'_> {
        let channel_key = match self {
            RoomOp::Subscribe(subscribe) => Some(&subscribe.channel_key),
            RoomOp::Publish(publish) => publish.channel_key.as_ref(),
            RoomOp::History(page) => page.channel_key.as_ref(),
            RoomOp::RemoveHistory(removal) => Some(&removal.channel_key),
            RoomOp::AdvanceMarker(update) => update.channel_key.as_ref(),
            RoomOp::Receipts(page) => page.channel_key.as_ref(),
            RoomOp::Change(request) => request.publish.channel_key.as_ref(),
            RoomOp::React(reaction) => reaction.channel_key.as_ref(),
            RoomOp::Reactions(page) => page.channel_key.as_ref(),
            RoomOp::ChangeRoster(request) => request.publish.channel_key.as_ref(),
            RoomOp::Roster(page) => page.channel_key.as_ref(),
            RoomOp::Mute(request) => Some(&request.channel_key),
            RoomOp::Unsubscribe(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::Conversations(_)
            | RoomOp::DeadLetters(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => return StreamRequirement::None,
        };
        channel_key.map_or(StreamRequirement::OfMember, StreamRequirement::Named)
    }

    /// Whether it changes its room.
    pub(super) fn changes_room(&self) -> bool {
        match self {
            RoomOp::Publish(_)
            | RoomOp::AdvanceMarker(_)
            | RoomOp::Change(_)
            | RoomOp::RemoveHistory(_)
            | RoomOp::ChangeRoster(_)
            | RoomOp::Mute(_)
            | RoomOp::React(_) => true,
            RoomOp::Subscribe(_)
            | RoomOp::Unsubscribe(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::History(_)
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::Receipts(_)
            | RoomOp::Conversations(_)
            | RoomOp::Reactions(_)
            | RoomOp::Roster(_)
            | RoomOp::DeadLetters(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => false,
        }
    }

    /// The memory that it takes while it waits for its room to be read.
    pub(super) fn waiting_bytes(&self) -> usize {
        match self {
            RoomOp::Publish(publish) => publish.cost_bytes(),
            RoomOp::Change(request) => request.publish.cost_bytes(),
            RoomOp::ChangeRoster(request) => REQUEST_BYTES + request.publish.cost_bytes(),
            RoomOp::Subscribe(subscribe) => {
                let chan_info = subscribe.chan_info.as_ref().map_or(0, |info| info.cost_bytes());
                REQUEST_BYTES + subscribe.info.cost_bytes() + chan_info
            }
            RoomOp::Unsubscribe(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::History(_)
            | RoomOp::RemoveHistory(_)
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::AdvanceMarker(_)
            | RoomOp::Receipts(_)
            | RoomOp::Conversations(_)
            | RoomOp::React(_)
            | RoomOp::Reactions(_)
            | RoomOp::Roster(_)
            | RoomOp::Mute(_)
            | RoomOp::DeadLetters(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => REQUEST_BYTES,
        }
    }

    /// The answer that refuses it.
    pub fn refusal(&self, code: ErrorCode) -> RoomReply {
        match self {
            RoomOp::Subscribe(_) => RoomReply::SubscribeRejected(code),
            RoomOp::Unsubscribe(_)
            | RoomOp::Publish(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::History(_)
            | RoomOp::RemoveHistory(_)
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::AdvanceMarker(_)
            | RoomOp::Receipts(_)
            | RoomOp::Conversations(_)
            | RoomOp::Change(_)
            | RoomOp::React(_)
            | RoomOp::Reactions(_)
            | RoomOp::ChangeRoster(_)
            | RoomOp::Roster(_)
            | RoomOp::Mute(_)
            | RoomOp::DeadLetters(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => RoomReply::Rejected(code),
        }
    }
}

/// The answer to what is asked of dead letters.
#[derive(Clone, Debug)]
pub enum DeadLettersReply {
    /// A page, and the place that the next one comes after, unless this is the last.
    Page(Vec<DeadLetterEntry>, Option<DeadLetterPlace>),
    /// What became of them.
    Changed(ChangedDeadLetters),
}

/// The position of a published message.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishAck {
    /// The channel.
    pub channel: Arc<str>,
    /// Its position; offset 0 where the channel keeps no history.
    pub position: Position,
    /// Its id; empty for the protocol's publish, which has none.
    pub id: Box<str>,
    /// Its timing; `None` for an answer that was given before.
    pub timing: Option<MessageTiming>,
}

/// The state of a new subscription.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// The home's copy of the room's name, shared by all subscribers.
    pub name: Arc<str>,
    /// The head of the stream; `None` where there is no stream.
    pub position: Option<Position>,
    /// The messages that it recovers, oldest first.
    pub missed: Vec<Arc<Publication>>,
    /// Whether `missed` is everything.
    pub recovery: RecoveryOutcome,
}

impl Subscribed {
    /// The memory of the missed messages.
    pub fn missed_bytes(&self) -> usize {
        self.missed.iter().map(|one| one.cost_bytes()).sum()
    }
}

/// The outcome of a recovery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// The client did not ask for it.
    NotAsked,
    /// All missed messages are there.
    Whole,
    /// Messages are lost; the client has to read the channel anew.
    Lost,
}
