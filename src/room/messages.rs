//! What travels between a room's home and other shards, as values: the questions (`RoomRequest`),
//! their answers, and the notices that nobody asked for (`RoomEvent`).
//!
//! Invariant: each `RoomRequest` is answered by exactly one `RoomEvent` with the same asker.
//!
//! Deliberately absent: lanes and their limits (`shard`), and how clients are answered.

use std::sync::Arc;

use super::MessageTiming;
use crate::base::{ConnId, RoomId, ShardId, Timestamps, Trace, UserHash};
use crate::store::{Conversation, MarkerPosition, MessageReactions, PendingMessage, ReadMarkers};
use crate::wire::chat::Field;
use crate::wire::{ClientInfo, ErrorCode, Payload, Position, Publication, publication_cost_bytes};

/// Who asked, on the shard that the letter came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyTo {
    /// The connection.
    pub conn: ConnId,
    /// Whose it is. With what its other connections ask it shares what a user may ask.
    pub user: UserHash,
    /// Its command; 0 when no client waits for the answer.
    pub id: u32,
}

impl ReplyTo {
    /// No client: a room asks another one.
    pub const NOBODY: ReplyTo = ReplyTo { conn: ConnId::NOBODY, user: UserHash::NOBODY, id: 0 };
}

/// What a shard asks of a room's home. Each is answered by exactly one `RoomEvent`
/// with the same asker, so that requests under way can be counted.
#[derive(Clone, Debug)]
pub struct RoomRequest {
    /// Which room.
    pub room: RoomId,
    /// For whom.
    pub reply_to: ReplyTo,
    /// What.
    pub op: RoomOp,
}

/// The questions. Closed.
#[derive(Clone, Debug)]
pub enum RoomOp {
    /// Let a member in.
    Subscribe(Box<RoomSubscribe>),
    /// Let a member go.
    Unsubscribe(LeaveReason),
    /// Put a message in order.
    Publish(Box<RoomPublish>),
    /// Who is there?
    Presence,
    /// How many are there?
    PresenceStats,
    /// What was said?
    History(Box<HistoryPage>),
    /// Tell the others that this member is writing.
    Typing(Arc<ClientInfo>),
    /// A page of who is there.
    Members(MembersPage),
    /// A user got, or read, the messages up to a place.
    AdvanceMarker(Box<ReadMarkerUpdate>),
    /// Who got and read how much, by name.
    Receipts(Box<ReceiptsPage>),
    /// Of a personal channel: with whom its user talks, and how far it is.
    Conversations(Box<ConversationsPage>),
    /// Take a message back.
    Retract(Box<Retraction>),
    /// React to a message, or not any more.
    React(Box<Reaction>),
    /// What some messages are reacted to with.
    Reactions(Box<ReactionsPage>),
    /// Of a personal channel: this connection is its user's only one from now on.
    Claim,
    /// Of a personal channel: this connection, if it was the only one, is gone.
    Release,
    /// Of a personal channel: there is something for its user. Asked by another
    /// room, so nobody waits for the answer.
    Deliver(Box<InboxDelivery>),
}

/// A page of a room's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembersPage {
    /// Those behind this seat; `None` for the first page.
    pub after: Option<(ShardId, ConnId)>,
    /// At most so many.
    pub count_max: u32,
}

/// A part of a room's history.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// Which part.
    pub query: HistoryQuery,
}

/// A page of how far everybody is in a channel.
#[derive(Clone, Debug)]
pub struct ReceiptsPage {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// Names behind this one.
    pub after: Box<str>,
    /// At most so many.
    pub count_max: u32,
}

/// How far a user is in a channel.
#[derive(Clone, Debug)]
pub struct ReadMarkerUpdate {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// Who.
    pub info: Arc<ClientInfo>,
    /// The user's personal channel.
    pub inbox: RoomId,
    /// What was reached.
    pub position: MarkerPosition,
    /// In a conversation of two: the other's personal channel, which is told.
    pub other: Option<RoomId>,
}

/// A page of a user's conversations.
#[derive(Clone, Debug)]
pub struct ConversationsPage {
    /// The personal channel's name.
    pub channel_key: ChannelKey,
    /// Whose.
    pub user: Box<str>,
    /// Channels behind this one, by name.
    pub after: Box<str>,
    /// At most so many.
    pub count_max: u32,
}

