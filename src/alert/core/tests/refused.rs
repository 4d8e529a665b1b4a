//! Messages that a chat refuses.

use super::*;

/// What a robot that refuses every body with this word answers.
fn refusing(request: &SendRequest, word: &str, code: i64) -> SendOutcome {
    if request.body.contains(word) { SendOutcome::Refused(code) } else { SendOutcome::Delivered }
}

#[test]
fn a_refused_message_is_put_aside_told_of_without_its_words_and_holds_nobody_up() {
    for (channel, code) in [
        (Messenger::Webhook, 400),
        (Messenger::Slack, 400),
        (Messenger::Wecom, 40_035),
        (Messenger::Dingtalk, 430_102),
    ] {
        let mut world = World::new(one_robot(channel));
        world.notify("u", vec![alert("poison", true, "critical")]);
        world.notify("f", vec![alert("first", true, "critical")]);
        world.notify("s", vec![alert("second", true, "warning")]);
        let arrived = world.run(|request| refusing(request, "poison", code));
        let texts: Vec<String> = arrived.iter().map(text).collect();
        assert_eq!(texts.len(), 3, "{channel:?} {texts:?}");
        assert!(texts.iter().any(|text| text.contains("about first")), "{texts:?}");
        assert!(texts.iter().any(|text| text.contains("about second")), "{texts:?}");
        let notice = texts.iter().find(|text| text.contains("refuses")).expect("it is told");
        assert!(notice.contains(&code.to_string()) && notice.contains("1 of these critical"));
        assert_eq!(world.core.parts.refused.all().len(), 1);
        assert_eq!(world.core.parts.counts.of(Count::Refused(channel)), 1);
        assert_eq!(world.core.stats(world.now()).depth, 0);
        world.restart();
        // It is told once, whatever comes again.
        world.wait(4_000_000);
        world.notify("u", vec![alert("poison", true, "critical")]);
        assert_eq!(world.run(|request| refusing(request, "poison", code)), []);
        assert_eq!(world.core.parts.refused.all().len(), 1);
        world.compare();
    }
}

#[test]
fn of_many_alerts_only_those_that_are_refused_are_put_aside() {
    for channel in Messenger::ALL {
        for poisoned in [vec![0], vec![12], vec![3, 4], vec![0, 5, 11, 24]] {
            let mut world = World::new(one_robot(channel));
            let name = |index: usize| match poisoned.contains(&index) {
                true => format!("poison{index}."),
                false => format!("n{index}."),
            };
            let all = (0..25).map(|index| alert(&name(index), true, "warning")).collect();
            world.notify("g", all);
            let mut told = String::new();
            for _ in 0..40 {
                let arrived = world.run(|request| refusing(request, "poison", 400));
                arrived.iter().for_each(|request| told.push_str(&text(request)));
                world.wait(1_000);
            }
            assert_eq!(
                world.core.parts.refused.all().len(),
                poisoned.len(),
                "{channel:?} {poisoned:?}"
            );
            for index in (0..25).filter(|index| !poisoned.contains(index)) {
                let count = told.matches(&format!("about n{index}.")).count();
                assert_eq!(count, 1, "{channel:?} {poisoned:?} {index}");
            }
            assert_eq!(world.core.stats(world.now()).depth, 0);
            world.compare();
        }
    }
}

#[test]
fn a_robot_that_refuses_everything_rests_and_the_messages_are_kept_for_the_next_one() {
    let mut options = options();
    options.robots.iter_mut().for_each(|robot| robot.rate_count = 1_000);
    let mut world = World::new(options);
    let first = {
        world.notify("g", vec![alert("a", true, "critical"), alert("b", true, "critical")]);
        world.sent[0].robot.clone()
    };
    let refuses = |request: &SendRequest| match request.robot == first {
        true => SendOutcome::Refused(400),
        false => SendOutcome::Delivered,
    };
    let told: String = world.run(refuses).iter().map(text).collect();
    for name in ["about a", "about b"] {
        assert_eq!(told.matches(name).count(), 1, "{told}");
    }
    assert_eq!(world.core.parts.refused.all().len(), 0, "the robot is to blame, not the message");
    let robots = world.core.stats(world.now()).robots;
    assert!(robots.iter().any(|robot| robot.name == first && robot.rejects && robot.rests));
    world.compare();
}

