//! What a connected peer may ask for, request by request.

use std::sync::Arc;

use super::backlog::Behind;
use super::chat::Words;
use super::connect::{json_payload, left_s, position, subscribe_result};
use super::identity::{ChannelExtra, Peer};
use super::names::namespace_of;
use super::position_seal::{Owner, Since};
use super::quota::Admission;
use super::rights::Standing;
use super::state::{Context, State};
use super::subs::{Asked, Maker, Removal, Stage, Sub};
use super::target::{Done, grant, reader};
use super::{Effect, Outcome, Pace, Session};
use crate::auth::{self, Allow, ChannelClaims, Remedy};
use crate::base::RoomId;
use crate::base::limits::HISTORY_ANSWER_MAX;
use crate::metrics::{Histogram, PublishResult};
use crate::room::{
    Departure, Entry, HistoryPage, IdSource, Order, Passage, Recovery, Voice, Welcome, What,
};
use crate::wire::{
    self, Answer, ErrorCode, HistoryRequest, Push, RawData, Request, SubscribeRequest,
    SubscribeResult,
};

/// Methods with this prefix are chat's own.
pub(super) const CHAT_PREFIX: &str = "chat.";

impl Session {
    pub(super) fn on_request(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: &Request<'_>,
        out: &mut Outcome,
    ) -> Done {
        if self.admits(cx, request) == Admission::Throttled {
            return Err(ErrorCode::TooManyRequests.into());
        }
        match request {
            // What is live goes first. No mistake of the client's, so it is not counted as one.
            Request::Subscribe(_) if cx.load.pace == Pace::FarBehind => {
                Err(ErrorCode::TooManyRequests.into())
            }
            Request::Subscribe(request) => self.subscribe(cx, id, request, out),
            Request::Unsubscribe { channel } => self.unsubscribe(cx, id, channel, out),
            Request::Publish { channel, data } => self.publish(cx, id, channel, data, out),
            Request::Presence { channel } => self.presence(cx, id, channel, What::Presence, out),
            Request::PresenceStats { channel } => {
                self.presence(cx, id, channel, What::PresenceStats, out)
            }
            Request::History(request) => self.history(cx, id, request, out),
            Request::Ping => {
                out.answer(id, Answer::Ping);
                Ok(())
            }
            Request::Rpc { method, data } => self.rpc(cx, id, method, data, out),
            Request::Send { data } => self.send(cx, data, out),
            Request::Refresh { token } => self.refresh(cx, id, token, out),
            Request::SubRefresh { channel, token } => self.sub_refresh(cx, id, channel, token, out),
            Request::Unknown => Err(ErrorCode::MethodNotFound.into()),
            // Both are served before a request gets here.
            Request::Connect(_) | Request::Pong => Ok(()),
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
            Some(Sub { stage: Stage::Asked(asked), .. }) => match asked.cancelled {
                None => asked,
                Some(code) => {
                    let id = asked.id;
                    self.subs.remove(room);
                    peer.forget(room);
                    self.ask(cx, room, 0, What::Unsubscribe(Departure::Said), out);
                    out.refuse(id, code);
                    return self.settle(room, Behind::Settled, out);
                }
            },
            // The server unsubscribed it meanwhile.
            Some(Sub { stage: Stage::Seated(..), .. }) | None => {
                return self.ask(cx, room, 0, What::Unsubscribe(Departure::Lost), out);
            }
        };
        let rules = &cx.rooms.namespaces[usize::from(asked.title.namespace)];
        let recoverable = rules.keeps_history() && (asked.recoverable || rules.force_recovery);
        let positioned = rules.keeps_history() && (asked.positioned || rules.force_positioning);
        let owner = Owner { room, user: &peer.info.user };
        let reader = reader(cx, peer, &asked.title.channel, rules, asked.allow);
        let result = SubscribeResult {
            expires_in_s: asked.expires_unix_s.map(|end| left_s(cx, end)),
            recoverable,
            positioned,
            ..subscribe_result(cx, owner, reader, asked.own_from, &welcome)
        };
        match asked.id {
            // The server made it, after connect.
            0 => out.push(&asked.title.channel, Push::Subscribe(result)),
            id => out.answer(id, Answer::Subscribe(result)),
        }
        if welcome.recovery != Recovery::NotAsked {
            out.observe(Histogram::SessionResume, asked.at, cx.now.tick);
        }
        let news_of_members = rules.push_join_leave || (rules.join_leave && asked.join_leave);
        out.effects.push(Effect::Sit { room, name: welcome.name, news_of_members });
        self.settle(room, Behind::Settled, out);
    }

