//! What begins, changes and ends the subscriptions of a connected peer: its own commands, the
//! homes' answers, and the server.
//!
//! Deliberately absent: what the server subscribes to at connect (`connect`), and a fresh
//! connection token (`refresh`).

use std::sync::Arc;

use super::access::{Access, ChannelTarget, CommandResult, grant, reader};
use super::backlog::SubscribeOutcome;
use super::command_out::CommandOut;
use super::identity::{ChannelExtra, Peer};
use super::position_seal::{PositionOwner, RecoveryPoint, subscribe_result};
use super::rights::MembershipStatus;
use super::subscriptions::{Cancelled, PendingSubscribe, Removal, SubscriptionSide, Subscriptions};
use super::tokens::{channel_claims, json_payload, left_s, token_refusal};
use super::{Context, Effect};
use crate::auth::{ChannelClaims, PermissionSet};
use crate::base::RoomId;
use crate::metrics::{Agent, Histogram};
use crate::room::{LeaveReason, RecoveryOutcome, RoomOp, RoomSubscribe, Subscribed};
use crate::wire::{Answer, ErrorCode, Push, SubscribeRequest, SubscribeResult};

/// A connected peer with what it is subscribed to, to change.
pub(super) struct Membership<'s> {
    peer: &'s mut Peer,
    subscriptions: &'s mut Subscriptions,
    agent: Agent,
}

