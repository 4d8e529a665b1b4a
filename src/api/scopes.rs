//! Which scope a key needs for which method. `plan` asks each key for it; the tests hold both
//! against each other.
//!
//! Deliberately absent: channels and tenants.

use crate::auth::ApiScope;
use crate::wire::api::{ApiMethod, ApiOperatorMethod};

/// The scope without which a method is refused; a batch needs those of its calls.
pub fn scope_of(method: ApiMethod) -> Option<ApiScope> {
    match method {
        ApiMethod::Publish | ApiMethod::Broadcast => Some(ApiScope::Publish),
        ApiMethod::Presence | ApiMethod::PresenceStats => Some(ApiScope::Presence),
        ApiMethod::History => Some(ApiScope::History),
        ApiMethod::HistoryRemove => Some(ApiScope::HistoryRemove),
        ApiMethod::Info => Some(ApiScope::Info),
        ApiMethod::Channels => Some(ApiScope::Channels),
        ApiMethod::Connections
        | ApiMethod::Disconnect
        | ApiMethod::Subscribe
        | ApiMethod::Unsubscribe
        | ApiMethod::Refresh => Some(ApiScope::Connections),
        ApiMethod::BlockUser
        | ApiMethod::UnblockUser
        | ApiMethod::RevokeToken
        | ApiMethod::InvalidateUserTokens
        | ApiMethod::BlockAddress
        | ApiMethod::UnblockAddress
        | ApiMethod::Blocks => Some(ApiScope::Blocks),
        ApiMethod::Chat(_) => Some(ApiScope::Chat),
        ApiMethod::Operator(ApiOperatorMethod::ConnectionsList) => Some(ApiScope::Connections),
        ApiMethod::Operator(ApiOperatorMethod::RoomsTop) => Some(ApiScope::Channels),
        ApiMethod::Operator(
            ApiOperatorMethod::DeadLettersList
            | ApiOperatorMethod::DeadLettersRequeue
            | ApiOperatorMethod::DeadLettersDrop,
        ) => Some(ApiScope::DeadLetters),
        ApiMethod::Operator(
            ApiOperatorMethod::QuarantineList
            | ApiOperatorMethod::QuarantineSet
            | ApiOperatorMethod::QuarantineLift,
        ) => Some(ApiScope::Quarantine),
        ApiMethod::Operator(ApiOperatorMethod::DrainStart | ApiOperatorMethod::DrainStatus) => {
            Some(ApiScope::Drain)
        }
        ApiMethod::Batch => None,
    }
}
