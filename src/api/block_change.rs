//! From a call about who is kept out to the change that it means or the blocks that it wants to
//! see, and who may make it.
//!
//! Deliberately absent: what is blocked already.

use crate::auth::{ApiKey, ApiScope};
use crate::blocks::{AddressRange, BlockChange, BlockPage, BlockScope, BlockTarget, BlockTerms};
use crate::wire::ErrorCode;
use crate::wire::api::{
    ApiBlockCall, ApiBlockOp, ApiBlockTarget, ApiBlocksPage, ApiField, ApiRequestError,
};

/// The blocks that a call wants to see.
pub(super) fn block_page(
    key: &ApiKey,
    call: &ApiBlocksPage<'_>,
) -> Result<BlockPage, ApiRequestError> {
    let denied = ApiRequestError::Code(ErrorCode::PermissionDenied);
    if !key.scopes.contains(ApiScope::Blocks) {
        return Err(denied);
    }
    let kind = BlockTarget::kind_named(call.kind.name()).expect("both know the same kinds");
    let behind = BlockTarget::named(kind, key.tenant.clone(), &call.after);
    let behind = behind.ok_or(ApiRequestError::Field(ApiField::After))?;
    match (&behind, &*key.tenant) {
        (BlockTarget::Address(_), tenant) if !tenant.is_empty() => Err(denied),
        (
            BlockTarget::Address(_)
            | BlockTarget::User { .. }
            | BlockTarget::UserTokens { .. }
            | BlockTarget::Token { .. },
            _,
        ) => Ok(BlockPage { behind, scope: BlockScope::Tenant, limit: call.limit }),
    }
}

/// The change that a call means.
pub(super) fn block_change(
    key: &ApiKey,
    now_unix_s: u64,
    call: ApiBlockCall<'_>,
) -> Result<BlockChange, ApiRequestError> {
    let ApiBlockCall { method: _, target, op } = call;
    if !key.scopes.contains(ApiScope::Blocks) {
        return Err(ApiRequestError::Code(ErrorCode::PermissionDenied));
    }
    let tenant = key.tenant.clone();
    let target = match target {
        // All tenants have the same addresses.
        ApiBlockTarget::Address(_) if !tenant.is_empty() => {
            return Err(ApiRequestError::Code(ErrorCode::PermissionDenied));
        }
        ApiBlockTarget::Address(text) => {
            let range = AddressRange::parse(&text);
            BlockTarget::Address(range.ok_or(ApiRequestError::Field(ApiField::Address))?)
        }
        ApiBlockTarget::User(user) => BlockTarget::User { tenant, user: user.into() },
        ApiBlockTarget::UserTokens(user) => BlockTarget::UserTokens { tenant, user: user.into() },
        ApiBlockTarget::Token(id) => BlockTarget::Token { tenant, id: id.into() },
    };
    let terms = match op {
        ApiBlockOp::Unblock => None,
        ApiBlockOp::Block { until_unix_s, issued_before_unix_s } => {
            Some(BlockTerms { until_unix_s, issued_before_unix_s })
        }
    };
    let terms = terms.map(|terms| match (&target, terms.issued_before_unix_s) {
        (BlockTarget::UserTokens { .. }, 0) => BlockTerms {
            issued_before_unix_s: u32::try_from(now_unix_s).unwrap_or(u32::MAX),
            ..terms
        },
        (
            BlockTarget::UserTokens { .. }
            | BlockTarget::User { .. }
            | BlockTarget::Token { .. }
            | BlockTarget::Address(_),
            _,
        ) => terms,
    });
    if terms.is_some_and(|terms| !terms.holds(now_unix_s)) {
        return Err(ApiRequestError::Field(ApiField::ExpireAt));
    }
    Ok(BlockChange { target, terms })
}
