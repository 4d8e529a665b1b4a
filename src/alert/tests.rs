//! The core, told what happens and looked at for what it says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::answer::Answer;
use super::core::{Core, Input, Output, Reply, Request, Settings, Ticket, Trouble};
use super::counts::Count;
use super::evidence::{Evidence, Found, Snapshot};
use super::options::{Action, Channel, Options, Robot, Route};
use super::outlive::InhibitedAlert;
use super::pair::PairAnswer;
use super::payload::{Alert, Pairs, Payload};
use super::record::{Key, Record};
use super::refused::RefusedWish;
use super::template::Templates;
use crate::base::{Now, Tick};

mod pair;

const START_MS: u64 = 1_700_000_000_000;

fn robot(name: &str, channel: Channel, chat: &str) -> Robot {
    Robot { name: name.to_owned(), channel, chat: chat.to_owned(), ..Robot::default() }
}

fn options() -> Options {
    let route = Route {
        name: "default".to_owned(),
        chats: vec!["ops".to_owned()],
        fallback: "spare".to_owned(),
        ..Route::default()
    };
    Options {
        deadman_s: 0,
        robots: vec![
            robot("w1", Channel::Wecom, "ops"),
            robot("w2", Channel::Wecom, "ops"),
            robot("d1", Channel::Dingtalk, "spare"),
        ],
        routes: vec![route],
        ..Options::default()
    }
}

fn settings(options: Options) -> Arc<Settings> {
    Arc::new(Settings { options, templates: Templates::new(&[]).unwrap() })
}

fn alert(name: &str, firing: bool, severity: &str) -> Alert {
    let labels = [("alertname", "A"), ("severity", severity), ("instance", name)];
    let labels: Pairs = labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let annotations: Pairs = [("summary".to_owned(), format!("about {name}"))].into();
    Alert {
        firing,
        labels,
        annotations,
        starts_ms: START_MS,
        ends_ms: if firing { 0 } else { START_MS + 60_000 },
        fingerprint: name.to_owned(),
        ..Alert::default()
    }
}

fn payload(group: &str, alerts: Vec<Alert>) -> Payload {
    let group_labels: Pairs = [("alertname".to_owned(), "A".to_owned())].into();
    Payload { group_key: group.to_owned(), group_labels, alerts, ..Payload::default() }
}

/// A bridge, its disk, and the messages that its robots have in their hands.
struct World {
    core: Core,
    now_ms: u64,
    disk: BTreeMap<Key, Record>,
    sent: Vec<Request>,
    replies: Vec<Reply>,
    asked: Vec<u64>,
    troubles: Vec<Trouble>,
    said: Option<Box<PairAnswer>>,
}

impl World {
    fn new(options: Options) -> World {
        let now = Now { tick: Tick(0), unix_ms: START_MS, ..Now::default() };
        let mut out = Vec::new();
        let core = Core::load(now, settings(options), Vec::new(), &mut out);
        World {
            core,
            now_ms: START_MS,
            disk: BTreeMap::new(),
            sent: Vec::new(),
            replies: Vec::new(),
            asked: Vec::new(),
            troubles: Vec::new(),
            said: None,
        }
    }

