//! What a backend asks by a call of the server API.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::block_requests::{self, ApiBlockCall, ApiBlocksPage};
use super::chat_requests::{self, ApiChatCall};
use super::fields::{ApiField, ApiFieldError};
use super::method::ApiMethod;
use super::operator_requests::{self, ApiOperatorCall};
use super::user_requests::{self, ApiUserCall, base64_data, channel};
use crate::base::limits::{
    API_CALLS_MAX, API_CHANNELS_MAX, API_TAGS_MAX, HISTORY_ANSWER_MAX, MESSAGE_ID_BYTES_MAX,
    NAME_BYTES_MAX,
};
use crate::wire::json_bounded::BoundedMembers;
use crate::wire::json_fields::JsonFields;
use crate::wire::json_values::JsonText;
use crate::wire::{Epoch, ErrorCode, Position, RawData, channel_is_valid, chat};

/// A call with its fields, which may be right.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields of the call, by their names")]
pub enum ApiCall<'a> {
    /// Publish a message in a channel.
    Publish { channel: Cow<'a, str>, message: ApiMessage<'a> },
    /// Publish the same in several.
    Broadcast { channels: Vec<Cow<'a, str>>, message: ApiMessage<'a> },
    /// List who is in a channel.
    Presence { channel: Cow<'a, str> },
    /// Count who is in a channel.
    PresenceStats { channel: Cow<'a, str> },
    /// Read what was published in a channel.
    History {
        channel: Cow<'a, str>,
        /// Largest number of messages; 0 for the position only.
        limit: u32,
        since: Option<Position>,
        /// Newest first.
        reverse: bool,
    },
    /// Remove what was published in a channel.
    HistoryRemove { channel: Cow<'a, str> },
    /// Tell the state of the server.
    Info,
    /// List the channels that somebody is in, and that fit a pattern.
    Channels { pattern: Cow<'a, str> },
    /// About the connections of a user.
    User(ApiUserCall<'a>),
    /// About who is kept out.
    Block(ApiBlockCall<'a>),
    /// List who is kept out.
    Blocks(ApiBlocksPage<'a>),
    /// A chat method, as a user.
    Chat(ApiChatCall<'a>),
    /// One of an operator's program.
    Operator(ApiOperatorCall<'a>),
    /// Several calls, in order, each with its own outcome.
    Batch(Vec<Result<ApiCall<'a>, ApiRequestError>>),
}

/// One call of a batch: its method, and the others that clients write as `null`.
type Command<'a> = BoundedMembers<JsonText<'a>, &'a RawValue, COMMAND_MEMBERS_MAX>;

/// Members of one command.
const COMMAND_MEMBERS_MAX: usize = 64;

/// Short texts by name.
type Tags = Vec<(Box<str>, Box<str>)>;

/// What is published.
#[derive(Debug, PartialEq)]
#[expect(missing_docs, reason = "the fields of the call, by their names")]
pub struct ApiMessage<'a> {
    pub data: RawData<'a>,
    pub tags: Tags,
    /// A message that is published again with the same key is published once.
    pub idempotency_key: Option<Box<str>>,
}

/// Why a body is no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiRequestError {
    /// This field is missing, or out of its range.
    Field(ApiField),
    /// This field is in its range, and nothing that there is fits it.
    Unfit(ApiField),
    /// There is nothing of the name or place in this field.
    Missing(ApiField),
    /// The call asks for what this server does not do.
    Code(ErrorCode),
}

impl From<ApiFieldError> for ApiRequestError {
    fn from(error: ApiFieldError) -> ApiRequestError {
        ApiRequestError::Field(error.0)
    }
}

type Fields<'a> = JsonFields<'a, ApiField>;

/// Reads the body of a call.
pub fn parse_call(method: ApiMethod, body: &[u8]) -> Result<ApiCall<'_>, ApiRequestError> {
    let fields = Fields::of(body)?;
    let call = match method {
        ApiMethod::Publish => {
            ApiCall::Publish { channel: channel(&fields)?, message: message(&fields)? }
        }
        ApiMethod::Broadcast => {
            ApiCall::Broadcast { channels: channels(&fields)?, message: message(&fields)? }
        }
        ApiMethod::Presence => ApiCall::Presence { channel: channel(&fields)? },
        ApiMethod::PresenceStats => ApiCall::PresenceStats { channel: channel(&fields)? },
        ApiMethod::History => ApiCall::History {
            channel: channel(&fields)?,
            limit: limit(&fields)?,
            since: since(&fields)?,
            reverse: fields.flag(ApiField::Reverse)?,
        },
        ApiMethod::HistoryRemove => ApiCall::HistoryRemove { channel: channel(&fields)? },
        ApiMethod::Info => ApiCall::Info,
        ApiMethod::Channels => ApiCall::Channels { pattern: pattern(&fields)? },
        ApiMethod::Connections => ApiCall::User(user_requests::connections(&fields)?),
        ApiMethod::Disconnect => ApiCall::User(user_requests::disconnect(&fields)?),
        ApiMethod::Subscribe => ApiCall::User(user_requests::subscribe(&fields)?),
        ApiMethod::Unsubscribe => ApiCall::User(user_requests::unsubscribe(&fields)?),
        ApiMethod::Refresh => ApiCall::User(user_requests::refresh(&fields)?),
        ApiMethod::BlockUser => ApiCall::Block(block_requests::block_user(&fields)?),
        ApiMethod::UnblockUser => ApiCall::Block(block_requests::unblock_user(&fields)?),
        ApiMethod::RevokeToken => ApiCall::Block(block_requests::revoke_token(&fields)?),
        ApiMethod::InvalidateUserTokens => {
            ApiCall::Block(block_requests::invalidate_user_tokens(&fields)?)
        }
        ApiMethod::BlockAddress => ApiCall::Block(block_requests::block_address(&fields)?),
        ApiMethod::UnblockAddress => ApiCall::Block(block_requests::unblock_address(&fields)?),
        ApiMethod::Blocks => ApiCall::Blocks(block_requests::blocks(&fields)?),
        ApiMethod::Batch => ApiCall::Batch(commands(&fields)?),
        ApiMethod::Chat(method) => ApiCall::Chat(chat_requests::chat(method, body, &fields)?),
        ApiMethod::Operator(method) => {
            ApiCall::Operator(operator_requests::operator(method, &fields)?)
        }
    };
    Ok(call)
}

/// A pattern in which a star stands for any text; none means all. What else means something in
/// the patterns of other servers is refused.
pub(super) fn pattern<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ApiFieldError> {
    let is_right = |pattern: &str| {
        pattern.is_empty()
            || channel_is_valid(pattern) && !pattern.contains(['?', '[', ']', '{', '}', '\\'])
    };
    let pattern = fields.text(ApiField::Pattern, is_right)?;
    Ok(pattern.filter(|pattern| !pattern.is_empty()).unwrap_or(Cow::Borrowed("*")))
}

/// At most `API_CHANNELS_MAX` names.
fn channels<'a>(fields: &Fields<'a>) -> Result<Vec<Cow<'a, str>>, ApiFieldError> {
    let wrong = ApiFieldError(ApiField::Channels);
    let names = fields.needed_list::<JsonText<'a>, API_CHANNELS_MAX>(wrong.0)?;
    let is_right = !names.is_empty() && names.iter().all(|JsonText(name)| channel_is_valid(name));
    is_right.then(|| names.into_iter().map(|JsonText(name)| name).collect()).ok_or(wrong)
}

fn message<'a>(fields: &Fields<'a>) -> Result<ApiMessage<'a>, ApiFieldError> {
    // What is published outside of the history has no place in the stream of a channel that
    // has one, and who recovers would not know that it was there.
    if fields.flag(ApiField::SkipHistory)? {
        return Err(ApiFieldError(ApiField::SkipHistory));
    }
    let is_key = |key: &str| {
        (1..=MESSAGE_ID_BYTES_MAX).contains(&key.len()) && !key.chars().any(char::is_control)
    };
    let idempotency_key = fields.text(ApiField::IdempotencyKey, is_key)?;
    Ok(ApiMessage {
        data: needed_data(fields)?,
        tags: tags(fields)?,
        idempotency_key: idempotency_key.map(|key| key.into_owned().into()),
    })
}

/// JSON, or any bytes in base64; one of the two.
fn needed_data<'a>(fields: &Fields<'a>) -> Result<RawData<'a>, ApiFieldError> {
    match base64_data(fields, ApiField::B64Data, ApiField::Data)? {
        Some(data) => Ok(data),
        None => fields.needed_data(ApiField::Data),
    }
}

