//! Removing what retention does not keep, in bounded steps: messages (`trim`), and what belongs to
//! none (`removal`); and what is left of messages that were removed by order (`clearing`). `Engine`
//! lets it take a step in each turn.
//!
//! A channel that exceeds a limit is noted at once. For age, and after a restart, a sweep visits
//! all channels from time to time, and other sweeps visit pending messages, dead letters,
//! conversations and ids.
//!
//! Deliberately absent: clocks, and writes of requests.

use std::ops::ControlFlow;

use self::clearing::{ClearRest, ClearedStep, clear};
use self::removal::{ChannelRemoval, DeadLetterAction, action, remove_channel};
use self::retention_clock::RetentionClock;
use self::sweeper::{StepTime, Sweep, SweepKind, Sweeper};
use self::trim::{TrimRest, Trimmed, trim};
use super::StoreCounts;
use super::channels::ChannelStore;
use super::dead_letter_scan::{DeadLetterScan, DeadLetterTotals};
use super::ids::expired_ids;
use super::writes::pending::{DeadLettered, put_dead_letter};
use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::key;
use crate::store::messages::{DeadLetterCause, DeadLetterFate, ReadOrder, StoreError};
use crate::store::options::Retention;
use crate::store::record::{self, DeadLetterRecord, PendingRecord};

mod clearing;
mod removal;
mod retention_clock;
mod sweeper;
mod trim;

/// Most messages that a step removes, beside twice the appends of the turn.
const STEP_MESSAGES: usize = 256;
/// Most channels that a step visits.
const STEP_CHANNELS: usize = 16;
/// Most pending messages that a step visits.
const STEP_PENDING: usize = 256;
/// Most dead letters that a step visits.
const STEP_DEAD: usize = 256;
/// Most conversations that a step visits; for each a channel is read.
const STEP_CONVERSATIONS: usize = 64;
/// Time between two sweeps over pending messages, in ms.
const EXPIRY_MS: u64 = 1_000;

/// A clock that goes back by so much lets sweeps begin anew, in ms.
const STEP_BACK_MS: u64 = 60_000;

/// The background work of the store.
#[derive(Debug)]
pub(super) struct Upkeep {
    clock: RetentionClock,
    sweeper: Sweeper,
    dead_letter_scan: DeadLetterScan,
    /// Messages that the turn has given up.
    given_up: Vec<DeadLettered>,
}

/// An entry of a keyspace.
struct Entry {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Upkeep {
    /// No sweep has begun. `noted_unix_ms` is the time by which things expired last.
    pub fn new(retention: &[Retention], noted_unix_ms: Option<u64>) -> Upkeep {
        Upkeep {
            clock: RetentionClock::new(noted_unix_ms),
            sweeper: Sweeper::new(retention),
            dead_letter_scan: DeadLetterScan::default(),
            given_up: Vec::new(),
        }
    }

    /// The number of dead letters, as far as they were counted.
    pub fn dead_letters(&self) -> DeadLetterTotals {
        self.dead_letter_scan.dead_letters()
    }

    /// The time of the next step, by the wall clock.
    pub fn next_step_unix_ms(&self) -> u64 {
        self.clock.wall_unix_ms(self.sweeper.next_step_unix_ms())
    }

    /// By how much the wall clock is ahead of the time by which things expire, in ms, while that
    /// is doubted.
    pub fn doubted_jump_ms(&self) -> Option<u64> {
        self.clock.doubted_jump_ms()
    }

    /// The time by which things expire, in ms since 1970; 0 where nobody looked at a clock.
    pub fn time_unix_ms(&self) -> u64 {
        self.clock.time_unix_ms()
    }

    /// Notes a channel that exceeds a limit.
    pub fn on_over_limit(&mut self, room: RoomId) {
        self.sweeper.on_over_limit(room);
    }

    /// Notes a channel whose messages were removed by order.
    pub fn on_removed(&mut self, room: RoomId) {
        self.sweeper.on_removed(room);
    }

    /// Notes the expiry of a pending message.
    pub fn expects(&mut self, expires_unix_ms: u64) {
        self.sweeper.expects(expires_unix_ms);
    }

    /// A turn begins: what the last one has given up was seen.
    pub fn begin_turn(&mut self, now_unix_ms: u64) {
        self.given_up.clear();
        let before_unix_ms = self.clock.time_unix_ms();
        self.clock.advance(now_unix_ms);
        if self.clock.time_unix_ms().saturating_add(STEP_BACK_MS) < before_unix_ms {
            // What rests would do so until the old time comes again.
            self.sweeper.restart();
        }
    }

