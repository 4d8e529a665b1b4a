//! Worlds: a log that lets go what runs have, writes that fail, disks that fill up, kills and power
//! cuts between any two commands and within them. A map of what the log ever had says what has to
//! be read: all up to `sorted`, from each room's head on.
//!
//! `RUN_WORLDS=1000 cargo test --release --lib runs::tests::worlds` runs more of them.

use super::drive::{Drive, Faults, NO_FAULTS};
use super::*;

const OPTIONS: RunSetOptions =
    RunSetOptions { log_id: 77, new_behind: 0, merges: MergeSizes { runs: 3, bytes_max: 1 << 20 } };

const ROOMS: u64 = 4;

/// What a batch of the log had: its entries, and its time is its sequence.
type LoggedBatch = Vec<StoredEntry>;

struct World {
    prng: Prng,
    drive: Drive,
    set: Option<RunSet>,
    /// All that the log ever had, from sequence 1 on.
    log: Vec<LoggedBatch>,
    /// The log has let go what is up to here.
    let_go: u64,
    tails: BTreeMap<u128, u64>,
    /// Durable heads.
    heads: BTreeMap<u128, u64>,
    expired: u64,
    /// A view, and what it had when it was taken.
    held: Option<(Arc<RunView>, u64)>,
    under_way: Option<RunCommand>,
    merges: usize,
    dropped: usize,
}

/// What is to be read of a room by what the log had up to a sequence.
fn wanted(world: &World, room: u128, sorted: u64) -> Vec<(u64, Vec<u8>)> {
    let mut values = BTreeMap::new();
    for entry in world.log[..sorted as usize].iter().flatten() {
        if entry.key.room == RoomId(room) {
            values.insert(entry.key.offset, entry.value.clone());
        }
    }
    let head = world.heads.get(&room).copied().unwrap_or(0);
    values.split_off(&head).into_iter().collect()
}

impl World {
    fn new(seed: u64) -> World {
        World {
            prng: Prng::from_seed(seed),
            drive: Drive::new(seed),
            set: None,
            log: Vec::new(),
            let_go: 0,
            tails: BTreeMap::new(),
            heads: BTreeMap::new(),
            expired: 0,
            held: None,
            under_way: None,
            merges: 0,
            dropped: 0,
        }
    }

    fn append(&mut self) {
        let mut batch = Vec::new();
        for _ in 0..=self.prng.below(5) {
            let room = u128::from(self.prng.below(ROOMS));
            let tail = self.tails.entry(room).or_insert(0);
            let head = self.heads.get(&room).copied().unwrap_or(1).max(1);
            let (offset, kind) = if head <= *tail && self.prng.percent(30) {
                (head + self.prng.below(*tail - head + 1), EntryKind::Replacement)
            } else {
                *tail += 1;
                (*tail, EntryKind::Message)
            };
            let bytes = if self.prng.percent(3) { 40_000 } else { 90 };
            let value = (0..self.prng.below(bytes)).map(|_| self.prng.draw() as u8).collect();
            batch.push(StoredEntry { key: key(room, offset), kind, value });
        }
        self.log.push(batch);
    }

