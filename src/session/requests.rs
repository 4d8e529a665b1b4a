//! What a connected peer may ask for, request by request.

use std::sync::Arc;

use super::connect::{json_payload, left_s, position, subscribe_result};
use super::identity::{ChannelExtra, Peer};
use super::names::{inbox_owner, namespace_of};
use super::rights::{Grant, Standing, Subject, may};
use super::state::{Context, State};
use super::subs::{Asked, Stage, Sub};
use super::{Effect, Outcome, Session};
use crate::auth::{self, Allow, ChannelClaims};
use crate::base::RoomId;
use crate::base::limits::HISTORY_ANSWER_MAX;
use crate::metrics::PublishResult;
use crate::room::{Departure, Draft, Entry, Namespace, Order, Passage, Title, Welcome, What, Who};
use crate::wire::{
    self, Answer, ClientInfo, ErrorCode, HistoryRequest, RawData, Request, SubscribeRequest,
    SubscribeResult,
};

/// Methods with this prefix are chat's own.
const CHAT_PREFIX: &str = "chat.";

/// A channel that a request names, looked up.
struct Target<'c, 'r> {
    room: RoomId,
    channel: &'r str,
    namespace: u16,
    rules: &'c Namespace,
}

impl Target<'_, '_> {
    fn title(&self) -> Title {
        Title { channel: Arc::from(self.channel), namespace: self.namespace }
    }
}

/// Served, or refused at once.
type Done = Result<(), ErrorCode>;

impl Session {
    pub(super) fn on_request(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: Request<'_>,
        out: &mut Outcome,
    ) {
        let done = match request {
            Request::Subscribe(request) => self.subscribe(cx, id, &request, out),
            Request::Unsubscribe { channel } => self.unsubscribe(cx, id, &channel, out),
            Request::Publish { channel, data } => {
                let done = self.publish(cx, id, &channel, &data, out);
                out.unpublished.extend(done.err().map(unpublished));
                done
            }
            Request::Presence { channel } => self.presence(cx, id, &channel, What::Presence, out),
            Request::PresenceStats { channel } => {
                self.presence(cx, id, &channel, What::PresenceStats, out)
            }
            Request::History(request) => self.history(cx, id, &request, out),
            Request::Ping => {
                out.answer(id, Answer::Ping);
                Ok(())
            }
            Request::Rpc { method, data } => self.rpc(cx, id, &method, &data, out),
            Request::Send { data } => self.send(cx, &data, out),
            Request::Refresh { token } => self.refresh(cx, id, &token, out),
            Request::SubRefresh { channel, token } => {
                self.sub_refresh(cx, id, &channel, &token, out)
            }
            Request::Unknown => Err(ErrorCode::MethodNotFound),
            // Both are served before a request gets here.
            Request::Connect(_) | Request::Pong => Ok(()),
        };
        if let Err(code) = done {
            self.refuse(cx, id, code, out);
        }
    }

    /// The home let the session in.
    pub(super) fn on_welcome(
        &mut self,
        cx: &mut Context<'_>,
        room: RoomId,
        welcome: Welcome,
        out: &mut Outcome,
    ) {
        let State::Ready(peer) = &mut self.state else { return };
        let asked = match self.subs.at(room) {
            Some(Sub { stage: Stage::Asked(asked), .. }) if !asked.cancelled => asked,
            Some(Sub { stage: Stage::Asked(asked), .. }) => {
                let id = asked.id;
                self.subs.remove(room);
                peer.forget(room);
                self.ask(cx, room, 0, What::Unsubscribe(Departure::Said), out);
                return out.refuse(id, ErrorCode::NotAvailable);
            }
            // The server unsubscribed it meanwhile.
            Some(Sub { stage: Stage::Seated(..), .. }) | None => {
                return self.ask(cx, room, 0, What::Unsubscribe(Departure::Lost), out);
            }
        };
        let rules = &cx.rooms.namespaces[usize::from(asked.title.namespace)];
        let recoverable = rules.keeps_history() && (asked.recoverable || rules.force_recovery);
        let positioned = rules.keeps_history() && (asked.positioned || rules.force_positioning);
        let result = SubscribeResult {
            expires_in_s: asked.expires_unix_s.map(|end| left_s(cx, end)),
            recoverable,
            positioned,
            ..subscribe_result(&welcome)
        };
        out.answer(asked.id, Answer::Subscribe(result));
        let news_of_members = rules.push_join_leave || (rules.join_leave && asked.join_leave);
        out.effects.push(Effect::Sit { room, name: welcome.name, news_of_members });
    }

