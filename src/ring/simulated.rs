//! The plane over a scripted world: tests play the peers, a seed plays the
//! network and the kernel.
//!
//! What peers do arrives late, in pieces cut anywhere, and in any order across
//! connections, never within one. Sends leave in parts, late, and wait for a
//! peer that does not read. Some connections are reset.
//!
//! Invariants: equal seeds and equal calls give equal events; the promises of
//! `Plane` hold as over the kernel.
//!
//! Deliberately absent: a clock (the caller sets it), limits of the kernel, and
//! outgoing connections.
#![forbid(unsafe_code)]

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::{Action, ConnId, Ending, Event, Now, Prng, Tick};

use super::Plane;
use super::token::GENERATION_BITS;

/// How the world behaves between a core and its peers.
#[derive(Clone, Debug)]
pub struct Weather {
    /// What a peer does is seen at most this much later, and the other way round.
    pub latency_ms_max: u64,
    /// How many of 100 receives and sends bring less than they could.
    pub cut_percent: u64,
    /// How many of 10,000 events are a reset instead.
    pub resets_per_10_000: u64,
    /// What one receive can bring at most.
    pub receive_bytes_max: usize,
    /// What a peer that does not read takes before its sends wait.
    pub window_bytes: usize,
}

impl Weather {
    /// Everything arrives whole and at once.
    pub fn calm() -> Weather {
        Weather {
            latency_ms_max: 0,
            cut_percent: 0,
            resets_per_10_000: 0,
            receive_bytes_max: 4_096,
            window_bytes: 1 << 20,
        }
    }

    /// Late and in pieces, without resets.
    pub fn rough() -> Weather {
        Weather { latency_ms_max: 40, cut_percent: 60, ..Weather::calm() }
    }
}

/// A peer in the test's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer(u32);

/// What a peer knows of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerState {
    /// In the backlog, or open: TCP does not tell the difference.
    Open,
    /// The core closed it. What was sent before can still be read.
    Closed,
    /// The peer or the network reset it.
    Reset,
    /// The core does not accept any more.
    Refused,
}

/// One core's sockets in a world that a seed decides.
#[derive(Debug)]
pub struct SimulatedPlane {
    prng: Prng,
    weather: Weather,
    now: Now,
    accepting: bool,
    ends: Vec<End>,
    /// Peers about whom there may still be something to tell the core.
    live: Vec<u32>,
    slots: Vec<Slot>,
    free: Vec<u32>,
}

/// One slot of the core's connections.
#[derive(Debug)]
struct Slot {
    generation: u32,
    tenant: Option<u32>,
}

/// Both ends of one connection.
#[derive(Debug)]
struct End {
    state: PeerState,
    /// Set while the core knows the connection.
    id: Option<ConnId>,
    half_closed: bool,
    incoming: VecDeque<(Tick, Incoming)>,
    outgoing: Option<(Tick, Bytes)>,
    /// What the peer has received and not read.
    inbox: Vec<u8>,
    ending: Option<(Tick, Ending)>,
}

/// What a peer does.
#[derive(Debug)]
enum Incoming {
    Connect,
    Bytes(VecDeque<u8>),
    HalfClose,
    Reset,
}

/// What is to be told about a connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    In,
    Out,
    Gone(Ending),
}

