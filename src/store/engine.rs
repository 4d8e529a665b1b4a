//! The store's decisions: requests in, batches to a disk, answers out.
//!
//! One turn takes pending requests, up to a limit, makes one batch of all writes, and commits it
//! with one sync when any of them needs one. Its reads are bounded, and continue in the next turn
//! (`queue.rs`). All answers of a turn are sent after its commit, so none reports anything that is
//! not stored.
//!
//! Invariants: asked = answered + waiting, after each turn; an `Append` is exactly one above
//! its channel's head; a batch is
//! planned from what is read through `BatchOverlay`, and a failed one is dropped with
//! everything that was remembered of it; writes of one shard take effect in their
//! order, and a read sees every write that was asked for before it.
//!
//! Deliberately absent: a clock (the time is passed to `turn`), a thread, and permissions.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod append_gate;
mod boot;
mod budget;
mod channels;
mod dead_letter_scan;
mod heads;
mod health;
mod ids;
mod losses;
mod queue;
mod reads;
mod recent_direct;
mod setup;
mod staged;
mod upkeep;
mod writes;

#[cfg(test)]
mod tests;

use crate::base::{Prng, ShardId};

use super::OpenError;
use super::disk::{Capacity, Disk, DiskError, SyncMode};
use super::key;
use super::messages::{
    Addressee, Append, GivenUpMessage, RemoveHistory, RequestId, StoreError, StoreOp, StoreReply,
    StoreRequest, StoreResult, StoredDirect, WriteEpoch,
};
use super::record::{ChannelRecord, DecodeError};
use append_gate::AppendGate;
use boot::BootHistory;
use budget::Budget;
use channels::ChannelStore;
use health::{DiskHealth, ReopenResult};
use queue::{QueuedRead, RequestQueue};
use recent_direct::RecentDirect;
use upkeep::Upkeep;
use writes::append::{self, QuotaState, Written};
use writes::markers::{self, Cleared, MarkerWrite};
use writes::{dead_letters, history_removal, pending, reaction, roster};

pub(super) use boot::{format, name_key, open_at_rest};
pub use dead_letter_scan::DeadLetterTotals;
pub(super) use heads::new_epoch;
pub use setup::{EngineSetup, StoreCounts, TurnResult};

/// The store over a disk.
#[derive(Debug)]
pub struct Engine<D> {
    channels: ChannelStore<D>,
    name_key: [u8; 16],
    queue: RequestQueue,
    gate: AppendGate,
    health: DiskHealth,
    upkeep: Upkeep,
    recent: RecentDirect,
    counts: StoreCounts,
    /// When the disk could do what it does by itself.
    tended_unix_ms: u64,
    /// Requests that were taken, and those of them that were answered.
    asked_count: u64,
    answered_count: u64,
}

/// The state of a turn: answers that wait for its commit.
#[derive(Debug)]
struct Plan {
    answers: Vec<(ShardId, StoreReply)>,
    /// Appends among them, which are refused when the commit fails.
    appends: Vec<(ShardId, WriteEpoch)>,
    durable: SyncMode,
    /// The counters to restore when the commit fails.
    before: StoreCounts,
}

impl<D: Disk> Engine<D> {
    /// Opens the store on a disk; an empty disk gets a new store.
    pub fn open(mut disk: D, setup: EngineSetup) -> Result<Engine<D>, OpenError> {
        let BootHistory { name_key, losses_count, retention_unix_ms } =
            boot::begin(&mut disk, &setup)?;
        let recent = RecentDirect::open(&disk, setup.options.telling);
        let recent = recent.map_err(|fault| boot::open_fault(&setup.options.dir, fault))?;
        Ok(Engine {
            name_key,
            recent,
            queue: RequestQueue::default(),
            gate: AppendGate::default(),
            health: DiskHealth::new(),
            upkeep: Upkeep::new(&setup.retention, retention_unix_ms),
            channels: ChannelStore::new(disk, setup, losses_count),
            counts: StoreCounts::default(),
            tended_unix_ms: 0,
            asked_count: 0,
            answered_count: 0,
        })
    }

