//! Removing what is not to be kept any more, in bounded steps.
//!
//! A channel that has too much is remembered when it gets it; for age, and for
//! what was forgotten in a restart, a sweep visits every channel from time to
//! time, and another one everything that waits for a reader.
//!
//! Invariants: a channel's record moves in the same batch as its messages go, so
//! nothing below `first` is ever shown; epoch and head stay as long as the channel does
//! (`forgetting.rs`); what still waits for its reader takes its content along, and so does
//! a dead letter whose message was not too old but too much.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::base::RoomId;

use super::super::disk::{Disk, Space};
use super::super::key;
use super::super::letter::{Cause, Failure, Order};
use super::super::options::Retention;
use super::super::record::{self, DeadRecord, PendingRecord};
use super::Engine;
use super::forgetting::Forgotten;
use super::heads::{Head, Naming};

/// Between two steps of a sweep, in ms.
const STEP_MS: u64 = 10;
/// Messages that a step removes beside twice what the turn added.
const STEP_MESSAGES: usize = 256;
/// Channels that a step visits.
const STEP_CHANNELS: usize = 16;
/// Waiting messages that a step looks at.
const STEP_PENDING: usize = 256;
/// Channels with too much that are remembered; a sweep finds the others.
const RIPE_MAX: usize = 4_096;
/// Between two sweeps over the channels, in ms, whatever their age may be.
const SWEEP_MS: (u64, u64) = (1_000, 300_000);
/// Between two looks at what waits, in ms.
const EXPIRY_MS: u64 = 1_000;

impl Retention {
    /// Whether a channel has clearly too much: a little over, so that records are
    /// not written for every message.
    pub(super) fn is_over(&self, head: &Head) -> bool {
        let count = (head.offset + 1).saturating_sub(head.first);
        let bytes = head.total_bytes.saturating_sub(head.below_bytes);
        let slack = |max: u64| max.saturating_add(max / 16).saturating_add(1);
        slack(self.count_max.into()) < count || slack(self.bytes_max) < bytes
    }
}

/// Where the sweeps are.
#[derive(Debug)]
pub(super) struct Sweeper {
    /// Channels with too much.
    ripe: BTreeSet<RoomId>,
    channels: Sweep,
    pending: Sweep,
    pub(super) dead: Sweep,
    pub(super) talks: Sweep,
    pub(super) ids: Sweep,
    /// The earliest end of waiting that the sweep has met.
    found_unix_ms: u64,
    pause_ms: u64,
    last_step_unix_ms: Option<u64>,
}

#[derive(Debug)]
pub(super) enum Sweep {
    /// Until then.
    Rests(u64),
    /// Behind this key next.
    At(Vec<u8>),
}

impl Sweep {
    /// Where to go on, when it is time.
    pub(super) fn begin(&mut self, now_unix_ms: u64) -> Option<Vec<u8>> {
        match self {
            Sweep::Rests(until) if now_unix_ms < *until => None,
            Sweep::Rests(_) => Some(Vec::new()),
            Sweep::At(key) => Some(std::mem::take(key)),
        }
    }

    fn due(&self, step_unix_ms: u64) -> u64 {
        match self {
            Sweep::Rests(until) => *until,
            Sweep::At(_) => step_unix_ms,
        }
    }
}

impl Sweeper {
    pub(super) fn new(retention: &[Retention]) -> Sweeper {
        let age_ms = retention.iter().map(|rules| rules.age_ms_max).min().unwrap_or(u64::MAX);
        Sweeper {
            ripe: BTreeSet::new(),
            channels: Sweep::Rests(0),
            pending: Sweep::Rests(0),
            dead: Sweep::Rests(0),
            talks: Sweep::Rests(0),
            ids: Sweep::Rests(0),
            found_unix_ms: u64::MAX,
            pause_ms: (age_ms / 20).clamp(SWEEP_MS.0, SWEEP_MS.1),
            last_step_unix_ms: None,
        }
    }

    /// A channel has too much.
    pub(super) fn ripens(&mut self, room: RoomId) {
        if self.ripe.len() < RIPE_MAX {
            self.ripe.insert(room);
        }
    }

    /// Something waits until then.
    pub(super) fn expects(&mut self, expires_unix_ms: u64) {
        self.found_unix_ms = self.found_unix_ms.min(expires_unix_ms);
        if let Sweep::Rests(until) = &mut self.pending {
            *until = (*until).min(expires_unix_ms);
        }
    }

    /// What was planned did not happen: everything is visited again.
    pub(super) fn forget(&mut self) {
        self.channels = Sweep::Rests(0);
        self.pending = Sweep::Rests(0);
        self.dead = Sweep::Rests(0);
        self.talks = Sweep::Rests(0);
        self.ids = Sweep::Rests(0);
    }

