//! What a client asks by a chat method.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::cursor;
use super::fields::ChatFields;
use super::groups::{GroupRole, RosterAction};
use super::histories::{self, ChannelSince};
use super::reactions::reaction_is_valid;
use crate::base::limits::{
    MESSAGE_ID_BYTES_MAX, MUTE_S_MAX, NAME_BYTES_MAX, PAGE_DEFAULT, PAGE_MAX, REACTION_OFFSETS_MAX,
};
use crate::base::{ConnId, ShardId, Trace};
use crate::wire::error_code::{Field, InvalidFieldError};
use crate::wire::{RawData, channel_is_valid};

/// The methods whose names begin with `chat.`. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the method of that name")]
pub enum Method {
    Publish,
    Send,
    Ack,
    Read,
    Receipts,
    Rooms,
    Members,
    Typing,
    Retract,
    React,
    Reactions,
    Edit,
    History,
    Join,
    Leave,
    Invite,
    Kick,
    SetRole,
    Roster,
    Mute,
}

/// A method with its data, which may be right.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields of the data, by their names")]
pub enum ChatRequest<'a> {
    /// Say something in a channel.
    Publish { channel: Cow<'a, str>, said: ChatMessage<'a> },
    /// Say something to a user.
    Send {
        to: Cow<'a, str>,
        said: ChatMessage<'a>,
        /// At least 1.
        ttl_s: Option<u64>,
    },
    /// Everything up to `offset` has arrived.
    Ack { channel: Cow<'a, str>, offset: u64, took_ms: Option<u64> },
    /// Everything up to `offset` was read.
    Read { channel: Cow<'a, str>, offset: u64 },
    /// Who got and read how much?
    Receipts {
        channel: Cow<'a, str>,
        /// A name, or nothing for the first page.
        after: Cow<'a, str>,
        limit: u32,
    },
    /// Which conversations does this user have?
    Rooms {
        /// A channel, or nothing for the first page.
        after: Cow<'a, str>,
        limit: u32,
    },
    /// Who is there?
    Members { channel: Cow<'a, str>, after: Option<(ShardId, ConnId)>, limit: u32 },
    /// This user is writing.
    Typing { channel: Cow<'a, str> },
    /// Take a message back.
    Retract {
        channel: Cow<'a, str>,
        /// At least 1.
        offset: u64,
    },
    /// Give a message other words.
    Edit {
        channel: Cow<'a, str>,
        /// At least 1.
        offset: u64,
        said: ChatMessage<'a>,
    },
    /// React to a message, or not any more.
    React {
        channel: Cow<'a, str>,
        /// At least 1.
        offset: u64,
        /// Nothing takes back what the user reacted with.
        value: Option<Cow<'a, str>>,
    },
    /// What was reacted to these messages with?
    Reactions {
        channel: Cow<'a, str>,
        /// One to `REACTION_OFFSETS_MAX`, each once, in their order.
        offsets: Vec<u64>,
    },
    /// What was said in several channels?
    History {
        /// Each of them once; one at least, and `HISTORY_CHANNELS_MAX` at most.
        channels: Vec<ChannelSince<'a>>,
        /// Of each channel.
        limit: u32,
        /// Newest first.
        reverse: bool,
    },
    /// Change who the members of a group are.
    ChangeRoster {
        channel: Cow<'a, str>,
        action: RosterAction,
        /// Whom it is about; nobody for who asks.
        member: Option<Cow<'a, str>>,
    },
    /// Who are the members of a group?
    Roster {
        channel: Cow<'a, str>,
        /// A name, or nothing for the first page.
        after: Cow<'a, str>,
        limit: u32,
    },
    /// Mute a group for this user.
    Mute {
        channel: Cow<'a, str>,
        /// For so long; nothing is for good, and 0 not any more.
        mute_s: Option<u64>,
    },
}

/// Which channels a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatPlace<'a> {
    /// This one.
    Channel(Cow<'a, str>),
    /// The conversation with this user.
    Conversation(Cow<'a, str>),
    /// The user's personal channel.
    Inbox,
    /// Several, each for itself.
    Several,
}

impl<'a> ChatRequest<'a> {
    /// Which channels it is about.
    pub fn into_place(self) -> ChatPlace<'a> {
        match self {
            ChatRequest::Publish { channel, .. }
            | ChatRequest::Ack { channel, .. }
            | ChatRequest::Read { channel, .. }
            | ChatRequest::Receipts { channel, .. }
            | ChatRequest::Members { channel, .. }
            | ChatRequest::Typing { channel }
            | ChatRequest::Retract { channel, .. }
            | ChatRequest::Edit { channel, .. }
            | ChatRequest::React { channel, .. }
            | ChatRequest::Reactions { channel, .. }
            | ChatRequest::ChangeRoster { channel, .. }
            | ChatRequest::Roster { channel, .. }
            | ChatRequest::Mute { channel, .. } => ChatPlace::Channel(channel),
            ChatRequest::Send { to, .. } => ChatPlace::Conversation(to),
            ChatRequest::Rooms { .. } => ChatPlace::Inbox,
            ChatRequest::History { .. } => ChatPlace::Several,
        }
    }
}

/// What is said, and what goes with it.
#[derive(Debug, PartialEq)]
pub struct ChatMessage<'a> {
    /// The application's.
    pub data: RawData<'a>,
    /// The client's name for the message: 1 to 64 bytes from `!` to `~`.
    pub id: Option<Cow<'a, str>>,
    /// W3C trace context, version 00.
    pub traceparent: Option<Cow<'a, str>>,
    /// The client's clock, ms since 1970.
    pub sent_at_ms: Option<u64>,
}

impl Method {
    /// All of them.
    pub const ALL: [Method; 20] = [
        Method::Publish,
        Method::Send,
        Method::Ack,
        Method::Read,
        Method::Receipts,
        Method::Rooms,
        Method::Members,
        Method::Typing,
        Method::Retract,
        Method::React,
        Method::Reactions,
        Method::Edit,
        Method::History,
        Method::Join,
        Method::Leave,
        Method::Invite,
        Method::Kick,
        Method::SetRole,
        Method::Roster,
        Method::Mute,
    ];

    /// By its name behind `chat.`.
    pub fn named(name: &str) -> Option<Method> {
        match name {
            "publish" => Some(Method::Publish),
            "send" => Some(Method::Send),
            "ack" => Some(Method::Ack),
            "read" => Some(Method::Read),
            "receipts" => Some(Method::Receipts),
            "rooms" => Some(Method::Rooms),
            "members" => Some(Method::Members),
            "typing" => Some(Method::Typing),
            "retract" => Some(Method::Retract),
            "react" => Some(Method::React),
            "reactions" => Some(Method::Reactions),
            "edit" => Some(Method::Edit),
            "history" => Some(Method::History),
            "join" => Some(Method::Join),
            "leave" => Some(Method::Leave),
            "invite" => Some(Method::Invite),
            "kick" => Some(Method::Kick),
            "set_role" => Some(Method::SetRole),
            "roster" => Some(Method::Roster),
            "mute" => Some(Method::Mute),
            _ => None,
        }
    }

    /// Whether its answer may be long: a list.
    pub fn has_long_answer(self) -> bool {
        match self {
            Method::Receipts
            | Method::Rooms
            | Method::Members
            | Method::Reactions
            | Method::History
            | Method::Roster => true,
            Method::Publish
            | Method::Send
            | Method::Ack
            | Method::Read
            | Method::Typing
            | Method::Retract
            | Method::React
            | Method::Edit
            | Method::Join
            | Method::Leave
            | Method::Invite
            | Method::Kick
            | Method::SetRole
            | Method::Mute => false,
        }
    }

    /// Reads its data, or names the first field that cannot be right.
    pub fn read(self, data: &[u8]) -> Result<ChatRequest<'_>, InvalidFieldError> {
        let fields = ChatFields::of(data)?;
        Ok(match self {
            Method::Publish => {
                ChatRequest::Publish { channel: channel(&fields)?, said: said(&fields)? }
            }
            Method::Send => ChatRequest::Send {
                to: fields.needed_text(Field::To, |name| {
                    channel_is_valid(name) && !name.contains([',', '#'])
                })?,
                said: said(&fields)?,
                ttl_s: fields.number(Field::TtlS, 1..=u64::MAX)?,
            },
            Method::Ack => ChatRequest::Ack {
                channel: channel(&fields)?,
                offset: fields.needed_number(Field::Offset, 0..=u64::MAX)?,
                took_ms: fields.number(Field::TookMs, 0..=u64::MAX)?,
            },
            Method::Read => ChatRequest::Read {
                channel: channel(&fields)?,
                offset: fields.needed_number(Field::Offset, 0..=u64::MAX)?,
            },
            Method::Receipts => ChatRequest::Receipts {
                channel: channel(&fields)?,
                after: after_name(&fields)?,
                limit: limit(&fields)?,
            },
            Method::Rooms => {
                ChatRequest::Rooms { after: after_name(&fields)?, limit: limit(&fields)? }
            }
            Method::Members => ChatRequest::Members {
                channel: channel(&fields)?,
                after: after_member(&fields)?,
                limit: limit(&fields)?,
            },
            Method::Typing => ChatRequest::Typing { channel: channel(&fields)? },
            Method::Retract => ChatRequest::Retract {
                channel: channel(&fields)?,
                offset: fields.needed_number(Field::Offset, 1..=u64::MAX)?,
            },
            Method::Edit => ChatRequest::Edit {
                channel: channel(&fields)?,
                offset: fields.needed_number(Field::Offset, 1..=u64::MAX)?,
                said: said(&fields)?,
            },
            Method::React => ChatRequest::React {
                channel: channel(&fields)?,
                offset: fields.needed_number(Field::Offset, 1..=u64::MAX)?,
                value: value(&fields)?,
            },
            Method::Reactions => {
                ChatRequest::Reactions { channel: channel(&fields)?, offsets: offsets(&fields)? }
            }
            Method::History => ChatRequest::History {
                channels: histories::channels(fields.needed_raw(Field::Channels)?)
                    .ok_or(InvalidFieldError(Field::Channels))?,
                limit: limit(&fields)?,
                reverse: fields.flag(Field::Reverse)?,
            },
            Method::Join
            | Method::Leave
            | Method::Invite
            | Method::Kick
            | Method::SetRole
            | Method::Roster
            | Method::Mute => self.read_of_group(&fields)?,
        })
    }

    /// The same of a method about the members of a group.
    fn read_of_group<'a>(
        self,
        fields: &ChatFields<'a>,
    ) -> Result<ChatRequest<'a>, InvalidFieldError> {
        let channel = channel(fields)?;
        let action = match self {
            Method::Join => RosterAction::Join,
            Method::Leave => RosterAction::Leave,
            Method::Invite => RosterAction::Invite,
            Method::Kick => RosterAction::Kick,
            Method::SetRole => RosterAction::SetRole(role(fields)?),
            Method::Mute => {
                let mute_s = fields.number(Field::MuteS, 0..=MUTE_S_MAX)?;
                return Ok(ChatRequest::Mute { channel, mute_s });
            }
            Method::Roster
            | Method::Publish
            | Method::Send
            | Method::Ack
            | Method::Read
            | Method::Receipts
            | Method::Rooms
            | Method::Members
            | Method::Typing
            | Method::Retract
            | Method::React
            | Method::Reactions
            | Method::Edit
            | Method::History => {
                let (after, limit) = (after_name(fields)?, limit(fields)?);
                return Ok(ChatRequest::Roster { channel, after, limit });
            }
        };
        let member = match action {
            RosterAction::Join | RosterAction::Leave => None,
            RosterAction::Invite | RosterAction::Kick | RosterAction::SetRole(_) => {
                Some(fields.needed_text(Field::Member, channel_is_valid)?)
            }
        };
        Ok(ChatRequest::ChangeRoster { channel, action, member })
    }
}