    /// Syncs everything that was answered, and records that nothing was lost.
    pub fn close(self) -> Result<D, DiskError> {
        let losses_count = self.channels.losses_count();
        let retention_unix_ms = self.upkeep.time_unix_ms();
        let mut disk = self.channels.into_disk();
        boot::end(&mut disk, losses_count, retention_unix_ms)?;
        disk.close()?;
        Ok(disk)
    }

    /// What names are hashed with, the same after every start of this store.
    pub fn name_key(&self) -> [u8; 16] {
        self.name_key
    }

    /// Whether that key comes from the small generator, as it did before there was a
    /// better one: its halves are two draws in a row. Changing it would mean another
    /// name for each record of the store, so it stays.
    pub fn has_weak_name_key(&self) -> bool {
        let half = |at: usize| std::array::from_fn(|index| self.name_key[at + index]);
        Prng::follows(u64::from_be_bytes(half(0)), u64::from_be_bytes(half(8)))
    }

    /// The disk, for simulations that let it fail.
    pub fn disk_mut(&mut self) -> &mut D {
        self.channels.staged_mut().disk_mut()
    }

    /// The disk, for the next start of this store.
    pub fn into_disk(self) -> D {
        self.channels.into_disk()
    }

    /// Its counters.
    pub fn counts(&self) -> StoreCounts {
        self.counts
    }

    /// The capacity of its disk, as of the last look.
    pub fn capacity(&self) -> Capacity {
        self.health.capacity()
    }

    /// Whether messages are taken: the disk works, and has space.
    pub fn takes_messages(&self) -> Result<(), StoreError> {
        self.health.takes_messages(&self.channels.setup().options)
    }

    /// By how much the clock is ahead of the time by which things expire, in ms, while it is
    /// doubted: nothing expires by it.
    pub fn doubted_jump_ms(&self) -> Option<u64> {
        self.upkeep.doubted_jump_ms()
    }

    /// The number of dead letters, as far as they were counted.
    pub fn dead_letters(&self) -> DeadLetterTotals {
        self.upkeep.dead_letters()
    }

    /// Messages that the last turn has given up, and that are on the disk as such. One whose
    /// conversation cannot be read is left out.
    pub fn given_up(&self) -> impl Iterator<Item = GivenUpMessage> {
        self.upkeep.given_up().iter().filter_map(|dead_lettered| {
            let (inbox, room, offset) = key::pending_from(&dead_lettered.key)?;
            let ChannelRecord { tenant, channel, .. } = self.channels.record(room).ok()??;
            Some(GivenUpMessage { inbox, tenant, channel, offset, cause: dead_lettered.cause })
        })
    }

    /// Direct messages that wait and that the life before may not have told of; once.
    pub fn take_recent_direct(&mut self) -> Vec<StoredDirect> {
        self.recent.take_found(&mut self.channels)
    }

    /// Whether `take` may be called with this operation now, and not only after a turn. Reads are
    /// always taken.
    pub fn has_room_for(&self, op: &StoreOp) -> bool {
        self.queue.has_room_for(op)
    }

    /// Queues a request for the next turn.
    pub fn take(&mut self, from: ShardId, request: StoreRequest) {
        let has_room = self.has_room_for(&request.op);
        assert!(has_room, "who gives requests asks first whether there is room");
        self.asked_count += 1;
        self.queue.push(from, request);
    }

    /// The time of the next turn without a request; `None` for never.
    pub fn next_wake_unix_ms(&self) -> Option<u64> {
        if !self.queue.is_empty() {
            return Some(0);
        }
        let next_try = self.health.next_try_unix_ms();
        let next = next_try.unwrap_or_else(|| self.upkeep.next_step_unix_ms());
        let recent = self.recent.next_step_unix_ms().filter(|_| self.health.works());
        let tend_ms = self.channels.staged().disk().tend_due_ms();
        let tend = tend_ms.filter(|_| self.health.works());
        let tend = tend.map(|ms| self.tended_unix_ms.saturating_add(ms));
        let due = self.channels.sync_due_unix_ms().into_iter().chain(recent).chain(tend);
        due.chain([next]).min()
    }

