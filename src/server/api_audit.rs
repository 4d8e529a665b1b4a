//! What of a backend's call is written down: whom it keeps out or lets in, whose connections it
//! closes or changes, what it removes, what it does as a moderator, and what becomes of dead letters.
//! What is said and read is not.
//!
//! Deliberately absent: how many such calls there may be. The list that the console shows has a
//! bound, and the log a rate.

use crate::console::{AuditAction, AuditOutcome};
use crate::metrics::BackendOutcome;
use crate::wire::api::{
    ApiBlockCall, ApiBlockOp, ApiBlockTarget, ApiCall, ApiChatCall, ApiControlCall,
    ApiDeadLetterFate, ApiOperatorCall, ApiRequestError, ApiUserCall, ApiUserOp,
};
use crate::wire::chat::ChatRequest;

/// An act, and whom or what it is about.
pub(super) type ApiAct = (AuditAction, Box<str>);

/// The acts of a call, in order.
pub(super) fn acts_of(call: &Result<ApiCall<'_>, ApiRequestError>) -> Vec<ApiAct> {
    let mut acts = Vec::new();
    if let Ok(call) = call {
        collect(call, &mut acts);
    }
    acts
}

/// What became of them, as far as one word says it.
pub(super) fn act_outcome(outcome: BackendOutcome) -> AuditOutcome {
    match outcome {
        BackendOutcome::Done => AuditOutcome::Done,
        BackendOutcome::Denied => AuditOutcome::Refused("scope"),
        BackendOutcome::Invalid => AuditOutcome::Refused("malformed"),
        BackendOutcome::Refused => AuditOutcome::Refused("unknown"),
        BackendOutcome::Unauthorized => AuditOutcome::Refused("key"),
        BackendOutcome::Busy => AuditOutcome::Failed("busy"),
        BackendOutcome::Failed => AuditOutcome::Failed("unavailable"),
    }
}

fn collect(call: &ApiCall<'_>, acts: &mut Vec<ApiAct>) {
    match call {
        ApiCall::User(call) => acts.extend(user_act(call)),
        ApiCall::Block(call) => acts.push(block_act(call)),
        ApiCall::HistoryRemove { channel } => {
            acts.push((AuditAction::HistoryRemoved, (**channel).into()));
        }
        ApiCall::Chat(call) => acts.extend(chat_act(call)),
        ApiCall::Operator(call) => acts.extend(operator_act(call)),
        ApiCall::Batch(calls) => calls.iter().flatten().for_each(|call| collect(call, acts)),
        ApiCall::Publish { .. }
        | ApiCall::Broadcast { .. }
        | ApiCall::Presence { .. }
        | ApiCall::PresenceStats { .. }
        | ApiCall::History { .. }
        | ApiCall::Info
        | ApiCall::Channels { .. }
        | ApiCall::Blocks(_) => (),
    }
}

fn user_act(call: &ApiUserCall<'_>) -> Option<ApiAct> {
    let action = match &call.op {
        ApiUserOp::Connections => return None,
        ApiUserOp::Disconnect { .. } => AuditAction::UserDisconnected,
        ApiUserOp::Subscribe { .. } => AuditAction::UserSubscribed,
        ApiUserOp::Unsubscribe { .. } => AuditAction::UserUnsubscribed,
        ApiUserOp::Refresh { .. } => AuditAction::UserExpiryChanged,
    };
    Some((action, (*call.user).into()))
}

/// What a user does by the own right is said, and no act.
fn chat_act(call: &ApiChatCall<'_>) -> Option<ApiAct> {
    if !call.as_moderator {
        return None;
    }
    match &call.request {
        ChatRequest::Retract { channel, offset } => {
            Some((AuditAction::MessageRetracted, format!("{channel} {offset}").into()))
        }
        ChatRequest::ChangeRoster { channel, action: _, member: Some(member) } => {
            Some((AuditAction::GroupMemberChanged, format!("{channel} {member}").into()))
        }
        ChatRequest::ChangeRoster { member: None, .. }
        | ChatRequest::Publish { .. }
        | ChatRequest::Send { .. }
        | ChatRequest::Ack { .. }
        | ChatRequest::Read { .. }
        | ChatRequest::Receipts { .. }
        | ChatRequest::Rooms { .. }
        | ChatRequest::Members { .. }
        | ChatRequest::Typing { .. }
        | ChatRequest::Edit { .. }
        | ChatRequest::React { .. }
        | ChatRequest::Reactions { .. }
        | ChatRequest::History { .. }
        | ChatRequest::Roster { .. }
        | ChatRequest::Mute { .. } => None,
    }
}

fn operator_act(call: &ApiOperatorCall<'_>) -> Option<ApiAct> {
    match call {
        ApiOperatorCall::Connections(_)
        | ApiOperatorCall::Rooms(_)
        | ApiOperatorCall::DeadLetters(_) => None,
        ApiOperatorCall::Control(call) => control_act(call),
        ApiOperatorCall::ChangeDeadLetters(change) => {
            let action = match change.fate {
                ApiDeadLetterFate::Requeued { .. } => AuditAction::DeadLettersRequeued,
                ApiDeadLetterFate::Dropped => AuditAction::DeadLettersDropped,
            };
            let target = match change.offset {
                Some(offset) => format!("{} {offset}", change.channel),
                None => change.channel.to_string(),
            };
            Some((action, target.into()))
        }
    }
}

