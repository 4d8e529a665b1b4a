//! What is read of the store for somebody: a few reads at a time for each connection,
//! the others in line behind them, and a bound for all.
//!
//! So a connection that comes back to hundreds of channels recovers them all, in turn,
//! and whoever asks for more than it can take has its own questions wait, or refused.
//!
//! Invariants: `count` is the number of reads under way and in line; nobody stands in
//! line who has less than `READINGS_AT_ONCE_MAX` under way; who has neither is forgotten.
//!
//! Deliberately absent: what is read, and what follows from it.

use std::collections::{BTreeMap, VecDeque};

use super::storing::Awaited;
use crate::base::limits::{QUESTIONS_IN_LINE_MAX, READINGS_AT_ONCE_MAX, READINGS_MAX};
use crate::store::{Job, Requester};
use crate::wire::ErrorCode;

/// A read that may begin, or stands in line.
pub(super) type Wanted = (Awaited, Job);

/// Reads for all connections.
#[derive(Default)]
pub(super) struct Readings {
    of: BTreeMap<Requester, ReadingShare>,
    count: usize,
}

/// Reads for one connection.
#[derive(Default)]
struct ReadingShare {
    under_way_count: u32,
    line: VecDeque<Wanted>,
}

/// What a read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadingClass {
    /// What a new member missed: at most one for each of its channels.
    Recovery,
    /// Anything else that a client asks for.
    Question,
}

impl Readings {
    /// A read is wanted. Gives it back when it may begin now.
    pub fn want(
        &mut self,
        by: Requester,
        class: ReadingClass,
        wanted: Wanted,
    ) -> Result<Option<Wanted>, ErrorCode> {
        let in_line = self.of.get(&by).map_or(0, |share| share.line.len());
        let is_full = READINGS_MAX <= self.count
            || (class == ReadingClass::Question && QUESTIONS_IN_LINE_MAX <= in_line);
        if is_full {
            return Err(ErrorCode::TooManyRequests);
        }
        self.count += 1;
        let share = self.of.entry(by).or_default();
        if share.under_way_count < READINGS_AT_ONCE_MAX {
            share.under_way_count += 1;
            return Ok(Some(wanted));
        }
        share.line.push_back(wanted);
        Ok(None)
    }

    /// A read is over. Gives the next one of the same connection that may begin.
    pub fn end(&mut self, by: Requester) -> Option<Wanted> {
        let share = self.of.get_mut(&by).expect("what ends has begun");
        self.count -= 1;
        let next = share.line.pop_front();
        if next.is_none() {
            share.under_way_count -= 1;
            if share.under_way_count == 0 {
                self.of.remove(&by);
            }
        }
        next
    }

    /// The connection is gone: gives what stood in line for it, and says whether
    /// anything is under way.
    pub fn abandon(&mut self, by: Requester) -> Option<VecDeque<Wanted>> {
        let share = self.of.get_mut(&by)?;
        let line = std::mem::take(&mut share.line);
        self.count -= line.len();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, RoomId, ShardId};
    use crate::store::MarksPage;

    fn by(slot: u32) -> Requester {
        Requester { shard: ShardId(0), conn: ConnId { slot, generation: 0 } }
    }

    fn wanted() -> Wanted {
        let page = MarksPage { room: RoomId(1), after: "".into(), count_max: 1 };
        (Awaited::Done, Job::Marks(page))
    }

    #[test]
    fn a_few_begin_at_once_and_the_others_in_line() {
        let mut readings = Readings::default();
        let want = |readings: &mut Readings, class| {
            readings.want(by(1), class, wanted()).map(|begins| begins.is_some())
        };
        for _ in 0..READINGS_AT_ONCE_MAX {
            assert_eq!(want(&mut readings, ReadingClass::Question), Ok(true));
        }
        for _ in 0..QUESTIONS_IN_LINE_MAX {
            assert_eq!(want(&mut readings, ReadingClass::Question), Ok(false));
        }
        let refused = Err(ErrorCode::TooManyRequests);
        assert_eq!(want(&mut readings, ReadingClass::Question), refused);
        assert_eq!(want(&mut readings, ReadingClass::Recovery), Ok(false));
        assert!(readings.want(by(2), ReadingClass::Question, wanted()).unwrap().is_some());
        for _ in 0..=QUESTIONS_IN_LINE_MAX {
            assert!(readings.end(by(1)).is_some());
        }
        for _ in 0..READINGS_AT_ONCE_MAX {
            assert!(readings.end(by(1)).is_none());
        }
        assert!(readings.end(by(2)).is_none());
        assert!(readings.of.is_empty() && readings.count == 0);
    }

    #[test]
    fn all_connections_together_have_a_bound_and_who_leaves_makes_room() {
        let mut readings = Readings::default();
        let want = |readings: &mut Readings, slot| {
            readings.want(by(slot), ReadingClass::Recovery, wanted()).is_ok()
        };
        (0..READINGS_MAX).for_each(|n| assert!(want(&mut readings, (n % 100) as u32)));
        assert!(!want(&mut readings, 7) && !want(&mut readings, 1_000));
        let line = readings.abandon(by(7)).unwrap();
        assert_eq!(line.len(), READINGS_MAX.div_ceil(100) - READINGS_AT_ONCE_MAX as usize);
        assert!(want(&mut readings, 1_000));
        assert!(readings.abandon(by(2_000)).is_none());
    }
}
