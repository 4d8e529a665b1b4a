//! The store's decisions: requests in, batches to a disk, answers out.
//!
//! One turn takes what waits, up to a limit, makes one batch of all its writes,
//! and commits that with one sync when any of them wants it. Reads see the batch
//! that they stand behind. All answers of a turn leave after its commit, so none
//! tells of something that is not kept.
//!
//! Invariants: an `Append` is exactly one above its channel's head; a batch is
//! planned from what is read through `View`, and a failed one is forgotten with
//! everything that was remembered of it; requests of one shard about one room or
//! inbox take effect in their order.
//!
//! Deliberately absent: a clock (`turn` is told), a thread, who may do what.

mod heads;
mod queue;
mod reads;
mod retention;
mod writes;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::base::{Prng, RoomId, ShardId};

use super::disk::{Batch, Capacity, Disk, DiskFault, Durable, Space, View};
use super::letter::{Failure, Job, Outcome, Reply, Request, Round};
use super::options::{Durability, Retention};
use super::record::{Garbled, LifeRecord};
use super::{FORMAT, OpenFault, Options, key};
use heads::Heads;
pub(super) use heads::reborn;
use queue::{Budget, Queue};
use retention::Sweeper;

/// Requests that wait in the engine; who gives them keeps the rest.
const QUEUED_MAX: usize = 16_384;

/// How long a look at the disk's capacity holds, in ms.
const CAPACITY_MS: u64 = 100;

/// Between tries to read a broken disk again, in ms; doubles up to the second.
const HEAL_MS: (u64, u64) = (50, 5_000);

/// What an engine is made of beside its disk.
pub struct Setup {
    /// What the operator set.
    pub options: Options,
    /// By index of namespace.
    pub retention: Vec<Retention>,
    /// Which namespace a channel is in. The index in a record would not survive a
    /// change of the configuration.
    pub namespace_of: Box<dyn Fn(&str) -> u16 + Send>,
    /// Chance, for the key of names, when the store is new.
    pub seed: u64,
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { options, retention, namespace_of: _, seed: _ } = self;
        f.debug_struct("Setup")
            .field("options", options)
            .field("retention", retention)
            .finish_non_exhaustive()
    }
}

impl Setup {
    /// The rules of a namespace; a channel of none is kept carefully and long.
    fn rules(&self, namespace: u16) -> Retention {
        self.retention.get(usize::from(namespace)).copied().unwrap_or(Retention {
            durability: Durability::Fsync,
            count_max: u32::MAX,
            bytes_max: u64::MAX,
            age_ms_max: u64::MAX,
        })
    }

    /// When a write in a namespace must be on the disk.
    fn durable(&self, namespace: u16) -> Durable {
        match self.rules(namespace).durability {
            Durability::Fsync => Durable::Now,
            Durability::Interval | Durability::Memory => Durable::Later,
        }
    }
}

/// What the store did since it was opened. Grows only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Batches that were committed.
    pub commits: u64,
    /// Of these and beside these: syncs.
    pub syncs: u64,
    /// Messages that were kept.
    pub appended: u64,
    /// Bytes of their data.
    pub appended_bytes: u64,
    /// Requests that were refused because there is no space.
    pub full: u64,
    /// Appends that were refused because an earlier one was.
    pub stale: u64,
    /// Requests that failed with the disk.
    pub broken: u64,
    /// Requests that met what does not match its checksum.
    pub damaged: u64,
    /// Times that the disk was read again after a failure.
    pub reopened: u64,
    /// Messages that retention removed.
    pub expired: u64,
    /// Messages that became dead letters.
    pub dead: u64,
}

