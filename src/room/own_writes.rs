//! Whoever says something and then asks what was said finds it there.
//!
//! A message that is kept on disk has its place when the store has it, and memory knows
//! nothing of it before. What one connection asks behind a message of its own waits for
//! that message, and for no other.
//!
//! Deliberately absent: the messages of others, which were not answered either, and what
//! needs no order (members, subscriptions, how far somebody is).

use super::kept::{Kept, Pending};
use super::letter::Asker;
use super::one::Stream;
use super::{Ask, Out, Rooms, What};
use crate::base::{Now, ShardId};
use crate::wire::ErrorCode;

impl Rooms {
    /// Gives a question back that can be decided now. One about what was said waits for
    /// what its own connection said before, or is refused where too many wait.
    pub(super) fn wait_for_own(&mut self, from: ShardId, ask: Ask, out: &mut Out) -> Option<Ask> {
        let Some(slot) = self.find(ask.room) else { return Some(ask) };
        let Stream::Kept(kept) = &mut self.rooms[slot].stream else { return Some(ask) };
        let Some(own) = own_write(kept, from, &ask) else { return Some(ask) };
        if self.storing.begin_wait(from, &ask) {
            own.behind.push((from, ask));
        } else {
            out.refuse(from, &ask, ErrorCode::TooManyRequests);
        }
        None
    }

    /// The store has a message, and what was asked behind it is decided, in its order: what
    /// one of these changes is waited for by those behind it.
    pub(super) fn decide_behind(&mut self, now: Now, behind: Vec<(ShardId, Ask)>, out: &mut Out) {
        let mut decided: Vec<(ShardId, Asker)> = Vec::new();
        for (from, ask) in behind {
            let Ask { room, asker, .. } = ask;
            let mut own = decided.iter().rev().filter(|by| (by.0, by.1.conn) == (from, asker.conn));
            if let Some(slot) = self.find(room)
                && let Stream::Kept(kept) = &mut self.rooms[slot].stream
                && let Some(pending) = own.find_map(|by| kept.place_of(by))
                && let Some(pending) = kept.pending_at(pending)
            {
                pending.behind.push((from, ask));
                continue;
            }
            self.storing.wait_no_more(from, &ask);
            decided.push((from, asker));
            self.decide(now, from, ask, out);
        }
    }
}

/// What a question has to find done, if the store has not done it yet.
fn own_write<'k>(kept: &'k mut Kept, from: ShardId, ask: &Ask) -> Option<&'k mut Pending> {
    let conn = ask.asker.conn;
    match &ask.what {
        What::History(_) => kept.pending_of(from, conn),
        // Of messages that are not kept yet it can know its own alone.
        What::Retract(wish) => {
            kept.pending_at(wish.offset).filter(|pending| pending.is_said_by(from, conn))
        }
        What::Subscribe(_)
        | What::Unsubscribe(_)
        | What::Publish(_)
        | What::Presence
        | What::PresenceStats
        | What::Typing(_)
        | What::Members(_)
        | What::Mark(_)
        | What::Receipts(_)
        | What::Conversations(_)
        | What::Claim
        | What::Release
        | What::Deliver(_) => None,
    }
}
