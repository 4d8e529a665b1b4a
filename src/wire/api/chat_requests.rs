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
    /// Whether it is done whatever the user's own right or role is.
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
    let as_moderator = method.may_moderate() && fields.flag(ApiField::AsModerator)?;
    Ok(ApiChatCall { method, user, request, as_moderator, data: ApiChatData(body) })
}
