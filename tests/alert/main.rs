//! The alert bridge as a process: robots with the limits of the real ones on one side,
//! Alertmanager on the other, kills and faults between.

#[path = "../common/mod.rs"]
mod common;
mod listener;
mod outside;
mod proxy;
mod refused;
mod storm;
mod world;

use std::collections::BTreeMap;
use std::net::TcpListener;

use world::{Alert, Bridge, Robots, World, post, wait_for};

/// A word that stands for one alert in a message.
fn names(text: &str) -> Vec<String> {
    let words = text.split_whitespace().filter(|word| word.starts_with("n-"));
    words.map(str::to_owned).collect()
}

/// Each alert with how often it was told by messages that do not say that they may be
/// repetitions, and how often in all. No message tells one twice.
fn told(robots: &Robots) -> BTreeMap<String, (u32, u32)> {
    let mut told: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for message in robots.messages() {
        let is_again = message.contains("perhaps a repetition") || message.contains("sent again");
        let mut names = names(&message);
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count, "an alert twice in {message}");
        for name in names {
            let (sure, all) = told.entry(name).or_default();
            *sure += u32::from(!is_again);
            *all += 1;
        }
    }
    told
}

#[test]
fn a_thousand_alerts_survive_kills_and_throttling() {
    const GROUPS: usize = 200;
    const EACH: usize = 5;
    let mut world = World::new(1.0, "rate_count = 18\nrate_window_s = 1\npause_s = 1\n");
    let faults = ["blocked", "500", "reset", "blocked", "lost-answer"];
    for group in 0..GROUPS {
        let alerts: Vec<Alert> =
            (0..EACH).map(|index| Alert::firing(&format!("n-{}-", group * EACH + index))).collect();
        world.bridge.keep("page", &format!("g{group}"), &alerts);
        if group % 20 == 7 {
            world.robots.fault("*", faults[group / 20 % faults.len()], 1);
        }
        if group % 25 == 24 {
            world.bridge.kill_and_restart();
        }
    }
    wait_for("every alert to be told", || told(&world.robots).len() == GROUPS * EACH);
    wait_for("the queue to be empty", || world.bridge.metric("chatalert_queue_depth") == 0.0);
    for (name, (sure, all)) in told(&world.robots) {
        assert!(sure <= 1 && all >= 1, "{name}: {sure} of {all} did not say it is again");
    }
    let refused = world.robots.attempts().into_iter().filter(|code| *code == 45_009).count();
    assert!(refused > 0, "the robots throttled");
}

