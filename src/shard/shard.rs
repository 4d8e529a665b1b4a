//! The shard: its parts, the entry points for its inputs (events of sockets, messages of other
//! shards, answers of the store, commands of the control thread), and the order in which a
//! turn ends.
//!
//! Invariants: messages to itself are read before a turn ends; a connection gets at most one
//! send in a turn; a message or event for an earlier connection of a slot is dropped.
//!
//! Deliberately absent: the order of a whole turn (`turn`), the decoding of bytes
//! (`inbound`), and the effects of decisions (`sessions`).

use std::mem;
use std::rc::Rc;
use std::sync::Arc;

use super::audit::Audit;
use super::block_pass::{AddressOf, BlockPass};
use super::drain::Drain;
use super::home_rooms::HomeRooms;
use super::hooks::{HookCall, HookReturn, Hooks};
use super::inbound::Inbound;
use super::judge::{self, ReapProgress};
use super::liveness::{Lateness, Suspects};
use super::mesh::{Mesh, PostResult};
use super::messages::ShardMessage;
use super::observe::{EarlyPanic, Observer, ScanResult, TraceEvents, work_in};
use super::presence_facts::PresenceFacts;
use super::presence_pass::PresencePass;
use super::ranking_scan::{RankingScan, RoomRanking};
use super::room_scan::RoomScan;
use super::server_questions::{CoresReply, ServerAnswer, ServerAnswers, ServerAsk, ServerQuestion};
use super::sessions::{Sessions, SlowReaders};
use super::setup::{ShardCommand, ShardSetup};
use super::turn_context::{DrainStatus, TurnContext};
use super::turn_counts::TurnCounts;
use super::user_scan::UserScan;
use super::{room_events, upgrades};
use crate::base::{Action, ConnId, Event, MonotonicMs, ShardId, TcpLiveness, Timestamps};
use crate::hook::HookReply;
use crate::metrics::{CoreWork, Counter, Gauge, LaneKind, MetricsWriter, TurnPhase};
use crate::presence_feed::PresenceFact;
use crate::room::{ReplyTo, RoomEvent, RoomRequest};
use crate::session::{AskedRooms, HookThen};
use crate::store::{StoreReply, StoreRequest};

/// The connections, rooms and messages of one core.
pub struct Shard {
    sessions: Sessions,
    inbound: Inbound,
    home: HomeRooms,
    mesh: Mesh,
    observer: Observer,
    lateness: Lateness,
    suspects: Suspects,
    hooks: Hooks,
    presence: PresenceFacts,
    presence_pass: PresencePass,
    drain: Option<Drain>,
    user_scan: UserScan,
    block_pass: BlockPass,
    room_scan: RoomScan,
    ranking_scan: RankingScan,
    server_answers: ServerAnswers,
    metrics: Rc<MetricsWriter>,
}

impl Shard {
    /// A shard without connections and rooms.
    pub fn new(mut setup: ShardSetup) -> Shard {
        let home = HomeRooms::new(setup.now, &setup.options, setup.names, setup.ids.fork());
        let metrics = Rc::clone(&setup.metrics);
        let options = Arc::clone(&setup.options);
        Shard {
            home,
            inbound: Inbound::new(Arc::clone(&options), setup.id, Rc::clone(&metrics)),
            mesh: Mesh::new(setup.id, setup.shards_count),
            observer: Observer::new(&setup.options, setup.names, &metrics),
            lateness: Lateness::default(),
            suspects: Suspects::default(),
            hooks: Hooks::default(),
            presence: PresenceFacts::new(setup.id, Arc::clone(&options)),
            presence_pass: PresencePass::default(),
            drain: None,
            user_scan: UserScan::default(),
            block_pass: BlockPass::default(),
            room_scan: RoomScan::default(),
            ranking_scan: RankingScan::default(),
            server_answers: ServerAnswers::default(),
            metrics,
            sessions: Sessions::new(setup),
        }
    }

