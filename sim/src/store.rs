//! The store of a world: the engine over a disk that is watched, and lanes to and
//! from each core: the server's own, and before each of them a way on which batches are late.
//!
//! Invariants: requests of one core reach the engine in their order, and answers
//! reach the core in theirs; a way that is full keeps what it has no room for with
//! its writer; what the engine has no room for stays in its lane, and a batch leaves its way
//! for the store only when its lane is empty.
//!
//! Deliberately absent: what requests mean, and what must be on the disk.

use std::collections::VecDeque;

use rookery::base::limits::{STORE_LANE_BATCH_ITEMS_MAX, STORE_LANE_BATCHES_MAX, TURN_REPLIES_MAX};
use rookery::base::{MonotonicMs, Prng, ShardId, Timestamps};
use rookery::lane::{self, LaneLimits, LaneSender, Mailbox};
use rookery::room::Namespace;
use rookery::session::{NameKey, namespace_of};
use rookery::store::{
    Batch, Capacity, Crash, Disk, DiskError, DiskFaultProfile, Engine, EngineSetup, KeyRange,
    LogActivity, Options, ReadOrder, Retention, ScanCallback, SimulatedDisk, StoreError,
    StoreKeyspace, StoreReply, StoreRequest, StoreResult, SyncMode,
};

use crate::digest::Digest;
use crate::mutation::{Mutation, Mutator};
use crate::scenario::StoreScenario;
use crate::violation::{CheckResult, Checker, demand};

/// The bound of one lane to the store, or back, as in the server.
const STORE_LANE: LaneLimits =
    LaneLimits { batches_max: STORE_LANE_BATCHES_MAX, batch_items_max: STORE_LANE_BATCH_ITEMS_MAX };

/// A simulated disk, and whether what was asked of it may be lost.
pub struct WatchedDisk {
    disk: SimulatedDisk,
    /// What was written.
    written: Digest,
    /// A write or a sync failed, and nothing was read again since.
    has_failed: bool,
    /// The same of getting space back, which a turn does when its answers are given:
    /// it says nothing about them, only about those of the next turn.
    has_failed_behind: bool,
}

impl WatchedDisk {
    /// An empty one.
    pub fn new(seed: u64) -> WatchedDisk {
        let disk = SimulatedDisk::new(seed, DiskFaultProfile::CALM);
        let written = Digest::default();
        WatchedDisk { disk, written, has_failed: false, has_failed_behind: false }
    }

    /// A number for all that was written, in its order.
    pub fn digest(&self) -> u64 {
        self.written.value()
    }

    fn seen<T>(&mut self, outcome: Result<T, DiskError>) -> Result<T, DiskError> {
        self.has_failed |= outcome.is_err();
        outcome
    }
}

impl Disk for WatchedDisk {
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        self.disk.get(space, key)
    }

    fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        self.disk.scan(space, range, order, on_entry)
    }

    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError> {
        self.written.commit(batch);
        let outcome = self.disk.commit(batch, durable);
        self.seen(outcome)
    }

    fn takes_messages(&self) -> bool {
        self.disk.takes_messages()
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        let outcome = self.disk.sync();
        self.seen(outcome)
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        let outcome = self.disk.reopen();
        self.has_failed = outcome.is_err();
        self.has_failed_behind = false;
        outcome
    }

    fn tend(&mut self, now_unix_ms: u64) -> Result<(), DiskError> {
        let outcome = self.disk.tend(now_unix_ms);
        self.seen(outcome)
    }

    fn tend_due_ms(&self) -> Option<u64> {
        self.disk.tend_due_ms()
    }

    fn close(&mut self) -> Result<(), DiskError> {
        let outcome = self.disk.close();
        self.seen(outcome)
    }

    fn capacity(&self) -> Result<Capacity, DiskError> {
        self.disk.capacity()
    }

    fn boot_id(&self) -> u64 {
        self.disk.boot_id()
    }

    fn take_log_activity(&mut self) -> LogActivity {
        self.disk.take_log_activity()
    }

    fn reclaim(&mut self) -> Result<(), DiskError> {
        let outcome = self.disk.reclaim();
        self.has_failed_behind |= outcome.is_err();
        outcome
    }
}

