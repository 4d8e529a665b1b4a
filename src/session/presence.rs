//! Requests for who is in a channel and for what was said there, of the protocol and of chat methods.
//!
//! Deliberately absent: the answer (`room`).

use super::command_out::CommandOut;
use super::peer_permissions::{CommandResult, PeerPermissions};
use super::{CommandError, Context};
use crate::auth::PermissionSet;
use crate::base::{RoomId, UserHash};
use crate::room::{HistoryPage, HistoryQuery, RoomOp};
use crate::wire::ErrorCode;

/// Requests the presence, if the peer may know it.
pub(super) fn presence(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    op: RoomOp,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    if !target.rules.presence {
        return Err(ErrorCode::NotAvailable.into());
    }
    permissions.check(cx, &target, target.rules.see_presence, PermissionSet::PRESENCE)?;
    reply.send_request(target.room, op);
    Ok(())
}

/// A page of what was said in a channel, where the peer may read that.
pub(super) fn history_page(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    query: HistoryQuery,
    reader: UserHash,
) -> Result<(RoomId, HistoryPage), CommandError> {
    let target = permissions.target(cx, channel)?;
    if !target.rules.keeps_history() {
        return Err(ErrorCode::NotAvailable.into());
    }
    permissions.check(cx, &target, target.rules.see_history, PermissionSet::HISTORY)?;
    let channel_key = permissions.channel_key_if_needed(&target);
    Ok((target.room, HistoryPage { channel_key, query, reader }))
}
