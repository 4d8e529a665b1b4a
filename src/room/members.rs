//! The members of one room: how many are on each shard, and, where the namespace wants it,
//! who they are, and whose place is kept while they are away for a moment, their grace.
//!
//! Deliberately absent: what is told of who comes and goes (`membership_events`), and limits on
//! members.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use smallvec::SmallVec;

use super::users::EntriesPerUser;
use super::{RoomEvent, RoomOutput};
use crate::base::{ConnId, MonotonicMs, ShardId};
use crate::wire::{ClientInfo, Payload};

/// A list of at most so many is looked through to count its users; most rooms are
/// that small, and shall not keep a count of each. In a longer one whoever may ask
/// could keep the shard busy.
const LOOKED_THROUGH_MAX: usize = 64;

/// Where a member's connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId {
    /// On which shard.
    pub shard: ShardId,
    /// Which connection of it.
    pub conn: ConnId,
}

/// One entry of the presence list.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub info: Arc<ClientInfo>,
    /// What the subscription's token says.
    pub chan_info: Option<Arc<Payload>>,
    away: bool,
}

/// Who is in a room: always how many on which shard, and by name where the
/// namespace wants it.
///
/// Invariant: a member is in `away`, under its user's name, exactly when its entry
/// in `listed` says so; no name in `away` has an empty list; `users`, where it is
/// kept, counts all of `listed`, and it is kept for every list too long to be
/// looked through.
#[derive(Debug, Default)]
pub struct Members {
    counts: SmallVec<[(ShardId, u32); 2]>,
    listed: BTreeMap<MemberId, Member>,
    away: BTreeMap<Box<str>, SmallVec<[Absence; 1]>>,
    users: Option<Box<EntriesPerUser>>,
}

/// A place that is kept for a while.
#[derive(Clone, Copy, Debug)]
struct Absence {
    member_id: MemberId,
    end: MonotonicMs,
}

/// How a new member was received.
#[derive(Debug)]
pub enum JoinResult {
    /// It takes no place of another.
    Joined,
    /// Its own connection was away for a moment, and is back.
    Resumed,
    /// It takes the place of this connection of the same user, which was away and is
    /// on the list no more.
    Replaced(Member),
}

impl Member {
    /// What it takes in an answer, about.
    pub fn bytes(&self) -> usize {
        let conn_info = self.info.conn_info.as_ref().map_or(0, |info| info.bytes.len());
        let chan_info = self.chan_info.as_ref().map_or(0, |info| info.bytes.len());
        self.info.user.len() + conn_info + chan_info
    }
}

