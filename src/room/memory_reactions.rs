//! What users react to messages with, in rooms whose messages are in memory only: there it is
//! in memory, too, and goes with its message.
//!
//! Invariants: a message's totals are those of its users; `count` is the number of users of
//! all messages, each as often as it reacts, and at most `ROOM_REACTIONS_MAX`; a message that
//! nobody reacts to is not among them.
//!
//! Deliberately absent: which messages there are (`history_window`), and who may react.

use std::collections::BTreeMap;

use crate::base::UserHash;
use crate::base::limits::ROOM_REACTIONS_MAX;
use crate::store::{MessageReactions, ReactionRejection, ReactionResult, ReactionTotals};

/// What the messages of a room are reacted to with.
#[derive(Debug, Default)]
pub(super) struct MemoryReactions(Option<Box<Reactions>>);

#[derive(Debug, Default)]
struct Reactions {
    by_offset: BTreeMap<u64, OfMessage>,
    count: usize,
}

#[derive(Debug, Default)]
struct OfMessage {
    totals: ReactionTotals,
    users: BTreeMap<UserHash, Box<str>>,
}

impl MemoryReactions {
    /// A user reacts to a message, or not any more.
    pub fn react(&mut self, offset: u64, user: UserHash, value: Option<&str>) -> ReactionResult {
        let all = self.0.get_or_insert_default();
        let count = all.count;
        let message = all.by_offset.entry(offset).or_default();
        let before = message.users.get(&user);
        let is_one_more = before.is_none() && value.is_some();
        let result = if before.map(|before| &**before) == value {
            ReactionResult::Unchanged
        } else if (is_one_more && ROOM_REACTIONS_MAX <= count)
            || !message.totals.replace(before.map(|before| &**before), value)
        {
            ReactionResult::Refused(ReactionRejection::Limit)
        } else {
            all.count -= message.users.len();
            match value {
                Some(value) => message.users.insert(user, value.into()),
                None => message.users.remove(&user),
            };
            all.count += message.users.len();
            ReactionResult::Changed(message.totals.clone())
        };
        if message.users.is_empty() {
            all.by_offset.remove(&offset);
        }
        self.shrink();
        result
    }

    /// What these messages are reacted to with, in the order of their offsets, and what this
    /// user reacts with.
    pub fn of(
        &self,
        offsets: impl IntoIterator<Item = u64>,
        user: UserHash,
    ) -> Vec<MessageReactions> {
        let Some(all) = &self.0 else { return Vec::new() };
        let found = offsets.into_iter().filter_map(|offset| {
            let message = all.by_offset.get(&offset)?;
            let own = message.users.get(&user).cloned();
            Some(MessageReactions { offset, totals: message.totals.clone(), own })
        });
        let mut found: Vec<MessageReactions> = found.collect();
        found.sort_unstable_by_key(|one| one.offset);
        found
    }

    /// A message was taken back.
    pub fn forget(&mut self, offset: u64) {
        if let Some(all) = &mut self.0 {
            let gone = all.by_offset.remove(&offset);
            all.count -= gone.map_or(0, |message| message.users.len());
            self.shrink();
        }
    }

    /// Messages below this offset are gone.
    pub fn forget_below(&mut self, offset: u64) {
        if let Some(all) = &mut self.0 {
            while let Some(oldest) = all.by_offset.first_entry().filter(|one| *one.key() < offset) {
                all.count -= oldest.remove().users.len();
            }
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        self.0.take_if(|all| all.by_offset.is_empty());
    }

    /// How many there are.
    #[cfg(test)]
    pub fn count(&self) -> usize {
        self.0.as_ref().map_or(0, |all| all.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::RoomId;
    use crate::base::limits::REACTION_USERS_MAX;

    fn user(number: u64) -> UserHash {
        UserHash::of_inbox(RoomId(u128::from(number) + 1))
    }

    fn shown(
        reactions: &MemoryReactions,
        offset: u64,
        by: u64,
    ) -> Option<(Vec<u32>, Option<Box<str>>)> {
        let one = reactions.of([offset], user(by)).pop()?;
        Some((one.totals.iter().map(|(_, count)| count).collect(), one.own))
    }

    #[test]
    fn a_user_reacts_once_to_each_message() {
        let mut reactions = MemoryReactions::default();
        assert!(matches!(reactions.react(7, user(1), Some("a")), ReactionResult::Changed(_)));
        assert_eq!(reactions.react(7, user(1), Some("a")), ReactionResult::Unchanged);
        assert_eq!(reactions.react(8, user(1), None), ReactionResult::Unchanged);
        reactions.react(7, user(2), Some("a"));
        reactions.react(7, user(1), Some("b"));
        reactions.react(9, user(1), Some("a"));
        assert_eq!(shown(&reactions, 7, 1), Some((vec![1, 1], Some("b".into()))));
        assert_eq!(shown(&reactions, 7, 3), Some((vec![1, 1], None)));
        assert_eq!(shown(&reactions, 8, 1), None);
        let all = reactions.of([9, 8, 7], user(1));
        assert_eq!(all.iter().map(|one| one.offset).collect::<Vec<_>>(), [7, 9]);
        assert_eq!(reactions.count(), 3);
        reactions.react(7, user(1), None);
        reactions.react(7, user(2), None);
        assert_eq!((shown(&reactions, 7, 1), reactions.count()), (None, 1));
    }

    #[test]
    fn reactions_go_with_their_messages() {
        let mut reactions = MemoryReactions::default();
        for offset in 1..=9 {
            (0..3).for_each(|number| drop(reactions.react(offset, user(number), Some("a"))));
        }
        reactions.forget_below(4);
        assert_eq!((shown(&reactions, 3, 1), reactions.count()), (None, 18));
        reactions.forget(5);
        reactions.forget(5);
        assert_eq!((shown(&reactions, 5, 1), reactions.count()), (None, 15));
        reactions.forget_below(10);
        assert!(reactions.0.is_none(), "nothing is left");
    }

    #[test]
    fn a_room_has_so_many_in_memory() {
        let mut reactions = MemoryReactions::default();
        for number in 0..ROOM_REACTIONS_MAX as u64 {
            let offset = 1 + number / REACTION_USERS_MAX as u64;
            reactions.react(offset, user(number), Some("a"));
        }
        assert_eq!(reactions.count(), ROOM_REACTIONS_MAX);
        let limit = ReactionResult::Refused(ReactionRejection::Limit);
        assert_eq!(reactions.react(99, user(0), Some("a")), limit);
        assert!(matches!(reactions.react(1, user(0), Some("b")), ReactionResult::Changed(_)));
        assert!(matches!(reactions.react(1, user(0), None), ReactionResult::Changed(_)));
        assert!(matches!(reactions.react(99, user(0), Some("a")), ReactionResult::Changed(_)));
    }
}
