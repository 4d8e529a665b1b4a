//! Which sends carry which messages, as far as it is worth knowing: when the last
//! of them has left, and what is acknowledged later.
//!
//! A round is what one channel said in one turn to the subscribers of this shard. A
//! send in flight names one round, in two bytes of its connection; a round counts its
//! sends. So a delivery pays for one addition at each end, whoever it is for, and
//! everything else is paid once a round.
//!
//! Invariants: a round that was begun ends once, when as many sends of it are over as
//! there were; both tables have a limit, beyond which nothing is followed.

use std::collections::VecDeque;

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::RoundId;
use crate::base::limits::{RECENT_MAX, ROUNDS_MAX};
use crate::base::{Moment, RoomId, Slab};
use crate::metrics::Tenant;
use crate::room::Way;

/// Whoever acknowledges later than this is not measured.
const RECENT_US: u64 = 60_000_000;

/// What one channel said in one turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Round {
    /// In which channel.
    pub room: RoomId,
    /// What was said.
    pub ways: SmallVec<[Way; 1]>,
    /// When it was given to the plane.
    pub given_at: Moment,
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
pub struct Rounds(Slab<Round>);

/// Whether a send of a round left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The kernel took all of it.
    Left,
    /// It never will.
    Lost,
}

impl Rounds {
    /// A round that begins, unless there are too many; with it goes what was said.
    pub fn begin(
        &mut self,
        now: Moment,
        room: RoomId,
        tenant: Option<Tenant>,
        ways: SmallVec<[Way; 1]>,
    ) -> RoundId {
        if ROUNDS_MAX <= self.0.len() {
            return RoundId::NOBODY;
        }
        let (given_at, recipients, failed, outstanding) = (now, 0, 0, 1);
        let round = Round { room, ways, given_at, recipients, failed, tenant, outstanding };
        let slot = self.0.insert(round);
        RoundId(u16::try_from(slot).expect("there are fewer"))
    }

    /// All sends of a round were given: so many, and so many have no place. Returns
    /// the round if none of them is left.
    pub fn given(&mut self, id: RoundId, sends: u32, failed: u32) -> Option<Round> {
        let round = self.0.at_mut(u32::from(id.0))?;
        round.recipients = sends + failed;
        round.failed = failed;
        round.outstanding += sends;
        self.over(id, Fate::Left)
    }

    /// A send of a round is over. Returns the round with its last one.
    #[inline]
    pub fn over(&mut self, id: RoundId, fate: Fate) -> Option<Round> {
        let round = self.0.at_mut(u32::from(id.0))?;
        round.failed += u32::from(fate == Fate::Lost);
        round.outstanding -= 1;
        if round.outstanding != 0 {
            return None;
        }
        self.0.remove(u32::from(id.0))
    }

    /// One that is not over.
    pub fn at(&self, id: RoundId) -> Option<&Round> {
        self.0.at(u32::from(id.0))
    }

    /// How many are not over.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The last messages that were delivered and may be acknowledged.
///
/// Invariant: `index` knows exactly the messages in `all`, by key; of several with
/// one key it knows the last.
#[derive(Debug, Default)]
pub struct Recent {
    all: VecDeque<Delivered>,
    /// By number: that of the first in `all` is `first`.
    index: HashTable<u64>,
    first: u64,
}

/// A message that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// What was measured.
    pub way: Way,
    /// In which channel it went out; in an inbox, for a direct message.
    pub room: RoomId,
    /// When its sends were given to the plane.
    pub given_at: Moment,
    /// When the last of them had left; `None` while some have not.
    pub left_at: Option<Moment>,
    /// How many may still acknowledge it.
    pub awaited: u32,
}

impl Recent {
    /// A message goes out.
    pub fn insert(&mut self, now: Moment, message: Delivered) {
        while let Some(oldest) = self.all.front()
            && (RECENT_MAX <= self.all.len() || RECENT_US < now.us_since(oldest.given_at))
        {
            self.drop_oldest();
        }
        let number = self.first + self.all.len() as u64;
        let Recent { all, index, first } = self;
        let key_of = |number: u64| all[(number - *first) as usize].way.key;
        let key = message.way.key;
        // An older one with this key is forgotten by its number only.
        match index.find_mut(key, |&other| key_of(other) == key) {
            Some(other) => *other = number,
            None => drop(index.insert_unique(key, number, |&other| key_of(other))),
        }
        all.push_back(message);
    }

    /// All sends of these have left.
    pub fn left(&mut self, now: Moment, ways: &[Way]) {
        for way in ways {
            if let Some(message) = self.find(way.key) {
                message.left_at = Some(now);
            }
        }
    }

