//! Which channels there are, for backends: a walk through the rooms of this shard, a part in each
//! turn.
//!
//! Invariant: a turn does so much, however many rooms there are and whatever the patterns are; a
//! room that was there when its walk began, and stays, is seen once.
//!
//! Deliberately absent: how many questions may be under way: the control thread bounds them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::server_questions::{ChannelsQuestion, CoresReply};
use crate::auth::channel_matches;
use crate::room::{ChannelKey, Rooms};

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
        let reply = CoresReply::Channels(Vec::new());
        self.questions.push_back(OpenQuestion { id, question, slot: 0, reply });
    }

    /// Looks at the next few rooms. Returns the answer to a question that has seen all.
    pub fn step(&mut self, rooms: &Rooms) -> Option<(u32, CoresReply)> {
        let mut question = self.questions.pop_front()?;
        if question.step(rooms) {
            return Some((question.id, question.reply));
        }
        self.questions.push_front(question);
        None
    }
}

impl OpenQuestion {
    /// Whether it has seen all rooms.
    fn step(&mut self, rooms: &Rooms) -> bool {
        let mut work_left = SCAN_WORK;
        while self.slot < rooms.span() {
            if work_left == 0 {
                return false;
            }
            let mut work = 1;
            if let Some((channel_key, members_count)) = rooms.in_slot(self.slot)
                && 0 < members_count
                && *channel_key.tenant == *self.question.tenant
            {
                work += self.cost(channel_key);
                self.take(channel_key, members_count);
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

    fn take(&mut self, channel_key: &ChannelKey, members_count: u32) {
        let name = &channel_key.channel;
        let fits = |pattern: &str| channel_matches(pattern, name);
        let ChannelsQuestion { covered, pattern, .. } = &*self.question;
        if fits(pattern) && covered.iter().any(|pattern| fits(pattern)) {
            let found = CoresReply::Channels(vec![(Arc::clone(name), members_count)]);
            self.reply = std::mem::replace(&mut self.reply, CoresReply::Done).joined(found);
        }
    }
}
