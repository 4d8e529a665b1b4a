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
use crate::base::limits::{JOIN_LEAVE_UNCOUNTED_MEMBERS_MAX, JOIN_LEAVE_USERS_MAX};
use crate::base::{MonotonicMs, Rate, Timestamps};
use crate::wire::{ClientInfo, chat};

/// How often the members of a large room are told, in ms.
const SUMMARY_INTERVAL_MS: u64 = 1_000;

/// Comings and goings that were not told one by one.
#[derive(Debug, Default)]
struct MembershipCounts {
    joined_count: u32,
    left_count: u32,
    send_at: MonotonicMs,
}

/// What was told of who comes and goes, and what is still to be told.
#[derive(Debug, Default)]
pub(super) struct JoinLeave {
    /// Of a large room: who came and left since its members were told last.
    counts: Option<Box<MembershipCounts>>,
    /// How often whose coming and going was told lately.
    user_rates: Option<Box<UserRates>>,
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
        if !cx.rules.sends_join_leave() {
            return None;
        }
        if let RoomEvent::Left(_, info, _) = &event
            && is_counted_by_user(cx.rules, info)
            && members.has_user(&info.user)
        {
            return None; // the user is here by another connection
        }
        let count = members.listed_count();
        let is_small = count <= cx.rules.join_leave_members_max as usize;
        let is_cheap = count <= JOIN_LEAVE_UNCOUNTED_MEMBERS_MAX;
        let rate = cx.options.user_rates.join_leave;
        if is_small && (is_cheap || self.is_within_rate(cx.now, rate, &event)) {
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
            RoomEvent::MemberReplaced(_, replacement) => &replacement.joined,
            RoomEvent::Reply(..)
            | RoomEvent::Published(..)
            | RoomEvent::Lost(_)
            | RoomEvent::Typing(..)
            | RoomEvent::MembershipSummary(..)
            | RoomEvent::Notice(..)
            | RoomEvent::Replaced(_)
            | RoomEvent::Expelled(..) => return true,
        };
        let rates = || Box::new(UserRates::new(rate, JOIN_LEAVE_USERS_MAX));
        self.user_rates.get_or_insert_with(rates).take(now.tick, "", info)
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
        let (joined_count, left_count) = counts_of(event);
        let send_at = now.tick.plus_ms(SUMMARY_INTERVAL_MS);
        if self.counts.is_none() {
            timers.set_redelivery(send_at, slot);
        }
        let counts = self.counts.get_or_insert_with(|| {
            Box::new(MembershipCounts { send_at, ..MembershipCounts::default() })
        });
        counts.joined_count += joined_count;
        counts.left_count += left_count;
    }

    /// How many came and left, when it is time to tell.
    pub fn take_counts(
        &mut self,
        now: Timestamps,
        members: &Members,
    ) -> Option<chat::MembershipSummary> {
        let counts = self.counts.take_if(|counts| counts.send_at <= now.tick)?;
        Some(chat::MembershipSummary {
            joined: counts.joined_count,
            left: counts.left_count,
            clients: members.listed_count() as u32,
            users: members.users_count() as u32,
        })
    }

    /// Whether something is still to be told in numbers.
    #[cfg(test)]
    pub fn has_counts(&self) -> bool {
        self.counts.is_some()
    }
}

/// How many come and go by this.
fn counts_of(event: &RoomEvent) -> (u32, u32) {
    match event {
        RoomEvent::Joined(..) => (1, 0),
        RoomEvent::Left(..) => (0, 1),
        RoomEvent::MemberReplaced(..) => (1, 1),
        RoomEvent::Reply(..)
        | RoomEvent::Published(..)
        | RoomEvent::Lost(_)
        | RoomEvent::Typing(..)
        | RoomEvent::MembershipSummary(..)
        | RoomEvent::Notice(..)
        | RoomEvent::Replaced(_)
        | RoomEvent::Expelled(..) => (0, 0),
    }
}

/// Whether this client's coming and going is its user's.
pub(super) fn is_counted_by_user(rules: &Namespace, info: &ClientInfo) -> bool {
    rules.join_leave_of == JoinLeaveScope::Users && !info.user.is_empty()
}
