//! One shard: its parts, the entrances for all that happens to it (events of sockets, messages
//! of other shards, answers of the store, orders of the control thread), and the order in
//! which a turn ends.
//!
//! Invariants: messages to itself are read before a turn ends; a connection gets at most one
//! send in a turn; a message or event for an earlier tenant of a slot is dropped.
//!
//! Deliberately absent: the order of a whole turn (`turn`), what bytes of a peer mean
//! (`inbound`), and what decisions lead to (`sessions`).

use std::rc::Rc;
use std::sync::Arc;

use super::audit::Audit;
use super::drain::Drain;
use super::home_rooms::HomeRooms;
use super::inbound::Inbound;
use super::judge::{self, EventsRead};
use super::liveness::{Lateness, Suspects};
use super::mesh::{Mesh, PostResult};
use super::observe::{EarlyPanic, Observer, ScanResult, TraceEvents, work_in};
use super::sessions::{Sessions, SlowReaders};
use super::turn_context::{Drains, TurnContext};
use super::{ShardCommand, ShardMessage, ShardSetup, TurnCounts, upgrades};
use crate::base::{Action, ConnId, Event, MonotonicMs, PeerSigns, ShardId, Timestamps};
use crate::metrics::{CoreWork, Counter, Gauge, LaneKind, MetricsWriter, TurnPhase};
use crate::room::{ReplyTo, RoomEvent, RoomRequest};
use crate::store::{StoreReply, StoreRequest};

/// One core's world.
pub struct Shard {
    sessions: Sessions,
    inbound: Inbound,
    home: HomeRooms,
    mesh: Mesh,
    observer: Observer,
    lateness: Lateness,
    suspects: Suspects,
    drain: Option<Drain>,
    metrics: Rc<MetricsWriter>,
}

impl Shard {
    /// An empty world.
    pub fn new(mut setup: ShardSetup) -> Shard {
        let home = HomeRooms::new(setup.now, &setup.options, setup.names, setup.ids.fork());
        let metrics = Rc::clone(&setup.metrics);
        let options = Arc::clone(&setup.options);
        Shard {
            home,
            inbound: Inbound::new(options, setup.id, Rc::clone(&metrics)),
            mesh: Mesh::new(setup.id, setup.shards_count),
            observer: Observer::new(&setup.options, setup.names, &metrics),
            lateness: Lateness::default(),
            suspects: Suspects::default(),
            drain: None,
            metrics,
            sessions: Sessions::new(setup),
        }
    }

    /// The sessions, who reads for them, and what they reach beyond themselves. The one place
    /// where a shard is borrowed in pieces.
    fn split(&mut self, now: Timestamps) -> (&mut Sessions, &mut Inbound, TurnContext<'_>) {
        let Shard { sessions, inbound, home, mesh, observer, suspects, drain, .. } = self;
        let drains = if drain.is_some() { Drains::Yes } else { Drains::No };
        let rooms = home.rooms();
        (sessions, inbound, TurnContext { now, mesh, observer, suspects, rooms, drains })
    }

    /// Something happened at a socket.
    pub fn on_event(&mut self, now: Timestamps, event: Event<'_>) {
        self.metrics.work_on(self.mesh.own().0, event.conn());
        match event {
            Event::Accepted(id) => {
                let (sessions, _, mut cx) = self.split(now);
                sessions.note_activity();
                upgrades::on_accepted(sessions, &mut cx, id);
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
            }
            Event::Ended(id) => {
                let (sessions, inbound, mut cx) = self.split(now);
                inbound.on_ended(sessions, &mut cx, id);
            }
            Event::Gone(id, ending) => {
                let (sessions, inbound, mut cx) = self.split(now);
                sessions.on_gone(&mut cx, id, ending);
                inbound.forget(id);
            }
        }
        self.sessions.env().assert_empty();
    }

    /// A neighbour says something.
    pub fn on_message(&mut self, now: Timestamps, from: ShardId, message: ShardMessage) {
        assert_ne!(from, self.mesh.own(), "letters to ourselves take no lane");
        if let ShardMessage::Event(RoomEvent::Reply(_, reply_to, _)) = &message {
            self.mesh.answered(from, reply_to.user);
        }
        self.read(now, from, message);
    }

