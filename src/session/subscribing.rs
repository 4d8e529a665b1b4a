//! Begins, changes and ends the subscriptions of a connected peer: by its commands, by answers of
//! homes, and by the server.
//!
//! Deliberately absent: subscriptions by the server at connect (`connect`), and fresh connection
//! tokens (`refresh`).

use std::sync::Arc;

use super::backlog::{Backlog, SubscribeOutcome};
use super::command_out::CommandOut;
use super::context::ends_now;
use super::hook_refresh;
use super::hook_replies::refuse;
use super::identity::{ChannelExtra, Peer};
use super::names::resolve;
use super::peer_permissions::{ChannelTarget, CommandResult, PeerPermissions, reader};
use super::position_seal::{PositionOwner, RecoveryPoint, RecoveryRights, subscribe_result};
use super::rights::MembershipStatus;
use super::subscriptions::{
    CancelledSubscription, PendingSubscribe, Removal, SubscriptionSide, Subscriptions,
};
use super::tokens::{
    block_of, channel_claims, channel_stamp, is_lasting, json_payload, left_s, terms_of,
    token_refusal,
};
use super::{Context, Effect, HookThen, SubscriberWants};
use crate::auth::{BackendGrant, ChannelClaims, PermissionSet, SubscribeOverrides};
use crate::base::RoomId;
use crate::base::limits::TAG_FILTERS_BYTES_MAX;
use crate::blocks::TokenStamp;
use crate::hook::{Hook, HookQuestion, HookReply, HookResult};
use crate::metrics::{Agent, Histogram};
use crate::room::{LeaveReason, RecoveryOutcome, RoomOp, RoomSubscribe, Subscribed, Unrecovered};
use crate::wire::{
    self, Answer, Command, Encoding, ErrorCode, Push, RawData, Request, SubscribeFlags,
    SubscribeRequest, SubscribeResult, TagFilter,
};