    fn now(&self) -> Now {
        Now { tick: Tick(self.now_ms - START_MS), unix_ms: self.now_ms, ..Now::default() }
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Keep(record) if record.value.is_none() => {
                    self.disk.remove(&record.key);
                }
                Output::Keep(record) => {
                    self.disk.insert(record.key.clone(), *record);
                }
                Output::Reply(_, Reply::Pair(answer)) => self.said = Some(answer),
                Output::Reply(_, reply) => self.replies.push(reply),
                Output::Ask(id, _) => self.asked.push(id),
                Output::Send(request) => self.sent.push(request),
                Output::Do(_) => {}
                Output::Tell(trouble) => self.troubles.push(trouble),
            }
        }
    }

    /// What is in memory is on the disk, and nothing else is.
    fn compare(&self) {
        let is_robot = |record: &Record| matches!(record.key, Key::Robot(_));
        let kept = self.core.records();
        let kept: Vec<&Record> = kept.iter().filter(|record| !is_robot(record)).collect();
        let on_disk: Vec<&Record> = self.disk.values().filter(|record| !is_robot(record)).collect();
        assert_eq!(on_disk, kept);
    }

    fn input(&mut self, input: Input) {
        let mut out = Vec::new();
        self.core.handle(self.now(), input, &mut out);
        self.take(out);
    }

    fn notify(&mut self, group: &str, alerts: Vec<Alert>) {
        let payload = payload(group, alerts);
        self.input(Input::Notified { ticket: Ticket(0), route: "default".to_owned(), payload });
    }

    fn answer(&mut self, answer: Answer) -> Request {
        let request = self.sent.remove(0);
        self.input(Input::Answered {
            message: request.message,
            robot: request.robot.clone(),
            answer,
        });
        request
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.input(Input::Woken);
    }

    /// The process is killed, and another one begins with what is on the disk.
    fn restart(&mut self) {
        self.compare();
        let records = self.disk.values().cloned().collect();
        let mut out = Vec::new();
        let settings = Arc::clone(&self.core.settings);
        self.core = Core::load(self.now(), settings, records, &mut out);
        self.sent.clear();
        self.take(out);
        self.input(Input::Woken);
    }
}

fn text(request: &Request) -> String {
    let body: serde_json::Value = serde_json::from_str(&request.body).unwrap();
    let text = ["/markdown/content", "/markdown/text", "/text/content", "/text"]
        .iter()
        .find_map(|at| body.pointer(at).and_then(|text| text.as_str()));
    text.unwrap_or_default().to_owned()
}

#[test]
fn an_alert_is_told_once_and_its_end_too() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "critical")]);
    assert_eq!(world.replies, [Reply::Kept]);
    let request = world.answer(Answer::Delivered);
    assert!(text(&request).contains("about a"), "{}", text(&request));
    // Alertmanager tries again, or another Alertmanager says the same.
    world.notify("g", vec![alert("a", true, "critical")]);
    assert_eq!((world.sent.len(), world.core.counts.of(Count::Repeated)), (0, 1));
    world.notify("g", vec![alert("a", false, "critical")]);
    let request = world.answer(Answer::Delivered);
    assert!(text(&request).contains("Recovered") && text(&request).contains("1m 0s"));
    world.notify("g", vec![alert("a", false, "critical")]);
    assert_eq!(world.sent, []);
}

#[test]
fn what_is_unchanged_is_counted_beside_what_is_new_and_told_again_as_a_reminder() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "warning")]);
    world.answer(Answer::Delivered);
    world.wait(120_000);
    world.notify("g", vec![alert("a", true, "warning"), alert("b", true, "warning")]);
    let both = text(&world.answer(Answer::Delivered));
    assert!(both.contains("about b") && !both.contains("about a"), "{both}");
    assert!(both.contains("and 1 more still firing"), "{both}");
    world.wait(3_600_000);
    world.notify("g", vec![alert("a", true, "warning"), alert("b", true, "warning")]);
    let again = text(&world.answer(Answer::Delivered));
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
    assert_eq!(world.core.counts.of(Count::Merged), 1);
    world.answer(Answer::Delivered);
    let first = text(&world.sent[1]);
    assert!(first.contains("about c"), "what is critical goes first: {first}");
    world.answer(Answer::Delivered);
    let second = text(&world.sent[1]);
    assert!(second.contains("fired at") && second.contains("recovered after"), "{second}");
    assert_eq!(second.matches("about a").count(), 1);
}