impl<'s> Membership<'s> {
    /// That of this peer, whose program is this one.
    pub fn new(
        peer: &'s mut Peer,
        subscriptions: &'s mut Subscriptions,
        agent: Agent,
    ) -> Membership<'s> {
        Membership { peer, subscriptions, agent }
    }

    /// The peer, to change.
    pub fn peer_mut(&mut self) -> &mut Peer {
        self.peer
    }

    /// What it is subscribed to.
    pub fn subscriptions(&self) -> &Subscriptions {
        self.subscriptions
    }

    /// Both, to change.
    pub fn parts_mut(&mut self) -> (&mut Peer, &mut Subscriptions) {
        (self.peer, self.subscriptions)
    }

    /// The same, to look at.
    pub fn access(&self) -> Access<'_> {
        Access::new(self.peer, self.subscriptions, self.agent)
    }

    /// Asks a room to let the peer in.
    pub fn subscribe(
        &mut self,
        cx: &Context<'_>,
        request: &SubscribeRequest<'_>,
        reply: &mut CommandOut<'_>,
    ) -> CommandResult {
        let access = self.access();
        let target = access.target(cx, &request.channel)?;
        // While one is asked for, what the client says about the channel waits.
        if self.subscriptions.contains(target.room) {
            return Err(ErrorCode::AlreadySubscribed.into());
        }
        if cx.options.channels_max as usize <= self.subscriptions.len() {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let claims = channel_claims(cx, self.peer, &request.channel, &request.token)?;
        let by_token = claims.as_ref().map_or(PermissionSet::NONE, |claims| claims.allow);
        let grant =
            grant(self.peer.capability(&request.channel) | by_token, PermissionSet::SUBSCRIBE);
        if !access.may(cx, &target, target.rules.subscribe, MembershipStatus::Outside, grant) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let (asked, subscribe) = self.room_subscribe(cx, request, &target, claims, reply.id());
        if subscribe.chan_info.is_some() || asked.expires_unix_s.is_some() {
            let channel = Box::from(&*request.channel);
            let (chan_info, expires_unix_s) = (subscribe.chan_info.clone(), asked.expires_unix_s);
            let extra = ChannelExtra { channel, chan_info, expires_unix_s };
            self.peer.remember(target.room, extra);
        }
        self.subscriptions.begin_subscribe(target.room, asked);
        reply.send_request(target.room, RoomOp::Subscribe(Box::new(subscribe)));
        Ok(())
    }

    /// What is remembered until the room answers, and what that is asked.
    fn room_subscribe(
        &self,
        cx: &Context<'_>,
        request: &SubscribeRequest<'_>,
        target: &ChannelTarget<'_, '_>,
        claims: Option<ChannelClaims>,
        id: u32,
    ) -> (PendingSubscribe, RoomSubscribe) {
        let allow = claims.as_ref().map_or(PermissionSet::NONE, |claims| claims.allow);
        let chan_info = claims.as_ref().and_then(|claims| claims.info.clone());
        let recovers = request.recover && target.rules.keeps_history();
        let since = recovers.then(|| {
            let reader = reader(cx, self.peer, &request.channel, target.rules, allow);
            let owner = PositionOwner { room: target.room, user: &self.peer.info().user };
            RecoveryPoint::read(cx, owner, reader, request.offset, &request.epoch)
        });
        let channel_key = target.channel_key();
        let subscribe = RoomSubscribe {
            channel_key: channel_key.clone(),
            info: Arc::clone(self.peer.info()),
            chan_info: chan_info.map(|info| Arc::new(json_payload(info))),
            since: since.map(|since| since.position),
        };
        let asked = PendingSubscribe {
            id,
            at: cx.now.tick,
            channel_key,
            recoverable: request.recoverable || request.recover,
            positioned: request.positioned,
            join_leave: request.join_leave,
            expires_unix_s: claims.and_then(|claims| claims.expires_at_unix_s),
            allow,
            own_from: since.map(|since| since.own_from),
            cancelled: None,
        };
        (asked, subscribe)
    }

    /// Asks a room to let the peer go.
    pub fn unsubscribe(
        &mut self,
        cx: &Context<'_>,
        channel: &str,
        reply: &mut CommandOut<'_>,
    ) -> CommandResult {
        let room = self.access().target(cx, channel)?.room;
        match self.subscriptions.cancel(room, ErrorCode::NotAvailable) {
            // Or the server asks for it, and has not told the client yet.
            Cancelled::Unknown | Cancelled::Asked => reply.answer(Answer::Unsubscribe),
            Cancelled::Seated(place) => {
                reply.effect(Effect::RemoveSubscriber(place));
                self.peer.forget(room);
                reply.send_request(room, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
            }
        }
        Ok(())
    }

    /// A fresh token of a subscription takes the place of the one before.
    pub fn sub_refresh(
        &mut self,
        cx: &Context<'_>,
        channel: &str,
        token: &str,
        reply: &mut CommandOut<'_>,
    ) -> CommandResult {
        // Some SDKs leave the channel to the token.
        let named = channel.is_empty().then(|| cx.keys.subscription(token, cx.now.unix_s()));
        let named = named.transpose().map_err(token_refusal)?.map(|claims| claims.channel);
        let channel = named.as_deref().unwrap_or(channel);
        let room = self.access().target(cx, channel)?.room;
        if self.subscriptions.standing(room) == MembershipStatus::Outside {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let claims = match channel_claims(cx, self.peer, channel, token) {
            Ok(claims) => claims.ok_or(ErrorCode::BadRequest)?,
            // SDKs take the refusal of a refresh for the end. They subscribe again, and get
            // a fresh token for it, when they are unsubscribed before they read it.
            Err(ErrorCode::TokenExpired) => {
                if self.subscriptions.maker(room) == Some(SubscriptionSide::Client) {
                    self.end(room, channel, Removal::Expired, reply);
                }
                return Err(ErrorCode::TokenExpired.into());
            }
            Err(code) => return Err(code.into()),
        };
        self.subscriptions.set_allow(room, claims.allow);
        let expires_in_s = claims.expires_at_unix_s.map(|end| left_s(cx, end));
        let extra = ChannelExtra {
            channel: Box::from(channel),
            chan_info: claims.info.map(|info| Arc::new(json_payload(info))),
            expires_unix_s: claims.expires_at_unix_s,
        };
        self.peer.remember(room, extra);
        reply.answer(Answer::SubRefresh { expires_in_s });
        Ok(())
    }

    /// A room let the peer in. Says what that means to what waits behind the subscribe;
    /// `None` where nothing waits for it.
    pub fn on_subscribed(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        subscribed: Subscribed,
        mut reply: CommandOut<'_>,
    ) -> Option<SubscribeOutcome> {
        let Some(asked) = self.subscriptions.asked(room) else {
            // The server unsubscribed it meanwhile.
            reply.send_request_unanswered(room, RoomOp::Unsubscribe(LeaveReason::Disconnected));
            return None;
        };
        let mut reply = reply.with_id(asked.id);
        if let Some(code) = asked.cancelled {
            self.subscriptions.remove(room);
            self.peer.forget(room);
            reply.send_request_unanswered(room, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
            reply.refuse(code);
            return Some(SubscribeOutcome::Settled);
        }
        let rules = &cx.rooms.namespaces[usize::from(asked.channel_key.namespace)];
        let recoverable = rules.keeps_history() && (asked.recoverable || rules.force_recovery);
        let positioned = rules.keeps_history() && (asked.positioned || rules.force_positioning);
        let owner = PositionOwner { room, user: &self.peer.info().user };
        let reader = reader(cx, self.peer, &asked.channel_key.channel, rules, asked.allow);
        let result = SubscribeResult {
            expires_in_s: asked.expires_unix_s.map(|end| left_s(cx, end)),
            recoverable,
            positioned,
            ..subscribe_result(cx, owner, reader, asked.own_from, &subscribed)
        };
        if asked.id == 0 {
            // The server made it, after connect.
            reply.push(&asked.channel_key.channel, Push::Subscribe(result));
        } else {
            reply.answer(Answer::Subscribe(result));
        }
        if subscribed.recovery != RecoveryOutcome::NotAsked {
            reply.observe(cx, Histogram::SessionResume, asked.at);
        }
        let wants_join_leave = rules.push_join_leave || (rules.join_leave && asked.join_leave);
        reply.effect(Effect::AddSubscriber { room, name: subscribed.name, wants_join_leave });
        Some(SubscribeOutcome::Settled)
    }

    /// The server ends a subscription: removes the subscriber, unsubscribes at the home, and
    /// tells the client.
    pub fn end(&mut self, room: RoomId, channel: &str, why: Removal, reply: &mut CommandOut<'_>) {
        self.peer.forget(room);
        match self.subscriptions.cancel(room, why.refusal()) {
            // Or the home's answer is still to come, and the client's command waits for it.
            Cancelled::Unknown | Cancelled::Asked => (),
            Cancelled::Seated(place) => {
                reply.effect(Effect::RemoveSubscriber(place));
                reply.send_request_unanswered(room, RoomOp::Unsubscribe(why.leave_reason()));
                let (code, reason) = why.parts();
                reply.push(channel, Push::Unsubscribe { code, reason });
            }
        }
    }

    /// A room refused the peer: the subscription that was asked for is off again. Says who
    /// made it.
    pub fn on_subscribe_rejected(
        &mut self,
        room: RoomId,
        code: ErrorCode,
    ) -> Option<SubscriptionSide> {
        let maker = self.subscriptions.remove(room);
        self.peer.forget(room);
        if maker != Some(SubscriptionSide::Server) && code == ErrorCode::TooManyRequests {
            self.peer.deferred_mut().insert(room);
        }
        maker
    }
}
