//! A log and what follows it, in worlds that a seed decides: writes and syncs that fail, disks
//! that fill up, kills and power cuts at any moment, runs that are late and are merged. A model
//! says what may be there. Channels get messages, lose them from the beginning, are removed, and
//! come again with the same offsets.
//!
//! `LOGGED_WORLDS=20000 cargo test --release --lib store::logged_disk` runs more of them.

mod changes;
mod overload;
mod runs;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::Duration;

use super::super::disk::KeyChange;
use super::super::key;
use super::super::log_activity::{LogBacklog, LogWrites};
use super::super::simulated::{Crash, DiskFaultProfile, SimulatedDisk};
use super::*;
use crate::base::{Csprng, Prng};
use crate::log::tests::drive::{Drive, DriveFaults};
use crate::log::{LogDisk as _, Options};
use changes::{RECORDS, random_batch, random_room};
use runs::SimulatedRuns;

/// Small, so that a group needs some batches, and a few of them fill a segment.
const SETUP: LogSetup = LogSetup {
    options: Options {
        segment_pages: 32,
        segments_max: 16,
        batch_bytes_max: 12_000,
        undurable_pages_max: 16,
    },
    limits: LoggedLimits {
        unapplied_bytes_max: 60_000,
        checkpoint_bytes: 20_000,
        unsorted_bytes_max: 100_000,
        layer_log_bytes: 40_000,
        layer_bytes: 6_000,
    },
    log_id: 7,
};

const HEALTHY: DriveFaults = DriveFaults { fail: 0, unreadable: 0, segments: 99 };

const APPLIED: &[u8] = b"~applied";

/// The log's commands, which take as long as the seed says.
struct SimulatedPort {
    drive: Drive,
    under_way: Vec<LogCommand>,
    prng: Prng,
}

impl SimulatedPort {
    fn finish_one(&mut self) -> Option<LogEvent> {
        if self.under_way.is_empty() {
            return None;
        }
        let number = self.prng.below(self.under_way.len() as u64) as usize;
        let command = self.under_way.remove(number);
        let result = self.drive.run(&command);
        Some(command.answered(result))
    }
}

impl LogPort for SimulatedPort {
    type Disk = Drive;

    fn disk(&mut self) -> &mut Drive {
        &mut self.drive
    }

    fn lives(&mut self) -> Result<Csprng, DiskError> {
        Ok(Csprng::from_key(self.prng.draw_u128().to_le_bytes()))
    }

    fn begin(&mut self, command: LogCommand) {
        self.under_way.push(command);
    }

    fn poll(&mut self) -> Option<LogEvent> {
        if self.prng.percent(50) { self.finish_one() } else { None }
    }

    fn wait(&mut self) -> Option<LogEvent> {
        self.finish_one()
    }

    fn restart(&mut self) -> Result<(), DiskError> {
        assert!(self.under_way.is_empty());
        Ok(())
    }

    fn take_writes(&mut self) -> LogWrites {
        LogWrites::default()
    }
}

enum Order {
    Apply(Arc<Batch>, u64),
    Checkpoint,
}

/// Applies when the seed says so.
struct SimulatedFollower {
    disk: SimulatedDisk,
    orders: VecDeque<Order>,
    has_failed: bool,
    prng: Prng,
}

impl SimulatedFollower {
    fn finish_one(&mut self) -> Option<FollowerEvent> {
        if self.has_failed {
            return None;
        }
        let event = match self.orders.pop_front()? {
            Order::Apply(changes, sequence) => {
                let applied = self.apply_now(&changes, sequence);
                applied.map(|()| FollowerEvent::Applied(sequence))
            }
            Order::Checkpoint => {
                let applied = self.applied().unwrap().unwrap();
                self.disk.sync().map(|()| FollowerEvent::CheckpointMade(applied, Duration::ZERO))
            }
        };
        self.has_failed = event.is_err();
        Some(event.unwrap_or_else(FollowerEvent::Failed))
    }

