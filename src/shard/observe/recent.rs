//! The last messages that were delivered, as long as an acknowledgement of them says something.
//!
//! Invariant: the table has a limit, beyond which the oldest is forgotten.
//!
//! Deliberately absent: which sends carried them (`delivery`).

use std::collections::VecDeque;

use hashbrown::HashTable;

use crate::base::limits::RECENT_MAX;
use crate::base::{MonotonicUs, RoomId};
use crate::room::MessageTiming;

/// Whoever acknowledges later than this is not measured.
const RECENT_US: u64 = 60_000_000;

/// The last messages that were delivered and may be acknowledged.
///
/// Invariant: `index` knows exactly the messages in `all`, by key; of several with
/// one key it knows the last.
#[derive(Debug, Default)]
pub struct RecentDeliveries {
    all: VecDeque<DeliveredMessage>,
    /// By number: that of the first in `all` is `first`.
    index: HashTable<u64>,
    first: u64,
}

/// A message that was delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveredMessage {
    /// What was measured.
    pub timing: MessageTiming,
    /// In which channel it went out; in an inbox, for a direct message.
    pub room: RoomId,
    /// When its sends were given to the `Io`.
    pub given_at: MonotonicUs,
    /// When the last of them had left; `None` while some have not.
    pub left_at: Option<MonotonicUs>,
    /// How many may still acknowledge it.
    pub awaited: u32,
}

impl RecentDeliveries {
    /// A message goes out.
    pub fn insert(&mut self, now: MonotonicUs, message: DeliveredMessage) {
        while let Some(oldest) = self.all.front()
            && (RECENT_MAX <= self.all.len() || RECENT_US < now.us_since(oldest.given_at))
        {
            self.drop_oldest();
        }
        let number = self.first + self.all.len() as u64;
        let RecentDeliveries { all, index, first } = self;
        let key_of = |number: u64| all[(number - *first) as usize].timing.key;
        let key = message.timing.key;
        // An older one with this key is forgotten by its number only.
        match index.find_mut(key, |&other| key_of(other) == key) {
            Some(other) => *other = number,
            None => drop(index.insert_unique(key, number, |&other| key_of(other))),
        }
        all.push_back(message);
    }

    /// All sends of these have left.
    pub fn left(&mut self, now: MonotonicUs, timings: &[MessageTiming]) {
        for timing in timings {
            if let Some(message) = self.find(timing.key) {
                message.left_at = Some(now);
            }
        }
    }

    /// Somebody acknowledges; as many may as there were recipients.
    pub fn acknowledged(&mut self, now: MonotonicUs, key: u64) -> Option<DeliveredMessage> {
        let message = self.find(key)?;
        message.awaited = message.awaited.checked_sub(1)?;
        let message = *message;
        (now.us_since(message.given_at) <= RECENT_US).then_some(message)
    }

    fn find(&mut self, key: u64) -> Option<&mut DeliveredMessage> {
        let RecentDeliveries { all, index, first } = self;
        let number = index.find(key, |&other| all[(other - *first) as usize].timing.key == key)?;
        all.get_mut((number - *first) as usize)
    }

    fn drop_oldest(&mut self) {
        let RecentDeliveries { all, index, first } = self;
        let Some(oldest) = all.pop_front() else { return };
        if let Ok(entry) = index.find_entry(oldest.timing.key, |&number| number == *first) {
            entry.remove();
        }
        *first += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Csprng, Prng, Timestamps, Trace};
    use crate::metrics::ChatType;

    fn timing(key: u64) -> MessageTiming {
        let trace = Trace::made(&mut Csprng::from_key(u128::from(key).to_le_bytes()));
        MessageTiming {
            key,
            ..MessageTiming::again(Timestamps::default(), trace, trace.span, ChatType::Group)
        }
    }

    fn delivered(key: u64, at: u64, awaited: u32) -> DeliveredMessage {
        let (room, given_at) = (RoomId(1), MonotonicUs(at));
        DeliveredMessage { timing: timing(key), room, given_at, left_at: None, awaited }
    }

    #[test]
    fn a_message_is_acknowledged_by_as_many_as_got_it() {
        let mut recent = RecentDeliveries::default();
        recent.insert(MonotonicUs(10), delivered(7, 10, 2));
        assert_eq!(recent.acknowledged(MonotonicUs(20), 8), None);
        assert!(recent.acknowledged(MonotonicUs(20), 7).is_some_and(|it| it.left_at.is_none()));
        recent.left(MonotonicUs(15), &[timing(7), timing(9)]);
        let left_at = recent.acknowledged(MonotonicUs(30), 7).and_then(|it| it.left_at);
        assert_eq!(left_at, Some(MonotonicUs(15)));
        assert_eq!(recent.acknowledged(MonotonicUs(30), 7), None, "nobody else got it");
        recent.insert(MonotonicUs(40), delivered(7, 40, 1));
        assert!(recent.acknowledged(MonotonicUs(40 + RECENT_US + 1), 7).is_none());
    }

    /// A list beside the table.
    #[test]
    fn the_last_messages_are_known_and_no_others() {
        let (mut recent, mut prng) = (RecentDeliveries::default(), Prng::from_seed(9));
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
            recent.insert(MonotonicUs(at), delivered(key, at, 5));
            let asked = prng.below(3_000);
            let want = model.iter().rev().find(|(key, _)| *key == asked).map(|&(_, at)| at);
            assert_eq!(recent.find(asked).map(|it| it.given_at.0), want);
            assert!(recent.index.len() <= recent.all.len());
        }
    }
}
