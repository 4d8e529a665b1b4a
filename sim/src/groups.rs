//! A backend that changes the members of groups as their users, by the server API, and what must
//! be on the disk then: a member with its record, its group and its conversation, or none of them.
//!
//! One change of a group is under way at a time. What became of one that was not answered well is
//! not known until the group is asked who is in it.
//!
//! Deliberately absent: clients in these groups, which tests of rooms have.

use std::collections::{BTreeMap, BTreeSet};

use rookery::base::{Prng, RoomId, UserHash};
use rookery::room::{RetractRight, RoomReply};
use rookery::session::{NameKey, ServerChat};
use rookery::shard::{
    ServerAnswer, ServerAsk, ServerOp, ServerQuestion, ServerReply, ShardCommand, home,
};
use rookery::store::{Disk, StoreKeyspace};
use rookery::wire::ErrorCode;
use rookery::wire::chat::{GroupRole, Method};

use crate::on_disk::{entries, room_at};
use crate::scenario::Scenario;
use crate::violation::{CheckResult, Checker, demand};

/// Groups of a world that has some.
const GROUPS: [&str; 3] = ["group:0", "group:1", "group:2"];

/// Who may be in them.
const PEOPLE: [&str; 4] = ["ann", "bob", "cat", "dan"];

/// Numbers of these questions begin here, so that they are no one else's.
const FIRST_ID: u32 = 1 << 30;

/// Who is in a group.
type Roster = BTreeMap<&'static str, GroupRole>;

/// See the module.
pub struct GroupCaller {
    prng: Prng,
    next_id: u32,
    groups: BTreeMap<&'static str, Group>,
    /// Questions under way, by number.
    open: BTreeMap<u32, (&'static str, Asked)>,
}

/// What is known of a group.
#[derive(Debug, Default)]
struct Group {
    roster: Roster,
    /// What it is, too, as far as anybody knows: a change is under way, or was not answered well.
    or_else: Option<Roster>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Change,
    Who,
}

impl GroupCaller {
    /// Nobody is in any group.
    pub fn new(seed: u64) -> GroupCaller {
        let prng = Prng::from_seed(seed ^ 0x6_0009);
        let groups = GROUPS.into_iter().map(|channel| (channel, Group::default())).collect();
        GroupCaller { prng, next_id: FIRST_ID, groups, open: BTreeMap::new() }
    }

    /// Whether this is the number of one of its questions.
    pub fn has_asked(id: u32) -> bool {
        FIRST_ID < id
    }