    /// Does a bounded part of the pending work. `now_unix_ms` is the time of the wall clock.
    pub fn turn(&mut self, now_unix_ms: u64, out: &mut Vec<(ShardId, StoreReply)>) -> TurnResult {
        self.upkeep.begin_turn(now_unix_ms);
        if self.health.heal(now_unix_ms, &mut self.channels) == ReopenResult::Reopened {
            self.counts.reopened += 1;
        }
        self.tend(now_unix_ms);
        self.health.look(now_unix_ms, self.channels.staged().disk());
        self.upkeep.count_dead(&self.channels);
        let mut plan = Plan {
            answers: Vec::new(),
            appends: Vec::new(),
            durable: SyncMode::Later,
            before: self.counts,
        };
        let mut budget = Budget::default();
        self.clear_on(&mut plan);
        while let Some((from, request)) = self.queue.next_write(&mut budget) {
            self.write(from, request, &mut plan);
            budget.set_batch_bytes(self.channels.staged().staged_bytes());
        }
        while let Some(read) = self.queue.next_read(&mut budget) {
            self.read_on(read, &mut budget, &mut plan);
        }
        self.queue.take_abandoned(&mut plan.answers);
        if self.health.works() {
            let Engine { channels, upkeep, counts, .. } = self;
            upkeep.sweep(channels, counts, plan.appends.len());
        }
        self.finish(plan, now_unix_ms, out);
        let waiting_count = self.queue.len() as u64;
        let known_count = self.answered_count + waiting_count;
        assert_eq!(self.asked_count, known_count, "each request is answered once, or waits");
        let commits_count = self.counts.commits;
        if self.health.reclaim(now_unix_ms, commits_count, &mut self.channels).is_err() {
            self.fail(now_unix_ms);
        }
        if self.queue.is_empty() { TurnResult::Idle } else { TurnResult::Busy }
    }

    /// Lets the disk do what it does by itself.
    fn tend(&mut self, now_unix_ms: u64) {
        self.tended_unix_ms = now_unix_ms;
        if self.health.works() && self.channels.staged_mut().disk_mut().tend(now_unix_ms).is_err() {
            self.fail(now_unix_ms);
        }
    }

    fn write(&mut self, from: ShardId, request: StoreRequest, plan: &mut Plan) {
        let StoreRequest { request_id, write_epoch, by: _, op } = request;
        let is_append = matches!(op, StoreOp::Append(_));
        let outcome =
            self.outcome(from, request_id, write_epoch, op, plan).unwrap_or_else(|failure| {
                self.counts = self.counts.and_failed(failure);
                Some(StoreResult::Failed(failure))
            });
        let Some(outcome) = outcome else { return };
        if is_append {
            match outcome {
                // The limit is that of one conversation, which refuses its own appends.
                StoreResult::Failed(StoreError::Crowded) => (),
                StoreResult::Failed(_) => self.gate.refuse(from, write_epoch),
                StoreResult::Opened(..)
                | StoreResult::Appended
                | StoreResult::History(_)
                | StoreResult::MarkerAdvanced { .. }
                | StoreResult::Behind(_)
                | StoreResult::ReadMarkers(_)
                | StoreResult::Conversations(..)
                | StoreResult::Pending(..)
                | StoreResult::Reacted(_)
                | StoreResult::Reactions(_)
                | StoreResult::GroupsCounted(_)
                | StoreResult::Muted(_)
                | StoreResult::HistoryRemoved(_)
                | StoreResult::DeadLetters(..)
                | StoreResult::DeadLettersChanged(_)
                | StoreResult::Done => plan.appends.push((from, write_epoch)),
            }
        }
        plan.answers.push((from, StoreReply { request_id, outcome }));
    }

