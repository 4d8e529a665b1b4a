//! Groups: their ends, their sizes, and what only outlives its cause.

use super::*;

#[test]
fn the_end_is_told_whatever_the_beginning_is_said_to_be() {
    let starting = |name: &str, firing, starts_ms| {
        let ends_ms = if firing { 0 } else { START_MS + 300_000 };
        Alert { starts_ms, ends_ms, ..alert(name, firing, "critical") }
    };
    let mut world = World::new(options());
    world.notify("g", vec![starting("a", true, START_MS + 20_000)]);
    world.answer(SendOutcome::Delivered);
    // The other Prometheus' copy, and later the first one's again: no new alert.
    for starts_ms in [START_MS + 5_000, START_MS + 20_000, START_MS + 40_000] {
        world.notify("g", vec![starting("a", true, starts_ms)]);
        assert_eq!(world.sent, []);
    }
    world.restart();
    world.notify("g", vec![starting("a", false, START_MS + 5_000)]);
    assert!(text(&world.answer(SendOutcome::Delivered)).contains("Recovered"));
    world.notify("g", vec![starting("a", false, START_MS + 20_000)]);
    assert_eq!(world.sent, [], "the same end, from another Alertmanager");
    world.notify("g", vec![starting("a", true, START_MS + 5_000)]);
    assert!(text(&world.answer(SendOutcome::Delivered)).contains("Firing"), "it fires again");
}

#[test]
fn a_corrected_beginning_that_waits_is_told_once() {
    let mut world = World::new(one_robot(Messenger::Wecom));
    world.notify("busy", vec![alert("x", true, "warning")]);
    for starts_ms in [START_MS + 20_000, START_MS + 5_000, START_MS + 30_000] {
        world.notify("g", vec![Alert { starts_ms, ..alert("a", true, "critical") }]);
    }
    let arrived = world.run(|_| SendOutcome::Delivered);
    assert_eq!(arrived.len(), 2);
}

#[test]
fn a_group_of_ten_thousand_is_kept_and_told_and_so_is_its_end() {
    for channel in [Messenger::Wecom, Messenger::Webhook] {
        let mut options = one_robot(channel);
        options.routes[0].chats.push("ops2".to_owned());
        options.robots.push(robot("r2", channel, "ops2"));
        let mut world = World::new(options);
        let giant = |firing| -> Vec<Alert> {
            let severity = |index| if index == 9_999 { "critical" } else { "warning" };
            let mut all: Vec<Alert> =
                (0..10_000).map(|i| alert(&format!("n{i}."), firing, severity(i))).collect();
            // As they are read: what is critical first.
            all.sort_by_key(|alert| !alert.is_critical());
            all
        };
        world.notify("g", giant(true));
        assert_eq!(world.replies, [CoreReply::Kept]);
        let arrived = world.run(|_| SendOutcome::Delivered);
        let all: String = arrived.iter().map(text).collect();
        assert!(all.contains("n9999."), "what is critical is told");
        if channel == Messenger::Webhook {
            let told = (0..10_000).filter(|i| all.contains(&format!("about n{i}."))).count();
            assert!(told >= 2_500, "{told}");
        } else {
            assert!(arrived.len() <= 6 && all.contains(" more"), "{}", arrived.len());
        }
        world.notify("g", giant(true));
        assert_eq!(world.sent, [], "it is known");
        world.notify("g", giant(false));
        assert_ne!(world.run(|_| SendOutcome::Delivered), []);
        assert_eq!(world.core.stats(world.now()).depth, 0);
    }
}

#[test]
fn what_only_outlives_its_cause_is_named_when_that_is_over_and_told_if_it_lasts() {
    let inhibited = |name: &str| InhibitedAlert {
        fingerprint: name.to_owned(),
        by: vec!["cause".to_owned()],
        name: format!("{name}<@all>"),
    };
    let world_of = |options: Options| {
        let mut world = World::new(options);
        world.notify("c", vec![alert("cause", true, "critical")]);
        world.answer(SendOutcome::Delivered);
        world.wait(60_000);
        world.input(CoreInput::Inhibited(vec![inhibited("short"), inhibited("long")]));
        world.wait(5_000);
        // The cause is over; Alertmanager tells its consequences first.
        world.notify("s", vec![alert("short", true, "critical")]);
        world.notify("l", vec![alert("long", true, "warning"), alert("other", true, "warning")]);
        world
    };
    let mut world = world_of(options());
    let other = text(&world.answer(SendOutcome::Delivered));
    assert!(other.contains("about other") && !other.contains("about long"), "{other}");
    assert_eq!(world.sent, []);
    let ends_ms = world.now_ms;
    world.notify("c", vec![Alert { ends_ms, ..alert("cause", false, "critical") }]);
    let over = text(&world.answer(SendOutcome::Delivered));
    assert!(over.contains("Recovered") && over.contains("long＜＠all＞, short＜＠all＞"), "{over}");
    world.wait(120_000);
    world.restart();
    world.notify("s", vec![alert("short", false, "critical")]);
    world.notify("s", vec![alert("short", false, "critical")]);
    assert_eq!(world.sent, [], "it was never told, and nor is its end");
    assert_eq!(world.core.parts.counts.of(Count::Outlived), 1);
    assert_eq!(world.core.stats(world.now()).oldest_ms, None, "nobody waits for it");
    world.wait(234_999);
    assert_eq!(world.sent, []);
    world.wait(1);
    let long = text(&world.answer(SendOutcome::Delivered));
    assert!(long.contains("Firing") && long.contains("about long"), "{long}");
    world.notify("l", vec![alert("long", false, "warning")]);
    assert!(text(&world.answer(SendOutcome::Delivered)).contains("Recovered"));
    // Who does not want that has every alert told at once.
    let world = world_of(Options { outlive_s: 0, ..options() });
    assert_eq!(world.sent.len(), 2);
}
