//! The store's decisions: requests in, batches to a disk, answers out.
//!
//! One turn takes what waits, up to a limit, makes one batch of all its writes,
//! and commits that with one sync when any of them wants it. What it reads beside
//! them is bounded, and goes on in the next turn (`queue.rs`). All answers of a turn
//! leave after its commit, so none tells of something that is not kept.
//!
//! Invariants: an `Append` is exactly one above its channel's head; a batch is
//! planned from what is read through `View`, and a failed one is forgotten with
//! everything that was remembered of it; writes of one shard take effect in their
//! order, and a read sees every write that was asked for before it.
//!
//! Deliberately absent: a clock (`turn` is told), a thread, who may do what.

mod census;
mod forgetting;
mod heads;
mod health;
mod ids;
mod life;
mod queue;
mod reads;
mod retention;
mod setup;
mod writes;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{Prng, RoomId, ShardId};

use super::disk::{Batch, Capacity, Disk, DiskFault, Durable, View};
use super::letter::{Append, Failure, Job, Outcome, Reply, Request, Round, Ticket};
use super::record::Garbled;
use census::Census;
use heads::Heads;
use health::{Health, Reclaimed};
use queue::{Budget, Queue, QueuedRead};
use retention::Sweeper;
use writes::Marking;

pub use census::DeadLetters;
pub(super) use heads::reborn;
pub(super) use life::name_key;
pub use setup::{Counts, Setup, Turned};

/// The store over a disk.
#[derive(Debug)]
pub struct Engine<D> {
    disk: D,
    setup: Setup,
    name_key: [u8; 16],
    queue: Queue,
    batch: Batch,
    heads: Heads,
    /// By inbox and room: nothing below this offset waits. Spares walking over
    /// what was acknowledged long ago.
    acknowledged: BTreeMap<(RoomId, RoomId), u64>,
    /// No id is of this period or a later one: most rooms are not looked up for nothing.
    ids_until: u64,
    /// Conversations in which an append was refused because too much waits, until they are
    /// opened again: what was given behind it is refused for the same.
    crowded: BTreeSet<RoomId>,
    /// By shard: appends of this round and earlier ones are stale.
    refused: BTreeMap<ShardId, Round>,
    health: Health,
    /// Rooms of messages whose commit failed, until the disk was read again.
    doubtful: BTreeSet<RoomId>,
    /// How often what was answered before its sync may have been lost.
    losses_count: u32,
    capacity: Capacity,
    capacity_seen_unix_ms: Option<u64>,
    reclaimed: Reclaimed,
    /// When the oldest batch that is not synced was committed.
    unsynced_since_unix_ms: Option<u64>,
    sweeper: Sweeper,
    census: Census,
    counts: Counts,
}

/// What a turn has so far: answers that wait for its commit.
#[derive(Debug)]
struct Plan {
    answers: Vec<(ShardId, Reply)>,
    /// Appends among them, which are refused when the commit fails.
    rounds: Vec<(ShardId, Round)>,
    durable: Durable,
    /// What holds when nothing of it happens.
    before: Counts,
}

impl<D: Disk> Engine<D> {
    /// What names are hashed with, the same in every life of this store.
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

    /// The disk, for worlds that let it fail.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// The disk, for the next life of this store.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// What it did.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How full its disk was when it looked last.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Whether `take` may be called with this; else only after a turn. Reads take no
    /// places of writes, and always find one.
    pub fn has_room_for(&self, job: &Job) -> bool {
        self.queue.has_room_for(job)
    }

    /// A request waits for the next turn.
    pub fn take(&mut self, from: ShardId, request: Request) {
        let has_room = self.has_room_for(&request.job);
        assert!(has_room, "who gives requests asks first whether there is room");
        self.queue.push(from, request);
    }

    /// When the next turn is due although nobody asks anything. `None` never.
    pub fn next_wake_unix_ms(&self) -> Option<u64> {
        if !self.queue.is_empty() {
            return Some(0);
        }
        let interval_ms = self.setup.options.interval_ms;
        let sync = self.unsynced_since_unix_ms.map(|since| since.saturating_add(interval_ms));
        let health = match self.health {
            Health::Works => self.sweeper.next_step_unix_ms(),
            Health::Broken { next_try_unix_ms, .. } => Some(next_try_unix_ms),
        };
        sync.into_iter().chain(health).min()
    }

