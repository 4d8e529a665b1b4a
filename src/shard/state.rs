//! The state of one shard, and the entrances for all that happens to it: events of sockets,
//! letters of other shards, answers of the store, and orders of the control thread.
//!
//! Invariants: letters to itself are read before a turn ends; a connection gets at most one
//! send in a turn; a letter or event for an earlier tenant of a slot is dropped.
//!
//! Deliberately absent: the order of a turn (`turn`), what bytes of a peer mean (`receive`),
//! and what decisions lead to (`effects`, `deliver`).

use std::rc::Rc;
use std::sync::Arc;

use super::conn::Stage;
use super::connections::Connections;
use super::delivery::FlushQueue;
use super::drain::Drain;
use super::fanout::{Fanout, Gathering};
use super::halves::Halves;
use super::home_rooms::HomeRooms;
use super::liveness::{Lateness, Suspects};
use super::mesh::{Mesh, Posted};
use super::observe::{EarlyPanic, Found, Notes, Observer, Observing, work_in};
use super::pinger::Pinger;
use super::postponed::{Postponed, Shares};
use super::session_env::SessionEnv;
use super::{Letter, Options, Order, Setup};
use crate::base::limits::TURN_TIMERS_MAX;
use crate::base::{
    Action, Chance, ConnId, Ending, Event, Now, Prng, RoomId, SealKey, SealPurpose, ShardId, Tick,
    trim_list,
};
use crate::metrics::{Counter, Gauge, LaneKind, Phase, Scribe, UnderWay};
use crate::room::{Ask, Asker, Tell};
use crate::session::Fault;
use crate::store::{Reply, Request};

/// One core's world.
pub struct Shard {
    pub(super) id: ShardId,
    pub(super) options: Arc<Options>,
    pub(super) env: SessionEnv,
    pub(super) scribe: Rc<Scribe>,
    pub(super) connections: Connections,
    pub(super) fanout: Fanout,
    pub(super) home: HomeRooms,
    pub(super) mesh: Mesh,
    pub(super) lateness: Lateness,
    pub(super) suspects: Suspects,
    pub(super) pinger: Pinger,
    pub(super) drain: Option<Drain>,
    /// What connections have to send in this turn.
    pub(super) queue: FlushQueue,
    /// Messages of which a part has come.
    pub(super) halves: Halves,
    /// What connections said beyond their share of a turn.
    pub(super) postponed: Postponed,
    /// What connections had of theirs in this turn.
    pub(super) shares: Shares,
    /// All that is measured, noted down, sampled and looked for.
    pub(super) observer: Observer,
}

impl Shard {
    /// An empty world.
    pub fn new(setup: Setup) -> Shard {
        let mut chance = Chance { jitter: Prng::from_seed(setup.seed), ids: setup.ids };
        let place = (setup.id, setup.shards_count);
        let ping_interval_ms = setup.options.session.ping_interval_ms;
        let scribe = Rc::clone(&setup.scribe);
        let connections = Connections::new(setup.now.tick, place, ping_interval_ms, scribe);
        let home = HomeRooms::new(setup.now, &setup.options, setup.names, chance.ids.fork());
        let (options, scribe) = (Arc::clone(&setup.options), Rc::clone(&setup.scribe));
        let queue = FlushQueue::new(setup.id, &setup.options.session, &setup.scribe);
        let observer = Observer::new(&setup.options, setup.names, &setup.scribe);
        let env = SessionEnv::new(options, setup.keys, setup.names, chance, scribe);
        Shard {
            id: setup.id,
            home,
            mesh: Mesh::new(setup.id, setup.shards_count),
            lateness: Lateness::default(),
            suspects: Suspects::default(),
            pinger: Pinger::new(Rc::clone(&setup.scribe)),
            options: setup.options,
            env,
            scribe: setup.scribe,
            connections,
            fanout: Fanout::default(),
            drain: None,
            queue,
            halves: Halves::default(),
            postponed: Postponed::default(),
            shares: Shares::default(),
            observer,
        }
    }

