//! What is told, once, in order, within the rates of robots, and what follows from their answers.

use super::*;

#[test]
fn an_alert_is_told_once_and_its_end_too() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "critical")]);
    assert_eq!(world.replies, [CoreReply::Kept]);
    let request = world.answer(SendOutcome::Delivered);
    assert!(text(&request).contains("about a"), "{}", text(&request));
    // Alertmanager tries again, or another Alertmanager says the same.
    world.notify("g", vec![alert("a", true, "critical")]);
    assert_eq!((world.sent.len(), world.core.parts.counts.of(Count::Repeated)), (0, 1));
    world.notify("g", vec![alert("a", false, "critical")]);
    let request = world.answer(SendOutcome::Delivered);
    assert!(text(&request).contains("Recovered") && text(&request).contains("1m 0s"));
    world.notify("g", vec![alert("a", false, "critical")]);
    assert_eq!(world.sent, []);
}

#[test]
fn what_is_unchanged_is_counted_beside_what_is_new_and_told_again_as_a_reminder() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "warning")]);
    world.answer(SendOutcome::Delivered);
    world.wait(120_000);
    world.notify("g", vec![alert("a", true, "warning"), alert("b", true, "warning")]);
    let both = text(&world.answer(SendOutcome::Delivered));
    assert!(both.contains("about b") && !both.contains("about a"), "{both}");
    assert!(both.contains("and 1 more still firing"), "{both}");
    world.wait(3_600_000);
    world.notify("g", vec![alert("a", true, "warning"), alert("b", true, "warning")]);
    let again = text(&world.answer(SendOutcome::Delivered));
    assert!(again.contains("about a") && again.contains("about b") && again.contains("still"));
}

#[test]
fn while_it_waits_a_group_becomes_one_message_with_its_newest_state() {
    let mut world = World::new(options());
    for index in 0..2 {
        world.notify(&format!("busy{index}"), vec![alert("x", true, "warning")]);
    }
    assert_eq!(world.sent.len(), 2, "both robots are busy");
    world.notify("g", vec![alert("a", true, "warning")]);
    world.notify("g", vec![alert("a", false, "warning"), alert("b", true, "warning")]);
    world.notify("h", vec![alert("c", true, "critical")]);
    assert_eq!(world.core.parts.counts.of(Count::Merged), 1);
    world.answer(SendOutcome::Delivered);
    let first = text(&world.sent[1]);
    assert!(first.contains("about c"), "what is critical goes first: {first}");
    world.answer(SendOutcome::Delivered);
    let second = text(&world.sent[1]);
    assert!(second.contains("fired at") && second.contains("recovered after"), "{second}");
    assert_eq!(second.matches("about a").count(), 1);
}

#[test]
fn a_throttled_robot_rests_and_the_next_one_speaks() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "critical")]);
    let first = world.answer(SendOutcome::TooOften(0));
    let second = world.answer(SendOutcome::TooOften(0));
    assert_ne!(first.robot, second.robot);
    let third = world.answer(SendOutcome::Delivered);
    assert_eq!(third.robot, "d1", "both rest for a minute, and it is critical");
    assert!(text(&third).contains("the robots of ops cannot speak now"), "{}", text(&third));
    assert_eq!(world.core.parts.counts.of(Count::Throttled(Messenger::Wecom)), 2);
    assert_eq!(world.core.parts.counts.of(Count::Sent(Messenger::Dingtalk)), 1);
    world.notify("h", vec![alert("b", true, "warning")]);
    assert_eq!(world.sent, [], "a warning waits for a minute");
    world.wait(60_000);
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn a_robot_speaks_no_more_often_than_it_may() {
    let mut options = options();
    options.robots.truncate(1);
    options.routes[0].fallback.clear();
    let mut world = World::new(options);
    for index in 0..20 {
        world.notify(&format!("g{index}"), vec![alert("a", true, "critical")]);
    }
    let mut sent = 0;
    while !world.sent.is_empty() {
        world.answer(SendOutcome::Delivered);
        sent += 1;
    }
    assert_eq!(sent, 18);
    world.wait(59_999);
    assert_eq!(world.sent, []);
    world.restart();
    assert_eq!(world.sent, [], "a restart does not open the window");
    world.wait(1);
    assert_eq!(world.sent.len(), 1);
}

#[test]
fn a_message_whose_end_is_unknown_is_told_again_and_says_so() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "critical")]);
    world.answer(SendOutcome::Unconfirmed);
    let again = text(&world.answer(SendOutcome::Delivered));
    assert!(again.contains("perhaps a repetition"), "{again}");
    world.notify("h", vec![alert("b", true, "critical")]);
    world.restart();
    let again = text(&world.answer(SendOutcome::Delivered));
    assert!(again.contains("about b") && again.contains("perhaps a repetition"), "{again}");
    world.restart();
    assert_eq!(world.sent, [], "what is known to have arrived is not told again");
}

#[test]
fn only_the_missing_parts_of_a_message_are_sent_again() {
    let mut world = World::new(options());
    let long = |index: usize| {
        let mut alert = alert(&format!("n{index}"), true, "warning");
        alert.annotations.insert("description".to_owned(), "x".repeat(500));
        alert
    };
    world.notify("g", (0..17).map(long).collect());
    let first = text(&world.answer(SendOutcome::Delivered));
    assert!(first.contains("(1/3)") && first.len() <= 4_096, "{} {first}", first.len());
    world.answer(SendOutcome::Busy(500));
    world.restart();
    let second = text(&world.answer(SendOutcome::Delivered));
    assert!(second.contains("(2/3)"), "{second}");
    world.restart();
    let third = text(&world.answer(SendOutcome::Delivered));
    assert!(third.contains("(3/3)"), "{third}");
    assert_eq!(world.sent, []);
    let all = [first, second, third].concat();
    let told: Vec<usize> =
        (0..17).map(|index| all.matches(&format!("about n{index}\n")).count()).collect();
    assert_eq!(told, [1; 17]);
}