    /// When there is something to do.
    pub(super) fn next_step_unix_ms(&self) -> Option<u64> {
        let step = self.last_step_unix_ms.map_or(0, |last| last.saturating_add(STEP_MS));
        let ripe = if self.ripe.is_empty() { u64::MAX } else { step };
        let sweeps = [&self.channels, &self.pending, &self.dead, &self.talks, &self.ids];
        let due = sweeps.into_iter().map(|sweep| sweep.due(step)).min();
        Some(due.unwrap_or(u64::MAX).min(ripe).max(step))
    }

    /// When a sweep that found nothing more begins anew.
    pub(super) fn rest_until(&self, now_unix_ms: u64) -> u64 {
        now_unix_ms.saturating_add(self.pause_ms)
    }

    fn step_is_due(&self, now_unix_ms: u64) -> bool {
        self.last_step_unix_ms.is_none_or(|last| STEP_MS <= now_unix_ms.abs_diff(last))
    }
}

impl<D: Disk> Engine<D> {
    /// Does a step, when it is time, and as much as the turn added.
    pub(super) fn sweep(&mut self, now_unix_ms: u64, appended_count: usize) {
        let is_due = self.sweeper.step_is_due(now_unix_ms);
        let mut left_count = 2 * appended_count + if is_due { STEP_MESSAGES } else { 0 };
        self.sweep_ids(now_unix_ms, left_count);
        while let Some(room) = self.sweeper.ripe.first().copied().filter(|_| 0 < left_count) {
            match self.trim(room, now_unix_ms, left_count) {
                Ok(removed) if removed == left_count => return self.end_step(now_unix_ms, is_due),
                Ok(removed) => left_count -= removed.max(1),
                Err(failure) => self.count(failure),
            }
            self.sweeper.ripe.remove(&room);
        }
        if is_due {
            self.sweep_channels(now_unix_ms, left_count.max(1));
            self.sweep_pending(now_unix_ms);
            self.sweep_dead(now_unix_ms);
            self.sweep_talks(now_unix_ms);
        }
        self.end_step(now_unix_ms, is_due);
    }

    fn end_step(&mut self, now_unix_ms: u64, is_due: bool) {
        if is_due {
            self.sweeper.last_step_unix_ms = Some(now_unix_ms);
        }
    }