    /// The outcome of a write; `None` when a later turn will have it.
    fn outcome(
        &mut self,
        from: ShardId,
        request_id: RequestId,
        write_epoch: WriteEpoch,
        op: StoreOp,
        plan: &mut Plan,
    ) -> Result<Option<StoreResult>, StoreError> {
        if !self.health.works() {
            return Err(if self.is_full() { StoreError::Full } else { StoreError::Broken });
        }
        let (outcome, durable) = match op {
            StoreOp::Append(append) => {
                self.may_append(from, write_epoch, &append)?;
                (StoreResult::Appended, self.append(&append)?)
            }
            StoreOp::AdvanceMarker(advance) => {
                match markers::advance_marker(&mut self.channels, &advance, from, request_id)? {
                    (MarkerWrite::Whole(outcome), durable) => (outcome, durable),
                    (MarkerWrite::Clears(cleanup), durable) => {
                        plan.durable = later(plan.durable, durable);
                        self.queue.put_back_cleanup(cleanup);
                        return Ok(None);
                    }
                }
            }
            StoreOp::Attempted(tried) => pending::tried(&mut self.channels, &tried)?,
            StoreOp::DeadLetter(new_dead_letter) => {
                let (dead_lettered, durable) =
                    pending::dead_letter(&mut self.channels, &new_dead_letter)?;
                if let Some(dead_lettered) = dead_lettered {
                    self.upkeep.on_dead_lettered(dead_lettered, &mut self.counts);
                }
                (StoreResult::Done, durable)
            }
            StoreOp::ChangeDeadLetters(change) => {
                let write = dead_letters::change_dead_letters(&mut self.channels, &change)?;
                self.upkeep.on_dead_letters_changed(&write.keys, change.fate);
                (StoreResult::DeadLettersChanged(write.changed), write.durable)
            }
            StoreOp::React(react) => {
                // Removing one works on a full disk, too.
                if react.value.is_some() && self.is_full() {
                    return Err(StoreError::Full);
                }
                let (result, durable) = reaction::react(&mut self.channels, &react)?;
                (StoreResult::Reacted(result), durable)
            }
            StoreOp::MuteGroup(mute) => {
                let (result, durable) = roster::mute(&mut self.channels, &mute)?;
                (StoreResult::Muted(result), durable)
            }
            StoreOp::RemoveHistory(removal) => self.remove_history(&removal)?,
            StoreOp::Open(_)
            | StoreOp::Read(_)
            | StoreOp::ReadMarkers(_)
            | StoreOp::Conversations(_)
            | StoreOp::Pending(_)
            | StoreOp::DeadLetters(_)
            | StoreOp::Reactions(_)
            | StoreOp::CountGroups(_)
            | StoreOp::Abandon(_) => unreachable!("these stand in other lines"),
        };
        plan.durable = later(plan.durable, durable);
        Ok(Some(outcome))
    }

    /// Removes all that was said in a channel. It is small, and makes room: it works on a full disk,
    /// too.
    fn remove_history(
        &mut self,
        removal: &RemoveHistory,
    ) -> Result<(StoreResult, SyncMode), StoreError> {
        let (last, durable) = history_removal::remove_history(&mut self.channels, removal)?;
        // Reads in progress show no more of it either.
        self.queue.forget(removal.room, last);
        self.upkeep.on_removed(removal.room);
        Ok((StoreResult::HistoryRemoved(last), durable))
    }

