//! Dispatches the requests of a connected peer to the functions that serve them.
//!
//! Deliberately absent: whether a request is served now (`machine`, `command_order`).

use super::command_out::CommandOut;
use super::commands::{self, chat_method};
use super::peer_permissions::CommandResult;
use super::subscribing::Membership;
use super::{Context, CorePace, histories, refresh};
use crate::wire::chat::Method;
use crate::wire::{ErrorCode, Request};

/// A request of a connected peer.
pub(super) fn serve(
    cx: &mut Context<'_>,
    membership: &mut Membership<'_>,
    request: &Request<'_>,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    match request {
        // Live traffic goes first. It is not counted as a mistake of the client.
        Request::Subscribe(_) if cx.load.pace == CorePace::FarBehind => {
            Err(ErrorCode::TooManyRequests.into())
        }
        Request::Subscribe(request) => membership.subscribe(cx, request, reply),
        Request::Unsubscribe { channel } => membership.unsubscribe(cx, channel, reply),
        Request::Refresh { token } => refresh::refresh(membership, cx, token, reply),
        Request::SubRefresh { channel, token } => membership.sub_refresh(cx, channel, token, reply),
        Request::Rpc { method, data } if chat_method(method) == Some(Method::History) => {
            histories::serve(cx, membership, &data.bytes, reply)
        }
        Request::Publish { .. }
        | Request::Presence { .. }
        | Request::PresenceStats { .. }
        | Request::History(_)
        | Request::Ping
        | Request::Rpc { .. }
        | Request::Send { .. }
        | Request::Unknown => commands::serve(cx, membership.permissions(), request, reply),
        // Both are served before a request gets here.
        Request::Connect(_) | Request::Pong => Ok(()),
    }
}
