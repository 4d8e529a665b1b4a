//! The connect command until its answer: the identity of the peer, and the subscriptions that the
//! server makes for it.
//!
//! Deliberately absent: the state machine (`machine`), and fresh tokens (`refresh`).

use std::sync::Arc;

use super::backlog::Backlog;
use super::command_out::CommandOut;
use super::heartbeat::Heartbeat;
use super::identity::{ChannelExtra, Peer, StartTime24};
use super::names::{personal_channels, resolve};
use super::open_commands::OpenCommandCount;
use super::peer_permissions::reader;
use super::position_seal::{PositionOwner, RecoveryPoint, RecoveryRights, subscribe_result};
use super::quota::Quota;
use super::subscriptions::{SubscribeTerms, SubscriptionSide, Subscriptions};
use super::tokens::{
    ConnectCommandError, authenticate, block_of, json_payload, left_s, stamp, terms_of,
};
use super::{ConnectionEvent, Context, Effect, Fault, SessionOutput, SubscriberWants};
use crate::auth::{self, Claims, PermissionSet, UnsupportedClaims};
use crate::base::{ClientId, MonotonicMs, RoomId};
use crate::blocks::TokenStamp;
use crate::hook::{Hook, HookHeaders};
use crate::metrics::{Agent, BlockKind, HandshakeStage, Histogram};
use crate::room::{ChannelKey, RoomOp, RoomReply, RoomSubscribe, Subscribed, Unrecovered};
use crate::wire::{
    Answer, ClientInfo, Command, ConnectRequest, ConnectResult, Encoding, ErrorCode, Payload,
    SubscribeRequest, SubscribeResult,
};

/// A connect command that waits for rooms.
#[derive(Debug)]
pub(super) struct PendingConnect {
    /// The command.
    id: u32,
    /// The peer.
    peer: Peer,
    /// Subscriptions by the server, in the order of the token.
    wanted: Vec<ServerSubscription>,
    /// Later commands, encoded again: SDKs send connect and subscribe in one frame.
    held: Backlog,
    /// When the upgrade was done.
    since: MonotonicMs,
    /// Bytes of the recovered messages in `wanted`.
    recovery_bytes: usize,
    /// What its token says and is not supported.
    unsupported: UnsupportedClaims,
    /// What the client is told when it is in.
    data: Option<Box<Payload>>,
}

/// When a connection began.
#[derive(Clone, Copy, Debug)]
pub struct ConnectOrigin {
    /// When its upgrade was done, or its response left.
    pub opened_at: MonotonicMs,
    /// The same, as a peer keeps it.
    pub started_at: StartTime24,
}

/// One subscription that the server makes.
#[derive(Debug)]
pub struct ServerSubscription {
    /// Which room.
    pub room: RoomId,
    /// Its name.
    pub channel_key: ChannelKey,
    /// The position from which the client recovers.
    pub since: Option<RecoveryPoint>,
    /// Information that is added to messages of this peer there.
    pub chan_info: Option<Arc<Payload>>,
    /// What else the token says of it.
    pub terms: SubscribeTerms,
    /// The answer of the home; `None` before it came.
    pub subscribed: Option<Subscribed>,
}

/// The channels of a token that the server subscribes its peer to.
#[derive(Debug, Default)]
pub struct TokenChannels {
    /// Those without options.
    pub channels: Vec<Box<str>>,
    /// Those with.
    pub subs: Vec<(Box<str>, auth::SubscribeOptions)>,
}

/// The user agent: that of the `User-Agent` header, or, without one, the name that the SDK sends.
pub fn agent(by_header: Agent, sdk: &str) -> Agent {
    match (by_header, sdk) {
        (Agent::None | Agent::Other, "js" | "centrifuge-js") => Agent::Node,
        (Agent::None | Agent::Other, "python" | "centrifuge-python") => Agent::Python,
        (Agent::None | Agent::Other, "go" | "centrifuge-go") => Agent::Go,
        (Agent::None | Agent::Other, "java" | "centrifuge-java") => Agent::Java,
        (Agent::None | Agent::Other, "dart" | "centrifuge-dart") => Agent::Dart,
        (Agent::None | Agent::Other, "swift" | "centrifuge-swift") => Agent::Swift,
        (said, _) => said,
    }
}

