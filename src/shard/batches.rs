//! Fan-out batches: tracking of the sends of one channel in one turn, until the last has left.
//!
//! A batch is everything that one channel sends in one turn to the subscribers of this
//! shard. A send in flight names one batch, in two bytes of its connection; a batch counts
//! its sends. So a delivery costs one addition at each end, and all other work is done
//! once a batch.
//!
//! Invariants: a batch that was begun ends once, when all of its sends are over; the table
//! has a limit, beyond which batches are not tracked.
//!
//! Deliberately absent: the measurements of a batch that is over, and outboxes.

use smallvec::SmallVec;

use crate::base::limits::BATCHES_MAX;
use crate::base::{MonotonicUs, RoomId, Slab};
use crate::metrics::Tenant;
use crate::room::MessageTiming;

/// Names a fan-out batch of the shard that is tracked until its last send has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchId(pub u16);

impl BatchId {
    /// No batch: the frame is not tracked.
    pub const NONE: BatchId = BatchId(u16::MAX);
}

/// The messages of one channel in one turn.
#[derive(Debug, PartialEq, Eq)]
pub struct FanoutBatch {
    /// The channel.
    pub room: RoomId,
    /// The timing of each message.
    pub timings: SmallVec<[MessageTiming; 1]>,
    /// The time at which its sends were submitted.
    pub given_at: MonotonicUs,
    /// Subscribers that it is for.
    pub recipients: u32,
    /// Subscribers that will not get it.
    pub failed: u32,
    /// The tenant that it is counted for.
    pub tenant: Option<Tenant>,
    outstanding: u32,
}

/// All batches of a shard that are not over.
#[derive(Debug, Default)]
pub struct InFlightBatches(Slab<FanoutBatch>);

/// How a send of a batch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// The kernel took all of it.
    Sent,
    /// It never will.
    Dropped,
}

impl InFlightBatches {
    /// Begins a batch, unless there are too many.
    pub fn begin(
        &mut self,
        now: MonotonicUs,
        room: RoomId,
        tenant: Option<Tenant>,
        timings: SmallVec<[MessageTiming; 1]>,
    ) -> BatchId {
        if BATCHES_MAX <= self.0.len() {
            return BatchId::NONE;
        }
        let (given_at, recipients, failed, outstanding) = (now, 0, 0, 1);
        let batch =
            FanoutBatch { room, timings, given_at, recipients, failed, tenant, outstanding };
        let slot = self.0.insert(batch);
        BatchId(u16::try_from(slot).expect("there are fewer"))
    }

    /// All sends of a batch were submitted: `sends`, and `failed` found their outbox full.
    /// Returns the batch if it is over already.
    pub fn given(&mut self, id: BatchId, sends: u32, failed: u32) -> Option<FanoutBatch> {
        let batch = self.0.at_mut(u32::from(id.0))?;
        batch.recipients = sends + failed;
        batch.failed = failed;
        batch.outstanding += sends;
        self.over(id, SendResult::Sent)
    }

    /// A send of a batch is over. Returns the batch with its last send.
    #[inline]
    pub fn over(&mut self, id: BatchId, result: SendResult) -> Option<FanoutBatch> {
        let batch = self.0.at_mut(u32::from(id.0))?;
        batch.failed += u32::from(result == SendResult::Dropped);
        batch.outstanding -= 1;
        if batch.outstanding != 0 { None } else { self.remove(id) }
    }

    /// Once a batch, apart from what happens for each of its sends: a call here leaves that short
    /// enough to be inlined.
    #[cold]
    fn remove(&mut self, id: BatchId) -> Option<FanoutBatch> {
        self.0.remove(u32::from(id.0))
    }

    /// A batch that is not over.
    pub fn at(&self, id: BatchId) -> Option<&FanoutBatch> {
        self.0.at(u32::from(id.0))
    }

    /// Batches that are not over.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Csprng, Timestamps, Trace};
    use crate::metrics::ChatType;

    fn timing(key: u64) -> MessageTiming {
        let trace = Trace::made(&mut Csprng::from_key(u128::from(key).to_le_bytes()));
        MessageTiming {
            key,
            ..MessageTiming::again(Timestamps::default(), trace, trace.span, ChatType::Group)
        }
    }

    #[test]
    fn a_batch_ends_with_its_last_send() {
        let mut batches = InFlightBatches::default();
        let id = batches.begin(MonotonicUs(5), RoomId(1), None, SmallVec::from_elem(timing(1), 1));
        assert_eq!(batches.given(id, 2, 1), None);
        assert_eq!(batches.over(id, SendResult::Sent), None);
        let batch = batches.over(id, SendResult::Dropped).unwrap();
        assert_eq!((batch.recipients, batch.failed, batch.given_at), (3, 2, MonotonicUs(5)));
        assert_eq!((batches.len(), batches.over(id, SendResult::Sent)), (0, None));
        let empty = batches.begin(MonotonicUs(6), RoomId(1), None, SmallVec::new());
        assert!(batches.given(empty, 0, 4).is_some_and(|batch| batch.failed == 4));
    }

    #[test]
    fn what_is_beyond_the_limit_is_not_followed() {
        let mut batches = InFlightBatches::default();
        let begin = |batches: &mut InFlightBatches| {
            batches.begin(MonotonicUs(5), RoomId(1), None, SmallVec::new())
        };
        let ids: Vec<BatchId> = (0..BATCHES_MAX).map(|_| begin(&mut batches)).collect();
        assert!(!ids.contains(&BatchId::NONE));
        assert_eq!(begin(&mut batches), BatchId::NONE);
        assert_eq!(batches.given(BatchId::NONE, 1, 0), None);
        assert_eq!(batches.over(BatchId::NONE, SendResult::Sent), None);
        assert!(ids.into_iter().all(|id| batches.given(id, 0, 0).is_some()));
        assert_ne!(begin(&mut batches), BatchId::NONE);
    }
}