    /// Something happened at a socket.
    pub fn on_event(&mut self, now: Now, event: Event<'_>) {
        self.scribe.work_on(self.id.0, event.conn());
        match event {
            Event::Accepted(id) => {
                self.pinger.hear();
                self.on_accepted(now, id);
            }
            // A server asks for no connections.
            Event::Connected(_) => (),
            Event::Received(id, bytes) => {
                self.pinger.hear();
                self.on_received(now, id, bytes);
            }
            Event::Sent(id) => self.on_sent(now, id),
            Event::Ended(id) => self.on_ended(now, id),
            Event::Gone(id, ending) => self.on_gone(now, id, ending),
        }
        self.env.assert_empty();
    }

    /// A neighbour says something.
    pub fn on_letter(&mut self, now: Now, from: ShardId, letter: Letter) {
        assert_ne!(from, self.id, "letters to ourselves take no lane");
        if let Letter::Tell(Tell::Answer(_, asker, _)) = &letter {
            self.mesh.answered(from, asker.user);
        }
        self.read(now, from, letter);
    }

    /// The control thread says something.
    pub fn on_order(&mut self, now: Now, order: Order, out: &mut Vec<Action>) {
        match order {
            Order::Keys(keys) => self.env.set_keys(keys),
            Order::Drain { over_ms } => {
                out.push(Action::StopAccepting);
                self.begin_drain(now, over_ms);
            }
            Order::Held(prefixes) => self.env.set_held(prefixes),
            Order::Look(ticket, look) => self.observer.begin_look(ticket, look),
        }
    }

    /// Ends a turn: timers, letters to ourselves, and one send for each
    /// connection that has something to send.
    pub fn finish_turn(&mut self, now: Now, out: &mut Vec<Action>) {
        self.scribe.enter(Phase::Timers);
        self.observe_lateness(now, out);
        self.serve_postponed(now);
        self.fire_timers(now);
        self.advance_drain(now);
        self.observer.step_scans(now, &self.connections, &self.options.session);
        self.home.tick(now);
        self.pass_on(now);
        self.read_local(now);
        self.scribe.enter(Phase::Deliver);
        self.deliver(now, out);
        self.observer.note_full_lanes(now);
        self.scribe.set(Gauge::Rooms, self.home.rooms().len() as u64);
        self.scribe.set(Gauge::Subscriptions, self.fanout.channels().seats_count() as u64);
        self.scribe.set(Gauge::StoreRequests, self.home.rooms().requests_count() as u64);
        self.scribe.set(Gauge::SendQueueBytes, self.queue.totals().bytes());
        self.scribe.set(Gauge::SlowConsumers, self.queue.totals().slow_count());
        self.scribe.set(Gauge::CoreConnections, self.connections.len() as u64);
        self.scribe.set(Gauge::InFlight, self.queue.totals().publications_count());
        self.scribe.set(Gauge::HandshakesInFlight, u64::from(self.connections.upgrading_count()));
    }

    /// Gives back what a turn with very much to do has left of lists that are kept for
    /// their capacity only. To be called now and then, and not in each turn.
    pub fn trim(&mut self) {
        self.queue.trim();
        self.env.trim();
        self.home.trim();
        self.fanout.trim();
        self.mesh.trim();
        self.suspects.trim();
    }

    /// When `finish_turn` should be called next, even if nothing happens.
    pub fn next_wake(&self) -> Option<Tick> {
        let drain = self.drain.as_ref().and_then(Drain::next_wake);
        let scans = self.observer.next_wake(&self.connections);
        let postponed = (!self.postponed.is_empty()).then_some(Tick(0));
        let suspects = self.suspects.next_wake();
        let (timers, rooms, seal) =
            (self.connections.first_due(), self.home.next_wake(), self.queue.next_seal());
        let wakes = [timers, rooms, drain, seal, scans, postponed, suspects];
        wakes.into_iter().flatten().min()
    }

    /// Offers the letters that wait for neighbours to `post`, in order. It takes
    /// from the front what the lane has room for and leaves the rest.
    pub fn post(&mut self, post: &mut dyn FnMut(ShardId, &mut Vec<Letter>)) {
        self.mesh.post(post);
    }

