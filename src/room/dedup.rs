//! The ids that clients gave to their latest messages, so that a message that is sent again
//! is recognised and gets the place that it has.
//!
//! Deliberately absent: clocks, and ids that the server makes, which nobody can repeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::limits::{IDS_MS, USER_IDS_MAX};

/// The ids that users gave to their messages of the last minutes, with the place
/// that each got.
///
/// Each user has a number of its own, so nobody takes a place from another.
///
/// Invariant: each id in `users` is in `ages` under its serial, and nothing else is; no
/// user has an empty list.
#[derive(Debug, Default)]
pub struct DedupIndex {
    users: BTreeMap<Arc<str>, BTreeMap<Arc<str>, Known>>,
    /// In the order in which they came.
    ages: BTreeMap<u64, Age>,
    next_serial: u64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    offset: u64,
    serial: u64,
}

#[derive(Debug)]
struct Age {
    time_unix_ms: u64,
    user: Arc<str>,
    id: Arc<str>,
}

/// There is no room for one more of this user's.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyIdsError;

impl DedupIndex {
    /// The place of the user's message with this id, if it is young enough.
    pub fn offset(&mut self, now_unix_ms: u64, user: &str, id: &str) -> Option<u64> {
        self.expire(now_unix_ms);
        self.users.get(user)?.get(id).map(|known| known.offset)
    }

    /// Remembers a message's place.
    pub fn remember(
        &mut self,
        time_unix_ms: u64,
        user: &str,
        id: &str,
        offset: u64,
    ) -> Result<(), TooManyIdsError> {
        if self.users.get(user).is_some_and(|own| USER_IDS_MAX <= own.len()) {
            return Err(TooManyIdsError);
        }
        self.restore(time_unix_ms, user, id, offset);
        Ok(())
    }

    /// Remembers what was remembered before the room was read again, however much it is.
    pub fn restore(&mut self, time_unix_ms: u64, user: &str, id: &str, offset: u64) {
        self.forget(user, id);
        let user = match self.users.get_key_value(user) {
            Some((user, _)) => Arc::clone(user),
            None => Arc::from(user),
        };
        let (id, serial): (Arc<str>, u64) = (Arc::from(id), self.next_serial);
        self.next_serial += 1;
        let own = self.users.entry(Arc::clone(&user)).or_default();
        own.insert(Arc::clone(&id), Known { offset, serial });
        self.ages.insert(serial, Age { time_unix_ms, user, id });
    }

    /// Forgets a message that has no place after all.
    pub fn forget(&mut self, user: &str, id: &str) {
        let Some(own) = self.users.get_mut(user) else { return };
        let Some(known) = own.remove(id) else { return };
        if own.is_empty() {
            self.users.remove(user);
        }
        let age = self.ages.remove(&known.serial);
        assert!(age.is_some(), "what is known has an age");
    }

    /// Forgets what is old.
    pub fn expire(&mut self, now_unix_ms: u64) {
        while let Some(oldest) = self.ages.first_entry()
            && oldest.get().time_unix_ms.saturating_add(IDS_MS) <= now_unix_ms
        {
            let (user, id) = (Arc::clone(&oldest.get().user), Arc::clone(&oldest.get().id));
            self.forget(&user, &id);
        }
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.ages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Prng;

    #[test]
    fn an_id_is_known_for_five_minutes_and_by_user() {
        let mut ids = DedupIndex::default();
        assert_eq!(ids.remember(1_000, "ann", "x", 7), Ok(()));
        assert_eq!(ids.remember(2_000, "bob", "x", 8), Ok(()));
        assert_eq!(ids.offset(2_000, "ann", "x"), Some(7));
        assert_eq!(ids.offset(2_000, "bob", "x"), Some(8));
        assert_eq!(ids.offset(2_000, "ann", "y"), None);
        assert_eq!(ids.offset(1_000 + IDS_MS - 1, "ann", "x"), Some(7));
        assert_eq!(ids.offset(1_000 + IDS_MS, "ann", "x"), None);
        assert_eq!(ids.offset(1_000 + IDS_MS, "bob", "x"), Some(8));
        ids.forget("bob", "x");
        assert!(ids.is_empty() && ids.users.is_empty());
    }

    #[test]
    fn the_limit_is_each_users_own_and_age_makes_room() {
        let mut ids = DedupIndex::default();
        for n in 0..USER_IDS_MAX as u64 {
            assert_eq!(ids.remember(n, "ann", &n.to_string(), n), Ok(()));
        }
        assert_eq!(ids.remember(0, "ann", "more", 0), Err(TooManyIdsError));
        assert_eq!(ids.remember(0, "bob", "more", 0), Ok(()), "others are not touched");
        assert_eq!(ids.offset(0, "ann", "0"), Some(0), "and nothing is forgotten");
        assert_eq!(ids.offset(IDS_MS, "ann", "0"), None);
        assert_eq!(ids.remember(IDS_MS, "ann", "more", 0), Ok(()));
    }

    /// A list beside the code, looked through for each answer.
    #[test]
    fn ids_are_what_a_list_of_them_would_be() {
        let mut prng = Prng::from_seed(3);
        let mut ids = DedupIndex::default();
        let mut list: Vec<(u64, String, String, u64)> = Vec::new();
        let mut now = 0;
        for step in 0..20_000 {
            now += prng.below(400);
            list.retain(|(time, ..)| now < time + IDS_MS);
            let user = ["ann", "bob"][prng.below(2) as usize].to_owned();
            let id = prng.below(500).to_string();
            let place = list.iter().position(|(_, of, one, _)| (of, one) == (&user, &id));
            match prng.below(3) {
                0 => {
                    let want = place.map(|place| list[place].3);
                    assert_eq!(ids.offset(now, &user, &id), want, "step {step}");
                }
                1 => {
                    place.map(|place| list.remove(place));
                    ids.expire(now);
                    assert_eq!(ids.remember(now, &user, &id, step), Ok(()));
                    list.push((now, user, id, step));
                }
                _ => {
                    place.map(|place| list.remove(place));
                    ids.forget(&user, &id);
                }
            }
        }
        ids.expire(u64::MAX);
        assert!(ids.is_empty() && ids.users.is_empty());
    }
}
