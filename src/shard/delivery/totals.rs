//! What is in all outboxes of a shard together, kept up with each change of one of them.
//!
//! Deliberately absent: whose outboxes they are.

use super::Outbox;

/// What is in all outboxes of a shard: bytes that wait, and publications that wait or
/// are in flight.
///
/// Invariant: every change of an outbox goes through `keep`, but for sends that are
/// given at once, which `launch` counts.
#[derive(Debug)]
pub struct OutboxTotals {
    bytes: u64,
    publications_count: u64,
    /// An outbox with more than this is a slow reader's.
    slow_bytes_min: u64,
    slow_count: u64,
}

impl OutboxTotals {
    /// Nothing waits; so much may, for one connection.
    pub fn new(outbox_bytes_max: u32) -> OutboxTotals {
        let slow_bytes_min = u64::from(outbox_bytes_max / 2);
        OutboxTotals { bytes: 0, publications_count: 0, slow_bytes_min, slow_count: 0 }
    }

    /// How many bytes wait.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many publications have not left.
    pub fn publications_count(&self) -> u64 {
        self.publications_count
    }

    /// For how many connections more than half of what may wait does.
    pub fn slow_count(&self) -> u64 {
        self.slow_count
    }

    /// Changes one outbox, and the level with it.
    pub fn keep<T>(&mut self, outbox: &mut Outbox, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let (bytes, publications) = (outbox.waiting_bytes() as u64, outbox.publications_count());
        let changed = change(outbox);
        let after = outbox.waiting_bytes() as u64;
        self.bytes = self.bytes - bytes + after;
        let is_slow = |bytes: u64| u64::from(self.slow_bytes_min < bytes);
        self.slow_count = self.slow_count - is_slow(bytes) + is_slow(after);
        let left = self.publications_count - publications;
        self.publications_count = left + outbox.publications_count();
        changed
    }

    /// So many publications were given at once.
    pub fn launch(&mut self, count: u64) {
        self.publications_count += count;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::shard::delivery::{Lane, Left, Limits, Push};

    #[test]
    fn a_reader_is_slow_when_more_than_half_of_what_may_wait_does() {
        let mut level = OutboxTotals::new(100);
        let limits = Limits { data_bytes_max: 100, control_bytes_max: 100 };
        let mut outboxes = [Outbox::default(), Outbox::default()];
        let mut push = |level: &mut OutboxTotals, index: usize, bytes: usize| {
            let frame = Bytes::from(vec![0; bytes]);
            let push = |outbox: &mut Outbox| outbox.push(Lane::Data, frame, limits);
            assert_eq!(level.keep(&mut outboxes[index], push), Push::Queued);
        };
        let mut left = Left::default();
        push(&mut level, 0, 50);
        push(&mut level, 1, 60);
        assert_eq!((level.bytes(), level.slow_count()), (110, 1));
        push(&mut level, 0, 1);
        assert_eq!((level.bytes(), level.slow_count()), (111, 2));
        level.keep(&mut outboxes[1], |outbox| outbox.clear(&mut left));
        assert_eq!((level.bytes(), level.slow_count()), (51, 1));
        level.keep(&mut outboxes[0], |outbox| outbox.next_send(&mut left));
        assert_eq!((level.bytes(), level.slow_count()), (0, 0));
    }
}
