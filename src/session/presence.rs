//! Presence requests, of the protocol and of chat methods.
//!
//! Deliberately absent: the answer (`room`).

use super::Context;
use super::command_out::CommandOut;
use super::peer_permissions::{CommandResult, PeerPermissions};
use crate::auth::PermissionSet;
use crate::room::RoomOp;
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
