//! Passes for the presence feed: a shard that has lost facts says of all its connections that they
//! are there, a part in each turn.
//!
//! Facts of what happens meanwhile are said as always; to hear of a connection twice changes
//! nothing.
//!
//! Invariants: a turn looks at so many slots, and says so much; a pass ends when nothing was lost
//! since it began, and begins anew where something was.
//!
//! Deliberately absent: what is made of it (`presence_feed`).

use super::connections::Cursor;
use super::presence_facts::{PresenceFacts, say_present};
use super::sessions::Sessions;
use crate::session::Session;

/// Slots that one turn looks at.
const SLOTS: u32 = 4_096;

/// Connections and their channels of which one turn says that they are there.
const FACTS: usize = 1_024;

/// See the module.
#[derive(Debug, Default)]
pub struct PresencePass {
    /// How far it has come, while there is one.
    running: Option<Cursor>,
}

impl PresencePass {
    /// Whether one goes on, and has room.
    pub fn is_idle(&self, facts: &PresenceFacts) -> bool {
        !facts.is_empty() || self.running.is_none() && !facts.has_lost()
    }

    /// Begins one where it is needed, and says of the next few connections that they are there.
    pub fn step(&mut self, sessions: &Sessions, facts: &mut PresenceFacts) {
        if !facts.is_empty() {
            return; // what was said before is not carried yet
        }
        if facts.begin_pass() {
            self.running = Some(Cursor::default());
        }
        let Some(mut cursor) = self.running.take() else { return };
        let end = sessions.connections().end_of_step(cursor, SLOTS);
        let mut left = FACTS;
        while 0 < left {
            let Some((id, _)) = sessions.connections().next(&mut cursor, end) else {
                if sessions.connections().span() <= end {
                    return facts.end_pass();
                }
                break;
            };
            let (connections, fanout) = (sessions.connections(), sessions.fanout());
            say_present(connections, fanout, id, facts);
            let channels_count = connections.session(id).map_or(0, Session::channels_count);
            left = left.saturating_sub(1 + channels_count);
        }
        self.running = Some(cursor);
    }
}
