use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::base::limits::IDS_MAX;

/// How long a repeated id gets the first answer.
pub const IDS_MS: u64 = 300_000;

/// The ids that users gave to their messages of the last minutes, with the place
/// that each got.
///
/// Invariant: `known` and `ages` hold the same names.
#[derive(Debug, Default)]
pub struct Ids {
    known: BTreeMap<Arc<Name>, u64>,
    ages: VecDeque<(u64, Arc<Name>)>,
}

type Name = (Box<str>, Box<str>);

/// There is no room for one more.
#[derive(Debug, PartialEq, Eq)]
pub struct TooMany;

impl Ids {
    /// The place of the user's message with this id, if it is young enough.
    pub fn offset(&mut self, now_unix_ms: u64, user: &str, id: &str) -> Option<u64> {
        self.expire(now_unix_ms);
        self.known.get(&(Box::from(user), Box::from(id))).copied()
    }

    /// Remembers a message's place.
    pub fn remember(
        &mut self,
        time_unix_ms: u64,
        user: &str,
        id: &str,
        offset: u64,
    ) -> Result<(), TooMany> {
        if IDS_MAX <= self.known.len() {
            return Err(TooMany);
        }
        let name = Arc::new((Box::from(user), Box::from(id)));
        if self.known.insert(Arc::clone(&name), offset).is_none() {
            self.ages.push_back((time_unix_ms, name));
        }
        Ok(())
    }

    /// Forgets a message that has no place after all.
    pub fn forget(&mut self, user: &str, id: &str) {
        let name = (Box::from(user), Box::from(id));
        if self.known.remove(&name).is_some() {
            self.ages.retain(|(_, other)| **other != name);
        }
    }

    /// Forgets what is old.
    pub fn expire(&mut self, now_unix_ms: u64) {
        while let Some((time_unix_ms, name)) = self.ages.front()
            && time_unix_ms.saturating_add(IDS_MS) <= now_unix_ms
        {
            self.known.remove(name);
            self.ages.pop_front();
        }
    }

    /// True when nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_five_minutes_and_by_user() {
        let mut ids = Ids::default();
        assert_eq!(ids.remember(1_000, "ann", "x", 7), Ok(()));
        assert_eq!(ids.remember(2_000, "bob", "x", 8), Ok(()));
        assert_eq!(ids.offset(2_000, "ann", "x"), Some(7));
        assert_eq!(ids.offset(2_000, "bob", "x"), Some(8));
        assert_eq!(ids.offset(2_000, "ann", "y"), None);
        assert_eq!(ids.offset(1_000 + IDS_MS - 1, "ann", "x"), Some(7));
        assert_eq!(ids.offset(1_000 + IDS_MS, "ann", "x"), None);
        assert_eq!(ids.offset(1_000 + IDS_MS, "bob", "x"), Some(8));
        ids.forget("bob", "x");
        assert!(ids.is_empty() && ids.ages.is_empty());
    }

    #[test]
    fn there_is_a_limit_and_age_makes_room() {
        let mut ids = Ids::default();
        for n in 0..IDS_MAX as u64 {
            assert_eq!(ids.remember(n, "ann", &n.to_string(), n), Ok(()));
        }
        assert_eq!(ids.remember(0, "ann", "more", 0), Err(TooMany));
        assert_eq!(ids.offset(IDS_MS, "ann", "0"), None);
        assert_eq!(ids.remember(0, "ann", "more", 0), Ok(()));
    }
}