    /// Borrows the sessions, the decoder, and the parts that decisions of sessions reach. The
    /// one place where a shard is borrowed in pieces.
    fn split(&mut self, now: Timestamps) -> (&mut Sessions, &mut Inbound, TurnContext<'_>) {
        let Shard {
            sessions, inbound, home, mesh, observer, suspects, hooks, presence, drain, ..
        } = self;
        let drain_status =
            if drain.is_some() { DrainStatus::Draining } else { DrainStatus::Serving };
        let rooms = home.rooms();
        let cx =
            TurnContext { now, mesh, observer, suspects, hooks, presence, rooms, drain_status };
        (sessions, inbound, cx)
    }

    /// Handles an event of a socket.
    pub fn on_event(&mut self, now: Timestamps, event: Event<'_>) {
        self.metrics.work_on(self.mesh.own().0, event.conn());
        match event {
            Event::Accepted(id) => {
                let (sessions, _, mut cx) = self.split(now);
                sessions.note_activity();
                upgrades::on_accepted(sessions, &mut cx, id);
                self.block_pass.on_accepted(&self.sessions, id);
            }
            // A server asks for no connections.
            Event::Connected(_) => (),
            Event::Received(id, bytes) => {
                let (sessions, inbound, mut cx) = self.split(now);
                sessions.note_activity();
                inbound.on_received(sessions, &mut cx, id, bytes);
            }
            // Nearly every delivery ends here, so no context is made for it.
            Event::Sent(id) => {
                if let Some(batch) = self.sessions.on_sent(now, id) {
                    let (sessions, _, mut cx) = self.split(now);
                    sessions.observing(&mut cx).on_batch(&batch);
                }
                // Nobody has decided anything.
                return;
            }
            Event::Ended(id) => {
                let (sessions, inbound, mut cx) = self.split(now);
                inbound.on_ended(sessions, &mut cx, id);
            }
            Event::Gone(id, reason) => {
                let (sessions, inbound, mut cx) = self.split(now);
                sessions.on_gone(&mut cx, id, reason);
                inbound.forget(id);
            }
        }
        self.sessions.env().assert_empty();
    }

    /// Handles a message of another shard.
    pub fn on_message(&mut self, now: Timestamps, from: ShardId, message: ShardMessage) {
        assert_ne!(from, self.mesh.own(), "messages to ourselves take no lane");
        if let ShardMessage::Event(RoomEvent::Reply(_, reply_to, _)) = &message {
            self.mesh.answered(from, reply_to.user);
        }
        self.read(now, from, message);
    }

    /// Handles a command of the control thread.
    pub fn on_shard_command(
        &mut self,
        now: Timestamps,
        command: ShardCommand,
        out: &mut Vec<Action>,
    ) {
        match command {
            ShardCommand::Keys(keys) => self.sessions.env_mut().set_keys(keys),
            ShardCommand::Drain { over_ms } => {
                out.push(Action::StopAccepting);
                let connections_count = self.sessions.connections().len();
                self.drain = Some(Drain::begin(now.tick, connections_count, over_ms));
            }
            ShardCommand::BlockedPrefixes(prefixes) => {
                self.sessions.env_mut().set_blocked_prefixes(prefixes)
            }
            ShardCommand::Server(questions) => {
                questions.into_iter().for_each(|one| self.on_server_question(now, one));
            }
            ShardCommand::Hooks(returns) => {
                for HookReturn { id, reply } in returns {
                    let (conn, then) = self.hooks.on_return(id);
                    self.on_hook_reply(now, conn, then, reply);
                }
            }
            ShardCommand::Scan(scan_id, request) => self.observer.begin_scan(scan_id, request),
            ShardCommand::RankRooms(scan_id) => self.ranking_scan.begin(scan_id),
        }
    }

    /// Handles an answer of the store.
    pub fn on_reply(&mut self, now: Timestamps, reply: StoreReply) {
        self.home.on_reply(now, reply);
        self.pass_on(now);
    }