/// How a turn left things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// Nothing waits.
    Idle,
    /// Something waits for the next turn.
    Busy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Works,
    /// Not to be written before it is read again.
    Broken {
        next_try_unix_ms: u64,
        pause_ms: u64,
    },
}

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
    /// By shard: appends of this round and earlier ones are stale.
    refused: BTreeMap<ShardId, Round>,
    health: Health,
    /// How often what was answered before its sync may have been lost.
    losses_count: u32,
    capacity: Capacity,
    capacity_seen_unix_ms: Option<u64>,
    /// When the oldest batch that is not synced was committed.
    unsynced_since_unix_ms: Option<u64>,
    sweeper: Sweeper,
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
    /// Opens the store of a disk, and makes it one when it is empty.
    pub fn open(mut disk: D, setup: Setup) -> Result<Engine<D>, OpenFault> {
        let dir = &setup.options.dir;
        let fault = |fault: DiskFault| open_fault(dir, fault);
        let name_key = match name_key(&disk, dir)? {
            Some(name_key) => name_key,
            None => create(&mut disk, setup.seed).map_err(fault)?,
        };
        // What a process that was killed left in the kernel is shown from now on.
        disk.sync().map_err(fault)?;
        let last = match disk.get(Space::Meta, key::LIFE).map_err(fault)? {
            Some(bytes) => LifeRecord::take(&bytes).map_err(|_| fault(DiskFault::Damaged))?,
            None => LifeRecord::default(),
        };
        let is_same = [0, disk.life()].contains(&last.life);
        let losses_count = last.losses_count.saturating_add(u32::from(!is_same));
        let life = LifeRecord { life: disk.life(), losses_count };
        if life != last {
            put_life(&mut disk, losses_count).map_err(fault)?;
        }
        Ok(Engine {
            disk,
            name_key,
            queue: Queue::default(),
            batch: Batch::default(),
            heads: Heads::default(),
            acknowledged: BTreeMap::new(),
            refused: BTreeMap::new(),
            health: Health::Works,
            losses_count,
            capacity: Capacity { used_bytes: 0, free_bytes: u64::MAX },
            capacity_seen_unix_ms: None,
            unsynced_since_unix_ms: None,
            sweeper: Sweeper::new(&setup.retention),
            counts: Counts::default(),
            setup,
        })
    }

    /// What names are hashed with, the same in every life of this store.
    pub fn name_key(&self) -> [u8; 16] {
        self.name_key
    }

    /// The disk, for worlds that let it fail.
    pub fn disk_mut(&mut self) -> &mut D {
        &mut self.disk
    }

    /// The disk, for the next life of this store.
    pub fn into_disk(self) -> D {
        self.disk
    }

    /// Puts everything that was answered on the disk, at the end, and says there that
    /// nothing was lost.
    pub fn close(mut self) -> Result<D, DiskFault> {
        let mut batch = Batch::default();
        let record = LifeRecord { life: 0, losses_count: self.losses_count };
        batch.put(Space::Meta, key::LIFE, record.put());
        self.disk.commit(&batch, Durable::Now)?;
        Ok(self.disk)
    }

    /// What it did.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// How full its disk was when it looked last.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Whether messages are taken: the disk works, and has space.
    pub fn takes_messages(&self) -> Result<(), Failure> {
        match self.health {
            Health::Broken { .. } => Err(Failure::Broken),
            Health::Works if self.is_full() => Err(Failure::Full),
            Health::Works => Ok(()),
        }
    }

    /// Whether `take` may be called; else only after a turn.
    pub fn has_room(&self) -> bool {
        self.queue.len() < QUEUED_MAX
    }

    /// A request waits for the next turn.
    pub fn take(&mut self, from: ShardId, request: Request) {
        assert!(self.has_room(), "who gives requests asks first whether there is room");
        self.queue.push(from, request);
    }

    /// When the next turn is due although nobody asks anything. `None` never.
    pub fn next_wake_unix_ms(&self) -> Option<u64> {
        if self.queue.len() != 0 {
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
        let mut plan = Plan {
            answers: Vec::new(),
            rounds: Vec::new(),
            durable: Durable::Later,
            before: self.counts,
        };
        let mut budget = Budget::default();
        while let Some((from, request)) = self.queue.next(&mut budget) {
            self.answer(from, request, &mut budget, &mut plan);
            budget.batch_bytes = self.batch.bytes();
        }
        self.queue.end_turn();
        if self.health == Health::Works {
            self.sweep(now_unix_ms, plan.rounds.len());
        }
        self.finish(plan, now_unix_ms, out);
        if self.queue.len() == 0 { Turned::Idle } else { Turned::Busy }
    }

    fn answer(&mut self, from: ShardId, request: Request, budget: &mut Budget, plan: &mut Plan) {
        let Request { ticket, round, job } = request;
        let is_append = matches!(job, Job::Append(_));
        let outcome = self.outcome(from, round, job, budget, plan).unwrap_or_else(|failure| {
            self.count(failure);
            Outcome::Failed(failure)
        });
        if is_append {
            match outcome {
                Outcome::Failed(_) => self.refuse(from, round),
                _ => plan.rounds.push((from, round)),
            }
        }
        plan.answers.push((from, Reply { ticket, outcome }));
    }

    fn outcome(
        &mut self,
        from: ShardId,
        round: Round,
        job: Job,
        budget: &mut Budget,
        plan: &mut Plan,
    ) -> Result<Outcome, Failure> {
        if queue::writes(&job) && self.health != Health::Works {
            return Err(if self.is_full() { Failure::Full } else { Failure::Broken });
        }
        let durable = match job {
            Job::Append(append) => {
                self.may_append(from, round)?;
                let durable = self.append(&append)?;
                plan.durable = later(plan.durable, durable);
                return Ok(Outcome::Appended);
            }
            Job::Open(open) => return self.opened(&open, budget),
            Job::Read(range) => return self.passage(&range, budget),
            Job::Marks(page) => return self.marks_page(&page, budget),
            Job::Conversations(page) => return self.conversations(&page, budget),
            Job::Pending(page) => return self.pending(&page, budget),
            Job::Mark(mark) => self.mark(&mark)?,
            Job::Retract(retraction) => self.retract(&retraction)?,
            Job::Tried(tried) => self.tried(&tried)?,
            Job::Bury(burial) => self.bury(&burial)?,
        };
        let (outcome, durable) = durable;
        plan.durable = later(plan.durable, durable);
        Ok(outcome)
    }

    fn may_append(&self, from: ShardId, round: Round) -> Result<(), Failure> {
        if self.refused.get(&from).is_some_and(|refused| round <= *refused) {
            return Err(Failure::Stale);
        }
        if self.is_full() { Err(Failure::Full) } else { Ok(()) }
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
        }
    }

    /// Commits what was planned, and only then lets the answers go.
    fn finish(&mut self, plan: Plan, now_unix_ms: u64, out: &mut Vec<(ShardId, Reply)>) {
        if self.commit(plan.durable, now_unix_ms).is_err() {
            self.fail(now_unix_ms);
            let Counts { appended_bytes, expired, dead, .. } = plan.before;
            self.counts = Counts { appended_bytes, expired, dead, ..self.counts };
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

    /// Nothing that was planned or remembered counts any more.
    fn fail(&mut self, now_unix_ms: u64) {
        self.batch.clear();
        self.forget();
        if self.unsynced_since_unix_ms.take().is_some() {
            self.losses_count = self.losses_count.saturating_add(1);
        }
        self.sweeper.forget();
        // The disk says how full it is before the next write.
        self.capacity_seen_unix_ms = None;
        let pause_ms = HEAL_MS.0;
        self.health = Health::Broken { next_try_unix_ms: now_unix_ms, pause_ms };
    }

    /// What is remembered of the disk is read again.
    fn forget(&mut self) {
        self.heads.clear();
        self.acknowledged.clear();
    }

    /// Reads a broken disk again, when it is time.
    fn heal(&mut self, now_unix_ms: u64) {
        let Health::Broken { next_try_unix_ms, pause_ms } = self.health else { return };
        // A wall clock that was set back must not make this wait for it.
        let waits = now_unix_ms < next_try_unix_ms && next_try_unix_ms - now_unix_ms <= HEAL_MS.1;
        if waits {
            return;
        }
        self.capacity_seen_unix_ms = None;
        self.look_at_capacity(now_unix_ms);
        // Opening writes; without space it would break at once, and lose the
        // reading that still goes on.
        let is_open = !self.lacks_reserve() && self.disk.reopen().is_ok();
        if is_open && put_life(&mut self.disk, self.losses_count).is_ok() {
            // Reads went on meanwhile, and remembered what was to be seen then.
            self.forget();
            self.counts.reopened += 1;
            self.health = Health::Works;
        } else {
            self.health = Health::Broken {
                next_try_unix_ms: now_unix_ms.saturating_add(pause_ms),
                pause_ms: pause_ms.saturating_mul(2).min(HEAL_MS.1),
            };
        }
    }

    fn look_at_capacity(&mut self, now_unix_ms: u64) {
        let seen = self.capacity_seen_unix_ms;
        if seen.is_some_and(|seen| now_unix_ms.abs_diff(seen) < CAPACITY_MS) {
            return;
        }
        self.capacity_seen_unix_ms = Some(now_unix_ms);
        if let Ok(capacity) = self.disk.capacity() {
            self.capacity = capacity;
        }
    }

    /// Near the end of the disk, or of what may be used of it.
    fn is_full(&self) -> bool {
        let Options { disk_bytes_max, reserve_bytes, .. } = self.setup.options;
        let used_bytes = self.capacity.used_bytes.saturating_add(reserve_bytes);
        self.lacks_reserve() || (0 < disk_bytes_max && disk_bytes_max < used_bytes)
    }

    fn lacks_reserve(&self) -> bool {
        self.capacity.free_bytes < self.setup.options.reserve_bytes
    }

    fn view(&self) -> View<'_, D> {
        View::new(&self.disk, &self.batch)
    }
}