    /// Messages that the turn has given up.
    pub fn given_up(&self) -> &[DeadLettered] {
        &self.given_up
    }

    /// Counts a new dead letter.
    pub fn on_dead_lettered(&mut self, dead_lettered: DeadLettered, counts: &mut StoreCounts) {
        self.dead_letter_scan.add(&dead_lettered.key, dead_lettered.at_unix_ms);
        match dead_lettered.cause {
            DeadLetterCause::Attempts => counts.dead_tried += 1,
            DeadLetterCause::Expired => counts.dead_expired += 1,
        }
        self.given_up.push(dead_lettered);
    }

    /// These are dead letters no more.
    pub fn on_dead_letters_changed(&mut self, keys: &[Vec<u8>], fate: DeadLetterFate) {
        keys.iter().for_each(|key| self.dead_letter_scan.remove(key));
        if let DeadLetterFate::Requeued { expires_unix_ms } = fate
            && !keys.is_empty()
        {
            self.sweeper.expects(expires_unix_ms);
        }
    }

    /// The disk has failed: all sweeps start again.
    pub fn restart(&mut self) {
        self.sweeper.restart();
    }

    /// The batch was dropped: dead letters are counted again.
    pub fn recount(&mut self) {
        self.clock.forget_note();
        self.dead_letter_scan = DeadLetterScan::default();
        self.given_up.clear();
    }

    /// Counts some more dead letters on the disk.
    pub fn count_dead<D: Disk>(&mut self, channels: &ChannelStore<D>) {
        self.dead_letter_scan.count(channels.staged().disk());
    }

    /// Does a step, when one is due, and as much as the turn added.
    pub fn sweep<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        appended_count: usize,
    ) {
        let now_unix_ms = self.clock.time_unix_ms();
        if let Some(time_unix_ms) = self.clock.take_note() {
            let value = time_unix_ms.to_be_bytes().to_vec();
            channels.staged_mut().put(StoreKeyspace::Meta, key::RETENTION_CLOCK, value);
        }
        let step = self.sweeper.step(now_unix_ms);
        let step_count = match step {
            StepTime::Due => STEP_MESSAGES,
            StepTime::Between => 0,
        };
        let left_count = 2 * appended_count + step_count;
        self.sweep_ids(channels, counts, now_unix_ms, left_count);
        let left_count = self.trim_over_limit(channels, counts, now_unix_ms, left_count);
        if step == StepTime::Due {
            self.clear_removed(channels, counts);
            if let Some(left_count) = left_count {
                self.sweep_channels(channels, counts, now_unix_ms, left_count.max(1));
                self.sweep_pending(channels, counts, now_unix_ms);
                self.sweep_dead(channels, counts, now_unix_ms);
                self.sweep_conversations(channels, counts, now_unix_ms);
            }
            self.sweeper.end_step(now_unix_ms);
        }
    }

