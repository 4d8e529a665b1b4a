//! Two bridges side by side.

use super::*;

#[test]
fn of_two_bridges_one_tells_and_the_other_when_that_is_gone() {
    let mut two = Two::new();
    two.notify("g", &[alert("a", true, "critical")]);
    let [first, second] = two.told();
    assert!(first.contains("about a") && second.is_empty());
    two.pass(3);
    assert_eq!(two.worlds[1].core.stats(two.worlds[1].now()).depth, 0, "it knows");
    two.worlds[1].compare();
    two.notify("g", &[alert("a", false, "critical")]);
    let [first, second] = two.told();
    assert!(first.contains("Recovered") && second.is_empty());
    two.pass(2);
    // The first one is gone: its answers stay away, and what comes is told in time.
    two.hears = false;
    two.worlds[1].notify("h", vec![alert("b", true, "critical")]);
    let mut rounds = 0;
    while two.worlds[1].sent.is_empty() {
        two.pass(1);
        rounds += 1;
        assert!(rounds <= 10, "within 20 s");
    }
    assert!(two.told()[1].contains("about b"));
    // It is back: it asks before it tells, and what the second one told stays told.
    two.hears = true;
    two.worlds[0].restart();
    two.worlds[0].notify("h", vec![alert("b", true, "critical")]);
    assert_eq!(two.worlds[0].sent, [], "it does not know yet what was told");
    two.pass(2);
    two.notify("i", &[alert("c", true, "critical")]);
    let [first, second] = two.told();
    assert!(!first.contains("about b") && first.contains("about c"), "{first}");
    assert!(second.is_empty(), "{second}");
    two.pass(2);
    assert_eq!(two.worlds[1].core.stats(two.worlds[1].now()).depth, 0);
}

#[test]
fn two_bridges_that_cannot_hear_each_other_tell_twice_rather_than_never() {
    let mut two = Two::new();
    two.hears = false;
    two.pass(10);
    two.notify("g", &[alert("a", true, "critical")]);
    assert!(two.told().iter().all(|told| told.contains("about a")));
    two.hears = true;
    two.pass(2);
    two.notify("h", &[alert("b", true, "critical")]);
    let [first, second] = two.told();
    assert!(first.contains("about b") && second.is_empty());
}

#[test]
fn what_was_on_its_way_when_the_first_bridge_went_is_told_as_perhaps_a_repetition() {
    let mut two = Two::new();
    two.notify("g", &[alert("a", true, "critical")]);
    assert_eq!(two.worlds[0].sent.len(), 1, "a robot has it");
    two.pass(1);
    two.hears = false;
    two.pass(10);
    let request = two.worlds[1].answer(SendOutcome::Delivered);
    assert!(text(&request).contains("perhaps a repetition"), "{}", text(&request));
}
