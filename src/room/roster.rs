//! The members of a group at its home: who they are, and who may change that.
//!
//! Invariant: what is here is on disk; changes that the store was given and has not answered are
//! put over it to judge the next one (`expected`).
//!
//! Deliberately absent: how a change is kept and told (`room_messages`), and how many groups a
//! user is in, which the store counts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::{GroupEntry, RoomReply, RosterAuthority, RosterPage, RosterRequest};
use crate::base::limits::{GROUP_MEMBERS_MAX, PRESENCE_BYTES_MAX};
use crate::store::RosterChange;
use crate::wire::ErrorCode;
use crate::wire::chat::{Field, GroupMember, GroupRole, RosterAction};

/// What one entry costs in an answer beside the user's name.
const ENTRY_BYTES: usize = 64;

/// The members of one group, and who is invited.
///
/// In rooms that are no groups it is empty, and takes four words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Roster {
    entries: BTreeMap<Arc<str>, Membership>,
    /// Made when it is asked for, and then until something changes.
    unmuted: Option<Box<Unmuted>>,
}

/// Members that have not muted a group.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unmuted {
    members: Arc<[Arc<str>]>,
    /// When the next mute is over, Unix ms.
    until_unix_ms: u64,
}

/// What a user is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Membership {
    role: GroupRole,
    since_unix_ms: u64,
    /// 0 where it has not muted the group.
    muted_until_unix_ms: u64,
}

/// Whether anything was ever said in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupPast {
    /// Nothing: whoever comes first finds nothing of others.
    Empty,
    /// Something, which is for those whom its members let in.
    Kept,
}

/// What becomes of a wish to change the members.
#[derive(Debug)]
pub(super) enum RosterDecision {
    /// The user has this role from now on; `None`: none any more.
    May(Option<GroupRole>),
    /// It is so already.
    AlreadySo,
    /// It is not done: the answer that says why.
    Refused(RoomReply),
}

impl Roster {
    /// As the store has it.
    pub fn of(members: Vec<GroupMember>) -> Roster {
        let entries = members.into_iter().map(|member| {
            let GroupMember { user, role, since_unix_ms, muted_until_unix_ms } = member;
            (user.into(), Membership { role, since_unix_ms, muted_until_unix_ms })
        });
        Roster { entries: entries.collect(), unmuted: None }
    }

    /// What a user is.
    pub fn role(&self, user: &str) -> Option<GroupRole> {
        Some(self.entries.get(user)?.role)
    }

    /// Whether a user is a member, and not only invited.
    pub fn has_member(&self, user: &str) -> bool {
        self.role(user).is_some_and(GroupRole::is_member)
    }

    /// Since when a user with another role from `now_unix_ms` on is what it is.
    pub fn since_unix_ms(&self, user: &str, after: Option<GroupRole>, now_unix_ms: u64) -> u64 {
        let before = self.entries.get(user);
        let stays = |before: &&Membership| {
            before.role.is_member() && after.is_some_and(GroupRole::is_member)
        };
        before.filter(stays).map_or(now_unix_ms, |before| before.since_unix_ms)
    }

    /// A change is on disk, or will be.
    pub fn apply(&mut self, change: &RosterChange) {
        self.unmuted = None;
        match change.after {
            None => drop(self.entries.remove(&*change.user)),
            Some(role) => {
                let before =
                    self.entries.get(&*change.user).filter(|before| before.role.is_member());
                let muted_until_unix_ms = before.map_or(0, |before| before.muted_until_unix_ms);
                let since_unix_ms = change.since_unix_ms;
                let membership = Membership { role, since_unix_ms, muted_until_unix_ms };
                self.entries.insert(Arc::from(&*change.user), membership);
            }
        }
    }

    /// A member has muted the group until then, as is on disk.
    pub fn mute(&mut self, user: &str, until_unix_ms: u64) {
        self.unmuted = None;
        if let Some(member) = self.entries.get_mut(user).filter(|member| member.role.is_member()) {
            member.muted_until_unix_ms = until_unix_ms;
        }
    }

    /// Members that have not muted the group now, by name: the same list as long as that is so.
    pub fn unmuted(&mut self, now_unix_ms: u64) -> Arc<[Arc<str>]> {
        if let Some(known) = &self.unmuted
            && now_unix_ms < known.until_unix_ms
        {
            return Arc::clone(&known.members);
        }
        let (mut members, mut until_unix_ms) = (Vec::new(), u64::MAX);
        for (user, membership) in &self.entries {
            if now_unix_ms < membership.muted_until_unix_ms {
                until_unix_ms = until_unix_ms.min(membership.muted_until_unix_ms);
            } else if membership.role.is_member() {
                members.push(Arc::clone(user));
            }
        }
        let members: Arc<[Arc<str>]> = members.into();
        let list = Arc::clone(&members);
        self.unmuted = Some(Box::new(Unmuted { members, until_unix_ms }));
        list
    }