/// The storage thread of a world.
pub struct Store {
    engine: Engine<WatchedDisk>,
    requests: Mailbox<StoreRequest>,
    lanes: Vec<StoreLane>,
    /// A sync is under way until then.
    busy_until: MonotonicMs,
    /// The disk has little room until then.
    squeezed_until: MonotonicMs,
    is_calm: bool,
}

/// Both ways of one core.
struct StoreLane {
    late_requests: VecDeque<(MonotonicMs, Vec<StoreRequest>)>,
    requests: LaneSender<StoreRequest>,
    /// Answers for which there was no room.
    waiting: Vec<StoreReply>,
    late_replies: VecDeque<(MonotonicMs, Vec<StoreReply>)>,
    replies: LaneSender<StoreReply>,
    mailbox: Mailbox<StoreReply>,
}

impl Store {
    /// Opens the store of a disk. Opening itself goes well: an operator repeats it
    /// until it does.
    pub fn open(
        mut disk: WatchedDisk,
        scenario: &StoreScenario,
        namespaces: &[Namespace],
        shards_count: u16,
    ) -> Store {
        disk.disk.set_fault_profile(DiskFaultProfile::CALM);
        (disk.has_failed, disk.has_failed_behind) = (false, false);
        let mut engine =
            Engine::open(disk, setup(scenario, namespaces)).expect("nothing is wrong with it");
        engine.disk_mut().disk.set_fault_profile(scenario.disk);
        let (senders, requests) = lane::mailbox(shards_count, STORE_LANE);
        Store {
            engine,
            requests,
            lanes: senders.into_iter().map(StoreLane::new).collect(),
            busy_until: MonotonicMs(0),
            squeezed_until: MonotonicMs(0),
            is_calm: false,
        }
    }

    /// The process ends; what is left is the disk, which `crash` decides.
    pub fn crash(self, crash: Crash) -> WatchedDisk {
        let mut disk = self.engine.into_disk();
        disk.disk.crash(crash);
        disk.disk.set_fault_profile(DiskFaultProfile::CALM);
        disk
    }

    /// The next commit fails, and nobody learns whether it happened.
    pub fn tear_next(&mut self) {
        let fault_profile =
            DiskFaultProfile { commit_fails_percent: 100, ..DiskFaultProfile::CALM };
        self.engine.disk_mut().disk.set_fault_profile(fault_profile);
    }

    /// What rooms are called with.
    pub fn names(&self) -> NameKey {
        NameKey::from_bytes(self.engine.name_key())
    }

    /// What is on the disk.
    pub fn disk(&mut self) -> &mut WatchedDisk {
        self.engine.disk_mut()
    }

    /// From now on nothing goes wrong.
    pub fn settle_down(&mut self) {
        self.is_calm = true;
        self.engine.disk_mut().disk.set_fault_profile(DiskFaultProfile::CALM);
    }

    /// The disk is nearly full for a while.
    pub fn squeeze(&mut self, now: MonotonicMs, scenario: &StoreScenario, prng: &mut Prng) {
        let disk = &mut self.engine.disk_mut().disk;
        let used_bytes = disk.capacity().map_or(0, |capacity| capacity.used_bytes);
        let capacity_bytes = used_bytes + scenario.reserve_bytes + prng.below(3_000);
        disk.set_fault_profile(DiskFaultProfile { capacity_bytes, ..scenario.disk });
        self.squeezed_until = now.plus_ms(200 + prng.below(1_500));
    }

