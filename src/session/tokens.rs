//! What tokens mean for a session, and what a peer is told about one that is not good. Whether
//! one is blocked says `blocks::table`.
//!
//! Deliberately absent: signatures (`auth`), and permissions (`peer_permissions`).

use std::sync::Arc;

use super::identity::Peer;
use super::subscriptions::SubscribeTerms;
use super::{Context, Fault};
use crate::auth::{self, BackendGrant, ChannelClaims, Claims, TokenRecovery};
use crate::blocks::TokenStamp;
use crate::metrics::BlockKind;
use crate::wire::{ErrorCode, Payload};

/// Why a connect command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectCommandError {
    /// The client is told why, and can act on it.
    Refuse(ErrorCode),
    /// The session ends.
    Close(Fault),
}

/// The claims of a connection token, or those of a peer without one.
pub(super) fn authenticate(cx: &Context<'_>, token: &str) -> Result<Claims, ConnectCommandError> {
    if token.is_empty() {
        let open = cx.options.insecure || cx.options.anonymous;
        return if open {
            Ok(Claims::default())
        } else {
            Err(ConnectCommandError::Refuse(ErrorCode::Unauthorized))
        };
    }
    cx.keys.connection(token, cx.now.unix_s()).map_err(|fault| match fault.recovery() {
        TokenRecovery::FreshToken => ConnectCommandError::Refuse(ErrorCode::TokenExpired),
        TokenRecovery::RetryLater => ConnectCommandError::Refuse(ErrorCode::TooManyRequests),
        TokenRecovery::None => ConnectCommandError::Close(Fault::InvalidToken),
    })
}

/// Whether what a backend says in the place of a token has not ended.
pub(super) fn is_lasting(cx: &Context<'_>, grant: &BackendGrant) -> bool {
    !grant.is_expired && grant.expires_at_unix_s.is_none_or(|end| cx.now.unix_s() < end)
}

/// What blocks need to know of a token.
pub(super) fn stamp(
    cx: &Context<'_>,
    tenant: &str,
    id: &str,
    issued_unix_s: Option<u64>,
) -> TokenStamp {
    // A time after 2106 is then, and no token: that has the last second.
    let issued = issued_unix_s.unwrap_or(0).min(u64::from(u32::MAX) - 1);
    TokenStamp { id: cx.names.token_hash(tenant, id), issued_unix_s: issued as u32 }
}

/// Why a peer is kept out with this token, if it is.
pub(super) fn block_of(cx: &Context<'_>, peer: &Peer, token: TokenStamp) -> Option<BlockKind> {
    if cx.blocks.has_no_names() {
        return None;
    }
    let user = cx.names.user_hash(peer.tenant(), &peer.info().user);
    cx.blocks.refusal(cx.now.unix_s(), user, token)
}

/// The claims of a subscription token; `None` without one.
pub(super) fn channel_claims(
    cx: &Context<'_>,
    peer: &Peer,
    channel: &str,
    token: &str,
) -> Result<Option<ChannelClaims>, ErrorCode> {
    if token.is_empty() {
        return Ok(None);
    }
    let claims = cx.keys.subscription(token, cx.now.unix_s()).map_err(token_refusal)?;
    let client = peer.info().client.text();
    let fits = *claims.channel == *channel
        && claims.user == peer.info().user
        && claims.client.as_ref().is_none_or(|one| one.as_bytes() == client)
        && *claims.tenant == *peer.tenant();
    let is_good = fits && block_of(cx, peer, channel_stamp(cx, &claims)).is_none();
    if is_good { Ok(Some(claims)) } else { Err(ErrorCode::PermissionDenied) }
}

/// What blocks need to know of a subscription token.
pub(super) fn channel_stamp(cx: &Context<'_>, claims: &ChannelClaims) -> TokenStamp {
    stamp(cx, &claims.tenant, &claims.id, claims.issued_unix_s)
}

/// The error code for an invalid token of a connected peer.
pub(super) fn token_refusal(fault: auth::TokenError) -> ErrorCode {
    match fault.recovery() {
        TokenRecovery::FreshToken => ErrorCode::TokenExpired,
        TokenRecovery::RetryLater => ErrorCode::TooManyRequests,
        TokenRecovery::None => ErrorCode::PermissionDenied,
    }
}

/// Seconds until `end_unix_s`, at least one: 0 would mean never.
pub(super) fn left_s(cx: &Context<'_>, end_unix_s: u64) -> u32 {
    let left = end_unix_s.saturating_sub(cx.now.unix_s()).max(1);
    u32::try_from(left).unwrap_or(u32::MAX)
}

/// What the options of a verified token mean: information for others, and the rest.
pub(super) fn terms_of(options: auth::SubscribeOptions) -> (Option<Arc<Payload>>, SubscribeTerms) {
    let auth::SubscribeOptions { info, data, overrides, recover_since: _ } = options;
    let chan_info = info.map(|info| Arc::new(json_payload(info)));
    let data = data.map(|data| Box::new(payload(data)));
    (chan_info, SubscribeTerms { data, overrides })
}

/// Data of a verified token, or of a backend.
pub(super) fn payload(data: auth::SubscribeData) -> Payload {
    let auth::SubscribeData { bytes, is_json } = data;
    Payload { bytes: bytes::Bytes::from(bytes), is_json }
}

/// JSON of a verified token.
pub(super) fn json_payload(json: Box<[u8]>) -> Payload {
    Payload { bytes: bytes::Bytes::from(json), is_json: true }
}