    /// The roster when these changes are on disk, too.
    pub fn expected<'c>(&self, changes: impl Iterator<Item = &'c RosterChange>) -> Cow<'_, Roster> {
        let mut expected = Cow::Borrowed(self);
        changes.for_each(|change| expected.to_mut().apply(change));
        expected
    }

    /// Members that are none in another roster.
    pub fn members_not_in(&self, other: &Roster) -> Vec<Box<str>> {
        let members = self.entries().filter(|(_, membership)| membership.role.is_member());
        members
            .filter(|(user, _)| !other.has_member(user))
            .map(|(user, _)| (**user).into())
            .collect()
    }

    /// A page by name, for members; `None` of the asker is a backend.
    pub fn page(&self, page: &RosterPage) -> RoomReply {
        if page.asker.as_ref().is_some_and(|asker| !self.has_member(asker)) {
            return RoomReply::Rejected(ErrorCode::PermissionDenied);
        }
        let after = (Bound::Excluded(&*page.after), Bound::Unbounded);
        let mut rest = self.entries.range::<str, _>(after);
        let (mut shown, mut bytes) = (Vec::new(), 0);
        for (user, membership) in rest.by_ref().take(page.count_max as usize) {
            bytes += ENTRY_BYTES + user.len();
            let Membership { role, since_unix_ms, muted_until_unix_ms } = *membership;
            // What others have muted is nobody's business.
            let is_own = page.asker.as_ref().is_none_or(|asker| **asker == **user);
            let muted_until_unix_ms = if is_own { muted_until_unix_ms } else { 0 };
            let user = (**user).into();
            shown.push(GroupMember { user, role, since_unix_ms, muted_until_unix_ms });
            if PRESENCE_BYTES_MAX < bytes {
                break;
            }
        }
        let last = shown.last().map(|one| one.user.clone());
        let next = rest.next().and(last);
        RoomReply::Roster(shown, next)
    }

    /// Judges a wish to change the members.
    pub fn judge(
        &self,
        entry: GroupEntry,
        past: GroupPast,
        request: &RosterRequest,
    ) -> RosterDecision {
        let before = self.role(&request.user);
        let needed = match request.action {
            RosterAction::Join | RosterAction::Leave => None,
            RosterAction::Invite | RosterAction::Kick => Some(GroupRole::Admin),
            RosterAction::SetRole(_) => Some(GroupRole::Owner),
        };
        if needed.is_some_and(|needed| !self.is_at_least(request, needed)) {
            return DENIED;
        }
        match request.action {
            RosterAction::Join => self.judge_join((entry, past), request.authority, before),
            RosterAction::Leave => match before {
                None => RosterDecision::AlreadySo,
                Some(GroupRole::Owner) if self.needs_another_owner() => DENIED,
                Some(_) => RosterDecision::May(None),
            },
            RosterAction::Invite => match before {
                Some(_) => RosterDecision::AlreadySo,
                None if self.is_full() => FULL,
                None => RosterDecision::May(Some(GroupRole::Invited)),
            },
            RosterAction::Kick => {
                let is_above = |role: GroupRole| {
                    let actor = self.actor(request);
                    actor.is_none() || actor.is_some_and(|actor| role < actor)
                };
                match before {
                    None => RosterDecision::AlreadySo,
                    Some(role) if !is_above(role) => DENIED,
                    Some(_) => RosterDecision::May(None),
                }
            }
            RosterAction::SetRole(after) => match before {
                None | Some(GroupRole::Invited) => {
                    RosterDecision::Refused(RoomReply::InvalidField(Field::Member))
                }
                Some(before) if before == after => RosterDecision::AlreadySo,
                Some(GroupRole::Owner) if self.owners_count() < 2 => DENIED,
                Some(GroupRole::Member | GroupRole::Admin | GroupRole::Owner) => {
                    RosterDecision::May(Some(after))
                }
            },
        }
    }

    /// Whoever comes first owns the group. Where one has to be invited, nobody comes first to what
    /// others have said and left.
    fn judge_join(
        &self,
        (entry, past): (GroupEntry, GroupPast),
        authority: RosterAuthority,
        before: Option<GroupRole>,
    ) -> RosterDecision {
        let is_new = !self.entries().any(|(_, membership)| membership.role.is_member());
        let after = if is_new { GroupRole::Owner } else { GroupRole::Member };
        let may_enter = match authority {
            RosterAuthority::Guest => false,
            RosterAuthority::Entrant => {
                entry == GroupEntry::Open || (is_new && past == GroupPast::Empty)
            }
            RosterAuthority::Admitted | RosterAuthority::Moderator => true,
        };
        match before {
            Some(GroupRole::Member | GroupRole::Admin | GroupRole::Owner) => {
                RosterDecision::AlreadySo
            }
            Some(GroupRole::Invited) => RosterDecision::May(Some(after)),
            None if !may_enter => DENIED,
            None if self.is_full() => FULL,
            None => RosterDecision::May(Some(after)),
        }
    }

    fn entries(&self) -> impl Iterator<Item = (&Arc<str>, &Membership)> {
        self.entries.iter()
    }

    fn is_full(&self) -> bool {
        GROUP_MEMBERS_MAX <= self.entries.len()
    }

    /// Whether there is one owner, and members that would be left without one.
    fn needs_another_owner(&self) -> bool {
        let members = self.entries().filter(|(_, membership)| membership.role.is_member());
        self.owners_count() < 2 && 1 < members.count()
    }

    fn owners_count(&self) -> usize {
        self.entries().filter(|(_, membership)| membership.role == GroupRole::Owner).count()
    }

    /// What the one who asks is; `None` for who stands above all roles.
    fn actor(&self, request: &RosterRequest) -> Option<GroupRole> {
        match request.authority {
            RosterAuthority::Moderator => None,
            RosterAuthority::Guest | RosterAuthority::Entrant | RosterAuthority::Admitted => {
                let asker = request.publish.info.as_ref().map_or("", |info| &info.user);
                Some(self.role(asker).unwrap_or(GroupRole::Invited))
            }
        }
    }

    fn is_at_least(&self, request: &RosterRequest, role: GroupRole) -> bool {
        self.actor(request).is_none_or(|actor| role <= actor)
    }
}

const DENIED: RosterDecision =
    RosterDecision::Refused(RoomReply::Rejected(ErrorCode::PermissionDenied));

const FULL: RosterDecision = RosterDecision::Refused(RoomReply::Rejected(ErrorCode::LimitExceeded));
