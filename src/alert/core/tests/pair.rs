//! Two bridges that hear each other, of which one cannot do what the other one can.

use super::*;

/// What robots answer to somebody who cannot reach them.
fn nobody(_: &SendRequest) -> SendOutcome {
    SendOutcome::Unreachable
}

fn everybody(_: &SendRequest) -> SendOutcome {
    SendOutcome::Delivered
}

/// Whether a request goes to one of the robots of `ops`.
fn is_ops(request: &SendRequest) -> bool {
    request.robot.starts_with('w')
}

impl Two {
    /// So many rounds in which robots answer both; what has arrived from each.
    fn run(
        &mut self,
        rounds: u32,
        answers: [fn(&SendRequest) -> SendOutcome; 2],
    ) -> [Vec<SendRequest>; 2] {
        let mut arrived = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            for (index, world) in self.worlds.iter_mut().enumerate() {
                arrived[index].extend(world.run(answers[index]));
            }
            self.pass(1);
        }
        arrived
    }

    fn reached(&self, index: usize, chat: &str) -> bool {
        let world = &self.worlds[index];
        let chats = world.core.stats(world.now()).chats;
        chats.into_iter().find(|(one, _)| one == chat).unwrap().1
    }

    fn depths(&self) -> [u64; 2] {
        [0, 1].map(|index| {
            let world = &self.worlds[index];
            world.core.stats(world.now()).depth
        })
    }

    fn set(&mut self, change: impl Fn(&mut Options)) {
        for world in &mut self.worlds {
            let mut options = world.core.settings.options.clone();
            change(&mut options);
            world.input(CoreInput::Changed(settings(options)));
        }
    }
}

fn count(arrived: &[Vec<SendRequest>; 2], words: &str) -> [usize; 2] {
    [0, 1].map(|index| arrived[index].iter().filter(|one| text(one).contains(words)).count())
}

#[test]
fn who_cannot_reach_the_robots_lets_the_other_one_tell_and_nothing_is_told_twice() {
    let causes: [fn(&SendRequest) -> SendOutcome; 4] = [
        nobody,
        |_| SendOutcome::Busy(502),
        |_| SendOutcome::Unconfirmed,
        |_| SendOutcome::Stranger(60_020),
    ];
    for cause in causes {
        let mut two = Two::new();
        two.notify("g", &[alert("a", true, "critical")]);
        // A takeover's time, a back-off, and a question.
        let arrived = two.run(16, [cause, everybody]);
        assert_eq!(count(&arrived, "about a"), [0, 1]);
        assert_eq!(two.depths(), [0, 0]);
        assert!(!two.reached(0, "ops") && two.reached(1, "ops"));
        // The turn stays where it is, also when the first one is mended.
        two.notify("h", &[alert("b", true, "critical")]);
        two.notify("g", &[alert("a", false, "critical")]);
        let arrived = two.run(4, [everybody, everybody]);
        assert_eq!((count(&arrived, "about b"), count(&arrived, "Recovered")), ([0, 1], [0, 1]));
        // A restart of either asks first.
        for index in [0, 1] {
            two.worlds[index].restart();
            two.notify(&format!("r{index}"), &[alert("c", true, "critical")]);
            let arrived = two.run(5, [everybody, everybody]);
            assert_eq!(count(&arrived, "about c"), [0, 1], "{index}");
        }
        // Until the second one cannot any more.
        two.notify("i", &[alert("d", true, "critical")]);
        let arrived = two.run(16, [everybody, cause]);
        assert_eq!(count(&arrived, "about d"), [1, 0]);
        two.worlds.iter().for_each(World::compare);
    }
}

#[test]
fn of_two_who_both_cannot_each_tries_and_whoever_can_first_tells_once() {
    for able in [0, 1] {
        let mut two = Two::new();
        two.notify("g", &[alert("a", true, "critical"), alert("b", true, "warning")]);
        let arrived = two.run(60, [nobody, nobody]);
        assert_eq!(count(&arrived, "about a"), [0, 0]);
        assert!(!two.reached(0, "ops") && !two.reached(1, "ops"));
        assert!(two.worlds.iter().all(|world| {
            world.warnings.iter().any(|one| matches!(one, BridgeWarning::TurnPassed(_)))
        }));
        let answers: [fn(&SendRequest) -> SendOutcome; 2] =
            if able == 0 { [everybody, nobody] } else { [nobody, everybody] };
        let arrived = two.run(25, answers);
        let mut want = [0, 0];
        want[able] = 1;
        assert_eq!(count(&arrived, "about a"), want, "{able}");
        assert_eq!(two.depths(), [0, 0]);
        two.worlds.iter().for_each(World::compare);
    }
}

