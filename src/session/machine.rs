//! The state machine of one session: what its peer may do in each state, from the upgrade to the
//! close, and the time of its next timer.
//!
//! Invariants: every pair of a state and a command is decided here; each state holds
//! exactly what it may touch.
//!
//! Deliberately absent: the meaning of commands (`commands`, `chat_commands`, `subscribing`,
//! `refresh`), pings (`heartbeat`), and carrying out the output (the shard).

use std::mem;

use super::awaiting_connect::{AwaitingConnect, ConnectCommand, ConnectStep};
use super::backlog::{HeldServed, Remaining, SubscribeOutcome};
use super::command_order::{
    apply_deferred, may_follow_connect, note_throttled, refusal_behind, waits_for,
};
use super::command_out::CommandOut;
use super::commands::CommandLoad;
use super::connect::{PendingConnect, request_single_session};
use super::heartbeat::Heartbeat;
#[cfg(test)]
use super::identity::Peer;
use super::open_commands::OpenCommandCount;
use super::peer_permissions::{CommandResult, PeerPermissions};
use super::publishing::{chat_type, unpublished};
use super::quota::Quota;
use super::state::SessionState;
use super::subscribing::Membership;
use super::subscriptions::{Removal, SubscriptionSide, Subscriptions};
use super::{
    ConnectionEvent, Context, Effect, Fault, HeldCommands, HookThen, NameKey, Options,
    PeerIdentity, PongResult, QuotaDecision, ServerAct, SessionOutput, SubscriberSlot, Suspicion,
    answers, connect, histories, hook_outcomes, hook_refresh, server_acts, serving,
};
use crate::base::{MonotonicMs, RoomId, TcpLiveness, UserHash};
use crate::hook::{HookHeaders, HookReply};
use crate::metrics::{Agent, Tenant};
use crate::room::{LeaveReason, RoomOp, RoomReply, Subscribed};
use crate::wire::{Command, ConnectRequest, ErrorCode, Request};

/// One peer after its upgrade.
#[derive(Debug)]
pub struct Session {
    state: SessionState,
    subscriptions: Subscriptions,
    quota: Quota,
    heartbeat: Heartbeat,
    /// The user agent of the client.
    agent: Agent,
    open_commands: OpenCommandCount,
}

impl Session {
    /// A session right after the upgrade. `ping_s` is the longest ping interval that the client
    /// asked for.
    pub fn open(cx: &Context<'_>, agent: Agent, ping_s: Option<u32>) -> Session {
        Session {
            state: SessionState::AwaitingConnect(AwaitingConnect::begin(cx.now.tick, cx.options)),
            subscriptions: Subscriptions::default(),
            quota: Quota::new(),
            heartbeat: Heartbeat::new(ping_s),
            agent,
            open_commands: OpenCommandCount::default(),
        }
    }

    /// Keeps the headers of the upgrade that hooks get.
    pub fn keep_headers(&mut self, headers: HookHeaders) {
        if let SessionState::AwaitingConnect(awaiting) = &mut self.state {
            awaiting.keep_headers(headers);
        }
    }

    /// Counts received bytes. Over the quota, commands are refused, and a client that does not stop
    /// is closed.
    pub fn on_bytes(
        &mut self,
        cx: &Context<'_>,
        count: usize,
        out: &mut SessionOutput,
    ) -> QuotaDecision {
        self.heartbeat.on_bytes();
        self.quota.take_bytes(cx, count, out)
    }

    /// Counts frames without a command. Over the quota they are ignored, and a client that does not
    /// stop is closed.
    pub fn on_frames(
        &mut self,
        cx: &Context<'_>,
        count: usize,
        out: &mut SessionOutput,
    ) -> QuotaDecision {
        match &self.state {
            SessionState::AwaitingConnect(_) => self.quota.take_strangers_frames(cx, count, out),
            SessionState::Asking(_) | SessionState::Connecting(_) | SessionState::Ready(_) => {
                self.quota.take_frames(cx, count, out)
            }
            SessionState::Closed => QuotaDecision::Throttled,
        }
    }

