//! The sessions of one shard: they decide, and their decisions are carried out here, in
//! order: requests to rooms, subscribers, messages, and their end.
//!
//! Connections, the shared environment, channels and the flush queue belong to one owner, because
//! an effect may reach all of them. Other parts come with the call, as a `TurnContext`.
//!
//! Invariants: a session is in a channel exactly when it is a subscriber there; the effects
//! of a session are carried out before another decides, except commands that waited, which
//! are served in their place among the effects.
//!
//! Deliberately absent: decoding (`inbound`), rooms (`home_rooms`), and messages to other
//! shards (`mesh`).

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use super::batches::FanoutBatch;
use super::conn::{CloseHandshake, ConnStage, Connection, StageKind, close_handshake};
use super::connections::Connections;
use super::delivery::FlushQueue;
use super::fanout::{Fanout, FanoutBuffer, SubscriberClass};
use super::mesh::PostResult;
use super::messages::Gap;
use super::observe::Observing;
use super::options::Options;
use super::pinger::Pinger;
use super::postponed::{Postponed, PostponedInput, TurnQuota, TurnQuotas};
use super::presence_facts::{say_present, who_is};
use super::session_env::SessionEnv;
use super::setup::ShardSetup;
use super::turn_context::TurnContext;
use crate::base::limits::{LOOK_AGAIN_MS, TURN_TIMERS_MAX};
use crate::base::{
    Action, ConnId, DisconnectReason, MonotonicMs, PanicError, Prng, RandomSources, RoomId,
    ShardId, Timestamps,
};
use crate::metrics::{Counter, LaneKind, MetricsWriter, RejectReason};
use crate::room::{LeaveReason, ReplyTo, RoomRequest};
use crate::session::{
    Context, Effect, Fault, HeldCommands, ServerAct, Session, SessionOutput, SubscriberSlot,
    SubscriberWants, Suspicion,
};
use crate::ws::{self, Reader};

/// All sessions of a shard, with their shared state.
pub struct Sessions {
    connections: Connections,
    env: SessionEnv,
    fanout: Fanout,
    queue: FlushQueue,
    /// Input of connections beyond their share of a turn.
    postponed: Postponed,
    /// The share of this turn that connections have used.
    shares: TurnQuotas,
    pinger: Pinger,
    options: Arc<Options>,
    shard: ShardId,
    metrics: Rc<MetricsWriter>,
}

