//! Messages that a turn gives up, for whoever is told of them.

use super::waiting::{BOB, DM, EXPIRES, direct};
use super::*;

fn told(bench: &Bench<SimulatedDisk>) -> Vec<(u64, DeadLetterCause)> {
    bench.engine.given_up().map(|one| (one.offset, one.cause)).collect()
}

#[test]
fn a_message_is_told_by_the_turn_that_gives_it_up_and_by_no_other() {
    let mut bench = Bench::new();
    bench.send(1..=2);
    bench.dead_letter(1);
    let (channel, cause) = (Arc::from("few:dm"), DeadLetterCause::Attempts);
    let want = GivenUpMessage { inbox: BOB, tenant: "".into(), channel, offset: 1, cause };
    assert!(bench.engine.given_up().eq([want]));
    bench.dead_letter(1);
    assert_eq!(told(&bench), [], "it is one already");
    bench.dead_letter(2);
    assert_eq!(told(&bench), [(2, DeadLetterCause::Attempts)]);
    bench.pass(10);
    assert_eq!(told(&bench), []);
}

#[test]
fn each_of_many_that_waited_too_long_is_told_once() {
    let mut bench = Bench::new();
    for offset in 1..=700 {
        bench.ask(direct(DM, "room:dm", offset, BOB));
    }
    bench.now = EXPIRES - 1;
    let mut all = Vec::new();
    for _ in 0..110 {
        bench.pass(10);
        all.extend(told(&bench));
    }
    assert!(all.into_iter().eq((1..=700).map(|offset| (offset, DeadLetterCause::Expired))));
}

#[test]
fn what_a_failed_batch_would_have_given_up_is_not_told() {
    let mut bench = Bench::new();
    bench.send(1..=1);
    let fails = DiskFaultProfile { commit_fails_percent: 100, ..DiskFaultProfile::CALM };
    bench.set_fault_profile(fails);
    let (inbox, room, offset, cause) = (BOB, DM, 1, DeadLetterCause::Attempts);
    let new_dead_letter = NewDeadLetter { inbox, room, offset, cause, at_unix_ms: bench.now };
    let outcome = bench.ask(StoreOp::DeadLetter(new_dead_letter));
    assert!(matches!(outcome, StoreResult::Failed(StoreError::Broken)), "{outcome:?}");
    assert_eq!(told(&bench), []);
}