/// A call without an answer: its method and data, when that is what `data` is.
pub fn call(data: &[u8]) -> Option<(Cow<'_, str>, &[u8])> {
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        method: Cow<'a, str>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let call = serde_json::from_slice::<Call<'_>>(data).ok()?;
    Some((call.method, call.data.map_or(&b""[..], |data| data.get().as_bytes())))
}

fn channel<'a>(fields: &ChatFields<'a>) -> Result<Cow<'a, str>, InvalidFieldError> {
    fields.needed_text(Field::Channel, channel_is_valid)
}

fn said<'a>(fields: &ChatFields<'a>) -> Result<ChatMessage<'a>, InvalidFieldError> {
    Ok(ChatMessage {
        data: fields.needed_data(Field::Data)?,
        id: fields.text(Field::Id, is_message_id)?,
        traceparent: fields.text(Field::Traceparent, |text| Trace::parse(text).is_some())?,
        sent_at_ms: fields.number(Field::SentAtMs, 0..=u64::MAX)?,
    })
}

fn after_name<'a>(fields: &ChatFields<'a>) -> Result<Cow<'a, str>, InvalidFieldError> {
    let is_right = |name: &str| name.is_empty() || channel_is_valid(name);
    Ok(fields.text(Field::After, is_right)?.unwrap_or_default())
}

