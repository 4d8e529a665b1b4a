//! The order in which commands about a channel take effect: which of them wait for an unanswered
//! subscribe, and which are refused because that was.
//!
//! All commands wait for `connect`. Only commands about the same channel wait for a subscribe;
//! others are served at once. When it was refused with 111, commands that are not allowed without
//! it are refused with 111, too.
//!
//! Deliberately absent: the list of commands that wait (`backlog`).

use std::borrow::Cow;

use super::backlog::SubscribeOutcome;
use super::commands::chat_method;
use super::identity::Peer;
use super::names::conversation;
use super::open_commands::OpenCommandCount;
use super::peer_permissions::{CommandResult, PeerPermissions};
use super::publishing::{chat_type, unpublished};
use super::state::SessionState;
use super::subscribing::Membership;
use super::{CommandError, Context, SessionOutput};
use crate::base::RoomId;
use crate::wire::chat::{self, ChannelSince, ChatPlace, ChatRequest, Method};
use crate::wire::{ErrorCode, Request, SubscribeRequest};

/// Whether a command is one that clients send behind connect without waiting for it.
pub(super) fn may_follow_connect(id: u32, request: &Request<'_>) -> bool {
    match request {
        Request::Connect(_) | Request::Pong => false,
        Request::Send { .. } => true,
        Request::Subscribe(_)
        | Request::Unsubscribe { .. }
        | Request::Publish { .. }
        | Request::Presence { .. }
        | Request::PresenceStats { .. }
        | Request::History(_)
        | Request::Ping
        | Request::Rpc { .. }
        | Request::Refresh { .. }
        | Request::SubRefresh { .. }
        | Request::Unknown => id != 0,
    }
}

/// The room that has to answer a subscribe before this can be served.
pub(super) fn waits_for(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    open_commands: OpenCommandCount,
    request: &Request<'_>,
) -> Option<RoomId> {
    let peer = permissions.peer();
    // A client's subscribe has an id; that of the server has a backlog.
    if open_commands.count() == 0 && !peer.has_backlogs() && !peer.publishes() {
        return None;
    }
    let is_asked = |channel: &str| {
        let room = cx.names.room(peer.tenant(), channel);
        let waits = permissions.subscriptions().pending(room).is_some() || peer.publishes_in(room);
        waits.then_some(room)
    };
    match channel_of(request, &peer.info().user) {
        Some(channel) => is_asked(&channel),
        None => channels_of(request)?.iter().find_map(|one| is_asked(&one.channel)),
    }
}

/// Remembers what a subscribe came to. Behind one that was put off, what is not allowed is
/// put off, too, until that is asked again or given up.
pub(super) fn apply_deferred(
    cx: &Context<'_>,
    membership: &mut Membership<'_>,
    request: &Request<'_>,
    done: CommandResult,
) -> CommandResult {
    match (request, done) {
        (Request::Subscribe(SubscribeRequest { channel, .. }), _) => {
            forget_deferred(cx, membership.peer_mut(), channel);
            if done == Err(CommandError::Code(ErrorCode::TooManyRequests)) {
                defer_subscribe(cx, membership.peer_mut(), channel);
            }
        }
        (Request::Unsubscribe { channel }, Ok(())) => {
            forget_deferred(cx, membership.peer_mut(), channel);
        }
        (request, Err(CommandError::Code(ErrorCode::PermissionDenied)))
            if is_deferred(cx, membership.permissions(), request) =>
        {
            return Err(ErrorCode::TooManyRequests.into());
        }
        (_, Ok(()) | Err(_)) => {}
    }
    done
}

/// A command was refused with 111 because its client is over a quota: counts it, and notes what
/// that means for later commands.
pub(super) fn note_throttled(
    cx: &Context<'_>,
    state: &mut SessionState,
    request: &Request<'_>,
    out: &mut SessionOutput,
) {
    if let Request::Publish { channel, .. } = request {
        let result = unpublished(ErrorCode::TooManyRequests);
        out.count_unpublished(chat_type(cx, channel), result);
    }
    if let (Request::Subscribe(request), SessionState::Ready(peer)) = (request, state) {
        defer_subscribe(cx, peer, &request.channel);
    }
}

