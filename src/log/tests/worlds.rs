//! Worlds: a log lives many lives over a disk that fails, fills up and loses power, and nothing
//! that was shown is ever missing or different.
//!
//! `LOG_WORLDS=10000 LOG_WORLDS_FROM=0 cargo test --release --lib log::tests::worlds` runs more.

use std::collections::BTreeMap;

use super::drive::{Drive, DriveFaults};
use super::*;

/// What was promised, and what may be there.
#[derive(Default)]
struct Promises {
    /// What was appended at each place, since it was last free.
    appended: BTreeMap<u64, Vec<u8>>,
    /// Durable: whatever happens.
    shown: u64,
    /// Written: unless the power is cut.
    written: u64,
    /// All before it was let go.
    let_go: u64,
}

struct World {
    prng: Prng,
    drive: Drive,
    core: LogCore,
    promises: Promises,
    under_way: Vec<LogCommand>,
    events: Vec<LogEvent>,
    now_ms: u64,
    /// What takes long in this life.
    slow: Slow,
}

/// What takes long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Slow {
    Nothing,
    Writes,
    Flushes,
    Manifests,
    Segments,
}

impl Slow {
    fn draw(prng: &mut Prng) -> Slow {
        let all = [Slow::Nothing, Slow::Writes, Slow::Flushes, Slow::Manifests, Slow::Segments];
        all[prng.below(all.len() as u64) as usize]
    }

    fn is(self, command: &LogCommand) -> bool {
        match command {
            LogCommand::Write { .. } => self == Slow::Writes,
            LogCommand::Flush { .. } => self == Slow::Flushes,
            LogCommand::WriteManifest { .. } => self == Slow::Manifests,
            LogCommand::Zero { .. } => self == Slow::Segments,
        }
    }
}

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LifeEnd {
    Power,
    Kill,
    Failure,
    Close,
}

fn faults(prng: &mut Prng) -> DriveFaults {
    let fail = if prng.percent(30) { prng.below(8) } else { 0 };
    let unreadable = if prng.percent(10) { prng.below(5) } else { 0 };
    DriveFaults { fail, unreadable, segments: 3 + prng.below(8) as usize }
}

const HEALTHY: DriveFaults = DriveFaults { fail: 0, unreadable: 0, segments: 99 };