#[test]
fn a_throttled_robot_rests_and_the_next_one_speaks() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "critical")]);
    let first = world.answer(Answer::TooOften(0));
    let second = world.answer(Answer::TooOften(0));
    assert_ne!(first.robot, second.robot);
    let third = world.answer(Answer::Delivered);
    assert_eq!(third.robot, "d1", "both rest for a minute, and it is critical");
    assert!(text(&third).contains("the robots of ops cannot speak now"), "{}", text(&third));
    assert_eq!(world.core.counts.of(Count::Throttled(Channel::Wecom)), 2);
    assert_eq!(world.core.counts.of(Count::Sent(Channel::Dingtalk)), 1);
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
        world.answer(Answer::Delivered);
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
    world.answer(Answer::Doubtful);
    let again = text(&world.answer(Answer::Delivered));
    assert!(again.contains("perhaps a repetition"), "{again}");
    world.notify("h", vec![alert("b", true, "critical")]);
    world.restart();
    let again = text(&world.answer(Answer::Delivered));
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
    let first = text(&world.answer(Answer::Delivered));
    assert!(first.contains("(1/3)") && first.len() <= 4_096, "{} {first}", first.len());
    world.answer(Answer::Busy(500));
    world.restart();
    let second = text(&world.answer(Answer::Delivered));
    assert!(second.contains("(2/3)"), "{second}");
    world.restart();
    let third = text(&world.answer(Answer::Delivered));
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
    let found = Found { snapshot: Some(snapshot), ..Found::default() };
    let id = world.asked[0];
    world.input(Input::Found(id, Evidence::from([("a".to_owned(), found)])));
    let text = text(&world.answer(Answer::Delivered));
    let want = "> trace `4bf92f3577b34da6a3ce929d0e0e4736` room `r42·` client \
                `··all··x··http·//e·` 1.25 s";
    assert!(text.contains(want), "{text}");
    assert_eq!(world.core.counts.of(Count::FromExemplar), 1);
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
    assert_eq!(world.replies.pop(), Some(Reply::Kept));
    world.notify("h", vec![alert("b", true, "warning")]);
    assert_eq!(world.replies.pop(), Some(Reply::Full));
    world.notify("i", vec![alert("c", true, "critical")]);
    assert_eq!(world.replies.pop(), Some(Reply::Kept));
    assert_eq!(world.core.counts.of(Count::Dropped(Channel::Wecom)), 1);
    world.answer(Answer::Delivered);
    let critical = text(&world.answer(Answer::Delivered));
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
        world.answer(Answer::Stranger(93_000));
    }
    world.wait(9_000);
    assert_eq!(world.sent, []);
    for _ in 0..200 {
        world.wait(600_000);
        while !world.sent.is_empty() {
            world.answer(Answer::Stranger(93_000));
        }
    }
    assert_eq!(world.core.counts.of(Count::Expired(Channel::Wecom)), 1);
    assert_eq!(world.core.stats(world.now()).depth, 0);
}

#[test]
fn a_message_that_is_too_long_for_a_robot_becomes_plain() {
    let mut world = World::new(options());
    world.notify("g", vec![alert("a", true, "warning")]);
    world.answer(Answer::TooLong(40_058));
    let plain = text(&world.answer(Answer::Delivered));
    assert!(plain.starts_with("Firing: A\nA firing warning a about a"), "{plain}");
}

#[test]
fn an_unknown_route_takes_the_default_one_and_says_so() {
    let mut world = World::new(options());
    let payload = payload("g", vec![alert("a", true, "warning")]);
    let route = "pgae<@all>".to_owned();
    world.input(Input::Notified { ticket: Ticket(0), route, payload });
    let text = text(&world.answer(Answer::Delivered));
    assert!(text.contains("there is no route pgae＜＠all＞"), "{text}");
    assert_eq!(world.core.counts.of(Count::Unrouted), 1);
}

#[test]
fn a_silent_watchdog_is_told_once_and_so_is_its_return() {
    let mut world = World::new(Options { deadman_s: 180, ..options() });
    world.wait(180_000);
    assert_eq!(world.sent, []);
    world.wait(1);
    assert!(text(&world.answer(Answer::Delivered)).contains("ChatAlertPathSilent"));
    world.wait(600_000);
    world.restart();
    world.wait(600_000);
    assert_eq!(world.sent, []);
    world.input(Input::Beat(Ticket(1)));
    assert!(text(&world.answer(Answer::Delivered)).contains("Recovered: ChatAlertPathSilent"));
    for _ in 0..5 {
        world.wait(179_000);
        world.input(Input::Beat(Ticket(1)));
    }
    assert_eq!(world.sent, []);
}