impl Members {
    /// Shards with at least one subscriber.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> {
        self.counts.iter().map(|&(shard, _)| shard)
    }

    /// Says something once to each shard with subscribers.
    pub(super) fn send_to_shards(&self, event: &RoomEvent, out: &mut RoomOutput) {
        self.shards().for_each(|shard| out.send(shard, event.clone()));
    }

    /// How many subscribers each of these shards has.
    pub fn counts(&self) -> impl Iterator<Item = (ShardId, u32)> {
        self.counts.iter().copied()
    }

    /// Subscribers on one shard.
    pub fn count_on(&self, shard: ShardId) -> u32 {
        self.counts().find(|&(other, _)| other == shard).map_or(0, |(_, count)| count)
    }

    /// Subscribers on all shards.
    pub fn count(&self) -> u32 {
        self.counts.iter().map(|&(_, count)| count).sum()
    }

    /// True when nobody is here and nobody is expected back.
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty() && self.listed.is_empty()
    }

    /// One subscriber more on `shard`.
    pub fn count_in(&mut self, shard: ShardId) {
        match self.counts.binary_search_by_key(&shard, |&(shard, _)| shard) {
            Ok(index) => self.counts[index].1 += 1,
            Err(index) => self.counts.insert(index, (shard, 1)),
        }
    }

    /// One subscriber less on `shard`.
    pub fn count_out(&mut self, shard: ShardId) {
        let found = self.counts.binary_search_by_key(&shard, |&(shard, _)| shard);
        let index = found.expect("only who came in goes out: lanes keep the order");
        self.counts[index].1 -= 1;
        if self.counts[index].1 == 0 {
            self.counts.remove(index);
        }
    }

    /// Puts a member on the list. A user that was away takes its place back under the
    /// new connection; who lists connections has to hear of both, or keeps the old one
    /// for ever.
    pub fn insert(
        &mut self,
        member_id: MemberId,
        info: Arc<ClientInfo>,
        chan_info: Option<Arc<Payload>>,
    ) -> JoinResult {
        // A connection that comes back itself takes its own place.
        let away = self.away.get(&*info.user);
        let earlier = away.map(|absences| {
            let own = absences.iter().any(|absence| absence.member_id == member_id);
            if own { member_id } else { absences[0].member_id }
        });
        let before = earlier.and_then(|earlier| self.remove(earlier));
        let member = Member { info, chan_info, away: false };
        if let Some(users) = &mut self.users {
            users.count_in(&member.info);
        }
        let replaced = self.listed.insert(member_id, member);
        assert!(replaced.is_none(), "a session subscribes once");
        if self.users.is_none() && LOOKED_THROUGH_MAX < self.listed.len() {
            let infos = self.listed().map(|member| &member.info);
            self.users = Some(Box::new(infos.collect()));
        }
        match before {
            None => JoinResult::Joined,
            Some(_) if earlier == Some(member_id) => JoinResult::Resumed,
            Some(before) => JoinResult::Replaced(before),
        }
    }

    /// Takes a member off the list, if it is on it.
    pub fn remove(&mut self, member_id: MemberId) -> Option<Member> {
        let member = self.listed.remove(&member_id)?;
        if let Some(users) = &mut self.users {
            users.count_out(&member.info.user);
            // Far enough below the other limit that coming and going builds nothing.
            if self.listed.len() <= LOOKED_THROUGH_MAX / 2 {
                self.users = None;
            }
        }
        if member.away {
            let absences = self.away.get_mut(&*member.info.user);
            let absences = absences.expect("away members are in both");
            absences.retain(|absence| absence.member_id != member_id);
            if absences.is_empty() {
                self.away.remove(&*member.info.user);
            }
        }
        Some(member)
    }

    /// Keeps until `end` the place of a member whose connection is gone. False
    /// when there is none to keep: it is not listed, or has no name to come back by.
    pub fn begin_absence(&mut self, member_id: MemberId, end: MonotonicMs) -> bool {
        match self.listed.get_mut(&member_id) {
            Some(member) if !member.info.user.is_empty() => {
                member.away = true;
                self.away
                    .entry(member.info.user.clone())
                    .or_default()
                    .push(Absence { member_id, end });
                true
            }
            Some(_) | None => false,
        }
    }

    /// Takes a member off the list if its absence is over. One that has come back
    /// stays, and so does one that went away once more after it.
    pub fn end_absence(&mut self, member_id: MemberId, now: MonotonicMs) -> Option<Member> {
        let member = self.listed.get(&member_id).filter(|member| member.away)?;
        let absences = self.away.get(&*member.info.user).expect("away members are in both");
        let over =
            absences.iter().any(|absence| absence.member_id == member_id && absence.end <= now);
        if over { self.remove(member_id) } else { None }
    }

    /// How many are on the list.
    pub fn listed_count(&self) -> usize {
        self.listed.len()
    }

    /// The list.
    pub fn listed(&self) -> impl Iterator<Item = &Member> {
        self.listed.values()
    }

    /// Whether a user has a place on the list.
    pub fn has_user(&self, user: &str) -> bool {
        match &self.users {
            Some(users) => users.has(user),
            None => self.listed().any(|member| *member.info.user == *user),
        }
    }

    /// The list after a member, or from its beginning.
    pub fn listed_behind(
        &self,
        after: Option<MemberId>,
    ) -> impl Iterator<Item = (MemberId, &Member)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.listed.range((from, Bound::Unbounded)).map(|(&member_id, member)| (member_id, member))
    }

    /// How many different users are on the list.
    pub fn users_count(&self) -> usize {
        match &self.users {
            Some(users) => users.count(),
            None => self.listed().map(|member| &*member.info.user).collect::<BTreeSet<_>>().len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ClientId, Prng};

    const END: MonotonicMs = MonotonicMs(1_000);

    fn member_id(slot: u32) -> MemberId {
        MemberId { shard: ShardId(0), conn: ConnId { slot, generation: 0 } }
    }

    fn user(name: &str, client: u128) -> Arc<ClientInfo> {
        Arc::new(ClientInfo { user: name.into(), client: ClientId(client), conn_info: None })
    }

    #[test]
    fn who_comes_back_in_time_takes_the_place_of_the_old_connection() {
        let mut members = Members::default();
        assert!(matches!(members.insert(member_id(1), user("ann", 1), None), JoinResult::Joined));
        assert!(matches!(members.insert(member_id(2), user("ann", 2), None), JoinResult::Joined));
        assert!(members.begin_absence(member_id(1), END));
        let arrival = members.insert(member_id(3), user("ann", 3), None);
        assert!(matches!(arrival, JoinResult::Replaced(old) if old.info.client == ClientId(1)));
        assert!(members.end_absence(member_id(1), END).is_none(), "its place was taken over");
        assert!(members.end_absence(member_id(2), END).is_none(), "it never went away");
        assert_eq!((members.listed_count(), members.users_count()), (2, 1));
    }

    #[test]
    fn a_connection_that_comes_back_takes_its_own_place() {
        let mut members = Members::default();
        members.insert(member_id(1), user("ann", 1), None);
        members.insert(member_id(2), user("ann", 2), None);
        assert!(
            members.begin_absence(member_id(1), END) && members.begin_absence(member_id(2), END)
        );
        assert!(matches!(members.insert(member_id(2), user("ann", 2), None), JoinResult::Resumed));
        assert!(members.end_absence(member_id(2), END).is_none(), "it is here");
        assert!(matches!(members.insert(member_id(1), user("ann", 1), None), JoinResult::Resumed));
        assert_eq!(members.listed_count(), 2);
    }

    #[test]
    fn who_stays_away_is_given_up_once() {
        let mut members = Members::default();
        members.insert(member_id(1), user("ann", 1), None);
        members.insert(member_id(2), user("", 2), None);
        assert!(members.begin_absence(member_id(1), END));
        assert!(!members.begin_absence(member_id(2), END), "nobody without a name can come back");
        assert!(members.end_absence(member_id(1), END).is_some());
        assert!(members.end_absence(member_id(1), END).is_none());
        assert!(members.remove(member_id(2)).is_some());
        assert!(members.is_empty());
    }

    #[test]
    fn each_absence_has_its_own_end() {
        let mut members = Members::default();
        members.insert(member_id(1), user("ann", 1), None);
        assert!(members.begin_absence(member_id(1), END));
        assert!(matches!(members.insert(member_id(1), user("ann", 1), None), JoinResult::Resumed));
        let later = END.plus_ms(500);
        assert!(members.begin_absence(member_id(1), later));
        assert!(
            members.end_absence(member_id(1), END).is_none(),
            "that was the end of the first one"
        );
        assert!(members.end_absence(member_id(1), MonotonicMs(later.0 - 1)).is_none());
        assert!(members.end_absence(member_id(1), later).is_some());
    }

    /// The count beside the names of the whole list, in lists that become long
    /// and short again.
    #[test]
    fn users_are_counted_once_in_lists_of_any_length() {
        const MEMBER_IDS_COUNT: u32 = 200;
        for seed in 0..10 {
            let mut prng = Prng::from_seed(seed);
            let mut members = Members::default();
            let mut longest = 0;
            let names_count = 1 + prng.below(100) as u32;
            for step in 0..2_000u64 {
                let member_id = member_id(prng.below(MEMBER_IDS_COUNT.into()) as u32);
                let present = members.listed.get(&member_id).map(|member| !member.away);
                let mostly_comes = (step / 500).is_multiple_of(2);
                let comes = prng.percent(if mostly_comes { 70 } else { 2 });
                match (present, comes) {
                    (None | Some(false), true) => {
                        // The first name is that of all who have none.
                        let name = member_id.conn.slot % names_count;
                        let name = if name == 0 { String::new() } else { name.to_string() };
                        members.insert(
                            member_id,
                            user(&name, u128::from(member_id.conn.slot)),
                            None,
                        );
                    }
                    (Some(true), false) if prng.percent(50) => {
                        members.begin_absence(member_id, MonotonicMs(step + prng.below(50)));
                    }
                    (Some(true), false) => assert!(members.remove(member_id).is_some()),
                    (Some(false), false) => drop(members.end_absence(member_id, MonotonicMs(step))),
                    (None, false) | (Some(true), true) => (),
                }
                let listed = members.listed().map(|member| &*member.info.user);
                let users_count = listed.collect::<BTreeSet<_>>().len();
                assert_eq!(members.users_count(), users_count, "seed {seed}, step {step}");
                let length = members.listed_count();
                longest = longest.max(length);
                match &members.users {
                    Some(_) => assert!(LOOKED_THROUGH_MAX / 2 < length, "too short for a count"),
                    None => assert!(length <= LOOKED_THROUGH_MAX, "too long to be looked through"),
                }
            }
            assert!(LOOKED_THROUGH_MAX < longest);
            (0..MEMBER_IDS_COUNT).for_each(|slot| drop(members.remove(member_id(slot))));
            assert!(members.is_empty() && members.users.is_none() && members.away.is_empty());
        }
    }

    #[test]
    fn counts_are_kept_by_shard() {
        let mut members = Members::default();
        for shard in [5, 1, 5] {
            members.count_in(ShardId(shard));
        }
        assert_eq!(members.shards().collect::<Vec<_>>(), [ShardId(1), ShardId(5)]);
        members.count_out(ShardId(5));
        assert_eq!(members.count(), 2);
        assert_eq!([1, 5, 6].map(|shard| members.count_on(ShardId(shard))), [1, 1, 0]);
        members.count_out(ShardId(5));
        members.count_out(ShardId(1));
        assert!(members.is_empty());
    }
}