#[test]
fn what_is_found_out_stands_in_the_message_and_is_waited_for() {
    let mut options = options();
    options.prometheus_url = "http://p".to_owned();
    let mut world = World::new(options);
    let mut alert = alert("a", true, "critical");
    alert.annotations.insert("exemplar_query".to_owned(), "m".to_owned());
    world.notify("g", vec![alert]);
    assert_eq!((world.sent.len(), world.asked.len()), (0, 1));
    let snapshot = Snapshot {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
        room_id: "r42`".to_owned(),
        user_agent: "<@all>[x](http://e)\n".to_owned(),
        value_seconds: 1.25,
        ..Snapshot::default()
    };
    let found = SnapshotResult { snapshot: Some(snapshot), ..SnapshotResult::default() };
    let id = world.asked[0];
    world.input(CoreInput::Found(id, Snapshots::from([("a".to_owned(), found)])));
    let text = text(&world.answer(SendOutcome::Delivered));
    let want = "> trace `4bf92f3577b34da6a3ce929d0e0e4736` room `r42·` client \
                `··all··x··http·//e·` 1.25 s";
    assert!(text.contains(want), "{text}");
    assert_eq!(world.core.parts.counts.of(Count::FromExemplar), 1);
}

#[test]
fn a_full_queue_refuses_warnings_and_gives_them_up_for_what_is_critical() {
    let mut options = options();
    options.alerts_max = 10;
    options.robots.truncate(1);
    options.routes[0].fallback.clear();
    let mut world = World::new(options);
    world.notify("busy", vec![alert("x", true, "warning")]);
    for index in 0..9 {
        world.notify(&format!("g{index}"), vec![alert("a", true, "warning")]);
    }
    assert_eq!(world.replies.pop(), Some(CoreReply::Kept));
    world.notify("h", vec![alert("b", true, "warning")]);
    assert_eq!(world.replies.pop(), Some(CoreReply::Full));
    world.notify("i", vec![alert("c", true, "critical")]);
    assert_eq!(world.replies.pop(), Some(CoreReply::Kept));
    assert_eq!(world.core.parts.counts.of(Count::Dropped(Messenger::Wecom)), 1);
    world.answer(SendOutcome::Delivered);
    let critical = text(&world.answer(SendOutcome::Delivered));
    assert!(critical.contains("about c"), "{critical}");
    assert!(critical.contains("1 older warnings were given up"), "{critical}");
}

#[test]
fn what_waits_too_long_is_given_up_with_a_count() {
    let mut options = options();
    options.routes[0].fallback.clear();
    let mut world = World::new(options);
    world.notify("g", vec![alert("a", true, "critical")]);
    for _ in 0..2 {
        world.answer(SendOutcome::Stranger(93_000));
    }
    world.wait(9_000);
    assert_eq!(world.sent, []);
    for _ in 0..200 {
        world.wait(600_000);
        while !world.sent.is_empty() {
            world.answer(SendOutcome::Stranger(93_000));
        }
    }
    assert_eq!(world.core.parts.counts.of(Count::Expired(Messenger::Wecom)), 1);
    assert_eq!(world.core.stats(world.now()).depth, 0);
}

#[test]
fn a_message_that_is_too_long_for_a_robot_becomes_plain() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "warning")]);
    world.answer(SendOutcome::TooLong(40_058));
    let plain = text(&world.answer(SendOutcome::Delivered));
    assert!(plain.starts_with("Firing: A\nA firing warning a about a"), "{plain}");
}

#[test]
fn an_unknown_route_takes_the_default_one_and_says_so() {
    let mut world = World::new(options());
    let payload = payload("g", vec![alert("a", true, "warning")]);
    let route = "pgae<@all>".to_owned();
    world.input(CoreInput::Notified { reply_id: ReplyId(0), route, payload });
    let text = text(&world.answer(SendOutcome::Delivered));
    assert!(text.contains("there is no route pgae＜＠all＞"), "{text}");
    assert_eq!(world.core.parts.counts.of(Count::Unrouted), 1);
}

#[test]
fn what_waits_for_a_chat_that_there_is_no_more_goes_where_its_route_goes_now() {
    let mut options = options();
    options.routes[0].fallback.clear();
    let mut world = World::new(options.clone());
    world.notify("g", vec![alert("a", true, "warning")]);
    world.answer(SendOutcome::TooOften(0));
    world.answer(SendOutcome::TooOften(0));
    assert_eq!(world.sent, []);
    options.robots = vec![robot("d1", Messenger::Dingtalk, "new")];
    options.routes[0].chats = vec!["new".to_owned()];
    world.input(CoreInput::Changed(settings(options)));
    let request = world.answer(SendOutcome::Delivered);
    assert_eq!(request.robot, "d1");
    assert!(text(&request).contains("about a"));
}

#[test]
fn one_chat_that_is_down_delays_no_other() {
    let mut options = options();
    options.routes[0].chats = vec!["ops".to_owned(), "spare".to_owned()];
    options.routes[0].fallback.clear();
    let mut world = World::new(options);
    for index in 0..5 {
        let name = format!("n{index}.");
        world.notify(&format!("g{index}"), vec![alert(&name, true, "critical")]);
        let arrived = world.run(|request| match request.robot.as_str() {
            "d1" => SendOutcome::Delivered,
            _ => SendOutcome::Unconfirmed,
        });
        assert!(text(arrived.last().unwrap()).contains(&name));
        world.wait(500);
    }
}