    /// Does a bounded part of what waits. `now_unix_ms` is the wall clock's.
    pub fn turn(&mut self, now_unix_ms: u64, out: &mut Vec<(ShardId, Reply)>) -> Turned {
        self.heal(now_unix_ms);
        self.look_at_capacity(now_unix_ms);
        self.count_dead();
        let mut plan = Plan {
            answers: Vec::new(),
            rounds: Vec::new(),
            durable: Durable::Later,
            before: self.counts,
        };
        let mut budget = Budget::default();
        self.clear_on(&mut plan);
        while let Some((from, request)) = self.queue.next_write(&mut budget) {
            self.write(from, request, &mut plan);
            budget.batch_bytes = self.batch.bytes();
        }
        while let Some(read) = self.queue.next_read(&mut budget) {
            self.read_on(read, &mut budget, &mut plan);
        }
        self.queue.take_abandoned(&mut plan.answers);
        if self.health == Health::Works {
            self.sweep(now_unix_ms, plan.rounds.len());
        }
        self.finish(plan, now_unix_ms, out);
        self.reclaim(now_unix_ms);
        if self.queue.is_empty() { Turned::Idle } else { Turned::Busy }
    }

    fn write(&mut self, from: ShardId, request: Request, plan: &mut Plan) {
        let Request { ticket, round, by: _, job } = request;
        let is_append = matches!(job, Job::Append(_));
        let outcome = self.outcome(from, ticket, round, job, plan).unwrap_or_else(|failure| {
            self.count(failure);
            Some(Outcome::Failed(failure))
        });
        let Some(outcome) = outcome else { return };
        if is_append {
            match outcome {
                // Of one conversation's, and its own are refused by its name.
                Outcome::Failed(Failure::Crowded) => (),
                Outcome::Failed(_) => self.refuse(from, round),
                _ => plan.rounds.push((from, round)),
            }
        }
        plan.answers.push((from, Reply { ticket, outcome }));
    }

    /// What came of a write; `None` when that will be known in a later turn.
    fn outcome(
        &mut self,
        from: ShardId,
        ticket: Ticket,
        round: Round,
        job: Job,
        plan: &mut Plan,
    ) -> Result<Option<Outcome>, Failure> {
        if self.health != Health::Works {
            return Err(if self.is_full() { Failure::Full } else { Failure::Broken });
        }
        let (outcome, durable) = match job {
            Job::Append(append) => {
                self.may_append(from, round, &append)?;
                (Outcome::Appended, self.append(&append)?)
            }
            Job::Mark(mark) => match self.mark(&mark, from, ticket)? {
                (Marking::Whole(outcome), durable) => (outcome, durable),
                (Marking::Clears(clearing), durable) => {
                    plan.durable = later(plan.durable, durable);
                    self.queue.put_back_clearing(clearing);
                    return Ok(None);
                }
            },
            Job::Tried(tried) => self.tried(&tried)?,
            Job::Bury(burial) => self.bury(&burial)?,
            Job::Open(_)
            | Job::Read(_)
            | Job::Marks(_)
            | Job::Conversations(_)
            | Job::Pending(_)
            | Job::Abandon(_) => unreachable!("these stand in other lines"),
        };
        plan.durable = later(plan.durable, durable);
        Ok(Some(outcome))
    }

    /// One slice of a read.
    fn read_on(&mut self, mut read: QueuedRead, budget: &mut Budget, plan: &mut Plan) {
        let outcome = match self.slice(&read.job, &mut read.found, budget) {
            Ok(Some(outcome)) => outcome,
            Ok(None) => return self.queue.put_back(read),
            Err(failure) => {
                self.count(failure);
                Outcome::Failed(failure)
            }
        };
        self.queue.end(&read);
        plan.answers.push((read.from, Reply { ticket: read.ticket, outcome }));
    }

