//! How calls of the server API are counted: by method, and by what came of them.
//!
//! Deliberately absent: counting, and statuses (`api_listener`).

use crate::metrics::{BackendMethod, BackendOutcome};
use crate::wire::ErrorCode;
use crate::wire::api::{ApiAnswer, ApiMethod, ApiOperatorMethod, ApiRequestError};

/// What is counted of an answer.
pub(super) fn outcome(answer: &ApiAnswer<'_>) -> BackendOutcome {
    let code = match answer.error() {
        None => return BackendOutcome::Done,
        Some(ApiRequestError::Field(_)) => return BackendOutcome::Invalid,
        Some(ApiRequestError::Unfit(_) | ApiRequestError::Missing(_)) => {
            return BackendOutcome::Refused;
        }
        Some(ApiRequestError::Code(code)) => code,
    };
    match code {
        ErrorCode::PermissionDenied => BackendOutcome::Denied,
        ErrorCode::TooManyRequests => BackendOutcome::Busy,
        ErrorCode::Internal => BackendOutcome::Failed,
        ErrorCode::Unauthorized
        | ErrorCode::UnknownChannel
        | ErrorCode::MethodNotFound
        | ErrorCode::AlreadySubscribed
        | ErrorCode::LimitExceeded
        | ErrorCode::BadRequest
        | ErrorCode::NotAvailable
        | ErrorCode::TokenExpired
        | ErrorCode::Expired
        | ErrorCode::UnrecoverablePosition => BackendOutcome::Refused,
    }
}

/// How a method is counted.
pub(super) fn label(method: Option<ApiMethod>) -> BackendMethod {
    match method {
        None => BackendMethod::Unknown,
        Some(ApiMethod::Publish) => BackendMethod::Publish,
        Some(ApiMethod::Broadcast) => BackendMethod::Broadcast,
        Some(ApiMethod::Presence) => BackendMethod::Presence,
        Some(ApiMethod::PresenceStats) => BackendMethod::PresenceStats,
        Some(ApiMethod::History) => BackendMethod::History,
        Some(ApiMethod::HistoryRemove) => BackendMethod::HistoryRemove,
        Some(ApiMethod::Info) => BackendMethod::Info,
        Some(ApiMethod::Channels) => BackendMethod::Channels,
        Some(ApiMethod::Connections) => BackendMethod::Connections,
        Some(ApiMethod::Disconnect) => BackendMethod::Disconnect,
        Some(ApiMethod::Subscribe) => BackendMethod::Subscribe,
        Some(ApiMethod::Unsubscribe) => BackendMethod::Unsubscribe,
        Some(ApiMethod::Refresh) => BackendMethod::Refresh,
        Some(
            ApiMethod::BlockUser
            | ApiMethod::UnblockUser
            | ApiMethod::RevokeToken
            | ApiMethod::InvalidateUserTokens
            | ApiMethod::BlockAddress
            | ApiMethod::UnblockAddress
            | ApiMethod::Blocks,
        ) => BackendMethod::Blocks,
        Some(ApiMethod::Chat(_)) => BackendMethod::Chat,
        Some(ApiMethod::Operator(method)) => operator_label(method),
        Some(ApiMethod::Batch) => BackendMethod::Batch,
    }
}

fn operator_label(method: ApiOperatorMethod) -> BackendMethod {
    match method {
        ApiOperatorMethod::ConnectionsList => BackendMethod::Connections,
        ApiOperatorMethod::RoomsTop => BackendMethod::Channels,
        ApiOperatorMethod::DeadLettersList
        | ApiOperatorMethod::DeadLettersRequeue
        | ApiOperatorMethod::DeadLettersDrop => BackendMethod::DeadLetters,
        ApiOperatorMethod::QuarantineList
        | ApiOperatorMethod::QuarantineSet
        | ApiOperatorMethod::QuarantineLift => BackendMethod::Quarantine,
        ApiOperatorMethod::DrainStart | ApiOperatorMethod::DrainStatus => BackendMethod::Drain,
    }
}