    /// Trims channels that exceed a limit. Returns how many messages may still be removed; `None`
    /// when one of them may have more.
    fn trim_over_limit<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        now_unix_ms: u64,
        mut left_count: usize,
    ) -> Option<usize> {
        while let Some(room) = self.sweeper.first_over_limit().filter(|_| 0 < left_count) {
            match trim(channels, room, now_unix_ms, left_count) {
                Ok(Trimmed { count, rest }) => {
                    counts.expired += count as u64;
                    if rest == TrimRest::Some {
                        return None;
                    }
                    left_count -= count.max(1);
                }
                Err(failure) => *counts = counts.and_failed(failure),
            }
            self.sweeper.end_over_limit(room);
        }
        Some(left_count)
    }

    /// Deletes some of what is left of removed messages.
    fn clear_removed<D: Disk>(&mut self, channels: &mut ChannelStore<D>, counts: &mut StoreCounts) {
        let mut left_count = STEP_MESSAGES;
        while let Some(room) = self.sweeper.first_removed().filter(|_| 0 < left_count) {
            match clear(channels, room, left_count) {
                Ok(ClearedStep { count, dead, rest }) => {
                    dead.iter().for_each(|key| self.dead_letter_scan.remove(key));
                    left_count = left_count.saturating_sub(count.max(1));
                    if rest == ClearRest::Some {
                        continue;
                    }
                }
                // A sweep over the channels finds it again.
                Err(failure) => *counts = counts.and_failed(failure),
            }
            self.sweeper.end_removed(room);
        }
    }

    fn sweep_channels<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        now_unix_ms: u64,
        mut left_count: usize,
    ) {
        let Some(after) = self.sweeper.begin(SweepKind::Channels, now_unix_ms) else { return };
        let mut keys = Vec::with_capacity(STEP_CHANNELS);
        let (range, order) = (key::rest(&after), ReadOrder::OldestFirst);
        // Writes of this turn need no visit.
        let disk = channels.staged().disk();
        let seen = disk.scan(StoreKeyspace::Channels, &range, order, &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < STEP_CHANNELS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        });
        if let Err(fault) = seen {
            *counts = counts.and_failed(fault.into());
        }
        let is_last = keys.len() < STEP_CHANNELS;
        let mut at = after;
        for key in keys {
            let Some(room) = key::room_of(&key) else { continue };
            match trim(channels, room, now_unix_ms, left_count) {
                Ok(Trimmed { count, rest }) => {
                    counts.expired += count as u64;
                    // It may have more: the next step begins with it.
                    if rest == TrimRest::Some {
                        return self.sweeper.set(SweepKind::Channels, Sweep::At(at));
                    }
                    left_count -= count;
                }
                Err(failure) => *counts = counts.and_failed(failure),
            }
            match remove_channel(channels, room, now_unix_ms) {
                Ok(ChannelRemoval::Partly) => {
                    return self.sweeper.set(SweepKind::Channels, Sweep::At(at));
                }
                Ok(ChannelRemoval::Left) => self.sweeper.on_removed(room),
                Ok(ChannelRemoval::GoneButConversations) => {
                    self.sweeper.set(SweepKind::Conversations, Sweep::Rests(now_unix_ms));
                }
                Ok(ChannelRemoval::Keep | ChannelRemoval::Gone) => (),
                Err(failure) => *counts = counts.and_failed(failure),
            }
            at = key;
        }
        let next = match is_last {
            true => Sweep::Rests(self.sweeper.rest_until(now_unix_ms)),
            false => Sweep::At(at),
        };
        self.sweeper.set(SweepKind::Channels, next);
    }

    /// Moves expired pending messages to the dead letters.
    fn sweep_pending<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        now_unix_ms: u64,
    ) {
        let Some(after) = self.sweeper.begin(SweepKind::Pending, now_unix_ms) else { return };
        if after.is_empty() {
            self.sweeper.set_found(u64::MAX);
        }
        let mut seen_count = 0;
        let mut at = Vec::new();
        let mut expired = Vec::new();
        let mut found_unix_ms = self.sweeper.found_unix_ms();
        let mut undecodable_count = 0;
        let (range, order) = (key::rest(&after), ReadOrder::OldestFirst);
        let seen =
            channels.staged().scan(StoreKeyspace::Pending, &range, order, &mut |key, value| {
                match PendingRecord::take(value) {
                    Ok(record) if record.expires_unix_ms <= now_unix_ms => {
                        expired.push((key.to_vec(), record));
                    }
                    Ok(record) => found_unix_ms = found_unix_ms.min(record.expires_unix_ms),
                    Err(_) => undecodable_count += 1,
                }
                seen_count += 1;
                at = key.to_vec();
                if seen_count < STEP_PENDING {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
        counts.damaged += undecodable_count + u64::from(seen.is_err());
        for (key, record) in expired {
            let place = key::pending_from(&key);
            if place.is_some_and(|(_, room, offset)| channels.is_removed(room, offset)) {
                channels.staged_mut().remove(StoreKeyspace::Pending, &key);
                continue;
            }
            let dead_lettered =
                DeadLettered { key, cause: DeadLetterCause::Expired, at_unix_ms: now_unix_ms };
            put_dead_letter(channels, &dead_lettered, record);
            self.on_dead_lettered(dead_lettered, counts);
        }
        self.sweeper.set_found(found_unix_ms);
        let next = if seen_count < STEP_PENDING {
            Sweep::Rests(found_unix_ms.max(now_unix_ms.saturating_add(EXPIRY_MS)))
        } else {
            Sweep::At(at)
        };
        self.sweeper.set(SweepKind::Pending, next);
    }

    /// Removes dead letters that are too old, or too many in their conversation, and the content of
    /// those whose messages have expired.
    fn sweep_dead<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        now_unix_ms: u64,
    ) {
        let Some(after) = self.sweeper.begin(SweepKind::Dead, now_unix_ms) else { return };
        let found = page(channels, counts, StoreKeyspace::Dead, &after, STEP_DEAD);
        let is_last = found.len() < STEP_DEAD;
        let at = found.last().map(|entry| entry.key.clone());
        for Entry { key, value } in found {
            let record = DeadLetterRecord::take(&value).map_err(StoreError::from);
            let judged = record.and_then(|record| {
                let action = action(channels, &key, &record, now_unix_ms)?;
                Ok((record, action))
            });
            match judged {
                Ok((record, DeadLetterAction::Keep)) => {
                    self.dead_letter_scan.stays(record.at_unix_ms)
                }
                Ok((mut record, DeadLetterAction::DropBody)) => {
                    record.pending.message.clear();
                    self.dead_letter_scan.stays(record.at_unix_ms);
                    channels.staged_mut().put(StoreKeyspace::Dead, &key, record.put());
                }
                Ok((_, DeadLetterAction::Remove)) => {
                    channels.staged_mut().remove(StoreKeyspace::Dead, &key);
                    self.dead_letter_scan.remove(&key);
                }
                Err(failure) => *counts = counts.and_failed(failure),
            }
        }
        let next = match at {
            Some(at) if !is_last => Sweep::At(at),
            Some(_) | None => {
                self.dead_letter_scan.end_sweep();
                Sweep::Rests(self.sweeper.rest_until(now_unix_ms))
            }
        };
        self.sweeper.set(SweepKind::Dead, next);
    }

    /// Removes conversations whose channels are gone: after a removal, and once after each start.
    fn sweep_conversations<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        now_unix_ms: u64,
    ) {
        let Some(after) = self.sweeper.begin(SweepKind::Conversations, now_unix_ms) else { return };
        let found =
            page(channels, counts, StoreKeyspace::Conversations, &after, STEP_CONVERSATIONS);
        let is_last = found.len() < STEP_CONVERSATIONS;
        let at = found.last().map(|entry| entry.key.clone());
        // A removal from here on causes the next sweep.
        let next = match at {
            Some(at) if !is_last => Sweep::At(at),
            Some(_) | None => Sweep::Rests(u64::MAX),
        };
        self.sweeper.set(SweepKind::Conversations, next);
        for Entry { key, value } in found {
            let room = record::take_conversation(&value).map_err(StoreError::from);
            match room.and_then(|room| channels.head(room)) {
                Ok(Some(_)) => (),
                Ok(None) => channels.staged_mut().remove(StoreKeyspace::Conversations, &key),
                Err(failure) => *counts = counts.and_failed(failure),
            }
        }
    }

    /// Removes expired ids, at most so many.
    fn sweep_ids<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        now_unix_ms: u64,
        count_max: usize,
    ) {
        if count_max == 0 {
            return;
        }
        let Some(after) = self.sweeper.begin(SweepKind::Ids, now_unix_ms) else { return };
        let expired = expired_ids(channels.staged(), &after, now_unix_ms, count_max);
        if let Some(failure) = expired.failure {
            *counts = counts.and_failed(failure);
        }
        for key in &expired.keys {
            channels.staged_mut().remove(StoreKeyspace::Ids, key);
        }
        let next = match expired.keys.last().filter(|_| expired.keys.len() == count_max) {
            Some(at) => Sweep::At(at.clone()),
            None => Sweep::Rests(expired.next_unix_ms),
        };
        self.sweeper.set(SweepKind::Ids, next);
    }
}

/// The next entries of a keyspace; an entry that cannot be read ends them.
fn page<D: Disk>(
    channels: &ChannelStore<D>,
    counts: &mut StoreCounts,
    space: StoreKeyspace,
    after: &[u8],
    count_max: usize,
) -> Vec<Entry> {
    let mut found = Vec::new();
    let (range, order) = (key::rest(after), ReadOrder::OldestFirst);
    let seen = channels.staged().scan(space, &range, order, &mut |key, value| {
        found.push(Entry { key: key.to_vec(), value: value.to_vec() });
        if found.len() < count_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if let Err(fault) = seen {
        *counts = counts.and_failed(fault.into());
    }
    found
}
