//! One thread of the load generator: its plane, its connections, its part of
//! the load. Turns as a server's: reap, decide, submit, and sleep when a turn
//! found nothing.
//!
//! Deliberately absent: what the other threads do (they meet on the board),
//! and any decision of a load.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use rookery::base::limits::TURN_EVENTS_MAX;
use rookery::base::{Action, ConnId, Ending, Event};
use rookery::ring::{KernelPlane, Plane};
use rookery::wire::client::{self, ClientAnswer, ClientMessage, ClientPush};
use rookery::ws::{Incoming, Input, Opcode, Role, Rules};

use super::board::{Board, Shown, Stage};
use super::peer::{Peer, State};
use super::speech::{Recovery, Speaker, stamp};
use crate::clock::Clock;
use crate::loads::{Driver, Order, Part};
use crate::outcome::Tally;
use crate::scenario::{Load, Pace, Scenario, Speech};
use crate::stats::Latency;

/// A server's message of more bytes is a fault. Recovery may bring a history.
const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 32 << 20 };

/// With a window open wide there are millions of deliveries a second, and one
/// of so many connections has its latency recorded.
const LATENCY_STRIDE_WINDOW: u32 = 16;

/// Below this the thread does not sleep before a message is due: the kernel's
/// timers would come late, and the lateness would look like the server's.
const SPIN_NS: u64 = 1_200_000;

/// What a worker is given.
pub struct Given {
    /// What to do.
    pub scenario: Arc<Scenario>,
    /// Which part of it.
    pub thread: u16,
    /// Where all threads meet.
    pub board: Arc<Board>,
    /// The run's clock.
    pub clock: Clock,
    /// The server.
    pub to: SocketAddr,
    /// How this thread's connections speak.
    pub speaker: Speaker,
}

/// What a worker found.
#[derive(Debug, Default)]
pub struct Found {
    /// Its counts.
    pub tally: Tally,
    /// Its latencies.
    pub latency: Latency,
    /// The first few things that went wrong, as sentences.
    pub complaints: Vec<String>,
}

/// How many complaints one thread keeps; the counts have the rest.
const COMPLAINTS_MAX: usize = 4;

/// Everything of a thread but its plane.
pub struct Worker {
    given: Given,
    first_connection: u32,
    peers: Vec<Peer>,
    /// Which peer has a slot of the plane; `u32::MAX` is nobody.
    by_slot: Vec<u32>,
    /// Answers to upgrades that came in pieces, by peer.
    heads: BTreeMap<u32, Vec<u8>>,
    /// Of rooms whose members may come back.
    epochs: BTreeMap<u32, Box<str>>,
    to_dial: VecDeque<u32>,
    handshakes: u32,
    handshakes_max: u32,
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
    /// When the last delivery or recovery came.
    last_ns: u64,
    orders: Vec<Order>,
    work: Vec<Action>,
    found: Found,
}

impl Worker {
    /// All of its connections are still to be made.
    pub fn new(given: Given) -> Worker {
        let scenario = &*given.scenario;
        let range = scenario.of_thread(given.thread);
        let peers: Vec<Peer> = range.clone().map(|_| Peer::default()).collect();
        let latency_stride = match scenario.load {
            Load::Fanout { pace: Pace::Closed { outstanding: 2.. }, .. } => LATENCY_STRIDE_WINDOW,
            Load::Fanout { .. }
            | Load::Connect { .. }
            | Load::Echo { .. }
            | Load::Storm { .. }
            | Load::Soak { .. } => 1,
        };
        let handshakes_max = scenario.handshakes_max.div_ceil(u32::from(scenario.threads));
        let mut found = Found::default();
        found.tally.wanted = peers.len() as u64;
        Worker {
            first_connection: range.start,
            to_dial: (0..peers.len() as u32).collect(),
            by_slot: vec![u32::MAX; peers.len()],
            peers,
            heads: BTreeMap::new(),
            epochs: BTreeMap::new(),
            handshakes: 0,
            handshakes_max,
            to_prove: 0,
            proving: 0,
            live: 0,
            base: None,
            latency_stride,
            driver: Driver::Hold { end_ns: 0 },
            stage: Stage::Ramp,
            has_ended_stage: false,
            stages: 0,
            last_ns: 0,
            orders: Vec::new(),
            work: Vec::new(),
            found,
            given,
        }
    }

