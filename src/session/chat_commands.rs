//! The chat methods of a connected peer: messages, receipts, and questions about others.
//!
//! Deliberately absent: parsing (`wire::chat`), and the answers of rooms (`answers`).

use std::sync::Arc;

use super::command_out::CommandOut;
use super::names::{ChannelKind, conversation};
use super::peer_permissions::{CommandResult, PeerPermissions};
use super::presence::presence;
use super::publishing::{
    self, PublishArgs, PublishParts, chat_type, made_id, room_publish, unpublished,
};
use super::reactions;
use super::rights::MembershipStatus;
use super::rosters;
use super::{CommandError, Context, Effect, INBOX_NAMESPACE};
use crate::auth::PermissionSet;
use crate::base::RoomId;
use crate::metrics::ChatType;
use crate::room::{
    ChangeAction, ChangeRequest, ConversationsPage, IdSource, InboxDelivery, MembersPage,
    PublishMode, ReadMarkerUpdate, ReceiptsPage, RetractRight, RoomOp, ack_key,
};
use crate::store::MarkerPosition;
use crate::wire::chat::{self, ChatMessage, ChatRequest, Field, InvalidFieldError, Method};
use crate::wire::{ErrorCode, ID_TAG};

/// Serves a chat method, by its name without the prefix.
pub(super) fn serve(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    name: &str,
    data: &[u8],
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let method = Method::named(name).ok_or(ErrorCode::MethodNotFound)?;
    let verb = method.read(data).map_err(CommandError::from);
    let done = verb.as_ref().map_err(|refusal| *refusal);
    let done = done.and_then(|verb| serve_verb(cx, permissions, verb, reply));
    if let Err(refusal) = done
        && let Some(chat_type) = refused_type(cx, method, verb.as_ref().ok())
    {
        let result = unpublished(refusal.code());
        reply.outcome().count_unpublished(chat_type, result);
    }
    done
}

/// The chat type of the message that this method publishes, if it does.
fn refused_type(
    cx: &Context<'_>,
    method: Method,
    verb: Option<&ChatRequest<'_>>,
) -> Option<ChatType> {
    match method {
        Method::Publish => Some(match verb {
            Some(ChatRequest::Publish { channel, .. }) => chat_type(cx, channel),
            Some(_) | None => ChatType::Group,
        }),
        Method::Send => Some(ChatType::OneToOne),
        Method::Ack
        | Method::Read
        | Method::Receipts
        | Method::Rooms
        | Method::Members
        | Method::Typing
        | Method::Retract
        | Method::Edit
        | Method::React
        | Method::Reactions
        | Method::History
        | Method::Join
        | Method::Leave
        | Method::Invite
        | Method::Kick
        | Method::SetRole
        | Method::Roster
        | Method::Mute => None,
    }
}

/// Serves what was read.
pub(super) fn serve_verb(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    verb: &ChatRequest<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    match verb {
        ChatRequest::Publish { channel, said } => post(cx, permissions, channel, said, reply),
        ChatRequest::Send { to, said, ttl_s } => {
            send_to(cx, permissions, to, (said, *ttl_s), reply)
        }
        ChatRequest::Ack { channel, offset, took_ms } => {
            let room = mark(cx, permissions, channel, MarkerPosition::Delivered(*offset), reply)?;
            let key = ack_key(room, *offset);
            reply.effect(Effect::Acknowledged { key, took_ms: *took_ms });
            Ok(())
        }
        ChatRequest::Read { channel, offset } => {
            mark(cx, permissions, channel, MarkerPosition::Read(*offset), reply).map(drop)
        }
        ChatRequest::Typing { channel } => typing(cx, permissions, channel, reply),
        ChatRequest::Retract { channel, offset } => {
            retract(cx, permissions, channel, *offset, reply)
        }
        ChatRequest::Edit { channel, offset, said } => {
            edit(cx, permissions, channel, (*offset, said), reply)
        }
        ChatRequest::React { channel, offset, value } => {
            reactions::react(cx, permissions, channel, (*offset, value.as_deref()), reply)
        }
        // A question without an id needs no answer, and is not asked.
        ChatRequest::Receipts { .. }
        | ChatRequest::Rooms { .. }
        | ChatRequest::Members { .. }
        | ChatRequest::Reactions { .. }
        | ChatRequest::History { .. }
        | ChatRequest::Roster { .. }
            if reply.id() == 0 =>
        {
            Ok(())
        }
        ChatRequest::History { .. } => unreachable!("it is served with what waits for it"),
        ChatRequest::Receipts { channel, after, limit } => {
            receipts(cx, permissions, channel, (after, *limit), reply)
        }
        ChatRequest::Rooms { after, limit } => rooms(cx, permissions, after, *limit, reply),
        ChatRequest::Members { channel, after, limit } => {
            let page = MembersPage { after: *after, count_max: *limit };
            presence(cx, permissions, channel, RoomOp::Members(page), reply)
        }
        ChatRequest::ChangeRoster { channel, action, member } => {
            rosters::change(cx, permissions, channel, (*action, member.as_deref()), reply)
        }
        ChatRequest::Roster { channel, after, limit } => {
            rosters::list(cx, permissions, channel, (after, *limit), reply)
        }
        ChatRequest::Mute { channel, mute_s } => {
            rosters::mute(cx, permissions, channel, *mute_s, reply)
        }
        ChatRequest::Reactions { channel, offsets } => {
            reactions::reactions(cx, permissions, channel, offsets, reply)
        }
    }
}

