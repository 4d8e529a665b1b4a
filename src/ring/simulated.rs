//! The `Io` over a scripted world: tests play the peers, a seed plays the
//! network and the kernel.
//!
//! Bytes of peers arrive late, in pieces cut anywhere, and in any order across connections, but
//! never within one. Sends leave in parts, late, and wait for a peer that does not read. Some
//! connections are reset.
//!
//! Invariants: equal seeds and equal calls give equal events; the promises of
//! `Io` hold as over the kernel.
//!
//! Deliberately absent: a clock (the caller sets it), limits of the kernel, and
//! outgoing connections.
#![forbid(unsafe_code)]

mod fault_injector;
mod peers;
mod slots;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;

use crate::base::limits::PEERS_PER_TURN_MAX;
use crate::base::{
    Action, ConnId, DisconnectReason, Event, Io, MonotonicMs, ShardId, TcpLiveness, Timestamps,
};

use fault_injector::FaultInjector;
use peers::{PeerAction, SimulatedConnection};
use slots::PeerSlots;

pub use fault_injector::FaultProfile;
pub use peers::{PeerState, SimulatedPeer};

/// The sockets of one core in a world that a seed decides.
#[derive(Debug)]
pub struct SimulatedIo {
    fault_injector: FaultInjector,
    now: Timestamps,
    accepting: bool,
    /// The rate of accepting, and its start.
    peers_per_turn_max: u16,
    peers_from: MonotonicMs,
    /// Whether the last `reap` left no event.
    is_drained: bool,
    conns: Vec<SimulatedConnection>,
    /// Peers with events for the core.
    live: Vec<u32>,
    slots: PeerSlots,
}

/// The next event of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    In,
    Out,
    Gone(DisconnectReason),
}

impl SimulatedIo {
    /// An empty world at time 0.
    pub fn new(seed: u64, fault_profile: FaultProfile) -> SimulatedIo {
        SimulatedIo {
            fault_injector: FaultInjector::new(seed, fault_profile),
            now: Timestamps::default(),
            accepting: true,
            peers_per_turn_max: PEERS_PER_TURN_MAX,
            peers_from: MonotonicMs(0),
            is_drained: false,
            conns: Vec::new(),
            live: Vec::new(),
            slots: PeerSlots::default(),
        }
    }

    /// Advances the clocks.
    pub fn set_now(&mut self, now: Timestamps) {
        assert!(self.now.tick <= now.tick, "the monotonic clock does not go backwards");
        self.now = now;
    }

    /// The time of the next event; `None` when there is none without an action.
    pub fn next_due(&self) -> Option<MonotonicMs> {
        let dues = self.live.iter().filter_map(|peer| self.conns[*peer as usize].due());
        dues.chain(self.outgoing_dues()).min()
    }

    fn outgoing_dues(&self) -> impl Iterator<Item = MonotonicMs> {
        let conns = self.live.iter().map(|peer| &self.conns[*peer as usize]);
        conns.filter_map(|conn| self.outgoing_due(conn))
    }

    /// A send continues when its time has come and the peer has room.
    fn outgoing_due(&self, conn: &SimulatedConnection) -> Option<MonotonicMs> {
        let (due, _) = conn.outgoing.as_ref()?;
        (conn.reason.is_none() && 0 < self.fault_injector.room(conn.inbox.len())).then_some(*due)
    }

    /// The event of `peer` that is due now; chance decides between several.
    fn step_of(&mut self, peer: u32) -> Option<Step> {
        let conn = &self.conns[peer as usize];
        let passed = |due: MonotonicMs| due <= self.now.tick;
        if let Some((due, reason)) = conn.reason {
            return passed(due).then_some(Step::Gone(reason));
        }
        let comes = conn.incoming.front().is_some_and(|(due, _)| passed(*due));
        let leaves = self.outgoing_due(conn).is_some_and(passed);
        match (comes, leaves) {
            (false, false) => None,
            (true, false) => Some(Step::In),
            (false, true) => Some(Step::Out),
            (true, true) if self.fault_injector.coin() => Some(Step::In),
            (true, true) => Some(Step::Out),
        }
    }

