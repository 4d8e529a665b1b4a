//! One thread of the load generator: its ring, its connections, its part of
//! the load. Turns as a server's: reap, decide, submit, and sleep when a turn
//! found nothing.
//!
//! Deliberately absent: what the other threads do (they meet on the board),
//! and any decision of a load.

mod inbound;
mod stages;

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use rookery::base::limits::TURN_EVENTS_MAX;
use rookery::base::{Action, ConnId, DisconnectReason, Event, Io};
use rookery::ring::KernelIo;

use super::client_codec::ClientCodec;
use super::peer::{Peer, State};
use super::retry::RetryQueue;
use crate::clock::Clock;
use crate::loads::{Driver, LoadCommand, SharedProgress, Stage};
use crate::outcome::LoadCounters;
use crate::scenario::{Load, Pace, Scenario, WireFormat};
use crate::stats::Latency;

/// With a window open wide there are millions of deliveries a second, and one
/// of so many connections has its latency recorded.
const LATENCY_STRIDE_WINDOW: u32 = 16;

/// Below this the thread does not sleep before a message is due: the kernel's
/// timers would come late, and the lateness would look like the server's.
const SPIN_NS: u64 = 1_200_000;

/// How often a thread that has nothing to do looks at the board.
const LOOK_NS: u64 = 20_000_000;

/// What a worker is given.
pub struct WorkerSetup {
    /// What to do.
    pub scenario: Arc<Scenario>,
    /// Which part of it.
    pub thread: u16,
    /// Where all threads meet.
    pub shared_progress: Arc<SharedProgress>,
    /// The run's clock.
    pub clock: Clock,
    /// The server.
    pub to: SocketAddr,
    /// How this thread's connections speak.
    pub codec: ClientCodec,
}

/// What a worker found.
#[derive(Debug, Default)]
pub struct Found {
    /// Its counts.
    pub tally: LoadCounters,
    /// Its latencies.
    pub latency: Latency,
    /// `storm`: those from before the storm.
    pub calm: Latency,
    /// The first few things that went wrong, as sentences.
    pub error_messages: Vec<String>,
}

/// Commands of a connection until it is in its room.
const JOIN_IDS: u32 = 2;

/// How many complaints one thread keeps; the counts have the rest.
const ERROR_MESSAGES_MAX: usize = 4;

/// Everything of a thread but its ring.
pub struct Worker {
    setup: WorkerSetup,
    first_connection: u32,
    peers: Vec<Peer>,
    /// Which peer has a slot of the ring; `u32::MAX` is nobody.
    by_slot: Vec<u32>,
    /// Answers to upgrades that came in pieces, by peer.
    heads: BTreeMap<u32, Vec<u8>>,
    /// The epochs of peers that may come back: one may be good for the user alone who was given it.
    epochs: BTreeMap<u32, Box<str>>,
    to_dial: VecDeque<u32>,
    /// Who is not in yet and was turned away for now.
    retry: RetryQueue,
    handshakes: u32,
    /// Whether the board counts this thread among those with somebody to dial.
    dials: bool,
    /// The next peer that has to prove that it lives, and how many are asked.
    to_prove: u32,
    proving: u32,
    live: u32,
    /// Where the first room's stream stood before the load.
    base: Option<u64>,
    latency_stride: u32,
    driver: Driver,
    stage: Stage,
    has_ended_stage: bool,
    /// Stages that it has ended, or that were given up.
    stages: u64,
    /// Messages of the storm's rooms that were published here.
    talked: u64,
    /// When the last delivery or recovery came.
    last_ns: u64,
    commands: Vec<LoadCommand>,
    work: Vec<Action>,
    found: Found,
}

