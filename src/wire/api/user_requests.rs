//! What a backend asks about the connections of a user, and fields that other calls have, too.
//!
//! Deliberately absent: whether the user has any.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::fields::{ApiField, ApiFieldError};
use super::method::ApiMethod;
use crate::base::ClientId;
use crate::base::limits::{
    API_WHITELIST_MAX, CLOSE_CODES_OF_OTHERS, CLOSE_REASON_BYTES_MAX, INFO_BYTES_MAX,
    NAME_BYTES_MAX,
};
use crate::wire::json_fields::JsonFields;
use crate::wire::json_values::JsonText;
use crate::wire::{RawData, channel_is_valid};

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
    /// Subscribe them.
    Subscribe {
        /// The channel.
        channel: Cow<'a, str>,
        /// What others there are told of them.
        info: Option<RawData<'a>>,
    },
    /// Unsubscribe them.
    Unsubscribe {
        /// The channel.
        channel: Cow<'a, str>,
    },
    /// Change when they expire.
    Refresh {
        /// Unix seconds; what is over expires at once.
        expire_at_unix_s: u64,
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
            ApiUserOp::Subscribe { .. } => ApiMethod::Subscribe,
            ApiUserOp::Unsubscribe { .. } => ApiMethod::Unsubscribe,
            ApiUserOp::Refresh { .. } => ApiMethod::Refresh,
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

/// A call of `subscribe`.
pub(super) fn subscribe<'a>(fields: &Fields<'a>) -> Result<ApiUserCall<'a>, ApiFieldError> {
    // Options that are not served; nobody shall believe that they were heeded.
    for field in [ApiField::RecoverSince, ApiField::Override, ApiField::Data] {
        if fields.raw(field)?.is_some() {
            return Err(ApiFieldError(field));
        }
    }
    fields.text(ApiField::B64Data, str::is_empty)?;
    about(fields, ApiUserOp::Subscribe { channel: channel(fields)?, info: info(fields)? })
}

/// A call of `unsubscribe`.
pub(super) fn unsubscribe<'a>(fields: &Fields<'a>) -> Result<ApiUserCall<'a>, ApiFieldError> {
    about(fields, ApiUserOp::Unsubscribe { channel: channel(fields)? })
}

/// A call of `refresh`, which says one of both: that they are expired, or when they will be.
pub(super) fn refresh<'a>(fields: &Fields<'a>) -> Result<ApiUserCall<'a>, ApiFieldError> {
    let expire_at = fields.number(ApiField::ExpireAt, 0..=u64::from(u32::MAX))?.unwrap_or(0);
    let expire_at_unix_s = match (fields.flag(ApiField::Expired)?, expire_at) {
        (true, _) => 0,
        (false, 0) => return Err(ApiFieldError(ApiField::ExpireAt)),
        (false, expire_at) => expire_at,
    };
    about(fields, ApiUserOp::Refresh { expire_at_unix_s })
}

/// The name of a channel.
pub(super) fn channel<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ApiFieldError> {
    fields.needed_text(ApiField::Channel, channel_is_valid)
}

/// What others are told of a connection in a channel: JSON, or any bytes in base64.
fn info<'a>(fields: &Fields<'a>) -> Result<Option<RawData<'a>>, ApiFieldError> {
    let info = match base64_data(fields, ApiField::B64Info, ApiField::Info)? {
        Some(info) => Some(info),
        None if fields.raw(ApiField::Info)?.is_some() => Some(fields.needed_data(ApiField::Info)?),
        None => None,
    };
    match info {
        Some(info) if INFO_BYTES_MAX < info.bytes.len() => Err(ApiFieldError(ApiField::Info)),
        info => Ok(info),
    }
}

/// Bytes in base64, where the same does not stand as JSON, too; empty ones are the same as none.
pub(super) fn base64_data<'a>(
    fields: &Fields<'a>,
    base64: ApiField,
    json: ApiField,
) -> Result<Option<RawData<'a>>, ApiFieldError> {
    let text = fields.text(base64, |_| true)?;
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bytes = BASE64_STANDARD.decode(&*text).map_err(|_| ApiFieldError(base64))?;
    let is_alone = fields.raw(json)?.is_none();
    let data = RawData { bytes: Cow::Owned(bytes), is_json: false };
    is_alone.then_some(Some(data)).ok_or(ApiFieldError(base64))
}

fn about<'a>(fields: &Fields<'a>, op: ApiUserOp<'a>) -> Result<ApiUserCall<'a>, ApiFieldError> {
    let user = user(fields)?;
    // Connections here have none: it is of transports that are not served.
    fields.text(ApiField::Session, str::is_empty)?;
    Ok(ApiUserCall { user, client: client_at(fields, ApiField::Client)?, op })
}

/// The name of a user.
pub(super) fn user<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ApiFieldError> {
    let is_name = |name: &str| {
        (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.chars().any(char::is_control)
    };
    fields.needed_text(ApiField::User, is_name)
}

/// The id of a connection; an empty one is the same as none.
pub(super) fn client_at(
    fields: &Fields<'_>,
    field: ApiField,
) -> Result<Option<ClientId>, ApiFieldError> {
    let text = fields.text(field, |_| true)?.unwrap_or_default();
    match (&*text, ClientId::parse(&text)) {
        ("", _) => Ok(None),
        (_, Some(client)) => Ok(Some(client)),
        (_, None) => Err(ApiFieldError(field)),
    }
}

/// Connections that stay, at most `API_WHITELIST_MAX`.
fn whitelist(fields: &Fields<'_>) -> Result<Vec<ClientId>, ApiFieldError> {
    let wrong = ApiFieldError(ApiField::Whitelist);
    let texts = fields.list::<JsonText<'_>, API_WHITELIST_MAX>(wrong.0)?.unwrap_or_default();
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
