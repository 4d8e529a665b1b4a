//! How many entries each user has in a list, which tells how many different users are in it.
//!
//! Invariant: a user without an entry is not kept.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::wire::ClientInfo;

/// How many entries each user has in a list.
#[derive(Debug, Default)]
pub struct EntriesPerUser {
    entries: BTreeMap<Name, u32>,
}

/// A user's name inside the info of one of its clients, so that it takes no
/// bytes of its own. The info may outlive its client, but not the user.
#[derive(Debug)]
struct Name(Arc<ClientInfo>);

impl EntriesPerUser {
    /// How many different users there are.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether a user has an entry.
    pub fn has(&self, user: &str) -> bool {
        self.entries.contains_key(user)
    }

    /// One entry more.
    pub fn count_in(&mut self, info: &Arc<ClientInfo>) {
        *self.entries.entry(Name(Arc::clone(info))).or_default() += 1;
    }

    /// One entry less.
    pub fn count_out(&mut self, user: &str) {
        let entries = self.entries.get_mut(user).expect("only who is counted goes out");
        *entries -= 1;
        if *entries == 0 {
            self.entries.remove(user);
        }
    }
}

impl<'i> FromIterator<&'i Arc<ClientInfo>> for EntriesPerUser {
    fn from_iter<I: IntoIterator<Item = &'i Arc<ClientInfo>>>(infos: I) -> EntriesPerUser {
        let mut users = EntriesPerUser::default();
        infos.into_iter().for_each(|info| users.count_in(info));
        users
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0.user
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.0.user.cmp(&other.0.user)
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.0.user == other.0.user
    }
}

impl Eq for Name {}