impl Worker {
    /// All of its connections are still to be made.
    pub fn new(setup: WorkerSetup) -> Worker {
        let scenario = &*setup.scenario;
        let range = scenario.of_thread(setup.thread);
        let peers: Vec<Peer> = range.clone().map(|_| Peer::default()).collect();
        let latency_stride = match scenario.load {
            Load::Fanout { pace: Pace::Closed { outstanding: 2.. }, .. } => LATENCY_STRIDE_WINDOW,
            Load::Fanout { .. }
            | Load::Connect { .. }
            | Load::Echo { .. }
            | Load::Storm { .. }
            | Load::Soak { .. } => 1,
        };
        let mut found = Found::default();
        found.tally.wanted = peers.len() as u64;
        Worker {
            first_connection: range.start,
            to_dial: (0..peers.len() as u32).collect(),
            by_slot: vec![u32::MAX; peers.len()],
            peers,
            retry: RetryQueue::default(),
            heads: BTreeMap::new(),
            epochs: BTreeMap::new(),
            handshakes: 0,
            dials: false,
            to_prove: 0,
            proving: 0,
            live: 0,
            base: None,
            latency_stride,
            driver: Driver::Hold { end_ns: 0 },
            stage: Stage::Ramp,
            has_ended_stage: false,
            stages: 0,
            talked: 0,
            last_ns: 0,
            commands: Vec::new(),
            work: Vec::new(),
            found,
            setup,
        }
    }

    /// Runs until the board says that it is over.
    pub fn run(mut self, io: &mut KernelIo) -> Found {
        while self.stage != Stage::Over {
            let mut now_ns = self.setup.clock.ns();
            let clock = self.setup.clock;
            let reaped = io.reap(TURN_EVENTS_MAX, &mut |event| {
                // Once a chunk of bytes: what came in the same turn may have
                // waited behind many others.
                now_ns = clock.ns();
                self.handle(event, now_ns);
            });
            let now_ns = clock.ns();
            let stage_is_new = self.follow_stage(now_ns);
            if self.stage == Stage::Measure || self.stage == Stage::Return {
                if self.stage == Stage::Return && self.setup.shared_progress.shown().is_back {
                    self.driver.end(now_ns);
                }
                self.driver.on_turn(now_ns, &self.setup.shared_progress, &mut self.commands);
            }
            self.carry_out(now_ns);
            self.dial(io, now_ns);
            self.prove();
            let acted = !self.work.is_empty();
            io.submit(&mut self.work);
            self.end_turn(now_ns);
            // A stage may need nothing from the ring to end.
            if reaped == 0 && !acted && !stage_is_new {
                self.sleep(io, now_ns);
            }
        }
        self.count_expected();
        self.found.tally.live = u64::from(self.live);
        self.found
    }

    /// Until something happens, it is time, or somebody may have written
    /// something on the board. The turn acted on what was due at `turned_ns`;
    /// what has become due since then is the next turn's, at once.
    fn sleep(&self, io: &mut KernelIo, turned_ns: u64) {
        let wakes_ns = match self.stage {
            Stage::Measure | Stage::Return => self.driver.next_ns(turned_ns),
            Stage::Ramp | Stage::Drop | Stage::Talk | Stage::Prove | Stage::Over => None,
        };
        let wakes_ns = wakes_ns.filter(|wakes_ns| turned_ns < *wakes_ns);
        let now_ns = self.setup.clock.ns();
        let ahead_ns = wakes_ns.map_or(LOOK_NS, |wakes_ns| wakes_ns.saturating_sub(now_ns));
        if SPIN_NS < ahead_ns {
            let early_ms = (ahead_ns - SPIN_NS).div_ceil(1_000_000);
            io.park(Some(io.now().tick.plus_ms(early_ms)));
        } else {
            // The server may be waiting for this core.
            std::thread::yield_now();
        }
    }

    fn connection(&self, peer: u32) -> u32 {
        self.first_connection + peer
    }

    fn note_error(&mut self, peer: u32, what: &str) {
        if self.found.error_messages.len() < ERROR_MESSAGES_MAX {
            let connection = self.connection(peer);
            self.found.error_messages.push(format!("connection {connection}: {what}"));
        }
    }

