//! What is said about the members of a group, who last longer than their connections.
//!
//! Each change is a publication of its own, which names the user and the role in its tags. Clients
//! choose no tags, so none of these is forged.
//!
//! Deliberately absent: who may change what (`room`).

use super::payload;
use crate::wire::{Payload, Publication};

/// The tag of a message that says that a user has another role: which user.
pub(super) const MEMBER_TAG: &str = "group_member";

/// The tag of the same: which role.
pub(super) const ROLE_TAG: &str = "group_role";

/// The word for the role of who is no member any more.
const NO_ROLE: &str = "none";

/// The tags of a message that says that a user has another role.
pub type RoleTags = [(Box<str>, Box<str>); 2];

/// What a user is in a group. The order is that of what they may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum GroupRole {
    /// Somebody has invited the user, who is no member yet.
    Invited,
    /// The user may read and speak.
    Member,
    /// The user may invite others, too, and send members away.
    Admin,
    /// The user may give roles, too.
    Owner,
}

/// What is wanted of the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RosterAction {
    /// To be a member.
    Join,
    /// To be none any more, or not to be invited.
    Leave,
    /// To invite somebody.
    Invite,
    /// To send somebody away.
    Kick,
    /// To give a member this role.
    SetRole(GroupRole),
}

/// A member of a group, or one who is invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupMember {
    /// The user.
    pub user: Box<str>,
    /// What it is there.
    pub role: GroupRole,
    /// Since when it is a member, or invited, Unix ms.
    pub since_unix_ms: u64,
    /// Until when it has muted the group, Unix ms; 0 where it has not.
    pub muted_until_unix_ms: u64,
}

impl GroupRole {
    /// All of them.
    pub const ALL: [GroupRole; 4] =
        [GroupRole::Invited, GroupRole::Member, GroupRole::Admin, GroupRole::Owner];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            GroupRole::Invited => "invited",
            GroupRole::Member => "member",
            GroupRole::Admin => "admin",
            GroupRole::Owner => "owner",
        }
    }

    /// The role with this word.
    pub fn named(word: &str) -> Option<GroupRole> {
        GroupRole::ALL.into_iter().find(|role| role.word() == word)
    }

    /// Whether its user is a member, and not only invited.
    pub fn is_member(self) -> bool {
        GroupRole::Member <= self
    }
}

/// What says in a group that a user has another role, or none any more:
/// `{"member": "ann", "role": "admin"}`, and the tags that a client finds it by.
pub fn role_change(user: &str, role: Option<GroupRole>) -> (Payload, RoleTags) {
    let word = role.map_or(NO_ROLE, GroupRole::word);
    let data = payload(|members| {
        members.text("member", user);
        members.text("role", word);
    });
    (data, [(MEMBER_TAG.into(), user.into()), (ROLE_TAG.into(), word.into())])
}

/// A user has another role in a group, or none any more, which `by` said:
/// `{"group": {channel, user, role, by}}`.
pub fn role_notice(channel: &str, user: &str, role: Option<GroupRole>, by: &str) -> Payload {
    payload(|members| {
        members.object("group", |members| {
            members.text("channel", channel);
            members.text("user", user);
            members.text("role", role.map_or(NO_ROLE, GroupRole::word));
            members.text("by", by);
        });
    })
}

/// A user has muted a group until then, or not any more (0): `{"muted": {channel, until}}`.
pub fn muted_notice(channel: &str, until_unix_ms: u64) -> Payload {
    payload(|members| {
        members.object("muted", |members| {
            members.text("channel", channel);
            members.number("until", until_unix_ms);
        });
    })
}

/// Whether a message says that a user has another role.
pub fn is_role_change(message: &Publication) -> bool {
    message.tag(MEMBER_TAG).is_some()
}

/// A page of a group's members: `{members: [{user, role, since, muted_until}], next}`.
pub fn roster(page: &[GroupMember], next: Option<&str>) -> Payload {
    payload(|members| {
        members.list("members", page, |one, members| {
            members.text("user", &one.user);
            members.text("role", one.role.word());
            members.number("since", one.since_unix_ms);
            if one.muted_until_unix_ms != 0 {
                members.number("muted_until", one.muted_until_unix_ms);
            }
        });
        if let Some(next) = next {
            members.text("next", next);
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_has_a_word_and_a_rank() {
        for pair in GroupRole::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
        }
        for role in GroupRole::ALL {
            assert_eq!(GroupRole::named(role.word()), Some(role));
            assert_eq!(role.is_member(), role != GroupRole::Invited);
        }
        assert_eq!(GroupRole::named("none"), None);
    }

    #[test]
    fn a_change_names_user_and_role_in_data_and_tags() {
        let (data, tags) = role_change("a\"n", Some(GroupRole::Admin));
        assert_eq!(data.bytes, r#"{"member":"a\"n","role":"admin"}"#);
        let tags: Vec<_> = tags.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(tags, [("group_member", "a\"n"), ("group_role", "admin")]);
        assert_eq!(role_change("ann", None).0.bytes, r#"{"member":"ann","role":"none"}"#);
    }

    #[test]
    fn a_page_lists_users_with_their_roles() {
        let ann = GroupMember {
            user: "ann".into(),
            role: GroupRole::Owner,
            since_unix_ms: 7,
            muted_until_unix_ms: 0,
        };
        let page = roster(std::slice::from_ref(&ann), Some("ann"));
        let want = r#"{"members":[{"user":"ann","role":"owner","since":7}],"next":"ann"}"#;
        assert_eq!(page.bytes, want);
        let page = roster(&[GroupMember { muted_until_unix_ms: 9, ..ann }], None);
        let want = r#"{"members":[{"user":"ann","role":"owner","since":7,"muted_until":9}]}"#;
        assert_eq!(page.bytes, want);
        assert_eq!(roster(&[], None).bytes, r#"{"members":[]}"#);
    }
}
