//! What is told of who comes and goes: each arrival in a small room, a count now
//! and then in a large one.
//!
//! Deliberately absent: who is here (`members`).

use super::members::Members;
use super::options::JoinLeaveScope;
use super::room_context::RoomContext;
use super::room_timers::RoomTimers;
use super::user_rates::UserRates;
use super::{Namespace, RoomEvent};
use crate::base::limits::MEMBER_NEWS_USERS_MAX;
use crate::base::{MonotonicMs, Rate, Timestamps};
use crate::wire::{ClientInfo, chat};

/// How often the members of a large room are told, in ms.
const CROWD_INTERVAL_MS: u64 = 1_000;

/// Comings and goings that were not told one by one.
#[derive(Debug, Default)]
struct MembershipCounts {
    came_count: u32,
    went_count: u32,
    tell_at: MonotonicMs,
}

/// What was told of who comes and goes, and what is still to be told.
#[derive(Debug, Default)]
pub(super) struct JoinLeave {
    /// Of a large room: who came and left since its members were told last.
    crowd: Option<Box<MembershipCounts>>,
    /// How often whose coming and going was told lately.
    told_of: Option<Box<UserRates>>,
}

impl JoinLeave {
    /// What everybody is told of this arrival or departure now; a large room is told
    /// later, in numbers.
    pub fn event(
        &mut self,
        members: &Members,
        event: RoomEvent,
        cx: &mut RoomContext<'_>,
    ) -> Option<RoomEvent> {
        if !cx.rules.tells_of_members() {
            return None;
        }
        if let RoomEvent::Left(_, info, _) = &event
            && is_told_by_user(cx.rules, info)
            && members.has_user(&info.user)
        {
            return None; // the user is here by another connection
        }
        let is_small = members.listed_count() <= cx.rules.join_leave_members_max as usize;
        if is_small && self.is_within_rate(cx.now, cx.options.user_rates.member_news, &event) {
            return Some(event);
        }
        self.count(cx.now, &event, cx.slot, cx.timers);
        None
    }

    /// Whether this member's comings and goings are few enough to be told one by one: each
    /// costs a message for every other member.
    fn is_within_rate(&mut self, now: Timestamps, rate: Rate, event: &RoomEvent) -> bool {
        let info = match event {
            RoomEvent::Joined(_, info, _) | RoomEvent::Left(_, info, _) => info,
            RoomEvent::Swapped(_, swap) => &swap.came,
            RoomEvent::Reply(..)
            | RoomEvent::Published(..)
            | RoomEvent::Lost(_)
            | RoomEvent::Typing(..)
            | RoomEvent::MembershipSummary(..)
            | RoomEvent::Notice(..)
            | RoomEvent::Replaced(_) => return true,
        };
        let rates = || Box::new(UserRates::new(rate, MEMBER_NEWS_USERS_MAX));
        self.told_of.get_or_insert_with(rates).take(now.tick, "", info)
    }

    /// Counts news that are not told one by one, or did not reach everybody: the members of
    /// the room in `slot` are told the numbers soon.
    pub fn count(
        &mut self,
        now: Timestamps,
        event: &RoomEvent,
        slot: u32,
        timers: &mut RoomTimers,
    ) {
        let (came_count, went_count) = counts_of(event);
        let tell_at = now.tick.plus_ms(CROWD_INTERVAL_MS);
        if self.crowd.is_none() {
            timers.set_scan(tell_at, slot);
        }
        let crowd = self.crowd.get_or_insert_with(|| {
            Box::new(MembershipCounts { tell_at, ..MembershipCounts::default() })
        });
        crowd.came_count += came_count;
        crowd.went_count += went_count;
    }

    /// How many came and left, when it is time to tell.
    pub fn take_counts(
        &mut self,
        now: Timestamps,
        members: &Members,
    ) -> Option<chat::MembershipSummary> {
        let crowd = self.crowd.take_if(|crowd| crowd.tell_at <= now.tick)?;
        Some(chat::MembershipSummary {
            came: crowd.came_count,
            went: crowd.went_count,
            clients: members.listed_count() as u32,
            users: members.users_count() as u32,
        })
    }

    /// Whether something is still to be told in numbers.
    #[cfg(test)]
    pub fn has_counts(&self) -> bool {
        self.crowd.is_some()
    }
}

/// How many come and go by this.
fn counts_of(event: &RoomEvent) -> (u32, u32) {
    match event {
        RoomEvent::Joined(..) => (1, 0),
        RoomEvent::Left(..) => (0, 1),
        RoomEvent::Swapped(..) => (1, 1),
        RoomEvent::Reply(..)
        | RoomEvent::Published(..)
        | RoomEvent::Lost(_)
        | RoomEvent::Typing(..)
        | RoomEvent::MembershipSummary(..)
        | RoomEvent::Notice(..)
        | RoomEvent::Replaced(_) => (0, 0),
    }
}

/// Whether this client's coming and going is its user's.
pub(super) fn is_told_by_user(rules: &Namespace, info: &ClientInfo) -> bool {
    rules.join_leave_of == JoinLeaveScope::Users && !info.user.is_empty()
}
