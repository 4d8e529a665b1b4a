//! What is told of who comes and goes: each arrival in a small room, a count now
//! and then in a large one.

use std::sync::Arc;

use super::one::rules;
use super::options::NewsOf;
use super::{Namespace, Out, Rooms, Tell};
use crate::base::{Now, Tick};
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
        if room.members.listed_count() <= rules.join_leave_members_max as usize {
            return Some(news);
        }
        let tell_at = now.tick.plus_ms(CROWD_INTERVAL_MS);
        let is_first = room.crowd.is_none();
        let crowd =
            room.crowd.get_or_insert_with(|| Box::new(Crowd { tell_at, ..Crowd::default() }));
        match news {
            Tell::Came(..) => crowd.came_count += 1,
            Tell::Went(..) => crowd.went_count += 1,
            Tell::Answer(..)
            | Tell::Said(..)
            | Tell::Lost(_)
            | Tell::Typing(..)
            | Tell::Crowd(..)
            | Tell::Notice(..)
            | Tell::Replaced(_) => (),
        }
        if is_first {
            self.scans.set(tell_at, slot);
        }
        None
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

/// Whether this client's coming and going is its user's.
pub(super) fn is_told_by_user(rules: &Namespace, info: &ClientInfo) -> bool {
    rules.join_leave_of == NewsOf::Users && !info.user.is_empty()
}