    /// Runs until the board says that it is over.
    pub fn run(mut self, plane: &mut KernelPlane) -> Found {
        while self.stage != Stage::Over {
            let mut now_ns = self.given.clock.ns();
            let clock = self.given.clock;
            let reaped = plane.reap(TURN_EVENTS_MAX, &mut |event| {
                // Once a chunk of bytes: what came in the same turn may have
                // waited behind many others.
                now_ns = clock.ns();
                self.handle(event, now_ns);
            });
            let now_ns = clock.ns();
            let stage_is_new = self.follow_stage(now_ns);
            if self.stage == Stage::Measure {
                self.driver.on_turn(now_ns, &self.given.board, &mut self.orders);
            }
            self.carry_out(now_ns);
            self.dial(plane);
            self.prove();
            let acted = !self.work.is_empty();
            plane.submit(&mut self.work);
            self.end_turn(now_ns);
            // A stage may need nothing from the plane to end.
            if reaped == 0 && !acted && !stage_is_new {
                self.sleep(plane);
            }
        }
        self.count_expected();
        self.found.tally.live = u64::from(self.live);
        self.found
    }

    fn sleep(&self, plane: &mut KernelPlane) {
        let wakes_ns = match self.stage {
            Stage::Measure => self.driver.next_ns(),
            Stage::Ramp
            | Stage::Drop
            | Stage::Talk
            | Stage::Return
            | Stage::Prove
            | Stage::Over => None,
        };
        let now_ns = self.given.clock.ns();
        let ahead_ns = match wakes_ns {
            // A time that has passed was acted on; only a delivery or a stage
            // brings anything new.
            Some(wakes_ns) if now_ns < wakes_ns => wakes_ns - now_ns,
            Some(_) | None => {
                plane.park(None);
                return;
            }
        };
        if SPIN_NS < ahead_ns {
            let early_ms = (ahead_ns - SPIN_NS) / 1_000_000;
            let until = plane.now().tick.plus_ms(early_ms);
            plane.park(Some(until));
        }
    }

    fn connection(&self, peer: u32) -> u32 {
        self.first_connection + peer
    }

    fn complain(&mut self, peer: u32, what: &str) {
        if self.found.complaints.len() < COMPLAINTS_MAX {
            let connection = self.connection(peer);
            self.found.complaints.push(format!("connection {connection}: {what}"));
        }
    }

    // What the plane tells.

    fn handle(&mut self, event: Event<'_>, now_ns: u64) {
        match event {
            Event::Accepted(_) => unreachable!("a load generator does not listen"),
            Event::Connected(id) => {
                if let Some(peer) = self.peer_of(id) {
                    let upgrade = self.given.speaker.upgrade();
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
                    self.give_up(peer, "the server ended the connection");
                }
            }
            Event::Gone(id, ending) => {
                if let Some(peer) = self.peer_of(id) {
                    self.on_gone(peer, ending);
                }
            }
        }
    }

    fn peer_of(&self, id: ConnId) -> Option<u32> {
        let peer = *self.by_slot.get(id.slot as usize)?;
        let known = self.peers.get(peer as usize)?;
        (known.conn == id).then_some(peer)
    }