    /// A join or leave event of a room of this shard did not reach another shard.
    pub fn on_event_lost(&mut self, now: Timestamps, lost: &RoomEvent) {
        self.home.on_event_lost(now, lost);
    }

    /// Counts direct messages that expired in the store.
    pub fn on_expired(&mut self, count: u64) {
        self.observer.on_expired(count);
    }

    /// Checks some of the connections whose deadline has passed; `tcp_liveness` returns the
    /// socket's signs of life.
    pub fn judge(
        &mut self,
        now: Timestamps,
        reap_progress: ReapProgress,
        tcp_liveness: &mut dyn FnMut(ConnId) -> TcpLiveness,
    ) {
        let pace = self.lateness.pace(now.tick);
        let (sessions, _, mut cx) = self.split(now);
        judge::judge(sessions, &mut cx, pace, reap_progress, tcp_liveness);
    }

    /// Ends a turn: timers, messages to ourselves, and one send for each connection that has
    /// something to send.
    pub fn finish_turn(&mut self, now: Timestamps, out: &mut Vec<Action>) {
        self.metrics.enter(TurnPhase::Timers);
        let Shard { sessions, lateness, observer, drain, .. } = self;
        judge::observe_lateness(sessions, lateness, now.tick);
        if drain.is_none() {
            out.extend(lateness.pace_accepting(now.tick));
        }
        judge::count_lateness(lateness, observer);
        let (sessions, inbound, mut cx) = self.split(now);
        inbound.serve_postponed(sessions, &mut cx);
        sessions.fire_timers(&mut cx);
        self.step_drain(now);
        self.presence_pass.step(&self.sessions, &mut self.presence);
        if let Some((id, reply)) = self.room_scan.step(self.home.rooms(), now) {
            self.server_answers.push(id, reply);
        }
        self.ranking_scan.step(self.home.rooms(), now);
        let Shard { sessions, observer, .. } = self;
        observer.step_scans(now, sessions.connections(), &sessions.options().session);
        self.home.tick(now);
        self.pass_on(now);
        self.read_local(now);
        self.metrics.enter(TurnPhase::Deliver);
        self.deliver(now, out);
        self.observer.note_full_lanes(now);
        self.set_gauges();
    }

    fn set_gauges(&self) {
        let (connections, totals) = (self.sessions.connections(), self.sessions.queue().totals());
        let subscribers_count = self.sessions.fanout().channels().subscribers_count();
        self.metrics.set(Gauge::Subscriptions, subscribers_count as u64);
        self.metrics.set(Gauge::SendQueueBytes, totals.bytes());
        self.metrics.set(Gauge::SlowConsumers, totals.slow_count());
        self.metrics.set(Gauge::CoreConnections, connections.len() as u64);
        self.metrics.set(Gauge::InFlight, totals.publications_count());
        let upgrading_count = u64::from(connections.upgrading_count());
        self.metrics.set(Gauge::HandshakesInFlight, upgrading_count);
        let rooms = self.home.rooms();
        self.metrics.set(Gauge::Rooms, rooms.len() as u64);
        self.metrics.set(Gauge::StoreRequests, rooms.requests_count() as u64);
    }

    fn step_drain(&mut self, now: Timestamps) {
        let Shard { sessions, home, mesh, observer, suspects, hooks, presence, drain, .. } = self;
        if let Some(drain) = drain {
            let (rooms, drain_status) = (home.rooms(), DrainStatus::Draining);
            let mut cx =
                TurnContext { now, mesh, observer, suspects, hooks, presence, rooms, drain_status };
            drain.step(sessions, &mut cx);
        }
    }

    /// Lets go who is kept out now, and looks for those that backends ask about; `address_of` says
    /// where a peer is.
    pub fn step_passes(&mut self, now: Timestamps, address_of: &mut AddressOf<'_>) {
        self.step_blocks(now, address_of);
        self.step_user_scan(now, address_of);
    }