/// A message shall be gone.
#[derive(Clone, Debug)]
pub struct Retraction {
    /// Which.
    pub offset: u64,
    /// Whether it may be somebody else's message.
    pub right: RetractRight,
    /// The message that says so, by who wants it.
    pub publish: RoomPublish,
}

/// A user reacts to a message, in another way, or not any more.
#[derive(Clone, Debug)]
pub struct Reaction {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// Who.
    pub info: Arc<ClientInfo>,
    /// To which message.
    pub offset: u64,
    /// With what, if with anything.
    pub value: Option<Box<str>>,
    /// In a conversation of two: their personal channels, which are told.
    pub parties: Option<[RoomId; 2]>,
}

/// Messages whose reactions are asked for.
#[derive(Clone, Debug)]
pub struct ReactionsPage {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// Which, in their order.
    pub offsets: Box<[u64]>,
}

/// Whose messages somebody may take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetractRight {
    /// The own ones.
    Author,
    /// Everybody's.
    Moderator,
}

/// Something for a user.
#[derive(Clone, Debug)]
pub enum InboxDelivery {
    /// A direct message, stored in its conversation.
    Message(PendingMessage, MessageTiming),
    /// A copy for the author's other devices; it waits for nobody.
    Copy {
        /// The conversation.
        channel: Arc<str>,
        /// The message.
        publication: Arc<Publication>,
        /// What is measured of it.
        timing: MessageTiming,
    },
    /// The user has got these: they wait no more.
    Acknowledged {
        /// The conversation.
        room: RoomId,
        /// Up to this offset.
        offset: u64,
    },
    /// Direct messages that were refused are stored all the same, more of them than a room
    /// has in memory: what waits is to be looked for.
    Stored,
    /// The other one of a conversation is writing.
    Typing {
        /// The conversation.
        channel: Arc<str>,
        /// Who.
        info: Arc<ClientInfo>,
    },
    /// News of a receipt or a retraction, for whoever listens now.
    Notice(Arc<Payload>),
}

/// A member at the door.
#[derive(Clone, Debug)]
pub struct RoomSubscribe {
    /// The room's name, for a room that does not exist yet.
    pub channel_key: ChannelKey,
    /// Who.
    pub info: Arc<ClientInfo>,
    /// What the subscription's token says about the member.
    pub chan_info: Option<Arc<Payload>>,
    /// What the client saw last, when it wants to know what it missed.
    pub since: Option<Position>,
}

/// How a member leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It said so: others hear it at once.
    Unsubscribed,
    /// Its connection is gone: it may come back within the grace period.
    Disconnected,
}

/// A message before it has a place.
#[derive(Clone, Debug)]
pub struct RoomPublish {
    /// The room's name, for a room that does not exist yet; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// What is said.
    pub data: Payload,
    /// By whom; `None` for the server.
    pub info: Option<Arc<ClientInfo>>,
    /// What the subscription's token says about the publisher.
    pub chan_info: Option<Arc<Payload>>,
    /// Short texts by name that go with it; an `id` of the client makes a retry harmless.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// Who gave it its id, if it has one.
    pub id_source: IdSource,
    /// How it was said, and how that is answered.
    pub mode: PublishMode,
    /// Its trace.
    pub trace: Trace,
    /// What was measured of it so far.
    pub timing: MessageTiming,
}

impl RoomPublish {
    /// The message at its place.
    pub fn into_publication(self, now: Timestamps, offset: u64) -> Publication {
        let RoomPublish { data, info, chan_info, tags, trace, .. } = self;
        let (time_unix_ms, trace) = (now.unix_ms, Some(trace));
        Publication { offset, data, info, chan_info, tags, time_unix_ms, trace }
    }

    /// What it will cost with everything that it carries.
    pub fn cost_bytes(&self) -> usize {
        let RoomPublish { data, info, chan_info, tags, .. } = self;
        publication_cost_bytes(data, info.as_deref(), chan_info.as_deref(), tags)
    }
}

/// Who gave a message its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdSource {
    /// The client, who may say the message again under it.
    Client,
    /// The server: nobody can repeat it.
    Server,
}

/// How a message is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishMode {
    /// By the protocol's publish; answered with `Published`.
    Publish,
    /// By `chat.publish`; answered with `PublishAck`.
    Post,
    /// In a conversation of two, by any of the three; answered with `PublishAck`.
    Send {
        /// The author's personal channel.
        from: RoomId,
        /// The other's.
        to: RoomId,
        /// How long it waits for its reader, in ms; 0 for as long as may be.
        ttl_ms: u64,
    },
}

