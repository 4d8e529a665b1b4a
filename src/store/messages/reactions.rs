//! What users react to messages with, as values: what is asked and answered about it, and the
//! totals of one message, which rooms in memory keep, too.
//!
//! Invariants: in totals no value stands twice and each has a user at least; there are at
//! most `REACTION_KINDS_MAX` values and `REACTION_USERS_MAX` users.
//!
//! Deliberately absent: who reacted, which is kept beside the totals, one record a user.

use std::sync::Arc;

use super::HistoryRange;
use crate::base::limits::{REACTION_KINDS_MAX, REACTION_USERS_MAX};
use crate::base::{RoomId, UserHash};
use crate::wire::Publication;

/// A user reacts to a message, in another way, or not any more.
#[derive(Clone, Debug)]
pub struct React {
    /// The channel.
    pub room: RoomId,
    /// The message.
    pub offset: u64,
    /// The user,
    pub user: UserHash,
    /// and the user's name.
    pub name: Box<str>,
    /// With what; `None` takes back what the user reacted with.
    pub value: Option<Box<str>>,
    /// A message that was said before is too old.
    pub said_since_unix_ms: u64,
}

/// What a reaction came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReactionResult {
    /// The message has these totals now.
    Changed(ReactionTotals),
    /// It was so before.
    Unchanged,
    /// Nothing changed, and why.
    Refused(ReactionRejection),
}

/// Why somebody does not react to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReactionRejection {
    /// There is no message there that may be reacted to.
    NoMessage,
    /// It is reacted to with as many values, or by as many users, as may be.
    Limit,
}

/// What was reacted to messages with is asked for.
#[derive(Clone, Debug)]
pub struct ReactionsQuery {
    /// The channel.
    pub room: RoomId,
    /// The user whose own reaction is wanted, too; `NOBODY` for nobody's.
    pub user: UserHash,
    /// The messages.
    pub of: ReactedMessages,
}

/// Messages whose reactions are asked for.
#[derive(Clone, Debug)]
pub enum ReactedMessages {
    /// Those at these offsets, in their order, that were said since a time, Unix ms.
    Listed(Box<[u64]>, u64),
    /// Those of a part of the channel, which is read with it.
    Read(HistoryRange),
}

/// What was reacted to messages with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReactionPage {
    /// The messages, in the order asked for, where a part of the channel was asked for.
    pub messages: Vec<Arc<Publication>>,
    /// By offset, without messages that nobody reacted to.
    pub reactions: Vec<MessageReactions>,
}

/// What was reacted to one message with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageReactions {
    /// The message.
    pub offset: u64,
    /// How many reacted with what.
    pub totals: ReactionTotals,
    /// What the asker reacted with.
    pub own: Option<Box<str>>,
}

/// How many users reacted to a message with what, in the order in which the values came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReactionTotals(Vec<(Box<str>, u32)>);

impl ReactionTotals {
    /// Each value, and how many users reacted with it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u32)> {
        self.0.iter().map(|(value, count)| (&**value, *count))
    }

    /// Whether nobody reacted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many users reacted.
    pub fn users_count(&self) -> usize {
        self.0.iter().map(|(_, count)| *count as usize).sum()
    }

    /// A value of so many users joins the others. False where the totals would not be any
    /// that can come about.
    pub fn push(&mut self, value: &str, count: u32) -> bool {
        let users_count = self.users_count().saturating_add(count as usize);
        let fits = count != 0
            && !value.is_empty()
            && self.0.len() < REACTION_KINDS_MAX
            && users_count <= REACTION_USERS_MAX
            && self.0.iter().all(|(other, _)| **other != *value);
        if fits {
            self.0.push((value.into(), count));
        }
        fits
    }

    /// A user who reacted with `before` reacts with `after`. False, and nothing changes, where
    /// no more values or users fit.
    #[must_use]
    pub fn replace(&mut self, before: Option<&str>, after: Option<&str>) -> bool {
        let before_index = before.and_then(|value| self.index_of(value));
        let frees_kind = before_index.is_some_and(|index| self.0[index].1 == 1);
        let after_index = after.and_then(|value| self.index_of(value));
        if after.is_some() {
            let kinds_count = self.0.len() + usize::from(after_index.is_none());
            let has_kind = kinds_count - usize::from(frees_kind) <= REACTION_KINDS_MAX;
            let has_user = before_index.is_some() || self.users_count() < REACTION_USERS_MAX;
            if !has_kind || !has_user {
                return false;
            }
        }
        match (after_index, after) {
            (Some(index), _) => self.0[index].1 += 1,
            (None, Some(value)) => self.0.push((value.into(), 1)),
            (None, None) => (),
        }
        if let Some(index) = before_index {
            self.0[index].1 -= 1;
        }
        self.0.retain(|(_, count)| *count != 0);
        true
    }

    fn index_of(&self, value: &str) -> Option<usize> {
        self.0.iter().position(|(other, _)| **other == *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(totals: &ReactionTotals) -> Vec<(&str, u32)> {
        totals.iter().collect()
    }

    #[test]
    fn a_user_counts_once_and_what_nobody_has_any_more_goes() {
        let mut totals = ReactionTotals::default();
        assert!(totals.replace(None, Some("a")) && totals.replace(None, Some("b")));
        assert!(totals.replace(None, Some("a")));
        assert_eq!(shown(&totals), [("a", 2), ("b", 1)]);
        assert!(totals.replace(Some("b"), Some("a")));
        assert_eq!((shown(&totals), totals.users_count()), (vec![("a", 3)], 3));
        for _ in 0..3 {
            assert!(totals.replace(Some("a"), None));
        }
        assert!(totals.is_empty());
    }

    #[test]
    fn a_message_has_so_many_kinds_and_one_that_nobody_has_makes_room() {
        let mut totals = ReactionTotals::default();
        for kind in 0..REACTION_KINDS_MAX {
            assert!(totals.replace(None, Some(&format!("k{kind}"))));
        }
        let before = totals.clone();
        assert!(!totals.replace(None, Some("new")));
        assert_eq!(totals, before, "what is refused changes nothing");
        assert!(totals.replace(None, Some("k1")), "one that is there takes no place");
        assert!(!totals.replace(Some("k1"), Some("new")), "somebody else has it, too");
        assert!(totals.replace(Some("k2"), Some("new")));
        assert!(totals.replace(Some("new"), None) && totals.replace(None, Some("k2")));
    }

    #[test]
    fn a_message_has_so_many_users() {
        let mut totals = ReactionTotals::default();
        for _ in 0..REACTION_USERS_MAX {
            assert!(totals.replace(None, Some("a")));
        }
        assert!(!totals.replace(None, Some("a")) && totals.replace(Some("a"), Some("b")));
        assert_eq!(totals.users_count(), REACTION_USERS_MAX);
    }

    #[test]
    fn totals_that_cannot_come_about_are_none() {
        let mut totals = ReactionTotals::default();
        assert!(totals.push("a", 1) && totals.push("b", REACTION_USERS_MAX as u32 - 1));
        for (value, count) in [("a", 1), ("c", 0), ("", 1), ("c", 1), ("c", u32::MAX)] {
            assert!(!totals.push(value, count), "{value} {count}");
        }
    }
}