fn post(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    said: &ChatMessage<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    let args = PublishArgs::of_chat(said, 0, &mut cx.random.ids);
    publishing::publish(cx, permissions, &target, args, reply)
}

fn send_to(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    to: &str,
    (said, ttl_s): (&ChatMessage<'_>, Option<u64>),
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let user = &*permissions.peer().info().user;
    // A user without a valid name has no conversations.
    if user.is_empty() || user.contains([',', '#']) {
        return Err(ErrorCode::PermissionDenied.into());
    }
    let channel = conversation(user, to).ok_or(InvalidFieldError(Field::To))?;
    let target = permissions.target(cx, &channel)?;
    let ttl_ms = ttl_s.map_or(0, |ttl_s| ttl_s.saturating_mul(1_000));
    let args = PublishArgs::of_chat(said, ttl_ms, &mut cx.random.ids);
    publishing::publish(cx, permissions, &target, args, reply)
}

fn mark(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    position: MarkerPosition,
    reply: &mut CommandOut<'_>,
) -> Result<RoomId, CommandError> {
    let target = permissions.target(cx, channel)?;
    permissions.check_reading(cx, &target)?;
    let info = permissions.peer().info();
    let user = named(&info.user)?;
    let update = ReadMarkerUpdate {
        channel_key: permissions.channel_key_if_needed(&target),
        info: Arc::clone(info),
        inbox: permissions.inbox(cx, user),
        position,
        other: target.kind.other_than(user).map(|other| permissions.inbox(cx, other)),
    };
    reply.send_request(target.room, RoomOp::AdvanceMarker(Box::new(update)));
    Ok(target.room)
}

fn receipts(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    (after, count_max): (&str, u32),
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    permissions.check_reading(cx, &target)?;
    let channel_key = permissions.channel_key_if_needed(&target);
    let page = ReceiptsPage { channel_key, after: after.into(), count_max };
    reply.send_request(target.room, RoomOp::Receipts(Box::new(page)));
    Ok(())
}

/// The user's personal channel has the list.
fn rooms(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    after: &str,
    count_max: u32,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let user = named(&permissions.peer().info().user)?;
    let channel = format!("{INBOX_NAMESPACE}{user}");
    // Without such a namespace there are none.
    let target = permissions.target(cx, &channel).map_err(|_| ErrorCode::NotAvailable)?;
    let (channel_key, user, after) = (target.channel_key(), user.into(), after.into());
    let page = ConversationsPage { channel_key, user, after, count_max };
    reply.send_request(target.room, RoomOp::Conversations(Box::new(page)));
    Ok(())
}

/// Subscribers may do it, and the two users of a conversation in any case: they may have got its
/// messages in their personal channels only. As a user for whom a backend speaks nobody subscribes.
fn typing(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    let is_there = match target.kind {
        ChannelKind::Conversation(_) => true,
        ChannelKind::Inbox(_) | ChannelKind::Open | ChannelKind::Listed(_) => {
            permissions.standing(target.room) == MembershipStatus::Subscribed
                || !permissions.is_client()
        }
    };
    if !is_there {
        return Err(ErrorCode::PermissionDenied.into());
    }
    permissions.check(cx, &target, target.rules.publish, PermissionSet::PUBLISH)?;
    let info = Arc::clone(permissions.peer().info());
    let inbox = target.kind.other_than(&info.user).map(|other| permissions.inbox(cx, other));
    reply.send_request(target.room, RoomOp::Typing(Arc::clone(&info)));
    if let Some(inbox) = inbox {
        // The other user may not be subscribed to the conversation now.
        let delivery = InboxDelivery::Typing { channel: Arc::from(channel), info };
        reply.send_request_unanswered(inbox, RoomOp::Deliver(Box::new(delivery)));
    }
    Ok(())
}

fn retract(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    offset: u64,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    let right = permissions.right(cx, &target);
    match right {
        RetractRight::Moderator if target.rules.keeps_history() => (),
        RetractRight::Moderator => return Err(ErrorCode::NotAvailable.into()),
        RetractRight::Author => permissions.check_reading(cx, &target)?,
    }
    let user = &*permissions.peer().info().user;
    let mode = match target.kind.other_than(user) {
        None => PublishMode::Post,
        Some(other) => {
            let (from, to) = (permissions.inbox(cx, user), permissions.inbox(cx, other));
            PublishMode::Send { from, to, ttl_ms: 0 }
        }
    };
    let (data, tag) = chat::retraction(offset);
    let parts = PublishParts {
        data,
        tags: vec![(ID_TAG.into(), made_id(&mut cx.random.ids)), tag],
        chan_info: None,
        id_source: IdSource::Server,
        mode,
        sent_at_unix_ms: None,
    };
    let publish = room_publish(cx, permissions, &target, parts);
    let request = ChangeRequest { offset, action: ChangeAction::Retract(right), publish };
    reply.send_request(target.room, RoomOp::Change(Box::new(request)));
    Ok(())
}

/// A user who may publish may edit its own messages.
fn edit(
    cx: &mut Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
    (offset, said): (u64, &ChatMessage<'_>),
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let target = permissions.target(cx, channel)?;
    let args = PublishArgs::of_chat(said, 0, &mut cx.random.ids).editing(offset);
    publishing::publish(cx, permissions, &target, args, reply)
}

/// Read markers are stored by user name.
fn named(user: &str) -> Result<&str, ErrorCode> {
    if user.is_empty() { Err(ErrorCode::PermissionDenied) } else { Ok(user) }
}