    fn on_gone(&mut self, peer: u32, ending: Ending) {
        let why = match ending {
            Ending::Closed => "closed",
            Ending::Reset => "reset",
            Ending::Unreachable => "could not connect",
        };
        self.give_up(peer, why);
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
        match self.given.scenario.load {
            Load::Storm { .. } | Load::Soak { .. } => true,
            Load::Connect { .. } | Load::Echo { .. } | Load::Fanout { .. } => false,
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
        self.complain(peer, why);
        self.leave(peer);
    }

    fn leave(&mut self, peer: u32) {
        let state = self.peers[peer as usize].state;
        self.handshakes -= u32::from(state.is_handshake());
        self.live -= u32::from(state.is_in());
        self.proving -= u32::from(state == State::Proving);
        self.peers[peer as usize].leave(&mut self.work);
    }

    // Bytes.

    fn on_received(&mut self, peer: u32, bytes: &mut [u8], now_ns: u64) {
        match self.peers[peer as usize].state {
            State::Absent | State::Dialing | State::Leaving => {}
            State::Upgrading => self.read_head(peer, bytes, now_ns),
            State::Joining | State::Live | State::Proving | State::Proved => {
                self.read_frames(peer, bytes, now_ns);
            }
        }
    }

    fn read_head(&mut self, peer: u32, bytes: &mut [u8], now_ns: u64) {
        let mut kept = self.heads.remove(&peer).unwrap_or_default();
        kept.extend_from_slice(bytes);
        match self.given.speaker.hear_upgrade(&kept) {
            Ok(None) => {
                self.heads.insert(peer, kept);
            }
            Ok(Some(used)) => {
                self.on_upgraded(peer);
                if used < kept.len() {
                    self.read_frames(peer, &mut kept[used..], now_ns);
                }
            }
            Err(not_upgraded) => {
                self.give_up(peer, &format!("no upgrade: {not_upgraded:?}"));
            }
        }
    }

    fn on_upgraded(&mut self, peer: u32) {
        let connection = self.connection(peer);
        let scenario = &self.given.scenario;
        let one = &mut self.peers[peer as usize];
        one.state = State::Joining;
        if scenario.speech == Speech::Plain {
            one.offset = 0;
            self.on_joined(peer);
            return;
        }
        let room = scenario.room(connection);
        let epoch = self.epochs.get(&room).filter(|_| 1 < one.attempt);
        let recovery = epoch.map(|epoch| Recovery { offset: one.offset, epoch });
        let channel = scenario.channel(room);
        let join = self.given.speaker.join(&scenario.user(connection), &channel, recovery);
        one.last_id = 2;
        one.send(join, &mut self.work);
    }

    fn on_joined(&mut self, peer: u32) {
        let connection = self.connection(peer);
        let one = &mut self.peers[peer as usize];
        one.state = State::Live;
        if self.base.is_none() && self.given.scenario.hears(connection) == Some(0) {
            self.base = Some(one.offset);
        }
        self.handshakes -= 1;
        self.live += 1;
    }

    fn read_frames(&mut self, peer: u32, bytes: &mut [u8], now_ns: u64) {
        if self.stage == Stage::Measure {
            self.found.tally.received_bytes += bytes.len() as u64;
        }
        let mut input = Input::new(bytes);
        // Out of the peer while it lends its messages; back before the next event.
        let mut reader = mem::take(&mut self.peers[peer as usize].reader);
        loop {
            match reader.next(&mut input, RULES) {
                Ok(None) => break,
                Ok(Some(incoming)) => self.on_frame(peer, incoming, now_ns),
                Err(fault) => {
                    self.malformed(peer, &format!("{fault:?}"));
                    break;
                }
            }
            if self.peers[peer as usize].state == State::Leaving {
                break;
            }
        }
        self.peers[peer as usize].reader = reader;
    }

    fn malformed(&mut self, peer: u32, what: &str) {
        self.found.tally.malformed += 1;
        self.complain(peer, what);
        self.leave(peer);
    }

    #[inline]
    fn on_frame(&mut self, peer: u32, incoming: Incoming<'_>, now_ns: u64) {
        match incoming {
            Incoming::Binary(payload) => self.on_payload(peer, payload, now_ns),
            Incoming::Text(text) => self.on_payload(peer, text.as_bytes(), now_ns),
            Incoming::Ping(payload) => {
                let pong = self.given.speaker.control(Opcode::Pong, payload);
                self.peers[peer as usize].send(pong, &mut self.work);
            }
            Incoming::Pong(_) => self.on_proved(peer),
            Incoming::Close(code) => self.give_up(peer, &format!("closed by the server: {code:?}")),
        }
    }

    #[inline]
    fn on_payload(&mut self, peer: u32, payload: &[u8], now_ns: u64) {
        self.found.tally.frames += u64::from(self.stage == Stage::Measure);
        let Some(encoding) = self.given.speaker.encoding() else {
            let number = payload.first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
            self.deliver(peer, number, payload, now_ns);
            return;
        };
        let mut delivered = 0;
        for publication in client::publications(encoding, payload) {
            match publication {
                Ok(Some(delivery)) => {
                    delivered += 1;
                    self.deliver(peer, delivery.offset, delivery.data, now_ns);
                }
                Ok(None) => {
                    self.on_mixed(peer, payload, delivered, now_ns);
                    return;
                }
                Err(error) => {
                    self.malformed(peer, &format!("{error:?}"));
                    return;
                }
            }
        }
    }

    /// A frame that holds more than publications, of which the first few are
    /// counted already.
    fn on_mixed(&mut self, peer: u32, payload: &[u8], delivered: u32, now_ns: u64) {
        let encoding = self.given.speaker.encoding().expect("plain frames are not mixed");
        let mut to_skip = delivered;
        for message in client::messages(encoding, payload) {
            match message {
                Ok(ClientMessage::Ping) => {
                    self.found.tally.pings += 1;
                    let pong = self.given.speaker.pong();
                    self.peers[peer as usize].send(pong, &mut self.work);
                }
                Ok(ClientMessage::Reply { answer, .. }) => self.on_answer(peer, answer, now_ns),
                Ok(ClientMessage::Push { push: ClientPush::Publication(publication), .. }) => {
                    if 0 < to_skip {
                        to_skip -= 1;
                    } else {
                        self.deliver(peer, publication.offset, &publication.data, now_ns);
                    }
                }
                Ok(ClientMessage::Push { push, .. }) => self.on_push(peer, push),
                Err(error) => {
                    self.malformed(peer, &format!("{error:?}"));
                    return;
                }
            }
            if self.peers[peer as usize].state == State::Leaving {
                return;
            }
        }
    }

    fn on_push(&mut self, peer: u32, push: ClientPush) {
        match push {
            ClientPush::Unsubscribe(unsubscribe) => {
                self.give_up(peer, &format!("unsubscribed: {unsubscribe:?}"));
            }
            ClientPush::Disconnect(disconnect) => {
                self.give_up(peer, &format!("disconnected: {disconnect:?}"));
            }
            ClientPush::Publication(_)
            | ClientPush::Join(_)
            | ClientPush::Leave(_)
            | ClientPush::Message(_)
            | ClientPush::Subscribe(_)
            | ClientPush::Refresh(_)
            | ClientPush::Unknown => {}
        }
    }

    fn on_answer(&mut self, peer: u32, answer: ClientAnswer, now_ns: u64) {
        match answer {
            ClientAnswer::Error(error) => {
                self.found.tally.errors += 1;
                self.give_up(peer, &format!("{error:?}"));
            }
            ClientAnswer::Subscribe(result) => self.on_subscribed(peer, &result, now_ns),
            ClientAnswer::Publish => self.found.tally.accepted += 1,
            ClientAnswer::Ping => self.on_proved(peer),
            ClientAnswer::Connect(_)
            | ClientAnswer::Unsubscribe
            | ClientAnswer::Presence(_)
            | ClientAnswer::PresenceStats(_)
            | ClientAnswer::History(_)
            | ClientAnswer::Rpc(_)
            | ClientAnswer::Refresh(_)
            | ClientAnswer::SubRefresh(_)
            | ClientAnswer::Unknown => {}
        }
    }

    fn on_subscribed(&mut self, peer: u32, result: &client::proto::SubscribeResult, now_ns: u64) {
        let connection = self.connection(peer);
        if self.may_come_back() {
            let room = self.given.scenario.room(connection);
            self.epochs.entry(room).or_insert_with(|| result.epoch.as_str().into());
        }
        if result.was_recovering {
            if result.recovered {
                self.found.tally.recovered += 1;
                self.last_ns = now_ns;
                for publication in &result.publications {
                    self.deliver(peer, publication.offset, &publication.data, now_ns);
                }
            } else {
                self.found.tally.unrecovered += 1;
                self.complain(peer, "could not recover");
                self.peers[peer as usize].offset = result.offset;
            }
        } else {
            self.peers[peer as usize].offset = result.offset;
        }
        if self.peers[peer as usize].state == State::Joining {
            self.on_joined(peer);
        }
    }

    // Deliveries.

    /// One message has reached one connection: is it the next one, and whole?
    #[inline]
    fn deliver(&mut self, peer: u32, offset: u64, data: &[u8], now_ns: u64) {
        self.found.tally.delivered += 1;
        self.last_ns = now_ns;
        let speech = self.given.scenario.speech;
        let mut offset = offset;
        if offset == 0 {
            // A channel without offsets: the number that we put in counts.
            offset = stamp(speech, data).map_or(0, |stamp| stamp.number);
        }
        let one = &mut self.peers[peer as usize];
        if offset == one.offset + 1 {
            one.offset = offset;
        } else {
            self.out_of_order(peer, offset);
        }
        if data.len() != self.given.scenario.data_bytes as usize {
            self.found.tally.damaged += 1;
        }
        let number = offset.wrapping_sub(self.base.unwrap_or(0));
        if peer & (self.latency_stride - 1) == 0 {
            self.look_inside(peer, number, data, now_ns);
        }
        if self.stage == Stage::Measure {
            self.driver.on_delivery(peer, number, &mut self.orders, now_ns);
        }
    }

    fn look_inside(&mut self, peer: u32, number: u64, data: &[u8], now_ns: u64) {
        let scenario = &self.given.scenario;
        let Some(stamp) = stamp(scenario.speech, data) else {
            self.found.tally.damaged += 1;
            self.complain(peer, "a message that is none of ours");
            return;
        };
        let is_single = matches!(scenario.load, Load::Fanout { publishers: 1, .. });
        // The stamp's number has 32 bits in hexadecimal.
        if is_single && stamp.number as u32 != number as u32 {
            self.found.tally.damaged += 1;
            self.complain(peer, "a message at another's place");
        }
        if self.stage == Stage::Measure {
            self.found.latency.record(now_ns.saturating_sub(stamp.time_ns));
        }
    }

    #[cold]
    fn out_of_order(&mut self, peer: u32, offset: u64) {
        let one = &mut self.peers[peer as usize];
        let expected = one.offset + 1;
        if offset < expected {
            self.found.tally.repeated += 1;
        } else {
            self.found.tally.lost += offset - expected;
            one.offset = offset;
        }
        self.complain(peer, &format!("message {offset} where {expected} was due"));
    }

    fn on_proved(&mut self, peer: u32) {
        let one = &mut self.peers[peer as usize];
        if one.state == State::Proving {
            one.state = State::Proved;
            self.proving -= 1;
            self.found.tally.answered += 1;
        }
    }

    // What follows.

    fn carry_out(&mut self, now_ns: u64) {
        let mut orders = mem::take(&mut self.orders);
        for order in orders.drain(..) {
            match order {
                Order::Publish { peer, intended_ns } => self.publish(peer, intended_ns),
                Order::Drop { peer } => {
                    if self.peers[peer as usize].state == State::Live {
                        self.leave(peer);
                    }
                }
            }
        }
        self.orders = orders;
        if let Load::Storm { missed } = self.given.scenario.load
            && self.stage == Stage::Talk
        {
            self.talk(missed, now_ns);
        }
    }

    fn publish(&mut self, peer: u32, intended_ns: u64) {
        let connection = self.connection(peer);
        let one = &mut self.peers[peer as usize];
        if one.state != State::Live {
            return; // counted as died when it did
        }
        let scenario = &self.given.scenario;
        let room = scenario.room(connection);
        let number = self.given.board.publish(room);
        let id = one.next_id();
        let frame = if scenario.speech == Speech::Plain {
            self.found.tally.accepted += 1; // nothing in plain framing says so
            self.given.speaker.publish(id, "", intended_ns, number)
        } else {
            self.given.speaker.publish(id, &scenario.channel(room), intended_ns, number)
        };
        self.found.tally.published += 1;
        one.send(frame, &mut self.work);
    }

    /// Whoever came back to speak speaks, once.
    fn talk(&mut self, missed: u32, now_ns: u64) {
        for peer in 0..self.peers.len() as u32 {
            let is_new = self.peers[peer as usize].state == State::Live
                && self.peers[peer as usize].last_id == 2;
            if is_new && self.is_publisher(peer) {
                for _ in 0..missed {
                    self.publish(peer, now_ns);
                }
            }
        }
    }

    fn is_publisher(&self, peer: u32) -> bool {
        self.given.scenario.role(self.connection(peer)) == crate::scenario::Role::Publisher
    }

    fn dial(&mut self, plane: &mut KernelPlane) {
        while self.handshakes < self.handshakes_max
            && let Some(peer) = self.to_dial.pop_front()
        {
            let connection = self.connection(peer);
            let one = &mut self.peers[peer as usize];
            let attempt = u32::from(one.attempt);
            let from = self.given.scenario.source(connection, attempt, self.given.to);
            match plane.connect(from, self.given.to) {
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
                    self.complain(peer, &error.to_string());
                }
            }
        }
    }