/// Notes that a subscribe to this channel was refused with 111.
fn defer_subscribe(cx: &Context<'_>, peer: &mut Peer, channel: &str) {
    let room = cx.names.room(peer.tenant(), channel);
    peer.deferred_mut().insert(room);
}

fn forget_deferred(cx: &Context<'_>, peer: &mut Peer, channel: &str) {
    if peer.deferred().is_some() {
        let room = cx.names.room(peer.tenant(), channel);
        peer.forget_deferred(room);
    }
}

/// The refusal of a command that has waited for a subscribe with this outcome.
pub(super) fn refusal_behind(
    done: CommandResult,
    outcome: SubscribeOutcome,
) -> Option<CommandError> {
    match (done.err()?, outcome) {
        (CommandError::Code(ErrorCode::PermissionDenied), SubscribeOutcome::Passing(code)) => {
            Some(code.into())
        }
        (refusal, SubscribeOutcome::Passing(_) | SubscribeOutcome::Settled) => Some(refusal),
    }
}

/// Whether it is about a channel whose subscribe was put off, and nothing came of it.
fn is_deferred(cx: &Context<'_>, permissions: PeerPermissions<'_>, request: &Request<'_>) -> bool {
    let peer = permissions.peer();
    if peer.deferred().is_none() {
        return false;
    }
    let channel = channel_of(request, &peer.info().user);
    channel.is_some_and(|channel| is_channel_deferred(cx, permissions, &channel))
}

/// Whether a subscribe to this channel was put off, and nothing came of it.
pub(super) fn is_channel_deferred(
    cx: &Context<'_>,
    permissions: PeerPermissions<'_>,
    channel: &str,
) -> bool {
    let peer = permissions.peer();
    peer.deferred().is_some_and(|deferred| {
        let room = cx.names.room(peer.tenant(), channel);
        deferred.contains(room) && !permissions.subscriptions().contains(room)
    })
}

/// The channels that a request is about, where it is about several.
fn channels_of<'r>(request: &'r Request<'_>) -> Option<Vec<ChannelSince<'r>>> {
    let Request::Rpc { method, data } = request else { return None };
    let method = chat_method(method).filter(|method| *method == Method::History)?;
    let Ok(ChatRequest::History { channels, .. }) = method.read(&data.bytes) else { return None };
    Some(channels)
}

/// The channel that a request is about.
fn channel_of<'r>(request: &'r Request<'_>, user: &str) -> Option<Cow<'r, str>> {
    match request {
        Request::Subscribe(request) => Some(Cow::Borrowed(&request.channel)),
        Request::History(request) => Some(Cow::Borrowed(&request.channel)),
        Request::Unsubscribe { channel }
        | Request::Publish { channel, .. }
        | Request::Presence { channel }
        | Request::PresenceStats { channel }
        | Request::SubRefresh { channel, .. } => Some(Cow::Borrowed(channel)),
        Request::Rpc { method, data } => channel_of_method(method, &data.bytes, user),
        Request::Send { data } => {
            let (method, data) = chat::call(&data.bytes)?;
            channel_of_method(&method, data, user)
        }
        Request::Connect(_)
        | Request::Ping
        | Request::Refresh { .. }
        | Request::Pong
        | Request::Unknown => None,
    }
}

fn channel_of_method<'r>(method: &str, data: &'r [u8], user: &str) -> Option<Cow<'r, str>> {
    match chat_method(method)?.read(data).ok()?.into_place() {
        ChatPlace::Channel(channel) => Some(channel),
        ChatPlace::Conversation(to) => conversation(user, &to).map(Cow::Owned),
        ChatPlace::Inbox | ChatPlace::Several => None,
    }
}