/// At most `API_TAGS_MAX`, of which none is one that the server makes itself.
fn tags(fields: &Fields<'_>) -> Result<Tags, ApiFieldError> {
    let wrong = ApiFieldError(ApiField::Tags);
    let Some(raw) = fields.raw(wrong.0)? else { return Ok(Vec::new()) };
    let BoundedMembers::<Box<str>, Box<str>, API_TAGS_MAX>(mut tags) =
        serde_json::from_str(raw).map_err(|_| wrong)?;
    tags.sort_unstable();
    let is_right = |name: &str, text: &str| {
        !chat::is_own_tag(name)
            && (1..=NAME_BYTES_MAX).contains(&name.len())
            && text.len() <= NAME_BYTES_MAX
    };
    let is_each_once = tags.windows(2).all(|two| two[0].0 != two[1].0);
    let are_right = is_each_once && tags.iter().all(|(name, text)| is_right(name, text));
    are_right.then_some(tags).ok_or(wrong)
}

/// Absent: none, only the position. -1: as many as one answer holds.
fn limit(fields: &Fields<'_>) -> Result<u32, ApiFieldError> {
    match fields.raw(ApiField::Limit)? {
        None => Ok(0),
        Some("-1") => Ok(HISTORY_ANSWER_MAX),
        Some(_) => {
            let limit = fields.needed_number(ApiField::Limit, 0..=i32::MAX as u64)?;
            Ok(u32::try_from(limit).unwrap_or(HISTORY_ANSWER_MAX).min(HISTORY_ANSWER_MAX))
        }
    }
}

