//! What is told of who comes and goes: each arrival in a small room, a count now
//! and then in a large one.

use std::sync::Arc;

use super::one::{Room, rules};
use super::options::NewsOf;
use super::user_rates::UserRates;
use super::{Namespace, Out, Rooms, Tell};
use crate::base::limits::MEMBER_NEWS_USERS_MAX;
use crate::base::{Now, Rate, Tick};
use crate::wire::{ClientInfo, chat};

/// How often the members of a large room are told, in ms.
const CROWD_INTERVAL_MS: u64 = 1_000;

/// Comings and goings that were not told one by one.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    came_count: u32,
    went_count: u32,
    tell_at: Tick,
}

impl Rooms {
    /// What everybody is told of this arrival or departure now; a large room is told
    /// later, in numbers.
    pub(super) fn news_of(&mut self, now: Now, slot: u32, news: Tell) -> Option<Tell> {
        let room = &mut self.rooms[slot];
        let rules = rules(&self.options, &room.title);
        if !rules.tells_of_members() {
            return None;
        }
        if let Tell::Went(_, info, _) = &news
            && is_told_by_user(rules, info)
            && room.members.has_user(&info.user)
        {
            return None; // the user is here by another connection
        }
        let is_small = room.members.listed_count() <= rules.join_leave_members_max as usize;
        if is_small && is_within_rate(now, self.options.user_rates.member_news, room, &news) {
            return Some(news);
        }
        let (came_count, went_count) = counts_of(&news);
        self.count_in_crowd(now, slot, came_count, went_count);
        None
    }

    /// News of members did not reach a shard, because its lane was full. Its members'
    /// lists are wrong from here on, so they are told the numbers soon, as in a large
    /// room, and read the list anew.
    pub fn on_news_lost(&mut self, now: Now, lost: &Tell) {
        let (Tell::Came(id, ..) | Tell::Went(id, ..) | Tell::Swapped(id, _) | Tell::Crowd(id, _)) =
            lost
        else {
            return;
        };
        if let Some(slot) = self.find(*id) {
            let (came_count, went_count) = counts_of(lost);
            self.count_in_crowd(now, slot, came_count, went_count);
        }
    }

    fn count_in_crowd(&mut self, now: Now, slot: u32, came_count: u32, went_count: u32) {
        let tell_at = now.tick.plus_ms(CROWD_INTERVAL_MS);
        let crowd = &mut self.rooms[slot].crowd;
        if crowd.is_none() {
            self.scans.set(tell_at, slot);
        }
        let crowd = crowd.get_or_insert_with(|| Box::new(Crowd { tell_at, ..Crowd::default() }));
        crowd.came_count += came_count;
        crowd.went_count += went_count;
    }

    /// Tells a large room how many came and left.
    pub(super) fn tell_of_crowd(&mut self, now: Now, slot: u32, out: &mut Out) {
        let Some(room) = self.rooms.at_mut(slot) else { return };
        if room.crowd.as_ref().is_none_or(|crowd| now.tick < crowd.tell_at) {
            return;
        }
        let Some(crowd) = room.crowd.take() else { return };
        let counts = chat::Crowd {
            came: crowd.came_count,
            went: crowd.went_count,
            clients: room.members.listed_count() as u32,
            users: room.members.users_count() as u32,
        };
        let (id, notice) = (room.id, chat::crowd(&room.title.channel, counts));
        self.spread(id, &Tell::Crowd(id, Arc::new(notice)), out);
    }
}

/// Whether this member's comings and goings are few enough to be told one by one: each
/// costs a message for every other member.
fn is_within_rate(now: Now, rate: Rate, room: &mut Room, news: &Tell) -> bool {
    let info = match news {
        Tell::Came(_, info, _) | Tell::Went(_, info, _) => info,
        Tell::Swapped(_, swap) => &swap.came,
        Tell::Answer(..)
        | Tell::Said(..)
        | Tell::Lost(_)
        | Tell::Typing(..)
        | Tell::Crowd(..)
        | Tell::Notice(..)
        | Tell::Replaced(_) => return true,
    };
    let rates = || Box::new(UserRates::new(rate, MEMBER_NEWS_USERS_MAX));
    room.told_of.get_or_insert_with(rates).take(now.tick, "", info)
}

/// How many come and go by this.
fn counts_of(news: &Tell) -> (u32, u32) {
    match news {
        Tell::Came(..) => (1, 0),
        Tell::Went(..) => (0, 1),
        Tell::Swapped(..) => (1, 1),
        Tell::Answer(..)
        | Tell::Said(..)
        | Tell::Lost(_)
        | Tell::Typing(..)
        | Tell::Crowd(..)
        | Tell::Notice(..)
        | Tell::Replaced(_) => (0, 0),
    }
}

/// Whether this client's coming and going is its user's.
pub(super) fn is_told_by_user(rules: &Namespace, info: &ClientInfo) -> bool {
    rules.join_leave_of == NewsOf::Users && !info.user.is_empty()
}