/// The key of names in a store of our format; `None` when the disk is empty.
pub(super) fn name_key<D: Disk>(disk: &D, dir: &Path) -> Result<Option<[u8; 16]>, OpenFault> {
    let fault = |fault: DiskFault| open_fault(dir, fault);
    let Some(found) = disk.get(Space::Meta, key::FORMAT).map_err(fault)? else { return Ok(None) };
    match <[u8; 4]>::try_from(&found[..]).map(u32::from_be_bytes).ok() {
        Some(FORMAT) => {}
        Some(found) if found < FORMAT => return Err(fault(DiskFault::Damaged)),
        found => return Err(OpenFault::Newer { dir: dir.to_path_buf(), found }),
    }
    let name_key = disk.get(Space::Meta, key::NAME_KEY).map_err(fault)?;
    let name_key = name_key.and_then(|bytes| bytes.try_into().ok());
    name_key.map(Some).ok_or_else(|| fault(DiskFault::Damaged))
}

fn put_life<D: Disk>(disk: &mut D, losses_count: u32) -> Result<(), DiskFault> {
    let mut batch = Batch::default();
    let record = LifeRecord { life: disk.life(), losses_count };
    batch.put(Space::Meta, key::LIFE, record.put());
    disk.commit(&batch, Durable::Now)
}

fn open_fault(dir: &Path, fault: DiskFault) -> OpenFault {
    let dir = dir.to_path_buf();
    match fault {
        DiskFault::Full => OpenFault::NoSpace(dir),
        DiskFault::Damaged => OpenFault::Damaged { dir, what: "its first records".into() },
        DiskFault::Broken => OpenFault::System { dir, what: "it cannot be read".into() },
    }
}

fn create<D: Disk>(disk: &mut D, seed: u64) -> Result<[u8; 16], DiskFault> {
    let name_key = Prng::from_seed(seed).draw_u128().to_be_bytes();
    let mut batch = Batch::default();
    batch.put(Space::Meta, key::FORMAT, FORMAT.to_be_bytes().to_vec());
    batch.put(Space::Meta, key::NAME_KEY, name_key.to_vec());
    disk.commit(&batch, Durable::Now)?;
    Ok(name_key)
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