impl PublishMode {
    /// Whether it is said in a conversation of two.
    pub(super) fn is_direct(self) -> bool {
        self.parties().is_some()
    }

    /// The personal channels of the two of a conversation.
    pub(super) fn parties(self) -> Option<[RoomId; 2]> {
        match self {
            PublishMode::Publish | PublishMode::Post => None,
            PublishMode::Send { from, to, .. } => Some([from, to]),
        }
    }
}

/// A room's name and the rules that hold in it.
#[derive(Clone, Debug)]
pub struct ChannelKey {
    /// Whose names these are; empty for the only tenant.
    pub tenant: Arc<str>,
    /// The channel, without tenant.
    pub channel: Arc<str>,
    /// Index into the configured namespaces, equal on all shards.
    pub namespace: u16,
}

/// A part of a room's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// At most so many; 0 for the position only.
    pub limit: u32,
    /// Only behind this place (or before it, newest first).
    pub since: Option<Position>,
    /// From which end.
    pub order: HistoryOrder,
}

/// In which order history is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryOrder {
    /// As it happened.
    OldestFirst,
    /// Backwards.
    NewestFirst,
}

/// What a room's home says to a shard.
#[derive(Clone, Debug)]
pub enum RoomEvent {
    /// The answer to an `RoomRequest`.
    Reply(RoomId, ReplyTo, RoomReply),
    /// To every subscriber of the shard: something was said.
    Published(RoomId, Arc<Publication>, MessageTiming),
    /// To every subscriber that wants to know: somebody came.
    Joined(RoomId, Arc<ClientInfo>, Option<Arc<Payload>>),
    /// To every subscriber that wants to know: somebody left.
    Left(RoomId, Arc<ClientInfo>, Option<Arc<Payload>>),
    /// To every subscriber that wants to know: a user's new connection took the place of
    /// one that was away.
    Swapped(RoomId, Box<Swap>),
    /// To every subscriber: this member is writing.
    Typing(RoomId, Arc<ClientInfo>),
    /// To every subscriber that wants to know: how many came and left.
    MembershipSummary(RoomId, Arc<Payload>),
    /// To every subscriber: messages are missing here.
    Lost(RoomId),
    /// To every subscriber: something happened that is not kept.
    Notice(RoomId, Arc<Payload>),
    /// To one connection: its user has a newer one, and may have only one.
    Replaced(ConnId),
}

/// One connection of a user in the place of another.
#[derive(Clone, Debug)]
pub struct Swap {
    /// Who is here.
    pub joined: Arc<ClientInfo>,
    /// What its subscription's token says.
    pub joined_chan_info: Option<Arc<Payload>>,
    /// Who is not here any more.
    pub left: Arc<ClientInfo>,
    /// What its subscription's token said.
    pub left_chan_info: Option<Arc<Payload>>,
}

/// Answers, by question.
#[derive(Clone, Debug)]
pub enum RoomReply {
    /// To `Subscribe`: the member is in.
    Subscribed(Box<Subscribed>),
    /// To `Unsubscribe`; also when it was not in.
    Unsubscribed,
    /// To `Publish`: the message has its place and is on its way.
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
    /// To `Publish` by a chat method: the message has its place.
    Posted(Box<PublishAck>),
    /// To `Members`: who, and what the next page is behind, unless this is the last.
    Members(Vec<(Arc<ClientInfo>, Option<Arc<Payload>>)>, Option<(ShardId, ConnId)>),
    /// To `Receipts`: by name, and what the next page is behind, unless this is
    /// the last.
    Receipts(Vec<(Box<str>, ReadMarkers)>, Option<Box<str>>),
    /// To `Conversations`: by channel, and what the next page is behind, unless
    /// this is the last.
    Conversations(Vec<Conversation>, Option<Box<str>>),
    /// To `Reactions`: those that somebody reacted to.
    Reactions(Vec<MessageReactions>),
    /// To what only needs to be done: `Typing`, `AdvanceMarker`, `Retract`, `React`, `Claim`,
    /// `Release`, `Deliver`.
    Done,
    /// To any question but `Subscribe`: this field of it cannot be right.
    InvalidField(Field),
    /// To `Subscribe`: no, and why. Apart from `SilenceError`, because the asker
    /// waits with a seat, and ids of commands are the client's choice.
    SubscribeRejected(ErrorCode),
    /// To any other question: no, and why.
    Rejected(ErrorCode),
}

