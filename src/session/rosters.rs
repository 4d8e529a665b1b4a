//! Chat methods about the members of a group, and of a member about the group.
//!
//! Deliberately absent: what a member's role allows (`room`), which only the group's home knows.

use std::sync::Arc;

use super::Context;
use super::command_out::CommandOut;
use super::peer_permissions::{ChannelTarget, CommandResult, PeerPermissions};
use super::publishing::{PublishParts, made_id, room_publish};
use crate::base::limits::MUTED_FOR_GOOD_UNIX_MS;
use crate::room::{
    IdSource, MuteRequest, PublishMode, RetractRight, RoomOp, RosterAuthority, RosterPage,
    RosterRequest,
};
use crate::wire::chat::{self, RosterAction};
use crate::wire::{ErrorCode, ID_TAG};

/// The members of a group shall be others.
pub(super) fn change(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    (action, member): (RosterAction, Option<&str>),
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = group(cx, permissions, channel)?;
    let own = Arc::clone(permissions.peer().info());
    if own.user.is_empty() {
        return Err(ErrorCode::PermissionDenied.into());
    }
    let user = member.unwrap_or(&own.user);
    let authority = authority(cx, permissions, &target);
    let parts = PublishParts {
        data: chat::nothing(),
        tags: vec![(ID_TAG.into(), made_id(&mut cx.random.ids))],
        chan_info: None,
        id_source: IdSource::Server,
        mode: PublishMode::Post,
        sent_at_unix_ms: None,
    };
    let publish = room_publish(cx, permissions, &target, parts);
    let (user, inbox) = (user.into(), permissions.inbox(cx, user));
    let request = RosterRequest { user, inbox, action, authority, publish };
    reply.send_request(target.room, RoomOp::ChangeRoster(Box::new(request)));
    Ok(())
}

/// Who the members of a group are.
pub(super) fn list(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    (after, count_max): (&str, u32),
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = group(cx, permissions, channel)?;
    let channel_key = permissions.channel_key_if_needed(&target);
    let asker = permissions.is_client().then(|| permissions.peer().info().user.clone());
    let page = RosterPage { channel_key, asker, after: after.into(), count_max };
    reply.send_request(target.room, RoomOp::Roster(Box::new(page)));
    Ok(())
}

/// A member mutes a group for itself: for so long, or for good; 0 takes that back.
pub(super) fn mute(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    mute_s: Option<u64>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = group(cx, permissions, channel)?;
    let user = &*permissions.peer().info().user;
    if user.is_empty() {
        return Err(ErrorCode::PermissionDenied.into());
    }
    let until_unix_ms = match mute_s {
        None => MUTED_FOR_GOOD_UNIX_MS,
        Some(0) => 0,
        Some(mute_s) => cx.now.unix_ms.saturating_add(mute_s.saturating_mul(1_000)),
    };
    let request = MuteRequest {
        channel_key: target.channel_key(),
        user: user.into(),
        inbox: permissions.inbox(cx, user),
        until_unix_ms,
    };
    reply.send_request(target.room, RoomOp::Mute(Box::new(request)));
    Ok(())
}

fn group<'c, 'r>(
    cx: &Context<'c>,
    permissions: PeerPermissions<'_>,
    channel: &'r str,
) -> Result<ChannelTarget<'c, 'r>, ErrorCode> {
    let target = permissions.target(cx, channel)?;
    if target.rules.is_group() { Ok(target) } else { Err(ErrorCode::NotAvailable) }
}

/// A backend admits whom it will, and what else it does as a user is for the user's role to allow,
/// unless it says that it moderates. A user moderates by its role alone, whatever a token says.
fn authority(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    target: &ChannelTarget<'_, '_>,
) -> RosterAuthority {
    if !permissions.is_client() {
        return match permissions.right(cx, target) {
            RetractRight::Moderator => RosterAuthority::Moderator,
            RetractRight::Author => RosterAuthority::Admitted,
        };
    }
    if permissions.may_begin_group(cx, target) {
        RosterAuthority::Entrant
    } else {
        RosterAuthority::Guest
    }
}