    /// Perhaps changes a group: the core that is asked, and what.
    pub fn act(&mut self, scenario: &Scenario, names: NameKey) -> Option<(usize, ShardCommand)> {
        let share = scenario.role_changes_per_1_000;
        if share == 0 || share <= self.prng.below(1_000) {
            return None;
        }
        let channel = GROUPS[self.prng.below(GROUPS.len() as u64) as usize];
        if self.open.values().any(|(open, _)| *open == channel) {
            return None;
        }
        let user = PEOPLE[self.prng.below(PEOPLE.len() as u64) as usize];
        let member = PEOPLE[self.prng.below(PEOPLE.len() as u64) as usize];
        let role =
            [GroupRole::Member, GroupRole::Admin, GroupRole::Owner][self.prng.below(3) as usize];
        let method = [Method::Join, Method::Leave, Method::Invite, Method::Kick, Method::SetRole]
            [self.prng.below(5) as usize];
        let group = self.groups.get_mut(channel)?;
        let asked = if group.or_else.is_some() { Asked::Who } else { Asked::Change };
        let method = match asked {
            Asked::Who => Method::Roster,
            Asked::Change => method,
        };
        if asked == Asked::Change {
            group.or_else = Some(after(&group.roster, method, user, (member, role)));
        }
        let data =
            format!(r#"{{"channel":"{channel}","member":"{member}","role":"{}"}}"#, role.word());
        let right = match self.prng.percent(50) {
            true => RetractRight::Moderator,
            false => RetractRight::Author,
        };
        let data = data.into_bytes().into();
        let chat = ServerChat { tenant: "".into(), user: user.into(), method, data, right };
        let room = names.room("", channel);
        self.next_id += 1;
        self.open.insert(self.next_id, (channel, asked));
        let question = ServerQuestion {
            id: self.next_id,
            asker: UserHash::of_inbox(RoomId(2)),
            ask: ServerAsk::Room(room, ServerOp::Chat(Box::new(chat))),
        };
        let core = usize::from(home(room, scenario.shards_count).0);
        Some((core, ShardCommand::Server(vec![question])))
    }

    /// A core answers.
    pub fn on_answer(&mut self, answer: ServerAnswer) -> CheckResult {
        let ServerAnswer { id, reply } = answer;
        let (channel, asked) = self.open.remove(&id).expect("it is answered once");
        let group = self.groups.get_mut(channel).expect("it is one of the groups");
        let ServerReply::Room(reply) = reply else { unreachable!("a room was asked") };
        match (asked, reply) {
            (Asked::Change, RoomReply::Done) => {
                group.roster = group.or_else.take().expect("a change was under way");
            }
            (_, RoomReply::Rejected(ErrorCode::Internal | ErrorCode::TooManyRequests)) => (),
            (Asked::Change, RoomReply::Rejected(_) | RoomReply::InvalidField(_)) => {
                group.or_else = None;
            }
            (Asked::Who, RoomReply::Roster(members, _)) => {
                let found: BTreeMap<&str, GroupRole> =
                    members.iter().map(|one| (&*one.user, one.role)).collect();
                let candidates = [Some(&group.roster), group.or_else.as_ref()];
                let known = candidates.into_iter().flatten().find(|one| **one == found).cloned();
                demand!(
                    known.is_some(),
                    Checker::Groups,
                    "{channel} has {found:?}, and should have one of {candidates:?}"
                )?;
                group.roster = known.unwrap_or_default();
                group.or_else = None;
            }
            (asked, other) => unreachable!("{asked:?} is answered with {other:?}"),
        }
        Ok(())
    }

    /// Whether everything is answered.
    pub fn is_quiet(&self) -> bool {
        self.open.is_empty()
    }

    /// The process that was asked is gone.
    pub fn forget(&mut self) {
        self.open.clear();
    }

    /// The disk has the members of each group, and each with both halves.
    pub fn check_disk(&self, disk: &impl Disk, names: NameKey) -> CheckResult {
        let named = |space| -> BTreeSet<(RoomId, String)> {
            let all = entries(disk, space).into_iter();
            all.map(|(key, _)| (room_at(&key, 0), String::from_utf8_lossy(&key[16..]).into_owned()))
                .collect()
        };
        let (members, groups) =
            (entries(disk, StoreKeyspace::GroupMembers), named(StoreKeyspace::UserGroups));
        let conversations = named(StoreKeyspace::Conversations);
        for (channel, group) in &self.groups {
            let room = names.room("", channel);
            let of_it = members.iter().filter(|(key, _)| room_at(key, 0) == room);
            let found: BTreeMap<&str, u8> = of_it
                .map(|(key, value)| (std::str::from_utf8(&key[16..]).unwrap_or_default(), value[1]))
                .collect();
            let is_right = |roster: &Roster| {
                roster.iter().map(|(user, role)| (*user, *role as u8)).collect::<BTreeMap<_, _>>()
                    == found
            };
            demand!(
                is_right(&group.roster) || group.or_else.as_ref().is_some_and(is_right),
                Checker::Groups,
                "{channel} has {found:?} on disk, and should have {group:?}"
            )?;
            for user in PEOPLE {
                let entry = (names.inbox("", user), (*channel).to_owned());
                let halves = [groups.contains(&entry), conversations.contains(&entry)];
                demand!(
                    halves == [found.contains_key(user); 2],
                    Checker::Groups,
                    "{channel}: {user} has the halves {halves:?}, and the members are {found:?}"
                )?;
            }
        }
        Ok(())
    }
}

/// The members when this is done.
fn after(
    before: &Roster,
    method: Method,
    user: &'static str,
    (member, role): (&'static str, GroupRole),
) -> Roster {
    let mut roster = before.clone();
    if method == Method::Join {
        let is_new = !roster.values().any(|role| role.is_member());
        let joined = if is_new { GroupRole::Owner } else { GroupRole::Member };
        let role = roster.entry(user).or_insert(joined);
        if !role.is_member() {
            *role = joined;
        }
    } else if method == Method::Leave {
        roster.remove(user);
    } else if method == Method::Invite {
        roster.entry(member).or_insert(GroupRole::Invited);
    } else if method == Method::Kick {
        roster.remove(member);
    } else {
        roster.insert(member, role);
    }
    roster
}