/// Whether a question needs to know what was said in its room, and how that is called.
#[derive(Clone, Copy, Debug)]
pub(super) enum StreamNeed<'a> {
    /// It does not.
    None,
    /// It does, and comes from a member.
    OfMember,
    /// It does, and the room may not be in memory.
    Named(&'a ChannelKey),
}

/// What a question costs that waits.
const REQUEST_BYTES: usize = 256;

impl RoomOp {
    /// Whether it needs to know what was said.
    pub(super) fn stream_need(&self) -> StreamNeed<'_> {
        let channel_key = match self {
            RoomOp::Subscribe(subscribe) => Some(&subscribe.channel_key),
            RoomOp::Publish(publish) => publish.channel_key.as_ref(),
            RoomOp::History(page) => page.channel_key.as_ref(),
            RoomOp::AdvanceMarker(update) => update.channel_key.as_ref(),
            RoomOp::Receipts(page) => page.channel_key.as_ref(),
            RoomOp::Retract(retraction) => retraction.publish.channel_key.as_ref(),
            RoomOp::React(reaction) => reaction.channel_key.as_ref(),
            RoomOp::Reactions(page) => page.channel_key.as_ref(),
            RoomOp::Unsubscribe(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::Conversations(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => return StreamNeed::None,
        };
        channel_key.map_or(StreamNeed::OfMember, StreamNeed::Named)
    }

    /// Whether it changes what its room has.
    pub(super) fn changes_room(&self) -> bool {
        match self {
            RoomOp::Publish(_)
            | RoomOp::AdvanceMarker(_)
            | RoomOp::Retract(_)
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
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => false,
        }
    }

    /// What it costs while it waits for its room to be read.
    pub(super) fn waiting_bytes(&self) -> usize {
        match self {
            RoomOp::Publish(publish) => publish.cost_bytes(),
            RoomOp::Subscribe(subscribe) => {
                let chan_info = subscribe.chan_info.as_ref().map_or(0, |info| info.cost_bytes());
                REQUEST_BYTES + subscribe.info.cost_bytes() + chan_info
            }
            RoomOp::Unsubscribe(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::History(_)
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::AdvanceMarker(_)
            | RoomOp::Receipts(_)
            | RoomOp::Conversations(_)
            | RoomOp::Retract(_)
            | RoomOp::React(_)
            | RoomOp::Reactions(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => REQUEST_BYTES,
        }
    }

    /// The answer that says no.
    pub fn refusal(&self, code: ErrorCode) -> RoomReply {
        match self {
            RoomOp::Subscribe(_) => RoomReply::SubscribeRejected(code),
            RoomOp::Unsubscribe(_)
            | RoomOp::Publish(_)
            | RoomOp::Presence
            | RoomOp::PresenceStats
            | RoomOp::History(_)
            | RoomOp::Typing(_)
            | RoomOp::Members(_)
            | RoomOp::AdvanceMarker(_)
            | RoomOp::Receipts(_)
            | RoomOp::Conversations(_)
            | RoomOp::Retract(_)
            | RoomOp::React(_)
            | RoomOp::Reactions(_)
            | RoomOp::Claim
            | RoomOp::Release
            | RoomOp::Deliver(_) => RoomReply::Rejected(code),
        }
    }
}

/// Where a message stands.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishAck {
    /// In which channel.
    pub channel: Arc<str>,
    /// At which place; offset 0 where the channel keeps no history.
    pub position: Position,
    /// Its id; empty for what came by the protocol's publish, which has none.
    pub id: Box<str>,
    /// What was measured of it; `None` for an answer that was given before.
    pub timing: Option<MessageTiming>,
}

/// Where a new member stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscribed {
    /// The home's copy of the room's name, to be kept instead of an own one.
    pub name: Arc<str>,
    /// The stream's head at that moment; `None` where there is no stream.
    pub position: Option<Position>,
    /// What the member asked to recover, oldest first.
    pub missed: Vec<Arc<Publication>>,
    /// Whether `missed` is everything.
    pub recovery: RecoveryOutcome,
}

impl Subscribed {
    /// What the messages cost that it missed.
    pub fn missed_bytes(&self) -> usize {
        self.missed.iter().map(|one| one.cost_bytes()).sum()
    }
}

/// How recovery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryOutcome {
    /// Nobody asked.
    NotAsked,
    /// All that was missed is there.
    Whole,
    /// Something is lost; the client must read anew.
    Lost,
}