fn control_act(call: &ApiControlCall<'_>) -> Option<ApiAct> {
    match call {
        ApiControlCall::Quarantined | ApiControlCall::DrainStatus => None,
        ApiControlCall::Quarantine { prefix, .. } => {
            Some((AuditAction::PrefixQuarantined, (**prefix).into()))
        }
        ApiControlCall::Release { prefix } => {
            Some((AuditAction::PrefixReleased, (**prefix).into()))
        }
        ApiControlCall::Drain { .. } => Some((AuditAction::DrainBegun, "".into())),
    }
}

fn block_act(call: &ApiBlockCall<'_>) -> ApiAct {
    let is_block = matches!(call.op, ApiBlockOp::Block { .. });
    match &call.target {
        ApiBlockTarget::User(user) if is_block => (AuditAction::UserBlocked, (**user).into()),
        ApiBlockTarget::User(user) => (AuditAction::UserUnblocked, (**user).into()),
        ApiBlockTarget::UserTokens(user) => (AuditAction::UserTokensInvalidated, (**user).into()),
        ApiBlockTarget::Token(id) => (AuditAction::TokenRevoked, (**id).into()),
        ApiBlockTarget::Address(text) if is_block => (AuditAction::AddressBlocked, (**text).into()),
        ApiBlockTarget::Address(text) => (AuditAction::AddressUnblocked, (**text).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::api::{ApiChatMethod, ApiMethod, ApiOperatorMethod, parse_call};

    #[track_caller]
    fn check(method: ApiMethod, body: &str, want: &[(AuditAction, &str)]) {
        let acts = acts_of(&parse_call(method, body.as_bytes()));
        let found: Vec<(AuditAction, &str)> =
            acts.iter().map(|(action, target)| (*action, &**target)).collect();
        assert_eq!(found, want, "{body}");
    }

    #[test]
    fn who_is_kept_out_and_whose_connections_change_is_written_down() {
        let ann = r#"{"user":"ann"}"#;
        check(ApiMethod::BlockUser, ann, &[(AuditAction::UserBlocked, "ann")]);
        check(ApiMethod::UnblockUser, ann, &[(AuditAction::UserUnblocked, "ann")]);
        check(ApiMethod::Disconnect, ann, &[(AuditAction::UserDisconnected, "ann")]);
        check(ApiMethod::Connections, ann, &[]);
        check(ApiMethod::Info, "{}", &[]);
        let room = r#"{"channel":"room:1"}"#;
        check(ApiMethod::History, room, &[]);
        check(ApiMethod::HistoryRemove, room, &[(AuditAction::HistoryRemoved, "room:1")]);
        check(ApiMethod::BlockUser, "{}", &[]);
        check(ApiMethod::Publish, r#"{"channel":"room:1","data":{}}"#, &[]);
        let retract = ApiMethod::Chat(ApiChatMethod::Retract);
        check(retract, r#"{"user":"ann","channel":"room:1","offset":7}"#, &[]);
        check(
            retract,
            r#"{"user":"ann","channel":"room:1","offset":7,"as_moderator":true}"#,
            &[(AuditAction::MessageRetracted, "room:1 7")],
        );
        let kick = ApiMethod::Chat(ApiChatMethod::Kick);
        check(kick, r#"{"user":"ann","channel":"g:1","member":"ben"}"#, &[]);
        check(
            kick,
            r#"{"user":"ann","channel":"g:1","member":"ben","as_moderator":true}"#,
            &[(AuditAction::GroupMemberChanged, "g:1 ben")],
        );
        let join = ApiMethod::Chat(ApiChatMethod::Join);
        check(join, r#"{"user":"ann","channel":"g:1","as_moderator":true}"#, &[]);
        let operator = ApiMethod::Operator;
        check(operator(ApiOperatorMethod::ConnectionsList), ann, &[]);
        check(operator(ApiOperatorMethod::DeadLettersList), ann, &[]);
        let letters = r#"{"channel":"dm#a,b"}"#;
        let dropped = operator(ApiOperatorMethod::DeadLettersDrop);
        check(dropped, letters, &[(AuditAction::DeadLettersDropped, "dm#a,b")]);
        let requeued = operator(ApiOperatorMethod::DeadLettersRequeue);
        let letter = r#"{"channel":"dm#a,b","offset":7}"#;
        check(requeued, letter, &[(AuditAction::DeadLettersRequeued, "dm#a,b 7")]);
        let kind = r#"{"prefix":"~bot~go","hold_s":60}"#;
        let set = operator(ApiOperatorMethod::QuarantineSet);
        check(set, kind, &[(AuditAction::PrefixQuarantined, "~bot~go")]);
        let lift = operator(ApiOperatorMethod::QuarantineLift);
        check(lift, kind, &[(AuditAction::PrefixReleased, "~bot~go")]);
        let drain = operator(ApiOperatorMethod::DrainStart);
        check(drain, r#"{"instance":"node-1"}"#, &[(AuditAction::DrainBegun, "")]);
        check(operator(ApiOperatorMethod::DrainStatus), "{}", &[]);
        check(
            ApiMethod::Batch,
            r#"{"commands":[{"publish":{"channel":"room:1","data":{}}},
                {"block_address":{"address":"203.0.113.7"}},{"disconnect":{"user":"ben"}}]}"#,
            &[(AuditAction::AddressBlocked, "203.0.113.7"), (AuditAction::UserDisconnected, "ben")],
        );
    }
}
