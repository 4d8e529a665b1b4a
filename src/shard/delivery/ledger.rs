//! What becomes of publications that were given out: delivered or lost, and when the last send
//! of what a channel said is over.
//!
//! Deliberately absent: outboxes, and what is measured of a round.

use std::rc::Rc;

use smallvec::SmallVec;

use super::{Cargo, FanoutBatch, InFlightBatches, Left, RoundId, SendResult};
use crate::base::{MonotonicUs, RoomId};
use crate::metrics::{ChatType, Counter, DeliveryOutcome, MetricsWriter, Tenant};
use crate::room::MessageTiming;
use crate::shard::observe::Observing;

/// The account of sends.
pub struct SendLedger {
    /// What was said and has not left wholly.
    rounds: InFlightBatches,
    /// Kept between losses for its capacity only.
    released: Left,
    scribe: Rc<MetricsWriter>,
}

impl SendLedger {
    /// Nothing was given out.
    pub fn new(scribe: Rc<MetricsWriter>) -> SendLedger {
        SendLedger { rounds: InFlightBatches::default(), released: Left::default(), scribe }
    }

    /// What a channel says begins to be given out.
    pub fn begin(
        &mut self,
        now: MonotonicUs,
        room: RoomId,
        tenant: Option<Tenant>,
        ways: SmallVec<[MessageTiming; 1]>,
    ) -> RoundId {
        self.rounds.begin(now, room, tenant, ways)
    }

    /// It was given for so many sends, and so many have no place.
    pub fn given(&mut self, id: RoundId, sends: u32, refused: u32, seen: &mut Observing<'_>) {
        let over = self.rounds.given(id, sends, refused);
        if let Some(round) = over.as_ref().or_else(|| self.rounds.at(id)) {
            seen.on_given(round, sends);
        }
        if let Some(round) = over {
            seen.on_batch(&round);
        }
    }

    /// A send with this in it has left. Returns the round with its last one.
    #[inline]
    #[must_use]
    pub fn on_sent(&mut self, cargo: Cargo, round: RoundId) -> Option<FanoutBatch> {
        if cargo != Cargo::NONE {
            for (chat_type, count) in ChatType::ALL.iter().zip(cargo.counts()) {
                let delivered = Counter::Delivered(*chat_type, DeliveryOutcome::Delivered);
                self.scribe.add(delivered, u64::from(count));
            }
        }
        self.rounds.over(round, SendResult::Sent)
    }

    /// A send of a round is over.
    pub fn end(&mut self, round: RoundId, fate: SendResult, seen: &mut Observing<'_>) {
        if let Some(round) = self.rounds.over(round, fate) {
            seen.on_batch(&round);
        }
    }

    /// Where outboxes put what leaves them without a send of its own, until it is settled.
    pub fn released(&mut self) -> &mut Left {
        &mut self.released
    }

    /// Counts what is lost, and tells rounds of sends that are over.
    pub fn settle(&mut self, fate: SendResult, seen: &mut Observing<'_>) {
        let SendLedger { rounds, released, scribe } = self;
        for (chat_type, lost) in ChatType::ALL.iter().zip(released.take_lost()) {
            scribe.add(Counter::Delivered(*chat_type, DeliveryOutcome::Failed), lost);
        }
        for round in released.take_rounds() {
            if let Some(round) = rounds.over(round, fate) {
                seen.on_batch(&round);
            }
        }
    }

    /// What channels said and has not left wholly, as far as it is followed.
    pub fn rounds_count(&self) -> usize {
        self.rounds.len()
    }

    /// Gives back what a turn with very much to do has left.
    pub fn trim(&mut self) {
        self.released.trim();
    }
}