    fn step_user_scan(&mut self, now: Timestamps, address_of: &mut AddressOf<'_>) {
        if self.user_scan.is_idle() {
            return;
        }
        let mut user_scan = mem::take(&mut self.user_scan);
        let (sessions, _, mut cx) = self.split(now);
        let answers = user_scan.step(sessions, &mut cx, address_of);
        self.user_scan = user_scan;
        answers.into_iter().for_each(|(id, reply)| self.server_answers.push(id, reply));
    }

    fn step_blocks(&mut self, now: Timestamps, address_of: &mut AddressOf<'_>) {
        if self.block_pass.is_idle() {
            return;
        }
        let mut block_pass = mem::take(&mut self.block_pass);
        let (sessions, _, mut cx) = self.split(now);
        let confirmed = block_pass.step(sessions, &mut cx, address_of);
        self.block_pass = block_pass;
        confirmed.into_iter().for_each(|id| self.server_answers.push(id, CoresReply::Done));
    }

    /// Turns everything that was decided into sends.
    fn deliver(&mut self, now: Timestamps, out: &mut Vec<Action>) {
        loop {
            let (sessions, _, mut cx) = self.split(now);
            match sessions.deliver_once(&mut cx, out) {
                SlowReaders::Nobody => break,
                SlowReaders::Ended => self.read_local(now),
            }
        }
        let (sessions, _, mut cx) = self.split(now);
        sessions.send_all(&mut cx, out);
    }

    /// Handles messages to ourselves until none is left: requests lead to answers and events,
    /// and those to unsubscribes at most.
    fn read_local(&mut self, now: Timestamps) {
        loop {
            if let Some(message) = self.mesh.next_local() {
                self.read(now, self.mesh.own(), message);
            } else if let Some((conn, then)) = self.hooks.next_refused() {
                self.on_hook_reply(now, conn, then, HookReply::Busy);
            } else {
                return;
            }
        }
    }

    /// What a session asked the application's backend is answered, or is not asked.
    fn on_hook_reply(&mut self, now: Timestamps, id: ConnId, then: HookThen, reply: HookReply) {
        self.metrics.work_on(self.mesh.own().0, id);
        let (sessions, _, mut cx) = self.split(now);
        sessions.with_session(&mut cx, id, |session, cx, out| {
            session.on_hook_reply(cx, then, reply, out);
        });
        sessions.set_next_timer(now, id);
    }

    fn read(&mut self, now: Timestamps, from: ShardId, message: ShardMessage) {
        match message {
            ShardMessage::Request(request) => self.on_room_request(now, from, request),
            ShardMessage::Event(event) => {
                let (sessions, _, mut cx) = self.split(now);
                room_events::on_room_event(sessions, &mut cx, event);
            }
            ShardMessage::Gap(gap) => {
                let (sessions, _, mut cx) = self.split(now);
                sessions.on_gap(&mut cx, from, gap);
            }
            ShardMessage::ConnectionGone(reply_to) => self.on_connection_gone(now, from, reply_to),
        }
    }

    fn on_room_request(&mut self, now: Timestamps, from: ShardId, request: RoomRequest) {
        self.metrics.work_on(from.0, request.reply_to.conn);
        work_in(&self.metrics, self.home.rooms().name(request.room), request.room);
        self.home.handle(now, from, request);
        self.pass_on(now);
    }

    /// A backend asks a room of ours, or all shards.
    fn on_server_question(&mut self, now: Timestamps, question: ServerQuestion) {
        let (own, reply_to) = (self.mesh.own(), ServerAnswers::reply_to(&question));
        let (room, op) = match question.ask {
            ServerAsk::Room(room, op) => (room, op),
            ServerAsk::User(user) => return self.user_scan.ask(question.id, user),
            ServerAsk::Channels(asked) => return self.room_scan.ask(question.id, asked),
            ServerAsk::Blocks(update) => {
                return self.block_pass.ask(&mut self.sessions, question.id, &update);
            }
        };
        assert_eq!(self.mesh.home(room), own, "it is asked at the home of its room");
        let AskedRooms { room: found, op, told } =
            match self.sessions.env_mut().asked_rooms(now, room, op) {
                Ok(asked) => asked,
                Err(refusal) => return self.server_answers.refuse(question.id, refusal),
            };
        assert_eq!(found, room, "the room is found in the same way");
        self.on_room_request(now, own, RoomRequest { room, reply_to, op });
        if let Some(told) = told {
            let (sessions, _, mut cx) = self.split(now);
            sessions.send_request(&mut cx, told);
        }
    }