    fn handle(&mut self, event: Event<'_>, now_ns: u64) {
        match event {
            Event::Accepted(_) => unreachable!("a load generator does not listen"),
            Event::Connected(id) => {
                if let Some(peer) = self.peer_of(id) {
                    let upgrade = self.setup.codec.upgrade();
                    let one = &mut self.peers[peer as usize];
                    one.state = State::Upgrading;
                    one.send(upgrade, &mut self.work);
                }
            }
            Event::Received(id, bytes) => {
                if let Some(peer) = self.peer_of(id) {
                    self.on_received(peer, bytes, now_ns);
                }
            }
            Event::Sent(id) => {
                if let Some(peer) = self.peer_of(id) {
                    self.peers[peer as usize].sent(&mut self.work);
                }
            }
            Event::Ended(id) => {
                if let Some(peer) = self.peer_of(id) {
                    self.turned_away(peer, "the server ended the connection");
                }
            }
            Event::Gone(id, reason) => {
                if let Some(peer) = self.peer_of(id) {
                    self.on_gone(peer, reason, now_ns);
                }
            }
        }
    }

    fn peer_of(&self, id: ConnId) -> Option<u32> {
        let peer = *self.by_slot.get(id.slot as usize)?;
        let known = self.peers.get(peer as usize)?;
        (known.conn == id).then_some(peer)
    }

    fn on_gone(&mut self, peer: u32, reason: DisconnectReason, now_ns: u64) {
        match reason {
            DisconnectReason::Closed => self.turned_away(peer, "closed"),
            DisconnectReason::Reset => self.turned_away(peer, "reset"),
            DisconnectReason::TimedOut => self.give_up(peer, "timed out"),
            DisconnectReason::Unreachable => self.give_up(peer, "could not connect"),
        }
        self.retry.on_gone(peer, now_ns);
        let one = &mut self.peers[peer as usize];
        self.by_slot[one.conn.slot as usize] = u32::MAX;
        one.state = State::Absent;
        self.heads.remove(&peer);
        // The soak's leavers come back at once; a storm's wait for their stage.
        if self.stage == Stage::Measure && self.may_come_back() {
            self.to_dial.push_back(peer);
        }
    }

    fn may_come_back(&self) -> bool {
        match self.setup.scenario.load {
            Load::Storm { .. } | Load::Soak { .. } => true,
            Load::Connect { .. } | Load::Echo { .. } | Load::Fanout { .. } => false,
        }
    }

    /// The server does not take this connection now. One that is on its way in comes again
    /// later; one that was in has died.
    fn turned_away(&mut self, peer: u32, why: &str) {
        if self.peers[peer as usize].state.is_handshake() && self.retry.turned_away(peer) {
            self.found.tally.turned_away += 1;
            self.leave(peer);
        } else {
            self.give_up(peer, why);
        }
    }

    /// Counts a connection that ends without having been asked to, once.
    fn give_up(&mut self, peer: u32, why: &str) {
        let state = self.peers[peer as usize].state;
        if state == State::Leaving || state == State::Absent {
            return;
        }
        if state.is_handshake() {
            self.found.tally.failed += 1;
        } else {
            self.found.tally.died += 1;
        }
        self.note_error(peer, why);
        self.leave(peer);
    }

    fn leave(&mut self, peer: u32) {
        let state = self.peers[peer as usize].state;
        self.handshakes -= u32::from(state.is_handshake());
        self.live -= u32::from(state.is_in());
        self.proving -= u32::from(state == State::Proving);
        self.peers[peer as usize].leave(&mut self.work);
    }

    fn carry_out(&mut self, now_ns: u64) {
        let mut commands = mem::take(&mut self.commands);
        for order in commands.drain(..) {
            match order {
                LoadCommand::Publish { peer, intended_ns } => self.publish(peer, intended_ns),
                LoadCommand::Drop { peer } => {
                    if self.peers[peer as usize].state == State::Live {
                        self.leave(peer);
                    }
                }
            }
        }
        self.commands = commands;
        if self.stage == Stage::Talk {
            self.talk(now_ns);
        }
    }