    fn apply_now(&mut self, changes: &Batch, sequence: u64) -> Result<(), DiskError> {
        let mut batch = changes.clone();
        batch.put(StoreKeyspace::Meta, APPLIED, sequence.to_be_bytes());
        self.disk.commit(&mut batch, SyncMode::Later)
    }
}

impl LogFollower for SimulatedFollower {
    type Disk = SimulatedDisk;

    fn disk(&self) -> &SimulatedDisk {
        &self.disk
    }

    fn applied(&self) -> Result<Option<u64>, DiskError> {
        let found = self.disk.get(StoreKeyspace::Meta, APPLIED)?;
        Ok(Some(found.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()))))
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.disk.sync()
    }

    fn apply(&mut self, changes: Arc<Batch>, sequence: u64) {
        self.orders.push_back(Order::Apply(changes, sequence));
    }

    fn dispose(&mut self, _changes: Arc<Batch>) {}

    fn checkpoint(&mut self) {
        self.orders.push_back(Order::Checkpoint);
    }

    fn poll(&mut self) -> Option<FollowerEvent> {
        if self.prng.percent(40) { self.finish_one() } else { None }
    }

    fn wait(&mut self) -> Option<FollowerEvent> {
        self.finish_one()
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        self.orders.clear();
        self.has_failed = false;
        self.disk.reopen()
    }

    fn reclaim(&mut self) -> Result<(), DiskError> {
        self.disk.reclaim()
    }
}

type Logged = LoggedDisk<SimulatedPort, SimulatedFollower, SimulatedRuns>;

/// What may be there: everything up to some batch behind those that must be.
struct Model {
    /// What is sure.
    sure: Batch,
    /// Batches behind it, in order, and how many of them were answered.
    behind: Vec<Batch>,
    answered: usize,
}

fn absorb_all(batch: &mut Batch, other: &Batch) {
    StoreKeyspace::ALL.into_iter().for_each(|space| batch.absorb(space, other));
}

type Content = Vec<(StoreKeyspace, Vec<u8>, Vec<u8>)>;

/// All that is there.
fn content(disk: &Logged) -> Content {
    let mut found = Vec::new();
    for space in StoreKeyspace::ALL {
        let all = KeyRange { first: vec![0], last: vec![255; 60] };
        let scanned = disk.scan(space, &all, ReadOrder::OldestFirst, &mut |key, value| {
            if key != APPLIED && key::void_messages_from(key).is_none() {
                found.push((space, key.to_vec(), value.to_vec()));
            }
            ControlFlow::Continue(())
        });
        scanned.unwrap();
    }
    found
}

impl Model {
    fn new() -> Model {
        Model { sure: Batch::default(), behind: Vec::new(), answered: 0 }
    }

    fn value(&self, space: StoreKeyspace, key: &[u8]) -> Option<Vec<u8>> {
        let newest = self.behind.iter().rev().find_map(|changes| {
            let mut found = changes.iter();
            found.find(|(of, name, _)| *of == space && **name == *key)
        });
        match newest {
            Some((_, _, value)) => value.map(<[u8]>::to_vec),
            None => match self.sure.change_of(space, key) {
                KeyChange::Put(value) => Some(value.to_vec()),
                KeyChange::None | KeyChange::Remove => None,
            },
        }
    }

    fn content(&self) -> Content {
        let all = KeyRange { first: vec![0], last: vec![255; 60] };
        let mut found = Vec::new();
        for space in StoreKeyspace::ALL {
            let entries = self.sure.range(space, &all);
            found.extend(
                entries.filter_map(|(key, value)| Some((space, key.to_vec(), value?.to_vec()))),
            );
        }
        found
    }

    /// So many of the batches behind are sure.
    fn advance(&mut self, count: usize) {
        for changes in self.behind.drain(..count) {
            absorb_all(&mut self.sure, &changes);
        }
        self.answered = self.answered.saturating_sub(count);
    }