    /// How many connections there are, in whatever stage.
    pub fn connections_count(&self) -> usize {
        self.connections.len()
    }

    /// Bytes that the outboxes of all connections may hold together.
    pub fn outbox_bytes_max(&self) -> u64 {
        let session = &self.options.session;
        let each = u64::from(session.outbox_bytes_max) + u64::from(session.control_bytes_max);
        self.connections.len() as u64 * each
    }

    /// True when a drain was ordered and nobody is left.
    pub fn is_drained(&self) -> bool {
        self.drain.is_some() && self.connections.is_empty()
    }

    /// Reads letters to ourselves until none is left: questions lead to answers
    /// and news, and those to farewells at most.
    pub(super) fn read_local(&mut self, now: Now) {
        while let Some(letter) = self.mesh.next_local() {
            self.read(now, self.id, letter);
        }
    }

    fn read(&mut self, now: Now, from: ShardId, letter: Letter) {
        match letter {
            Letter::Ask(ask) => self.on_ask(now, from, ask),
            Letter::Tell(tell) => self.on_tell(now, tell),
            Letter::Gap(gap) => self.on_gap(now, from, gap),
            Letter::Left(asker) => self.on_left_letter(now, from, asker),
        }
    }

    fn on_ask(&mut self, now: Now, from: ShardId, ask: Ask) {
        self.scribe.work_on(from.0, ask.asker.conn);
        work_in(&self.scribe, self.home.rooms().name(ask.room), ask.room);
        self.home.handle(now, from, ask);
        self.pass_on(now);
    }

    /// A connection is gone that asked rooms of ours.
    fn on_left_letter(&mut self, now: Now, from: ShardId, asker: Asker) {
        self.home.abandon(now, from, asker);
        self.pass_on(now);
    }

    /// The store says something.
    pub fn on_reply(&mut self, now: Now, reply: Reply) {
        self.home.on_reply(now, reply);
        self.pass_on(now);
    }

    /// Passes on what rooms decided.
    fn pass_on(&mut self, now: Now) {
        let mut out = self.home.take_out();
        for step in out.steps.drain(..) {
            self.observing(now).on_step(step);
        }
        for (to, tell) in out.told.drain(..) {
            let may_be_lost = self.mesh.is_full(to).then(|| tell.clone());
            if self.mesh.tell(to, tell) == Posted::Full {
                self.observer.count_full(LaneKind::Push);
                match may_be_lost {
                    Some(Tell::Said(room, _, way)) => {
                        let members = self.home.members_on(room, to);
                        self.observing(now).on_lost_in_lane(room, &way, members);
                    }
                    Some(other) => self.home.on_news_lost(now, &other),
                    None => (),
                }
            }
        }
        for ask in out.asks.drain(..) {
            self.ask(ask);
        }
        for (chat_type, result) in out.published.drain(..) {
            self.scribe.add(Counter::Published(chat_type, result), 1);
        }
        self.home.give_back(out);
    }

    /// What this home said of members did not reach another shard.
    pub fn on_news_lost(&mut self, now: Now, lost: &Tell) {
        self.home.on_news_lost(now, lost);
    }

    /// Requests that wait for the store, in order. It takes from the front what its
    /// lane has room for and leaves the rest.
    pub fn for_store(&mut self) -> &mut Vec<Request> {
        self.home.requests()
    }

    /// What there is to tell of single messages, in order; as for the store.
    pub fn notes(&mut self) -> &mut Notes {
        self.observer.notes()
    }

    /// Lets what is due happen, but no more pings than a turn may send: those that are left
    /// go first in the next one.
    fn fire_timers(&mut self, now: Now) {
        self.pinger.begin_turn();
        let (mut due, mut timers_left) = (Vec::new(), TURN_TIMERS_MAX);
        while 0 < self.pinger.left() && 0 < timers_left {
            let some = timers_left.min(self.pinger.left());
            let fired = self.connections.due(now.tick, some, &mut due);
            if fired == 0 {
                break;
            }
            timers_left -= fired;
            for id in due.drain(..) {
                self.scribe.work_on(self.id.0, id);
                self.on_timer(now, id);
            }
        }
    }

