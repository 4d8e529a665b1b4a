//! Connections that are about to expire, where the application's backend says whether they may
//! stay. While it is asked, and where it does not answer, the connection has a minute more: then it
//! is asked again.
//!
//! Deliberately absent: fresh tokens (`refresh`).

use super::command_out::CommandOut;
use super::identity::Peer;
use super::tokens::{is_lasting, json_payload};
use super::{Context, Effect, Fault, HookThen};
use crate::auth::BackendGrant;
use crate::hook::{Hook, HookQuestion, HookReply, HookResult};

/// How long a connection stays whose backend is asked, in seconds.
pub(super) const ASKED_S: u64 = 60;

/// Asks the backend about a connection whose time is over.
pub(super) fn ask_if_due(cx: &Context<'_>, peer: &mut Peer, reply: &mut CommandOut<'_>) {
    let is_due = peer.expires_unix_s().is_some_and(|end| end <= cx.now.unix_s());
    if is_due && cx.options.hooks.asks(Hook::Refresh) {
        peer.set_expiry(Some(cx.now.unix_s() + ASKED_S));
        reply.ask_backend(peer, HookQuestion::Refresh, HookThen::Refresh);
    }
}

/// The backend has answered, or not.
pub(super) fn on_reply(
    cx: &Context<'_>,
    peer: &mut Peer,
    hook_reply: HookReply,
    reply: &mut CommandOut<'_>,
) {
    match hook_reply {
        HookReply::Result(HookResult::Grant(Some(grant))) if is_lasting(cx, &grant) => {
            take(cx, peer, *grant);
        }
        HookReply::Disconnect(disconnect) => reply.effect(Effect::Disconnect(disconnect)),
        HookReply::Busy | HookReply::Failed if cx.options.hooks.lenient.contains(Hook::Refresh) => {
        }
        // It says that it may not stay, or nothing.
        HookReply::Result(_) | HookReply::Error(_) | HookReply::Busy | HookReply::Failed => {
            reply.close(Fault::Expired);
        }
    }
}

fn take(cx: &Context<'_>, peer: &mut Peer, grant: BackendGrant) {
    let BackendGrant { expires_at_unix_s, options, meta, caps, .. } = grant;
    peer.set_expiry(expires_at_unix_s);
    if let Some(info) = options.info {
        peer.set_info(Some(Box::new(json_payload(info))));
    }
    if meta.is_some() {
        peer.set_meta(meta.filter(|_| !cx.options.hooks.asked.is_empty()));
    }
    if !caps.is_empty() {
        peer.set_caps(caps);
    }
}