    /// Handles a command. Every request is answered in every state.
    pub fn on_command(
        &mut self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        admission: QuotaDecision,
        out: &mut SessionOutput,
    ) {
        let Command { id, request } = command;
        match (&self.state, request) {
            (SessionState::Closed, _) => (),
            (SessionState::AwaitingConnect(_), Request::Connect(request)) if id != 0 => {
                self.on_connect(cx, id, request, out);
            }
            (SessionState::AwaitingConnect(awaiting), request) => match awaiting.refused() {
                Some(code) if may_follow_connect(id, &request) => {
                    self.quota.refuse_behind(cx, id, code, admission, out);
                }
                Some(_) | None => out.close(Fault::BadRequest),
            },
            (_, Request::Pong) => {
                if self.on_frames(cx, 1, out) == QuotaDecision::Served {
                    self.heartbeat.on_pong(cx, out);
                }
            }
            // Only these two have no answer; 0 stands for requests of the server itself.
            (_, request) if id == 0 && !matches!(request, Request::Send { .. }) => {
                out.close(Fault::BadRequest);
            }
            (_, Request::Connect(_)) => out.close(Fault::BadRequest),
            (_, request) => {
                let within = self.quota.on_command(cx.now.tick, cx.options);
                if within == QuotaDecision::Served && admission == QuotaDecision::Served {
                    let command = Command { id, request };
                    let held = self.state.hold_behind_connect(out.encoding(), &command);
                    let done = held.unwrap_or_else(|| self.serve_or_wait(cx, command, out));
                    if let Err(refusal) = done {
                        self.quota.refuse(cx, id, refusal, out);
                    }
                } else {
                    note_throttled(cx, &mut self.state, &request, out);
                    self.quota.throttle(cx, id, out);
                }
            }
        }
    }

    /// The answer of a room's home to a request of this session.
    pub fn on_answer(
        &mut self,
        cx: &mut Context<'_>,
        room: RoomId,
        id: u32,
        answer: RoomReply,
        out: &mut SessionOutput,
    ) {
        self.open_commands.on_answered(id);
        let before = out.messages_bytes();
        let (state, quota) = (&mut self.state, &mut self.quota);
        if let Some(answer) = histories::take_page(cx, state, quota, (room, id), answer, out) {
            self.take_answer(cx, room, id, answer, out);
        }
        let bytes = out.messages_bytes().saturating_sub(before);
        self.quota.on_answer(cx.now.tick, cx.options, bytes);
    }

    fn take_answer(
        &mut self,
        cx: &mut Context<'_>,
        room: RoomId,
        id: u32,
        answer: RoomReply,
        out: &mut SessionOutput,
    ) {
        match (&mut self.state, answer) {
            (
                SessionState::Closed | SessionState::AwaitingConnect(_) | SessionState::Asking(_),
                answer,
            ) => {
                // The subscription is not wanted any more.
                if let RoomReply::Subscribed(_) = answer {
                    let mut reply = CommandOut::of_nobody(cx, &mut self.open_commands, out);
                    reply.send_request(room, RoomOp::Unsubscribe(LeaveReason::Disconnected));
                }
            }
            (SessionState::Connecting(connecting), answer) => {
                if connecting.on_answer(cx, room, answer, &mut self.subscriptions, out) {
                    self.finish_connecting(cx, out);
                }
            }
            (SessionState::Ready(_), RoomReply::Subscribed(subscribed)) => {
                self.on_subscribed(cx, room, *subscribed, out);
            }
            (SessionState::Ready(_), RoomReply::SubscribeRejected(code)) => {
                self.on_subscribe_rejected(cx, room, id, code, out)
            }
            (SessionState::Ready(_), answer) => {
                answers::write_answer(cx, &mut self.quota, id, &answer, out);
            }
        }
    }

    /// A home has added the member.
    fn on_subscribed(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        subscribed: Subscribed,
        out: &mut SessionOutput,
    ) {
        let Some((mut membership, reply)) = self.ready(cx, 0, out) else { return };
        if let Some(outcome) = membership.on_subscribed(cx, room, subscribed, reply) {
            self.settle(room, outcome, out);
        }
    }

    /// A home has refused the subscription.
    fn on_subscribe_rejected(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        id: u32,
        code: ErrorCode,
        out: &mut SessionOutput,
    ) {
        let Some((mut membership, _)) = self.ready(cx, 0, out) else { return };
        match membership.on_subscribe_rejected(room, code) {
            // As at connect.
            Some(SubscriptionSide::Server) => return out.close(Fault::Refused(code)),
            // The peer did not ask for it.
            Some(SubscriptionSide::Backend) => (),
            Some(SubscriptionSide::Client) | None => self.quota.refuse(cx, id, code, out),
        }
        self.settle(room, SubscribeOutcome::refused(code), out);
    }