    /// Somebody acknowledges; as many may as there were recipients.
    pub fn acknowledged(&mut self, now: Moment, key: u64) -> Option<Delivered> {
        let message = self.find(key)?;
        message.awaited = message.awaited.checked_sub(1)?;
        let message = *message;
        (now.us_since(message.given_at) <= RECENT_US).then_some(message)
    }

    fn find(&mut self, key: u64) -> Option<&mut Delivered> {
        let Recent { all, index, first } = self;
        let number = index.find(key, |&other| all[(other - *first) as usize].way.key == key)?;
        all.get_mut((number - *first) as usize)
    }

    fn drop_oldest(&mut self) {
        let Recent { all, index, first } = self;
        let Some(oldest) = all.pop_front() else { return };
        if let Ok(entry) = index.find_entry(oldest.way.key, |&number| number == *first) {
            entry.remove();
        }
        *first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Csprng, Now, Prng, Trace};
    use crate::metrics::ChatType;

    fn way(key: u64) -> Way {
        let trace = Trace::made(&mut Csprng::from_key(u128::from(key).to_le_bytes()));
        Way { key, ..Way::again(Now::default(), trace, trace.span, ChatType::Group) }
    }

    fn delivered(key: u64, at: u64, awaited: u32) -> Delivered {
        let (room, given_at) = (RoomId(1), Moment(at));
        Delivered { way: way(key), room, given_at, left_at: None, awaited }
    }

    #[test]
    fn a_round_ends_with_its_last_send() {
        let mut rounds = Rounds::default();
        let id = rounds.begin(Moment(5), RoomId(1), None, SmallVec::from_elem(way(1), 1));
        assert_eq!(rounds.given(id, 2, 1), None);
        assert_eq!(rounds.over(id, Fate::Left), None);
        let round = rounds.over(id, Fate::Lost).unwrap();
        assert_eq!((round.recipients, round.failed, round.given_at), (3, 2, Moment(5)));
        assert_eq!((rounds.len(), rounds.over(id, Fate::Left)), (0, None));
        let empty = rounds.begin(Moment(6), RoomId(1), None, SmallVec::new());
        assert!(rounds.given(empty, 0, 4).is_some_and(|round| round.failed == 4));
    }

    #[test]
    fn what_is_beyond_the_limit_is_not_followed() {
        let mut rounds = Rounds::default();
        let begin = |rounds: &mut Rounds| rounds.begin(Moment(5), RoomId(1), None, SmallVec::new());
        let ids: Vec<RoundId> = (0..ROUNDS_MAX).map(|_| begin(&mut rounds)).collect();
        assert!(!ids.contains(&RoundId::NOBODY));
        assert_eq!(begin(&mut rounds), RoundId::NOBODY);
        assert_eq!(rounds.given(RoundId::NOBODY, 1, 0), None);
        assert_eq!(rounds.over(RoundId::NOBODY, Fate::Left), None);
        assert!(ids.into_iter().all(|id| rounds.given(id, 0, 0).is_some()));
        assert_ne!(begin(&mut rounds), RoundId::NOBODY);
    }

    #[test]
    fn a_message_is_acknowledged_by_as_many_as_got_it() {
        let mut recent = Recent::default();
        recent.insert(Moment(10), delivered(7, 10, 2));
        assert_eq!(recent.acknowledged(Moment(20), 8), None);
        assert!(recent.acknowledged(Moment(20), 7).is_some_and(|it| it.left_at.is_none()));
        recent.left(Moment(15), &[way(7), way(9)]);
        let left_at = recent.acknowledged(Moment(30), 7).and_then(|it| it.left_at);
        assert_eq!(left_at, Some(Moment(15)));
        assert_eq!(recent.acknowledged(Moment(30), 7), None, "nobody else got it");
        recent.insert(Moment(40), delivered(7, 40, 1));
        assert!(recent.acknowledged(Moment(40 + RECENT_US + 1), 7).is_none());
    }

    /// A list beside the table.
    #[test]
    fn the_last_messages_are_known_and_no_others() {
        let (mut recent, mut prng) = (Recent::default(), Prng::from_seed(9));
        let mut model: VecDeque<(u64, u64)> = VecDeque::new();
        let mut at = 0;
        for _ in 0..20_000 {
            at += prng.below(100_000);
            let key = prng.below(3_000);
            while model.front().is_some_and(|&(_, then)| RECENT_US < at - then)
                || RECENT_MAX <= model.len()
            {
                model.pop_front();
            }
            model.push_back((key, at));
            recent.insert(Moment(at), delivered(key, at, 5));
            let asked = prng.below(3_000);
            let want = model.iter().rev().find(|(key, _)| *key == asked).map(|&(_, at)| at);
            assert_eq!(recent.find(asked).map(|it| it.given_at.0), want);
            assert!(recent.index.len() <= recent.all.len());
        }
    }
}