    /// What is read after something failed: all up to some batch, but not less than `least`.
    fn settle(&mut self, found: &Content, least: usize) {
        self.advance(least);
        while self.content() != *found {
            assert!(!self.behind.is_empty(), "something is there that was never written, or less");
            self.advance(1);
        }
        self.behind.clear();
        self.answered = 0;
    }
}

struct World {
    prng: Prng,
    disk: Logged,
    model: Model,
    fails: u64,
    segments: usize,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Counts {
    commits: u64,
    failed: u64,
    reopened: u64,
    crashes: u64,
    divided: u64,
    checkpoints: u64,
    runs: u64,
    merges: u64,
    voided: u64,
}

impl Counts {
    fn add(&mut self, of: &Counts) {
        self.commits += of.commits;
        self.failed += of.failed;
        self.reopened += of.reopened;
        self.crashes += of.crashes;
        self.divided += of.divided;
        self.checkpoints += of.checkpoints;
        self.runs += of.runs;
        self.merges += of.merges;
        self.voided += of.voided;
    }
}

impl World {
    fn new(seed: u64) -> World {
        let mut prng = Prng::from_seed(seed);
        let fails = if prng.percent(50) { prng.below(6) } else { 0 };
        let segments = 6 + prng.below(8) as usize;
        let port = SimulatedPort {
            drive: Drive::new(prng.draw(), HEALTHY),
            under_way: Vec::new(),
            prng: Prng::from_seed(prng.draw()),
        };
        let follower = SimulatedFollower {
            disk: SimulatedDisk::new(prng.draw(), DiskFaultProfile::CALM),
            orders: VecDeque::new(),
            has_failed: false,
            prng: Prng::from_seed(prng.draw()),
        };
        let runs = SimulatedRuns::new(prng.draw());
        let disk = LoggedDisk::open(port, follower, runs, SETUP).unwrap();
        let mut world =
            World { prng, disk, model: Model::new(), fails, segments, counts: Counts::default() };
        world.set_faults();
        world
    }

    fn set_faults(&mut self) {
        let (fail, segments) = (self.fails, self.segments);
        self.disk.port.drive.set_faults(DriveFaults { fail, unreadable: 0, segments });
        self.disk.messages.runs_mut().set_faults(self.fails);
        let percent = (self.fails / 2) as u8;
        self.disk.follower.disk.set_fault_profile(DiskFaultProfile {
            commit_fails_percent: percent,
            sync_fails_percent: percent,
            reopen_fails_percent: percent,
            ..DiskFaultProfile::CALM
        });
    }

    fn step(&mut self, now_ms: u64) {
        let before = self.disk.progress.checkpoint;
        let sorted = self.disk.messages.sorted();
        self.step_once(now_ms);
        self.counts.runs += u64::from(sorted < self.disk.messages.sorted());
        self.counts.checkpoints += u64::from(before < self.disk.progress.checkpoint);
    }

    fn step_once(&mut self, now_ms: u64) {
        match self.prng.below(100) {
            0..=54 => self.commit(),
            55..=59 => {
                if self.disk.sync().is_ok() {
                    let all = self.model.behind.len();
                    self.model.advance(all);
                } else {
                    self.reopen();
                }
            }
            60..=84 => self.read(),
            85..=91 => {
                if self.disk.tend(now_ms).is_err() {
                    self.reopen();
                }
            }
            95 => {
                if self.disk.reclaim().is_err() {
                    self.reopen();
                }
            }
            96 => self.reopen(),
            92..=94 => self.merge(),
            _ => self.crash(),
        }
    }

    fn commit(&mut self) {
        let mut batch = random_batch(&self.model, &mut self.prng);
        if batch.is_empty() {
            return;
        }
        let changes = batch.clone();
        let durable = if self.prng.percent(60) { SyncMode::Now } else { SyncMode::Later };
        self.counts.divided += u64::from(12_000 < batch.bytes());
        let removes_channel = batch.removed(StoreKeyspace::Channels).next().is_some();
        let committed = self.disk.commit(&mut batch, durable);
        self.model.behind.push(changes);
        match (committed, durable) {
            (Ok(()), durable) => {
                self.counts.commits += 1;
                self.counts.voided += u64::from(removes_channel);
                self.model.answered = self.model.behind.len();
                if durable == SyncMode::Now {
                    self.model.advance(self.model.answered);
                }
            }
            (Err(_), _) => {
                self.counts.failed += 1;
                let planned = self.model.behind.last().unwrap();
                assert!(batch.iter().eq(planned.iter()), "it is as it was");
                self.reopen();
            }
        }
    }

