//! Which channels there are, for backends: a walk through the rooms of this shard, a part in each
//! turn.
//!
//! Invariant: a turn does so much, however many rooms there are and whatever the patterns are; a
//! room that was there when its walk began, and stays, is seen once.
//!
//! Deliberately absent: how many questions may be under way: the control thread bounds them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::server_questions::{ChannelsQuestion, ChannelsWanted, CoresReply};
use super::top_rooms::{RankedRoom, TopRooms};
use crate::auth::channel_matches;
use crate::base::Timestamps;
use crate::room::{ChannelKey, RoomSummary, Rooms};

/// What one turn does: 1 for a slot of the table of rooms, and more where patterns and names are
/// long. Below 1 ms also without optimisation.
const SCAN_WORK: usize = 4_096;

/// Comparing a pattern with a name takes at most the product of their lengths; so much of it
/// counts as 1.
const COMPARED_BYTES: usize = 64;

/// The questions of backends about channels, oldest first.
#[derive(Debug, Default)]
pub struct RoomScan {
    questions: VecDeque<OpenQuestion>,
}

#[derive(Debug)]
struct OpenQuestion {
    id: u32,
    question: Arc<ChannelsQuestion>,
    /// Slots below were looked at.
    slot: u32,
    reply: CoresReply,
}

impl RoomScan {
    /// Whether nothing is asked.
    pub fn is_idle(&self) -> bool {
        self.questions.is_empty()
    }

    /// A question comes; it is answered under this id.
    pub fn ask(&mut self, id: u32, question: Arc<ChannelsQuestion>) {
        let reply = match &question.wants {
            ChannelsWanted::All => CoresReply::Channels(Vec::new()),
            ChannelsWanted::Top { by, rooms_max, .. } => {
                CoresReply::TopRooms(TopRooms::new(*by, *rooms_max))
            }
        };
        self.questions.push_back(OpenQuestion { id, question, slot: 0, reply });
    }

    /// Looks at the next few rooms. Returns the answer to a question that has seen all.
    pub fn step(&mut self, rooms: &Rooms, now: Timestamps) -> Option<(u32, CoresReply)> {
        let mut question = self.questions.pop_front()?;
        if question.step(rooms, now) {
            return Some((question.id, question.reply));
        }
        self.questions.push_front(question);
        None
    }
}

impl OpenQuestion {
    /// Whether it has seen all rooms.
    fn step(&mut self, rooms: &Rooms, now: Timestamps) -> bool {
        let mut work_left = SCAN_WORK;
        while self.slot < rooms.span() {
            if work_left == 0 {
                return false;
            }
            let mut work = 1;
            if let Some(room) = rooms.in_slot(self.slot, now)
                && 0 < room.members_count
                && *room.channel_key.tenant == *self.question.tenant
            {
                work += self.cost(room.channel_key);
                self.take(&room);
            }
            self.slot += 1;
            work_left = work_left.saturating_sub(work);
        }
        true
    }

    /// What it costs at most to compare a name with all patterns.
    fn cost(&self, channel_key: &ChannelKey) -> usize {
        let patterns = self.question.covered.iter().chain([&self.question.pattern]);
        let bytes: usize = patterns.map(|pattern| pattern.len()).sum();
        bytes * channel_key.channel.len() / COMPARED_BYTES
    }

    fn take(&mut self, room: &RoomSummary<'_>) {
        let &RoomSummary { channel_key, members_count, messages_per_min } = room;
        let name = &channel_key.channel;
        let fits = |pattern: &str| channel_matches(pattern, name);
        let ChannelsQuestion { covered, pattern, wants, .. } = &*self.question;
        if !fits(pattern) || !covered.iter().any(|pattern| fits(pattern)) {
            return;
        }
        if let ChannelsWanted::Top { by, after, .. } = wants {
            let ranked =
                RankedRoom { channel_key: channel_key.clone(), members_count, messages_per_min };
            let value = ranked.value(*by);
            let is_behind = after.as_ref().is_none_or(|place| place.is_before(value, name));
            if let CoresReply::TopRooms(top) = &mut self.reply
                && is_behind
            {
                top.add(ranked);
            }
            return;
        }
        let found = CoresReply::Channels(vec![(Arc::clone(name), members_count)]);
        self.reply = std::mem::replace(&mut self.reply, CoresReply::Done).joined(found);
    }
}