/// A connected peer with its subscriptions, mutable.
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

    /// Its subscriptions.
    pub fn subscriptions(&self) -> &Subscriptions {
        self.subscriptions
    }

    /// Both, mutable.
    pub fn parts_mut(&mut self) -> (&mut Peer, &mut Subscriptions) {
        (self.peer, self.subscriptions)
    }

    /// The same, for reading.
    pub fn permissions(&self) -> PeerPermissions<'_> {
        PeerPermissions::new(self.peer, self.subscriptions, self.agent)
    }

    /// Subscribes the peer at a room.
    pub fn subscribe(
        &mut self,
        cx: &Context<'_>,
        request: &SubscribeRequest<'_>,
        reply: &mut CommandOut<'_>,
    ) -> CommandResult {
        let permissions = self.permissions();
        let target = permissions.target(cx, &request.channel)?;
        // While the request is unanswered, commands of the client about the channel wait.
        if self.subscriptions.contains(target.room) {
            return Err(ErrorCode::AlreadySubscribed.into());
        }
        if cx.options.channels_max as usize <= self.subscriptions.len() {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let claims = channel_claims(cx, self.peer, &request.channel, &request.token)?;
        let asks = claims.is_none()
            && target.rules.subscribe_hook
            && cx.options.hooks.asks(Hook::Subscribe);
        let by_token = claims.as_ref().map_or(PermissionSet::NONE, |claims| claims.allow);
        let by_hook = if asks { PermissionSet::SUBSCRIBE } else { PermissionSet::NONE };
        if !permissions.may_subscribe(cx, &target, by_token | by_hook) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let tag_filter = tag_filter(request, &target, self.subscriptions)?;
        if asks {
            self.ask_about_subscribe(request, &target, reply);
            return Ok(());
        }
        self.subscribe_with(cx, (request, tag_filter), &target, claims, reply);
        Ok(())
    }

    /// Subscribes the peer at a room, with the content of its token.
    fn subscribe_with(
        &mut self,
        cx: &Context<'_>,
        (request, tag_filter): (&SubscribeRequest<'_>, Option<(Arc<TagFilter>, u16)>),
        target: &ChannelTarget<'_, '_>,
        claims: Option<ChannelClaims>,
        reply: &mut CommandOut<'_>,
    ) {
        if let Some(claims) = &claims {
            reply.outcome().count_unsupported(claims.unsupported);
        }
        // Without a token it is a backend's word, which no token is about.
        let shown = claims.as_ref().filter(|_| !request.token.is_empty());
        let token = shown.map_or(TokenStamp::NO_TOKEN, |claims| channel_stamp(cx, claims));
        let (mut pending, subscribe) = self.room_subscribe(cx, request, target, claims, reply.id());
        // Who gets only some publications lacks what others are the difference to.
        pending.takes_deltas = request.takes_deltas && target.rules.deltas && tag_filter.is_none();
        pending.tag_filter = tag_filter;
        pending.compact = target.rules.channel_compaction
            && request.flags.contains(SubscribeFlags::CHANNEL_COMPACTION)
            && compares_numbers(reply.outcome().encoding(), self.agent);
        let is_shown = token != TokenStamp::NO_TOKEN;
        if is_shown || subscribe.chan_info.is_some() || pending.expires_unix_s.is_some() {
            let channel = Box::from(&*request.channel);
            let (chan_info, expires_unix_s) = (subscribe.chan_info.clone(), pending.expires_unix_s);
            let extra = ChannelExtra { channel, chan_info, expires_unix_s, token };
            self.peer.remember(target.room, extra);
        }
        self.subscriptions.begin_subscribe(target.room, pending);
        reply.send_request(target.room, RoomOp::Subscribe(Box::new(subscribe)));
    }

    /// Asks the backend whether the peer may come in. The command waits, and so do later ones about
    /// the channel.
    fn ask_about_subscribe(
        &mut self,
        request: &SubscribeRequest<'_>,
        target: &ChannelTarget<'_, '_>,
        reply: &mut CommandOut<'_>,
    ) {
        let channel_key = target.channel_key();
        let question = HookQuestion::Subscribe {
            channel: Arc::clone(&channel_key.channel),
            data: request.data.as_ref().map(RawData::to_payload),
        };
        reply.ask_backend(self.peer, question, HookThen::Subscribe(target.room));
        let mut command = Backlog::default();
        let (id, encoding) = (reply.id(), reply.outcome().encoding());
        let request = Request::Subscribe(request.clone());
        let pushed = command.push(encoding, &Command { id, request });
        assert_eq!(pushed, Ok(()), "one always fits");
        self.subscriptions.begin_asking(target.room, id, channel_key, command);
    }

    /// The backend has said whether the peer may come into a room, or has not. Returns the result
    /// for commands that wait; `None` where they wait for the room now.
    pub fn on_subscribe_reply(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        hook_reply: HookReply,
        reply: CommandOut<'_>,
    ) -> Option<SubscribeOutcome> {
        let (id, cancelled, command) = self.subscriptions.take_asked(room)?;
        let mut reply = reply.with_id(id);
        reply.answered();
        if let Some(code) = cancelled {
            reply.refuse(code);
            return Some(SubscribeOutcome::refused(code));
        }
        let message = command.into_message();
        let encoding = reply.outcome().encoding();
        let Some(Ok(Command { request: Request::Subscribe(request), .. })) =
            wire::commands(encoding, &message).next()
        else {
            unreachable!("what was a subscribe command is one");
        };
        let permissions = self.permissions();
        let target = match permissions.target(cx, &request.channel) {
            Ok(target) => target,
            Err(code) => {
                reply.refuse(code);
                return Some(SubscribeOutcome::refused(code));
            }
        };
        let alone = permissions.may_subscribe(cx, &target, PermissionSet::NONE);
        let is_lenient = alone && cx.options.hooks.lenient.contains(Hook::Subscribe);
        let claims = if let HookReply::Result(HookResult::Grant(grant)) = hook_reply {
            let grant = grant.map_or_else(BackendGrant::default, |grant| *grant);
            if !is_lasting(cx, &grant) {
                reply.refuse(ErrorCode::Expired);
                return Some(SubscribeOutcome::Settled);
            }
            Some(claims_of(self.peer, &request.channel, grant))
        } else if hook_reply.is_missing() && is_lenient {
            None
        } else {
            return Some(refuse_subscribe(hook_reply, reply));
        };
        // Others may have come meanwhile, and have filters, too.
        match tag_filter(&request, &target, self.subscriptions) {
            Ok(tag_filter) => {
                self.subscribe_with(cx, (&request, tag_filter), &target, claims, &mut reply);
                None
            }
            Err(code) => {
                reply.refuse(code);
                Some(SubscribeOutcome::refused(code))
            }
        }
    }

    /// The pending subscribe, and the request to the room.
    fn room_subscribe(
        &self,
        cx: &Context<'_>,
        request: &SubscribeRequest<'_>,
        target: &ChannelTarget<'_, '_>,
        claims: Option<ChannelClaims>,
        id: u32,
    ) -> (PendingSubscribe, RoomSubscribe) {
        let allow = claims.as_ref().map_or(PermissionSet::NONE, |claims| claims.allow);
        let expires_unix_s = claims.as_ref().and_then(|claims| claims.expires_at_unix_s);
        let recovers = request.recover && target.rules.keeps_history();
        let since = recovers.then(|| {
            let reader = reader(cx, self.peer, &request.channel, target.rules, allow);
            let owner = PositionOwner { room: target.room, user: &self.peer.info().user };
            let granted = claims.as_ref().and_then(|claims| claims.options.recover_since.as_ref());
            let rights = RecoveryRights { reader, granted };
            RecoveryPoint::read(cx, owner, rights, request.offset, &request.epoch)
        });
        let (chan_info, terms) = claims.map(|claims| terms_of(claims.options)).unwrap_or_default();
        let channel_key = target.channel_key();
        let rejects = request.flags.contains(SubscribeFlags::REJECT_UNRECOVERED);
        let unrecovered = if rejects { Unrecovered::Rejected } else { Unrecovered::Admitted };
        let subscribe = RoomSubscribe {
            channel_key: channel_key.clone(),
            info: Arc::clone(self.peer.info()),
            chan_info,
            since: since.map(|since| since.position),
            unrecovered,
        };
        let pending = PendingSubscribe {
            id,
            maker: SubscriptionSide::Client,
            at: cx.now.tick,
            channel_key,
            recoverable: request.recoverable || request.recover,
            positioned: request.positioned,
            join_leave: request.join_leave,
            expires_unix_s,
            allow,
            terms,
            unrecovered,
            takes_deltas: false,
            compact: false,
            tag_filter: None,
            own_from: since.map(|since| since.own_from),
            cancelled: None,
            asked: None,
        };
        (pending, subscribe)
    }

    /// Unsubscribes the peer from a room.
    pub fn unsubscribe(
        &mut self,
        cx: &Context<'_>,
        channel: &str,
        reply: &mut CommandOut<'_>,
    ) -> CommandResult {
        let room = self.permissions().target(cx, channel)?.room;
        match self.subscriptions.cancel(room, ErrorCode::NotAvailable) {
            // Or the server has requested it, and has not told the client yet.
            CancelledSubscription::Unknown | CancelledSubscription::Pending => {
                reply.answer(Answer::Unsubscribe)
            }
            CancelledSubscription::Active(place) => {
                reply.effect(Effect::RemoveSubscriber(place, LeaveReason::Unsubscribed));
                self.peer.forget(room);
                reply.send_request(room, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
            }
        }
        Ok(())
    }

    /// Replaces the token of a subscription.
    pub fn sub_refresh(
        &mut self,
        cx: &Context<'_>,
        channel: &str,
        token: &str,
        reply: &mut CommandOut<'_>,
    ) -> CommandResult {
        // Some SDKs send the channel only in the token.
        let named = channel.is_empty().then(|| cx.keys.subscription(token, cx.now.unix_s()));
        let named = named.transpose().map_err(token_refusal)?.map(|claims| claims.channel);
        let channel = named.as_deref().unwrap_or(channel);
        let room = self.permissions().target(cx, channel)?.room;
        if self.subscriptions.standing(room) == MembershipStatus::Outside {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let claims = match channel_claims(cx, self.peer, channel, token) {
            Ok(claims) => claims.ok_or(ErrorCode::BadRequest)?,
            // SDKs give up after the refusal of a refresh. When they are unsubscribed before it,
            // they subscribe again with a fresh token.
            Err(ErrorCode::TokenExpired) => {
                if self.subscriptions.maker(room) == Some(SubscriptionSide::Client) {
                    self.end(room, channel, Removal::Expired, reply);
                }
                return Err(ErrorCode::TokenExpired.into());
            }
            Err(code) => return Err(code.into()),
        };
        reply.outcome().count_unsupported(claims.unsupported);
        self.subscriptions.set_allow(room, claims.allow);
        let expires_in_s = claims.expires_at_unix_s.map(|end| left_s(cx, end));
        let extra = ChannelExtra {
            token: channel_stamp(cx, &claims),
            channel: Box::from(channel),
            chan_info: terms_of(claims.options).0,
            expires_unix_s: claims.expires_at_unix_s,
        };
        self.peer.remember(room, extra);
        reply.answer(Answer::SubRefresh { expires_in_s });
        Ok(())
    }

    /// A room has added the peer. Returns the result for commands that wait; `None` when none does.
    pub fn on_subscribed(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        mut subscribed: Subscribed,
        mut reply: CommandOut<'_>,
    ) -> Option<SubscribeOutcome> {
        let Some(pending) = self.subscriptions.pending(room) else {
            // The server has unsubscribed it meanwhile.
            reply.send_request_unanswered(room, RoomOp::Unsubscribe(LeaveReason::Disconnected));
            return None;
        };
        let mut reply = reply.with_id(pending.id);
        if let Some(code) = pending.refusal(subscribed.recovery) {
            self.subscriptions.remove(room);
            self.peer.forget(room);
            reply.send_request_unanswered(room, RoomOp::Unsubscribe(LeaveReason::Unsubscribed));
            reply.refuse(code);
            return Some(SubscribeOutcome::Settled);
        }
        let filter = pending.tag_filter.as_ref().map(|(filter, _)| Arc::clone(filter));
        if let Some(filter) = &filter {
            subscribed.missed.retain(|one| filter.matches(&one.tags));
        }
        let rules = &cx.rooms.namespaces[usize::from(pending.channel_key.namespace)];
        let SubscribeOverrides { push_join_leave, recovery, positioning } = pending.terms.overrides;
        let recoverable = pending.recoverable || recovery.unwrap_or(rules.force_recovery);
        let positioned = pending.positioned || positioning.unwrap_or(rules.force_positioning);
        let owner = PositionOwner { room, user: &self.peer.info().user };
        let reader = reader(cx, self.peer, &pending.channel_key.channel, rules, pending.allow);
        // Of two channels with the same number at most one is called by it.
        let compact = pending.compact && self.subscriptions.is_compact_unique(room);
        let result = SubscribeResult {
            expires_in_s: (pending.expires_unix_s)
                .filter(|_| !is_refreshed_by_hook(cx, &pending.channel_key.channel))
                .map(|end| left_s(cx, end)),
            recoverable: rules.keeps_history() && recoverable,
            positioned: rules.keeps_history() && positioned,
            data: pending.terms.data.as_deref(),
            has_deltas: pending.takes_deltas,
            channel_id: if compact { room.compact() } else { 0 },
            ..subscribe_result(cx, owner, reader, pending.own_from, &subscribed)
        };
        if pending.id == 0 {
            // The server has made it, after connect.
            reply.push(&pending.channel_key.channel, Push::Subscribe(result));
        } else {
            reply.answer(Answer::Subscribe(result));
        }
        if subscribed.recovery != RecoveryOutcome::NotAsked {
            reply.observe(cx, Histogram::SessionResume, pending.at);
        }
        let is_pushed = push_join_leave.unwrap_or(rules.push_join_leave);
        let join_leave = is_pushed || (rules.join_leave && pending.join_leave);
        let deltas = pending.takes_deltas;
        let wants = SubscriberWants { join_leave, deltas, compact, filter };
        reply.effect(Effect::AddSubscriber { room, name: subscribed.name, wants });
        Some(SubscribeOutcome::Settled)
    }

    /// The server ends a subscription: removes the subscriber, unsubscribes at the home, and
    /// tells the client.
    pub fn end(&mut self, room: RoomId, channel: &str, why: Removal, reply: &mut CommandOut<'_>) {
        self.peer.forget(room);
        match self.subscriptions.cancel(room, why.refusal()) {
            // Or the home has not answered yet, and the client's command waits for that.
            CancelledSubscription::Unknown | CancelledSubscription::Pending => (),
            CancelledSubscription::Active(place) => {
                reply.effect(Effect::RemoveSubscriber(place, why.leave_reason()));
                reply.send_request_unanswered(room, RoomOp::Unsubscribe(why.leave_reason()));
                let (code, reason) = why.parts();
                reply.push(channel, Push::Unsubscribe { code, reason });
            }
        }
    }

    /// Ends the subscriptions whose tokens are revoked.
    pub fn end_revoked(&mut self, cx: &Context<'_>, reply: &mut CommandOut<'_>) {
        let peer = &*self.peer;
        let revoked: Vec<(RoomId, Box<str>)> = (peer.channel_extras())
            .filter(|(_, said)| block_of(cx, peer, said.token).is_some())
            .map(|(room, said)| (room, said.channel.clone()))
            .collect();
        for (room, channel) in revoked {
            self.end(room, &channel, Removal::Revoked, reply);
        }
    }

    /// Ends the subscriptions whose time is over.
    pub fn end_expired(&mut self, cx: &Context<'_>, reply: &mut CommandOut<'_>) {
        let is_over = |(_, end): (RoomId, u64)| end <= cx.now.unix_s();
        if !self.peer.first_expiry().is_some_and(is_over) {
            return;
        }
        for (room, end) in self.peer.expired(cx.now.unix_s()) {
            let said = self.peer.channel(room);
            let channel = said.map_or_else(Box::default, |said| said.channel.clone());
            if is_refreshed_by_hook(cx, &channel) {
                let asked_until = cx.now.unix_s() + hook_refresh::ASKED_S;
                self.peer.set_channel_expiry(room, Some(asked_until));
                let question = HookQuestion::SubRefresh { channel };
                reply.ask_backend(self.peer, question, HookThen::SubRefresh(room));
            } else if ends_now(cx, end) {
                self.end(room, &channel, Removal::Expired, reply);
            }
        }
    }

    /// The backend has said whether the peer may stay in a room, or has not.
    pub fn on_sub_refresh_reply(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        hook_reply: HookReply,
        reply: &mut CommandOut<'_>,
    ) {
        // It may have left meanwhile.
        let Some(said) = self.peer.channel(room) else { return };
        let channel = said.channel.clone();
        match hook_reply {
            HookReply::Result(HookResult::Grant(Some(grant))) if is_lasting(cx, &grant) => {
                let told = grant.options.info.map(|info| Arc::new(json_payload(info)));
                let chan_info = told.or_else(|| said.chan_info.clone());
                let expires_unix_s = grant.expires_at_unix_s;
                let token = said.token;
                let extra = ChannelExtra { channel, chan_info, expires_unix_s, token };
                self.peer.remember(room, extra);
            }
            HookReply::Disconnect(disconnect) => reply.effect(Effect::Disconnect(disconnect)),
            HookReply::Busy | HookReply::Failed
                if cx.options.hooks.lenient.contains(Hook::SubRefresh) => {}
            HookReply::Result(_) | HookReply::Error(_) | HookReply::Busy | HookReply::Failed => {
                self.end(room, &channel, Removal::Expired, reply);
            }
        }
    }

    /// A room has refused the peer: removes the pending subscription. Returns who made it.
    pub fn on_subscribe_rejected(
        &mut self,
        room: RoomId,
        code: ErrorCode,
    ) -> Option<SubscriptionSide> {
        let maker = self.subscriptions.remove(room);
        self.peer.forget(room);
        if maker == Some(SubscriptionSide::Client) && code == ErrorCode::TooManyRequests {
            self.peer.deferred_mut().insert(room);
        }
        maker
    }
}

/// The filter that a client wants of the publications, where the namespace has filters, with its
/// length in bytes.
fn tag_filter(
    request: &SubscribeRequest<'_>,
    target: &ChannelTarget<'_, '_>,
    subscriptions: &Subscriptions,
) -> Result<Option<(Arc<TagFilter>, u16)>, ErrorCode> {
    let Some(raw) = &request.tag_filter else { return Ok(None) };
    if !target.rules.tag_filters {
        return Err(ErrorCode::NotAvailable);
    }
    let filter = TagFilter::read(raw).map_err(|_| ErrorCode::BadRequest)?;
    if TAG_FILTERS_BYTES_MAX < subscriptions.tag_filters_bytes() + raw.bytes.len() {
        return Err(ErrorCode::LimitExceeded);
    }
    Ok(Some((Arc::new(filter), raw.bytes.len() as u16)))
}

/// Whether a program that asks for numbers of channels can tell them apart. npm `centrifuge` 5.8.0
/// compares objects in Protobuf where it has 64-bit numbers as such, finds no channel, and drops
/// what it gets; an application can give it any name.
fn compares_numbers(encoding: Encoding, agent: Agent) -> bool {
    match encoding {
        Encoding::Json => true,
        Encoding::Protobuf => {
            matches!(agent, Agent::Go | Agent::Java | Agent::Dart | Agent::Swift | Agent::Python)
        }
    }
}

/// Whether the backend says how long a subscription to a channel lasts.
fn is_refreshed_by_hook(cx: &Context<'_>, channel: &str) -> bool {
    let rules = |namespace: u16| &cx.rooms.namespaces[usize::from(namespace)];
    cx.options.hooks.asks(Hook::SubRefresh)
        && resolve(&cx.rooms.namespaces, channel)
            .is_some_and(|(namespace, _)| rules(namespace).sub_refresh_hook)
}

/// What a backend says of a subscription, as a token would.
fn claims_of(peer: &Peer, channel: &str, grant: BackendGrant) -> ChannelClaims {
    ChannelClaims {
        user: peer.info().user.clone(),
        channel: channel.into(),
        client: None,
        expires_at_unix_s: grant.expires_at_unix_s,
        id: Box::default(),
        issued_unix_s: None,
        options: grant.options,
        tenant: peer.tenant().into(),
        allow: grant.allow | PermissionSet::SUBSCRIBE,
        unsupported: grant.unsupported,
    }
}

/// Refuses a subscribe, as the backend says, or because it did not answer.
fn refuse_subscribe(hook_reply: HookReply, mut reply: CommandOut<'_>) -> SubscribeOutcome {
    let outcome = match &hook_reply {
        HookReply::Busy => SubscribeOutcome::Passing(ErrorCode::TooManyRequests),
        HookReply::Failed => SubscribeOutcome::Passing(ErrorCode::Internal),
        HookReply::Error(_) | HookReply::Disconnect(_) | HookReply::Result(_) => {
            SubscribeOutcome::Settled
        }
    };
    let id = reply.id();
    refuse(id, hook_reply, reply.outcome());
    outcome
}
