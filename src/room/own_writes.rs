//! Whoever says something and then asks what was said finds it there.
//!
//! A message that is kept on disk has its place when the store has it, and memory knows
//! nothing of it before; a message that is taken back may have to be read first. What one
//! connection asks behind a message or a retraction of its own waits for that, and for
//! nobody else's.
//!
//! Deliberately absent: the messages of others, which were not answered either, and what
//! needs no order (members, subscriptions, how far somebody is).

use super::kept::Kept;
use super::one::{Asking, Stream};
use super::{Ask, Out, Rooms, What};
use crate::base::{Now, RoomId, ShardId};
use crate::wire::ErrorCode;

impl Rooms {
    /// Gives a question back that can be decided now. One about what was said waits for
    /// what its own connection said before, or is refused where too many wait.
    pub(super) fn wait_for_own(&mut self, from: ShardId, ask: Ask, out: &mut Out) -> Option<Ask> {
        let Some(slot) = self.find(ask.room) else { return Some(ask) };
        let Stream::Kept(kept) = &mut self.rooms[slot].stream else { return Some(ask) };
        let Some(behind) = behind_own(kept, from, &ask) else { return Some(ask) };
        if self.storing.begin_wait(from, &ask) {
            behind.push((from, ask));
        } else {
            out.refuse(from, &ask, ErrorCode::TooManyRequests);
        }
        None
    }

    /// The store has a message, and what was asked behind it is decided, in its order: what
    /// one of these changes is waited for by those behind it.
    pub(super) fn decide_behind(&mut self, now: Now, behind: Vec<(ShardId, Ask)>, out: &mut Out) {
        let mut decided: Vec<Asking> = Vec::new();
        for (from, ask) in behind {
            let Ask { room, asker, .. } = ask;
            let mut own = decided.iter().rev().filter(|by| (by.0, by.1.conn) == (from, asker.conn));
            if let Some(slot) = self.find(room)
                && let Stream::Kept(kept) = &mut self.rooms[slot].stream
                && let Some(by) = own.find(|by| kept.behind(by).is_some())
                && let Some(behind) = kept.behind(by)
            {
                behind.push((from, ask));
                continue;
            }
            self.storing.wait_no_more(from, &ask);
            decided.push((from, asker));
            self.decide(now, from, ask, out);
        }
    }

    /// The message of a retraction has been read, and the retraction is decided. What was
    /// asked behind it waits for what else its connection says, or is decided: meanwhile
    /// it may have become unknown what the store has.
    pub(super) fn handle_behind_read(&mut self, now: Now, slot: u32, by: Asking, out: &mut Out) {
        let Stream::Kept(kept) = &mut self.rooms[slot].stream else { return };
        for (from, ask) in kept.end_retraction_read(by) {
            self.storing.wait_no_more(from, &ask);
            self.handle(now, from, ask, out);
        }
    }

    /// Whoever asked is gone: the message of its retraction is not read, and what it asked
    /// behind that is for nobody.
    pub(super) fn refuse_behind_read(&mut self, id: RoomId, by: Asking, out: &mut Out) {
        let slot = self.find(id).expect("a room stays while it is read");
        let Stream::Kept(kept) = &mut self.rooms[slot].stream else { return };
        for (from, ask) in kept.end_retraction_read(by) {
            self.storing.wait_no_more(from, &ask);
            out.refuse(from, &ask, ErrorCode::NotAvailable);
        }
    }
}

/// What waits for the same as this question, if it has to find something done that the
/// store has not done yet.
fn behind_own<'k>(
    kept: &'k mut Kept,
    from: ShardId,
    ask: &Ask,
) -> Option<&'k mut Vec<(ShardId, Ask)>> {
    let conn = ask.asker.conn;
    match &ask.what {
        What::History(_) => kept.behind_latest(from, conn),
        // Of messages that are not kept yet it can know its own alone.
        What::Retract(wish) => {
            let own = kept.pending_at(wish.offset);
            own.filter(|own| own.is_said_by(from, conn)).map(|own| &mut own.behind)
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