    /// Moves what a core asks into its lane, if that has room.
    pub fn post(
        &mut self,
        core: usize,
        now: MonotonicMs,
        scenario: &StoreScenario,
        prng: &mut Prng,
        requests: &mut Vec<StoreRequest>,
    ) {
        let lane = &mut self.lanes[core];
        if requests.is_empty() || scenario.batches_max <= lane.late_requests.len() {
            return;
        }
        let due = now.plus_ms(prng.below(scenario.delay_ms_max + 1));
        let due = lane.late_requests.back().map_or(due, |(before, _)| due.max(*before));
        lane.late_requests.push_back((due, std::mem::take(requests)));
    }

    /// The answers for a core that have arrived, as many as its lane has room for.
    pub fn take(&mut self, core: usize, now: MonotonicMs) -> Vec<StoreReply> {
        let StoreLane { late_replies, replies, mailbox, .. } = &mut self.lanes[core];
        while let Some((due, mut batch)) = late_replies.pop_front_if(|(due, _)| *due <= now) {
            replies.post(&mut batch);
            if !batch.is_empty() {
                late_replies.push_front((due, batch));
                break;
            }
        }
        let mut taken = Vec::new();
        mailbox.take(TURN_REPLIES_MAX, &mut |_, reply| taken.push(reply), &mut |_| ());
        taken
    }

    /// The thread does a turn, unless it waits for its disk.
    pub fn turn(
        &mut self,
        now: Timestamps,
        scenario: &StoreScenario,
        prng: &mut Prng,
        mutator: &mut Mutator,
    ) -> CheckResult {
        if now.tick < self.busy_until {
            return Ok(());
        }
        if self.squeezed_until <= now.tick && !self.is_calm {
            self.engine.disk_mut().disk.set_fault_profile(scenario.disk);
        }
        for (lane, shard) in self.lanes.iter_mut().zip(0..) {
            let is_engine_idle = self.engine.next_wake_unix_ms() != Some(0);
            if is_engine_idle || !mutator.holds(Mutation::ServeInOrder) {
                lane.give(now.tick, ShardId(shard), &mut self.requests, &mut self.engine, mutator);
            }
        }
        let disk = self.engine.disk_mut();
        disk.has_failed |= std::mem::take(&mut disk.has_failed_behind);
        let mut replies = Vec::new();
        self.engine.turn(now.unix_ms, &mut replies);
        let disk = self.engine.disk_mut();
        let spent_us = disk.disk.take_spent_us();
        self.busy_until = now.tick.plus_ms(spent_us / 1_000);
        let has_failed = disk.has_failed;
        for (_, reply) in &mut replies {
            spoil(reply, mutator);
            demand!(
                !has_failed || !is_promise(&reply.outcome),
                Checker::Syncs,
                "{:?} although the disk failed",
                reply.outcome
            )?;
        }
        for (ShardId(shard), reply) in replies {
            if mutator.holds(Mutation::LoseReply) && matches!(reply.outcome, StoreResult::Done) {
                continue;
            }
            self.lanes[usize::from(shard)].waiting.push(reply);
        }
        let left_at = self.busy_until;
        for lane in &mut self.lanes {
            if !lane.waiting.is_empty() && lane.late_replies.len() < scenario.batches_max {
                let due = left_at.plus_ms(prng.below(scenario.delay_ms_max + 1));
                let due = lane.late_replies.back().map_or(due, |(before, _)| due.max(*before));
                lane.late_replies.push_back((due, std::mem::take(&mut lane.waiting)));
            }
        }
        Ok(())
    }

    /// True when nothing is under way, and the disk works and has room.
    pub fn is_quiet(&mut self) -> bool {
        self.requests.waiting_count() == 0
            && self.lanes.iter_mut().all(|lane| lane.under_way_count() == 0)
            && self.engine.next_wake_unix_ms() != Some(0)
            && self.engine.takes_messages() == Ok(())
    }
}

impl StoreLane {
    fn new(requests: LaneSender<StoreRequest>) -> StoreLane {
        let (mut senders, mailbox) = lane::mailbox(1, STORE_LANE);
        StoreLane {
            late_requests: VecDeque::new(),
            requests,
            waiting: Vec::new(),
            late_replies: VecDeque::new(),
            replies: senders.remove(0),
            mailbox,
        }
    }

