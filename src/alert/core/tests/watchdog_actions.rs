//! A watchdog that is not heard, and what is done about alerts.

use super::*;

#[test]
fn a_silent_watchdog_is_told_once_and_so_is_its_return() {
    let mut world = World::new(Options { deadman_s: 180, ..options() });
    world.wait(180_000);
    assert_eq!(world.sent, []);
    world.wait(1);
    assert!(text(&world.answer(SendOutcome::Delivered)).contains("ChatAlertPathSilent"));
    world.wait(600_000);
    world.restart();
    world.wait(600_000);
    assert_eq!(world.sent, []);
    world.input(CoreInput::Beat(ReplyId(1)));
    assert!(text(&world.answer(SendOutcome::Delivered)).contains("Recovered: ChatAlertPathSilent"));
    for _ in 0..5 {
        world.wait(179_000);
        world.input(CoreInput::Beat(ReplyId(1)));
    }
    assert_eq!(world.sent, []);
}

#[test]
fn actions_are_dry_first_rare_and_never_elsewhere() {
    let mut options = options();
    options.instances = vec!["a".to_owned(), "b".to_owned()];
    let action = |name: &str, dry_run| AlertAction {
        name: name.to_owned(),
        alert: "A".to_owned(),
        path: "/debug/tasks".to_owned(),
        dry_run,
        ..AlertAction::default()
    };
    options.actions = vec![action("dump", true), action("drain", false)];
    let mut world = World::new(options);
    let runs = |world: &mut World, name: &str| {
        let mut out = Vec::new();
        let payload = payload(name, vec![alert(name, true, "warning")]);
        let input =
            CoreInput::Notified { reply_id: ReplyId(0), route: "default".to_owned(), payload };
        world.core.handle(world.now(), input, &mut out);
        let said: Vec<(String, String)> = out
            .iter()
            .filter_map(|output| match output {
                CoreOutput::Do(run) => Some((format!("{:?}", run.verdict), run.url.clone())),
                _ => None,
            })
            .collect();
        world.take(out);
        said
    };
    let pair = |verdict: &str, url: &str| (verdict.to_owned(), url.to_owned());
    assert_eq!(runs(&mut world, "a"), [pair("DryRun", ""), pair("Done", "http://a/debug/tasks")]);
    let id = world.asked[0];
    world.input(CoreInput::Found(id, Snapshots::new()));
    assert!(text(&world.sent[0]).contains("dump: would be done, dry run; drain: done"));
    assert_eq!(runs(&mut world, "b"), [pair("TooSoon", ""), pair("TooSoon", "")]);
    assert_eq!(
        runs(&mut world, "evil:1"),
        [pair("UnknownInstance", ""), pair("UnknownInstance", "")]
    );
    assert_eq!(runs(&mut world, "a"), [], "it began before");
    world.now_ms += 600_000;
    world.restart();
    assert_eq!(runs(&mut world, "b"), [], "it has waited since before the restart");
}