#[test]
fn a_restart_in_a_quiet_moment_repeats_nothing() {
    let mut world = World::new(60.0, "");
    world.bridge.keep("page", "g", &[Alert::firing("n-1-")]);
    wait_for("the message", || world.robots.messages().len() == 1);
    wait_for("its record", || world.bridge.metric("chatalert_queue_depth") == 0.0);
    world.bridge.kill_and_restart();
    // Alertmanager did not hear the answer, and tries again.
    world.bridge.keep("page", "g", &[Alert::firing("n-1-")]);
    world.bridge.keep("page", "h", &[Alert::firing("n-2-")]);
    wait_for("the second message", || world.robots.messages().len() == 2);
    let told = told(&world.robots);
    assert_eq!(told.values().map(|(_, all)| *all).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_full_queue_of_a_throttled_robot_is_there_after_a_kill() {
    let mut world = World::new(2.0, "rate_count = 18\nrate_window_s = 2\npause_s = 2\n");
    world.robots.fault("*", "blocked", 2);
    for index in 0..60 {
        let alert = Alert::firing(&format!("n-{index}-"));
        world.bridge.keep("page", &format!("g{index}"), &[alert]);
    }
    world.bridge.kill_and_restart();
    wait_for("all of them", || told(&world.robots).len() == 60);
    assert!(told(&world.robots).values().all(|(sure, _)| *sure <= 1));
}

#[test]
fn every_fault_of_a_robot_is_survived() {
    let mut world = World::new(60.0, "");
    for (index, fault) in ["500", "token", "blocked", "reset", "slow"].iter().enumerate() {
        world.robots.fault("K1", fault, 1);
        world.robots.fault("K2", fault, 0);
        let name = format!("n-{index}-");
        world.bridge.keep("page", &format!("g{index}"), &[Alert::firing(&name)]);
        wait_for(fault, || told(&world.robots).contains_key(&name));
        world.robots.fault("*", "none", 0);
        world.bridge.kill_and_restart_forgetting();
    }
}

#[test]
fn what_the_disk_does_not_take_is_refused_and_told_all_the_same() {
    let mut world = World::new(60.0, "");
    world.bridge.restart_with_files_of_at_most(16);
    let mut codes = Vec::new();
    let mut count = 0;
    while !codes.contains(&503) && count < 200 {
        let alert = Alert::firing(&format!("n-{count}-"));
        codes.push(world.bridge.notify("page", &format!("g{count}"), &[alert]));
        count += 1;
    }
    let refused = format!("n-{}-", count - 1);
    assert_eq!(codes.pop(), Some(503));
    assert!(codes.iter().all(|code| *code == 200), "{codes:?}");
    assert_eq!(world.bridge.get("/ready").0, 503);
    wait_for("the refused one all the same", || told(&world.robots).contains_key(&refused));
    world.bridge.allow_files_of_any_size();
    wait_for("the disk to be used again", || world.bridge.get("/ready").0 == 200);
    let again = Alert::firing(&refused);
    assert_eq!(world.bridge.notify("page", &format!("g{}", count - 1), &[again]), 200);
    world.bridge.keep("page", "last", &[Alert::firing("n-last-")]);
    wait_for("the last one", || told(&world.robots).contains_key("n-last-"));
    assert_eq!(told(&world.robots)[&refused].1, 1, "told once");
}

#[test]
fn a_prometheus_that_hangs_keeps_no_message_back() {
    // Connections wait in its backlog, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("it is bound"));
    let world = World::with(60.0, "", &format!("[prometheus]\nurl = \"{url}\"\n"));
    let mut alert = Alert::firing("n-1-");
    alert.annotations.push(("exemplar_query", "m".to_owned()));
    world.bridge.keep("page", "g", &[alert]);
    wait_for("the message", || world.robots.messages().len() == 1);
    assert!(world.robots.messages()[0].contains("no snapshot"));
    silent.accept().expect("it was asked");
    let none = world.bridge.metric("chatalert_snapshots_total{source=\"none\"}");
    assert_eq!(none, 1.0);
}

#[test]
fn alertmanager_is_told_to_be_quiet_by_a_button_and_not_by_a_preview() {
    let mut world = World::new(60.0, "");
    let alertmanager = world.start_alertmanager();
    let alert = r#"[{"labels":{"alertname":"ChatCoreHung","severity":"critical","job":"chat"},
        "annotations":{"summary":"n-1- <@all>"}}]"#;
    assert_eq!(post(&alertmanager, "/api/v2/alerts", "application/json", alert).0, 200);
    wait_for("the message", || !world.robots.messages().is_empty());
    let message = world.robots.messages().remove(0);
    assert!(message.contains("n-1- ＜＠all＞"), "{message}");
    let link = message.split("[silence](").nth(1).and_then(|rest| rest.split(')').next());
    let link = link.expect("the message has the link");
    let query = link.split_once('?').expect("it has a query").1;
    let (status, page) = world.bridge.get(&format!("/v1/silence?{query}"));
    assert!(status == 200 && page.contains("ChatCoreHung"), "{page}");
    let silences = |world: &World| world.get_from(&alertmanager, "/api/v2/silences").1;
    assert_eq!(silences(&world).trim(), "[]", "looking silences nothing");
    let form = format!("{query}&who=anna&minutes=60");
    let form_type = "application/x-www-form-urlencoded";
    let forged = form.replace("&s=", "&s=x");
    assert_eq!(post(world.bridge.address(), "/v1/silence", form_type, &forged).0, 403);
    let long = form.replace("minutes=60", "minutes=241");
    assert_eq!(post(world.bridge.address(), "/v1/silence", form_type, &long).0, 400);
    assert_eq!(silences(&world).trim(), "[]");
    assert_eq!(post(world.bridge.address(), "/v1/silence", form_type, &form).0, 200);
    let made = silences(&world);
    assert!(made.contains("\"createdBy\":\"anna\"") && made.contains("ChatCoreHung"), "{made}");
}

#[test]
fn dingtalk_takes_what_is_signed_and_has_its_word() {
    let world = World::new(60.0, "");
    world.bridge.keep("ding", "g", &[Alert::firing("n-1-")]);
    wait_for("the message", || world.robots.messages().len() == 1);
    let message = world.robots.messages().remove(0);
    assert!(message.contains("n-1-") && message.ends_with("rookery"), "{message}");
}

