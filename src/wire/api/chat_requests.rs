//! What a backend does and reads as a user: the chat methods of clients, with the user beside their
//! fields.
//!
//! Deliberately absent: what they mean (`session`).

use std::borrow::Cow;
use std::fmt;

use super::fields::{ApiField, ApiFieldError};
use super::method::ApiChatMethod;
use super::user_requests::user;
use crate::wire::chat::{ChatRequest, InvalidFieldError};
use crate::wire::json_fields::JsonFields;

/// A chat method, called as a user.
#[derive(Debug, PartialEq)]
pub struct ApiChatCall<'a> {
    /// Which.
    pub method: ApiChatMethod,
    /// The user, who has a name.
    pub user: Cow<'a, str>,
    /// What is asked.
    pub request: ChatRequest<'a>,
    /// Whether a message may be taken back that is somebody else's.
    pub as_moderator: bool,
    /// The same, to be read where it is served.
    pub data: ApiChatData<'a>,
}

/// The body of a call, in which the data of its method is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ApiChatData<'a>(pub &'a [u8]);

/// What people say stands in no log.
impl fmt::Debug for ApiChatData<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiChatData(..)")
    }
}

/// Which channel a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiChatPlace<'c> {
    /// This one.
    Channel(&'c str),
    /// The conversation with this user.
    Conversation(&'c str),
    /// The user's personal channel.
    Inbox,
}

impl ApiChatCall<'_> {
    /// Which channel it is about.
    pub fn place(&self) -> ApiChatPlace<'_> {
        match &self.request {
            ChatRequest::Send { to, .. } => ApiChatPlace::Conversation(to),
            ChatRequest::Rooms { .. } => ApiChatPlace::Inbox,
            ChatRequest::Publish { channel, .. }
            | ChatRequest::Ack { channel, .. }
            | ChatRequest::Read { channel, .. }
            | ChatRequest::Receipts { channel, .. }
            | ChatRequest::Members { channel, .. }
            | ChatRequest::Typing { channel }
            | ChatRequest::Retract { channel, .. }
            | ChatRequest::Edit { channel, .. }
            | ChatRequest::React { channel, .. }
            | ChatRequest::Reactions { channel, .. } => ApiChatPlace::Channel(channel),
            ChatRequest::History { .. } => unreachable!("it is no method of backends"),
        }
    }
}

/// A call of this method.
pub(super) fn chat<'a>(
    method: ApiChatMethod,
    body: &'a [u8],
    fields: &JsonFields<'a, ApiField>,
) -> Result<ApiChatCall<'a>, ApiFieldError> {
    let user = user(fields)?;
    // Such a user has no conversations.
    if method == ApiChatMethod::Send && user.contains([',', '#']) {
        return Err(ApiFieldError(ApiField::User));
    }
    let request = method.method().read(body);
    let request = request.map_err(|InvalidFieldError(field)| ApiFieldError(field.into()))?;
    let as_moderator = method == ApiChatMethod::Retract && fields.flag(ApiField::AsModerator)?;
    Ok(ApiChatCall { method, user, request, as_moderator, data: ApiChatData(body) })
}
