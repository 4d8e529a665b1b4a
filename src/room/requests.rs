//! What requests to a room carry, as values: who comes or goes, what is said, changed or reacted
//! to, and which part of what there is shall be shown.
//!
//! Deliberately absent: which operations there are, and their answers (`messages`).

use std::sync::Arc;

use super::MessageTiming;
use crate::base::{ConnId, RoomId, ShardId, Timestamps, Trace, UserHash};
use crate::store::{ChangeDeadLetters, DeadLettersQuery, MarkerPosition, ReadOrder};
use crate::wire::chat::RosterAction;
use crate::wire::{ClientInfo, Payload, Position, Publication, publication_cost_bytes};

/// A subscribe request.
#[derive(Clone, Debug)]
pub struct RoomSubscribe {
    /// The room's name, for a room that does not exist yet.
    pub channel_key: ChannelKey,
    /// The user.
    pub info: Arc<ClientInfo>,
    /// Information about the member from the subscription token.
    pub chan_info: Option<Arc<Payload>>,
    /// The last position that the client has seen, when it wants to recover.
    pub since: Option<Position>,
    /// What becomes of it when it cannot recover.
    pub unrecovered: Unrecovered,
}

/// What becomes of a client that cannot recover what it missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unrecovered {
    /// It comes in, and is told so.
    #[default]
    Admitted,
    /// It does not come in (112), and nobody hears of it.
    Rejected,
}

/// Why a member leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It unsubscribed: the leave event is sent at once.
    Unsubscribed,
    /// Its connection is gone: it may come back within the grace period.
    Disconnected,
}

/// A publish request: a message without an offset.
#[derive(Clone, Debug)]
pub struct RoomPublish {
    /// The room's name, for a room that does not exist yet; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// The data.
    pub data: Payload,
    /// The publisher; `None` for the server.
    pub info: Option<Arc<ClientInfo>>,
    /// Information about the publisher from the subscription token.
    pub chan_info: Option<Arc<Payload>>,
    /// Short texts by name; an `id` of the client makes a retry idempotent.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// The origin of its id, if it has one.
    pub id_source: IdSource,
    /// How it was published, and how that is answered.
    pub mode: PublishMode,
    /// Its trace.
    pub trace: Trace,
    /// Its timing so far.
    pub timing: MessageTiming,
}

impl RoomPublish {
    /// The message with its offset.
    #[inline]
    pub fn into_publication(self, now: Timestamps, offset: u64) -> Publication {
        let RoomPublish { data, info, chan_info, tags, trace, .. } = self;
        let (time_unix_ms, trace) = (now.unix_ms, Some(trace));
        Publication { offset, data, info, chan_info, tags, time_unix_ms, trace }
    }

    /// The memory that it will take.
    pub fn cost_bytes(&self) -> usize {
        let RoomPublish { data, info, chan_info, tags, .. } = self;
        publication_cost_bytes(data, info.as_deref(), chan_info.as_deref(), tags)
    }
}

/// The origin of a message's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdSource {
    /// The client, which may repeat the message under it.
    Client,
    /// The server: the message is never repeated.
    Server,
}

/// How a message is published.
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
        /// The personal channel of the other user.
        to: RoomId,
        /// Its time to live, in ms; 0 for the longest that is allowed.
        ttl_ms: u64,
    },
}

impl PublishMode {
    /// Whether it is published in a conversation of two.
    pub(super) fn is_direct(self) -> bool {
        self.parties().is_some()
    }

    /// The personal channels of both users of a conversation.
    pub(super) fn parties(self) -> Option<[RoomId; 2]> {
        match self {
            PublishMode::Publish | PublishMode::Post => None,
            PublishMode::Send { from, to, .. } => Some([from, to]),
        }
    }
}

/// The tenant, channel and namespace of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelKey {
    /// The tenant; empty where there is only one.
    pub tenant: Arc<str>,
    /// The channel, without tenant.
    pub channel: Arc<str>,
    /// Index into the configured namespaces, equal on all shards.
    pub namespace: u16,
}

/// What operators ask about a room.
#[derive(Clone, Copy, Debug)]
pub struct RoomSummary<'r> {
    /// Its name.
    pub channel_key: &'r ChannelKey,
    /// Connections in it.
    pub members_count: u32,
    /// Messages in the last minute, about.
    pub messages_per_min: u64,
}