impl SimulatedPlane {
    /// An empty world at time 0.
    pub fn new(seed: u64, weather: Weather) -> SimulatedPlane {
        assert!(0 < weather.receive_bytes_max && 0 < weather.window_bytes);
        SimulatedPlane {
            prng: Prng::from_seed(seed),
            weather,
            now: Now::default(),
            accepting: true,
            ends: Vec::new(),
            live: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Moves the clocks; never backwards.
    pub fn set_now(&mut self, now: Now) {
        assert!(self.now.tick <= now.tick, "the monotonic clock does not go backwards");
        self.now = now;
    }

    /// When there is something to reap, at the earliest. `None` when nothing
    /// happens unless somebody acts.
    pub fn next_due(&self) -> Option<Tick> {
        let dues = self.live.iter().filter_map(|peer| self.ends[*peer as usize].due());
        dues.chain(self.outgoing_dues()).min()
    }

    /// A peer knocks.
    pub fn peer_connect(&mut self) -> Peer {
        let peer = self.ends.len() as u32;
        self.ends.push(End {
            state: if self.accepting { PeerState::Open } else { PeerState::Refused },
            id: None,
            half_closed: false,
            incoming: VecDeque::new(),
            outgoing: None,
            inbox: Vec::new(),
            ending: None,
        });
        if self.accepting {
            self.live.push(peer);
            self.arrive(peer, Incoming::Connect);
        }
        Peer(peer)
    }

    /// A peer sends. On a connection that is over, nothing happens.
    pub fn peer_send(&mut self, peer: Peer, bytes: &[u8]) {
        let end = &self.ends[peer.0 as usize];
        assert!(!end.half_closed, "a peer that ended its direction sends no more");
        if end.state == PeerState::Open && !bytes.is_empty() {
            self.arrive(peer.0, Incoming::Bytes(bytes.iter().copied().collect()));
        }
    }

    /// A peer reads all that has reached it.
    pub fn peer_read(&mut self, peer: Peer) -> Vec<u8> {
        std::mem::take(&mut self.ends[peer.0 as usize].inbox)
    }

    /// A peer sends no more, but still reads.
    pub fn peer_half_close(&mut self, peer: Peer) {
        let end = &mut self.ends[peer.0 as usize];
        if end.state == PeerState::Open && !end.half_closed {
            end.half_closed = true;
            self.arrive(peer.0, Incoming::HalfClose);
        }
    }

    /// A peer breaks its connection. What it sent before may be lost.
    pub fn peer_reset(&mut self, peer: Peer) {
        let lost = self.prng.percent(50);
        let end = &mut self.ends[peer.0 as usize];
        if end.state != PeerState::Open {
            return;
        }
        end.state = PeerState::Reset;
        if lost {
            end.incoming.retain(|(_, what)| matches!(what, Incoming::Connect));
        }
        self.arrive(peer.0, Incoming::Reset);
    }

    /// What the peer knows of its connection.
    pub fn peer_state(&self, peer: Peer) -> PeerState {
        self.ends[peer.0 as usize].state
    }

    /// The core's name for the peer's connection, while it has one.
    pub fn conn_of(&self, peer: Peer) -> Option<ConnId> {
        self.ends[peer.0 as usize].id
    }

    fn arrive(&mut self, peer: u32, what: Incoming) {
        let due = self.soon();
        let incoming = &mut self.ends[peer as usize].incoming;
        // Never before what the same peer did earlier.
        let due = incoming.back().map_or(due, |(before, _)| due.max(*before));
        incoming.push_back((due, what));
    }

    fn soon(&mut self) -> Tick {
        self.now.tick.plus_ms(self.prng.below(self.weather.latency_ms_max + 1))
    }

    /// A part of `whole`, at least 1, and often all.
    fn part_of(&mut self, whole: usize) -> usize {
        if self.prng.percent(self.weather.cut_percent) {
            1 + self.prng.below(whole as u64) as usize
        } else {
            whole
        }
    }

    fn outgoing_dues(&self) -> impl Iterator<Item = Tick> {
        let ends = self.live.iter().map(|peer| &self.ends[*peer as usize]);
        ends.filter_map(|end| self.outgoing_due(end))
    }

    /// A send goes on when its time has come and the peer has room.
    fn outgoing_due(&self, end: &End) -> Option<Tick> {
        let (due, _) = end.outgoing.as_ref()?;
        (end.ending.is_none() && end.inbox.len() < self.weather.window_bytes).then_some(*due)
    }

    /// What can be told about `peer` now; chance decides between several.
    fn step_of(&mut self, peer: u32) -> Option<Step> {
        let end = &self.ends[peer as usize];
        let passed = |due: Tick| due <= self.now.tick;
        if let Some((due, ending)) = end.ending {
            return passed(due).then_some(Step::Gone(ending));
        }
        let comes = end.incoming.front().is_some_and(|(due, _)| passed(*due));
        let leaves = self.outgoing_due(end).is_some_and(passed);
        match (comes, leaves) {
            (false, false) => None,
            (true, false) => Some(Step::In),
            (false, true) => Some(Step::Out),
            (true, true) if self.prng.percent(50) => Some(Step::In),
            (true, true) => Some(Step::Out),
        }
    }

    /// Takes one step; true when it was an event.
    fn take(&mut self, peer: u32, step: Step, on_event: &mut dyn FnMut(Event<'_>)) -> bool {
        let storm = self.prng.below(10_000) < self.weather.resets_per_10_000;
        match step {
            Step::In | Step::Out if storm && self.ends[peer as usize].id.is_some() => {
                self.ends[peer as usize].state = PeerState::Reset;
                self.end(peer, Ending::Reset);
                false
            }
            Step::In => self.take_in(peer, on_event),
            Step::Out => self.take_out(peer, on_event),
            Step::Gone(ending) => {
                let id = self.leave(peer);
                on_event(Event::Gone(id, ending));
                true
            }
        }
    }

    fn take_in(&mut self, peer: u32, on_event: &mut dyn FnMut(Event<'_>)) -> bool {
        let end = &mut self.ends[peer as usize];
        let (due, what) = end.incoming.pop_front().expect("a step in has something to take");
        let known = |end: &End| end.id.expect("a peer connects before it does anything else");
        match what {
            Incoming::Connect => {
                let id = self.move_in(peer);
                on_event(Event::Accepted(id));
            }
            Incoming::Bytes(mut bytes) => {
                let id = known(end);
                let len = self.part_of(bytes.len().min(self.weather.receive_bytes_max));
                let mut received: Vec<u8> = bytes.drain(..len).collect();
                if !bytes.is_empty() {
                    let rest = (due, Incoming::Bytes(bytes));
                    self.ends[peer as usize].incoming.push_front(rest);
                }
                on_event(Event::Received(id, &mut received));
            }
            Incoming::HalfClose => on_event(Event::Ended(known(end))),
            Incoming::Reset => {
                self.end(peer, Ending::Reset);
                return false;
            }
        }
        true
    }

    fn take_out(&mut self, peer: u32, on_event: &mut dyn FnMut(Event<'_>)) -> bool {
        let again = self.soon();
        let end = &self.ends[peer as usize];
        let (_, bytes) = end.outgoing.as_ref().expect("a step out has something to send");
        let room = self.weather.window_bytes - end.inbox.len();
        let len = match bytes.len().min(room) {
            0 => 0,
            most => self.part_of(most),
        };
        let end = &mut self.ends[peer as usize];
        let (due, bytes) = end.outgoing.as_mut().expect("looked at above");
        end.inbox.extend_from_slice(&bytes.split_to(len));
        *due = again;
        if !bytes.is_empty() {
            return false;
        }
        end.outgoing = None;
        on_event(Event::Sent(end.id.expect("only a known connection sends")));
        true
    }

    /// From here on only the end is told.
    fn end(&mut self, peer: u32, ending: Ending) {
        let due = self.soon();
        let end = &mut self.ends[peer as usize];
        if end.ending.is_none() {
            end.ending = Some((due, ending));
            end.incoming.clear();
            end.outgoing = None;
        }
    }

    fn move_in(&mut self, peer: u32) -> ConnId {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot { generation: 0, tenant: None });
            self.slots.len() as u32 - 1
        });
        let place = &mut self.slots[slot as usize];
        place.tenant = Some(peer);
        let id = ConnId { slot, generation: place.generation };
        self.ends[peer as usize].id = Some(id);
        id
    }

    fn leave(&mut self, peer: u32) -> ConnId {
        let end = &mut self.ends[peer as usize];
        end.ending = None;
        let id = end.id.take().expect("the end is told once");
        let place = &mut self.slots[id.slot as usize];
        place.tenant = None;
        place.generation = (place.generation + 1) % (1 << GENERATION_BITS);
        self.free.push(id.slot);
        self.live.retain(|other| *other != peer);
        id
    }

    /// Who lives under `id`, unless the core was told the end or asked for it.
    fn tenant(&self, id: ConnId) -> Option<u32> {
        let slot = self.slots.get(id.slot as usize).filter(|s| s.generation == id.generation)?;
        slot.tenant.filter(|peer| self.ends[*peer as usize].ending.is_none())
    }

    fn send(&mut self, id: ConnId, bytes: Bytes) {
        let due = self.soon();
        if let Some(peer) = self.tenant(id) {
            let outgoing = &mut self.ends[peer as usize].outgoing;
            assert!(outgoing.is_none(), "a connection has one send in flight");
            *outgoing = Some((due, bytes));
        }
    }

    fn close(&mut self, id: ConnId) {
        let Some(peer) = self.tenant(id) else { return };
        let end = &mut self.ends[peer as usize];
        if let Some((_, mut bytes)) = end.outgoing.take() {
            // Some of what was in flight arrives, as far as the peer has room.
            let room = self.weather.window_bytes.saturating_sub(end.inbox.len());
            let len = self.prng.below(bytes.len().min(room) as u64 + 1) as usize;
            end.inbox.extend_from_slice(&bytes.split_to(len));
        }
        if end.state == PeerState::Open {
            end.state = PeerState::Closed;
        }
        self.end(peer, Ending::Closed);
    }

    fn stop_accepting(&mut self) {
        self.accepting = false;
        let ends = &mut self.ends;
        self.live.retain(|peer| {
            let end = &mut ends[*peer as usize];
            if end.id.is_none() {
                end.state = PeerState::Refused;
                end.incoming.clear();
            }
            end.id.is_some()
        });
    }
}

impl End {
    /// When something of the peer, or the end, can be told.
    fn due(&self) -> Option<Tick> {
        match self.ending {
            Some((due, _)) => Some(due),
            None => self.incoming.front().map(|(due, _)| *due),
        }
    }
}

impl Plane for SimulatedPlane {
    fn now(&self) -> Now {
        self.now
    }

    fn reap(&mut self, max: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let mut candidates = self.live.clone();
        let mut events = 0;
        while events < max && !candidates.is_empty() {
            let place = self.prng.below(candidates.len() as u64) as usize;
            match self.step_of(candidates[place]) {
                Some(step) => {
                    let told = self.take(candidates[place], step, on_event);
                    events += usize::from(told);
                }
                None => drop(candidates.swap_remove(place)),
            }
        }
        events
    }

    fn submit(&mut self, work: &mut Vec<Action>) {
        for action in work.drain(..) {
            match action {
                Action::Send(id, bytes) => self.send(id, bytes),
                Action::Close(id) => self.close(id),
                Action::StopAccepting => self.stop_accepting(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A core that sends back what comes and closes when the peer has ended.
    #[derive(Default)]
    struct Echo {
        conns: Vec<Conn>,
        work: Vec<Action>,
    }

    struct Conn {
        id: ConnId,
        waiting: Vec<u8>,
        sending: bool,
        ended: bool,
        gone: Option<Ending>,
    }

    impl Echo {
        fn handle(&mut self, event: Event<'_>) {
            let (id, change): (ConnId, &dyn Fn(&mut Conn)) = match &event {
                Event::Accepted(id) => {
                    let (waiting, gone) = (Vec::new(), None);
                    let (sending, ended) = (false, false);
                    self.conns.push(Conn { id: *id, waiting, sending, ended, gone });
                    return;
                }
                Event::Connected(_) => panic!("nobody asked for one"),
                Event::Received(id, bytes) => (*id, &|conn| conn.waiting.extend(bytes.iter())),
                Event::Sent(id) => (*id, &|conn| conn.sending = false),
                Event::Ended(id) => (*id, &|conn| conn.ended = true),
                Event::Gone(id, ending) => (*id, &|conn| conn.gone = Some(*ending)),
            };
            let conn = self.conns.iter_mut().find(|conn| conn.id == id && conn.gone.is_none());
            change(conn.expect("events only of a connection that was accepted and is not gone"));
        }

        fn turn(&mut self, plane: &mut SimulatedPlane, max: usize) -> usize {
            let events = plane.reap(max, &mut |event| self.handle(event));
            for conn in self.conns.iter_mut().filter(|conn| conn.gone.is_none()) {
                if !conn.sending && !conn.waiting.is_empty() {
                    conn.sending = true;
                    let bytes = Bytes::from(std::mem::take(&mut conn.waiting));
                    self.work.push(Action::Send(conn.id, bytes));
                } else if conn.ended && !conn.sending {
                    self.work.push(Action::Close(conn.id));
                }
            }
            plane.submit(&mut self.work);
            events
        }
    }

    /// Lets everything happen that can happen, reading or not.
    fn run(plane: &mut SimulatedPlane, echo: &mut Echo) {
        loop {
            while echo.turn(plane, 7) > 0 {}
            match plane.next_due() {
                Some(due) if plane.now.tick < due => {
                    plane.set_now(Now { tick: due, unix_ms: due.0 });
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    fn check_streams(seed: u64, weather: Weather) {
        let mut plane = SimulatedPlane::new(seed, weather);
        let mut script = Prng::from_seed(seed ^ 0xECC0);
        let mut echo = Echo::default();
        let peers: Vec<Peer> = (0..5).map(|_| plane.peer_connect()).collect();
        let mut said = vec![Vec::new(); peers.len()];
        let mut heard = vec![Vec::new(); peers.len()];
        for _ in 0..40 {
            let who = script.below(peers.len() as u64) as usize;
            let len = script.below(3_000) as usize;
            let bytes: Vec<u8> = (0..len).map(|_| script.draw() as u8).collect();
            plane.peer_send(peers[who], &bytes);
            said[who].extend_from_slice(&bytes);
            echo.turn(&mut plane, 3);
            let later = plane.now.tick.plus_ms(script.below(20));
            plane.set_now(Now { tick: later, unix_ms: later.0 });
            let reader = script.below(peers.len() as u64) as usize;
            heard[reader].extend(plane.peer_read(peers[reader]));
        }
        peers.iter().for_each(|peer| plane.peer_half_close(*peer));
        for _ in 0..1_000 {
            run(&mut plane, &mut echo);
            for (peer, heard) in peers.iter().zip(&mut heard) {
                heard.extend(plane.peer_read(*peer));
            }
        }
        assert!(heard == said, "a stream differs, seed {seed}");
        assert!(peers.iter().all(|peer| plane.peer_state(*peer) == PeerState::Closed));
        assert!(echo.conns.iter().all(|conn| conn.gone == Some(Ending::Closed)), "seed {seed}");
        assert!(plane.live.is_empty());
    }

    #[test]
    fn what_goes_in_comes_back_whole_and_in_order() {
        for seed in 0..100 {
            check_streams(seed, Weather { window_bytes: 1_000, ..Weather::rough() });
        }
        check_streams(0, Weather::calm());
    }

    #[test]
    fn resets_end_connections_once_and_streams_are_cut_short_only() {
        let mut ended = [0, 0];
        for seed in 0..100 {
            let weather = Weather { resets_per_10_000: 300, ..Weather::rough() };
            let mut plane = SimulatedPlane::new(seed, weather);
            let mut echo = Echo::default();
            let said: Vec<u8> = (0..=255).collect();
            let peers: Vec<Peer> = (0..10).map(|_| plane.peer_connect()).collect();
            for peer in &peers {
                plane.peer_send(*peer, &said);
            }
            plane.peer_reset(peers[0]);
            run(&mut plane, &mut echo);
            for peer in &peers {
                plane.peer_half_close(*peer);
            }
            run(&mut plane, &mut echo);
            for peer in &peers {
                assert!(said.starts_with(&plane.peer_read(*peer)), "seed {seed}");
                ended[usize::from(plane.peer_state(*peer) == PeerState::Reset)] += 1;
            }
            assert!(echo.conns.iter().all(|conn| conn.gone.is_some()), "seed {seed}");
        }
        assert!(ended.iter().all(|count| *count > 50), "both ends must happen: {ended:?}");
    }

    #[test]
    fn equal_seeds_tell_equal_stories() {
        let story = |seed| {
            let mut plane = SimulatedPlane::new(seed, Weather::rough());
            let peers: Vec<Peer> = (0..3).map(|_| plane.peer_connect()).collect();
            peers.iter().for_each(|peer| plane.peer_send(*peer, &[7; 500]));
            let mut story = String::new();
            for ms in 0..100 {
                plane.set_now(Now { tick: Tick(ms), unix_ms: ms });
                plane.reap(10, &mut |event| story += &format!("{ms} {event:?}\n"));
            }
            story
        };
        assert_eq!(story(5), story(5));
        assert_ne!(story(5), story(6));
    }

    #[test]
    fn a_send_waits_for_a_peer_that_does_not_read() {
        let mut plane = SimulatedPlane::new(1, Weather { window_bytes: 10, ..Weather::calm() });
        let mut echo = Echo::default();
        let peer = plane.peer_connect();
        plane.peer_send(peer, &[1; 25]);
        run(&mut plane, &mut echo);
        assert!(echo.conns[0].sending);
        for expected in [10, 10, 5] {
            assert_eq!(plane.peer_read(peer).len(), expected);
            run(&mut plane, &mut echo);
        }
        assert!(!echo.conns[0].sending);
    }

    #[test]
    fn who_is_not_accepted_yet_is_refused_when_accepting_stops() {
        let mut plane = SimulatedPlane::new(1, Weather::rough());
        let mut echo = Echo::default();
        let (early, id) = (plane.peer_connect(), ConnId { slot: 0, generation: 0 });
        run(&mut plane, &mut echo);
        assert_eq!(plane.conn_of(early), Some(id));
        let waiting = plane.peer_connect();
        plane.submit(&mut vec![Action::StopAccepting]);
        let late = plane.peer_connect();
        run(&mut plane, &mut echo);
        let states = [early, waiting, late].map(|peer| plane.peer_state(peer));
        assert_eq!(states, [PeerState::Open, PeerState::Refused, PeerState::Refused]);
        plane.submit(&mut vec![Action::Close(id), Action::Close(id)]);
        run(&mut plane, &mut echo);
        assert_eq!(plane.peer_state(early), PeerState::Closed);
        assert_eq!(plane.conn_of(early), None);
    }
}