    fn subscribe(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: &SubscribeRequest<'_>,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, &request.channel)?;
        match self.subs.at(target.room).map(|sub| &sub.stage) {
            None => (),
            // On its way out: the client may try again in a moment.
            Some(Stage::Asked(asked)) if asked.cancelled => {
                return Err(ErrorCode::TooManyRequests);
            }
            Some(Stage::Asked(_) | Stage::Seated(..)) => return Err(ErrorCode::AlreadySubscribed),
        }
        if cx.options.channels_max as usize <= self.subs.len() {
            return Err(ErrorCode::LimitExceeded);
        }
        let peer = self.peer()?;
        let claims = self.channel_claims(cx, peer, &request.channel, &request.token)?;
        let by_token = claims.as_ref().map_or(Allow::NONE, |claims| claims.allow);
        let allow = peer.capability(&request.channel) | by_token;
        let grant = grant(allow, Allow::SUBSCRIBE);
        let owned = inbox_owner(&request.channel).is_none_or(|owner| *owner == *peer.info.user);
        if !owned || !self.may(cx, target.rules.subscribe, Standing::Outside, grant) {
            return Err(ErrorCode::PermissionDenied);
        }
        let chan_info = claims.as_ref().and_then(|claims| claims.info.clone());
        let chan_info = chan_info.map(|info| Arc::new(json_payload(info)));
        let expires_unix_s = claims.and_then(|claims| claims.expires_at_unix_s);
        let recovers = request.recover && target.rules.keeps_history();
        let title = target.title();
        let entry = Entry {
            title: title.clone(),
            info: Arc::clone(&peer.info),
            chan_info: chan_info.clone(),
            since: recovers.then(|| position(request.offset, &request.epoch)),
        };
        let asked = Asked {
            id,
            title,
            recoverable: request.recoverable || request.recover,
            positioned: request.positioned,
            join_leave: request.join_leave,
            expires_unix_s,
            allow,
            cancelled: false,
        };
        self.subs.insert(Sub { room: target.room, stage: Stage::Asked(Box::new(asked)) });
        if chan_info.is_some() || expires_unix_s.is_some() {
            let channel = Box::from(&*request.channel);
            let extra = ChannelExtra { channel, chan_info, expires_unix_s };
            self.peer_mut()?.remember(target.room, extra);
        }
        self.ask(cx, target.room, id, What::Subscribe(Box::new(entry)), out);
        Ok(())
    }

    fn unsubscribe(&mut self, cx: &Context<'_>, id: u32, channel: &str, out: &mut Outcome) -> Done {
        let target = self.target(cx, channel)?;
        match self.subs.at_mut(target.room).map(|sub| &mut sub.stage) {
            None => out.answer(id, Answer::Unsubscribe),
            Some(Stage::Asked(asked)) => {
                asked.cancelled = true;
                out.answer(id, Answer::Unsubscribe);
            }
            Some(Stage::Seated(place, ..)) => {
                out.effects.push(Effect::Stand(*place));
                self.subs.remove(target.room);
                self.peer_mut()?.forget(target.room);
                self.ask(cx, target.room, id, What::Unsubscribe(Departure::Said), out);
            }
        }
        Ok(())
    }