    fn open(&mut self) {
        self.under_way = None;
        let opened = match self.set.take() {
            Some(mut set) => {
                let reopened = set.reopen(&mut self.drive);
                if let Err(error) = reopened {
                    // It stays as it was.
                    assert!(set.has_ended(), "{error:?}");
                    self.set = Some(set);
                    return;
                }
                Ok(set)
            }
            None => RunSet::open(&mut self.drive, OPTIONS),
        };
        match opened {
            Ok(mut set) => {
                set.expire(self.expired);
                assert!(self.let_go <= set.sorted(), "what the log let go is there");
                assert!(set.sorted() <= self.log.len() as u64);
                self.set = Some(set);
                self.check();
            }
            Err(RunSetOpenError::Disk(_)) => self.set = None,
            Err(RunSetOpenError::Run(_, RunOpenError::Disk(RunDiskError::Failed))) => {
                self.set = None;
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Everything is forgotten that a process has.
    fn end_process(&mut self) {
        (self.set, self.held) = (None, None);
        if self.prng.percent(50) {
            self.drive.kill(self.under_way.take().as_ref());
        } else {
            self.drive.power_cut(self.under_way.take().as_ref());
        }
    }

    fn begin_run(&mut self) {
        let last = self.log.len() as u64;
        let Some(set) = &mut self.set else { return };
        let first = set.sorted() + 1;
        if set.may_begin_run().is_err() || last < first {
            return;
        }
        let through = first + self.prng.below(last - first + 1);
        let mut sorter = EntrySorter::new(64 << 20);
        for entry in self.log[first as usize - 1..through as usize].iter().flatten() {
            let StoredEntry { key, kind, value } = entry;
            sorter.push(&RunEntry { key: *key, kind: *kind, value }).unwrap();
        }
        set.begin_run(sorter, through, through);
    }

    /// A step, of which a command is not done; whether there was one to take.
    fn step(&mut self) -> bool {
        let Some(set) = self.set.as_mut().filter(|set| !set.has_ended()) else {
            self.open();
            return true;
        };
        let heads = &self.heads;
        let keep = &mut |room: RoomId| match heads.get(&{ room.0 }) {
            None => Ok(KeptEntries::ALL),
            Some(head) => Ok(KeptEntries::from(*head)),
        };
        set.set_known_up_to(u64::MAX);
        match set.step(&mut self.drive, keep) {
            Ok(RunSetStep::Do(command)) => self.under_way = Some(command),
            Ok(RunSetStep::Idle) => return false,
            Ok(RunSetStep::Again) => {}
            Err(RunStepError::Disk(_) | RunStepError::NotAsWritten(_, RunOpenError::Disk(_))) => {}
            Err(error) => panic!("{error:?}"),
        }
        true
    }

    fn finish_command(&mut self) {
        let Some(command) = self.under_way.take() else { return };
        let result = self.drive.run(&command);
        let set = self.set.as_mut().unwrap();
        let before = (set.view().runs().count(), set.view().generation(), set.sorted());
        set.on_done(result);
        let after = (set.view().runs().count(), set.view().generation(), set.sorted());
        assert!(before.2 <= after.2);
        if before.1 != after.1 && after.0 < before.0 {
            let is_merge = set.view().runs().any(|run| 0 < run.info().level);
            self.merges += usize::from(is_merge);
            self.dropped += before.0 - after.0;
        }
    }

    /// Older messages go, first by what says where rooms begin.
    fn raise_heads(&mut self) {
        if self.prng.percent(50) {
            let room = u128::from(self.prng.below(ROOMS));
            let tail = self.tails.get(&room).copied().unwrap_or(0);
            let head = self.heads.entry(room).or_insert(1);
            *head += self.prng.below(tail + 2 - (*head).min(tail + 1));
            return;
        }
        let before = self.prng.below(self.log.len() as u64 + 1);
        if before <= self.expired {
            return;
        }
        for entry in self.log[..before as usize - 1].iter().flatten() {
            let head = self.heads.entry(entry.key.room.0).or_insert(1);
            *head = (*head).max(entry.key.offset + 1);
        }
        self.expired = before;
        if let Some(set) = &mut self.set {
            set.expire(before);
        }
    }

    /// What is there is what the log had.
    fn check(&mut self) {
        let Some(set) = &self.set else { return };
        let view = Arc::clone(set.view());
        self.check_view(&view, set.sorted());
        if let Some((view, sorted)) = self.held.take() {
            self.check_view(&view, sorted);
            self.held = Some((view, sorted));
        }
    }

    fn check_view(&mut self, view: &RunView, sorted: u64) {
        let faults = std::mem::replace(&mut self.drive.faults, NO_FAULTS);
        for room in 0..u128::from(ROOMS) {
            let mut wanted = wanted(self, room, sorted);
            let first = self.heads.get(&room).copied().unwrap_or(0);
            let range = RoomRange { room: RoomId(room), first, last: u64::MAX };
            for direction in [ScanDirection::Forward, ScanDirection::Backward] {
                let mut scan = view.scan(&mut self.drive, range, direction).unwrap();
                let mut found = Vec::new();
                while let Some(item) = scan.next(&mut self.drive).unwrap() {
                    let ScanItem::Entry(entry) = item else { panic!("{item:?}") };
                    found.push((entry.entry.key.offset, entry.entry.value));
                }
                assert!(found == wanted, "room {room}, {direction:?}");
                wanted.reverse();
            }
            for (offset, value) in wanted {
                let found = view.get(&mut self.drive, key(room, offset)).unwrap();
                assert_eq!(found.unwrap().entry.value, value);
            }
        }
        self.drive.faults = faults;
    }

    fn act(&mut self) {
        match self.prng.below(100) {
            0..20 => self.append(),
            20..40 => self.begin_run(),
            40..42 => self.raise_heads(),
            42..45 => {
                let Some(set) = &self.set else { return };
                self.let_go = self.let_go.max(set.sorted());
            }
            45..47 => {
                let view = self.set.as_ref().map(|set| (Arc::clone(set.view()), set.sorted()));
                self.held = view.filter(|_| self.prng.percent(60));
            }
            47 => {
                self.end_process();
                self.open();
            }
            48 => self.check(),
            _ => {
                if self.under_way.is_none() {
                    self.step();
                }
                if self.prng.percent(95) {
                    self.finish_command();
                }
            }
        }
    }

    /// Without faults it comes to rest, and no file is left over.
    fn settle(&mut self) {
        self.drive.faults = NO_FAULTS;
        self.held = None;
        self.finish_command();
        while self.step() {
            self.finish_command();
        }
        let set = self.set.as_ref().unwrap();
        let mut listed: Vec<RunId> = set.view().runs().map(|run| run.info().id).collect();
        listed.sort_unstable();
        assert_eq!(self.drive.ids(), listed, "no file is left over");
        for run in set.view().runs() {
            let info = run.info();
            assert!(self.expired <= info.newest_unix_ms, "what is over has gone");
        }
        self.check();
        assert_eq!(self.set.as_ref().unwrap().unmerged_bytes(), 0);
    }
}

#[test]
fn what_the_log_let_go_is_there_whatever_happens() {
    let worlds = std::env::var("RUN_WORLDS").ok().and_then(|number| number.parse().ok());
    let (mut merges, mut dropped, mut runs) = (0, 0, 0);
    for seed in 0..worlds.unwrap_or(16) {
        let mut world = World::new(seed);
        world.open();
        for turn in 0..1_500 {
            if turn % 250 == 0 {
                let prng = &mut world.prng;
                let full = world.drive.bytes() + 30_000 + prng.below(200_000) as usize;
                let bytes = if prng.percent(30) { full } else { usize::MAX };
                let often = prng.percent(50);
                let fail = if often { prng.below(8) } else { 0 };
                world.drive.faults = Faults { fail, unreadable: fail / 4, bytes };
            }
            world.act();
        }
        world.settle();
        (merges, dropped) = (merges + world.merges, dropped + world.dropped);
        runs += world.set.as_ref().map_or(0, |set| set.view().runs().count());
    }
    println!("figure\tworlds\t{merges} merges, {dropped} runs replaced or dropped, {runs} left");
    assert!(20 < merges && 100 < dropped, "{merges} {dropped}");
}
