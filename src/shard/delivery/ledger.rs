//! Accounting of sends: publications that were delivered or dropped, and batches whose last
//! send is over.
//!
//! Deliberately absent: outboxes, and the measurements of a batch.

use std::rc::Rc;

use smallvec::SmallVec;

use crate::base::{MonotonicUs, RoomId};
use crate::metrics::{ChatType, Counter, DeliveryOutcome, MetricsWriter, Tenant};
use crate::room::MessageTiming;
use crate::shard::batches::{BatchId, FanoutBatch, InFlightBatches, SendResult};
use crate::shard::observe::Observing;
use crate::shard::outbox::{PublicationCounts, Released};

/// Accounts for all sends of a shard.
pub struct SendLedger {
    /// Batches in flight.
    batches: InFlightBatches,
    /// Kept between calls for its capacity only.
    released: Released,
    metrics: Rc<MetricsWriter>,
}

impl SendLedger {
    /// Nothing was sent yet.
    pub fn new(metrics: Rc<MetricsWriter>) -> SendLedger {
        SendLedger { batches: InFlightBatches::default(), released: Released::default(), metrics }
    }

    /// Begins the batch of a channel.
    pub fn begin(
        &mut self,
        now: MonotonicUs,
        room: RoomId,
        tenant: Option<Tenant>,
        timings: SmallVec<[MessageTiming; 1]>,
    ) -> BatchId {
        self.batches.begin(now, room, tenant, timings)
    }

    /// All sends of a batch were submitted; `refused` found their outbox full.
    pub fn given(&mut self, id: BatchId, sends: u32, refused: u32, observing: &mut Observing<'_>) {
        let over = self.batches.given(id, sends, refused);
        if let Some(batch) = over.as_ref().or_else(|| self.batches.at(id)) {
            observing.on_given(batch, sends);
        }
        if let Some(batch) = over {
            observing.on_batch(&batch);
        }
    }

    /// A send with these publications has left. Returns the batch with its last send.
    #[inline]
    #[must_use]
    pub fn on_sent(
        &mut self,
        publications: PublicationCounts,
        batch: BatchId,
    ) -> Option<FanoutBatch> {
        if publications != PublicationCounts::NONE {
            for (chat_type, count) in ChatType::ALL.iter().zip(publications.counts()) {
                let delivered = Counter::Delivered(*chat_type, DeliveryOutcome::Delivered);
                self.metrics.add(delivered, u64::from(count));
            }
        }
        self.batches.over(batch, SendResult::Sent)
    }

    /// A send of a batch is over.
    pub fn end(&mut self, batch: BatchId, result: SendResult, observing: &mut Observing<'_>) {
        if let Some(batch) = self.batches.over(batch, result) {
            observing.on_batch(&batch);
        }
    }

    /// Takes the frames that leave an outbox without a send of their own, until `settle`.
    pub fn released(&mut self) -> &mut Released {
        &mut self.released
    }

    /// Counts dropped publications, and ends the released sends of batches.
    pub fn settle(&mut self, result: SendResult, observing: &mut Observing<'_>) {
        let SendLedger { batches, released, metrics } = self;
        for (chat_type, lost) in ChatType::ALL.iter().zip(released.take_lost()) {
            metrics.add(Counter::Delivered(*chat_type, DeliveryOutcome::Failed), lost);
        }
        for batch in released.take_batches() {
            if let Some(batch) = batches.over(batch, result) {
                observing.on_batch(&batch);
            }
        }
    }

    /// Fan-out batches in flight, as far as they are tracked.
    pub fn batches_count(&self) -> usize {
        self.batches.len()
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        self.released.trim();
    }
}