#[test]
fn actions_are_dry_first_rare_and_never_elsewhere() {
    let mut options = options();
    options.instances = vec!["a".to_owned(), "b".to_owned()];
    let action = |name: &str, dry_run| Action {
        name: name.to_owned(),
        alert: "A".to_owned(),
        path: "/debug/tasks".to_owned(),
        dry_run,
        ..Action::default()
    };
    options.actions = vec![action("dump", true), action("drain", false)];
    let mut world = World::new(options);
    let deeds = |world: &mut World, name: &str| {
        let mut out = Vec::new();
        let payload = payload(name, vec![alert(name, true, "warning")]);
        let input = Input::Notified { ticket: Ticket(0), route: "default".to_owned(), payload };
        world.core.handle(world.now(), input, &mut out);
        let said: Vec<(String, String)> = out
            .iter()
            .filter_map(|output| match output {
                Output::Do(deed) => Some((format!("{:?}", deed.verdict), deed.url.clone())),
                _ => None,
            })
            .collect();
        world.take(out);
        said
    };
    let pair = |verdict: &str, url: &str| (verdict.to_owned(), url.to_owned());
    assert_eq!(deeds(&mut world, "a"), [pair("DryRun", ""), pair("Done", "http://a/debug/tasks")]);
    let id = world.asked[0];
    world.input(Input::Found(id, Evidence::new()));
    assert!(text(&world.sent[0]).contains("dump: would be done, dry run; drain: done"));
    assert_eq!(deeds(&mut world, "b"), [pair("TooSoon", ""), pair("TooSoon", "")]);
    assert_eq!(
        deeds(&mut world, "evil:1"),
        [pair("UnknownInstance", ""), pair("UnknownInstance", "")]
    );
    assert_eq!(deeds(&mut world, "a"), [], "it began before");
    world.now_ms += 600_000;
    world.restart();
    assert_eq!(deeds(&mut world, "b"), [], "it has waited since before the restart");
}

#[test]
fn what_waits_for_a_chat_that_there_is_no_more_goes_where_its_route_goes_now() {
    let mut options = options();
    options.routes[0].fallback.clear();
    let mut world = World::new(options.clone());
    world.notify("g", vec![alert("a", true, "warning")]);
    world.answer(Answer::TooOften(0));
    world.answer(Answer::TooOften(0));
    assert_eq!(world.sent, []);
    options.robots = vec![robot("d1", Channel::Dingtalk, "new")];
    options.routes[0].chats = vec!["new".to_owned()];
    world.input(Input::Changed(settings(options)));
    let request = world.answer(Answer::Delivered);
    assert_eq!(request.robot, "d1");
    assert!(text(&request).contains("about a"));
}

/// What a robot that refuses every body with this word answers.
fn refusing(request: &Request, word: &str, code: i64) -> Answer {
    if request.body.contains(word) { Answer::Refused(code) } else { Answer::Delivered }
}

impl World {
    /// Answers until no robot has anything, and gives back what arrived.
    fn run(&mut self, answer: impl Fn(&Request) -> Answer) -> Vec<Request> {
        let mut arrived = Vec::new();
        let mut tries = 0;
        while let Some(request) = self.sent.first().cloned() {
            tries += 1;
            assert!(tries < 500, "it does not end: {request:?}");
            let answer = answer(&request);
            self.answer(answer.clone());
            if answer == Answer::Delivered {
                arrived.push(request);
            }
        }
        arrived
    }
}

fn one_robot(channel: Channel) -> Options {
    let mut options = options();
    options.robots = vec![Robot { rate_count: 1_000, ..robot("r", channel, "ops") }];
    options.routes[0].fallback.clear();
    options
}

#[test]
fn a_refused_message_is_put_aside_told_of_without_its_words_and_holds_nobody_up() {
    for (channel, code) in [
        (Channel::Webhook, 400),
        (Channel::Slack, 400),
        (Channel::Wecom, 40_035),
        (Channel::Dingtalk, 430_102),
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
        assert_eq!(world.core.refused.len(), 1);
        assert_eq!(world.core.counts.of(Count::Refused(channel)), 1);
        assert_eq!(world.core.stats(world.now()).depth, 0);
        world.restart();
        // It is told once, whatever comes again.
        world.wait(4_000_000);
        world.notify("u", vec![alert("poison", true, "critical")]);
        assert_eq!(world.run(|request| refusing(request, "poison", code)), []);
        assert_eq!(world.core.refused.len(), 1);
        world.compare();
    }
}