/// A part of a room's history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryQuery {
    /// Largest number of messages; 0 for the position only.
    pub limit: u32,
    /// Only messages after this position (before it, when the newest come first).
    pub since: Option<Position>,
    /// The order.
    pub order: ReadOrder,
}

/// A page of a room's members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MembersPage {
    /// Members after this one; `None` for the first page.
    pub after: Option<(ShardId, ConnId)>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// A history request.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// The part of the history.
    pub query: HistoryQuery,
    /// Who reads: whose reactions are shown as own ones.
    pub reader: UserHash,
}

/// All that was said until now shall be gone.
#[derive(Clone, Debug)]
pub struct HistoryRemoval {
    /// The room's name, for a room that is not in memory.
    pub channel_key: ChannelKey,
    /// In a conversation of two: their personal channels.
    pub parties: Option<[RoomId; 2]>,
}

/// A page of the read markers of a channel.
#[derive(Clone, Debug)]
pub struct ReceiptsPage {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// Users after this one, by name.
    pub after: Box<str>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// A new read marker of a user in a channel.
#[derive(Clone, Debug)]
pub struct ReadMarkerUpdate {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// The user.
    pub info: Arc<ClientInfo>,
    /// The user's personal channel.
    pub inbox: RoomId,
    /// The new position.
    pub position: MarkerPosition,
    /// In a conversation of two: the personal channel of the other user, who is notified.
    pub other: Option<RoomId>,
}

/// A page of a user's conversations.
#[derive(Clone, Debug)]
pub struct ConversationsPage {
    /// The personal channel's name.
    pub channel_key: ChannelKey,
    /// The user.
    pub user: Box<str>,
    /// Channels after this one, by name.
    pub after: Box<str>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// A message shall be another one.
#[derive(Clone, Debug)]
pub struct ChangeRequest {
    /// Its offset.
    pub offset: u64,
    /// What is wanted of it.
    pub action: ChangeAction,
    /// The publication of the retraction.
    pub publish: RoomPublish,
}

/// What is wanted of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAction {
    /// It shall be gone.
    Retract(RetractRight),
    /// It shall have the words of the message that says so.
    Edit,
}

/// A user reacts to a message, in another way, or not any more.
#[derive(Clone, Debug)]
pub struct Reaction {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// The user.
    pub info: Arc<ClientInfo>,
    /// The user's hash, by which it is known that a reaction is the same user's. Who asks may be
    /// a backend, on whose share of the store's time it is.
    pub user: UserHash,
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
    /// Who asks: whose reactions are told as own ones.
    pub reader: UserHash,
}

/// The members of a group shall be others.
#[derive(Clone, Debug)]
pub struct RosterRequest {
    /// Whom it is about.
    pub user: Box<str>,
    /// The user's personal channel.
    pub inbox: RoomId,
    /// What is wanted.
    pub action: RosterAction,
    /// What the one who asks may do beside its own role.
    pub authority: RosterAuthority,
    /// The publication that says so; its data and tags follow from what becomes of it.
    pub publish: RoomPublish,
}

/// What somebody may do about the members of a group, beside what its own role allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterAuthority {
    /// Join where it is invited.
    Guest,
    /// Begin a group, and join an open one, too.
    Entrant,
    /// Join any group.
    Admitted,
    /// Everything.
    Moderator,
}

/// A page of the members of a group.
#[derive(Clone, Debug)]
pub struct RosterPage {
    /// The room's name, for a room that is not in memory; `None` from a member.
    pub channel_key: Option<ChannelKey>,
    /// The user who asks; `None` for a backend.
    pub asker: Option<Box<str>>,
    /// Users after this one, by name.
    pub after: Box<str>,
    /// Largest number of entries.
    pub count_max: u32,
}

/// A member mutes a group for itself.
#[derive(Clone, Debug)]
pub struct MuteRequest {
    /// The group's name. Who mutes it need not be subscribed.
    pub channel_key: ChannelKey,
    /// The user.
    pub user: Box<str>,
    /// The user's personal channel, whose connections hear of it.
    pub inbox: RoomId,
    /// Until then, Unix ms; 0 for not any more.
    pub until_unix_ms: u64,
}

/// The messages that a user may retract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetractRight {
    /// Those that it published.
    Author,
    /// All messages.
    Moderator,
}

/// What is asked of dead letters.
#[derive(Clone, Copy, Debug)]
pub enum DeadLettersAsk {
    /// A page of them, whichever room is asked.
    List(DeadLettersQuery),
    /// To change those of this room, a conversation.
    Change(ChangeDeadLetters),
}
