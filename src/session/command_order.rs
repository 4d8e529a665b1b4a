//! In which order what a client says about a channel takes effect: what waits for a subscribe
//! that is under way, and what passes because that was put off.
//!
//! Behind `connect` everything waits. Behind a subscribe only what is about the same
//! channel does: what concerns other channels, or none, is served at once. Where it was
//! refused with 111, what is not allowed without it is, too.
//!
//! Deliberately absent: the commands that wait (`backlog`).

use std::borrow::Cow;

use super::access::{Access, CommandResult};
use super::commands::chat_method;
use super::identity::Peer;
use super::names::conversation;
use super::publishing::{chat_type, unpublished};
use super::state::SessionState;
use super::subscribing::Membership;
use super::unanswered::Unanswered;
use super::{CommandError, Context, SessionOutput};
use crate::base::RoomId;
use crate::wire::chat::{self, ChatRequest};
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
    access: Access<'_>,
    unanswered: Unanswered,
    request: &Request<'_>,
) -> Option<RoomId> {
    let peer = access.peer();
    // A client's subscribe is a question with an id; the server's has a backlog.
    if unanswered.count() == 0 && !peer.has_backlogs() {
        return None;
    }
    let channel = channel_of(request, &peer.info().user)?;
    let room = cx.names.room(peer.tenant(), &channel);
    access.subscriptions().asked(room).map(|_| room)
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
            if is_deferred(cx, membership.access(), request) =>
        {
            return Err(ErrorCode::TooManyRequests.into());
        }
        (_, Ok(()) | Err(_)) => {}
    }
    done
}

/// A command was refused with 111 at once, because its client asks too much: what is counted
/// of it, and what that means to what comes behind.
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

/// A subscribe to this channel was refused with 111 at once.
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

/// Whether it is about a channel whose subscribe was put off, and nothing came of it.
fn is_deferred(cx: &Context<'_>, access: Access<'_>, request: &Request<'_>) -> bool {
    let peer = access.peer();
    let Some(deferred) = peer.deferred() else { return false };
    let Some(channel) = channel_of(request, &peer.info().user) else { return false };
    let room = cx.names.room(peer.tenant(), &channel);
    deferred.contains(room) && !access.subscriptions().contains(room)
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
    match chat_method(method)?.read(data).ok()? {
        ChatRequest::Publish { channel, .. }
        | ChatRequest::Ack { channel, .. }
        | ChatRequest::Read { channel, .. }
        | ChatRequest::Receipts { channel, .. }
        | ChatRequest::Members { channel, .. }
        | ChatRequest::Typing { channel }
        | ChatRequest::Retract { channel, .. }
        | ChatRequest::Edit { channel, .. }
        | ChatRequest::React { channel, .. }
        | ChatRequest::Reactions { channel, .. } => Some(channel),
        ChatRequest::Send { to, .. } => conversation(user, &to).map(Cow::Owned),
        ChatRequest::Rooms { .. } => None,
    }
}
