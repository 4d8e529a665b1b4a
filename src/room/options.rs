//! What an operator may set for rooms: the rules of each namespace, and limits of one user.
//!
//! Deliberately absent: names, ranges and texts of settings (`config`), and who has which
//! right (`session::rights`).

use super::ChannelKey;
use crate::base::Rate;
use crate::metrics::ChatType;
use crate::store::Durability;

/// Who may do something in the channels of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Only the server itself.
    Nobody,
    /// Whoever a token names: a subscription token, or a capability in the
    /// connection token.
    Token,
    /// Whoever is in the channel.
    Subscribers,
    /// Everyone with a connection token that names a user.
    Users,
    /// Everyone, anonymous peers too.
    Anyone,
}

/// Whose coming and going is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinLeaveScope {
    /// Each connection's.
    Clients,
    /// Each user's: when the first connection comes, and when the last is gone for
    /// good. Who has no name is told of as a connection.
    Users,
}

/// Which channel of a namespace is a user's own, beside the inbox: the server subscribes each
/// connection of the user to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PersonalChannel {
    /// None is.
    #[default]
    None,
    /// The one whose list has the user alone: `#ann`.
    Listed,
}

/// Whether channels of a namespace are groups, whose members last, and who may come into one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GroupEntry {
    /// They are none.
    #[default]
    None,
    /// Whoever may subscribe by the namespace or a token may join.
    Open,
    /// The first may join so, and others whom somebody has invited.
    Invited,
}

/// What holds for all channels whose name begins with `name` and a colon.
///
/// A channel without a colon belongs to the namespace with the empty name; one
/// whose namespace is not configured does not exist (error 102). A grant by
/// token counts everywhere, except where it says `Nobody`.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// Before the colon; empty for channels without one.
    pub name: String,
    /// Who may be in.
    pub subscribe: Permission,
    /// Whether `#` in a channel's name begins the list of the users who alone may be in.
    pub user_lists: bool,
    /// Which channel is a user's own.
    pub personal_channel: PersonalChannel,
    /// Whether its channels are groups.
    pub groups: GroupEntry,
    /// Who may publish.
    pub publish: Permission,
    /// Who may ask who is there.
    pub see_presence: Permission,
    /// Who may read what was said.
    pub see_history: Permission,
    /// Whether the room knows who is there.
    pub presence: bool,
    /// Whether coming and going is told to those who ask for it at subscribe.
    pub join_leave: bool,
    /// Tells it unasked, to every subscriber.
    pub push_join_leave: bool,
    /// Whether connections or users come and go.
    pub join_leave_of: JoinLeaveScope,
    /// In a room with more members coming and going is merged: how many came, left
    /// and are there is told, once a second.
    pub join_leave_members_max: u32,
    /// How long a client may be away before its leaving is told, in ms.
    pub leave_grace_ms: u32,
    /// Messages kept; 0 keeps none and gives no offsets.
    pub history_count_max: u32,
    /// How long a message is kept, in ms.
    pub history_age_ms_max: u64,
    /// Bytes of messages kept in one room: on disk where it is durable.
    pub history_bytes_max: u64,
    /// When a message counts as kept, and its publisher is answered. Says nothing
    /// where no message is kept.
    pub durability: Durability,
    /// Of the messages kept on disk, so many stay in memory, too.
    pub window_count_max: u32,
    /// Bytes of them in one room.
    pub window_bytes_max: u32,
    /// Messages that one subscription recovers; who missed more reads anew.
    pub recover_count_max: u32,
    /// How long a direct message may go unacknowledged until it is sent again, in ms.
    pub ack_wait_ms: u32,
    /// How often a direct message is sent until it is a dead letter.
    pub tries_max: u16,
    /// How long a direct message waits for its reader at most, in ms.
    pub ttl_ms_max: u64,
    /// Whether a subscription may have publications as differences to the one before.
    pub deltas: bool,
    /// Whether a subscription may ask for publications with some tags only.
    pub tag_filters: bool,
    /// Whether clients that ask for it get pushes that call the channel by a number.
    pub channel_compaction: bool,
    /// Every subscription recovers, asked or not.
    pub force_recovery: bool,
    /// Every subscription is watched for gaps, asked or not.
    pub force_positioning: bool,
    /// Bytes of one message's data.
    pub data_bytes_max: u32,
    /// Subscribers of one room.
    pub members_max: u32,
    /// Messages a second that one room takes; 0 for no limit.
    pub publish_per_s_max: u32,
    /// Whether the application's backend is asked about who subscribes.
    pub subscribe_hook: bool,
    /// Whether it is asked about what is published.
    pub publish_hook: bool,
    /// Whether it is asked about subscriptions that are about to expire.
    pub sub_refresh_hook: bool,
    /// Whether it is told who comes and goes.
    pub presence_feed: bool,
}

/// Limits of what is in memory of a room's stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowLimits {
    /// Messages.
    pub count_max: usize,
    /// What they cost, in bytes.
    pub bytes_max: usize,
    /// How long, in ms.
    pub age_ms_max: u64,
}