fn after_member(fields: &ChatFields<'_>) -> Result<Option<(ShardId, ConnId)>, InvalidFieldError> {
    // Longer than a name, it would be copied for nothing.
    let after = fields.text(Field::After, |text| text.len() <= NAME_BYTES_MAX)?;
    let after = after.filter(|text| !text.is_empty());
    after.map(|text| cursor::parse(&text).ok_or(InvalidFieldError(Field::After))).transpose()
}

fn limit(fields: &ChatFields<'_>) -> Result<u32, InvalidFieldError> {
    let limit = fields.number(Field::Limit, 1..=u64::from(PAGE_MAX))?;
    Ok(limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(PAGE_DEFAULT))
}

/// A role that a member may be given.
fn role(fields: &ChatFields<'_>) -> Result<GroupRole, InvalidFieldError> {
    let role = fields.text(Field::Role, |_| true)?;
    let role = role.as_deref().and_then(GroupRole::named).filter(|role| role.is_member());
    role.ok_or(InvalidFieldError(Field::Role))
}

/// What somebody reacts with; an empty text is none.
fn value<'a>(fields: &ChatFields<'a>) -> Result<Option<Cow<'a, str>>, InvalidFieldError> {
    let is_right = |text: &str| text.is_empty() || reaction_is_valid(text);
    Ok(fields.text(Field::Value, is_right)?.filter(|text| !text.is_empty()))
}

fn offsets(fields: &ChatFields<'_>) -> Result<Vec<u64>, InvalidFieldError> {
    let mut offsets = fields.needed_list::<u64, REACTION_OFFSETS_MAX>(Field::Offsets)?;
    offsets.sort_unstable();
    offsets.dedup();
    let is_right = offsets.first().is_some_and(|first| *first != 0);
    if is_right { Ok(offsets) } else { Err(InvalidFieldError(Field::Offsets)) }
}

/// Visible ASCII: it goes into tags, logs and keys as it is.
fn is_message_id(text: &str) -> bool {
    (1..=MESSAGE_ID_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}
