//! What a backend asks about the connections of a user.
//!
//! Deliberately absent: whether the user has any.

use std::borrow::Cow;

use super::fields::{ApiField, ApiFieldError};
use super::method::ApiMethod;
use crate::base::ClientId;
use crate::base::limits::{
    API_WHITELIST_MAX, CLOSE_CODES_OF_OTHERS, CLOSE_REASON_BYTES_MAX, NAME_BYTES_MAX,
};
use crate::wire::json_bounded::BoundedList;
use crate::wire::json_fields::JsonFields;
use crate::wire::json_values::JsonText;

type Fields<'a> = JsonFields<'a, ApiField>;

/// A call about the connections of a user.
#[derive(Debug, PartialEq)]
pub struct ApiUserCall<'a> {
    /// The user, who has a name.
    pub user: Cow<'a, str>,
    /// This connection alone; `None` for all of the user's.
    pub client: Option<ClientId>,
    /// What is asked.
    pub op: ApiUserOp<'a>,
}

/// What is asked about connections.
#[derive(Debug, PartialEq)]
pub enum ApiUserOp<'a> {
    /// List them.
    Connections,
    /// Close them.
    Disconnect {
        /// Those that stay.
        kept: Vec<ClientId>,
        /// How they are closed.
        close: ApiClose<'a>,
    },
}

/// A close frame that a backend has chosen.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiClose<'a> {
    /// Its code; `None` for the usual one.
    pub code: Option<u16>,
    /// Its reason; empty for the usual one, where there is no code either.
    pub reason: Cow<'a, str>,
}

impl ApiUserOp<'_> {
    /// The method that asks this.
    pub fn method(&self) -> ApiMethod {
        match self {
            ApiUserOp::Connections => ApiMethod::Connections,
            ApiUserOp::Disconnect { .. } => ApiMethod::Disconnect,
        }
    }
}

/// A call of `connections`.
pub(super) fn connections<'a>(fields: &Fields<'a>) -> Result<ApiUserCall<'a>, ApiFieldError> {
    // A filter in a language of its own, which is not served; clients send it empty.
    fields.text(ApiField::Expression, str::is_empty)?;
    about(fields, ApiUserOp::Connections)
}

/// A call of `disconnect`.
pub(super) fn disconnect<'a>(fields: &Fields<'a>) -> Result<ApiUserCall<'a>, ApiFieldError> {
    about(fields, ApiUserOp::Disconnect { kept: whitelist(fields)?, close: close(fields)? })
}

fn about<'a>(fields: &Fields<'a>, op: ApiUserOp<'a>) -> Result<ApiUserCall<'a>, ApiFieldError> {
    let is_name = |name: &str| {
        (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    let user = fields.needed_text(ApiField::User, is_name)?;
    // Connections here have none: it is of transports that are not served.
    fields.text(ApiField::Session, str::is_empty)?;
    Ok(ApiUserCall { user, client: client(fields)?, op })
}

/// The id of a connection; an empty one is the same as none.
fn client(fields: &Fields<'_>) -> Result<Option<ClientId>, ApiFieldError> {
    let text = fields.text(ApiField::Client, |_| true)?.unwrap_or_default();
    match (&*text, ClientId::parse(&text)) {
        ("", _) => Ok(None),
        (_, Some(client)) => Ok(Some(client)),
        (_, None) => Err(ApiFieldError(ApiField::Client)),
    }
}

/// Connections that stay, at most `API_WHITELIST_MAX`.
fn whitelist(fields: &Fields<'_>) -> Result<Vec<ClientId>, ApiFieldError> {
    let wrong = ApiFieldError(ApiField::Whitelist);
    let Some(raw) = fields.raw(wrong.0)? else { return Ok(Vec::new()) };
    let BoundedList::<JsonText<'_>, API_WHITELIST_MAX>(texts) =
        serde_json::from_str(raw).map_err(|_| wrong)?;
    texts.iter().map(|JsonText(text)| ClientId::parse(text).ok_or(wrong)).collect()
}

/// A code that clients know, or of applications, and a reason that fits into the frame.
fn close<'a>(fields: &Fields<'a>) -> Result<ApiClose<'a>, ApiFieldError> {
    let usual = ApiClose { code: None, reason: Cow::Borrowed("") };
    let Some(raw) = fields.raw(ApiField::Disconnect)? else { return Ok(usual) };
    let wrong = ApiFieldError(ApiField::Disconnect);
    let fields = Fields::of(raw.as_bytes()).map_err(|_| wrong)?;
    let code = fields.number(ApiField::Code, 0..=u64::from(u16::MAX))?;
    let code = code.and_then(|code| u16::try_from(code).ok()).filter(|&code| code != 0);
    if code.is_some_and(|code| !CLOSE_CODES_OF_OTHERS.contains(&code)) {
        return Err(ApiFieldError(ApiField::Code));
    }
    let is_reason =
        |text: &str| text.len() <= CLOSE_REASON_BYTES_MAX && !text.chars().any(char::is_control);
    let reason = fields.text(ApiField::Reason, is_reason)?.unwrap_or_default();
    Ok(ApiClose { code, reason })
}