/// The subscriptions that the server makes for a peer: those of its token, and its personal
/// channels. `subs` has the positions that the client knows.
pub fn wanted(
    cx: &Context<'_>,
    peer: &Peer,
    token: TokenChannels,
    subs: &[SubscribeRequest<'_>],
) -> Result<Vec<ServerSubscription>, ConnectCommandError> {
    let personal = personal_channels(&cx.rooms.namespaces, &peer.info().user);
    let mut wanted: Vec<ServerSubscription> = Vec::new();
    let plain = token.channels.into_iter().chain(personal.map(String::into_boxed_str));
    let plain = plain.map(|channel| (channel, auth::SubscribeOptions::default()));
    // A channel that is there twice has its options.
    for (channel, options) in token.subs.into_iter().chain(plain) {
        let Some((namespace, kind)) = resolve(&cx.rooms.namespaces, &channel) else {
            return Err(ConnectCommandError::Refuse(ErrorCode::UnknownChannel));
        };
        // No token grants another user's personal channel.
        if !kind.admits(&peer.info().user) {
            return Err(ConnectCommandError::Refuse(ErrorCode::PermissionDenied));
        }
        let room = cx.names.room(peer.tenant(), &channel);
        if wanted.iter().any(|one| one.room == room) {
            continue;
        }
        if cx.options.channels_max as usize <= wanted.len() {
            return Err(ConnectCommandError::Refuse(ErrorCode::LimitExceeded));
        }
        let recovering = subs.iter().find(|sub| *sub.channel == *channel && sub.recover);
        let keeps_history = cx.rooms.namespaces[usize::from(namespace)].keeps_history();
        let recovering = recovering.filter(|_| keeps_history);
        let rules = &cx.rooms.namespaces[usize::from(namespace)];
        let reader = reader(cx, peer, &channel, rules, PermissionSet::NONE);
        let owner = PositionOwner { room, user: &peer.info().user };
        let rights = RecoveryRights { reader, granted: options.recover_since.as_ref() };
        let since =
            recovering.map(|sub| RecoveryPoint::read(cx, owner, rights, sub.offset, &sub.epoch));
        let tenant = peer.shared_tenant();
        let channel_key = ChannelKey { tenant, channel: Arc::from(channel), namespace };
        let (chan_info, terms) = terms_of(options);
        let one =
            ServerSubscription { room, channel_key, since, chan_info, terms, subscribed: None };
        wanted.push(one);
    }
    Ok(wanted)
}

/// Keeps what the token says of this peer in channels that the server subscribes it to, in the
/// place of what the token before said.
pub fn keep_infos<'w>(peer: &mut Peer, by_server: impl Iterator<Item = &'w ServerSubscription>) {
    for one in by_server {
        match &one.chan_info {
            None => peer.forget(one.room),
            Some(chan_info) => {
                let channel = Box::from(&*one.channel_key.channel);
                let chan_info = Some(Arc::clone(chan_info));
                let token = TokenStamp::NO_TOKEN;
                let extra = ChannelExtra { channel, chan_info, expires_unix_s: None, token };
                peer.remember(one.room, extra);
            }
        }
    }
}

/// When a user may have only one connection, the home of its personal channel knows which one.
pub(super) fn request_single_session(
    cx: &Context<'_>,
    peer: &Peer,
    open_commands: &mut OpenCommandCount,
    op: RoomOp,
    out: &mut SessionOutput,
) {
    let (tenant, user) = (peer.tenant(), &peer.info().user);
    if cx.options.is_single_session(tenant) && !user.is_empty() {
        let inbox = cx.names.inbox(tenant, user);
        CommandOut::new(cx, peer, 0, open_commands, out).send_request(inbox, op);
    }
}

