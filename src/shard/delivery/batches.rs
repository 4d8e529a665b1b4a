//! Which sends carry what a channel said in a turn: when the last of them has left.
//!
//! A round is what one channel said in one turn to the subscribers of this shard. A
//! send in flight names one round, in two bytes of its connection; a round counts its
//! sends. So a delivery pays for one addition at each end, whoever it is for, and
//! everything else is paid once a round.
//!
//! Invariants: a round that was begun ends once, when as many sends of it are over as
//! there were; the table has a limit, beyond which nothing is followed.
//!
//! Deliberately absent: what is measured of a round that is over, and outboxes.

use smallvec::SmallVec;

use super::RoundId;
use crate::base::limits::ROUNDS_MAX;
use crate::base::{MonotonicUs, RoomId, Slab};
use crate::metrics::Tenant;
use crate::room::MessageTiming;

/// What one channel said in one turn.
#[derive(Debug, PartialEq, Eq)]
pub struct FanoutBatch {
    /// In which channel.
    pub room: RoomId,
    /// What was said.
    pub ways: SmallVec<[MessageTiming; 1]>,
    /// When it was given to the plane.
    pub given_at: MonotonicUs,
    /// To how many.
    pub recipients: u32,
    /// How many of them will not get it.
    pub failed: u32,
    /// As whose it is counted.
    pub tenant: Option<Tenant>,
    outstanding: u32,
}

/// All rounds of a shard that are not over.
#[derive(Debug, Default)]
pub struct InFlightBatches(Slab<FanoutBatch>);

/// Whether a send of a round left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// The kernel took all of it.
    Sent,
    /// It never will.
    Dropped,
}

impl InFlightBatches {
    /// A round that begins, unless there are too many; with it goes what was said.
    pub fn begin(
        &mut self,
        now: MonotonicUs,
        room: RoomId,
        tenant: Option<Tenant>,
        ways: SmallVec<[MessageTiming; 1]>,
    ) -> RoundId {
        if ROUNDS_MAX <= self.0.len() {
            return RoundId::NOBODY;
        }
        let (given_at, recipients, failed, outstanding) = (now, 0, 0, 1);
        let round = FanoutBatch { room, ways, given_at, recipients, failed, tenant, outstanding };
        let slot = self.0.insert(round);
        RoundId(u16::try_from(slot).expect("there are fewer"))
    }

    /// All sends of a round were given: so many, and so many have no place. Returns
    /// the round if none of them is left.
    pub fn given(&mut self, id: RoundId, sends: u32, failed: u32) -> Option<FanoutBatch> {
        let round = self.0.at_mut(u32::from(id.0))?;
        round.recipients = sends + failed;
        round.failed = failed;
        round.outstanding += sends;
        self.over(id, SendResult::Sent)
    }

    /// A send of a round is over. Returns the round with its last one.
    #[inline]
    pub fn over(&mut self, id: RoundId, fate: SendResult) -> Option<FanoutBatch> {
        let round = self.0.at_mut(u32::from(id.0))?;
        round.failed += u32::from(fate == SendResult::Dropped);
        round.outstanding -= 1;
        if round.outstanding != 0 {
            return None;
        }
        self.0.remove(u32::from(id.0))
    }

    /// One that is not over.
    pub fn at(&self, id: RoundId) -> Option<&FanoutBatch> {
        self.0.at(u32::from(id.0))
    }

    /// How many are not over.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Csprng, Timestamps, Trace};
    use crate::metrics::ChatType;

    fn way(key: u64) -> MessageTiming {
        let trace = Trace::made(&mut Csprng::from_key(u128::from(key).to_le_bytes()));
        MessageTiming {
            key,
            ..MessageTiming::again(Timestamps::default(), trace, trace.span, ChatType::Group)
        }
    }

    #[test]
    fn a_round_ends_with_its_last_send() {
        let mut rounds = InFlightBatches::default();
        let id = rounds.begin(MonotonicUs(5), RoomId(1), None, SmallVec::from_elem(way(1), 1));
        assert_eq!(rounds.given(id, 2, 1), None);
        assert_eq!(rounds.over(id, SendResult::Sent), None);
        let round = rounds.over(id, SendResult::Dropped).unwrap();
        assert_eq!((round.recipients, round.failed, round.given_at), (3, 2, MonotonicUs(5)));
        assert_eq!((rounds.len(), rounds.over(id, SendResult::Sent)), (0, None));
        let empty = rounds.begin(MonotonicUs(6), RoomId(1), None, SmallVec::new());
        assert!(rounds.given(empty, 0, 4).is_some_and(|round| round.failed == 4));
    }

    #[test]
    fn what_is_beyond_the_limit_is_not_followed() {
        let mut rounds = InFlightBatches::default();
        let begin = |rounds: &mut InFlightBatches| {
            rounds.begin(MonotonicUs(5), RoomId(1), None, SmallVec::new())
        };
        let ids: Vec<RoundId> = (0..ROUNDS_MAX).map(|_| begin(&mut rounds)).collect();
        assert!(!ids.contains(&RoundId::NOBODY));
        assert_eq!(begin(&mut rounds), RoundId::NOBODY);
        assert_eq!(rounds.given(RoundId::NOBODY, 1, 0), None);
        assert_eq!(rounds.over(RoundId::NOBODY, SendResult::Sent), None);
        assert!(ids.into_iter().all(|id| rounds.given(id, 0, 0).is_some()));
        assert_ne!(begin(&mut rounds), RoundId::NOBODY);
    }
}