    /// What waits, but for what is in the lane to the store and in the engine.
    fn under_way_count(&mut self) -> usize {
        let requests: usize = self.late_requests.iter().map(|(_, batch)| batch.len()).sum();
        let replies: usize = self.late_replies.iter().map(|(_, batch)| batch.len()).sum();
        requests + self.waiting.len() + replies + self.mailbox.waiting_count()
    }

    fn give(
        &mut self,
        now: MonotonicMs,
        ShardId(from): ShardId,
        requests: &mut Mailbox<StoreRequest>,
        engine: &mut Engine<WatchedDisk>,
        mutator: &mut Mutator,
    ) {
        let is_in_order = mutator.holds(Mutation::ServeInOrder);
        let items_max = if is_in_order { 1 } else { usize::MAX };
        loop {
            let given_count = requests.take_from(from, items_max, &mut |mut request| {
                if !engine.has_room_for(&request.op) {
                    return Some(request);
                }
                mutator.change_request(&mut request);
                engine.take(ShardId(from), request);
                None
            });
            let waits = requests.received_count(from) < self.requests.sent_count();
            if waits || (is_in_order && given_count != 0) {
                return;
            }
            let due = self.late_requests.pop_front_if(|(due, _)| *due <= now);
            let Some((_, mut batch)) = due else { return };
            self.requests.post(&mut batch);
            assert!(batch.is_empty(), "a lane that is empty has room for what a core asks");
        }
    }
}

/// Whether an answer promises something about a write.
fn is_promise(outcome: &StoreResult) -> bool {
    match outcome {
        StoreResult::Appended
        | StoreResult::MarkerAdvanced { .. }
        | StoreResult::Behind(_)
        | StoreResult::Reacted(_)
        | StoreResult::HistoryRemoved(_)
        | StoreResult::Muted(_)
        | StoreResult::DeadLettersChanged(_)
        | StoreResult::Done => true,
        StoreResult::Opened(..)
        | StoreResult::History(_)
        | StoreResult::ReadMarkers(_)
        | StoreResult::Conversations(..)
        | StoreResult::Pending(..)
        | StoreResult::DeadLetters(..)
        | StoreResult::Reactions(_)
        | StoreResult::GroupsCounted(_)
        | StoreResult::Failed(_) => false,
    }
}

fn spoil(reply: &mut StoreReply, mutator: &mut Mutator) {
    match &mut reply.outcome {
        StoreResult::Failed(StoreError::Broken) if mutator.applies(Mutation::AnswerEarly) => {
            reply.outcome = StoreResult::Done;
        }
        StoreResult::Opened(Some(opened), _) if mutator.holds(Mutation::ForgetIds) => {
            opened.ids.clear()
        }
        StoreResult::HistoryRemoved(last) if mutator.holds(Mutation::RemoveLess) => *last /= 2,
        StoreResult::Pending(due, rest) if mutator.holds(Mutation::HideWaiting) => {
            due.clear();
            *rest = None;
        }
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
        | StoreResult::Done
        | StoreResult::Failed(_) => (),
    }
}

fn setup(scenario: &StoreScenario, namespaces: &[Namespace]) -> EngineSetup {
    let retention = |one: &Namespace| Retention {
        durability: one.durability,
        count_max: one.history_count_max,
        bytes_max: one.history_bytes_max,
        age_ms_max: one.history_age_ms_max,
        // The ledger knows one stream of each channel.
        channel_ms_max: u64::MAX,
        has_rosters: one.is_group(),
    };
    let known = namespaces.to_vec();
    EngineSetup {
        options: Options {
            reserve_bytes: scenario.reserve_bytes,
            interval_ms: 200,
            ..Options::default()
        },
        retention: namespaces.iter().map(retention).collect(),
        namespace_of: Box::new(move |channel| namespace_of(&known, channel).unwrap_or(u16::MAX)),
        new_name_key: u128::from(scenario.seed).to_le_bytes(),
    }
}