fn since(fields: &Fields<'_>) -> Result<Option<Position>, ApiFieldError> {
    let Some(raw) = fields.raw(ApiField::Since)? else { return Ok(None) };
    let fields = Fields::of(raw.as_bytes()).map_err(|_| ApiFieldError(ApiField::Since))?;
    let offset = fields.number(ApiField::Offset, 0..=u64::MAX)?.unwrap_or(0);
    let epoch = fields.text(ApiField::Epoch, |_| true)?.unwrap_or_default();
    Ok(Some(Position { offset, epoch: Epoch::parse(&epoch) }))
}

/// At most `API_CALLS_MAX`. A batch is in no batch.
fn commands<'a>(
    fields: &Fields<'a>,
) -> Result<Vec<Result<ApiCall<'a>, ApiRequestError>>, ApiFieldError> {
    let wrong = ApiFieldError(ApiField::Commands);
    let commands = fields.needed_list::<Command<'a>, API_CALLS_MAX>(wrong.0)?;
    let mut calls = Vec::with_capacity(commands.len());
    for BoundedMembers(command) in commands {
        let mut named = command.into_iter().filter(|(_, body)| body.get() != "null");
        let (Some((JsonText(name), body)), None) = (named.next(), named.next()) else {
            return Err(wrong);
        };
        let method = ApiMethod::from_name(&name).filter(|&method| method != ApiMethod::Batch);
        calls.push(match method {
            Some(method) => parse_call(method, body.get().as_bytes()),
            None => Err(ApiRequestError::Code(ErrorCode::MethodNotFound)),
        });
    }
    Ok(calls)
}
