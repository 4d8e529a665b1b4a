//! The peers of the simulated network: what a test makes them do, and what they see.
//!
//! Deliberately absent: when the core learns of it; the faults say that.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::base::{ConnId, DisconnectReason, MonotonicMs};

use super::SimulatedIo;

/// A peer that a test controls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimulatedPeer(u32);

/// The view of a peer of its connection.
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

/// The state of both ends of one connection.
#[derive(Debug)]
pub(super) struct SimulatedConnection {
    pub state: PeerState,
    /// Set while the core knows the connection.
    pub id: Option<ConnId>,
    pub half_closed: bool,
    pub incoming: VecDeque<(MonotonicMs, PeerAction)>,
    pub outgoing: Option<(MonotonicMs, Bytes)>,
    /// Bytes that the peer has received and not read.
    pub inbox: Vec<u8>,
    pub reason: Option<(MonotonicMs, DisconnectReason)>,
    /// The arrival of the last bytes that the core has seen.
    pub heard_at: Option<MonotonicMs>,
}

/// What a peer does.
#[derive(Debug)]
pub(super) enum PeerAction {
    Connect,
    Bytes(VecDeque<u8>),
    HalfClose,
    Reset,
}

impl SimulatedConnection {
    /// When something of the peer, or the end, can be told.
    pub fn due(&self) -> Option<MonotonicMs> {
        match self.reason {
            Some((due, _)) => Some(due),
            None => self.incoming.front().map(|(due, _)| *due),
        }
    }
}

impl SimulatedIo {
    /// A peer connects.
    pub fn peer_connect(&mut self) -> SimulatedPeer {
        let peer = self.conns.len() as u32;
        self.conns.push(SimulatedConnection {
            state: if self.accepting { PeerState::Open } else { PeerState::Refused },
            id: None,
            half_closed: false,
            incoming: VecDeque::new(),
            outgoing: None,
            inbox: Vec::new(),
            reason: None,
            heard_at: None,
        });
        if self.accepting {
            self.live.push(peer);
            self.arrive(peer, PeerAction::Connect);
        }
        SimulatedPeer(peer)
    }

    /// A peer sends. On a connection that is over, nothing happens.
    pub fn peer_send(&mut self, peer: SimulatedPeer, bytes: &[u8]) {
        let conn = &self.conns[peer.0 as usize];
        assert!(!conn.half_closed, "a peer that ended its direction sends no more");
        if conn.state == PeerState::Open && !bytes.is_empty() {
            self.arrive(peer.0, PeerAction::Bytes(bytes.iter().copied().collect()));
        }
    }

    /// A peer reads all that has reached it.
    pub fn peer_read(&mut self, peer: SimulatedPeer) -> Vec<u8> {
        std::mem::take(&mut self.conns[peer.0 as usize].inbox)
    }

    /// A peer closes its sending direction, and still reads.
    pub fn peer_half_close(&mut self, peer: SimulatedPeer) {
        let conn = &mut self.conns[peer.0 as usize];
        if conn.state == PeerState::Open && !conn.half_closed {
            conn.half_closed = true;
            self.arrive(peer.0, PeerAction::HalfClose);
        }
    }

    /// A peer resets its connection. Bytes that it sent before may be lost.
    pub fn peer_reset(&mut self, peer: SimulatedPeer) {
        let lost = self.fault_injector.coin();
        let conn = &mut self.conns[peer.0 as usize];
        if conn.state != PeerState::Open {
            return;
        }
        conn.state = PeerState::Reset;
        if lost {
            conn.incoming.retain(|(_, what)| matches!(what, PeerAction::Connect));
        }
        self.arrive(peer.0, PeerAction::Reset);
    }

    /// What the peer knows of its connection.
    pub fn peer_state(&self, peer: SimulatedPeer) -> PeerState {
        self.conns[peer.0 as usize].state
    }

    /// The id of the peer's connection, while the core has one.
    pub fn conn_of(&self, peer: SimulatedPeer) -> Option<ConnId> {
        self.conns[peer.0 as usize].id
    }

    fn arrive(&mut self, peer: u32, what: PeerAction) {
        let due = self.fault_injector.after(self.now.tick);
        let incoming = &mut self.conns[peer as usize].incoming;
        // Never before earlier actions of the same peer.
        let due = incoming.back().map_or(due, |(before, _)| due.max(*before));
        incoming.push_back((due, what));
    }
}