    fn sweep_channels(&mut self, now_unix_ms: u64, mut left_count: usize) {
        let Some(after) = self.sweeper.channels.begin(now_unix_ms) else { return };
        let mut keys = Vec::with_capacity(STEP_CHANNELS);
        let range = key::rest(&after);
        let seen = self.disk.scan(Space::Channels, &range, Order::OldestFirst, &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < STEP_CHANNELS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if let Err(fault) = seen {
            self.count(fault.into());
        }
        let is_last = keys.len() < STEP_CHANNELS;
        let mut at = after;
        for key in keys {
            let Some(room) = key::room_of(&key) else { continue };
            match self.trim(room, now_unix_ms, left_count) {
                // There may be more of it: the next step begins with it.
                Ok(removed) if removed == left_count => {
                    self.sweeper.channels = Sweep::At(at);
                    return;
                }
                Ok(removed) => left_count -= removed,
                Err(failure) => self.count(failure),
            }
            match self.forget_channel(room, now_unix_ms) {
                Ok(Forgotten::Partly) => {
                    self.sweeper.channels = Sweep::At(at);
                    return;
                }
                Ok(Forgotten::Settled) => (),
                Err(failure) => self.count(failure),
            }
            at = key;
        }
        self.sweeper.channels = match is_last {
            true => Sweep::Rests(self.sweeper.rest_until(now_unix_ms)),
            false => Sweep::At(at),
        };
    }

    /// Removes from the beginning of a channel what is too old or too much, at
    /// most `count_max` messages; how many it were.
    fn trim(&mut self, room: RoomId, now_unix_ms: u64, count_max: usize) -> Result<usize, Failure> {
        let Some(mut head) = self.head(room)? else { return Ok(0) };
        let rules = self.setup.rules(head.namespace);
        let (first, last) = (head.first, head.offset);
        let mut gone: Vec<(u64, Vec<u8>)> = Vec::new();
        let mut fault = None;
        let range = key::messages(room, first, last);
        self.view().scan(Space::Messages, &range, Order::OldestFirst, &mut |key, value| {
            let place = key::message_of(key).ok_or(Failure::Damaged);
            let account = record::take_account(value).map_err(Failure::from);
            let (offset, account) = match place.and_then(|(_, at)| Ok((at, account?))) {
                Ok(found) => found,
                Err(failure) => {
                    fault = Some(failure);
                    return ControlFlow::Break(());
                }
            };
            let is_over = u64::from(rules.count_max) <= last - offset
                || rules.bytes_max < head.total_bytes.saturating_sub(head.below_bytes)
                || account.time_unix_ms.saturating_add(rules.age_ms_max) <= now_unix_ms;
            if !is_over || count_max <= gone.len() {
                return ControlFlow::Break(());
            }
            head.first = offset + 1;
            head.below_bytes = account.total_bytes;
            head.last_unix_ms = account.time_unix_ms;
            gone.push((offset, if head.parties.is_some() { value.to_vec() } else { Vec::new() }));
            ControlFlow::Continue(())
        })?;
        if gone.is_empty() {
            return fault.map_or(Ok(0), Err);
        }
        let record = self.channel(room)?.ok_or(Failure::Damaged)?;
        self.take_along(room, &head, &gone, now_unix_ms)?;
        for (offset, _) in &gone {
            self.batch.remove(Space::Messages, &key::message(room, *offset));
        }
        self.put_channel(room, &head, &record.tenant, &record.channel);
        head.naming = Naming::Written;
        self.heads.set(room, head);
        self.counts.expired += gone.len() as u64;
        Ok(gone.len())
    }

    /// Gives its content to what waits for a reader, or is dead, before it goes.
    fn take_along(
        &mut self,
        room: RoomId,
        head: &Head,
        gone: &[(u64, Vec<u8>)],
        now_unix_ms: u64,
    ) -> Result<(), Failure> {
        let age_ms_max = self.setup.rules(head.namespace).age_ms_max;
        let (Some((first, _)), Some((last, _))) = (gone.first(), gone.last()) else {
            return Ok(());
        };
        let mut moved = Vec::new();
        for inbox in head.parties.into_iter().flatten() {
            let range = key::pending_of(inbox, room, *first, *last);
            for space in [Space::Pending, Space::Dead] {
                self.view().scan(space, &range, Order::OldestFirst, &mut |key, value| {
                    moved.push((space, key.to_vec(), value.to_vec()));
                    ControlFlow::Continue(())
                })?;
            }
        }
        let mut records = Vec::with_capacity(moved.len());
        for (space, key, value) in moved {
            let offset = key::pending_from(&key).ok_or(Failure::Damaged)?.2;
            let place = gone.binary_search_by_key(&offset, |(offset, _)| *offset);
            let letter = &gone[place.map_err(|_| Failure::Damaged)?].1;
            let value = match space {
                Space::Dead => {
                    let said = record::take_account(letter)?.time_unix_ms;
                    if said.saturating_add(age_ms_max) <= now_unix_ms {
                        continue; // its body lives no longer than the message did
                    }
                    let mut record = DeadRecord::take(&value)?;
                    record.pending.letter.clone_from(letter);
                    record.put()
                }
                Space::Meta
                | Space::Channels
                | Space::Messages
                | Space::Marks
                | Space::Talks
                | Space::Pending
                | Space::Ids => {
                    let mut record = PendingRecord::take(&value)?;
                    record.letter.clone_from(letter);
                    record.put()
                }
            };
            records.push((space, key, value));
        }
        for (space, key, value) in records {
            self.batch.put(space, &key, value);
        }
        Ok(())
    }

    /// What waited too long becomes a dead letter.
    fn sweep_pending(&mut self, now_unix_ms: u64) {
        let Some(after) = self.sweeper.pending.begin(now_unix_ms) else { return };
        if after.is_empty() {
            self.sweeper.found_unix_ms = u64::MAX;
        }
        let mut seen_count = 0;
        let mut at = Vec::new();
        let mut over = Vec::new();
        let mut found_unix_ms = self.sweeper.found_unix_ms;
        let mut garbled_count = 0;
        let range = key::rest(&after);
        let seen =
            self.view().scan(Space::Pending, &range, Order::OldestFirst, &mut |key, value| {
                match PendingRecord::take(value) {
                    Ok(record) if record.expires_unix_ms <= now_unix_ms => {
                        over.push((key.to_vec(), record));
                    }
                    Ok(record) => found_unix_ms = found_unix_ms.min(record.expires_unix_ms),
                    Err(_) => garbled_count += 1,
                }
                seen_count += 1;
                at = key.to_vec();
                if seen_count < STEP_PENDING {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
        self.counts.damaged += garbled_count + u64::from(seen.is_err());
        for (key, record) in over {
            self.put_dead(&key, Cause::Expired, now_unix_ms, record);
        }
        self.sweeper.found_unix_ms = found_unix_ms;
        self.sweeper.pending = if seen_count < STEP_PENDING {
            Sweep::Rests(found_unix_ms.max(now_unix_ms.saturating_add(EXPIRY_MS)))
        } else {
            Sweep::At(at)
        };
    }
}