    /// The connected peer with its subscriptions, and the output of command `id`; `None` when it is
    /// not connected.
    fn ready<'s>(
        &'s mut self,
        cx: &Context<'_>,
        id: u32,
        out: &'s mut SessionOutput,
    ) -> Option<(Membership<'s>, CommandOut<'s>)> {
        let SessionState::Ready(peer) = &mut self.state else { return None };
        let reply = CommandOut::new(cx, peer, id, &mut self.open_commands, out);
        let (subscriptions, agent) = (&mut self.subscriptions, self.agent);
        Some((Membership::new(peer, subscriptions, agent), reply))
    }

    /// A command within the quota is served now, or waits for its room.
    fn serve_or_wait(
        &mut self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        out: &mut SessionOutput,
    ) -> CommandResult {
        let done = match self.waits_for(cx, &command.request) {
            None => self.serve(cx, command.id, &command.request, out),
            Some(room) => self.state.hold_behind_room(room, out.encoding(), &command),
        };
        if let (Request::Publish { channel, .. }, Err(refusal)) = (&command.request, done) {
            out.count_unpublished(chat_type(cx, channel), unpublished(refusal.code()));
        }
        done
    }

    /// The room that has to answer a subscribe before this can be served.
    fn waits_for(&self, cx: &Context<'_>, request: &Request<'_>) -> Option<RoomId> {
        let SessionState::Ready(peer) = &self.state else { return None };
        let permissions = PeerPermissions::new(peer, &self.subscriptions, self.agent);
        waits_for(cx, permissions, self.open_commands, request)
    }

    /// Serves a command of a connected peer, and remembers what that means for later ones.
    fn serve(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: &Request<'_>,
        out: &mut SessionOutput,
    ) -> CommandResult {
        let load = CommandLoad::of(request);
        let admission = load.admission(cx, request, self.open_commands, &mut self.quota);
        let Some((mut membership, mut reply)) = self.ready(cx, id, out) else {
            return Err(ErrorCode::Unauthorized.into());
        };
        let done = match admission {
            QuotaDecision::Throttled => Err(ErrorCode::TooManyRequests.into()),
            QuotaDecision::Served => serving::serve(cx, &mut membership, request, &mut reply),
        };
        if let Some(room) = reply.asked_publish() {
            membership.peer_mut().begin_publish(room);
        }
        apply_deferred(cx, &mut membership, request, done)
    }

    /// Serves commands whose wait is over, at most so many. Returns how many were served, and the
    /// rest. They were counted against the quota when they came.
    ///
    /// When one of them makes the server ask the same room again, all after it wait again without
    /// being decoded: a thousand alternating subscribes and unsubscribes are decoded once each, and
    /// not a thousand times.
    pub fn resume(
        &mut self,
        cx: &mut Context<'_>,
        held: HeldCommands,
        count_max: usize,
        out: &mut SessionOutput,
    ) -> (usize, Option<HeldCommands>) {
        let encoding = out.encoding();
        let (served_count, rest) = held.serve(encoding, count_max, |command, room, outcome| {
            if room.is_some() && self.waits_for(cx, &command.request) == room {
                return HeldServed::WaitsAgain;
            }
            let id = command.id;
            let done = self.serve_or_wait(cx, command, out);
            if let Some(refusal) = refusal_behind(done, outcome) {
                self.quota.refuse(cx, id, refusal, out);
            }
            if out.is_closing() { HeldServed::Ends } else { HeldServed::Next }
        });
        let later = match (rest, &mut self.state) {
            (Remaining::Later(held), _) => Some(held),
            (Remaining::Again(room, backlog), SessionState::Ready(peer)) => {
                peer.backlogs_mut().put_back(room, encoding, backlog);
                None
            }
            (Remaining::None | Remaining::Again(..), _) => None,
        };
        (served_count, later)
    }

    /// The room has answered: waiting commands follow after the effects of its answer.
    fn settle(&mut self, room: RoomId, outcome: SubscribeOutcome, out: &mut SessionOutput) {
        let SessionState::Ready(peer) = &mut self.state else { return };
        if let Some(backlog) = peer.take_backlog(room).filter(|backlog| !backlog.is_empty()) {
            let held = HeldCommands::after_room(backlog, room, outcome);
            out.effect(Effect::Resume(held));
        }
    }

    /// The server changes something of a connected peer by itself.
    pub fn on_server_act(
        &mut self,
        cx: &Context<'_>,
        act: ServerAct<'_>,
        out: &mut SessionOutput,
    ) -> Result<(), ErrorCode> {
        let Some((mut membership, mut reply)) = self.ready(cx, 0, out) else { return Ok(()) };
        server_acts::act(&mut membership, cx, act, &mut reply)
    }

    /// The tenant that it is counted for, once it is connected.
    pub fn counted_as(&self) -> Option<Tenant> {
        let SessionState::Ready(peer) = &self.state else { return None };
        peer.counted_as()
    }

    /// Whether the connect command waits for rooms: the client knows no channel before its answer.
    pub fn is_connecting(&self) -> bool {
        matches!(&self.state, SessionState::Connecting(_))
    }

    /// Whether commands of the client are unanswered by rooms.
    pub fn is_unanswered(&self) -> bool {
        self.open_commands.count() != 0
    }

    /// Number of commands of the client that rooms have not answered.
    pub fn unanswered_count(&self) -> u32 {
        self.open_commands.count()
    }

    /// What the messages cost that wait for the rest of an answer.
    pub fn held_answer_bytes(&self) -> usize {
        self.state.held_answer_bytes()
    }

    /// Number of active and pending subscriptions.
    pub fn channels_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// The user agent of the client.
    pub fn agent(&self) -> Agent {
        self.agent
    }

    /// Time since its upgrade, to a quarter of a second.
    pub fn age_ms(&self, now: MonotonicMs, options: &Options) -> u64 {
        self.state.age_ms(now, options)
    }

    /// Its identity; `None` before its connect command was valid.
    pub fn who(&self) -> Option<PeerIdentity<'_>> {
        let peer = self.state.peer()?;
        let (tenant, user) = (peer.tenant(), &*peer.info().user);
        let (client, token) = (peer.info().client, peer.token());
        let (agent, channel_extras_count) = (self.agent, peer.channel_extras_count());
        Some(PeerIdentity { tenant, user, client, agent, token, channel_extras_count })
    }

    /// The hash of its user, for limits by user.
    pub fn user_hash(&self, names: NameKey) -> UserHash {
        self.who().map_or(UserHash::NOBODY, |who| names.user_hash(who.tenant, who.user))
    }

    /// Its subscriber slots, by room.
    pub fn subscriber_slots(&self) -> impl Iterator<Item = (RoomId, SubscriberSlot)> {
        self.subscriptions.active_slots()
    }

    /// The shard has added the subscriber that `Effect::AddSubscriber` asked for, or has moved it,
    /// because another one has left the channel.
    pub fn activate(&mut self, room: RoomId, place: SubscriberSlot) {
        self.subscriptions.activate(room, place);
    }

    /// Messages of this channel were lost: the client is told to subscribe again, and to recover.
    /// For a subscription that the server made at connect it is told to reconnect.
    pub fn on_gap(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        channel: &str,
        out: &mut SessionOutput,
    ) {
        if self.subscriptions.maker(room) == Some(SubscriptionSide::Server) {
            return out.close(Fault::InsufficientState);
        }
        if let Some((mut membership, mut reply)) = self.ready(cx, 0, out) {
            membership.end(room, channel, Removal::InsufficientState, &mut reply);
        }
    }

    /// Handles a timer.
    pub fn on_timer(&mut self, cx: &mut Context<'_>, out: &mut SessionOutput) {
        if self.state.missed_deadline(cx).is_some() {
            out.effect(Effect::Suspect(Suspicion::Deadline));
        }
        if let Some((mut membership, mut reply)) = self.ready(cx, 0, out) {
            hook_refresh::ask_if_due(cx, membership.peer_mut(), &mut reply);
            membership.end_expired(cx, &mut reply);
            // A client whose connect is unanswered expects no pings.
            self.heartbeat.on_timer(cx, out);
        }
    }

    /// The time of the next call of `on_timer`.
    pub fn next_timer(&self, cx: &Context<'_>) -> MonotonicMs {
        self.state.next_timer(cx, &self.heartbeat)
    }

    /// The backend has answered what this session asked it, or has not.
    pub fn on_hook_reply(
        &mut self,
        cx: &mut Context<'_>,
        then: HookThen,
        reply: HookReply,
        out: &mut SessionOutput,
    ) {
        if let Some((membership, command)) = self.ready(cx, 0, out) {
            if let Some(settled) = hook_outcomes::on_reply(cx, membership, then, reply, command) {
                self.settle(settled.0, settled.1, out);
            }
        } else if let SessionState::Asking(asked) =
            mem::replace(&mut self.state, SessionState::Closed)
            && let Some(connecting) = asked.on_reply(cx, reply, &mut self.quota, out)
        {
            self.begin_connecting(cx, connecting, out);
        }
    }

    /// Ends the session: it is removed from its channels and rooms.
    pub fn leave(&mut self, cx: &Context<'_>, out: &mut SessionOutput) {
        if let SessionState::Ready(peer) = &self.state {
            request_single_session(cx, peer, &mut self.open_commands, RoomOp::Release, out);
        }
        out.count_connection(self.counted_as(), ConnectionEvent::Closed);
        self.state = SessionState::Closed;
        let mut reply = CommandOut::of_nobody(cx, &mut self.open_commands, out);
        // Answers to pending subscribes will find no session, and are undone then.
        for (room, place) in self.subscriptions.take_active_slots() {
            reply.effect(Effect::RemoveSubscriber(place, LeaveReason::Disconnected));
            reply.send_request(room, RoomOp::Unsubscribe(LeaveReason::Disconnected));
        }
    }

    fn on_connect(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: ConnectRequest<'_>,
        out: &mut SessionOutput,
    ) {
        self.agent = connect::agent(self.agent, &request.name);
        let SessionState::AwaitingConnect(awaiting) = &mut self.state else { return };
        let command = ConnectCommand { id, request, agent: self.agent };
        match awaiting.on_connect(cx, command, &mut self.quota, out) {
            ConnectStep::Refused => (),
            ConnectStep::Asked(asked) => self.state = SessionState::Asking(Box::new(asked)),
            ConnectStep::Begun(connecting) => self.begin_connecting(cx, connecting, out),
        }
    }

    /// The client is known: its rooms are asked to let it in.
    fn begin_connecting(
        &mut self,
        cx: &mut Context<'_>,
        connecting: PendingConnect,
        out: &mut SessionOutput,
    ) {
        let mut reply = CommandOut::new(cx, connecting.peer(), 0, &mut self.open_commands, out);
        connecting.ask_rooms(&mut reply);
        self.state = SessionState::Connecting(Box::new(connecting));
        self.finish_connecting(cx, out);
    }

    fn finish_connecting(&mut self, cx: &mut Context<'_>, out: &mut SessionOutput) {
        if !matches!(&self.state, SessionState::Connecting(connecting) if connecting.is_complete())
        {
            return;
        }
        if let SessionState::Connecting(connecting) =
            mem::replace(&mut self.state, SessionState::Closed)
        {
            let (peer, held) = connecting.finish(cx, &mut self.heartbeat, out);
            request_single_session(cx, &peer, &mut self.open_commands, RoomOp::Claim, out);
            self.state = SessionState::Ready(peer);
            out.effect(Effect::Connected);
            // After the subscribers: a held command may need the last one.
            if !held.is_empty() {
                out.effect(Effect::Resume(held.after_connect()));
            }
        }
    }

    /// Judges a session after a missed deadline, when everything of the peer was read. The caller
    /// closes a silent one, when that is allowed.
    pub fn judge(
        &mut self,
        cx: &mut Context<'_>,
        tcp_liveness: TcpLiveness,
        out: &mut SessionOutput,
    ) -> PongResult {
        let fault = self.state.judge_deadline(cx).filter(|_| !tcp_liveness.has_unread);
        if let Some(fault) = fault {
            out.close(fault);
        } else if let SessionState::Ready(_) = &self.state {
            return self.heartbeat.judge(cx, tcp_liveness, out);
        }
        PongResult::Alive
    }

    /// Spares a session after a missed deadline, while suspects are not checked. True when it is to
    /// be judged nevertheless: a peer before its connect command has twice the time, and no more,
    /// because slots for new peers are few.
    pub fn spare(&mut self, cx: &mut Context<'_>) -> bool {
        if let SessionState::Ready(_) = &self.state {
            self.heartbeat.spare(cx);
        }
        self.state.is_judged_late(cx)
    }

    /// Whether a pong is missing.
    pub fn is_suspected(&self) -> bool {
        self.heartbeat.is_suspected()
    }

    /// Its ping waits for a send in flight.
    pub fn on_ping_queued(&mut self) {
        self.heartbeat.on_queued();
    }

    /// A send has left. Its next timer is no earlier than before.
    pub fn on_sent(&mut self, now: MonotonicMs, options: &Options) {
        self.state.on_sent(now, options);
        self.heartbeat.on_sent(now, options);
    }

    /// The connected peer, with its subscriptions.
    #[cfg(test)]
    pub(super) fn connected(&mut self) -> (&mut Peer, &mut Subscriptions) {
        let SessionState::Ready(peer) = &mut self.state else { panic!("not connected") };
        (peer, &mut self.subscriptions)
    }

    /// Who it is.
    #[cfg(test)]
    pub(super) fn peer(&self) -> &Peer {
        self.state.peer().expect("it is connected")
    }
}
