//! What nobody needs any more goes: dead letters, and what is kept of channels in which
//! nothing is kept: their records, how far their readers are, and their places among
//! conversations. In bounded steps, like retention.
//!
//! Invariants: a channel's readers go before its record, so that a channel that is born
//! again begins without them; a channel for which something waits, or is dead, stays, as
//! does one in which a message may still be repeated; of a dead letter no body is left
//! when its message would have been too old.

use std::ops::ControlFlow;

use crate::base::RoomId;

use super::super::disk::{Disk, KeyRange, Space};
use super::super::key;
use super::super::letter::{Failure, Order};
use super::super::record::{self, DeadRecord};
use super::Engine;
use super::heads::Head;
use super::retention::Sweep;

/// Dead letters that a step looks at.
const STEP_DEAD: usize = 256;
/// Readers that a step forgets.
const STEP_READERS: usize = 256;
/// Conversations that a step looks at; for each a channel is looked up.
const STEP_TALKS: usize = 64;

/// How far the forgetting of a channel got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forgotten {
    /// It stays, or all of it is gone.
    Settled,
    /// Some of its readers are left.
    Partly,
}

/// What becomes of a dead letter.
enum Fate {
    Stays,
    LosesBody,
    Goes,
}

impl<D: Disk> Engine<D> {
    /// Removes dead letters that are too old, or too many for their conversation, and
    /// the bodies of those whose messages would be too old.
    pub(super) fn sweep_dead(&mut self, now_unix_ms: u64) {
        let Some(after) = self.sweeper.dead.begin(now_unix_ms) else { return };
        let found = self.page(Space::Dead, &after, STEP_DEAD);
        let is_last = found.len() < STEP_DEAD;
        let at = found.last().map(|(key, _)| key.clone());
        for (key, value) in found {
            let record = DeadRecord::take(&value).map_err(Failure::from);
            let judged = record.and_then(|record| {
                let fate = self.fate(&key, &record, now_unix_ms)?;
                Ok((record, fate))
            });
            match judged {
                Ok((record, Fate::Stays)) => self.census.stays(record.at_unix_ms),
                Ok((mut record, Fate::LosesBody)) => {
                    record.pending.letter.clear();
                    self.census.stays(record.at_unix_ms);
                    self.batch.put(Space::Dead, &key, record.put());
                }
                Ok((_, Fate::Goes)) => {
                    self.batch.remove(Space::Dead, &key);
                    self.census.remove(&key);
                }
                Err(failure) => self.count(failure),
            }
        }
        self.sweeper.dead = match at {
            Some(at) if !is_last => Sweep::At(at),
            Some(_) | None => {
                self.census.end_sweep();
                Sweep::Rests(self.sweeper.rest_until(now_unix_ms))
            }
        };
    }

    fn fate(&mut self, key: &[u8], dead: &DeadRecord, now_unix_ms: u64) -> Result<Fate, Failure> {
        let (_, room, offset) = key::pending_from(key).ok_or(Failure::Damaged)?;
        let Some(head) = self.head(room)? else { return Ok(Fate::Goes) };
        let rules = self.setup.rules(head.namespace);
        let is_too_old =
            |since_unix_ms: u64| since_unix_ms.saturating_add(rules.age_ms_max) <= now_unix_ms;
        if is_too_old(dead.at_unix_ms)
            || offset.saturating_add(rules.count_max.into()) <= head.offset
        {
            return Ok(Fate::Goes);
        }
        if dead.pending.letter.is_empty() {
            return Ok(Fate::Stays);
        }
        let said = record::take_account(&dead.pending.letter)?.time_unix_ms;
        Ok(if is_too_old(said) { Fate::LosesBody } else { Fate::Stays })
    }

    /// Removes what is left of a channel, if its last message is gone for long enough and
    /// nothing waits.
    pub(super) fn forget_channel(
        &mut self,
        room: RoomId,
        now_unix_ms: u64,
    ) -> Result<Forgotten, Failure> {
        let Some(head) = self.head(room)? else { return Ok(Forgotten::Settled) };
        let stays_ms = self.setup.rules(head.namespace).channel_ms_max;
        let is_over =
            head.offset < head.first && head.last_unix_ms.saturating_add(stays_ms) <= now_unix_ms;
        if !is_over || self.is_waited_for(room, &head)? || self.knows_ids(room, now_unix_ms)? {
            return Ok(Forgotten::Settled);
        }
        let record = self.channel(room)?.ok_or(Failure::Damaged)?;
        let readers =
            KeyRange { first: key::channel(room).to_vec(), last: key::names_behind(room, "").last };
        let mut keys = Vec::new();
        self.view().scan(Space::Marks, &readers, Order::OldestFirst, &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < STEP_READERS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        })?;
        for key in &keys {
            self.batch.remove(Space::Marks, key);
        }
        if keys.len() == STEP_READERS {
            return Ok(Forgotten::Partly);
        }
        for inbox in head.parties.into_iter().flatten() {
            self.batch.remove(Space::Talks, &key::named(inbox, &record.channel));
            // Offsets begin anew.
            self.acknowledged.remove(&(inbox, room));
        }
        self.batch.remove(Space::Channels, &key::channel(room));
        self.heads.remove(room);
        if head.parties.is_none() {
            // Whoever read it finds it among its conversations; only their inboxes know.
            self.sweeper.talks = Sweep::Rests(now_unix_ms);
        }
        Ok(Forgotten::Settled)
    }

    /// Whether something waits for a reader there, or is dead.
    fn is_waited_for(&self, room: RoomId, head: &Head) -> Result<bool, Failure> {
        let mut found = false;
        for inbox in head.parties.into_iter().flatten() {
            let range = key::pending_of(inbox, room, 0, u64::MAX);
            for space in [Space::Pending, Space::Dead] {
                self.view().scan(space, &range, Order::OldestFirst, &mut |_, _| {
                    found = true;
                    ControlFlow::Break(())
                })?;
            }
        }
        Ok(found)
    }

    /// Removes places among conversations whose channels are gone: when some are, and
    /// once after a start.
    pub(super) fn sweep_talks(&mut self, now_unix_ms: u64) {
        let Some(after) = self.sweeper.talks.begin(now_unix_ms) else { return };
        let found = self.page(Space::Talks, &after, STEP_TALKS);
        let is_last = found.len() < STEP_TALKS;
        let at = found.last().map(|(key, _)| key.clone());
        // What is forgotten from here on makes the next sweep.
        self.sweeper.talks = match at {
            Some(at) if !is_last => Sweep::At(at),
            Some(_) | None => Sweep::Rests(u64::MAX),
        };
        for (key, value) in found {
            let room = record::take_talk(&value).map_err(Failure::from);
            match room.and_then(|room| self.head(room)) {
                Ok(Some(_)) => (),
                Ok(None) => self.batch.remove(Space::Talks, &key),
                Err(failure) => self.count(failure),
            }
        }
    }

    /// The next entries of a space; what cannot be read ends it.
    fn page(&mut self, space: Space, after: &[u8], count_max: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        let range = key::rest(after);
        let seen = self.view().scan(space, &range, Order::OldestFirst, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() < count_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        if let Err(fault) = seen {
            self.count(fault.into());
        }
        found
    }
}