#[test]
fn only_certificates_that_are_trusted_are_spoken_to() {
    let robots = Robots::start(60.0, true);
    let url = robots.url("/cgi-bin/webhook/send");
    let key = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/loopback.cert.pem");
    for (ca, want) in [("", "it cannot be reached"), (key, "sent")] {
        let bridge = Bridge::write(&url, &format!("[tls]\nca_file = \"{ca}\"\n"), "");
        let (_, stdout, _) = bridge.command(&["test", "--route", "page"]);
        assert!(stdout.lines().all(|line| line.ends_with(want)), "{stdout}");
    }
}

#[test]
fn a_new_token_is_read_at_a_signal_and_never_written() {
    let world = World::new(60.0, "");
    world.bridge.write_token("wrong-token-that-nobody-may-see");
    world.bridge.hang_up();
    wait_for("the reload", || world.bridge.log().contains("were read again"));
    world.bridge.keep("one", "g", &[Alert::firing("n-1-")]);
    wait_for("its refusal", || world.bridge.log().contains("does not accept us (93000)"));
    world.bridge.write_token("K1");
    world.bridge.hang_up();
    wait_for("the message", || world.robots.messages().len() == 1);
    world.bridge.write_config("[nonsense]\n");
    world.bridge.hang_up();
    wait_for("the mistake", || world.bridge.log().contains("the settings stay as they were"));
    let log = world.bridge.log();
    assert!(log.contains("nonsense: there is no such setting"), "{log}");
    let files = world.bridge.everything_written();
    for text in [&log, &files, &world.bridge.get("/metrics").1] {
        assert!(!text.contains("wrong-token") && !text.contains("key="), "{text}");
    }
}

#[test]
fn all_mistakes_of_a_configuration_are_told_at_once() {
    let bridge = Bridge::write("http://127.0.0.1:1/send", "", "");
    bridge.write_config(
        "[bridge]\nlisen = \"x\"\nalerts_max = 1\n[[robots]]\nname = \"a b\"\nchat = \"c\"\n\
         token_env = \"NOT_THERE\"\n[[routes]]\nname = \"r\"\nchats = [\"nobody\"]\n\
         language = \"fr\"\n",
    );
    let (code, _, stderr) = bridge.command(&["check"]);
    assert_eq!(code, 2);
    for words in [
        ":2:1: bridge.lisen: there is no such setting; is it `bridge.listen`?",
        ":3:14: bridge.alerts_max: it must be a whole number from 10 to 1000000",
        "robots[0]: its name must be of letters",
        "robots[0].token_file: the environment has no variable \"NOT_THERE\"",
        "routes[0]: no robot speaks in the chat \"nobody\"",
        "routes[0].language: it must be one of \"en\", \"zh\"",
    ] {
        assert!(stderr.contains(words), "no {words} in {stderr}");
    }
}

#[test]
fn zones_are_on_both_sides_of_greenwich_and_hours_need_one() {
    let person = "[[people]]\nname = \"anna\"\nlabel = \"owner\"\nvalue = \"chat\"\n\
                  from_hour = 9\nuntil_hour = 21\n";
    let check = |offset: &str, person: &str, want: Option<&str>| {
        let bridge = Bridge::write("http://127.0.0.1:1/send", "", "");
        let text = std::fs::read_to_string(bridge.file("bridge.toml")).expect("it is there");
        bridge.write_config(&(text.replace("offset_minutes = 0\n", offset) + person));
        let (code, _, stderr) = bridge.command(&["check"]);
        assert_eq!(code, if want.is_some() { 2 } else { 0 }, "{offset}: {stderr}");
        assert!(stderr.contains(want.unwrap_or_default()), "{stderr}");
    };
    for minutes in [-720, -570, -300, -210, 0, 330, 840] {
        check(&format!("offset_minutes = {minutes}\n"), person, None);
    }
    for wrong in ["-721", "841", "\"-5\"", "1.5"] {
        let want = "it must be a whole number from -720 to 840 minutes";
        check(&format!("offset_minutes = {wrong}\n"), person, Some(want));
    }
    check("", person, Some("people[0]: hours need a zone: set bridge.offset_minutes"));
    check("", "", None);
    check("", &person.replace("from_hour = 9\nuntil_hour = 21\n", ""), None);
}

