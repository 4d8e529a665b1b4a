//! What is read of the store for somebody: a few reads at a time for each user, the
//! others in line behind them, and a bound for all.
//!
//! So who comes back to hundreds of channels recovers them all, in turn, and whoever
//! asks for more than it can take has its own questions wait, or refused: by however
//! many connections it asks.
//!
//! Invariants: `count` is the number of reads under way and in line; nobody stands in
//! line who has less than `READINGS_AT_ONCE_MAX` under way; who has neither is forgotten.
//!
//! Deliberately absent: what is read, and what follows from it.

use std::collections::{BTreeMap, VecDeque};

use super::pending_op::{PendingOp, ReplyRoute, requester};
use crate::base::limits::{
    QUESTIONS_IN_LINE_MAX, READINGS_AT_ONCE_MAX, READINGS_IN_LINE_MAX, READINGS_MAX,
};
use crate::store::{Flow, StoreOp};
use crate::wire::ErrorCode;

/// A read that may begin, or stands in line.
pub(in crate::room) type QueuedStoreRead = (ReplyRoute, PendingOp, StoreOp);

/// Reads for everybody.
#[derive(Default)]
pub(super) struct SharedReads {
    of: BTreeMap<Flow, ReadingShare>,
    count: usize,
}

/// Reads for one user, or for one connection of somebody without a name.
#[derive(Default)]
struct ReadingShare {
    under_way_count: u32,
    line: VecDeque<QueuedStoreRead>,
}

/// What a read is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::room) enum ReadClass {
    /// What a new member missed: at most one for each of its channels.
    Recovery,
    /// Anything else that a client asks for.
    Question,
}

impl SharedReads {
    /// A read is wanted. Gives it back when it may begin now.
    pub fn want(
        &mut self,
        class: ReadClass,
        wanted: QueuedStoreRead,
    ) -> Result<Option<QueuedStoreRead>, ErrorCode> {
        let flow = requester(Some(wanted.0)).flow();
        let in_line = self.of.get(&flow).map_or(0, |share| share.line.len());
        let in_line_max = match class {
            ReadClass::Recovery => READINGS_IN_LINE_MAX,
            ReadClass::Question => QUESTIONS_IN_LINE_MAX,
        };
        let is_full = READINGS_MAX <= self.count || in_line_max <= in_line;
        if is_full {
            return Err(ErrorCode::TooManyRequests);
        }
        self.count += 1;
        let share = self.of.entry(flow).or_default();
        if share.under_way_count < READINGS_AT_ONCE_MAX {
            share.under_way_count += 1;
            return Ok(Some(wanted));
        }
        share.line.push_back(wanted);
        Ok(None)
    }

    /// A read is over. Gives the next one of the same user that may begin.
    pub fn end(&mut self, by: ReplyRoute) -> Option<QueuedStoreRead> {
        let flow = requester(Some(by)).flow();
        let share = self.of.get_mut(&flow).expect("what ends has begun");
        self.count -= 1;
        let next = share.line.pop_front();
        if next.is_none() {
            share.under_way_count -= 1;
            if share.under_way_count == 0 {
                self.of.remove(&flow);
            }
        }
        next
    }

    /// The connection is gone: gives what stood in line for it. `None` when nothing can
    /// be under way for it.
    pub fn abandon(&mut self, by: ReplyRoute) -> Option<VecDeque<QueuedStoreRead>> {
        let gone = requester(Some(by));
        let share = self.of.get_mut(&gone.flow())?;
        let is_gone = |wanted: &QueuedStoreRead| requester(Some(wanted.0)) == gone;
        let (line, kept): (VecDeque<_>, _) =
            std::mem::take(&mut share.line).into_iter().partition(is_gone);
        share.line = kept;
        self.count -= line.len();
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, RoomId, ShardId, UserHash};
    use crate::room::ReplyTo;
    use crate::store::ReadMarkersQuery;

    /// A connection of somebody without a name.
    fn by(slot: u32) -> ReplyRoute {
        (ShardId(0), ReplyTo { conn: ConnId { slot, generation: 0 }, ..ReplyTo::NOBODY })
    }