#[test]
fn of_many_alerts_only_those_that_are_refused_are_put_aside() {
    for channel in Channel::ALL {
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
            assert_eq!(world.core.refused.len(), poisoned.len(), "{channel:?} {poisoned:?}");
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
    let refuses = |request: &Request| match request.robot == first {
        true => Answer::Refused(400),
        false => Answer::Delivered,
    };
    let told: String = world.run(refuses).iter().map(text).collect();
    for name in ["about a", "about b"] {
        assert_eq!(told.matches(name).count(), 1, "{told}");
    }
    assert_eq!(world.core.refused.len(), 0, "the robot is to blame, not the message");
    let robots = world.core.stats(world.now()).robots;
    assert!(robots.iter().any(|robot| robot.name == first && robot.rejects && robot.rests));
    world.compare();
}

#[test]
fn an_alone_robot_that_refuses_everything_loses_nothing_until_it_is_mended() {
    for answer in [Answer::Refused(400), Answer::Stranger(401), Answer::TooLong(413)] {
        let mut world = World::new(one_robot(Channel::Webhook));
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
            let arrived = world.run(|_| Answer::Delivered);
            arrived.iter().for_each(|request| told.push_str(&text(request)));
            world.wait(1_000);
            waited_ms += 1_000;
        }
        let missing: Vec<usize> =
            (0..30).filter(|index| !told.contains(&format!("about n{index}."))).collect();
        assert!(
            missing.is_empty(),
            "{answer:?}: {missing:?}, refused {}",
            world.core.refused.len()
        );
    }
}

#[test]
fn what_fails_again_and_again_while_others_arrive_is_put_aside_too() {
    for answer in [Answer::Busy(500), Answer::Doubtful, Answer::Stranger(403)] {
        let mut world = World::new(one_robot(Channel::Webhook));
        world.notify("u", vec![alert("poison", true, "critical")]);
        let answers = |request: &Request| match request.body.contains("poison") {
            true => answer.clone(),
            false => Answer::Delivered,
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
        assert_eq!(world.core.refused.len(), 1, "{answer:?}");
    }
}

#[test]
fn a_refused_message_is_told_again_or_dropped_as_somebody_decides() {
    let mut world = World::new(one_robot(Channel::Slack));
    for group in ["u", "v"] {
        world.notify(group, vec![alert(&format!("poison {group}"), true, "warning")]);
    }
    world.run(|request| refusing(request, "poison", 400));
    let ids: Vec<u64> = world.core.refused.keys().copied().collect();
    assert_eq!(ids.len(), 2);
    let decide = |world: &mut World, id, wish| {
        world.replies.clear();
        world.input(Input::Decided { ticket: Ticket(7), id, wish });
        world.replies.pop()
    };
    assert_eq!(decide(&mut world, ids[0], RefusedWish::Retry), Some(Reply::Kept));
    let arrived = world.run(|_| Answer::Delivered);
    assert!(arrived.len() == 1 && text(&arrived[0]).contains("about poison"));
    assert_eq!(decide(&mut world, ids[0], RefusedWish::Drop), Some(Reply::Unknown));
    assert_eq!(decide(&mut world, ids[1], RefusedWish::Drop), Some(Reply::Kept));
    assert_eq!(world.core.refused.len(), 0);
    world.compare();
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
            "d1" => Answer::Delivered,
            _ => Answer::Doubtful,
        });
        assert!(text(arrived.last().unwrap()).contains(&name));
        world.wait(500);
    }
}