#[test]
fn a_changed_template_is_used_and_a_broken_one_is_refused() {
    let mut world = World::with(60.0, "", "[bridge]\ntemplates_dir = \"t\"\n");
    let (code, _, stderr) = world.bridge.command(&["check"]);
    assert!(code == 2 && stderr.contains("bridge.templates_dir"), "{stderr}");
    let dir = world.bridge.file("t");
    let dir = dir.to_str().expect("a plain path");
    assert_eq!(world.bridge.command(&["templates", "--out", dir]).0, 0);
    let path = world.bridge.file("t/standard.en.wecom.j2");
    let text = std::fs::read_to_string(&path).expect("it was written");
    std::fs::write(&path, text.replace("no snapshot", "nothing was caught")).expect("it can be");
    world.bridge.start();
    world.bridge.keep("page", "g", &[Alert::firing("n-1-")]);
    wait_for("the message", || world.robots.messages().len() == 1);
    assert!(world.robots.messages()[0].contains("nothing was caught"));
    std::fs::write(&path, "{% block alert %}{{ a.nmae }}{% endblock %}").expect("it can be");
    let (code, _, stderr) = world.bridge.command(&["check"]);
    assert!(code == 2 && stderr.contains("standard.en.wecom"), "{stderr}");
}

#[test]
fn what_a_chat_refuses_is_found_told_of_and_decided_about() {
    let mut world = World::new(0.5, "rate_window_s = 1\npause_s = 1\n");
    world.robots.refuse("*", "poison");
    let mut alerts: Vec<Alert> =
        (0..12).map(|index| Alert::firing(&format!("n-{index}-"))).collect();
    alerts.insert(5, Alert::firing("n-poison<b>-"));
    world.bridge.keep("page", "g", &alerts);
    world.bridge.keep("ding", "h", &[Alert::firing("n-poison-ding-")]);
    world.bridge.keep("ding", "i", &[Alert::firing("n-ding-")]);
    wait_for("the others", || told(&world.robots).len() == 13);
    let notices = |world: &World| {
        let all = world.robots.messages();
        all.into_iter().filter(|text| text.contains("this chat refuses")).collect::<Vec<_>>()
    };
    wait_for("both notices", || notices(&world).len() == 2);
    assert!(notices(&world).iter().all(|text| text.contains("1 of these critical")));
    world.bridge.kill_and_restart();
    assert_eq!(world.bridge.metric("chatalert_refused_messages"), 2.0);
    let text = notices(&world).into_iter().find(|text| text.contains("(40035)")).expect("one");
    let (_, query) = text.split_once("/v1/refused?").expect("it has a link");
    let (status, page) = world.bridge.get(&format!("/v1/refused?{query}"));
    assert!(status == 200 && page.contains("poison&lt;b&gt;"), "{page}");
    assert!(!page.contains("poison-ding"), "another chat's: {page}");
    let (_, id) = page.split_once("name=\"id\" value=\"").expect("a form");
    let id: String = id.chars().take_while(char::is_ascii_digit).collect();
    let form_type = "application/x-www-form-urlencoded";
    let form = |query: &str, wish: &str| {
        let form = format!("{query}&id={id}&wish={wish}");
        post(world.bridge.address(), "/v1/refused", form_type, &form).0
    };
    assert_eq!(form(&query.replace("&s=", "&s=x"), "drop"), 403);
    assert_eq!(form(query, "nonsense"), 400);
    world.robots.fault("*", "none", 0);
    assert_eq!(form(query, "retry"), 200);
    wait_for("it, told at last", || told(&world.robots).keys().any(|n| n.contains("poison")));
    assert_eq!(form(query, "drop"), 404, "it is in the list no more");
    let all = world.bridge.get("/v1/refused/all").1;
    assert!(all.contains("n-poison-ding-") && !all.contains("n-poison<b>-"), "{all}");
}

#[test]
fn a_notification_of_any_size_is_answered_with_200_and_told() {
    let world = World::new(0.5, "rate_window_s = 1\npause_s = 1\n");
    let many = |count: usize, description: &str| -> Vec<Alert> {
        let mut alerts: Vec<Alert> =
            (0..count).map(|index| Alert::firing(&format!("n-{index}-"))).collect();
        for alert in &mut alerts {
            alert.annotations.push(("description", description.to_owned()));
        }
        alerts
    };
    let long = "g".repeat(50_000);
    assert_eq!(world.bridge.notify("page", &long, &many(10_000, "short")), 200);
    wait_for("its messages", || world.bridge.metric("chatalert_queue_depth") == 0.0);
    let told_at_first = told(&world.robots).len();
    assert!(told_at_first > 50, "{told_at_first}");
    // Beyond what is kept of a body: 24 MB.
    let larger = many(6_000, &"x".repeat(4_000));
    assert_eq!(world.bridge.notify("one", "larger", &larger), 200);
    wait_for("the larger one", || world.bridge.metric("chatalert_queue_depth") == 0.0);
    let all = world.robots.messages();
    assert!(all.iter().any(|text| text.contains("of those left out are critical")));
    assert_eq!(world.bridge.metric("chatalert_webhooks_total{outcome=\"malformed\"}"), 0.0);
}