    fn merge(&mut self) {
        let LoggedDisk { messages, follower, .. } = &mut self.disk;
        if messages.is_sorting() {
            return;
        }
        let disk = &follower.disk;
        let floor_of = |room| ChannelFloor::read(room, |space, key| disk.get(space, key)).unwrap();
        let applied = follower.applied().unwrap().unwrap();
        let is_merged = messages.runs_mut().merge(applied, &floor_of);
        self.counts.merges += u64::from(is_merged);
        self.disk.on_runs(RunsEvent::Merged);
    }

    /// What is known of removed channels is what runs may have messages of.
    fn check_void(&mut self) {
        self.disk.on_runs(RunsEvent::Merged);
        self.disk.forget_void().unwrap();
        let all = key::all_void_messages();
        let order = ReadOrder::OldestFirst;
        let scanned = self.disk.scan(StoreKeyspace::Meta, &all, order, &mut |_, value| {
            let removed_at = u64::from_be_bytes(value.try_into().unwrap());
            assert!(self.disk.messages.may_have_void(removed_at));
            ControlFlow::Continue(())
        });
        scanned.unwrap();
    }

    fn read(&mut self) {
        let space = RECORDS[self.prng.below(3) as usize];
        let key = [b'k', self.prng.below(12) as u8];
        assert_eq!(self.disk.get(space, &key).unwrap(), self.model.value(space, &key));
        let room = random_room(&mut self.prng);
        let (low, high) = (self.prng.below(20), self.prng.below(20));
        let mut found = Vec::new();
        let order = match self.prng.percent(50) {
            true => ReadOrder::OldestFirst,
            false => ReadOrder::NewestFirst,
        };
        let range = key::messages(room, low, high);
        let scanned = self.disk.scan(StoreKeyspace::Messages, &range, order, &mut |key, value| {
            found.push((key.to_vec(), value.to_vec()));
            if found.len() < 4 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        scanned.unwrap();
        let mut expected: Vec<_> = (low..=high)
            .filter_map(|offset| {
                let key = key::message(room, offset).to_vec();
                let value = self.model.value(StoreKeyspace::Messages, &key);
                let read = self.disk.get(StoreKeyspace::Messages, &key).unwrap();
                assert_eq!(read, value, "{room:?} {offset}");
                Some((key, value?))
            })
            .collect();
        if order == ReadOrder::NewestFirst {
            expected.reverse();
        }
        expected.truncate(4);
        assert_eq!(found, expected);
        if self.prng.percent(10) {
            let newest = |model: &mut Model| {
                let batches = model.behind.clone();
                let mut whole = Batch::default();
                let sure = model.content();
                let mut first = Batch::default();
                sure.into_iter().for_each(|(space, key, value)| first.put(space, &key, value));
                std::iter::once(first).chain(batches).for_each(|one| absorb_all(&mut whole, &one));
                Model { sure: whole, ..Model::new() }.content()
            };
            assert_eq!(content(&self.disk), newest(&mut self.model));
        }
    }

    /// Reads again after a failure, or without one, until that works.
    fn reopen(&mut self) {
        for attempt in 0.. {
            if attempt == 20 {
                // Somebody mends the disks.
                self.fails = 0;
                self.segments = 99;
                self.set_faults();
            }
            assert!(attempt < 25, "whole disks can be read");
            if self.disk.reopen().is_ok() {
                break;
            }
        }
        self.counts.reopened += 1;
        let found = content(&self.disk);
        self.model.settle(&found, 0);
    }

    fn crash(&mut self) {
        self.counts.crashes += 1;
        let placeholder = World::new(0).disk;
        let LoggedDisk { mut port, mut follower, messages, .. } =
            std::mem::replace(&mut self.disk, placeholder);
        let mut runs = messages.into_runs();
        runs.crash();
        let under_way = std::mem::take(&mut port.under_way);
        let crash = if self.prng.percent(60) { Crash::PowerCut } else { Crash::Killed };
        let least = match crash {
            Crash::PowerCut => {
                port.drive.power_cut(&under_way);
                0
            }
            Crash::Killed => {
                port.drive.kill(&under_way);
                self.model.answered
            }
        };
        follower.disk.crash(crash);
        follower.orders.clear();
        follower.has_failed = false;
        port.drive.set_faults(HEALTHY);
        follower.disk.set_fault_profile(DiskFaultProfile::CALM);
        self.disk = LoggedDisk::open(port, follower, runs, SETUP).unwrap();
        let found = content(&self.disk);
        self.model.settle(&found, least);
        self.set_faults();
    }
}

#[test]
fn what_is_answered_is_there_after_every_failure() {
    let mut counts = Counts::default();
    for seed in crate::log::tests::runs("LOGGED_WORLDS", 150) {
        let mut world = World::new(seed);
        let mut now_ms = 1_000_000;
        for _ in 0..150 {
            now_ms += world.prng.below(400);
            world.step(now_ms);
        }
        let closed = world.disk.close();
        if closed.is_ok() {
            assert_eq!(world.disk.progress.checkpoint, world.disk.progress.applied);
        }
        counts.add(&world.counts);
        world.check_void();
    }
    println!("{counts:?}");
    let Counts { failed, crashes, divided, checkpoints, runs, merges, voided, .. } = counts;
    let seen = [failed, crashes, divided, checkpoints, runs, merges, voided];
    assert!(seen.iter().all(|count| 100 < *count), "{counts:?}");
}

#[test]
fn how_far_the_follower_is_behind_is_told_and_each_end_of_a_life_once() {
    let mut world = World::new(1);
    world.disk.port.drive.set_faults(HEALTHY);
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Markers, b"key", vec![7; 5_000]);
    world.disk.commit(&mut batch, SyncMode::Now).unwrap();
    let two_pages = 2 * log::PAGE_BYTES as u64;
    let LogBacklog { unapplied_bytes, unapplied_bytes_max, unapplied_age_ms, layers_bytes, .. } =
        world.disk.take_log_activity().backlog;
    assert_eq!((unapplied_bytes, layers_bytes, unapplied_age_ms), (two_pages, 5_003, 0));
    assert_eq!(unapplied_bytes_max, 60_000);
    // It is given to the follower, which has not told that it has it.
    world.disk.tend(1_000_000).unwrap();
    assert!(world.disk.frozen.is_some() && world.disk.active.changes.is_empty());
    world.disk.clock.advance(1_000_700);
    let backlog = world.disk.take_log_activity().backlog;
    assert_eq!((backlog.unapplied_bytes, backlog.unapplied_age_ms), (two_pages, 1_700));
    world.disk.settle().unwrap();
    let LogActivity { failures, checkpoints, backlog, .. } = world.disk.take_log_activity();
    assert_eq!(
        (backlog.unapplied_bytes, backlog.unapplied_age_ms, backlog.layers_bytes),
        (0, 0, 0)
    );
    assert!(failures == 0 && !checkpoints.is_empty());

    world.disk.port.drive.set_faults(DriveFaults { fail: 100, ..HEALTHY });
    batch.put(StoreKeyspace::Markers, b"key", vec![8; 50]);
    for failures in [1, 0] {
        assert!(world.disk.commit(&mut batch, SyncMode::Now).is_err());
        while let Some(event) = world.disk.port.wait() {
            world.disk.on_log(event);
        }
        assert_eq!(world.disk.take_log_activity().failures, failures);
    }
    world.disk.port.drive.set_faults(HEALTHY);
    world.disk.reopen().unwrap();
    assert_eq!(world.disk.take_log_activity().failures, 0);
}