#[test]
fn the_end_is_told_whatever_the_beginning_is_said_to_be() {
    let starting = |name: &str, firing, starts_ms| {
        let ends_ms = if firing { 0 } else { START_MS + 300_000 };
        Alert { starts_ms, ends_ms, ..alert(name, firing, "critical") }
    };
    let mut world = World::new(options());
    world.notify("g", vec![starting("a", true, START_MS + 20_000)]);
    world.answer(Answer::Delivered);
    // The other Prometheus' copy, and later the first one's again: no new alert.
    for starts_ms in [START_MS + 5_000, START_MS + 20_000, START_MS + 40_000] {
        world.notify("g", vec![starting("a", true, starts_ms)]);
        assert_eq!(world.sent, []);
    }
    world.restart();
    world.notify("g", vec![starting("a", false, START_MS + 5_000)]);
    assert!(text(&world.answer(Answer::Delivered)).contains("Recovered"));
    world.notify("g", vec![starting("a", false, START_MS + 20_000)]);
    assert_eq!(world.sent, [], "the same end, from another Alertmanager");
    world.notify("g", vec![starting("a", true, START_MS + 5_000)]);
    assert!(text(&world.answer(Answer::Delivered)).contains("Firing"), "it fires again");
}

#[test]
fn a_corrected_beginning_that_waits_is_told_once() {
    let mut world = World::new(one_robot(Channel::Wecom));
    world.notify("busy", vec![alert("x", true, "warning")]);
    for starts_ms in [START_MS + 20_000, START_MS + 5_000, START_MS + 30_000] {
        world.notify("g", vec![Alert { starts_ms, ..alert("a", true, "critical") }]);
    }
    let arrived = world.run(|_| Answer::Delivered);
    assert_eq!(arrived.len(), 2);
}

#[test]
fn a_group_of_ten_thousand_is_kept_and_told_and_so_is_its_end() {
    for channel in [Channel::Wecom, Channel::Webhook] {
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
        assert_eq!(world.replies, [Reply::Kept]);
        let arrived = world.run(|_| Answer::Delivered);
        let all: String = arrived.iter().map(text).collect();
        assert!(all.contains("n9999."), "what is critical is told");
        if channel == Channel::Webhook {
            let told = (0..10_000).filter(|i| all.contains(&format!("about n{i}."))).count();
            assert!(told >= 2_500, "{told}");
        } else {
            assert!(arrived.len() <= 6 && all.contains(" more"), "{}", arrived.len());
        }
        world.notify("g", giant(true));
        assert_eq!(world.sent, [], "it is known");
        world.notify("g", giant(false));
        assert_ne!(world.run(|_| Answer::Delivered), []);
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
        world.answer(Answer::Delivered);
        world.wait(60_000);
        world.input(Input::Inhibited(vec![inhibited("short"), inhibited("long")]));
        world.wait(5_000);
        // The cause is over; Alertmanager tells its consequences first.
        world.notify("s", vec![alert("short", true, "critical")]);
        world.notify("l", vec![alert("long", true, "warning"), alert("other", true, "warning")]);
        world
    };
    let mut world = world_of(options());
    let other = text(&world.answer(Answer::Delivered));
    assert!(other.contains("about other") && !other.contains("about long"), "{other}");
    assert_eq!(world.sent, []);
    let ends_ms = world.now_ms;
    world.notify("c", vec![Alert { ends_ms, ..alert("cause", false, "critical") }]);
    let over = text(&world.answer(Answer::Delivered));
    assert!(over.contains("Recovered") && over.contains("long＜＠all＞, short＜＠all＞"), "{over}");
    world.wait(120_000);
    world.restart();
    world.notify("s", vec![alert("short", false, "critical")]);
    world.notify("s", vec![alert("short", false, "critical")]);
    assert_eq!(world.sent, [], "it was never told, and nor is its end");
    assert_eq!(world.core.counts.of(Count::Outlived), 1);
    assert_eq!(world.core.stats(world.now()).oldest_ms, None, "nobody waits for it");
    world.wait(234_999);
    assert_eq!(world.sent, []);
    world.wait(1);
    let long = text(&world.answer(Answer::Delivered));
    assert!(long.contains("Firing") && long.contains("about long"), "{long}");
    world.notify("l", vec![alert("long", false, "warning")]);
    assert!(text(&world.answer(Answer::Delivered)).contains("Recovered"));
    // Who does not want that has every alert told at once.
    let world = world_of(Options { outlive_s: 0, ..options() });
    assert_eq!(world.sent.len(), 2);
}