    /// Takes one step; true when it was an event.
    fn take(&mut self, peer: u32, step: Step, on_event: &mut dyn FnMut(Event<'_>)) -> bool {
        let breaks = self.fault_injector.breaks();
        match step {
            Step::In | Step::Out if breaks && self.conns[peer as usize].id.is_some() => {
                self.conns[peer as usize].state = PeerState::Reset;
                self.end(peer, DisconnectReason::Reset);
                false
            }
            Step::In => self.take_in(peer, on_event),
            Step::Out => self.take_out(peer, on_event),
            Step::Gone(reason) => {
                let id = self.move_out(peer);
                on_event(Event::Gone(id, reason));
                true
            }
        }
    }

    fn take_in(&mut self, peer: u32, on_event: &mut dyn FnMut(Event<'_>)) -> bool {
        let conn = &mut self.conns[peer as usize];
        let (due, what) = conn.incoming.pop_front().expect("a step in has something to take");
        let known = |conn: &SimulatedConnection| {
            conn.id.expect("a peer connects before it does anything else")
        };
        match what {
            PeerAction::Connect => {
                let id = self.move_in(peer);
                on_event(Event::Accepted(id));
            }
            PeerAction::Bytes(mut bytes) => {
                let id = known(conn);
                conn.heard_at = Some(due);
                let len = self.fault_injector.received_of(bytes.len());
                let mut received: Vec<u8> = bytes.drain(..len).collect();
                if !bytes.is_empty() {
                    let rest = (due, PeerAction::Bytes(bytes));
                    self.conns[peer as usize].incoming.push_front(rest);
                }
                on_event(Event::Received(id, &mut received));
            }
            PeerAction::HalfClose => on_event(Event::Ended(known(conn))),
            PeerAction::Reset => {
                self.end(peer, DisconnectReason::Reset);
                return false;
            }
        }
        true
    }

    fn take_out(&mut self, peer: u32, on_event: &mut dyn FnMut(Event<'_>)) -> bool {
        let again = self.fault_injector.after(self.now.tick);
        let conn = &self.conns[peer as usize];
        let (_, bytes) = conn.outgoing.as_ref().expect("a step out has something to send");
        let room = self.fault_injector.room(conn.inbox.len());
        let len = match bytes.len().min(room) {
            0 => 0,
            most => self.fault_injector.part_of(most),
        };
        let conn = &mut self.conns[peer as usize];
        let (due, bytes) = conn.outgoing.as_mut().expect("looked at above");
        conn.inbox.extend_from_slice(&bytes.split_to(len));
        *due = again;
        if !bytes.is_empty() {
            return false;
        }
        conn.outgoing = None;
        on_event(Event::Sent(conn.id.expect("only a known connection sends")));
        true
    }

    fn rests(&self) -> bool {
        self.now.tick < self.peers_from
    }

    /// From here on only the end is told.
    fn end(&mut self, peer: u32, reason: DisconnectReason) {
        let due = self.fault_injector.after(self.now.tick);
        let conn = &mut self.conns[peer as usize];
        if conn.reason.is_none() {
            conn.reason = Some((due, reason));
            conn.incoming.clear();
            conn.outgoing = None;
        }
    }

    fn move_in(&mut self, peer: u32) -> ConnId {
        let id = self.slots.move_in(peer);
        self.conns[peer as usize].id = Some(id);
        id
    }

    fn move_out(&mut self, peer: u32) -> ConnId {
        let conn = &mut self.conns[peer as usize];
        conn.reason = None;
        let id = conn.id.take().expect("the end is told once");
        self.slots.move_out(id);
        self.live.retain(|other| *other != peer);
        id
    }

    /// Which peer has `id`, unless the core was told the end or asked for it.
    fn tenant(&self, id: ConnId) -> Option<u32> {
        self.slots.tenant(id).filter(|peer| self.conns[*peer as usize].reason.is_none())
    }

    fn send(&mut self, id: ConnId, bytes: Bytes) {
        let due = self.fault_injector.after(self.now.tick);
        if let Some(peer) = self.tenant(id) {
            let outgoing = &mut self.conns[peer as usize].outgoing;
            assert!(outgoing.is_none(), "a connection has one send in flight");
            *outgoing = Some((due, bytes));
        }
    }

    fn close(&mut self, id: ConnId) {
        let Some(peer) = self.tenant(id) else { return };
        let conn = &mut self.conns[peer as usize];
        if let Some((_, mut bytes)) = conn.outgoing.take() {
            // Some of what was in flight arrives, as far as the peer has room.
            let room = self.fault_injector.room(conn.inbox.len());
            let len = self.fault_injector.rest_of(bytes.len().min(room));
            conn.inbox.extend_from_slice(&bytes.split_to(len));
        }
        if conn.state == PeerState::Open {
            conn.state = PeerState::Closed;
        }
        self.end(peer, DisconnectReason::Closed);
    }

    fn stop_accepting(&mut self) {
        self.accepting = false;
        let conns = &mut self.conns;
        self.live.retain(|peer| {
            let conn = &mut conns[*peer as usize];
            if conn.id.is_none() {
                conn.state = PeerState::Refused;
                conn.incoming.clear();
            }
            conn.id.is_some()
        });
    }
}

impl Io for SimulatedIo {
    fn now(&self) -> Timestamps {
        self.now
    }

    fn reap(&mut self, max: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize {
        let mut candidates = self.live.clone();
        let (mut events, mut peers) = (0, 0);
        while events < max && !candidates.is_empty() {
            let place = self.fault_injector.chooses(candidates.len());
            let is_new = self.conns[candidates[place] as usize].id.is_none();
            let waits = is_new && (peers == self.peers_per_turn_max || self.rests());
            match self.step_of(candidates[place]) {
                Some(step) if !waits => {
                    let told = self.take(candidates[place], step, on_event);
                    events += usize::from(told);
                    peers += u16::from(is_new);
                }
                Some(_) | None => drop(candidates.swap_remove(place)),
            }
        }
        self.is_drained = events < max;
        events
    }

    fn is_drained(&self) -> bool {
        self.is_drained
    }

    fn tcp_liveness(&mut self, id: ConnId) -> TcpLiveness {
        let Some(peer) = self.tenant(id) else { return TcpLiveness::default() };
        let conn = &self.conns[peer as usize];
        let arrived = |(due, what): &(MonotonicMs, PeerAction)| {
            *due <= self.now.tick && matches!(what, PeerAction::Bytes(_))
        };
        TcpLiveness {
            has_unread: conn.incoming.iter().any(arrived),
            heard_ms_ago: conn.heard_at.map(|at| self.now.tick.ms_since(at) as u32),
            // A host acknowledges what it has room for.
            acknowledged_ms_ago: (0 < self.fault_injector.room(conn.inbox.len())).then_some(0),
        }
    }

    /// Each peer has one of its own.
    fn address(&mut self, id: ConnId) -> Option<IpAddr> {
        self.tenant(id).map(|peer| Ipv4Addr::from_bits(0x0a00_0000 + peer).into())
    }

    /// Cores of a scripted world take their turns anyway.
    fn wake(&mut self, _neighbour: ShardId) {}

    fn submit(&mut self, work: &mut Vec<Action>) {
        for action in work.drain(..) {
            match action {
                Action::Send(id, bytes) => self.send(id, bytes),
                Action::Close(id) => self.close(id),
                Action::PaceAccepting { peers_per_turn_max, from } => {
                    (self.peers_per_turn_max, self.peers_from) = (peers_per_turn_max, from);
                }
                Action::StopAccepting => self.stop_accepting(),
            }
        }
    }
}