    /// One slice of a read.
    fn read_on(&mut self, mut read: QueuedRead, budget: &mut Budget, plan: &mut Plan) {
        let outcome = match self.slice(&mut read, budget) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return self.queue.put_back(read),
            Err(failure) => {
                self.counts = self.counts.and_failed(failure);
                StoreResult::Failed(failure)
            }
        };
        self.queue.end(&read);
        plan.answers.push((read.from, StoreReply { request_id: read.request_id, outcome }));
    }

    /// One step of an acknowledgement that removes more than fits into a turn.
    fn clear_on(&mut self, plan: &mut Plan) {
        let Some(mut cleanup) = self.queue.next_cleanup() else { return };
        let cleared = match self.health.works() {
            true => markers::clear(&mut self.channels, &mut cleanup),
            false => Err(StoreError::Broken),
        };
        let (from, request_id) = (cleanup.from, cleanup.request_id);
        let outcome = match cleared {
            Ok((cleared, durable)) => {
                plan.durable = later(plan.durable, durable);
                if cleared == Cleared::Partly {
                    return self.queue.put_back_cleanup(cleanup);
                }
                cleanup.outcome
            }
            Err(failure) => {
                self.counts = self.counts.and_failed(failure);
                StoreResult::Failed(failure)
            }
        };
        plan.answers.push((from, StoreReply { request_id, outcome }));
    }

    /// Retractions work on a full disk, and on a busy one: they are small, and there is one for each
    /// message at most.
    fn may_append(
        &self,
        from: ShardId,
        write_epoch: WriteEpoch,
        append: &Append,
    ) -> Result<(), StoreError> {
        // All of them until it is over, and not only the first one of a room.
        if !append.takes_back() && !self.channels.staged().disk().takes_messages() {
            return Err(StoreError::Overloaded);
        }
        self.gate.admits(from, write_epoch)?;
        if !append.takes_back() && self.is_full() { Err(StoreError::Full) } else { Ok(()) }
    }

    fn is_full(&self) -> bool {
        self.health.is_full(&self.channels.setup().options)
    }

    /// Appends a message, and counts it.
    fn append(&mut self, append: &Append) -> Result<SyncMode, StoreError> {
        let plan = append::plan(&mut self.channels, &mut self.gate, append)?;
        let written = plan.write(&mut self.channels, append);
        let Written { durable, replaced, addressee, quota } = written;
        for left in &replaced {
            // Reads in progress show the replacement, too.
            self.queue.replace(append.room, left);
        }
        if quota == QuotaState::Over {
            self.upkeep.on_over_limit(append.room);
        }
        if let Some(Addressee { inbox, expires_unix_ms }) = addressee {
            self.upkeep.expects(expires_unix_ms);
            self.recent.on_stored(inbox, append.room, append.publication.offset);
        }
        self.counts.appended_bytes += append.publication.data.bytes.len() as u64;
        Ok(durable)
    }

    /// One slice of a read. `None` when there is more to do.
    fn slice(
        &mut self,
        read: &mut QueuedRead,
        budget: &mut Budget,
    ) -> Result<Option<StoreResult>, StoreError> {
        if let StoreOp::Open(open) = &read.op
            && self.health.is_in_doubt(open.room)
        {
            read.found = None;
            // An open now would miss what the disk may have.
            return Err(StoreError::Broken);
        }
        let Engine { channels, gate, counts, .. } = self;
        reads::slice(channels, gate, counts, (&read.op, &mut read.found), budget)
    }

    /// Drops everything that was planned or cached.
    fn fail(&mut self, now_unix_ms: u64) {
        let rooms = self.channels.discard();
        self.upkeep.restart();
        self.health.fail(now_unix_ms, rooms);
    }

    /// Commits the batch, and then releases the answers.
    fn finish(&mut self, plan: Plan, now_unix_ms: u64, out: &mut Vec<(ShardId, StoreReply)>) {
        self.answered_count += plan.answers.len() as u64;
        if self.health.works() {
            self.recent.write(now_unix_ms, self.channels.staged_mut());
        }
        let committed = self.channels.commit(plan.durable, now_unix_ms, &mut self.counts);
        if committed.is_err() {
            self.fail(now_unix_ms);
            self.queue.restart();
            self.upkeep.recount();
            self.recent.on_failed();
            let StoreCounts { appended_bytes, expired, dead_tried, dead_expired, .. } = plan.before;
            self.counts =
                StoreCounts { appended_bytes, expired, dead_tried, dead_expired, ..self.counts };
            for (from, write_epoch) in plan.appends {
                self.gate.refuse(from, write_epoch);
            }
            for (from, mut reply) in plan.answers {
                if !matches!(reply.outcome, StoreResult::Failed(_)) {
                    self.counts.broken += 1;
                    reply.outcome = StoreResult::Failed(StoreError::Broken);
                }
                out.push((from, reply));
            }
            while let Some(cleanup) = self.queue.next_cleanup() {
                self.counts.broken += 1;
                self.answered_count += 1;
                let outcome = StoreResult::Failed(StoreError::Broken);
                out.push((cleanup.from, StoreReply { request_id: cleanup.request_id, outcome }));
            }
            return;
        }
        self.counts.appended += plan.appends.len() as u64;
        out.extend(plan.answers);
    }
}

fn later(a: SyncMode, b: SyncMode) -> SyncMode {
    match (a, b) {
        (SyncMode::Later, SyncMode::Later) => SyncMode::Later,
        (SyncMode::Now, _) | (_, SyncMode::Now) => SyncMode::Now,
    }
}

impl From<DiskError> for StoreError {
    fn from(fault: DiskError) -> StoreError {
        match fault {
            DiskError::Full => StoreError::Full,
            DiskError::Broken => StoreError::Broken,
            DiskError::Damaged => StoreError::Damaged,
        }
    }
}

impl From<DecodeError> for StoreError {
    fn from(_: DecodeError) -> StoreError {
        StoreError::Damaged
    }
}
