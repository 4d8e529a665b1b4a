//! How fast one user may make others work: rooms that it begins, and its own coming and
//! going that is told to others.
//!
//! Deliberately absent: what happens beyond a rate.

use std::collections::BTreeMap;

use crate::base::{Bucket, Rate, Tick};
use crate::wire::ClientInfo;

/// Users who did something lately, each with a bucket.
///
/// Invariant: at most `count_max` of them; who has a full bucket is forgotten when there
/// is no room.
#[derive(Debug)]
pub(super) struct UserRates {
    of: BTreeMap<Box<str>, Bucket>,
    rate: Rate,
    count_max: usize,
}

impl UserRates {
    /// Nobody did anything.
    pub fn new(rate: Rate, count_max: usize) -> UserRates {
        UserRates { of: BTreeMap::new(), rate, count_max }
    }

    /// A user does something once more. False when that is too often, or when so many
    /// users do it that there is no room to count it.
    #[must_use]
    pub fn take(&mut self, now: Tick, tenant: &str, info: &ClientInfo) -> bool {
        let key = key_of(tenant, info);
        if !self.of.contains_key(&key) && self.count_max <= self.of.len() {
            let rate = self.rate;
            self.of.retain(|_, bucket| !bucket.is_full(now));
            if self.count_max <= self.of.len() {
                return false;
            }
            debug_assert!(rate.per_s != 0, "a bucket fills up");
        }
        self.of.entry(key).or_insert_with(Bucket::full).take(now, self.rate, 1)
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
        let mut take = |ms, user: &str, client| rates.take(Tick(ms), "", &info(user, client));
        assert!((0..3).all(|client| take(5, "ann", client)) && !take(5, "ann", 9));
        assert!(take(5, "bob", 1) && take(5, "", 1) && take(5, "", 2));
        assert!(take(1_005, "ann", 1) && !take(1_005, "ann", 1));
        let many = (0..200).filter(|n| take(1_005, &format!("u{n}"), 1)).count();
        assert!((90..100).contains(&many), "{many} of them");
        assert!(take(9_000, "eve", 1), "the others have rested");
    }
}
