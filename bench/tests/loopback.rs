//! The load generator against the floor, both in this process, over loopback.

use rookery_bench::engine::{self, Setting, Target, Watcher};
use rookery_bench::floor::{Floor, Mode, Options};
use rookery_bench::loads::{Shown, Stage};
use rookery_bench::outcome::Outcome;
use rookery_bench::progress::Silent;
use rookery_bench::scenario::{Load, Pace, Scenario, WireFormat};

fn scenario(load: Load, connections: u32, active: u32) -> Scenario {
    Scenario {
        seed: 11,
        load,
        format: WireFormat::Plain,
        connections,
        active,
        room_members: 10,
        data_bytes: 128,
        greeting_bytes: 0,
        threads: 2,
        handshakes_max: 16,
    }
}

/// Runs a load against a floor of its own, and wants every count to agree.
fn check(mode: Mode, scenario: &Scenario) -> Outcome {
    let (outcome, error_messages) = run(mode, scenario);
    let faults = outcome.tally.faults();
    assert!(faults.is_empty(), "{faults:?} {error_messages:?}");
    outcome
}

fn run(mode: Mode, scenario: &Scenario) -> (Outcome, Vec<String>) {
    let listen = "127.0.0.1:0".parse().unwrap();
    let floor = Floor::start(Options { listen, shards: 1, mode }).unwrap();
    let target = Target::parse(&format!("ws://{}", floor.addr)).unwrap();
    let setting = Setting { standstill_ms: 1_000, ..Setting::default() };
    engine::run(scenario, &target, &setting, &mut Silent).unwrap()
}

#[test]
fn everyone_connects_and_answers() {
    let outcome = check(Mode::Hold, &scenario(Load::Connect { hold_ms: 1 }, 50, 0));
    assert_eq!((outcome.tally.live, outcome.tally.answered), (50, 50));
}

/// Notes how far each stage was when it was looked at last.
#[derive(Default)]
struct Stages(Vec<(Stage, Shown)>);

impl Watcher for Stages {
    fn moved(&mut self, _: &Scenario, stage: Stage, shown: Shown) {
        self.0.retain(|(other, _)| *other != stage);
        self.0.push((stage, shown));
    }
}

#[test]
fn each_stage_is_looked_at_also_one_that_is_over_at_once() {
    let listen = "127.0.0.1:0".parse().unwrap();
    let floor = Floor::start(Options { listen, shards: 1, mode: Mode::Hold }).unwrap();
    let target = Target::parse(&format!("ws://{}", floor.addr)).unwrap();
    let mut seen = Stages::default();
    let scenario = scenario(Load::Connect { hold_ms: 1 }, 2, 0);
    engine::run(&scenario, &target, &Setting::default(), &mut seen).unwrap();
    let stages: Vec<Stage> = seen.0.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [Stage::Ramp, Stage::Measure, Stage::Prove]);
    assert_eq!((seen.0[0].1.live, seen.0[2].1.answered), (2, 2));
}

#[test]
fn with_a_greeting_who_is_in_has_it_back() {
    let scenario = scenario(Load::Connect { hold_ms: 1 }, 50, 0);
    let greeting = Scenario { greeting_bytes: 200, ..scenario };
    assert_eq!(check(Mode::Echo, &greeting).tally.answered, 50);
    // A floor that swallows it lets nobody in.
    let (outcome, _) = run(Mode::Hold, &greeting);
    assert_eq!(outcome.tally.answered, 0);
}

#[test]
fn every_echo_comes_back() {
    for pace in [Pace::Closed { outstanding: 2 }, Pace::Open { per_s: 2_000 }] {
        let load = Load::Echo { pace, measure_ms: 100 };
        let outcome = check(Mode::Echo, &scenario(load, 50, 8));
        assert!(16 <= outcome.tally.delivered);
        assert_eq!(outcome.latency.count, outcome.tally.delivered);
    }
}

#[test]
fn an_open_loop_sends_what_its_rate_says() {
    let load = Load::Echo { pace: Pace::Open { per_s: 1_000 }, measure_ms: 200 };
    let outcome = check(Mode::Echo, &scenario(load, 20, 4));
    assert_eq!(outcome.tally.published, 200);
}

#[test]
fn every_member_of_a_room_gets_every_message() {
    for pace in [Pace::Closed { outstanding: 8 }, Pace::Open { per_s: 500 }] {
        let load = Load::Fanout { publishers: 1, pace, measure_ms: 100 };
        let outcome = check(Mode::Fanout, &scenario(load, 50, 50));
        assert_eq!(outcome.tally.delivered, 50 * outcome.tally.published);
        // The window opens again and again, whichever thread has the slowest member.
        assert!(24 <= outcome.tally.published);
    }
}

/// A floor that throws messages away is a server that loses them.
#[test]
fn a_loss_is_found() {
    let load = Load::Echo { pace: Pace::Open { per_s: 1_000 }, measure_ms: 20 };
    let mut scenario = scenario(load, 10, 2);
    scenario.threads = 1;
    let (outcome, _) = run(Mode::Hold, &scenario);
    assert_eq!((outcome.tally.published, outcome.tally.delivered), (20, 0));
    assert_eq!(outcome.tally.faults(), ["20 deliveries did not come"]);
}

/// Deliveries that nobody published are too many.
#[test]
fn a_surplus_is_found() {
    let load = Load::Echo { pace: Pace::Open { per_s: 1_000 }, measure_ms: 20 };
    let (outcome, _) = run(Mode::Fanout, &scenario(load, 10, 2));
    assert!(outcome.tally.expected < outcome.tally.delivered);
    assert!(!outcome.tally.faults().is_empty());
}

#[test]
fn a_server_that_is_not_there_is_a_failed_run() {
    let listen = "127.0.0.1:24999".parse().unwrap();
    let target = Target { addr: listen, host: "127.0.0.1:24999".into(), path: "/".into() };
    let scenario = scenario(Load::Connect { hold_ms: 1 }, 10, 0);
    let setting = Setting::default();
    let (outcome, error_messages) = engine::run(&scenario, &target, &setting, &mut Silent).unwrap();
    assert_eq!((outcome.tally.live, outcome.tally.failed), (0, 10));
    assert!(error_messages[0].contains("could not connect"), "{error_messages:?}");
}
