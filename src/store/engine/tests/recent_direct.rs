//! Direct messages that were stored a moment ago, where somebody is told of those that wait.

use super::waiting::{ANN, BOB, DM, direct};
use super::*;
use crate::store::options::TellingTime;

const TELLING: TellingTime = TellingTime { ms: 1_000, after_start_ms: 5_000 };

fn open_with(disk: SimulatedDisk, now: u64, telling: Option<TellingTime>) -> Bench<SimulatedDisk> {
    let setup = EngineSetup { options: Options { telling, ..setup().options }, ..setup() };
    let engine = Engine::open(disk, setup).expect("a working disk opens");
    Bench { engine, now, request_id: 0, write_epoch: WriteEpoch(1), by: ANYBODY }
}

impl Bench<SimulatedDisk> {
    /// Of somebody who tells.
    fn telling() -> Bench<SimulatedDisk> {
        open_with(SimulatedDisk::new(1, DiskFaultProfile::CALM), 1_000_000, Some(TELLING))
    }

    /// The next life, in which somebody tells again.
    fn next_life(self, crash: Crash) -> Bench<SimulatedDisk> {
        let mut disk = self.engine.into_disk();
        disk.crash(crash);
        open_with(disk, self.now, Some(TELLING))
    }

    /// Offsets of what is said again, which is bob's.
    fn found(&mut self) -> Vec<u64> {
        let found = self.engine.take_recent_direct().into_iter();
        let offsets = found.map(|one| {
            assert_eq!((one.inbox, &*one.channel, &*one.tenant), (BOB, "few:dm", ""));
            one.offset
        });
        offsets.collect()
    }

    fn kept(&self) -> usize {
        self.count_in(StoreKeyspace::Meta, &key::all_recent_direct())
    }
}

#[test]
fn what_was_stored_just_before_a_power_cut_and_waits_is_found_at_the_start() {
    let mut bench = Bench::telling();
    bench.send(1..=4);
    bench.said(1..=3);
    bench.position(MarkerPosition::Delivered(2));
    let mut bench = bench.next_life(Crash::PowerCut);
    assert_eq!(bench.found(), [3, 4], "what was acknowledged waits no more");
    assert_eq!(bench.found(), [0; 0], "it is said once");
    // A kill before it could be told leaves it for the next start.
    bench.pass(TELLING.after_start_ms - 100);
    let mut bench = bench.next_life(Crash::Killed);
    assert_eq!(bench.found(), [3, 4]);
    bench.pass(TELLING.after_start_ms + 100);
    assert_eq!(bench.kept(), 0);
    assert_eq!(bench.next_life(Crash::Killed).found(), [0; 0]);
}

#[test]
fn what_was_kept_as_long_as_telling_may_take_is_told() {
    let mut bench = Bench::telling();
    bench.send(1..=2);
    assert_eq!(bench.kept(), 2, "one for each batch");
    assert!(bench.engine.next_wake_unix_ms().is_some_and(|wake| wake <= bench.now + TELLING.ms));
    bench.pass(TELLING.ms - 20);
    bench.send(3..=3);
    assert_eq!(bench.kept(), 3);
    bench.pass(40);
    assert_eq!(bench.kept(), 1);
    let mut bench = bench.next_life(Crash::Killed);
    assert_eq!(bench.found(), [3]);
    assert_eq!(bench.waiting(), [1, 2, 3], "all of them wait");
}

#[test]
fn messages_of_one_batch_are_kept_as_one_and_those_of_a_failed_one_are_not() {
    let mut bench = Bench::telling();
    for offset in 1..=3 {
        bench.give(direct(DM, "few:dm", offset, BOB));
    }
    assert_eq!(bench.answers().len(), 3);
    assert_eq!(bench.kept(), 1);
    bench.set_fault_profile(DiskFaultProfile {
        commit_fails_percent: 100,
        ..DiskFaultProfile::CALM
    });
    assert!(matches!(bench.ask(direct(DM, "few:dm", 4, BOB)), StoreResult::Failed(_)));
    bench.set_fault_profile(DiskFaultProfile::CALM);
    bench.write_epoch.0 += 1;
    // What is there already is removed in its time all the same.
    bench.pass(2 * TELLING.ms + 20_000);
    assert_eq!(bench.kept(), 0);
}

#[test]
fn where_nobody_tells_nothing_is_kept_and_what_was_goes() {
    let mut bench = Bench::new();
    bench.send(1..=2);
    assert_eq!(bench.kept(), 0);
    let mut bench = Bench::telling();
    bench.send(1..=2);
    let disk = bench.engine.into_disk();
    let mut bench = open_with(disk, bench.now, None);
    bench.pass(20);
    assert_eq!(bench.kept(), 0);
    assert_ne!(ANN, BOB);
}
