//! Calls about the server itself: what they ask of the control thread, and what they are answered.
//!
//! Deliberately absent: doing it (`server`).

use super::questions::{ControlAsk, ControlError, ControlOutcome, ControlReply, Questions};
use crate::auth::{ApiKey, ApiScope};
use crate::wire::ErrorCode;
use crate::wire::api::{
    ApiAnswer, ApiControlCall, ApiField, ApiMethod, ApiOperatorAnswer, ApiOperatorMethod,
    ApiRequestError,
};

/// Asks for it; the method, and the question's index.
pub(super) fn ask_control(
    key: &ApiKey,
    call: ApiControlCall<'_>,
    questions: &mut Questions,
) -> Result<(ApiOperatorMethod, usize), ErrorCode> {
    let (method, scope, ask) = match call {
        ApiControlCall::Quarantined => {
            (ApiOperatorMethod::QuarantineList, ApiScope::Quarantine, ControlAsk::Quarantined)
        }
        ApiControlCall::Quarantine { prefix, hold_s } => {
            let hold_ms = hold_s.map(|hold_s| hold_s * 1_000);
            let ask = ControlAsk::Quarantine { prefix: prefix.into(), hold_ms };
            (ApiOperatorMethod::QuarantineSet, ApiScope::Quarantine, ask)
        }
        ApiControlCall::Release { prefix } => {
            let ask = ControlAsk::Release { prefix: prefix.into() };
            (ApiOperatorMethod::QuarantineLift, ApiScope::Quarantine, ask)
        }
        ApiControlCall::Drain { instance } => {
            let ask = ControlAsk::Drain { instance: instance.into() };
            (ApiOperatorMethod::DrainStart, ApiScope::Drain, ask)
        }
        ApiControlCall::DrainStatus => {
            (ApiOperatorMethod::DrainStatus, ApiScope::Drain, ControlAsk::DrainStatus)
        }
    };
    // The server is that of all tenants.
    if !key.scopes.contains(scope) || !key.tenant.is_empty() {
        return Err(ErrorCode::PermissionDenied);
    }
    Ok((method, questions.ask_control(ask)?))
}

/// What came of it, as it is told.
pub(super) fn told_control(method: ApiOperatorMethod, outcome: &ControlOutcome) -> ApiAnswer<'_> {
    let told = match outcome {
        Ok(ControlReply::Done) => ApiOperatorAnswer::Done,
        Ok(ControlReply::Quarantined(prefixes)) => ApiOperatorAnswer::Quarantined(prefixes),
        Ok(ControlReply::Drain(status)) => ApiOperatorAnswer::Drain(*status),
        Err(error) => return ApiAnswer::Error(error_of(method, *error)),
    };
    ApiAnswer::Operator(ApiMethod::Operator(method), told)
}

fn error_of(method: ApiOperatorMethod, error: ControlError) -> ApiRequestError {
    let field = match method {
        ApiOperatorMethod::DrainStart => ApiField::Instance,
        ApiOperatorMethod::QuarantineList
        | ApiOperatorMethod::QuarantineSet
        | ApiOperatorMethod::QuarantineLift
        | ApiOperatorMethod::DrainStatus
        | ApiOperatorMethod::ConnectionsList
        | ApiOperatorMethod::RoomsTop
        | ApiOperatorMethod::DeadLettersList
        | ApiOperatorMethod::DeadLettersRequeue
        | ApiOperatorMethod::DeadLettersDrop => ApiField::Prefix,
    };
    match error {
        ControlError::Missing => ApiRequestError::Missing(field),
        ControlError::Full => ApiRequestError::Code(ErrorCode::LimitExceeded),
        ControlError::Busy => ApiRequestError::Code(ErrorCode::TooManyRequests),
        ControlError::Failed => ApiRequestError::Code(ErrorCode::Internal),
    }
}
