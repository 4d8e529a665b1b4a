//! What was said in groups: whose members are still to be looked at, and which of them were told
//! and are still away.
//!
//! Invariants: both have a bound; who was told of a group is not told of it again before it was
//! here, or before too many others were told.
//!
//! Deliberately absent: who is here (`table`).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::fact::{GroupMessages, UserKey, WaitingMessage};

/// Groups whose members are still to be looked at; of more, none is told.
const QUEUED_MAX: usize = 1_024;

/// Members that are known to be told, each for one group. Beyond it all are forgotten, and at worst
/// a push too many is sent to each.
const TOLD_MAX: usize = 1 << 19;

/// Groups in which something was said, in order.
#[derive(Debug, Default)]
pub(super) struct GroupQueue {
    groups: VecDeque<GroupMessages>,
    /// The member of the first of them that is looked at next.
    next_index: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct ToldMembers {
    groups: BTreeMap<UserKey, BTreeSet<Arc<str>>>,
    count: usize,
}

/// There is no room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueueFullError;

impl GroupQueue {
    /// Something was said.
    pub fn push(&mut self, said: GroupMessages) -> Result<(), QueueFullError> {
        if QUEUED_MAX <= self.groups.len() {
            return Err(QueueFullError);
        }
        self.groups.push_back(said);
        Ok(())
    }

    /// Whether nobody is to be looked at.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The next member for whom it waits. Who said the last of it knows of it.
    pub fn next(&mut self) -> Option<WaitingMessage> {
        loop {
            let GroupMessages { tenant, channel, from, offset, count, members } =
                self.groups.front()?;
            let Some(member) = members.get(self.next_index) else {
                self.next_index = 0;
                self.groups.pop_front();
                continue;
            };
            self.next_index += 1;
            if member == from {
                continue;
            }
            let (tenant, user) = (Arc::clone(tenant), Arc::clone(member));
            return Some(WaitingMessage {
                user: UserKey { tenant, user, unnamed: None },
                from: Arc::clone(from),
                channel: Arc::clone(channel),
                offset: *offset,
                count: *count,
            });
        }
    }
}

impl ToldMembers {
    /// A member is told of a group. False where it was already.
    pub fn insert(&mut self, user: &UserKey, channel: &Arc<str>) -> bool {
        if TOLD_MAX <= self.count {
            *self = ToldMembers::default();
        }
        let groups = match self.groups.get_mut(user) {
            Some(groups) => groups,
            None => self.groups.entry(user.clone()).or_default(),
        };
        let is_new = groups.insert(Arc::clone(channel));
        self.count += usize::from(is_new);
        is_new
    }

    /// A user is here again, and reads what waits.
    pub fn forget(&mut self, user: &UserKey) {
        if let Some(groups) = self.groups.remove(user) {
            self.count -= groups.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(channel: &str, members: &[&str]) -> GroupMessages {
        GroupMessages {
            tenant: Arc::default(),
            channel: channel.into(),
            from: "ann".into(),
            offset: 7,
            count: 2,
            members: members.iter().map(|&name| Arc::from(name)).collect(),
        }
    }

    fn key(name: &str) -> UserKey {
        UserKey { tenant: Arc::default(), user: name.into(), unnamed: None }
    }

    #[test]
    fn members_come_in_order_without_who_said_it_and_a_full_queue_takes_no_more() {
        let mut queue = GroupQueue::default();
        for (channel, members) in
            [("a", &["ann", "bob", "cat"][..]), ("b", &[]), ("c", &["ann"]), ("d", &["dan"])]
        {
            queue.push(said(channel, members)).unwrap();
        }
        let mut found = Vec::new();
        while let Some(waiting) = queue.next() {
            assert_eq!((waiting.offset, waiting.count), (7, 2));
            found.push(format!("{}{}", waiting.channel, waiting.user.user));
        }
        assert_eq!(found, ["abob", "acat", "ddan"]);
        assert!(queue.is_empty());
        (0..QUEUED_MAX).for_each(|_| queue.push(said("a", &["bob"])).unwrap());
        assert_eq!(queue.push(said("a", &["bob"])), Err(QueueFullError));
    }

    #[test]
    fn who_was_told_is_known_until_it_is_here_or_too_many_are() {
        let mut told = ToldMembers::default();
        let channel = |number: usize| -> Arc<str> { format!("g:{number}").into() };
        assert!(told.insert(&key("ann"), &channel(0)) && !told.insert(&key("ann"), &channel(0)));
        assert!(told.insert(&key("ann"), &channel(1)) && told.insert(&key("bob"), &channel(0)));
        told.forget(&key("ann"));
        told.forget(&key("zoe"));
        assert!(told.insert(&key("ann"), &channel(0)) && !told.insert(&key("bob"), &channel(0)));
        (told.count..TOLD_MAX)
            .for_each(|number| assert!(told.insert(&key("cat"), &channel(number))));
        assert!(!told.insert(&key("bob"), &channel(0)) || told.count == 1);
        assert!(told.count <= TOLD_MAX);
    }
}