    /// One step of an acknowledgement that has more to remove than fits a turn.
    fn clear_on(&mut self, plan: &mut Plan) {
        let Some(mut clearing) = self.queue.next_clearing() else { return };
        let cleared = match self.health {
            Health::Works => self.clear(&mut clearing),
            Health::Broken { .. } => Err(Failure::Broken),
        };
        let (from, ticket) = (clearing.from, clearing.ticket);
        let outcome = match cleared {
            Ok((is_over, durable)) => {
                plan.durable = later(plan.durable, durable);
                if !is_over {
                    return self.queue.put_back_clearing(clearing);
                }
                clearing.outcome
            }
            Err(failure) => {
                self.count(failure);
                Outcome::Failed(failure)
            }
        };
        plan.answers.push((from, Reply { ticket, outcome }));
    }

    /// Taking back goes on when the disk is full: that is little, and once a message.
    fn may_append(&self, from: ShardId, round: Round, append: &Append) -> Result<(), Failure> {
        if self.refused.get(&from).is_some_and(|refused| round <= *refused) {
            return Err(Failure::Stale);
        }
        if append.retracts.is_none() && self.is_full() { Err(Failure::Full) } else { Ok(()) }
    }

    fn refuse(&mut self, from: ShardId, round: Round) {
        let refused = self.refused.entry(from).or_default();
        *refused = round.max(*refused);
    }

    fn count(&mut self, failure: Failure) {
        match failure {
            Failure::Full => self.counts.full += 1,
            Failure::Stale => self.counts.stale += 1,
            Failure::Broken => self.counts.broken += 1,
            Failure::Damaged => self.counts.damaged += 1,
            Failure::Abandoned | Failure::Crowded => {}
        }
    }

    /// Commits what was planned, and only then lets the answers go.
    fn finish(&mut self, plan: Plan, now_unix_ms: u64, out: &mut Vec<(ShardId, Reply)>) {
        if self.commit(plan.durable, now_unix_ms).is_err() {
            self.fail(now_unix_ms);
            self.queue.begin_anew();
            self.census = Census::default();
            let Counts { appended_bytes, expired, dead_tried, dead_expired, .. } = plan.before;
            self.counts =
                Counts { appended_bytes, expired, dead_tried, dead_expired, ..self.counts };
            for (from, round) in plan.rounds {
                self.refuse(from, round);
            }
            for (from, mut reply) in plan.answers {
                if !matches!(reply.outcome, Outcome::Failed(_)) {
                    self.counts.broken += 1;
                    reply.outcome = Outcome::Failed(Failure::Broken);
                }
                out.push((from, reply));
            }
            while let Some(clearing) = self.queue.next_clearing() {
                self.counts.broken += 1;
                let outcome = Outcome::Failed(Failure::Broken);
                out.push((clearing.from, Reply { ticket: clearing.ticket, outcome }));
            }
            return;
        }
        self.counts.appended += plan.rounds.len() as u64;
        out.extend(plan.answers);
    }

    fn commit(&mut self, durable: Durable, now_unix_ms: u64) -> Result<(), DiskFault> {
        if !self.batch.is_empty() {
            self.disk.commit(&self.batch, durable)?;
            self.batch.clear();
            self.counts.commits += 1;
            match durable {
                Durable::Now => {
                    self.counts.syncs += 1;
                    self.unsynced_since_unix_ms = None;
                }
                Durable::Later => {
                    self.unsynced_since_unix_ms.get_or_insert(now_unix_ms);
                }
            }
        }
        // A wall clock that was set back must not make a sync wait for it.
        let age_ms = self.unsynced_since_unix_ms.map(|since| now_unix_ms.abs_diff(since));
        if age_ms.is_some_and(|age_ms| self.setup.options.interval_ms <= age_ms) {
            self.disk.sync()?;
            self.counts.syncs += 1;
            self.unsynced_since_unix_ms = None;
        }
        Ok(())
    }

    fn view(&self) -> View<'_, D> {
        View::new(&self.disk, &self.batch)
    }
}

fn later(a: Durable, b: Durable) -> Durable {
    match (a, b) {
        (Durable::Later, Durable::Later) => Durable::Later,
        (Durable::Now, _) | (_, Durable::Now) => Durable::Now,
    }
}

impl From<DiskFault> for Failure {
    fn from(fault: DiskFault) -> Failure {
        match fault {
            DiskFault::Full => Failure::Full,
            DiskFault::Broken => Failure::Broken,
            DiskFault::Damaged => Failure::Damaged,
        }
    }
}

impl From<Garbled> for Failure {
    fn from(_: Garbled) -> Failure {
        Failure::Damaged
    }
}