/// Whether a delivery pass found slow readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowReaders {
    /// It found none.
    Nobody,
    /// It found and closed some.
    Ended,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(setup: ShardSetup) -> Sessions {
        let admission = (setup.keys, setup.blocks);
        let ShardSetup { id, shards_count, options, names, seed, ids, now, metrics, .. } = setup;
        let random = RandomSources { jitter: Prng::from_seed(seed), ids };
        let (ping_ms, each) = (options.session.ping_interval_ms, || Rc::clone(&metrics));
        Sessions {
            connections: Connections::new(now.tick, (id, shards_count), ping_ms, each()),
            env: SessionEnv::new(Arc::clone(&options), admission, names, random, each()),
            fanout: Fanout::default(),
            queue: FlushQueue::new(id, &options.session, &metrics),
            postponed: Postponed::default(),
            shares: TurnQuotas::default(),
            pinger: Pinger::new(each()),
            options,
            shard: id,
            metrics,
        }
    }

    /// The settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// All connections.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The same, mutable.
    pub fn connections_mut(&mut self) -> &mut Connections {
        &mut self.connections
    }

    /// The channels.
    pub fn fanout(&self) -> &Fanout {
        &self.fanout
    }

    /// The same, mutable.
    pub fn fanout_mut(&mut self) -> &mut Fanout {
        &mut self.fanout
    }

    /// The flush queue.
    pub fn queue(&self) -> &FlushQueue {
        &self.queue
    }

    /// The shared environment of sessions.
    pub fn env(&self) -> &SessionEnv {
        &self.env
    }

    /// The same, mutable.
    pub fn env_mut(&mut self) -> &mut SessionEnv {
        &mut self.env
    }

    /// Input that waits for a later turn.
    pub fn postponed(&self) -> &Postponed {
        &self.postponed
    }

    /// The same, mutable.
    pub fn postponed_mut(&mut self) -> &mut Postponed {
        &mut self.postponed
    }

    /// The share of this turn that connections have used.
    pub fn shares_mut(&mut self) -> &mut TurnQuotas {
        &mut self.shares
    }

    /// A context for observations.
    pub fn observing<'o>(&'o mut self, cx: &'o mut TurnContext<'_>) -> Observing<'o> {
        cx.observer.observing(cx.now, cx.rooms, self.fanout.channels(), self.env.ids())
    }

    /// The flush queue and the connections, with a context for observations.
    fn delivering<'o>(
        &'o mut self,
        cx: &'o mut TurnContext<'_>,
    ) -> (&'o mut FlushQueue, &'o mut Connections, Observing<'o>) {
        let Sessions { queue, connections, fanout, env, .. } = self;
        let observing = cx.observer.observing(cx.now, cx.rooms, fanout.channels(), env.ids());
        (queue, connections, observing)
    }

    /// Lets a session decide, puts its messages into its outbox, and carries out its
    /// effects. `None` when it is not open, or panicked: then it is ended.
    pub fn with_session<T>(
        &mut self,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        decide: impl FnOnce(&mut Session, &mut Context<'_>, &mut SessionOutput) -> T,
    ) -> Option<T> {
        self.try_session(cx, id, decide).unwrap_or_else(|PanicError| {
            self.end(cx, id, Fault::Panicked);
            None
        })
    }

    /// The same, except that the caller ends a session that panicked.
    pub fn try_session<T>(
        &mut self,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        decide: impl FnOnce(&mut Session, &mut Context<'_>, &mut SessionOutput) -> T,
    ) -> Result<Option<T>, PanicError> {
        let Sessions { connections, env, .. } = self;
        let Some(conn) = connections.get_mut(id) else { return Ok(None) };
        let (ConnStage::Open(_, session), send) = conn.split() else { return Ok(None) };
        let decided = env.decide(cx.now, id, send.encoding(), session, decide);
        self.carry_out(cx, id);
        decided.map(Some)
    }

    /// Carries out the decisions of a session, in order.
    fn carry_out(&mut self, cx: &mut TurnContext<'_>, id: ConnId) {
        cx.observer.count_outcome(self.env.counts_mut());
        if let Some(messages) = self.env.take_messages() {
            self.queue.append_messages(&mut self.connections, id, messages);
        }
        let mut effects = self.env.take_effects();
        for effect in effects.drain(..) {
            match effect {
                Effect::SendRequest(request) => self.send_request(cx, request),
                Effect::AddSubscriber { room, name, wants } => {
                    self.add_subscriber(cx, id, (room, name), wants);
                }
                Effect::RemoveSubscriber(place, reason) => {
                    self.remove_subscriber(cx, id, place, reason);
                }
                Effect::Connected => say_present(&self.connections, &self.fanout, id, cx.presence),
                Effect::Release => self.queue.release(&mut self.connections, id),
                Effect::Resume(held) => self.resume_held(cx, id, held),
                Effect::Review(wanted) => self.review(cx, id, &wanted),
                Effect::Ping => self.ping(id),
                Effect::Suspect(suspicion) => cx.suspects.push(cx.now.tick, id, suspicion),
                Effect::Acknowledged { key, took_ms } => {
                    let tenant = self.connections.tenant_of(id);
                    self.observing(cx).on_acknowledged(tenant, key, took_ms);
                }
                Effect::AskBackend(ask) => cx.hooks.ask(id, *ask),
                Effect::Disconnect(told) => {
                    self.end_with(cx, id, Fault::ByBackend(told.code), &told.reason);
                }
                Effect::Close(fault) => self.end(cx, id, fault),
            }
        }
        self.env.keep_effects(effects);
    }

    /// Ends a session or an upgrade: it is removed from its rooms, the client gets a close
    /// frame, and the socket closes when that has left.
    pub fn end(&mut self, cx: &mut TurnContext<'_>, id: ConnId, fault: Fault) {
        self.end_with(cx, id, fault, &fault.to_string());
    }

    /// The same, where the close frame has a reason of its own.
    pub fn end_with(&mut self, cx: &mut TurnContext<'_>, id: ConnId, fault: Fault, reason: &str) {
        let deadline = cx.now.tick.plus_ms(self.options.session.close_ms_max);
        let Some(conn) = self.connections.get_mut(id) else { return };
        match conn.stage_mut() {
            ConnStage::Upgrading(upgrading) => {
                let since = upgrading.since;
                conn.begin_closing(deadline, close_handshake(fault));
                self.end_upgrade(cx, since, Err(RejectReason::Gone));
            }
            ConnStage::Open(..) => self.end_open(cx, id, fault, reason),
            ConnStage::Closing(closing) => {
                if fault == Fault::PeerEnded {
                    closing.close_handshake = CloseHandshake::Done;
                }
            }
            ConnStage::Shut => (),
        }
        self.connections.wake(cx.now.tick, id, deadline);
        self.queue.mark_dirty(&mut self.connections, id);
    }

    /// One upgrade less is under way; it began at `since`.
    pub fn end_upgrade(
        &mut self,
        cx: &TurnContext<'_>,
        since: MonotonicMs,
        upgraded: Result<(), RejectReason>,
    ) {
        self.connections.end_upgrade();
        let took_us = cx.now.tick.ms_since(since) * 1_000;
        cx.observer.on_handshake(cx.now, took_us, upgraded);
    }

    fn end_open(&mut self, cx: &mut TurnContext<'_>, id: ConnId, fault: Fault, reason: &str) {
        let deadline = cx.now.tick.plus_ms(self.options.session.close_ms_max);
        // A frame of this turn found the outbox full, and later ones may have fit: the waiting
        // frames have a gap, whatever the session ends for.
        let has_gap = fault == Fault::Slow || self.queue.is_slow(id);
        if has_gap {
            // Before it leaves its channels: what is lost is told by their names.
            let (queue, connections, mut observing) = self.delivering(cx);
            queue.forget_waiting(connections, id, &mut observing);
        }
        self.leave(cx, id, fault, reason);
        if let Some(conn) = self.connections.get_mut(id) {
            conn.begin_closing(deadline, close_handshake(fault));
        }
        if close_handshake(fault).is_some() {
            let frame = if fault == Fault::PeerClosed(1005) {
                ws::close_frame_without_code()
            } else {
                ws::close_frame(fault.close_code(), reason)
            };
            self.push_control(id, frame);
        }
    }

    /// Removes a session from all channels and counts its end.
    fn leave(&mut self, cx: &mut TurnContext<'_>, id: ConnId, fault: Fault, reason: &str) {
        if let Some(session) = self.connections.session(id) {
            if let Some(who) = who_is(session) {
                cx.presence.gone(id, &who, fault, reason);
            }
            cx.observer.on_end(cx.now, session, &self.options.session, fault);
        }
        let (queue, connections, mut observing) = self.delivering(cx);
        queue.forget_held(connections, id, &mut observing);
        let Sessions { connections, env, .. } = self;
        let Some(conn) = connections.get_mut(id) else { return };
        let encoding = conn.send().encoding();
        let ConnStage::Open(_, session) = conn.stage_mut() else { return };
        let unanswered = session.is_unanswered().then(|| env.user_of(session));
        env.leave(cx.now, id, encoding, session);
        self.carry_out(cx, id);
        if let Some(user) = unanswered {
            cx.mesh.on_connection_gone(ReplyTo { conn: id, user, id: 0 });
        }
        self.connections.closed(encoding);
    }

    /// The send in flight of a connection has left. Nearly every delivery ends here, so no
    /// context is made for it. Returns the batch that it was the last send of.
    #[inline]
    #[must_use]
    pub fn on_sent(&mut self, now: Timestamps, id: ConnId) -> Option<FanoutBatch> {
        let options = &self.options.session;
        self.queue.on_sent(&mut self.connections, now.tick, options, id)
    }

    /// A socket is gone.
    pub fn on_gone(&mut self, cx: &mut TurnContext<'_>, id: ConnId, reason: DisconnectReason) {
        let Some(conn) = self.connections.get(id) else { return };
        let fault = match reason {
            DisconnectReason::Closed | DisconnectReason::Reset | DisconnectReason::Unreachable => {
                Fault::Broken
            }
            // Its kernel may have acknowledged all the time, but it took no more bytes.
            DisconnectReason::TimedOut if conn.send().is_sending() => Fault::Slow,
            DisconnectReason::TimedOut => Fault::PeerGone,
        };
        match conn.stage_kind() {
            StageKind::Upgrading | StageKind::Open => self.end(cx, id, fault),
            StageKind::Closing | StageKind::Shut => (),
        }
        self.postponed.forget(id);
        let (queue, connections, mut observing) = self.delivering(cx);
        queue.forget_waiting(connections, id, &mut observing);
        queue.abandon(connections, id, &mut observing);
        if let Some(conn) = connections.remove(id) {
            queue.on_gone(conn, &mut observing);
        }
    }

    /// Fires the timers that are due, up to the number of pings that a turn may send; the rest
    /// goes first in the next turn.
    pub fn fire_timers(&mut self, cx: &mut TurnContext<'_>) {
        self.pinger.begin_turn();
        let (mut due, mut timers_left) = (Vec::new(), TURN_TIMERS_MAX);
        while 0 < self.pinger.left() && 0 < timers_left {
            let some = timers_left.min(self.pinger.left());
            let fired = self.connections.due(cx.now.tick, some, &mut due);
            if fired == 0 {
                break;
            }
            timers_left -= fired;
            for id in due.drain(..) {
                self.metrics.work_on(self.shard.0, id);
                self.on_timer(cx, id);
            }
        }
    }

    fn on_timer(&mut self, cx: &mut TurnContext<'_>, id: ConnId) {
        let now = cx.now.tick;
        let Some(conn) = self.connections.fire(now, id) else { return };
        match conn.stage_mut() {
            ConnStage::Upgrading(_) => {
                cx.suspects.push(now, id, Suspicion::Deadline);
                self.connections.wake(now, id, now.plus_ms(LOOK_AGAIN_MS));
            }
            ConnStage::Open(..) => {
                self.with_session(cx, id, |session, cx, out| session.on_timer(cx, out));
                self.set_next_timer(cx.now, id);
            }
            // A timer that was set for the session before it closed.
            ConnStage::Closing(closing) if now < closing.deadline => {
                let deadline = closing.deadline;
                self.connections.wake(now, id, deadline);
            }
            // The deadline of the closing handshake has passed: waiting frames are dropped.
            ConnStage::Closing(closing) => {
                closing.close_handshake = CloseHandshake::TimedOut;
                let (queue, connections, mut observing) = self.delivering(cx);
                queue.forget_waiting(connections, id, &mut observing);
                queue.mark_dirty(connections, id);
            }
            ConnStage::Shut => (),
        }
    }

    /// Sets the session's next timer.
    pub fn set_next_timer(&mut self, now: Timestamps, id: ConnId) {
        if let Some(session) = self.connections.session(id)
            && let Some(at) = self.env.next_timer(now, id, session)
        {
            self.connections.wake(now.tick, id, at);
        }
    }

    /// Counts a peer that connected or sent something in this turn.
    pub fn note_activity(&mut self) {
        self.pinger.note_activity();
    }

    /// The closing handshake is done: input is ignored from now on, and waiting frames are still
    /// sent.
    pub fn on_last_close(&mut self, id: ConnId, reader: Reader) {
        let conn = self.connections.get_mut(id);
        if let Some(ConnStage::Closing(closing)) = conn.map(Connection::stage_mut) {
            closing.reader = reader;
            closing.close_handshake = CloseHandshake::Done;
            self.queue.mark_dirty(&mut self.connections, id);
        }
    }

    /// Pushes a frame to the control lane, after all earlier messages of the connection.
    pub fn push_control(&mut self, id: ConnId, frame: Bytes) {
        self.queue.push_control(&mut self.connections, id, frame);
    }

    /// Pings a client; after a send that is in flight, the time for the pong begins later.
    fn ping(&mut self, id: ConnId) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let (stage, send) = conn.split();
        let encoding = send.encoding();
        if let ConnStage::Open(_, session) = stage
            && send.is_sending()
        {
            session.on_ping_queued();
        }
        let frame = self.pinger.ping(encoding);
        self.push_control(id, frame);
    }

    /// Serves commands whose wait is over, within the share of this turn and before later
    /// input.
    fn resume_held(&mut self, cx: &mut TurnContext<'_>, id: ConnId, held: HeldCommands) {
        let mut share = self.shares.of(id);
        let before = share.left();
        self.serve_held(cx, id, held, &mut share);
        self.shares.spend_all(id, before - share.left());
    }

    /// Serves held commands, as many as the share allows.
    pub fn serve_held(
        &mut self,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        held: HeldCommands,
        share: &mut TurnQuota,
    ) {
        let resumed = self
            .with_session(cx, id, |session, cx, out| session.resume(cx, held, share.left(), out));
        let (served_count, left) = resumed.unwrap_or((0, None));
        share.spend(served_count);
        if let Some(left) = left {
            self.postponed.put_back(id, PostponedInput::Held(left));
        }
    }

    /// A home lost publications for this shard: all subscribers of these channels subscribe again.
    pub fn on_gap(&mut self, cx: &mut TurnContext<'_>, from: ShardId, gap: Gap) {
        let hit = self.fanout.subscribers_of(gap, |room| cx.mesh.home(room) == from);
        for (room, name, slots) in hit {
            self.flush_room(cx, room);
            for slot in slots {
                let Some((id, _)) = self.connections.subscriber(slot) else { continue };
                self.metrics.add(Counter::DroppedGaps, 1);
                self.with_session(cx, id, |session, cx, out| {
                    session.on_gap(cx, room, &name, out);
                });
            }
        }
    }

    /// Sends a request to the home of a room.
    pub fn send_request(&mut self, cx: &mut TurnContext<'_>, request: RoomRequest) {
        if cx.mesh.send_request(request) == PostResult::Full {
            cx.observer.count_full(LaneKind::Request);
        }
    }

    fn add_subscriber(
        &mut self,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        (room, name): (RoomId, Arc<str>),
        wants: SubscriberWants,
    ) {
        // Earlier messages of this turn are not for the new subscriber.
        self.flush_room(cx, room);
        let Some(conn) = self.connections.get_mut(id) else { return };
        let (stage, send) = conn.split();
        if let ConnStage::Open(_, session) = stage {
            if session.is_connecting() {
                send.hold();
            }
            if let Some(who) = who_is(session) {
                cx.presence.entered(id, &who, &name);
            }
            let class = SubscriberClass::of(send.encoding(), &wants);
            session.activate(room, self.fanout.add(room, name, (id.slot, class), wants.filter));
        }
    }

    fn remove_subscriber(
        &mut self,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        place: SubscriberSlot,
        reason: LeaveReason,
    ) {
        let (session, channel) =
            (self.connections.session(id), self.fanout.channels().at(place.channel));
        if let (Some(who), Some(channel)) = (session.and_then(who_is), channel) {
            cx.presence.left(id, &who, (&channel.name, reason));
        }
        let Some((room, subscriber)) = self.fanout.remove(id.slot, place) else { return };
        if let Some((_, conn)) = self.connections.subscriber_mut(subscriber.slot())
            && let ConnStage::Open(_, session) = conn.stage_mut()
        {
            session.activate(room, place);
        }
    }

    /// The session's rights have changed; only the shard knows its channels by name.
    fn review(&mut self, cx: &mut TurnContext<'_>, id: ConnId, wanted: &[RoomId]) {
        let Some(session) = self.connections.session(id) else { return };
        let channels = self.fanout.channels();
        let named = session.subscriber_slots().filter_map(|(room, place)| {
            Some((room, Arc::clone(&channels.at(place.channel)?.name)))
        });
        let active: Vec<(RoomId, Arc<str>)> = named.collect();
        let review = ServerAct::Review { active: &active, wanted };
        self.with_session(cx, id, |session, cx, out| session.on_server_act(cx, review, out));
    }

    /// Delivers the buffer of a channel, before its subscribers change.
    fn flush_room(&mut self, cx: &mut TurnContext<'_>, room: RoomId) {
        if let Some(buffer) = self.fanout.take(room) {
            self.flush(cx, buffer, None);
        }
    }

    fn flush(
        &mut self,
        cx: &mut TurnContext<'_>,
        buffer: FanoutBuffer,
        out: Option<&mut Vec<Action>>,
    ) {
        let Sessions { queue, connections, fanout, env, .. } = self;
        let Some(channel) = fanout.channels().of(buffer.room()) else { return };
        let mut observing = cx.observer.observing(cx.now, cx.rooms, fanout.channels(), env.ids());
        queue.flush(connections, channel, buffer, out, &mut observing);
    }

    /// Delivers all buffers of this turn. Slow readers that it finds are closed, which may
    /// cause new messages: then it is called again. Each such pass closes at least one
    /// session, so this ends.
    pub fn deliver_once(&mut self, cx: &mut TurnContext<'_>, out: &mut Vec<Action>) -> SlowReaders {
        for buffer in self.fanout.take_all() {
            self.flush(cx, buffer, Some(out));
        }
        self.queue.seal_or_hold(&mut self.connections, cx.now.tick);
        if !self.queue.has_slow() {
            return SlowReaders::Nobody;
        }
        for id in self.queue.take_slow() {
            if self.connections.session(id).is_some() {
                self.end(cx, id, Fault::Slow);
            }
        }
        SlowReaders::Ended
    }

    /// Gives the next send of each connection that has something to send.
    pub fn send_all(&mut self, cx: &mut TurnContext<'_>, out: &mut Vec<Action>) {
        let (queue, connections, mut observing) = self.delivering(cx);
        queue.send_all(connections, out, &mut observing);
    }

    /// The time of the next timer.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        let postponed = (!self.postponed.is_empty()).then_some(MonotonicMs(0));
        let wakes = [self.connections.first_due(), self.queue.next_seal(), postponed];
        wakes.into_iter().flatten().min()
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        self.queue.trim();
        self.env.trim();
        self.fanout.trim();
    }
}