fn escalating() -> Options {
    let mut options = options();
    options.routes[0].fallback.clear();
    options.routes[0].escalation = "spare".to_owned();
    options.routes[0].escalate_after_s = 300;
    options.silence_url = "https://bridge.example".to_owned();
    options.silence_key.value = "0123456789abcdef".to_owned();
    options
}

impl World {
    fn acknowledge(&mut self, group_key: &str) -> Option<Reply> {
        self.replies.clear();
        self.input(Input::Acknowledged {
            ticket: Ticket(1),
            route: "default".to_owned(),
            group_key: group_key.to_owned(),
            who: "anna <@all>".to_owned(),
        });
        self.replies.pop()
    }
}

#[test]
fn what_nobody_acknowledges_goes_to_a_second_chat_and_so_does_its_end() {
    let mut world = World::new(escalating());
    world.notify("g", vec![alert("a", true, "critical"), alert("b", true, "warning")]);
    let first = text(&world.answer(Answer::Delivered));
    assert!(first.contains("[acknowledge](https://bridge.example/v1/acknowledge?d="), "{first}");
    world.wait(200_000);
    world.restart();
    world.wait(99_999);
    assert_eq!(world.sent, []);
    world.wait(1);
    let second = world.answer(Answer::Delivered);
    assert_eq!(second.robot, "d1");
    let second = text(&second);
    assert!(second.contains("about a") && !second.contains("about b"), "{second}");
    assert!(second.contains("nobody has acknowledged this for 5m 0s"), "{second}");
    world.wait(4_000_000);
    assert_eq!(world.sent, [], "once");
    world.notify("g", vec![alert("a", false, "critical"), alert("b", false, "warning")]);
    let arrived = world.run(|_| Answer::Delivered);
    let robots: Vec<&str> = arrived.iter().map(|request| request.robot.as_str()).collect();
    assert!(robots.len() == 2 && robots.contains(&"d1"), "{robots:?}");
    assert!(arrived.iter().all(|request| text(request).contains("Recovered")));
    assert_eq!(world.core.unacknowledged.len(), 0);
    assert_eq!(world.core.counts.of(Count::Escalated), 1);
    world.compare();
}

#[test]
fn who_acknowledges_is_told_and_nothing_is_escalated() {
    let mut world = World::new(escalating());
    world.notify("g", vec![alert("a", true, "critical")]);
    world.answer(Answer::Delivered);
    assert_eq!(world.acknowledge("other"), Some(Reply::Unknown));
    assert_eq!(world.acknowledge("g"), Some(Reply::Kept));
    assert_eq!(world.acknowledge("g"), Some(Reply::Unknown));
    world.restart();
    let told = text(&world.answer(Answer::Delivered));
    assert_eq!(told, "anna ＜＠all＞ takes care of A");
    world.wait(4_000_000);
    world.notify("g", vec![alert("a", true, "critical")]);
    assert!(text(&world.answer(Answer::Delivered)).contains("still"), "a reminder");
    world.wait(4_000_000);
    assert_eq!(world.sent, [], "it is acknowledged");
    // Another one of the group is another matter, and what is over needs nobody.
    world.notify("g", vec![alert("b", true, "critical")]);
    world.answer(Answer::Delivered);
    world.wait(100_000);
    world.notify("g", vec![alert("b", false, "critical")]);
    world.answer(Answer::Delivered);
    world.wait(4_000_000);
    assert_eq!(world.sent, []);
    world.notify("g", vec![alert("b", true, "critical")]);
    world.answer(Answer::Delivered);
    world.wait(300_000);
    assert_eq!(world.answer(Answer::Delivered).robot, "d1");
    world.compare();
}

/// Two bridges that ask each other, and are told the same.
struct Two {
    worlds: [World; 2],
    hears: bool,
}