    /// One of a user's connections.
    fn of(user: u128, slot: u32) -> ReplyRoute {
        let (shard, reply_to) = by(slot);
        (shard, ReplyTo { user: UserHash::of_inbox(RoomId(user)), ..reply_to })
    }

    fn wanted(by: ReplyRoute) -> QueuedStoreRead {
        let page = ReadMarkersQuery { room: RoomId(1), after: "".into(), count_max: 1 };
        (by, PendingOp::Done, StoreOp::ReadMarkers(page))
    }

    fn want(
        readings: &mut SharedReads,
        by: ReplyRoute,
        class: ReadClass,
    ) -> Result<bool, ErrorCode> {
        readings.want(class, wanted(by)).map(|begins| begins.is_some())
    }

    const REFUSED: Result<bool, ErrorCode> = Err(ErrorCode::TooManyRequests);

    #[test]
    fn a_few_begin_at_once_and_the_others_in_line() {
        let mut readings = SharedReads::default();
        for _ in 0..READINGS_AT_ONCE_MAX {
            assert_eq!(want(&mut readings, by(1), ReadClass::Question), Ok(true));
        }
        for _ in 0..QUESTIONS_IN_LINE_MAX {
            assert_eq!(want(&mut readings, by(1), ReadClass::Question), Ok(false));
        }
        assert_eq!(want(&mut readings, by(1), ReadClass::Question), REFUSED);
        assert_eq!(want(&mut readings, by(1), ReadClass::Recovery), Ok(false));
        assert_eq!(want(&mut readings, by(2), ReadClass::Question), Ok(true));
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
    fn a_user_has_one_share_by_however_many_connections_it_asks() {
        let mut readings = SharedReads::default();
        let count = READINGS_AT_ONCE_MAX + QUESTIONS_IN_LINE_MAX as u32;
        for slot in 0..count {
            let begins = slot < READINGS_AT_ONCE_MAX;
            assert_eq!(want(&mut readings, of(1, slot), ReadClass::Question), Ok(begins));
        }
        assert_eq!(want(&mut readings, of(1, 900), ReadClass::Question), REFUSED);
        assert_eq!(want(&mut readings, of(2, 900), ReadClass::Question), Ok(true));
        assert_eq!(want(&mut readings, by(900), ReadClass::Question), Ok(true));
        // One of them leaves, and what it asked; the next in line is another one's.
        let gone = readings.abandon(of(1, READINGS_AT_ONCE_MAX)).unwrap();
        assert_eq!(gone.len(), 1);
        let (next, ..) = readings.end(of(1, 0)).expect("there is one in line");
        assert_eq!(next, of(1, READINGS_AT_ONCE_MAX + 1));
    }

    #[test]
    fn recoveries_of_one_user_leave_places_to_others() {
        let mut readings = SharedReads::default();
        let class = ReadClass::Recovery;
        let count = READINGS_AT_ONCE_MAX + READINGS_IN_LINE_MAX as u32;
        (0..count).for_each(|slot| assert!(want(&mut readings, of(1, slot), class).is_ok()));
        assert_eq!(want(&mut readings, of(1, 7), class), REFUSED);
        assert_eq!(want(&mut readings, of(2, 7), class), Ok(true));
    }

    #[test]
    fn all_together_have_a_bound_and_who_leaves_makes_room() {
        let mut readings = SharedReads::default();
        let class = ReadClass::Recovery;
        for n in 0..READINGS_MAX {
            assert!(want(&mut readings, by((n % 100) as u32), class).is_ok());
        }
        assert_eq!(want(&mut readings, by(7), class), REFUSED);
        assert_eq!(want(&mut readings, by(1_000), class), REFUSED);
        let line = readings.abandon(by(7)).unwrap();
        assert_eq!(line.len(), READINGS_MAX.div_ceil(100) - READINGS_AT_ONCE_MAX as usize);
        assert_eq!(want(&mut readings, by(1_000), class), Ok(true));
        assert!(readings.abandon(by(2_000)).is_none());
    }
}