    fn publish(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        data: &RawData<'_>,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        if data.bytes.is_empty() {
            return Err(ErrorCode::BadRequest);
        }
        if (target.rules.data_bytes_max as usize) < data.bytes.len() {
            return Err(ErrorCode::LimitExceeded);
        }
        self.check(cx, &target, target.rules.publish, Allow::PUBLISH)?;
        let peer = self.peer()?;
        let chan_info = peer.channel(target.room).and_then(|extra| extra.chan_info.clone());
        let info = Some(Arc::clone(&peer.info));
        // A member's room exists.
        let title = match self.standing(target.room) {
            Standing::Subscribed => None,
            Standing::Outside => Some(target.title()),
        };
        let draft = Draft { title, data: data.to_payload(), info, chan_info };
        self.ask(cx, target.room, id, What::Publish(Box::new(draft)), out);
        Ok(())
    }

    fn presence(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        what: What,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        if !target.rules.presence {
            return Err(ErrorCode::NotAvailable);
        }
        self.check(cx, &target, target.rules.see_presence, Allow::PRESENCE)?;
        self.ask(cx, target.room, id, what, out);
        Ok(())
    }

    fn history(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        request: &HistoryRequest<'_>,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, &request.channel)?;
        if !target.rules.keeps_history() {
            return Err(ErrorCode::NotAvailable);
        }
        self.check(cx, &target, target.rules.see_history, Allow::HISTORY)?;
        let passage = Passage {
            limit: u32::try_from(request.limit).unwrap_or(HISTORY_ANSWER_MAX),
            since: request.since.as_ref().map(|(offset, epoch)| position(*offset, epoch)),
            order: if request.reverse { Order::NewestFirst } else { Order::OldestFirst },
        };
        self.ask(cx, target.room, id, What::History(passage), out);
        Ok(())
    }

    fn rpc(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        method: &str,
        data: &RawData<'_>,
        out: &mut Outcome,
    ) -> Done {
        match method.strip_prefix(CHAT_PREFIX) {
            Some("typing") => self.typing(cx, id, &data.bytes, out),
            #[cfg(any(test, feature = "faults"))]
            Some("panic") => panic!("asked for by a test"),
            Some(_) => Err(ErrorCode::MethodNotFound),
            None => Err(ErrorCode::NotAvailable),
        }
    }

    /// A message without an answer: `{"method": …, "data": …}` is served like an
    /// rpc, anything else waits for somebody to listen and is dropped.
    fn send(&mut self, cx: &Context<'_>, data: &RawData<'_>, out: &mut Outcome) -> Done {
        match wire::chat::call(&data.bytes) {
            Some((method, data)) => {
                let data = RawData { bytes: data.into(), is_json: true };
                self.rpc(cx, 0, &method, &data, out)
            }
            None => Ok(()),
        }
    }

    fn typing(&mut self, cx: &Context<'_>, id: u32, data: &[u8], out: &mut Outcome) -> Done {
        let channel = wire::chat::channel(data).ok_or(ErrorCode::BadRequest)?;
        let target = self.target(cx, &channel)?;
        if self.standing(target.room) == Standing::Outside {
            return Err(ErrorCode::PermissionDenied);
        }
        self.check(cx, &target, target.rules.publish, Allow::PUBLISH)?;
        let info: Arc<ClientInfo> = Arc::clone(&self.peer()?.info);
        self.ask(cx, target.room, id, What::Typing(info), out);
        Ok(())
    }

    fn refresh(&mut self, cx: &Context<'_>, id: u32, token: &str, out: &mut Outcome) -> Done {
        let claims = cx.keys.connection(token, cx.now.unix_s()).map_err(token_refusal)?;
        let peer = self.peer_mut()?;
        if claims.user != peer.info.user || *claims.tenant != *peer.tenant() {
            return Err(ErrorCode::PermissionDenied);
        }
        peer.set_expiry(claims.expires_at_unix_s);
        let expires_in_s = claims.expires_at_unix_s.map(|end| left_s(cx, end));
        out.answer(id, Answer::Refresh { client: peer.info.client, expires_in_s });
        Ok(())
    }

    fn sub_refresh(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        token: &str,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        if self.standing(target.room) == Standing::Outside {
            return Err(ErrorCode::PermissionDenied);
        }
        let claims = self.channel_claims(cx, self.peer()?, channel, token)?;
        let claims = claims.ok_or(ErrorCode::BadRequest)?;
        let expires_in_s = claims.expires_at_unix_s.map(|end| left_s(cx, end));
        let extra = ChannelExtra {
            channel: Box::from(channel),
            chan_info: claims.info.map(|info| Arc::new(json_payload(info))),
            expires_unix_s: claims.expires_at_unix_s,
        };
        self.peer_mut()?.remember(target.room, extra);
        out.answer(id, Answer::SubRefresh { expires_in_s });
        Ok(())
    }

    /// The channel of a request: a name that is allowed, in a namespace that exists.
    fn target<'c, 'r>(
        &self,
        cx: &Context<'c>,
        channel: &'r str,
    ) -> Result<Target<'c, 'r>, ErrorCode> {
        if !wire::channel_is_valid(channel) {
            return Err(ErrorCode::BadRequest);
        }
        let namespace = namespace_of(&cx.rooms.namespaces, channel);
        let namespace = namespace.ok_or(ErrorCode::UnknownChannel)?;
        Ok(Target {
            room: cx.names.room(self.peer()?.tenant(), channel),
            channel,
            namespace,
            rules: &cx.rooms.namespaces[usize::from(namespace)],
        })
    }

    /// Whether the namespace or a token allows this in the channel.
    fn check(&self, cx: &Context<'_>, target: &Target<'_, '_>, who: Who, needed: Allow) -> Done {
        let by_sub = self.subs.at(target.room).map_or(Allow::NONE, Sub::allow);
        let by_caps = self.peer()?.capability(target.channel);
        let grant = grant(by_sub | by_caps, needed);
        let standing = self.standing(target.room);
        let allowed = self.may(cx, who, standing, grant);
        if allowed { Ok(()) } else { Err(ErrorCode::PermissionDenied) }
    }

    fn may(&self, cx: &Context<'_>, who: Who, standing: Standing, grant: Grant) -> bool {
        let Ok(peer) = self.peer() else { return false };
        cx.options.insecure || may(who, Subject { identity: peer.identity(), standing, grant })
    }

    fn standing(&self, room: RoomId) -> Standing {
        match self.subs.at(room).map(|sub| &sub.stage) {
            Some(Stage::Seated(..)) => Standing::Subscribed,
            Some(Stage::Asked(_)) | None => Standing::Outside,
        }
    }

    /// What the subscription's token says; `None` without a token.
    fn channel_claims(
        &self,
        cx: &Context<'_>,
        peer: &Peer,
        channel: &str,
        token: &str,
    ) -> Result<Option<ChannelClaims>, ErrorCode> {
        if token.is_empty() {
            return Ok(None);
        }
        let claims = cx.keys.subscription(token, cx.now.unix_s()).map_err(token_refusal)?;
        let client = peer.info.client.text();
        let fits = *claims.channel == *channel
            && claims.user == peer.info.user
            && claims.client.as_ref().is_none_or(|one| one.as_bytes() == client)
            && *claims.tenant == *peer.tenant();
        if fits { Ok(Some(claims)) } else { Err(ErrorCode::PermissionDenied) }
    }

    /// Only a connected peer has requests.
    fn peer(&self) -> Result<&Peer, ErrorCode> {
        match &self.state {
            State::Ready(peer) => Ok(peer),
            State::Greeting { .. } | State::Connecting(_) | State::Closed => {
                Err(ErrorCode::Unauthorized)
            }
        }
    }

    fn peer_mut(&mut self) -> Result<&mut Peer, ErrorCode> {
        match &mut self.state {
            State::Ready(peer) => Ok(peer),
            State::Greeting { .. } | State::Connecting(_) | State::Closed => {
                Err(ErrorCode::Unauthorized)
            }
        }
    }
}

fn grant(allow: Allow, needed: Allow) -> Grant {
    if allow.contains(needed) { Grant::Given } else { Grant::Silent }
}

/// What a publish came to that was refused with this code.
pub(super) fn unpublished(code: ErrorCode) -> PublishResult {
    match code {
        ErrorCode::PermissionDenied | ErrorCode::Unauthorized => PublishResult::Denied,
        ErrorCode::TooManyRequests => PublishResult::Limited,
        ErrorCode::BadRequest | ErrorCode::LimitExceeded | ErrorCode::UnknownChannel => {
            PublishResult::Invalid
        }
        ErrorCode::Internal
        | ErrorCode::MethodNotFound
        | ErrorCode::AlreadySubscribed
        | ErrorCode::NotAvailable
        | ErrorCode::TokenExpired
        | ErrorCode::Expired
        | ErrorCode::UnrecoverablePosition => PublishResult::Failed,
    }
}

/// What a connected peer is told about a token that is not good; only an
/// expired one is worth another try.
fn token_refusal(fault: auth::Fault) -> ErrorCode {
    if fault.is_expired() { ErrorCode::TokenExpired } else { ErrorCode::PermissionDenied }
}