    /// The control thread says something.
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
            ShardCommand::Scan(scan_id, request) => self.observer.begin_scan(scan_id, request),
        }
    }

    /// The store says something.
    pub fn on_reply(&mut self, now: Timestamps, reply: StoreReply) {
        self.home.on_reply(now, reply);
        self.pass_on(now);
    }

    /// What this home said of members did not reach another shard.
    pub fn on_event_lost(&mut self, now: Timestamps, lost: &RoomEvent) {
        self.home.on_event_lost(now, lost);
    }

    /// So many direct messages waited in the store until their time was over.
    pub fn on_expired(&mut self, count: u64) {
        self.observer.on_expired(count);
    }

    /// Judges some of those whose time is over; `signs` are what the plane knows of one of
    /// them.
    pub fn judge(
        &mut self,
        now: Timestamps,
        events_read: EventsRead,
        signs: &mut dyn FnMut(ConnId) -> PeerSigns,
    ) {
        let pace = self.lateness.pace(now.tick);
        let (sessions, _, mut cx) = self.split(now);
        judge::judge(sessions, &mut cx, pace, events_read, signs);
    }

    /// Ends a turn: timers, letters to ourselves, and one send for each
    /// connection that has something to send.
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
        let Shard { sessions, observer, .. } = self;
        observer.step_scans(now, sessions.connections(), &sessions.options().session);
        self.home.tick(now);
        self.pass_on(now);
        self.read_local(now);
        self.metrics.enter(TurnPhase::Deliver);
        self.deliver(now, out);
        self.observer.note_full_lanes(now);
        self.sessions.set_gauges();
        let rooms = self.home.rooms();
        self.metrics.set(Gauge::Rooms, rooms.len() as u64);
        self.metrics.set(Gauge::StoreRequests, rooms.requests_count() as u64);
    }

    fn step_drain(&mut self, now: Timestamps) {
        let Shard { sessions, home, mesh, observer, suspects, drain, .. } = self;
        if let Some(drain) = drain {
            let (rooms, drains) = (home.rooms(), Drains::Yes);
            let mut cx = TurnContext { now, mesh, observer, suspects, rooms, drains };
            drain.step(sessions, &mut cx);
        }
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

    /// Reads letters to ourselves until none is left: questions lead to answers
    /// and news, and those to farewells at most.
    fn read_local(&mut self, now: Timestamps) {
        while let Some(message) = self.mesh.next_local() {
            self.read(now, self.mesh.own(), message);
        }
    }

    fn read(&mut self, now: Timestamps, from: ShardId, message: ShardMessage) {
        match message {
            ShardMessage::Request(request) => self.on_room_request(now, from, request),
            ShardMessage::Event(event) => {
                let (sessions, _, mut cx) = self.split(now);
                sessions.on_room_event(&mut cx, event);
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

    /// A connection is gone that asked rooms of ours.
    fn on_connection_gone(&mut self, now: Timestamps, from: ShardId, reply_to: ReplyTo) {
        self.home.abandon(now, from, reply_to);
        self.pass_on(now);
    }

    /// Passes on what rooms decided.
    fn pass_on(&mut self, now: Timestamps) {
        let mut decided = self.home.take_out();
        for step in decided.steps.drain(..) {
            let (sessions, _, mut cx) = self.split(now);
            sessions.observing(&mut cx).on_step(step);
        }
        for (to, event) in decided.events.drain(..) {
            self.send_event(now, to, event);
        }
        for request in decided.room_requests.drain(..) {
            let (sessions, _, mut cx) = self.split(now);
            sessions.send_request(&mut cx, request);
        }
        for (chat_type, result) in decided.published.drain(..) {
            self.metrics.add(Counter::Published(chat_type, result), 1);
        }
        self.home.give_back(decided);
    }

    /// Tells a shard something. What finds no room is counted as lost.
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

    /// Gives back what a turn with very much to do has left of lists that are kept for
    /// their capacity only. To be called now and then, and not in each turn.
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
        let wakes = [sessions, rooms, drain, scans, self.suspects.next_wake()];
        wakes.into_iter().flatten().min()
    }

    /// Offers the letters that wait for neighbours to `post`, in order. It takes
    /// from the front what the lane has room for and leaves the rest.
    pub fn post(&mut self, post: &mut dyn FnMut(ShardId, &mut Vec<ShardMessage>)) {
        self.mesh.post(post);
    }

    /// Requests that wait for the store, in order. It takes from the front what its
    /// lane has room for and leaves the rest.
    pub fn store_requests(&mut self) -> &mut Vec<StoreRequest> {
        self.home.requests()
    }

    /// What there is to tell of single messages, in order; as for the store.
    pub fn trace_events(&mut self) -> &mut TraceEvents {
        self.observer.trace_events()
    }

    /// The core begins with this part of its turn.
    pub fn enter(&self, phase: TurnPhase) {
        self.metrics.enter(phase);
    }

    /// A turn is over.
    pub fn count_turn(&self, accepted_count: u64, messages_sent_count: u64, counts: &TurnCounts) {
        self.metrics.add(Counter::Turns, 1);
        self.metrics.add(Counter::Accepted, accepted_count);
        self.metrics.add(Counter::LettersReceived, counts.messages_count as u64);
        self.metrics.add(Counter::LettersSent, messages_sent_count);
    }

    /// How many connections there are, in whatever stage.
    pub fn connections_count(&self) -> usize {
        self.sessions.connections().len()
    }

    /// Bytes that the outboxes of all connections may hold together.
    pub fn outbox_bytes_max(&self) -> u64 {
        self.sessions.outbox_bytes_max()
    }

    /// True when a drain was ordered and nobody is left.
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && self.sessions.connections().is_empty()
    }

    /// The worst lateness of its timers in the last seconds, in ms.
    pub fn worst_lag_ms(&self) -> u64 {
        self.lateness.worst_ms()
    }

    /// What a look found, and which look it was.
    pub fn take_scan_result(&mut self) -> Option<(u64, ScanResult)> {
        self.observer.take_scan_result()
    }

    /// Prefixes of sessions that panicked early since the last call.
    pub fn take_early_panics(&mut self) -> Vec<EarlyPanic> {
        self.observer.take_early_panics()
    }

    /// What this shard has under way; the ring's requests are the plane's to say.
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

    /// Tells `each` how many questions to a core are open, where that has changed since
    /// the last call.
    pub fn changed_lanes(&mut self, each: &mut dyn FnMut(u16, u32)) {
        self.mesh.changed_lanes(each);
    }

    /// Timers that were set and questions that were asked since the beginning.
    pub fn tasks_begun(&self) -> u64 {
        self.sessions.connections().timers_begun() + self.mesh.requests_begun()
    }

    /// Everything that other shards must agree with. Changes nothing.
    pub fn audit(&self) -> Audit {
        Audit::of(&self.sessions, &self.home, &self.inbound)
    }
}

/// What the tests of the folder look at.
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

    /// What it says to others.
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Where it counts.
    pub fn metrics(&self) -> &MetricsWriter {
        &self.metrics
    }
}
