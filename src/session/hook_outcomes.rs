//! What the application's backend has answered for a connected peer, or has not, by what it was
//! asked for.
//!
//! Deliberately absent: who a client is (`asked_connect`).

use super::backlog::SubscribeOutcome;
use super::command_out::CommandOut;
use super::hook_replies::on_rpc;
use super::subscribing::Membership;
use super::{Context, HookThen, hook_refresh, publishing};
use crate::base::RoomId;
use crate::hook::HookReply;

/// Takes an answer. Returns the room for which commands have waited that are served now.
pub(super) fn on_reply(
    cx: &Context<'_>,
    mut membership: Membership<'_>,
    then: HookThen,
    hook_reply: HookReply,
    mut reply: CommandOut<'_>,
) -> Option<(RoomId, SubscribeOutcome)> {
    match then {
        HookThen::Connect => unreachable!("a connected peer is known"),
        HookThen::Refresh => {
            hook_refresh::on_reply(cx, membership.peer_mut(), hook_reply, &mut reply);
            None
        }
        HookThen::SubRefresh(room) => {
            membership.on_sub_refresh_reply(cx, room, hook_reply, &mut reply);
            None
        }
        HookThen::Subscribe(room) => {
            let outcome = membership.on_subscribe_reply(cx, room, hook_reply, reply)?;
            Some((room, outcome))
        }
        HookThen::Publish(asked) => {
            let (room, mut reply) = (asked.room, reply.with_id(asked.id));
            reply.answered();
            membership.peer_mut().end_publish(room);
            publishing::on_publish_reply(cx, *asked, hook_reply, &mut reply);
            Some((room, SubscribeOutcome::Settled))
        }
        HookThen::Answer { id } => {
            let mut reply = reply.with_id(id);
            reply.answered();
            on_rpc(id, hook_reply, reply.outcome());
            None
        }
    }
}