    /// A connection with open requests to rooms of ours is gone.
    fn on_connection_gone(&mut self, now: Timestamps, from: ShardId, reply_to: ReplyTo) {
        self.home.abandon(now, from, reply_to);
        self.pass_on(now);
    }

    /// Passes on the decisions of rooms.
    fn pass_on(&mut self, now: Timestamps) {
        let mut decided = self.home.take_out();
        for step in decided.take_steps() {
            let (sessions, _, mut cx) = self.split(now);
            sessions.observing(&mut cx).on_step(step);
        }
        for (to, event) in decided.take_events() {
            if let Some(event) = self.server_answers.keep(event) {
                self.send_event(now, to, event);
            }
        }
        for request in decided.take_room_requests() {
            let (sessions, _, mut cx) = self.split(now);
            sessions.send_request(&mut cx, request);
        }
        decided.take_unmet().for_each(|unmet| self.presence.message_waits(unmet));
        for (chat_type, result) in decided.take_published() {
            self.metrics.add(Counter::Published(chat_type, result), 1);
        }
        self.home.give_back(decided);
    }

    /// Sends an event to a shard. An event that finds no room is counted as lost.
    fn send_event(&mut self, now: Timestamps, to: ShardId, event: RoomEvent) {
        let may_be_lost = self.mesh.is_full(to).then(|| event.clone());
        if self.mesh.send_event(to, event) != PostResult::Full {
            return;
        }
        self.observer.count_full(LaneKind::Push);
        match may_be_lost {
            Some(RoomEvent::Published(room, _, timing)) => {
                let members = self.home.members_on(room, to);
                let (sessions, _, mut cx) = self.split(now);
                sessions.observing(&mut cx).on_lost_in_lane(room, &timing, members);
            }
            Some(other) => self.home.on_event_lost(now, &other),
            None => (),
        }
    }

    /// Frees the spare capacity of lists that are kept between turns. To be called now and
    /// then, and not in each turn.
    pub fn trim(&mut self) {
        self.sessions.trim();
        self.home.trim();
        self.mesh.trim();
        self.suspects.trim();
    }