impl PendingConnect {
    /// The peer of connect command `id`, by its token.
    pub fn begin(
        cx: &mut Context<'_>,
        (id, request): (u32, &ConnectRequest<'_>),
        origin: ConnectOrigin,
    ) -> Result<PendingConnect, ConnectCommandError> {
        let claims = authenticate(cx, &request.token)?;
        let token_stamp = match request.token.is_empty() {
            true => TokenStamp::NO_TOKEN,
            false => stamp(cx, &claims.tenant, &claims.id, claims.issued_unix_s),
        };
        let client = ClientId::from_random(cx.random.ids.draw_u128());
        let connecting = PendingConnect::of_claims(cx, (id, request), claims, (client, origin))?;
        Ok(connecting.with_token(token_stamp))
    }

    /// The peer of connect command `id` of whom this is said, with the subscriptions that the
    /// server makes.
    pub fn of_claims(
        cx: &Context<'_>,
        (id, request): (u32, &ConnectRequest<'_>),
        claims: Claims,
        (client, origin): (ClientId, ConnectOrigin),
    ) -> Result<PendingConnect, ConnectCommandError> {
        let ConnectOrigin { opened_at: since, started_at } = origin;
        let unsupported = claims.unsupported;
        let conn_info = claims.info.map(|info| Box::new(json_payload(info)));
        let info = ClientInfo { user: claims.user, client, conn_info };
        let counted_as = cx.options.tenants.of(&claims.tenant);
        let (expires, tenant) = (claims.expires_at_unix_s, claims.tenant);
        let mut peer = Peer::new(info, expires, tenant, counted_as, claims.caps, started_at);
        let token = TokenChannels { channels: claims.channels, subs: claims.subs };
        let wanted = wanted(cx, &peer, token, &request.subs)?;
        keep_infos(&mut peer, wanted.iter());
        peer.set_meta(claims.meta.filter(|_| !cx.options.hooks.asked.is_empty()));
        let held = Backlog::default();
        let (recovery_bytes, data) = (0, None);
        Ok(PendingConnect { id, peer, wanted, held, since, recovery_bytes, unsupported, data })
    }

    /// With what blocks need to know of its token.
    pub fn with_token(mut self, token: TokenStamp) -> PendingConnect {
        self.peer.set_token(token);
        self
    }

    /// With what the client is told when it is in.
    pub fn with_answer_data(self, data: Option<Box<Payload>>) -> PendingConnect {
        PendingConnect { data, ..self }
    }

    /// With later commands.
    pub fn with_held(self, held: Backlog) -> PendingConnect {
        PendingConnect { held, ..self }
    }

    /// With the headers of the upgrade, where later hooks get them.
    pub fn with_headers(
        mut self,
        cx: &Context<'_>,
        headers: Option<Arc<HookHeaders>>,
    ) -> PendingConnect {
        self.peer.keep_headers(headers.filter(|_| cx.options.hooks.keeps_headers));
        self
    }

    /// Lets it in, unless clients such as it are blocked for a while, or it is kept out.
    pub fn admit(
        self,
        cx: &Context<'_>,
        agent: Agent,
        quota: &mut Quota,
        out: &mut SessionOutput,
    ) -> Option<PendingConnect> {
        if self.is_blocked(cx, agent) {
            out.close(Fault::Quarantined);
            return None;
        }
        if let Some(kind) = self.refusal(cx) {
            out.close(Fault::Blocked(kind));
            return None;
        }
        quota.on_admitted();
        out.count_unsupported(self.unsupported);
        Some(self)
    }

    /// The peer.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Bytes of the recovered messages of its answer.
    pub fn recovery_bytes(&self) -> usize {
        self.recovery_bytes
    }

    /// Why its user, or its token, is kept out, if it is.
    fn refusal(&self, cx: &Context<'_>) -> Option<BlockKind> {
        block_of(cx, &self.peer, self.peer.token())
    }

    /// Whether clients such as this one are blocked for a while.
    fn is_blocked(&self, cx: &Context<'_>, agent: Agent) -> bool {
        let (tenant, user) = (self.peer.tenant(), &self.peer.info().user);
        cx.blocked_prefixes.iter().any(|prefix| prefix.is_of(tenant, user, agent))
    }

    /// Asks each of its rooms to let it in.
    pub fn ask_rooms(&self, reply: &mut CommandOut<'_>) {
        for one in &self.wanted {
            let subscribe = RoomSubscribe {
                channel_key: one.channel_key.clone(),
                info: Arc::clone(self.peer.info()),
                chan_info: one.chan_info.clone(),
                since: one.since.map(|since| since.position),
                unrecovered: Unrecovered::Admitted,
            };
            reply.send_request(one.room, RoomOp::Subscribe(Box::new(subscribe)));
        }
    }

    /// Adds a later command, if the limits allow it.
    pub fn hold(&mut self, encoding: Encoding, command: &Command<'_>) -> Result<(), ErrorCode> {
        self.held.push(encoding, command)
    }

    /// Takes the answer of a room. True when it added the peer.
    pub fn on_answer(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        answer: RoomReply,
        subscriptions: &mut Subscriptions,
        out: &mut SessionOutput,
    ) -> bool {
        let place = self.wanted.iter_mut().find(|one| one.room == room);
        match (place, answer) {
            (Some(one), RoomReply::Subscribed(subscribed)) => {
                let name = Arc::clone(&subscribed.name);
                self.recovery_bytes += subscribed.missed_bytes();
                one.subscribed = Some(*subscribed);
                let rules = &cx.rooms.namespaces[usize::from(one.channel_key.namespace)];
                let pushes = one.terms.overrides.push_join_leave;
                let join_leave = pushes.unwrap_or(rules.push_join_leave);
                let wants = SubscriberWants { join_leave, ..SubscriberWants::default() };
                out.effect(Effect::AddSubscriber { room, name, wants });
                // Its answer is that to the connect command.
                let terms = SubscribeTerms::default();
                let server = SubscriptionSide::Server;
                subscriptions.begin_subscribe_by(server, room, one.channel_key.clone(), terms);
                return true;
            }
            // A refusal of a room refuses the connection: the client retries, or learns that its
            // token asks for something that does not exist.
            (_, RoomReply::SubscribeRejected(code) | RoomReply::Rejected(code)) => {
                out.refuse(self.id, code);
                out.close(Fault::Refused(code));
            }
            (None, RoomReply::Subscribed(_))
            | (
                _,
                RoomReply::Unsubscribed
                | RoomReply::Published(_)
                | RoomReply::Presence(_)
                | RoomReply::PresenceStats { .. }
                | RoomReply::History(..)
                | RoomReply::Posted(_)
                | RoomReply::Members(..)
                | RoomReply::Receipts(..)
                | RoomReply::Conversations(..)
                | RoomReply::Reactions(_)
                | RoomReply::Roster(..)
                | RoomReply::DeadLetters(_)
                | RoomReply::InvalidField(_)
                | RoomReply::Done,
            ) => (),
        }
        false
    }

    /// True when every room has answered.
    pub fn is_complete(&self) -> bool {
        self.wanted.iter().all(|one| one.subscribed.is_some())
    }

    /// Answers the command: the peer is connected, and later commands may be served.
    pub fn finish(
        self,
        cx: &mut Context<'_>,
        heartbeat: &mut Heartbeat,
        out: &mut SessionOutput,
    ) -> (Peer, Backlog) {
        let ping_interval_ms = heartbeat.settle(cx);
        self.answer(cx, ping_interval_ms, out);
        let stage = Histogram::HandshakeStage(HandshakeStage::Auth);
        out.observe(stage, self.since, cx.now.tick);
        if self.wanted.iter().any(|one| one.since.is_some()) {
            out.observe(Histogram::SessionResume, self.since, cx.now.tick);
        }
        // With one room nothing waits: its answer completes the connect.
        if 1 < self.wanted.len() {
            out.effect(Effect::Release);
        }
        out.count_connection(self.peer.counted_as(), ConnectionEvent::Opened);
        (self.peer, self.held)
    }

    /// The answer to the connect command.
    fn answer(&self, cx: &Context<'_>, ping_interval_ms: u64, out: &mut SessionOutput) {
        let results = self.wanted.iter().map(|one| {
            let subscribed = one.subscribed.as_ref().expect("it is complete");
            let rules = &cx.rooms.namespaces[usize::from(one.channel_key.namespace)];
            let owner = PositionOwner { room: one.room, user: &self.peer.info().user };
            let channel = &one.channel_key.channel;
            let reader = reader(cx, &self.peer, channel, rules, PermissionSet::NONE);
            let own_from = one.since.map(|since| since.own_from);
            let SubscribeTerms { data, overrides } = &one.terms;
            let result = SubscribeResult {
                recoverable: rules.keeps_history() && overrides.recovery.unwrap_or(true),
                positioned: rules.keeps_history() && overrides.positioning.unwrap_or(true),
                data: data.as_deref(),
                ..subscribe_result(cx, owner, reader, own_from, subscribed)
            };
            (&*one.channel_key.channel, result)
        });
        let result = ConnectResult {
            client: self.peer.info().client,
            version: concat!("rookery ", env!("CARGO_PKG_VERSION")),
            // A client that knows brings a token; here the backend is asked.
            expires_in_s: (self.peer.expires_unix_s())
                .filter(|_| !cx.options.hooks.asks(Hook::Refresh))
                .map(|end| left_s(cx, end)),
            subs: results.collect(),
            ping_s: u32::try_from(ping_interval_ms.div_ceil(1_000)).unwrap_or(u32::MAX),
            pong: cx.options.pong_ms_max != 0 && ping_interval_ms != 0,
            time_unix_ms: cx.now.unix_ms,
            node: &cx.options.node,
            data: self.data.as_deref(),
        };
        out.answer(self.id, Answer::Connect(result));
    }
}