#[test]
fn two_bridges_side_by_side_tell_an_alert_once() {
    let robots = Robots::start(1.0, false);
    let url = robots.url("/cgi-bin/webhook/send");
    let mut two = Bridge::write_two(&url, "rate_count = 18\nrate_window_s = 1\npause_s = 1\n");
    two.iter_mut().for_each(Bridge::start);
    let tells = |bridge: &Bridge| bridge.metric("chatalert_tells");
    wait_for("the first one to tell", || tells(&two[0]) == 1.0);
    let keep = |two: &[Bridge], name: &str| {
        let group = format!("g-{name}");
        two.iter().for_each(|one| one.keep("page", &group, &[Alert::firing(name)]));
    };
    for index in 0..10 {
        keep(&two, &format!("n-{index}-"));
    }
    wait_for("all of them", || told(&robots).len() == 10);
    let empty = |bridge: &Bridge| bridge.metric("chatalert_queue_depth") == 0.0;
    wait_for("both to know", || two.iter().all(empty));
    assert_eq!(tells(&two[1]), 0.0);
    two[0].kill();
    keep(&two[1..], "n-alone-");
    wait_for("the second one to take over", || told(&robots).contains_key("n-alone-"));
    two[0].start();
    keep(&two[..1], "n-alone-");
    wait_for("the first one to tell again", || tells(&two[0]) == 1.0 && tells(&two[1]) == 0.0);
    keep(&two, "n-last-");
    wait_for("the last one", || told(&robots).contains_key("n-last-"));
    wait_for("both to know again", || two.iter().all(empty));
    for (name, (_, all)) in told(&robots) {
        assert_eq!(all, 1, "{name}");
    }
    let json = "application/json";
    let (status, _) = post(two[1].address(), "/v1/pair", json, "{\"since_ms\":0}");
    assert_eq!(status, 401, "only the other one may ask");
}

#[test]
fn of_two_bridges_the_one_that_cannot_reach_the_robots_leaves_it_to_the_other_one() {
    let robots = Robots::start(1.0, false);
    let url = robots.url("/cgi-bin/webhook/send");
    let mut two = Bridge::write_two(&url, "rate_count = 18\nrate_window_s = 1\npause_s = 1\n");
    // Nobody listens there: the way from the first one is gone, and it lives.
    two[0].change_config(&url, "http://127.0.0.1:1/cgi-bin/webhook/send");
    two.iter_mut().for_each(Bridge::start);
    let tells = |bridge: &Bridge| bridge.metric("chatalert_tells");
    wait_for("the first one to begin", || tells(&two[0]) == 1.0);
    let keep = |name: &str| {
        let group = format!("g-{name}");
        two.iter().for_each(|one| one.keep("page", &group, &[Alert::firing(name)]));
    };
    keep("n-1-");
    wait_for("the second one to tell", || told(&robots).contains_key("n-1-"));
    keep("n-2-");
    wait_for("it to go on", || told(&robots).contains_key("n-2-"));
    let empty = |bridge: &Bridge| bridge.metric("chatalert_queue_depth") == 0.0;
    wait_for("both to know", || two.iter().all(empty));
    assert!(told(&robots).values().all(|(_, all)| *all == 1), "{:?}", told(&robots));
    let reached = |bridge: &Bridge| bridge.metric("chatalert_chat_reached{chat=\"ops\"}");
    assert_eq!((reached(&two[0]), reached(&two[1])), (0.0, 1.0));
}

#[test]
fn settings_that_cannot_be_read_keep_nobody_from_being_told() {
    let world = World::new(1.0, "rate_count = 18\nrate_window_s = 1\npause_s = 1\n");
    // A pipe that nobody writes to is read for ever, as a file on a disk that hangs is.
    let token = world.bridge.file("token1");
    std::fs::remove_file(&token).expect("it can be removed");
    let made = std::process::Command::new("mkfifo").arg(&token).status().expect("it runs");
    assert!(made.success());
    world.bridge.hang_up();
    world.bridge.hang_up();
    world.bridge.keep("page", "g", &[Alert::firing("n-1-")]);
    wait_for("the alert", || told(&world.robots).contains_key("n-1-"));
}

