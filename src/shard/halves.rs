//! Messages of which a part has come: how much all of a shard keep together.
//!
//! Each connection may keep one message, and a peer that sends the half of one and rests
//! makes the server keep it for as long as it is pinged in vain. So all together have a
//! bound, too. At it, whoever keeps most goes: that is whoever has most to do with it.
//!
//! Invariants: `bytes` is the sum over `kept`, and `by_size` has the same entries.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::ConnId;
use crate::base::limits::HALF_MESSAGES_BYTES_MAX;

/// Connections that keep a part of a message.
#[derive(Debug, Default)]
pub struct Halves {
    kept: BTreeMap<ConnId, usize>,
    by_size: BTreeSet<(usize, ConnId)>,
    bytes: usize,
}

impl Halves {
    /// A connection keeps so much now.
    pub fn keep(&mut self, id: ConnId, bytes: usize) {
        let before = match bytes {
            0 => self.kept.remove(&id),
            1.. => self.kept.insert(id, bytes),
        };
        if let Some(before) = before {
            self.by_size.remove(&(before, id));
            self.bytes -= before;
        }
        if bytes != 0 {
            self.by_size.insert((bytes, id));
            self.bytes += bytes;
        }
    }

    /// Who has to go, if all keep too much together.
    pub fn victim(&self) -> Option<ConnId> {
        let is_over = HALF_MESSAGES_BYTES_MAX < self.bytes;
        self.by_size.last().filter(|_| is_over).map(|&(_, id)| id)
    }

    /// What all keep.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(slot: u32) -> ConnId {
        ConnId { slot, generation: 0 }
    }

    #[test]
    fn who_keeps_most_goes_when_all_keep_too_much() {
        let mut halves = Halves::default();
        let each = HALF_MESSAGES_BYTES_MAX / 100;
        (0..100).for_each(|slot| halves.keep(id(slot), each));
        assert_eq!(halves.victim(), None);
        halves.keep(id(7), each + 1_000);
        assert_eq!(halves.victim(), Some(id(7)));
        halves.keep(id(7), 0);
        assert_eq!((halves.victim(), halves.bytes()), (None, 99 * each));
        (0..100).for_each(|slot| halves.keep(id(slot), 0));
        assert!(halves.bytes() == 0 && halves.kept.is_empty() && halves.by_size.is_empty());
    }
}