    fn publish(&mut self, peer: u32, intended_ns: u64) {
        let connection = self.connection(peer);
        let one = &mut self.peers[peer as usize];
        if one.state != State::Live {
            return; // counted as died when it did
        }
        let scenario = &self.setup.scenario;
        let room = scenario.room(connection);
        let number = self.setup.shared_progress.publish(room);
        let id = one.next_id();
        let frame = if scenario.format == WireFormat::Plain {
            self.found.tally.accepted += 1; // nothing in plain framing says so
            self.setup.codec.publish(id, "", intended_ns, number)
        } else {
            self.setup.codec.publish(id, &scenario.channel(room), intended_ns, number)
        };
        self.found.tally.published += 1;
        one.send(frame, &mut self.work);
    }

    /// Whoever came back to speak begins.
    fn talk(&mut self, now_ns: u64) {
        for peer in 0..self.peers.len() as u32 {
            let one = &self.peers[peer as usize];
            if one.state == State::Live && one.last_id == JOIN_IDS {
                self.talk_on(peer, now_ns);
            }
        }
    }

    /// Says the next message of a storm's room, if one is left: one at a time, since
    /// thousands of rooms talk at once.
    fn talk_on(&mut self, peer: u32, now_ns: u64) {
        let Load::Storm { missed, .. } = self.setup.scenario.load else { return };
        let said = self.peers[peer as usize].last_id.saturating_sub(JOIN_IDS);
        if said < missed && self.is_publisher(peer) && !self.stays(peer) {
            self.talked += 1;
            self.publish(peer, now_ns);
        }
    }

    fn is_publisher(&self, peer: u32) -> bool {
        self.setup.scenario.role(self.connection(peer)) == crate::scenario::Role::Publisher
    }

    fn stays(&self, peer: u32) -> bool {
        self.setup.scenario.stays(self.connection(peer))
    }

    /// What the scenario allows is shared by the threads that still have somebody
    /// to dial: the last ones are not held to what all could do at first.
    fn share_of_handshakes(&mut self) -> u32 {
        let shared_progress = &self.setup.shared_progress;
        match (self.dials, !self.to_dial.is_empty()) {
            (false, true) => shared_progress.begin_dialing(),
            (true, false) => shared_progress.end_dialing(),
            (false, false) | (true, true) => {}
        }
        self.dials = !self.to_dial.is_empty();
        self.setup.scenario.handshakes_max.div_ceil(shared_progress.dialing())
    }

    fn dial(&mut self, io: &mut KernelIo, now_ns: u64) {
        while let Some(peer) = self.retry.next_due(now_ns) {
            self.to_dial.push_back(peer);
        }
        let handshakes_max = self.share_of_handshakes();
        while self.handshakes < handshakes_max
            && let Some(peer) = self.to_dial.pop_front()
        {
            let connection = self.connection(peer);
            let one = &mut self.peers[peer as usize];
            let attempt = u32::from(one.attempt);
            let from = self.setup.scenario.source(connection, attempt, self.setup.to);
            match io.connect(from, self.setup.to) {
                Ok(conn) => {
                    one.dialed(conn);
                    let slot = conn.slot as usize;
                    if self.by_slot.len() <= slot {
                        self.by_slot.resize(slot + 1, u32::MAX);
                    }
                    self.by_slot[slot] = peer;
                    self.handshakes += 1;
                }
                Err(error) => {
                    self.found.tally.failed += 1;
                    self.note_error(peer, &error.to_string());
                }
            }
        }
    }

    fn prove(&mut self) {
        if self.stage != Stage::Prove {
            return;
        }
        let scenario = &self.setup.scenario;
        let proving_max = scenario.handshakes_max.div_ceil(u32::from(scenario.threads));
        while self.proving < proving_max && (self.to_prove as usize) < self.peers.len() {
            let one = &mut self.peers[self.to_prove as usize];
            self.to_prove += 1;
            if one.state == State::Live {
                one.state = State::Proving;
                self.proving += 1;
                let id = one.next_id();
                one.send(self.setup.codec.prove(id), &mut self.work);
            }
        }
    }
}
