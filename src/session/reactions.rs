//! Reactions of a peer, and requests for reactions.
//!
//! A peer that may read the history of a channel may do both: a reaction is about a message that
//! its user sees. It needs no permission to publish, because users who only read react, too.
//!
//! Deliberately absent: messages, and limits of reactions (`room`).

use std::sync::Arc;

use super::Context;
use super::command_out::CommandOut;
use super::peer_permissions::{ChannelTarget, CommandResult, PeerPermissions};
use crate::auth::PermissionSet;
use crate::room::{Reaction, ReactionsPage, RoomOp};
use crate::wire::ErrorCode;

/// Sets or removes a reaction.
pub(super) fn react(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    (offset, value): (u64, Option<&str>),
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    check(cx, permissions, &target)?;
    let info = permissions.peer().info();
    if info.user.is_empty() {
        return Err(ErrorCode::PermissionDenied.into());
    }
    let other = target.kind.other_than(&info.user);
    let reaction = Reaction {
        channel_key: permissions.channel_key_if_needed(&target),
        info: Arc::clone(info),
        user: reply.user(),
        offset,
        value: value.map(Into::into),
        parties: other
            .map(|other| [permissions.inbox(cx, &info.user), permissions.inbox(cx, other)]),
    };
    reply.send_request(target.room, RoomOp::React(Box::new(reaction)));
    Ok(())
}

/// Requests the reactions to messages.
pub(super) fn reactions(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    offsets: &[u64],
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    check(cx, permissions, &target)?;
    let page = ReactionsPage {
        channel_key: permissions.channel_key_if_needed(&target),
        offsets: offsets.into(),
        reader: reply.user(),
    };
    reply.send_request(target.room, RoomOp::Reactions(Box::new(page)));
    Ok(())
}

/// Whether the peer may read the history, and there is one.
fn check(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    target: &ChannelTarget<'_, '_>,
) -> CommandResult {
    if !target.rules.keeps_history() {
        return Err(ErrorCode::NotAvailable.into());
    }
    permissions.check(cx, target, target.rules.see_history, PermissionSet::HISTORY)
}