    fn prove(&mut self) {
        if self.stage != Stage::Prove {
            return;
        }
        while self.proving < self.handshakes_max && (self.to_prove as usize) < self.peers.len() {
            let one = &mut self.peers[self.to_prove as usize];
            self.to_prove += 1;
            if one.state == State::Live {
                one.state = State::Proving;
                self.proving += 1;
                let id = one.next_id();
                one.send(self.given.speaker.prove(id), &mut self.work);
            }
        }
    }

    // Stages.

    /// Whether a new one has begun.
    fn follow_stage(&mut self, now_ns: u64) -> bool {
        let (stage, began_ns) = self.given.board.stage();
        if stage == self.stage {
            return false;
        }
        if !self.has_ended_stage {
            self.stages += 1;
        }
        self.stage = stage;
        self.has_ended_stage = false;
        match stage {
            Stage::Ramp | Stage::Prove | Stage::Over => {}
            Stage::Measure => {
                let part = Part { scenario: &self.given.scenario, thread: self.given.thread };
                self.driver = Driver::begin(part, began_ns);
            }
            Stage::Drop => {
                for peer in 0..self.peers.len() as u32 {
                    if self.peers[peer as usize].state == State::Live {
                        self.leave(peer);
                    }
                }
            }
            Stage::Talk | Stage::Return => {
                let absent = |one: &Peer| one.state == State::Absent;
                let back = (0..self.peers.len() as u32).filter(|peer| {
                    absent(&self.peers[*peer as usize])
                        && (stage == Stage::Return || self.is_publisher(*peer))
                });
                self.to_dial = back.collect();
            }
        }
        self.last_ns = now_ns;
        true
    }

