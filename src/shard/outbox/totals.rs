//! Totals over all outboxes of a shard, updated with each change of one of them.
//!
//! Deliberately absent: the connections that the outboxes belong to.

use super::{Outbox, PublicationCounts};

/// Totals over all outboxes of a shard: bytes that wait, and publications that wait or are
/// in flight.
///
/// Invariant: every change of an outbox goes through `update` or `on_sent`, except direct
/// sends, which `add_in_flight` counts.
#[derive(Debug)]
pub struct OutboxTotals {
    bytes: u64,
    publications_count: u64,
    /// An outbox with more than this belongs to a slow reader.
    slow_bytes_min: u64,
    slow_count: u64,
}

impl OutboxTotals {
    /// Nothing waits; one connection may have this much waiting.
    pub fn new(outbox_bytes_max: u32) -> OutboxTotals {
        let slow_bytes_min = u64::from(outbox_bytes_max / 2);
        OutboxTotals { bytes: 0, publications_count: 0, slow_bytes_min, slow_count: 0 }
    }

    /// Waiting bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Publications that have not left.
    pub fn publications_count(&self) -> u64 {
        self.publications_count
    }

    /// Connections whose outbox is more than half full.
    pub fn slow_count(&self) -> u64 {
        self.slow_count
    }

    /// Changes one outbox, and the totals with it.
    pub fn update<T>(&mut self, outbox: &mut Outbox, change: impl FnOnce(&mut Outbox) -> T) -> T {
        let (bytes, publications) = (outbox.waiting_bytes() as u64, outbox.publications_count());
        let changed = change(outbox);
        let after = outbox.waiting_bytes() as u64;
        let others = self.bytes.checked_sub(bytes).expect("what waits in one waits in all");
        self.bytes = others + after;
        let is_slow = |bytes: u64| u64::from(self.slow_bytes_min < bytes);
        self.slow_count = self.slow_count - is_slow(bytes) + is_slow(after);
        let others = self.publications_count.checked_sub(publications);
        let others = others.expect("what one has to send is part of what all have");
        self.publications_count = others + outbox.publications_count();
        changed
    }

    /// The send in flight of an outbox has left; what waits there stays. Nearly every delivery
    /// ends here, so nothing else is looked at.
    pub fn on_sent(&mut self, outbox: &mut Outbox) -> PublicationCounts {
        let sent = outbox.sent();
        let others = self.publications_count.checked_sub(sent.total());
        self.publications_count = others.expect("what leaves one is part of what all have");
        sent
    }

    /// Counts publications that were sent directly.
    pub fn add_in_flight(&mut self, count: u64) {
        self.publications_count += count;
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::metrics::ChatType;
    use crate::shard::batches::BatchId;
    use crate::shard::outbox::{FanoutFrame, OutboxLane, OutboxLimits, PushResult, Released};

    #[test]
    fn a_reader_is_slow_when_more_than_half_of_what_may_wait_does() {
        let mut level = OutboxTotals::new(100);
        let limits = OutboxLimits { data_bytes_max: 100, control_bytes_max: 100 };
        let mut outboxes = [Outbox::default(), Outbox::default()];
        let mut push = |level: &mut OutboxTotals, index: usize, bytes: usize| {
            let frame = Bytes::from(vec![0; bytes]);
            let push = |outbox: &mut Outbox| outbox.push(OutboxLane::Data, frame, limits);
            assert_eq!(level.update(&mut outboxes[index], push), PushResult::Queued);
        };
        let mut released = Released::default();
        push(&mut level, 0, 50);
        push(&mut level, 1, 60);
        assert_eq!((level.bytes(), level.slow_count()), (110, 1));
        push(&mut level, 0, 1);
        assert_eq!((level.bytes(), level.slow_count()), (111, 2));
        level.update(&mut outboxes[1], |outbox| outbox.clear(&mut released));
        assert_eq!((level.bytes(), level.slow_count()), (51, 1));
        level.update(&mut outboxes[0], |outbox| outbox.next_send(&mut released));
        assert_eq!((level.bytes(), level.slow_count()), (0, 0));
    }

    #[test]
    fn what_leaves_takes_its_own_publications_along() {
        let mut totals = OutboxTotals::new(100);
        let limits = OutboxLimits { data_bytes_max: 200, control_bytes_max: 100 };
        let (mut outbox, mut released) = (Outbox::default(), Released::default());
        let push = |totals: &mut OutboxTotals, outbox: &mut Outbox, count: u64| {
            let publications = PublicationCounts::of(ChatType::Group, count);
            let frame = Bytes::from_static(&[0; 60]);
            let one = FanoutFrame { frame, publications, batch: BatchId::NONE };
            assert_eq!(totals.update(outbox, |o| o.push_fanout(one, limits)), PushResult::Queued);
        };
        push(&mut totals, &mut outbox, 3);
        totals.update(&mut outbox, |outbox| outbox.next_send(&mut released));
        push(&mut totals, &mut outbox, 4);
        assert_eq!((totals.publications_count(), totals.bytes(), totals.slow_count()), (7, 60, 1));
        assert_eq!(totals.on_sent(&mut outbox).total(), 3);
        assert_eq!((totals.publications_count(), totals.bytes(), totals.slow_count()), (4, 60, 1));
    }
}