/// Opens until it succeeds; the power may be cut in between.
fn open_again(drive: &mut Drive, prng: &mut Prng, promises: &mut Promises) -> LogCore {
    for attempt in 0.. {
        match open(drive, OPTIONS, lives(prng)) {
            Ok(core) => return core,
            Err(LogOpenError::Disk | LogOpenError::Full | LogOpenError::Unreadable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        if prng.percent(20) {
            drive.power_cut(&[]);
            promises.written = promises.shown;
        }
        if 5 < attempt {
            drive.set_faults(HEALTHY);
        }
    }
    unreachable!("it succeeds in the end")
}

/// What a log says has to be what was appended, from what was let go on.
fn check(core: &LogCore, drive: &mut Drive, promises: &Promises) {
    let last = core.tail().sequence;
    assert_eq!(core.last(), core.tail(), "all is durable after opening");
    assert!(promises.shown <= last, "{} was shown and {last} is the last", promises.shown);
    assert!(promises.written <= last, "{} was written and {last} is the last", promises.written);
    assert!(core.first().sequence <= promises.let_go.max(1), "more is gone than was let go");
    let mut at = core.first().sequence - 1;
    while at < last {
        let plan = core.read_plan(LogPosition::of_file(at), 20_000).unwrap();
        let mut pages = PageBuffer::zeroed(plan.pages());
        drive.read(plan.segment(), plan.page(), pages.bytes_mut()).unwrap();
        for batch in plan.batches(pages.bytes()).unwrap() {
            at += 1;
            let batch = SealedBatch::parse(&batch).unwrap();
            assert_eq!(batch.position(), LogPosition::of_file(at));
            let records: Vec<_> = batch.records().map(|record| record.unwrap().1).collect();
            let wanted = promises.appended.get(&at).map_or(&[][..], |bytes| bytes);
            assert_eq!(records.concat(), wanted, "batch {at}");
        }
    }
    assert_eq!(core.read_plan(core.tail(), 1).err(), Some(ReadPlanError::NotYet));
}

impl World {
    fn new(seed: u64) -> World {
        let mut prng = Prng::from_seed(seed);
        let mut drive = Drive::new(prng.draw(), faults(&mut prng));
        let mut promises = Promises::default();
        let core = open_again(&mut drive, &mut prng, &mut promises);
        let (under_way, events) = (Vec::new(), Vec::new());
        let slow = Slow::draw(&mut prng);
        World { prng, drive, core, promises, under_way, events, now_ms: 0, slow }
    }

    fn live(&mut self) -> LifeEnd {
        let mut is_closing = false;
        for _ in 0..20 + self.prng.below(300) {
            match self.prng.below(100) {
                0..30 => self.append(),
                30..60 => self.run_one(),
                60..85 => self.deliver_one(),
                85..90 => {
                    self.now_ms += self.prng.below(150);
                    self.core.on_time(self.now_ms, &mut self.under_way);
                }
                90..93 => self.core.sync(&mut self.under_way),
                93..95 => {
                    let tail = self.core.tail().sequence;
                    let below = tail.saturating_sub(self.prng.below(20));
                    self.promises.let_go = self.promises.let_go.max(below);
                    self.core.let_go(LogPosition::of_file(below), &mut self.under_way);
                }
                95..97 => self.cut_a_copy(),
                _ if self.prng.percent(3) => {
                    is_closing = true;
                    self.core.close(&mut self.under_way);
                }
                _ => {}
            }
            self.note();
            if self.core.state() == LogState::Ended {
                return LifeEnd::Failure;
            }
        }
        if is_closing || self.prng.percent(25) {
            return self.close();
        }
        if self.prng.percent(50) { LifeEnd::Power } else { LifeEnd::Kill }
    }

    fn close(&mut self) -> LifeEnd {
        self.core.close(&mut self.under_way);
        while self.core.state() != LogState::Ended {
            self.run_one();
            self.deliver_one();
            self.note();
            if self.under_way.is_empty() && self.events.is_empty() {
                let state = self.core.state();
                let is_over = matches!(state, LogState::Closed | LogState::Ended);
                assert!(is_over, "it stands still: {:?}", self.core);
                break;
            }
        }
        if self.core.state() == LogState::Ended { LifeEnd::Failure } else { LifeEnd::Close }
    }

    fn append(&mut self) {
        let mut batch = LogBatch::new(OPTIONS.batch_bytes_max);
        for _ in 0..self.prng.below(4) {
            let record = if self.prng.percent(50) {
                self.drive.some_page(&mut self.prng)
            } else {
                vec![self.prng.draw() as u8; self.prng.below(700) as usize]
            };
            let from = self.prng.below(record.len().min(64) as u64 + 1) as usize;
            let partition = Partition::new(self.prng.below(64) as u8).unwrap();
            let _ = batch.push(partition, &record[from..]);
        }
        let sync = if self.prng.percent(70) { AppendSync::Now } else { AppendSync::Later };
        let expected = self.core.last();
        let appended = self.core.append(expected, &mut batch, sync, &mut self.under_way);
        match appended {
            Ok(position) => {
                assert_eq!(position.sequence, expected.sequence + 1);
                assert!(self.promises.shown < position.sequence, "a place is given once");
                let bytes = batch_bytes(&mut batch);
                self.promises.appended.insert(position.sequence, bytes);
            }
            Err(AppendError::Busy | AppendError::Full | AppendError::Ended) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    /// Any command may be over before any other.
    fn run_one(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let number = self.prng.below(self.under_way.len() as u64) as usize;
        if self.slow.is(&self.under_way[number]) && self.prng.percent(90) {
            return;
        }
        let command = self.under_way.remove(number);
        let result = self.drive.run(&command);
        self.events.push(command.answered(result));
    }

    fn deliver_one(&mut self) {
        if self.events.is_empty() {
            return;
        }
        let number = self.prng.below(self.events.len() as u64) as usize;
        let event = self.events.remove(number);
        self.core.on_event(event, &mut self.under_way);
    }

    /// Takes answers, and what a reader of the tail sees.
    fn note(&mut self) {
        let behind = self.core.read_plan(self.core.tail(), 1);
        assert_eq!(behind, Err(ReadPlanError::NotYet), "it is not durable");
        while let Some(position) = self.core.take_answered() {
            self.promises.written = self.promises.written.max(position.sequence);
        }
        self.promises.shown = self.promises.shown.max(self.core.tail().sequence);
        // The log's own batches are empty.
        let noted = self.promises.appended.last_key_value().map_or(0, |(last, _)| *last);
        for sequence in noted + 1..=self.core.last().sequence {
            self.promises.appended.insert(sequence, Vec::new());
        }
    }

    /// If the power were cut now, all that was shown would be there.
    fn cut_a_copy(&mut self) {
        self.note();
        let mut drive = self.drive.clone();
        drive.set_faults(HEALTHY);
        drive.power_cut(&self.under_way);
        let core = open(&mut drive, OPTIONS, lives(&mut self.prng)).unwrap();
        let Promises { shown, let_go, .. } = self.promises;
        let appended = self.promises.appended.clone();
        check(&core, &mut drive, &Promises { appended, shown, written: shown, let_go });
    }

    /// What is there after the end of a life is there for good.
    fn begin_again(&mut self, end: LifeEnd) {
        let under_way = std::mem::take(&mut self.under_way);
        self.events.clear();
        match end {
            LifeEnd::Power => {
                self.drive.power_cut(&under_way);
                self.promises.written = self.promises.shown;
            }
            LifeEnd::Kill | LifeEnd::Close => self.drive.kill(&under_way),
            LifeEnd::Failure => assert!(under_way.is_empty(), "none is under way then"),
        }
        let new_faults = faults(&mut self.prng);
        self.drive.set_faults(new_faults);
        self.core = open_again(&mut self.drive, &mut self.prng, &mut self.promises);
        if self.prng.percent(30) {
            // Whatever it found has to be there after a power cut, too.
            self.promises.shown = self.promises.shown.max(self.core.tail().sequence);
            self.drive.power_cut(&[]);
            self.core = open_again(&mut self.drive, &mut self.prng, &mut self.promises);
        }
        self.drive.set_faults(HEALTHY);
        check(&self.core, &mut self.drive, &self.promises);
        self.drive.set_faults(new_faults);
        let last = self.core.tail().sequence;
        self.promises.appended.retain(|sequence, _| *sequence <= last);
        (self.promises.shown, self.promises.written) = (last, last);
        self.now_ms = 0;
        self.slow = Slow::draw(&mut self.prng);
    }

    /// With a disk that does what it should, everything goes on.
    fn end_well(&mut self) {
        self.drive.set_faults(HEALTHY);
        let wanted = self.core.last().sequence + 40;
        for step in 0.. {
            assert!(step < 50_000, "it stands still: {:?}", self.core);
            let is_done = wanted <= self.core.tail().sequence && self.under_way.is_empty();
            if is_done || self.core.state() != LogState::Serving {
                break;
            }
            self.append();
            self.run_one();
            self.deliver_one();
            self.now_ms += 10;
            self.core.on_time(self.now_ms, &mut self.under_way);
            self.note();
            let below = self.core.tail();
            self.promises.let_go = below.sequence;
            self.core.let_go(below, &mut self.under_way);
        }
    }
}

fn batch_bytes(batch: &mut LogBatch) -> Vec<u8> {
    let sealed = batch.seal(LogPosition::default(), 0).bytes().to_vec();
    let sealed = SealedBatch::parse(&sealed).unwrap();
    sealed.records().flat_map(|record| record.unwrap().1.to_vec()).collect()
}

#[test]
fn nothing_that_was_shown_is_missing_in_any_world() {
    let mut ends = BTreeMap::new();
    let (mut batches, mut worlds) = (0, 0);
    for seed in runs("LOG_WORLDS", 10) {
        let mut world = World::new(seed);
        let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..20 {
                let end = world.live();
                *ends.entry(format!("{end:?}")).or_insert(0) += 1;
                world.begin_again(end);
            }
            world.end_well();
        }));
        if let Err(panic) = lived {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(panic);
        }
        batches += world.core.tail().sequence;
        worlds += 1;
    }
    println!("figure\tworlds\t{worlds}\t{batches}\t{ends:?}");
}
