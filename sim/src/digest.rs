//! A number for all that happened in a world: what came to its cores and left them, and
//! what its store wrote.
//!
//! Two builds of which nothing but the shape of the code differs have equal digests for
//! equal seeds. So a digest is made of bytes, numbers and times only, never of names that
//! the code gives them.
//!
//! Deliberately absent: whether what happened is right; checkers say that.

use rookery::base::{Action, ConnId, DisconnectReason, Event, MonotonicMs};
use rookery::store::{Batch, StoreKeyspace};
use xxhash_rust::xxh3::Xxh3;

/// What happened so far, in its order.
#[derive(Clone, Default)]
pub struct Digest(Xxh3);

impl Digest {
    /// A core takes a turn.
    pub fn turn(&mut self, now: MonotonicMs, core: usize) {
        self.numbers([0, now.0, core as u64]);
    }

    /// Something came to a core.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Accepted(id) => self.of_connection(1, *id),
            Event::Connected(id) => self.of_connection(2, *id),
            Event::Received(id, bytes) => {
                self.of_connection(3, *id);
                self.bytes(bytes);
            }
            Event::Sent(id) => self.of_connection(4, *id),
            Event::Ended(id) => self.of_connection(5, *id),
            Event::Gone(id, reason) => {
                self.of_connection(6, *id);
                self.numbers([match reason {
                    DisconnectReason::Closed => 0,
                    DisconnectReason::Reset => 1,
                    DisconnectReason::TimedOut => 2,
                    DisconnectReason::Unreachable => 3,
                }]);
            }
        }
    }

    /// A core does something.
    pub fn action(&mut self, action: &Action) {
        match action {
            Action::Send(id, bytes) => {
                self.of_connection(7, *id);
                self.bytes(bytes);
            }
            Action::Close(id) => self.of_connection(8, *id),
            Action::PaceAccepting { peers_per_turn_max, from } => {
                self.numbers([9, u64::from(*peers_per_turn_max), from.0]);
            }
            Action::StopAccepting => self.numbers([10]),
        }
    }

    /// A core took so many messages of other cores.
    pub fn messages(&mut self, messages_count: usize) {
        self.numbers([11, messages_count as u64]);
    }

    /// A core took so many answers of the store.
    pub fn replies(&mut self, replies_count: usize) {
        self.numbers([14, replies_count as u64]);
    }

    /// The store wrote this.
    pub fn commit(&mut self, batch: &Batch) {
        self.numbers([12]);
        for (space, key, value) in batch.iter() {
            let place = StoreKeyspace::ALL.iter().position(|one| *one == space);
            self.numbers([place.expect("the list has all of them") as u64]);
            self.bytes(key);
            self.numbers([u64::from(value.is_some())]);
            self.bytes(value.unwrap_or_default());
        }
    }

    /// Another digest joins this one.
    pub fn join(&mut self, other: u64) {
        self.numbers([13, other]);
    }

    /// The number.
    pub fn value(&self) -> u64 {
        self.0.digest()
    }

    fn of_connection(&mut self, kind: u64, id: ConnId) {
        self.numbers([kind, u64::from(id.slot), u64::from(id.generation)]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.numbers([bytes.len() as u64]);
        self.0.update(bytes);
    }

    fn numbers<const N: usize>(&mut self, numbers: [u64; N]) {
        for number in numbers {
            self.0.update(&number.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const ID: ConnId = ConnId { slot: 1, generation: 2 };

    #[test]
    fn another_byte_place_or_order_is_another_digest() {
        let of = |actions: &[(&'static str, u32)]| {
            let mut digest = Digest::default();
            for (bytes, slot) in actions {
                let id = ConnId { slot: *slot, ..ID };
                digest.action(&Action::Send(id, Bytes::from_static(bytes.as_bytes())));
            }
            digest.value()
        };
        assert_eq!(of(&[("ab", 1), ("c", 2)]), of(&[("ab", 1), ("c", 2)]));
        for other in [
            &[("ab", 1), ("d", 2)][..],
            &[("ab", 1), ("c", 3)],
            &[("c", 2), ("ab", 1)],
            &[("a", 1), ("bc", 2)],
            &[("ab", 1)],
        ] {
            assert_ne!(of(&[("ab", 1), ("c", 2)]), of(other), "{other:?}");
        }
    }

    #[test]
    fn what_the_store_removes_is_not_what_it_empties() {
        let of = |change: &dyn Fn(&mut Batch)| {
            let (mut digest, mut batch) = (Digest::default(), Batch::default());
            change(&mut batch);
            digest.commit(&batch);
            digest.value()
        };
        let space = StoreKeyspace::ALL[0];
        assert_ne!(
            of(&|batch| batch.put(space, b"key", Vec::new())),
            of(&|batch| batch.remove(space, b"key"))
        );
    }
}