    fn on_gone(&mut self, now: Now, id: ConnId, ending: Ending) {
        let Some(conn) = self.connections.get(id) else { return };
        let fault = match ending {
            Ending::Closed | Ending::Reset | Ending::Unreachable => Fault::Broken,
            // Its kernel may have answered all the time: it took no more bytes.
            Ending::TimedOut if conn.send().is_sending() => Fault::Slow,
            Ending::TimedOut => Fault::PeerGone,
        };
        match conn.stage() {
            Stage::Upgrading(_) | Stage::Open(..) => self.end(now, id, fault),
            Stage::Closing(_) | Stage::Shut => (),
        }
        self.halves.forget(id);
        self.postponed.forget(id);
        let (queue, connections, mut seen) = self.delivering(now);
        queue.forget_waiting(connections, id, &mut seen);
        queue.abandon(connections, id, &mut seen);
        if let Some(conn) = connections.remove(id) {
            queue.on_gone(conn, &mut seen);
        }
    }

    /// The moment of an observation.
    pub(super) fn observing(&mut self, now: Now) -> Observing<'_> {
        let Shard { observer, fanout, home, env, .. } = self;
        Observing::new(now, observer, fanout.channels(), home.rooms(), env.ids())
    }

    /// The connections and what they have to send, with the moment of an observation.
    pub(super) fn delivering(
        &mut self,
        now: Now,
    ) -> (&mut FlushQueue, &mut Connections, Observing<'_>) {
        let Shard { queue, connections, observer, fanout, home, env, .. } = self;
        let seen = Observing::new(now, observer, fanout.channels(), home.rooms(), env.ids());
        (queue, connections, seen)
    }

    /// Turns everything that was decided into sends.
    ///
    /// Ending a slow reader may set off news to others, who may turn out to be
    /// slow: each round ends at least one session, so the rounds end.
    fn deliver(&mut self, now: Now, out: &mut Vec<Action>) {
        loop {
            for gathering in self.fanout.take_all() {
                self.flush(now, gathering, Some(out));
            }
            let Shard { queue, connections, .. } = self;
            queue.seal_or_hold(connections, now.tick);
            if !queue.has_slow() {
                break;
            }
            for id in queue.take_slow() {
                if self.connections.session(id).is_some() {
                    self.end(now, id, Fault::Slow);
                }
            }
            self.read_local(now);
        }
        let (queue, connections, mut seen) = self.delivering(now);
        queue.send_all(connections, out, &mut seen);
    }

    /// Hands out what a channel said so far, before its subscribers change.
    pub(super) fn flush_room(&mut self, now: Now, room: RoomId) {
        if let Some(gathering) = self.fanout.take(room) {
            self.flush(now, gathering, None);
        }
    }

    /// What the last subscriber of a channel left behind, who heard it no more, is dropped.
    fn flush(&mut self, now: Now, gathering: Gathering, out: Option<&mut Vec<Action>>) {
        let Shard { queue, connections, observer, fanout, home, env, .. } = self;
        let Some(channel) = fanout.channels().of(gathering.room()) else { return };
        let mut seen = Observing::new(now, observer, fanout.channels(), home.rooms(), env.ids());
        queue.flush(connections, channel, gathering, out, &mut seen);
    }

    /// So many direct messages waited in the store until their time was over.
    pub fn on_expired(&mut self, count: u64) {
        self.observer.on_expired(count);
    }

    /// What a look found, and which look it was.
    pub fn take_found(&mut self) -> Option<(u64, Found)> {
        self.observer.take_found()
    }

    /// Prefixes of sessions that panicked early since the last call.
    pub fn take_early_panics(&mut self) -> Vec<EarlyPanic> {
        self.observer.take_early_panics()
    }

    /// What this shard has under way; the ring's requests are the plane's to say.
    pub fn under_way(&self) -> UnderWay {
        UnderWay {
            connections: self.connections.len() as u64,
            timers: self.connections.timers_len() as u64,
            questions: self.mesh.open_asks(),
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
        self.connections.timers_begun() + self.mesh.asks_begun()
    }
}