    fn subscribe(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: &SubscribeRequest<'_>,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, &request.channel)?;
        // While one is asked for, what the client says about the channel waits.
        if self.subs.at(target.room).is_some() {
            return Err(ErrorCode::AlreadySubscribed.into());
        }
        if cx.options.channels_max as usize <= self.subs.len() {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let peer = self.peer()?;
        let claims = self.channel_claims(cx, peer, &request.channel, &request.token)?;
        let by_token = claims.as_ref().map_or(Allow::NONE, |claims| claims.allow);
        let grant = grant(peer.capability(&request.channel) | by_token, Allow::SUBSCRIBE);
        if !self.may(cx, &target, target.rules.subscribe, Standing::Outside, grant) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let chan_info = claims.as_ref().and_then(|claims| claims.info.clone());
        let chan_info = chan_info.map(|info| Arc::new(json_payload(info)));
        let expires_unix_s = claims.and_then(|claims| claims.expires_at_unix_s);
        let recovers = request.recover && target.rules.keeps_history();
        let since = recovers.then(|| {
            let reader = reader(cx, peer, &request.channel, target.rules, by_token);
            let owner = Owner { room: target.room, user: &peer.info.user };
            Since::read(cx, owner, reader, request.offset, &request.epoch)
        });
        let title = target.title();
        let entry = Entry {
            title: title.clone(),
            info: Arc::clone(&peer.info),
            chan_info: chan_info.clone(),
            since: since.map(|since| since.position),
        };
        let asked = Asked {
            id,
            at: cx.now.tick,
            title,
            recoverable: request.recoverable || request.recover,
            positioned: request.positioned,
            join_leave: request.join_leave,
            expires_unix_s,
            allow: by_token,
            own_from: since.map(|since| since.own_from),
            cancelled: None,
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
            // The server asks for it, and has not told the client yet.
            Some(Stage::Asked(asked)) => {
                asked.cancelled = Some(ErrorCode::NotAvailable);
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
        cx: &mut Context<'_>,
        id: u32,
        channel: &str,
        data: &RawData<'_>,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        if data.bytes.is_empty() {
            return Err(ErrorCode::BadRequest.into());
        }
        let words = Words {
            data,
            tags: Vec::new(),
            id_source: IdSource::Server,
            voice: Voice::Publish,
            ttl_ms: 0,
            sent_at_unix_ms: None,
        };
        self.say(cx, id, &target, words, out)
    }

    pub(super) fn presence(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        what: What,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        if !target.rules.presence {
            return Err(ErrorCode::NotAvailable.into());
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
            return Err(ErrorCode::NotAvailable.into());
        }
        self.check(cx, &target, target.rules.see_history, Allow::HISTORY)?;
        let passage = Passage {
            limit: u32::try_from(request.limit).unwrap_or(HISTORY_ANSWER_MAX),
            since: request.since.as_ref().map(|(offset, epoch)| position(*offset, epoch)),
            order: if request.reverse { Order::NewestFirst } else { Order::OldestFirst },
        };
        let title = self.title_if_needed(&target);
        let page = HistoryPage { title, passage };
        self.ask(cx, target.room, id, What::History(Box::new(page)), out);
        Ok(())
    }

    fn rpc(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        method: &str,
        data: &RawData<'_>,
        out: &mut Outcome,
    ) -> Done {
        match method.strip_prefix(CHAT_PREFIX) {
            #[cfg(any(test, feature = "faults"))]
            Some("panic") => panic!("asked for by a test"),
            Some(name) => self.chat(cx, id, name, &data.bytes, out),
            None => Err(ErrorCode::NotAvailable.into()),
        }
    }

    /// A message without an answer: `{"method": …, "data": …}` is served like an
    /// rpc, anything else waits for somebody to listen and is dropped.
    fn send(&mut self, cx: &mut Context<'_>, data: &RawData<'_>, out: &mut Outcome) -> Done {
        match wire::chat::call(&data.bytes) {
            Some((method, data)) => {
                let data = RawData { bytes: data.into(), is_json: true };
                self.rpc(cx, 0, &method, &data, out)
            }
            None => Ok(()),
        }
    }

    fn sub_refresh(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        token: &str,
        out: &mut Outcome,
    ) -> Done {
        // Some SDKs leave the channel to the token.
        let named = channel.is_empty().then(|| cx.keys.subscription(token, cx.now.unix_s()));
        let named = named.transpose().map_err(token_refusal)?.map(|claims| claims.channel);
        let channel = named.as_deref().unwrap_or(channel);
        let target = self.target(cx, channel)?;
        if self.standing(target.room) == Standing::Outside {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let claims = match self.channel_claims(cx, self.peer()?, channel, token) {
            Ok(claims) => claims.ok_or(ErrorCode::BadRequest)?,
            // SDKs take the refusal of a refresh for the end. They subscribe again, and get
            // a fresh token for it, when they are unsubscribed before they read it.
            Err(ErrorCode::TokenExpired) => {
                if self.subs.at(target.room).map(Sub::maker) == Some(Maker::Client) {
                    let room = target.room;
                    self.unsubscribe_by_server(cx, room, channel, Removal::Expired, out);
                }
                return Err(ErrorCode::TokenExpired.into());
            }
            Err(code) => return Err(code.into()),
        };
        let sub = self.subs.at_mut(target.room).map(|sub| &mut sub.stage);
        if let Some(Stage::Seated(_, allow, _)) = sub {
            *allow = claims.allow;
        }
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
}

/// The namespace of a channel, if there is one.
pub(super) fn namespace(cx: &Context<'_>, channel: &str) -> Option<u16> {
    namespace_of(&cx.rooms.namespaces, channel)
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

/// What a connected peer is told about a token that is not good.
pub(super) fn token_refusal(fault: auth::Fault) -> ErrorCode {
    match fault.remedy() {
        Remedy::FreshToken => ErrorCode::TokenExpired,
        Remedy::Patience => ErrorCode::TooManyRequests,
        Remedy::None => ErrorCode::PermissionDenied,
    }
}