#[test]
fn a_chat_that_one_of_them_cannot_reach_takes_no_other_chat_with_it() {
    let mut two = Two::new();
    two.set(|options| {
        options.routes[0].fallback.clear();
        options.routes[0].chats = vec!["ops".to_owned(), "spare".to_owned()];
    });
    let spare: fn(&SendRequest) -> SendOutcome =
        |request| if is_ops(request) { SendOutcome::Unreachable } else { SendOutcome::Delivered };
    two.notify("g", &[alert("a", true, "critical")]);
    let mut arrived = two.run(10, [spare, everybody]);
    two.notify("h", &[alert("b", true, "critical")]);
    let later = two.run(10, [spare, everybody]);
    arrived.iter_mut().zip(later).for_each(|(all, more)| all.extend(more));
    for words in ["about a", "about b"] {
        assert_eq!(count(&arrived, words), [1, 1], "once in each chat");
    }
    assert!(arrived[0].iter().all(|request| !is_ops(request)));
    assert!(arrived[1].iter().all(is_ops));
}

#[test]
fn a_message_whose_end_is_unknown_is_a_repetition_at_the_other_bridge_too() {
    let mut two = Two::new();
    two.notify("g", &[alert("a", true, "critical")]);
    let arrived = two.run(20, [|_| SendOutcome::Unconfirmed, everybody]);
    assert!(text(&arrived[1][0]).contains("perhaps a repetition"), "{}", text(&arrived[1][0]));
}

#[test]
fn what_one_of_them_alone_was_told_is_told_by_it_once() {
    let mut two = Two::new();
    let alerts = vec![alert("a", true, "critical")];
    two.worlds[1].notify("g", alerts.clone());
    let arrived = two.run(12, [everybody, everybody]);
    assert_eq!(count(&arrived, "about a"), [0, 1]);
    two.worlds[0].notify("g", alerts);
    let arrived = two.run(12, [everybody, everybody]);
    assert_eq!(count(&arrived, "about a"), [0, 0], "it came late, and is known");
    // What the first one knows, and cannot tell yet, is not told beside it.
    two.notify("h", &[alert("b", true, "warning")]);
    let arrived = two.run(12, [|_| SendOutcome::TooOften(600_000), everybody]);
    assert_eq!(count(&arrived, "about b"), [0, 0]);
}

#[test]
fn that_one_of_them_misses_the_watchdog_is_told_by_nobody_while_the_other_one_hears_it() {
    let mut two = Two::new();
    two.set(|options| options.deadman_s = 20);
    let mut arrived = [Vec::new(), Vec::new()];
    for _ in 0..30 {
        two.worlds[0].input(CoreInput::Beat(ReplyId(0)));
        let more = two.run(1, [everybody, everybody]);
        arrived.iter_mut().zip(more).for_each(|(all, more)| all.extend(more));
    }
    assert_eq!(count(&arrived, "ChatWatchdog"), [0, 0]);
}

#[test]
fn two_with_the_same_role_are_told_apart_by_how_long_they_run() {
    for peer_first in [true, false] {
        let mut two = Two::new();
        two.set(|options| options.peer_first = peer_first);
        two.worlds[1].now_ms += 1;
        two.worlds[1].restart();
        two.run(3, [everybody, everybody]);
        two.notify("g", &[alert("a", true, "critical")]);
        let arrived = two.run(5, [everybody, everybody]);
        assert_eq!(count(&arrived, "about a"), [1, 0], "{peer_first}");
        assert!(two.worlds.iter().all(|world| world.warnings.contains(&BridgeWarning::SameRole)));
    }
}

#[test]
fn an_acknowledgement_at_the_other_bridge_is_for_what_had_begun() {
    let mut two = Two::new();
    two.set(|options| {
        let with = escalating();
        options.routes = with.routes;
        (options.silence_url, options.silence_key) = (with.silence_url, with.silence_key);
    });
    two.notify("g", &[alert("a", true, "critical")]);
    two.run(3, [everybody, everybody]);
    assert_eq!(two.worlds[1].acknowledge("g"), Some(CoreReply::Kept));
    two.run(3, [everybody, everybody]);
    assert!(two.worlds.iter().all(|world| world.core.parts.escalations.is_empty()));
    // It ends and begins again a moment later: somebody has to take care of that.
    two.notify("g", &[alert("a", false, "critical")]);
    two.run(3, [everybody, everybody]);
    two.notify("g", &[alert("a", true, "critical")]);
    two.run(3, [everybody, everybody]);
    assert!(two.worlds.iter().all(|world| world.core.parts.escalations.len() == 1));
    let arrived = two.run(160, [everybody, everybody]);
    assert_eq!(count(&arrived, "nobody has acknowledged"), [1, 0]);
}
