//! What a backend asks about who is kept out: users, tokens and addresses.
//!
//! Deliberately absent: what an address is, and whether a time is over (`api`).

use std::borrow::Cow;

use super::fields::{ApiField, ApiFieldError};
use super::method::ApiMethod;
use super::user_requests::user;
use crate::base::limits::{API_BLOCKS_LISTED_DEFAULT, API_BLOCKS_LISTED_MAX, BLOCK_NAME_BYTES_MAX};
use crate::wire::json_fields::JsonFields;

type Fields<'a> = JsonFields<'a, ApiField>;

/// What a block is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the kind of that name")]
pub enum ApiBlockKind {
    User,
    UserTokens,
    Token,
    Address,
}

impl ApiBlockKind {
    /// All of them.
    pub const ALL: [ApiBlockKind; 4] =
        [ApiBlockKind::User, ApiBlockKind::UserTokens, ApiBlockKind::Token, ApiBlockKind::Address];

    /// Its word in a call.
    pub fn name(self) -> &'static str {
        match self {
            ApiBlockKind::User => "user",
            ApiBlockKind::UserTokens => "user_tokens",
            ApiBlockKind::Token => "token",
            ApiBlockKind::Address => "address",
        }
    }

    /// The kind of this word.
    fn from_name(name: &str) -> Option<ApiBlockKind> {
        ApiBlockKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A call of `blocks`: who is kept out, of one kind.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiBlocksPage<'a> {
    /// The kind.
    pub kind: ApiBlockKind,
    /// The name behind which the page begins; empty for the first page.
    pub after: Cow<'a, str>,
    /// How many at most.
    pub limit: usize,
}

/// A call about who is kept out.
#[derive(Debug, PartialEq, Eq)]
pub struct ApiBlockCall<'a> {
    /// The method.
    pub method: ApiMethod,
    /// Whom or what it is about.
    pub target: ApiBlockTarget<'a>,
    /// What it asks.
    pub op: ApiBlockOp,
}

/// Whom or what a call is about.
#[derive(Debug, PartialEq, Eq)]
pub enum ApiBlockTarget<'a> {
    /// A user.
    User(Cow<'a, str>),
    /// The tokens of a user that are from before a time.
    UserTokens(Cow<'a, str>),
    /// A token, by its own id.
    Token(Cow<'a, str>),
    /// An address or a range of them, as it was written.
    Address(Cow<'a, str>),
}

/// What a call asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiBlockOp {
    /// To block.
    Block {
        /// Until then, Unix seconds; 0 for good.
        until_unix_s: u32,
        /// Of a user's tokens those from before this time, Unix seconds; 0 for now.
        issued_before_unix_s: u32,
    },
    /// To block no more.
    Unblock,
}

impl<'a> ApiBlockCall<'a> {
    fn block(
        method: ApiMethod,
        target: ApiBlockTarget<'a>,
        fields: &Fields<'a>,
    ) -> Result<ApiBlockCall<'a>, ApiFieldError> {
        let until_unix_s = time(fields, ApiField::ExpireAt)?;
        let op = ApiBlockOp::Block { until_unix_s, issued_before_unix_s: 0 };
        Ok(ApiBlockCall { method, target, op })
    }
}

/// A call of `block_user`.
pub(super) fn block_user<'a>(fields: &Fields<'a>) -> Result<ApiBlockCall<'a>, ApiFieldError> {
    let target = ApiBlockTarget::User(user(fields)?);
    ApiBlockCall::block(ApiMethod::BlockUser, target, fields)
}

/// A call of `unblock_user`.
pub(super) fn unblock_user<'a>(fields: &Fields<'a>) -> Result<ApiBlockCall<'a>, ApiFieldError> {
    let (target, op) = (ApiBlockTarget::User(user(fields)?), ApiBlockOp::Unblock);
    Ok(ApiBlockCall { method: ApiMethod::UnblockUser, target, op })
}

/// A call of `revoke_token`.
pub(super) fn revoke_token<'a>(fields: &Fields<'a>) -> Result<ApiBlockCall<'a>, ApiFieldError> {
    let is_id = |id: &str| (1..=BLOCK_NAME_BYTES_MAX).contains(&id.len());
    let target = ApiBlockTarget::Token(fields.needed_text(ApiField::Uid, is_id)?);
    ApiBlockCall::block(ApiMethod::RevokeToken, target, fields)
}

/// A call of `invalidate_user_tokens`.
pub(super) fn invalidate_user_tokens<'a>(
    fields: &Fields<'a>,
) -> Result<ApiBlockCall<'a>, ApiFieldError> {
    // An option that is not served; nobody shall believe that it was heeded.
    fields.text(ApiField::Channel, str::is_empty)?;
    let target = ApiBlockTarget::UserTokens(user(fields)?);
    let op = ApiBlockOp::Block {
        until_unix_s: time(fields, ApiField::ExpireAt)?,
        issued_before_unix_s: time(fields, ApiField::IssuedBefore)?,
    };
    Ok(ApiBlockCall { method: ApiMethod::InvalidateUserTokens, target, op })
}

/// A call of `block_address`.
pub(super) fn block_address<'a>(fields: &Fields<'a>) -> Result<ApiBlockCall<'a>, ApiFieldError> {
    let target = ApiBlockTarget::Address(address(fields)?);
    ApiBlockCall::block(ApiMethod::BlockAddress, target, fields)
}

/// A call of `unblock_address`.
pub(super) fn unblock_address<'a>(fields: &Fields<'a>) -> Result<ApiBlockCall<'a>, ApiFieldError> {
    let (target, op) = (ApiBlockTarget::Address(address(fields)?), ApiBlockOp::Unblock);
    Ok(ApiBlockCall { method: ApiMethod::UnblockAddress, target, op })
}

/// A call of `blocks`.
pub(super) fn blocks<'a>(fields: &Fields<'a>) -> Result<ApiBlocksPage<'a>, ApiFieldError> {
    let fits = |text: &str| text.len() <= BLOCK_NAME_BYTES_MAX;
    let limit = fields.number(ApiField::Limit, 1..=API_BLOCKS_LISTED_MAX as u64)?;
    let kind = fields.needed_text(ApiField::Kind, |_| true)?;
    Ok(ApiBlocksPage {
        kind: ApiBlockKind::from_name(&kind).ok_or(ApiFieldError(ApiField::Kind))?,
        after: fields.text(ApiField::After, fits)?.unwrap_or_default(),
        limit: limit.map_or(API_BLOCKS_LISTED_DEFAULT, |limit| limit as usize),
    })
}

fn address<'a>(fields: &Fields<'a>) -> Result<Cow<'a, str>, ApiFieldError> {
    fields.needed_text(ApiField::Address, |text| text.len() <= BLOCK_NAME_BYTES_MAX)
}

/// Unix seconds; absent is the same as 0.
fn time(fields: &Fields<'_>, field: ApiField) -> Result<u32, ApiFieldError> {
    let time = fields.number(field, 0..=u64::from(u32::MAX))?.unwrap_or(0);
    Ok(u32::try_from(time).expect("it is in its range"))
}