#[test]
fn an_alone_robot_that_refuses_everything_loses_nothing_until_it_is_mended() {
    for answer in [SendOutcome::Refused(400), SendOutcome::Stranger(401), SendOutcome::TooLong(413)]
    {
        let mut world = World::new(one_robot(Messenger::Webhook));
        for index in 0..30 {
            let name = format!("n{index}.");
            world.notify(&format!("g{index}"), vec![alert(&name, true, "critical")]);
        }
        for _ in 0..120 {
            world.run(|_| answer.clone());
            world.wait(1_000);
        }
        world.restart();
        let mut told = String::new();
        let mut waited_ms = 0;
        while waited_ms < 60_000 {
            let arrived = world.run(|_| SendOutcome::Delivered);
            arrived.iter().for_each(|request| told.push_str(&text(request)));
            world.wait(1_000);
            waited_ms += 1_000;
        }
        let missing: Vec<usize> =
            (0..30).filter(|index| !told.contains(&format!("about n{index}."))).collect();
        assert!(
            missing.is_empty(),
            "{answer:?}: {missing:?}, refused {}",
            world.core.parts.refused.all().len()
        );
    }
}

#[test]
fn what_fails_again_and_again_while_others_arrive_is_put_aside_too() {
    for answer in [SendOutcome::Busy(500), SendOutcome::Unconfirmed, SendOutcome::Stranger(403)] {
        let mut world = World::new(one_robot(Messenger::Webhook));
        world.notify("u", vec![alert("poison", true, "critical")]);
        let answers = |request: &SendRequest| match request.body.contains("poison") {
            true => answer.clone(),
            false => SendOutcome::Delivered,
        };
        let mut told = String::new();
        for second in 0..900 {
            if second % 10 == 5 {
                let name = format!("n{second}.");
                world.notify(&format!("g{second}"), vec![alert(&name, true, "critical")]);
            }
            let arrived = world.run(answers);
            arrived.iter().for_each(|request| told.push_str(&text(request)));
            world.wait(1_000);
            if second % 10 == 4 && second > 60 {
                // What came a minute ago is told.
                assert!(told.contains(&format!("about n{}.", second - 59)), "{answer:?} {second}");
            }
        }
        assert_eq!(world.core.parts.refused.all().len(), 1, "{answer:?}");
    }
}

#[test]
fn a_refused_message_is_told_again_or_dropped_as_somebody_decides() {
    let mut world = World::new(one_robot(Messenger::Slack));
    for group in ["u", "v"] {
        world.notify(group, vec![alert(&format!("poison {group}"), true, "warning")]);
    }
    world.run(|request| refusing(request, "poison", 400));
    let ids: Vec<u64> = world.core.parts.refused.all().into_iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), 2);
    let decide = |world: &mut World, id, decision| {
        world.replies.clear();
        world.input(CoreInput::Decided { reply_id: ReplyId(7), id, decision });
        world.replies.pop()
    };
    assert_eq!(decide(&mut world, ids[0], RefusedDecision::Retry), Some(CoreReply::Kept));
    let arrived = world.run(|_| SendOutcome::Delivered);
    assert!(arrived.len() == 1 && text(&arrived[0]).contains("about poison"));
    assert_eq!(decide(&mut world, ids[0], RefusedDecision::Drop), Some(CoreReply::Unknown));
    assert_eq!(decide(&mut world, ids[1], RefusedDecision::Drop), Some(CoreReply::Kept));
    assert_eq!(world.core.parts.refused.all().len(), 0);
    world.compare();
}