    /// When `finish_turn` should be called next, even if nothing happens.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        let drain = self.drain.as_ref().and_then(Drain::next_wake);
        let scans = self.observer.next_wake(self.sessions.connections());
        let (sessions, rooms) = (self.sessions.next_wake(), self.home.next_wake());
        // A scan goes on in the next turn, which begins at once.
        let scans_idle =
            self.user_scan.is_idle() && self.room_scan.is_idle() && self.ranking_scan.is_idle();
        let passes_idle = self.block_pass.is_idle() && self.presence_pass.is_idle(&self.presence);
        let is_asked = !scans_idle || !passes_idle;
        let asked = is_asked.then_some(MonotonicMs(0));
        let wakes = [sessions, rooms, drain, scans, asked, self.suspects.next_wake()];
        wakes.into_iter().flatten().min()
    }

    /// Offers the messages that wait for other shards to `post`, in order. It takes from the
    /// front as many as the lane has room for and leaves the rest.
    pub fn post(&mut self, post: &mut dyn FnMut(ShardId, &mut Vec<ShardMessage>)) {
        self.mesh.post(post);
    }

    /// Requests that wait for the store, oldest first. The caller takes from the front as many
    /// as its lane has room for and leaves the rest.
    pub fn store_requests(&mut self) -> &mut Vec<StoreRequest> {
        self.home.requests()
    }

    /// Trace events that wait for the control thread, oldest first.
    pub fn trace_events(&mut self) -> &mut TraceEvents {
        self.observer.trace_events()
    }

    /// The core begins with this phase of its turn.
    pub fn enter(&self, phase: TurnPhase) {
        self.metrics.enter(phase);
    }

    /// Counts a turn that is over.
    pub fn count_turn(&self, accepted_count: u64, messages_sent_count: u64, counts: &TurnCounts) {
        self.metrics.add(Counter::Turns, 1);
        self.metrics.add(Counter::Accepted, accepted_count);
        self.metrics.add(Counter::LettersReceived, counts.messages_count as u64);
        self.metrics.add(Counter::LettersSent, messages_sent_count);
    }

    /// Connections in all stages.
    pub fn connections_count(&self) -> usize {
        self.sessions.connections().len()
    }

    /// Upper bound of the bytes in the outboxes of all connections.
    pub fn outbox_bytes_max(&self) -> u64 {
        let session = &self.sessions.options().session;
        let each = u64::from(session.outbox_bytes_max) + u64::from(session.control_bytes_max);
        self.sessions.connections().len() as u64 * each
    }

    /// True when a drain was ordered and no connection is left.
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && self.sessions.connections().is_empty()
    }

    /// The worst lateness of its timers in the last seconds, in ms.
    pub fn worst_lag_ms(&self) -> u64 {
        self.lateness.worst_ms()
    }

    /// Takes the result of a finished scan, with its id.
    pub fn take_scan_result(&mut self) -> Option<(u64, ScanResult)> {
        self.observer.take_scan_result()
    }

    /// Takes the largest rooms of a walk that is over, with its id.
    pub fn take_room_ranking(&mut self) -> Option<(u64, RoomRanking)> {
        self.ranking_scan.take_found()
    }

    /// Takes the answers to questions of backends that have come.
    pub fn take_server_answers(&mut self) -> Vec<ServerAnswer> {
        self.server_answers.take()
    }

    /// Takes the questions to the application's backend.
    pub fn take_hook_calls(&mut self) -> Vec<HookCall> {
        self.hooks.take_calls()
    }

    /// The presence feed wants to hear all that is there.
    pub fn say_all_present(&mut self) {
        self.presence.want_pass();
    }

    /// What the presence feed is told, the oldest first: whoever carries it takes from the front.
    pub fn presence_facts(&mut self) -> &mut Vec<PresenceFact> {
        self.presence.waiting()
    }

    /// Takes the prefixes of sessions that panicked early since the last call.
    pub fn take_early_panics(&mut self) -> Vec<EarlyPanic> {
        self.observer.take_early_panics()
    }

    /// Open work of this shard, without the operations of the ring.
    pub fn under_way(&self) -> CoreWork {
        let connections = self.sessions.connections();
        CoreWork {
            connections: connections.len() as u64,
            timers: connections.timers_len() as u64,
            questions: self.mesh.open_requests(),
            ring_operations: 0,
            store_requests: self.home.rooms().requests_count() as u64,
        }
    }

    /// Calls `each` with the number of open requests to a core, where that has changed since
    /// the last call.
    pub fn changed_lanes(&mut self, each: &mut dyn FnMut(u16, u32)) {
        self.mesh.changed_lanes(each);
    }

    /// Timers that were set and requests that were sent since the start.
    pub fn tasks_begun(&self) -> u64 {
        self.sessions.connections().timers_begun() + self.mesh.requests_begun()
    }

    /// Everything that other shards must agree with.
    pub fn audit(&self) -> Audit {
        Audit::of(&self.sessions, &self.home, &self.inbound)
    }
}

/// Access for the tests of this folder.
#[cfg(test)]
impl Shard {
    /// The sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The rooms whose home it is.
    pub fn home(&self) -> &HomeRooms {
        &self.home
    }

    /// The messages to other shards.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// The metrics.
    pub fn metrics(&self) -> &MetricsWriter {
        &self.metrics
    }
}
