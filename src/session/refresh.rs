//! A fresh connection token, which replaces the content of the former one.
//!
//! Deliberately absent: fresh tokens of single subscriptions (`subscribing`).

use std::sync::Arc;

use super::command_out::CommandOut;
use super::connect::{ServerSubscription, TokenChannels, keep_infos, wanted};
use super::peer_permissions::CommandResult;
use super::subscribing::Membership;
use super::subscriptions::{Removal, SubscriptionSide};
use super::tokens::{ConnectCommandError, block_of, json_payload, left_s, stamp, token_refusal};
use super::{Context, Effect, Fault};
use crate::auth::{PermissionSet, TokenRecovery};
use crate::base::RoomId;
use crate::room::{RoomOp, RoomSubscribe, Unrecovered};
use crate::wire::{Answer, ErrorCode};

/// Takes a fresh token, and makes the subscriptions that it names.
pub(super) fn refresh(
    membership: &mut Membership<'_>,
    cx: &Context<'_>,
    token: &str,
    reply: &mut CommandOut<'_>,
) -> CommandResult {
    let (peer, subscriptions) = membership.parts_mut();
    let claims = match cx.keys.connection(token, cx.now.unix_s()) {
        Ok(claims) => claims,
        // The backend may have cached it, or its clock may be wrong. SDKs give up after a refusal;
        // after this close they reconnect with a fresh token.
        Err(fault) if fault.recovery() == TokenRecovery::FreshToken => {
            reply.close(Fault::Expired);
            return Ok(());
        }
        Err(fault) => return Err(token_refusal(fault).into()),
    };
    if claims.user != peer.info().user || *claims.tenant != *peer.tenant() {
        return Err(ErrorCode::PermissionDenied.into());
    }
    let token_stamp = stamp(cx, &claims.tenant, &claims.id, claims.issued_unix_s);
    if let Some(kind) = block_of(cx, peer, token_stamp) {
        reply.close(Fault::Blocked(kind));
        return Ok(());
    }
    reply.outcome().count_unsupported(claims.unsupported);
    let token = TokenChannels { channels: claims.channels, subs: claims.subs };
    let wanted = wanted(cx, peer, token, &[]).map_err(|denial| match denial {
        ConnectCommandError::Refuse(code) => code,
        ConnectCommandError::Close(_) => ErrorCode::PermissionDenied,
    })?;
    let fresh: Vec<&ServerSubscription> =
        wanted.iter().filter(|one| !subscriptions.contains(one.room)).collect();
    // Those that are no longer wanted still count: they are removed after the answer.
    if (cx.options.channels_max as usize) < subscriptions.len() + fresh.len() {
        return Err(ErrorCode::LimitExceeded.into());
    }
    let conn_info = claims.info.map(|info| Box::new(json_payload(info)));
    peer.renew(claims.expires_at_unix_s, conn_info, claims.caps);
    peer.set_token(token_stamp);
    peer.set_meta(claims.meta.filter(|_| !cx.options.hooks.asked.is_empty()));
    let (client, info) = (peer.info().client, Arc::clone(peer.info()));
    let expires_in_s = claims.expires_at_unix_s.map(|end| left_s(cx, end));
    reply.answer(Answer::Refresh { client, expires_in_s });
    for one in fresh {
        let (channel_key, terms) = (one.channel_key.clone(), one.terms.clone());
        let server = SubscriptionSide::Server;
        subscriptions.begin_subscribe_by(server, one.room, channel_key.clone(), terms);
        peer.backlogs_mut().open(one.room);
        let subscribe = RoomSubscribe {
            channel_key,
            info: Arc::clone(&info),
            chan_info: one.chan_info.clone(),
            since: None,
            unrecovered: Unrecovered::Admitted,
        };
        reply.send_request_unanswered(one.room, RoomOp::Subscribe(Box::new(subscribe)));
    }
    let is_by_server = |room| subscriptions.maker(room) == Some(SubscriptionSide::Server);
    keep_infos(peer, wanted.iter().filter(|one| is_by_server(one.room)));
    let rooms = wanted.iter().map(|one| one.room).collect();
    reply.effect(Effect::Review(rooms));
    Ok(())
}

/// Ends what the tokens do not allow any more. `active` are the channels that the
/// session is in, by name, and `wanted` those that the server makes.
pub(super) fn review(
    membership: &mut Membership<'_>,
    cx: &Context<'_>,
    active: &[(RoomId, Arc<str>)],
    wanted: &[RoomId],
    reply: &mut CommandOut<'_>,
) {
    let mut all: Vec<(RoomId, Arc<str>)> = membership.subscriptions().pending_names().collect();
    all.extend_from_slice(active);
    for (room, channel) in all {
        let Some(maker) = membership.subscriptions().maker(room) else { continue };
        let is_wanted = wanted.contains(&room);
        let stays = match maker {
            SubscriptionSide::Server => is_wanted,
            // No token has made it, and none ends it.
            SubscriptionSide::Backend => true,
            // Channels of the token are subscribed by the server, unless they are already.
            SubscriptionSide::Client => {
                let by_sub = membership.subscriptions().allow(room);
                is_wanted || may_stay(membership, cx, &channel, by_sub)
            }
        };
        if !stays {
            membership.end(room, &channel, Removal::Denied, reply);
        }
    }
}

/// Whether it could subscribe now, with its subscription token.
fn may_stay(
    membership: &Membership<'_>,
    cx: &Context<'_>,
    channel: &str,
    by_sub: PermissionSet,
) -> bool {
    let permissions = membership.permissions();
    let target = permissions.target(cx, channel);
    target.is_ok_and(|target| permissions.may_subscribe(cx, &target, by_sub))
}