    fn end_turn(&mut self, now_ns: u64) {
        let board = Arc::clone(&self.given.board);
        let tally = &self.found.tally;
        let is_silent = self.stage == Stage::Measure && self.driver.is_silent(now_ns);
        let steps = tally.published + tally.accepted + tally.failed + tally.died;
        let mut shown = Shown {
            progress: steps + u64::from(self.live) + tally.delivered + tally.answered,
            live: u64::from(self.live),
            delivered: tally.delivered,
            answered: tally.answered,
            recovered: tally.recovered,
            watermark: u64::MAX,
            is_silent,
            last_ns: self.last_ns,
        };
        self.driver.show(&mut shown);
        board.show(self.given.thread, shown);
        if !self.has_ended_stage && self.is_stage_over(&board) {
            self.has_ended_stage = true;
            self.stages += 1;
            board.end_stage(self.given.thread, self.stages);
        }
    }

    fn is_stage_over(&self, board: &Board) -> bool {
        let tally = &self.found.tally;
        let is_settled = self.to_dial.is_empty() && self.handshakes == 0;
        match self.stage {
            Stage::Ramp => is_settled,
            Stage::Measure => {
                is_settled
                    && board.shown().is_silent
                    && tally.accepted == tally.published
                    && self.expected() <= tally.delivered
                    && u64::from(self.live) + tally.died + tally.failed >= tally.wanted
            }
            Stage::Drop => self.peers.iter().all(|one| one.state == State::Absent),
            Stage::Talk => {
                is_settled && {
                    let talkers = self.live;
                    let missed = self.missed();
                    tally.published == u64::from(talkers) * missed
                        && tally.accepted == tally.published
                        && tally.published <= tally.delivered
                }
            }
            Stage::Return => is_settled,
            Stage::Prove => self.to_prove as usize == self.peers.len() && self.proving == 0,
            Stage::Over => true,
        }
    }

    fn missed(&self) -> u64 {
        match self.given.scenario.load {
            Load::Storm { missed } => u64::from(missed),
            Load::Connect { .. } | Load::Echo { .. } | Load::Fanout { .. } | Load::Soak { .. } => 0,
        }
    }

    /// Deliveries that must come: all that was published into a room, for each
    /// of its members here.
    fn expected(&self) -> u64 {
        let scenario = &self.given.scenario;
        let range = scenario.of_thread(self.given.thread);
        let rooms = range.filter_map(|connection| scenario.hears(connection));
        rooms.map(|room| self.given.board.published(room)).sum()
    }

    fn count_expected(&mut self) {
        self.found.tally.expected = self.expected();
    }
}
