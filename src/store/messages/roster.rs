//! Who the members of a group are, as values: how that changes with a message, and how a member
//! mutes the group for itself.
//!
//! Deliberately absent: who may change it (`room`).

use std::sync::Arc;

use crate::base::RoomId;
use crate::wire::chat::GroupRole;

/// A user has another role in a group, or none any more; together with the message that says so,
/// or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterChange {
    /// The group's name, by which it stands among the user's conversations.
    pub channel: Arc<str>,
    /// The user.
    pub user: Box<str>,
    /// The user's personal channel.
    pub inbox: RoomId,
    /// The role before.
    pub before: Option<GroupRole>,
    /// The role from now on.
    pub after: Option<GroupRole>,
    /// Since when the user is a member, or invited, Unix ms.
    pub since_unix_ms: u64,
}

/// A member mutes a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MuteGroup {
    /// The group.
    pub room: RoomId,
    /// The member.
    pub user: Box<str>,
    /// Until then, Unix ms; 0 for not any more.
    pub until_unix_ms: u64,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MuteResult {
    /// It is written.
    Muted,
    /// The user is no member; nothing changed.
    NoMember,
}

impl RosterChange {
    /// Whether the user becomes a member by it, and was none.
    pub fn joins(&self) -> bool {
        let is_member = |role: Option<GroupRole>| role.is_some_and(GroupRole::is_member);
        is_member(self.after) && !is_member(self.before)
    }
}
