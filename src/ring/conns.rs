//! The connections of one core as `KernelIo` sees them, by slot: the socket, the
//! requests under way, and the phase that it is in.
//!
//! Invariant: a slot is free only when the kernel has answered all requests of its connection.
//!
//! Deliberately absent: system calls, and the memory of requests (`uring`).

use std::os::fd::RawFd;

use crate::base::{ConnId, DisconnectReason, Slots};

use super::user_data::GENERATION_BITS;

/// Marks the end of the list of free slots, and a connection without a send.
pub(super) const NONE: u32 = u32::MAX;

/// The state of a connection: 16 bytes when it is idle.
#[derive(Debug)]
pub(super) struct ConnSlot {
    /// The socket; -1 once it is closed.
    pub fd: RawFd,
    /// Counts the connections of the slot, modulo 2^24.
    pub generation: u32,
    /// The key of the bytes or the address of the request in flight; in a free slot the next free
    /// one.
    pub in_flight: u32,
    /// Requests without their final answer.
    pub under_way: PendingOps,
    /// The phase that the connection is in.
    pub phase: ConnPhase,
    /// Whether the slot is in the queue for receive buffers; it outlives the connection.
    pub place: QueuePosition,
    /// Buffers that it has got in its turn; 0 outside of its turn.
    pub served: u8,
}

const _: () = assert!(size_of::<Option<ConnSlot>>() == 16);

/// The phases of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnPhase {
    /// The slot has no connection.
    Free,
    /// An outgoing connection that is not answered yet.
    Connecting,
    /// Both directions are open.
    Open,
    /// The peer sends no more.
    Ended,
    /// It is being closed; requests in flight are answered first.
    Leaving(DisconnectReason),
}

/// The state of a slot in the queue for receive buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum QueuePosition {
    /// It is not in the queue.
    #[default]
    Outside,
    /// It is in the queue for its current connection.
    InLine,
    /// It is in the queue for a connection that is gone.
    Stale,
}

/// The set of requests that a connection has in flight, each at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PendingOps(u8);

impl PendingOps {
    pub const RECEIVE: PendingOps = PendingOps(1);
    pub const SEND: PendingOps = PendingOps(2);
    pub const CONNECT: PendingOps = PendingOps(4);

    /// Adds `request`, which must not be in the set.
    pub fn begin(&mut self, request: PendingOps) {
        assert!(self.0 & request.0 == 0, "a connection has one request of a kind at a time");
        self.0 |= request.0;
    }

    /// Removes `request`, which must be in the set.
    pub fn end(&mut self, request: PendingOps) {
        assert!(self.0 & request.0 != 0, "a request is answered finally once");
        self.0 &= !request.0;
    }

    pub fn has(self, request: PendingOps) -> bool {
        self.0 & request.0 != 0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The connections of one core. A slot that was freed last is used first.
#[derive(Debug)]
pub(super) struct ConnTable {
    slots: Slots<ConnSlot>,
    free: u32,
    live: u32,
    max: u32,
}

impl ConnTable {
    pub fn new(max: u32) -> ConnTable {
        assert!(max < NONE, "the last index marks the end of the free list");
        ConnTable { slots: Slots::default(), free: NONE, live: 0, max }
    }

    pub fn len(&self) -> u32 {
        self.live
    }

    pub fn is_full(&self) -> bool {
        self.live == self.max
    }

    /// Number of free slots.
    pub fn room(&self) -> u32 {
        self.max - self.live
    }

    /// Adds a connection. There must be room.
    pub fn insert(&mut self, fd: RawFd, phase: ConnPhase) -> ConnId {
        assert!(!self.is_full());
        self.live += 1;
        let under_way = PendingOps::default();
        if self.free == NONE {
            let slot = self.slots.len() as u32;
            let place = QueuePosition::Outside;
            let conn =
                ConnSlot { fd, generation: 0, in_flight: NONE, under_way, phase, place, served: 0 };
            self.slots.insert(slot, conn);
            return ConnId { slot, generation: 0 };
        }
        let slot = self.free;
        let conn = self.slots.at_mut(slot).expect("slots are never removed");
        assert_eq!(conn.phase, ConnPhase::Free);
        self.free = conn.in_flight;
        let (generation, place) = (conn.generation, conn.place);
        *conn = ConnSlot { fd, generation, in_flight: NONE, under_way, phase, place, served: 0 };
        ConnId { slot, generation }
    }

    /// Frees the slot; ids of this connection are stale from here on.
    pub fn remove(&mut self, id: ConnId) {
        let free = self.free;
        let conn = self.at_mut(id).expect("a connection is removed once");
        assert!(conn.under_way.is_empty() && conn.fd < 0);
        conn.generation = (conn.generation + 1) % (1 << GENERATION_BITS);
        conn.phase = ConnPhase::Free;
        if conn.place == QueuePosition::InLine {
            conn.place = QueuePosition::Stale;
        }
        conn.in_flight = free;
        self.free = id.slot;
        self.live -= 1;
    }

    /// The connection, unless it is gone.
    pub fn at_mut(&mut self, id: ConnId) -> Option<&mut ConnSlot> {
        let conn = self.slots.at_mut(id.slot)?;
        (conn.generation == id.generation && conn.phase != ConnPhase::Free).then_some(conn)
    }

    /// A slot that was used before, with the id of its connection, or of the next one.
    pub fn slot_mut(&mut self, slot: u32) -> Option<(ConnId, &mut ConnSlot)> {
        let conn = self.slots.at_mut(slot)?;
        Some((ConnId { slot, generation: conn.generation }, conn))
    }

    /// All connections that are not gone.
    pub fn live(&self) -> impl Iterator<Item = (ConnId, &ConnSlot)> {
        let live = self.slots.iter().filter(|(_, conn)| conn.phase != ConnPhase::Free);
        live.map(|(slot, conn)| (ConnId { slot, generation: conn.generation }, conn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leave(conns: &mut ConnTable, id: ConnId) {
        conns.at_mut(id).unwrap().fd = -1;
        conns.remove(id);
    }

    #[test]
    fn a_slot_is_used_again_under_another_generation() {
        let mut conns = ConnTable::new(2);
        let first = conns.insert(10, ConnPhase::Open);
        let second = conns.insert(11, ConnPhase::Open);
        assert!(conns.is_full());
        leave(&mut conns, first);
        let third = conns.insert(12, ConnPhase::Open);
        assert_eq!((third.slot, third.generation), (first.slot, first.generation + 1));
        assert!(conns.at_mut(first).is_none());
        assert_eq!(conns.at_mut(second).unwrap().fd, 11);
        assert_eq!(conns.at_mut(third).unwrap().fd, 12);
    }

    #[test]
    fn generations_start_again_after_the_last() {
        let mut conns = ConnTable::new(1);
        let id = conns.insert(5, ConnPhase::Open);
        let last = ConnId { generation: (1 << GENERATION_BITS) - 1, ..id };
        conns.at_mut(id).unwrap().generation = last.generation;
        leave(&mut conns, last);
        assert_eq!(conns.insert(6, ConnPhase::Open), id);
    }
}
