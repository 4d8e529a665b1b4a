//! How fast one user may make others work: rooms that it begins, and its own coming and
//! going that is told to others.
//!
//! Deliberately absent: what happens beyond a rate.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::base::{Bucket, MonotonicMs, Rate};
use crate::wire::ClientInfo;

/// Users who did something lately, each with a bucket.
///
/// Invariant: at most `count_max` of them. Who has a full bucket is as good as forgotten, and
/// is in turn: a few are looked at when somebody comes, and some more now and then.
#[derive(Debug)]
pub(super) struct UserRates {
    of: BTreeMap<Box<str>, Bucket>,
    /// Users up to this name were looked at in this round.
    looked_up_to: Box<str>,
    /// When some are looked at though nobody comes.
    next_look: MonotonicMs,
    rate: Rate,
    count_max: usize,
}

/// Looked at when a new user comes: more than one, so that they become fewer.
const LOOKS_PER_USER: usize = 2;

/// Looked at when there is no room for it.
const LOOKS_WHEN_FULL: usize = 64;

/// Looked at now and then: a hundredth of a millisecond or a few.
const LOOKS_PER_STEP: usize = 512;
const LOOK_MS: u64 = 250;

impl UserRates {
    /// Nobody did anything.
    pub fn new(rate: Rate, count_max: usize) -> UserRates {
        let (looked_up_to, next_look) = (Box::default(), MonotonicMs(0));
        UserRates { of: BTreeMap::new(), looked_up_to, next_look, rate, count_max }
    }

    /// A user does something once more. False when that is too often, or when so many
    /// users do it that there is no room to count it.
    #[must_use]
    pub fn take(&mut self, now: MonotonicMs, tenant: &str, info: &ClientInfo) -> bool {
        let key = key_of(tenant, info);
        if !self.of.contains_key(&key) {
            self.forget_rested(now, LOOKS_PER_USER);
            if self.count_max <= self.of.len() {
                self.forget_rested(now, LOOKS_WHEN_FULL);
            }
            if self.count_max <= self.of.len() {
                return false;
            }
        }
        self.of.entry(key).or_insert_with(Bucket::full).take(now, self.rate, 1)
    }

    /// Forgets some who have rested, when it is time to; asked in each turn.
    pub fn tick(&mut self, now: MonotonicMs) {
        if self.next_look <= now && !self.of.is_empty() {
            self.next_look = now.plus_ms(LOOK_MS);
            self.forget_rested(now, LOOKS_PER_STEP);
        }
    }

    /// Looks at the next few, and begins again behind the last.
    fn forget_rested(&mut self, now: MonotonicMs, looks_max: usize) {
        let behind = (Bound::Excluded(&*self.looked_up_to), Bound::Unbounded);
        let looked_at = self.of.range::<str, _>(behind).take(looks_max);
        let (mut last, mut rested, mut looks) = (None, Vec::new(), 0);
        for (user, bucket) in looked_at {
            looks += 1;
            last = Some(user);
            if bucket.is_full(now) {
                rested.push(user.clone());
            }
        }
        self.looked_up_to = last.filter(|_| looks == looks_max).cloned().unwrap_or_default();
        for user in rested {
            self.of.remove(&user);
        }
    }
}

/// Who has no name is a user for each connection.
fn key_of(tenant: &str, info: &ClientInfo) -> Box<str> {
    match &*info.user {
        "" => format!("{tenant}\0\0{}", info.client),
        user => format!("{tenant}\0{user}"),
    }
    .into_boxed_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ClientId;

    fn info(user: &str, client: u128) -> ClientInfo {
        ClientInfo { user: user.into(), client: ClientId(client), conn_info: None }
    }

    #[test]
    fn each_user_has_a_rate_of_its_own_and_all_have_a_bound() {
        let mut rates = UserRates::new(Rate { per_s: 1, burst: 3 }, 100);
        let mut take =
            |ms, user: &str, client| rates.take(MonotonicMs(ms), "", &info(user, client));
        assert!((0..3).all(|client| take(5, "ann", client)) && !take(5, "ann", 9));
        assert!(take(5, "bob", 1) && take(5, "", 1) && take(5, "", 2));
        assert!(take(1_005, "ann", 1) && !take(1_005, "ann", 1));
        let many = (0..200).filter(|n| take(1_005, &format!("u{n}"), 1)).count();
        assert!((90..100).contains(&many), "{many} of them");
        assert!(take(9_000, "eve", 1), "the others have rested");
    }

    #[test]
    fn who_has_rested_is_forgotten_though_nobody_comes() {
        let mut rates = UserRates::new(Rate { per_s: 1, burst: 3 }, 65_536);
        for user in 0..10_000 {
            assert!(rates.take(MonotonicMs(5), "", &info(&format!("u{user}"), 1)));
        }
        rates.tick(MonotonicMs(500));
        assert_eq!(rates.of.len(), 10_000, "nobody has rested");
        for step in 0..40 {
            rates.tick(MonotonicMs(9_000 + step * LOOK_MS));
        }
        assert!(rates.of.is_empty() && rates.looked_up_to.is_empty());
    }

    #[test]
    fn a_crowd_that_comes_one_after_another_stays_small() {
        let mut rates = UserRates::new(Rate { per_s: 1, burst: 3 }, 65_536);
        for user in 0..100_000u64 {
            assert!(rates.take(MonotonicMs(5 + user), "", &info(&format!("u{user}"), 1)));
        }
        assert!(rates.of.len() < 4_000, "{} are known, 1,000 have not rested", rates.of.len());
    }
}