impl Namespace {
    /// Whether `#` in a channel's name begins a list of users.
    pub fn has_user_lists(&self) -> bool {
        self.user_lists || self.personal_channel == PersonalChannel::Listed
    }

    /// Whether its channels are groups, whose members alone may be in.
    pub fn is_group(&self) -> bool {
        self.groups != GroupEntry::None
    }

    /// Whether rooms know their members by name.
    pub fn lists_members(&self) -> bool {
        self.presence || self.sends_join_leave()
    }

    /// Whether coming and going is told to anybody.
    pub fn sends_join_leave(&self) -> bool {
        self.join_leave || self.push_join_leave
    }

    /// Whether that stream is on disk.
    pub fn is_durable(&self) -> bool {
        self.keeps_history() && self.durability != Durability::Memory
    }

    /// As what its messages are counted: a channel in which nobody may speak unless a
    /// token says so is a broadcast.
    pub fn chat_type(&self) -> ChatType {
        match (&*self.name, self.publish) {
            ("@" | "dm", _) => ChatType::OneToOne,
            (_, Permission::Nobody | Permission::Token) => ChatType::Broadcast,
            (_, Permission::Subscribers | Permission::Users | Permission::Anyone) => {
                ChatType::Group
            }
        }
    }

    /// What of a stream is in memory.
    pub fn window_limits(&self) -> WindowLimits {
        let (count_max, bytes_max) = if self.is_durable() {
            (
                self.history_count_max.min(self.window_count_max),
                self.history_bytes_max.min(u64::from(self.window_bytes_max)),
            )
        } else {
            (self.history_count_max, self.history_bytes_max)
        };
        let age_ms_max = self.history_age_ms_max;
        WindowLimits { count_max: count_max as usize, bytes_max: bytes_max as usize, age_ms_max }
    }

    /// How fast one room takes messages.
    pub(super) fn publish_rate(&self) -> Rate {
        Rate { per_s: self.publish_per_s_max, burst: self.publish_per_s_max }
    }

    /// Whether rooms keep a stream of messages with offsets.
    pub fn keeps_history(&self) -> bool {
        0 < self.history_count_max
    }
}

impl Default for Namespace {
    fn default() -> Namespace {
        Namespace {
            name: String::new(),
            subscribe: Permission::Token,
            user_lists: false,
            personal_channel: PersonalChannel::None,
            groups: GroupEntry::None,
            publish: Permission::Nobody,
            see_presence: Permission::Nobody,
            see_history: Permission::Nobody,
            presence: false,
            join_leave: false,
            push_join_leave: false,
            join_leave_of: JoinLeaveScope::Clients,
            join_leave_members_max: 1_000,
            leave_grace_ms: 1_000,
            history_count_max: 0,
            history_age_ms_max: 30 * 86_400_000,
            history_bytes_max: 1 << 20,
            durability: Durability::Fsync,
            window_count_max: 256,
            window_bytes_max: 256 << 10,
            recover_count_max: 10_000,
            ack_wait_ms: 30_000,
            tries_max: 10,
            ttl_ms_max: 7 * 86_400_000,
            deltas: false,
            tag_filters: false,
            channel_compaction: false,
            force_recovery: false,
            force_positioning: false,
            data_bytes_max: 64 << 10,
            members_max: 1_000_000,
            publish_per_s_max: 0,
            subscribe_hook: false,
            publish_hook: false,
            sub_refresh_hook: false,
            presence_feed: false,
        }
    }
}

/// What an operator may set.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// By name, each name once.
    pub namespaces: Vec<Namespace>,
    /// Rooms that one shard is home of; at the limit a new one is refused (100).
    pub rooms_max: u32,
    /// How fast one user may make others work.
    pub user_rates: UserRateLimits,
    /// Whether somebody is told that messages wait for who is away.
    pub has_presence_feed: bool,
}

/// How fast one user may make others work, by all its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserRateLimits {
    /// Conversations and rooms that it begins with a first message, among those whose
    /// home is one shard; over it they are refused (111).
    pub room_creations: Rate,
    /// Times that its coming or going is told in one room; over it, the others are told
    /// numbers, at most once a second.
    pub join_leave: Rate,
}

impl Default for UserRateLimits {
    fn default() -> UserRateLimits {
        UserRateLimits {
            room_creations: Rate { per_s: 2, burst: 256 },
            join_leave: Rate { per_s: 1, burst: 20 },
        }
    }
}

impl Options {
    /// The rules that hold under a name.
    pub(super) fn rules(&self, channel_key: &ChannelKey) -> &Namespace {
        &self.namespaces[usize::from(channel_key.namespace)]
    }

    /// As what messages of a namespace are counted, a group's where there is none.
    pub fn chat_type(&self, namespace: Option<u16>) -> ChatType {
        let rules = namespace.and_then(|index| self.namespaces.get(usize::from(index)));
        rules.map_or(ChatType::Group, Namespace::chat_type)
    }

    /// Whether anything is on disk.
    pub fn has_store(&self) -> bool {
        self.namespaces.iter().any(Namespace::is_durable)
    }
}