impl Two {
    fn new() -> Two {
        let one = |peer_first| {
            let mut options = options();
            options.peer_url = "http://other".to_owned();
            options.peer_first = peer_first;
            World::new(options)
        };
        let mut two = Two { worlds: [one(true), one(false)], hears: true };
        two.pass(1);
        two
    }

    /// So many rounds of questions, of 2 s each.
    fn pass(&mut self, rounds: u32) {
        for _ in 0..rounds {
            for index in 0..2 {
                let question = self.worlds[index].core.stats(self.worlds[index].now()).question;
                let other = &mut self.worlds[1 - index];
                other.input(Input::PairAsked(Ticket(9), question));
                let answer = other.said.take().filter(|_| self.hears);
                self.worlds[index].input(Input::PairHeard(answer));
            }
            self.worlds.iter_mut().for_each(|world| world.wait(2_000));
        }
    }

    fn notify(&mut self, group: &str, alerts: &[Alert]) {
        for world in &mut self.worlds {
            world.notify(group, alerts.to_vec());
        }
    }

    fn told(&mut self) -> [String; 2] {
        let mut told = [String::new(), String::new()];
        for (world, told) in self.worlds.iter_mut().zip(&mut told) {
            let arrived = world.run(|_| Answer::Delivered);
            *told = arrived.iter().map(text).collect();
        }
        told
    }
}

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
    let request = two.worlds[1].answer(Answer::Delivered);
    assert!(text(&request).contains("perhaps a repetition"), "{}", text(&request));
}

/// A thousand alerts, robots that throttle, refuse and lose answers, and a kill at any
/// moment: everything is told, and what is told twice says so.
#[test]
fn nothing_is_lost_and_nothing_told_twice_unless_it_says_so() {
    for seed in 0..6 {
        let mut prng = crate::base::Prng::from_seed(seed);
        let mut world = World::new(options());
        let mut told: BTreeMap<String, u32> = BTreeMap::new();
        let mut next = 0;
        let arrive = |request: &Request, told: &mut BTreeMap<String, u32>| {
            let text = text(request);
            let is_again = text.contains("perhaps a repetition") || text.contains("sent again");
            for line in text.lines() {
                let line = line.trim_start_matches("> ");
                if let Some(name) = line.strip_prefix("about ") {
                    let count = told.entry(name.to_owned()).or_default();
                    *count += u32::from(!is_again || *count == 0);
                }
            }
        };
        for _ in 0..1_500 {
            match prng.below(10) {
                0..=3 if next < 1_000 => {
                    let group = format!("g{}", prng.below(40));
                    let alerts = (0..1 + prng.below(5)).map(|_| {
                        next += 1;
                        alert(&format!("n{next}."), true, "warning")
                    });
                    let alerts = alerts.collect();
                    world.notify(&group, alerts);
                }
                4 | 5 if !world.sent.is_empty() => {
                    arrive(&world.sent[0], &mut told);
                    world.answer(Answer::Delivered);
                }
                6 if !world.sent.is_empty() => {
                    let answers = [
                        Answer::TooOften(0),
                        Answer::Busy(500),
                        Answer::Unreachable,
                        Answer::Doubtful,
                        Answer::Stranger(93_000),
                    ];
                    let answer = answers[prng.below(5) as usize].clone();
                    if answer == Answer::Doubtful && prng.below(2) == 0 {
                        arrive(&world.sent[0], &mut told);
                    }
                    world.answer(answer);
                }
                7 if prng.below(50) == 0 => {
                    for request in world.sent.clone() {
                        if prng.below(2) == 0 {
                            arrive(&request, &mut told);
                        }
                    }
                    world.restart();
                }
                _ => {
                    let ms = prng.below(5_000);
                    world.wait(ms);
                }
            }
        }
        for _ in 0..400 {
            while !world.sent.is_empty() {
                arrive(&world.sent[0], &mut told);
                world.answer(Answer::Delivered);
            }
            world.wait(5_000);
        }
        assert_eq!(world.core.stats(world.now()).depth, 0, "seed {seed}");
        for index in 1..=next {
            let name = format!("n{index}.");
            assert_eq!(told.get(&name), Some(&1), "seed {seed}, {name}");
        }
    }
}
