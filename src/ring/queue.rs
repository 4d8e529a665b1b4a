//! The queue of connections whose receive found no buffer.
//!
//! An entry takes four bytes, and there is none while buffers suffice. It names a slot and not a
//! connection: its state stays with the slot when the connection ends. So there is at most one
//! entry for a slot, however many connections come and go meanwhile, and a connection that has to
//! wait where an earlier one did takes over its entry.
//!
//! Invariant: a slot is in the queue exactly when its `place` is not `Outside`.
//!
//! Deliberately absent: the buffers.

use std::collections::VecDeque;

use crate::base::ConnId;

use super::conns::{ConnPhase, ConnTable, QueuePosition};

/// Entries that an empty queue keeps memory for.
const KEPT: usize = 1_024;

/// The queue.
#[derive(Debug, Default)]
pub(super) struct SlotList {
    slots: VecDeque<u32>,
}

impl SlotList {
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Adds a connection at the end.
    pub fn push(&mut self, conns: &mut ConnTable, id: ConnId) {
        let conn = conns.at_mut(id).expect("only a live connection waits");
        match conn.place {
            QueuePosition::Outside => self.slots.push_back(id.slot),
            QueuePosition::Stale => {}
            QueuePosition::InLine => panic!("a connection has one receive, and it waits once"),
        }
        conn.place = QueuePosition::InLine;
    }

    /// Takes the connection that has waited longest.
    pub fn pop(&mut self, conns: &mut ConnTable) -> Option<ConnId> {
        while let Some(slot) = self.slots.pop_front() {
            let (id, conn) = conns.slot_mut(slot).expect("slots are never removed");
            let place = std::mem::take(&mut conn.place);
            match (place, conn.phase) {
                (QueuePosition::InLine, ConnPhase::Open) => return Some(id),
                // The connection ends without receiving more.
                (QueuePosition::InLine, ConnPhase::Leaving(_)) | (QueuePosition::Stale, _) => {}
                (
                    QueuePosition::InLine,
                    ConnPhase::Free | ConnPhase::Connecting | ConnPhase::Ended,
                )
                | (QueuePosition::Outside, _) => {
                    unreachable!("{place:?} of a connection: {conn:?}")
                }
            }
        }
        if KEPT < self.slots.capacity() {
            self.slots = VecDeque::new();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{DisconnectReason, Prng};

    fn leave(conns: &mut ConnTable, id: ConnId) {
        conns.at_mut(id).unwrap().fd = -1;
        conns.remove(id);
    }

    #[test]
    fn the_oldest_comes_first_and_whoever_left_does_not_come() {
        let (mut conns, mut queue) = (ConnTable::new(4), SlotList::default());
        let ids: Vec<ConnId> = (0..4).map(|fd| conns.insert(fd, ConnPhase::Open)).collect();
        for id in [2, 0, 3, 1] {
            queue.push(&mut conns, ids[id]);
        }
        leave(&mut conns, ids[0]);
        conns.at_mut(ids[3]).unwrap().phase = ConnPhase::Leaving(DisconnectReason::Closed);
        assert_eq!(queue.pop(&mut conns), Some(ids[2]));
        assert_eq!(queue.pop(&mut conns), Some(ids[1]));
        assert_eq!(queue.pop(&mut conns), None);
    }

    #[test]
    fn a_successor_is_served_once_and_only_when_it_waits() {
        let (mut conns, mut queue) = (ConnTable::new(1), SlotList::default());
        let former = conns.insert(0, ConnPhase::Open);
        queue.push(&mut conns, former);
        leave(&mut conns, former);
        let silent = conns.insert(1, ConnPhase::Open);
        leave(&mut conns, silent);
        let next = conns.insert(2, ConnPhase::Open);
        queue.push(&mut conns, next);
        assert_eq!(queue.slots.len(), 1);
        assert_eq!(queue.pop(&mut conns), Some(next));
        queue.push(&mut conns, next);
        leave(&mut conns, next);
        conns.insert(3, ConnPhase::Open);
        assert_eq!(queue.pop(&mut conns), None);
    }

    /// Against a plain list of those who wait.
    #[test]
    fn nobody_is_lost_or_served_twice() {
        let mut prng = Prng::from_seed(7);
        let (mut conns, mut queue) = (ConnTable::new(40), SlotList::default());
        let (mut live, mut waits): (Vec<ConnId>, Vec<ConnId>) = (Vec::new(), Vec::new());
        for _ in 0..20_000 {
            let who = prng.below(live.len().max(1) as u64) as usize;
            match prng.below(4) {
                0 if !conns.is_full() => live.push(conns.insert(0, ConnPhase::Open)),
                1 if who < live.len() => {
                    let id = live.swap_remove(who);
                    waits.retain(|other| *other != id);
                    leave(&mut conns, id);
                }
                2 if who < live.len() && !waits.contains(&live[who]) => {
                    waits.push(live[who]);
                    queue.push(&mut conns, live[who]);
                }
                _ => match queue.pop(&mut conns) {
                    Some(id) => {
                        let place = waits.iter().position(|other| *other == id);
                        waits.remove(place.expect("only who waits is served"));
                    }
                    None => assert_eq!(waits, []),
                },
            }
            assert!(queue.slots.len() <= 40, "one entry for a slot");
        }
    }
}