#[test]
fn whatever_a_sender_writes_its_alerts_are_kept_and_no_route_is_lost() {
    let world = World::new(1.0, "rate_count = 18\nrate_window_s = 1\npause_s = 1\n");
    let send =
        |path: &str, body: &str| post(world.bridge.address(), path, "application/json", body).0;
    let good = |name: &str| Alert::payload(&format!("g-{name}"), &[Alert::firing(name)]);
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let with = |name: &str, odd: &str| {
        good(name).replacen("\"alerts\":[", &format!("\"alerts\":[{odd},"), 1)
    };
    let bodies = [
        with("n-1-", "null"),
        with("n-2-", "{\"labels\":[],\"annotations\":7,\"fingerprint\":{}}"),
        with("n-3-", &deep),
        format!("\u{feff}{}", good("n-4-")),
    ];
    let paths = ["/v1/notify", "/v1/notify/", "/v1/notify/a/b", "/v1/notify/%ff%2F?x=y"];
    for (path, body) in paths.iter().zip(&bodies) {
        assert!(body.contains("\"alerts\""));
        assert_eq!(send(path, body), 200, "{path}");
    }
    let names = ["n-1-", "n-2-", "n-3-", "n-4-"];
    wait_for("all of them", || names.iter().all(|name| told(&world.robots).contains_key(*name)));
    assert_eq!(world.bridge.metric("chatalert_webhooks_total{outcome=\"malformed\"}"), 0.0);
}

#[test]
fn what_somebody_takes_care_of_is_said_and_what_nobody_does_goes_to_a_second_chat() {
    let mut world = World::new(0.5, "rate_window_s = 1\npause_s = 1\n");
    let lines = "[[routes]]\nname = \"page\"\nescalation = \"one\"\nescalate_after_s = 10\n";
    world.bridge.change_config("[[routes]]\nname = \"page\"\n", lines);
    world.bridge.kill_and_restart();
    world.bridge.keep("page", "g", &[Alert::firing("n-1-")]);
    world.bridge.keep("page", "h", &[Alert::firing("n-2-")]);
    wait_for("both messages", || told(&world.robots).len() == 2);
    let all = world.robots.messages();
    let message = all.iter().find(|text| text.contains("n-1-")).expect("it is there");
    let link = message.split("[acknowledge](").nth(1).and_then(|rest| rest.split(')').next());
    let query = link.and_then(|link| link.split_once('?')).expect("it has the link").1;
    let (status, page) = world.bridge.get(&format!("/v1/acknowledge?{query}"));
    assert!(status == 200 && page.contains("<form"), "{page}");
    let form_type = "application/x-www-form-urlencoded";
    let send = |form: &str| post(world.bridge.address(), "/v1/acknowledge", form_type, form).0;
    assert_eq!(send(&format!("{}&who=anna", query.replace("&s=", "&s=x"))), 403);
    assert_eq!(send(query), 400, "nobody");
    assert_eq!(send(&format!("{query}&who=anna")), 200);
    assert_eq!(send(&format!("{query}&who=ben")), 404, "anna does already");
    let has = |words: &str| world.robots.messages().iter().any(|text| text.contains(words));
    wait_for("the chat to know who", || has("anna takes care of ChatTest"));
    wait_for("the second chat to know", || has("nobody has acknowledged this for 10s"));
    let told = told(&world.robots);
    assert_eq!((told["n-1-"].1, told["n-2-"].1), (1, 2), "{told:?}");
}

#[test]
fn bodies_that_are_no_notification_are_400_and_nothing_else_is() {
    let world = World::new(60.0, "");
    let json = "application/json";
    let send = |path: &str, body: &str| post(world.bridge.address(), path, json, body).0;
    assert_eq!(send("/v1/notify/page", "{"), 400);
    assert_eq!(send("/v1/notify/page", ""), 400);
    assert_eq!(send("/v1/notify/page", &" ".repeat(2 << 20)), 400);
    assert_eq!(send("/v1/deadman", "[]"), 400);
    let good = Alert::payload("g", &[Alert::firing("n-1-")]);
    assert_eq!(send("/v1/notify/nobody-knows-this", &good), 200);
    assert_eq!(send("/v1/deadman", &good), 200);
    wait_for("the message", || world.robots.messages().len() == 1);
    assert!(world.robots.messages()[0].contains("there is no route"));
    assert_eq!(world.bridge.metric("chatalert_webhooks_total{outcome=\"malformed\"}"), 4.0);
}
