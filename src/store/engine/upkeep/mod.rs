//! Removing what is not to be kept any more, in bounded steps.
//!
//! A channel that has too much is remembered when it gets it; for age, and for
//! what was forgotten in a restart, a sweep visits every channel from time to
//! time, and others everything that waits for a reader, dead letters, conversations and ids.
//!
//! Deliberately absent: clocks, and writes that somebody waits for.

use std::ops::ControlFlow;

use self::removal::{ChannelRemoval, DeadLetterAction, action, remove_channel};
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
use crate::store::messages::{DeadLetterCause, ReadOrder, StoreError};
use crate::store::options::Retention;
use crate::store::record::{self, DeadLetterRecord, PendingRecord};

mod removal;
mod sweeper;
mod trim;

/// Messages that a step removes beside twice what the turn added.
const STEP_MESSAGES: usize = 256;
/// Channels that a step visits.
const STEP_CHANNELS: usize = 16;
/// Waiting messages that a step looks at.
const STEP_PENDING: usize = 256;
/// Dead letters that a step looks at.
const STEP_DEAD: usize = 256;
/// Conversations that a step looks at; for each a channel is looked up.
const STEP_CONVERSATIONS: usize = 64;
/// Between two looks at what waits, in ms.
const EXPIRY_MS: u64 = 1_000;

/// What the store does by itself.
#[derive(Debug)]
pub(super) struct Upkeep {
    sweeper: Sweeper,
    dead_letter_scan: DeadLetterScan,
}

/// An entry of a space.
struct Entry {
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Upkeep {
    /// Nothing was looked at yet.
    pub fn new(retention: &[Retention]) -> Upkeep {
        Upkeep { sweeper: Sweeper::new(retention), dead_letter_scan: DeadLetterScan::default() }
    }

    /// What is known of dead letters.
    pub fn dead_letters(&self) -> DeadLetterTotals {
        self.dead_letter_scan.dead_letters()
    }

    /// When there is something to do.
    pub fn next_step_unix_ms(&self) -> u64 {
        self.sweeper.next_step_unix_ms()
    }

    /// A channel has too much.
    pub fn on_over_limit(&mut self, room: RoomId) {
        self.sweeper.on_over_limit(room);
    }

    /// Something waits until then.
    pub fn expects(&mut self, expires_unix_ms: u64) {
        self.sweeper.expects(expires_unix_ms);
    }

    /// What waited is a dead letter.
    pub fn on_dead_lettered(&mut self, dead_lettered: &DeadLettered, counts: &mut StoreCounts) {
        self.dead_letter_scan.add(&dead_lettered.key, dead_lettered.at_unix_ms);
        match dead_lettered.cause {
            DeadLetterCause::Attempts => counts.dead_tried += 1,
            DeadLetterCause::Expired => counts.dead_expired += 1,
        }
    }

    /// The disk failed: everything is visited again.
    pub fn restart(&mut self) {
        self.sweeper.restart();
    }

    /// What was planned did not happen: dead letters are counted again.
    pub fn recount(&mut self) {
        self.dead_letter_scan = DeadLetterScan::default();
    }

    /// Counts some more dead letters of those on the disk.
    pub fn count_dead<D: Disk>(&mut self, channels: &ChannelStore<D>) {
        self.dead_letter_scan.count(channels.staged().disk());
    }

    /// Does a step, when it is time, and as much as the turn added.
    pub fn sweep<D: Disk>(
        &mut self,
        channels: &mut ChannelStore<D>,
        counts: &mut StoreCounts,
        now_unix_ms: u64,
        appended_count: usize,
    ) {
        let step = self.sweeper.step(now_unix_ms);
        let step_count = match step {
            StepTime::Due => STEP_MESSAGES,
            StepTime::Between => 0,
        };
        let left_count = 2 * appended_count + step_count;
        self.sweep_ids(channels, counts, now_unix_ms, left_count);
        let left_count = self.trim_over_limit(channels, counts, now_unix_ms, left_count);
        if step == StepTime::Due {
            if let Some(left_count) = left_count {
                self.sweep_channels(channels, counts, now_unix_ms, left_count.max(1));
                self.sweep_pending(channels, counts, now_unix_ms);
                self.sweep_dead(channels, counts, now_unix_ms);
                self.sweep_conversations(channels, counts, now_unix_ms);
            }
            self.sweeper.end_step(now_unix_ms);
        }
    }

    /// Trims channels that have too much. Says how many messages may still be removed; `None`
    /// where one of them may have more.
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
        // What this turn writes needs no look.
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
                    // There may be more of it: the next step begins with it.
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

    /// What waited too long becomes a dead letter.
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
            let dead_lettered =
                DeadLettered { key, cause: DeadLetterCause::Expired, at_unix_ms: now_unix_ms };
            put_dead_letter(channels, &dead_lettered, record);
            self.on_dead_lettered(&dead_lettered, counts);
        }
        self.sweeper.set_found(found_unix_ms);
        let next = if seen_count < STEP_PENDING {
            Sweep::Rests(found_unix_ms.max(now_unix_ms.saturating_add(EXPIRY_MS)))
        } else {
            Sweep::At(at)
        };
        self.sweeper.set(SweepKind::Pending, next);
    }

    /// Removes dead letters that are too old, or too many for their conversation, and
    /// the bodies of those whose messages would be too old.
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

    /// Removes places among conversations whose channels are gone: when some are, and
    /// once after a start.
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
        // What is forgotten from here on makes the next sweep.
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

    /// Removes ids that are over, at most so many.
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

/// The next entries of a space; what cannot be read ends it.
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
