//! What nobody acknowledges.

use super::*;

#[test]
fn what_nobody_acknowledges_goes_to_a_second_chat_and_so_does_its_end() {
    let mut world = World::new(escalating());
    world.notify("g", vec![alert("a", true, "critical"), alert("b", true, "warning")]);
    let first = text(&world.answer(SendOutcome::Delivered));
    assert!(first.contains("[acknowledge](https://bridge.example/v1/acknowledge?d="), "{first}");
    world.wait(200_000);
    world.restart();
    world.wait(99_999);
    assert_eq!(world.sent, []);
    world.wait(1);
    let second = world.answer(SendOutcome::Delivered);
    assert_eq!(second.robot, "d1");
    let second = text(&second);
    assert!(second.contains("about a") && !second.contains("about b"), "{second}");
    assert!(second.contains("nobody has acknowledged this for 5m 0s"), "{second}");
    world.wait(4_000_000);
    assert_eq!(world.sent, [], "once");
    world.notify("g", vec![alert("a", false, "critical"), alert("b", false, "warning")]);
    let arrived = world.run(|_| SendOutcome::Delivered);
    let robots: Vec<&str> = arrived.iter().map(|request| request.robot.as_str()).collect();
    assert!(robots.len() == 2 && robots.contains(&"d1"), "{robots:?}");
    assert!(arrived.iter().all(|request| text(request).contains("Recovered")));
    assert_eq!(world.core.parts.escalations.len(), 0);
    assert_eq!(world.core.parts.counts.of(Count::Escalated), 1);
    world.compare();
}

#[test]
fn who_acknowledges_is_told_and_nothing_is_escalated() {
    let mut world = World::new(escalating());
    world.notify("g", vec![alert("a", true, "critical")]);
    world.answer(SendOutcome::Delivered);
    assert_eq!(world.acknowledge("other"), Some(CoreReply::Unknown));
    assert_eq!(world.acknowledge("g"), Some(CoreReply::Kept));
    assert_eq!(world.acknowledge("g"), Some(CoreReply::Unknown));
    world.restart();
    let told = text(&world.answer(SendOutcome::Delivered));
    assert_eq!(told, "anna ＜＠all＞ takes care of A");
    world.wait(4_000_000);
    world.notify("g", vec![alert("a", true, "critical")]);
    assert!(text(&world.answer(SendOutcome::Delivered)).contains("still"), "a reminder");
    world.wait(4_000_000);
    assert_eq!(world.sent, [], "it is acknowledged");
    // Another one of the group is another matter, and what is over needs nobody.
    world.notify("g", vec![alert("b", true, "critical")]);
    world.answer(SendOutcome::Delivered);
    world.wait(100_000);
    world.notify("g", vec![alert("b", false, "critical")]);
    world.answer(SendOutcome::Delivered);
    world.wait(4_000_000);
    assert_eq!(world.sent, []);
    world.notify("g", vec![alert("b", true, "critical")]);
    world.answer(SendOutcome::Delivered);
    world.wait(300_000);
    assert_eq!(world.answer(SendOutcome::Delivered).robot, "d1");
    world.compare();
}
