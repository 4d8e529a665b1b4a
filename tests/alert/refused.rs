//! What chats refused, by the command for it: from one bridge, from two, and from what
//! only looks like one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::{Value, json};

use crate::told;
use crate::world::{Alert, Bridge, Robots, World, request, wait_for};

const TOKEN: &str = "a token of twenty-two b";
const FAST: &str = "rate_window_s = 1\npause_s = 1\n";

fn refused(bridge: &Bridge, arguments: &[&str]) -> (i32, String, String) {
    let said = bridge.command(&[&["refused"], arguments].concat());
    for text in [&said.1, &said.2] {
        let obeyed = |c: char| c != '\n' && c.is_control();
        assert!(!text.contains(obeyed) && !text.contains(TOKEN), "{text:?}");
        assert!(!text.contains("panicked"), "{text}");
    }
    said
}

#[track_caller]
fn done(bridge: &Bridge, arguments: &[&str]) -> String {
    let (code, stdout, stderr) = refused(bridge, arguments);
    assert!(code == 0 && stderr.is_empty(), "{arguments:?}: {code} {stdout} {stderr}");
    stdout
}

/// The id of the line with this word.
fn id_of(list: &str, word: &str) -> String {
    let line = list.lines().find(|line| line.contains(word));
    let line = line.unwrap_or_else(|| panic!("no {word} in {list}"));
    line.split("  ").next().expect("a line has a beginning").to_owned()
}

/// The bridge's own page gives a part of the list when it is asked for one.
fn check_pages(bridge: &Bridge, objects: &[Value]) {
    let (page, all) =
        ("/v1/refused/all?limit=1", format!("/v1/refused/all?after={}", objects[0]["id"]));
    let ids = |path: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {TOKEN}");
        let (status, body) = request(bridge.address(), &head, "");
        let list: Vec<Value> = serde_json::from_str(&body).unwrap_or_default();
        (status, list.iter().map(|one| one["id"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(ids(page), (200, vec![objects[0]["id"].clone()]));
    assert_eq!(ids(&all), (200, vec![objects[1]["id"].clone()]));
    assert_eq!(ids("/v1/refused/all?after=x").0, 400);
}

/// What cannot be done is said with the code of its kind, and changes nothing.
fn check_misuse(bridge: &Bridge, list: &str) {
    let url = format!("http://{}", bridge.address());
    let url = url.as_str();
    // Without its token, and with it.
    let (code, stdout, stderr) = refused(bridge, &["list", "--bridge", url]);
    assert!(code == 1 && stdout.is_empty() && stderr.contains("says 401"), "{stderr}");
    let file = bridge.file("listener");
    let file = file.to_str().expect("a plain path");
    let by_hand = done(bridge, &["list", "--bridge", url, "--token-file", file]);
    assert_eq!(by_hand, list);

    for (arguments, code, words) in [
        (vec!["show", "7"], 1, "there is no refused message 7"),
        (vec!["drop", "7"], 1, "there is no refused message 7"),
        (vec!["drop"], 2, "--all"),
        (vec!["drop", "x"], 2, "x"),
        (vec!["retry", "--all", "7"], 2, "--all"),
        (vec!["list", "--token-file", file], 2, "--bridge"),
        (vec!["list", "--bridge", "ftp://me:s3cret@a"], 2, "no address such as"),
        (vec!["list", "--bridge", url, "--token-file", "/nowhere"], 1, "/nowhere"),
        (vec!["list", "--bridge", "http://127.0.0.1:1"], 1, "http://127.0.0.1:1"),
    ] {
        let (got, _, stderr) = refused(bridge, &arguments);
        assert!(got == code && stderr.contains(words), "{arguments:?}: {got} {stderr}");
        assert!(!stderr.contains("s3cret"), "{stderr}");
    }
}

#[test]
fn what_a_chat_refuses_is_shown_told_again_and_dropped_by_a_command() {
    let more = "[bridge]\ntoken_file = \"listener\"\n";
    let mut world = World::not_started(more);
    std::fs::write(world.bridge.file("listener"), TOKEN).expect("it can be written");
    world.bridge.start();
    world.robots.refuse("*", "poison");
    let keep = |route: &str, group: &str, name: &str| {
        let body = Alert::payload(group, &[Alert::firing(name)]);
        let head = format!(
            "POST /v1/notify/{route} HTTP/1.1\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json"
        );
        assert_eq!(request(world.bridge.address(), &head, &body).0, 200);
    };
    assert_eq!(done(&world.bridge, &["list"]), "");
    keep("page", "g", "n-poison-\u{1b}[2J\nops");
    keep("ding", "h", "n-poison-ding");
    let lines = || done(&world.bridge, &["list"]).lines().count();
    wait_for("both to be refused", || lines() == 2);
    let here = format!("  http://{}  ", world.bridge.address());
    let list = done(&world.bridge, &["list"]);
    assert!(list.lines().all(|line| line.contains(&here)), "{list}");
    let (ops, ding) = (id_of(&list, "  ops by "), id_of(&list, "  ding by d1: "));
    assert!(list.contains(": 40035  firing  critical  ChatTest  n-poison-\\u{1b}[2J\\nops"));

    let shown = done(&world.bridge, &["show", &ops]);
    assert!(shown.contains("annotation  summary: n-poison-\\u{1b}[2J\\nops\n"), "{shown}");
    assert!(shown.contains("label       alertname: ChatTest\n"), "{shown}");
    let objects = done(&world.bridge, &["list", "--json"]);
    let objects: Vec<Value> =
        objects.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["bridge"], here.trim());
    check_pages(&world.bridge, &objects);
    check_misuse(&world.bridge, &list);
    world.robots.fault("*", "none", 0);
    let (code, stdout, stderr) = refused(&world.bridge, &["retry", "7", &ops]);
    assert!(code == 1 && stderr.contains("no refused message 7"), "{stderr}");
    assert_eq!(stdout, format!("{ops}  is told again{}\n", here.trim_end()));
    wait_for("it, told at last", || told(&world.robots).keys().any(|name| name.contains("poison")));
    wait_for("it to leave the list", || lines() == 1);
    let dropped = done(&world.bridge, &["drop", "--all"]);
    assert_eq!(dropped, format!("{ding}  is dropped{}\n", here.trim_end()));
    wait_for("the list to be empty", || lines() == 0);
    world.bridge.kill();
    assert_eq!(refused(&world.bridge, &["list"]).0, 1, "nobody answers");
}

#[test]
fn of_two_bridges_the_list_says_which_one_has_it_and_either_leads_there() {
    let robots = Robots::start(0.5, false);
    let mut two = Bridge::write_two(&robots.url("/cgi-bin/webhook/send"), FAST);
    two.iter_mut().for_each(Bridge::start);
    robots.refuse("*", "poison");
    wait_for("the first one to tell", || two[0].metric("chatalert_tells") == 1.0);
    let keep = |name: &str| {
        two.iter().for_each(|one| one.keep("page", name, &[Alert::firing(name)]));
    };
    keep("n-poison-one-");
    keep("n-poison-two-");
    let held = |bridge: &Bridge| bridge.metric("chatalert_refused_messages");
    wait_for("it to be refused", || held(&two[0]) == 2.0);
    assert_eq!(held(&two[1]), 0.0);
    let there = format!("  http://{}  ", two[0].address());
    let lists = two.each_ref().map(|one| done(one, &["list"]));
    assert_eq!(lists[0], lists[1]);
    assert_eq!(lists[0].lines().filter(|line| line.contains(&there)).count(), 2, "{}", lists[0]);
    let id = id_of(&lists[0], "n-poison-one-");
    assert_eq!(done(&two[1], &["drop", &id]), format!("{id}  is dropped{}\n", there.trim_end()));
    wait_for("it to leave the list", || held(&two[0]) == 1.0);
    // What can be said is said, and that it is not all.
    two[1].kill();
    let (code, stdout, stderr) = refused(&two[1], &["list"]);
    assert_eq!((code, stdout.lines().count()), (1, 1), "{stderr}");
    assert!(stderr.contains(two[1].address()) && stdout.contains("n-poison-two-"), "{stderr}");
    let id = id_of(&stdout, "n-poison-two-");
    assert_eq!(refused(&two[1], &["show", &id]).0, 0);
    let (code, stdout, _) = refused(&two[1], &["drop", "--all"]);
    assert_eq!((code, stdout.lines().count()), (1, 1), "one of them was not asked");
}

/// Answers each question with what `page` makes of `after` in it.
fn impostor(page: fn(u64) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let answer = move |mut stream: TcpStream| {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let head = lines.next().transpose()?.unwrap_or_default();
        let after = head.split("after=").nth(1).and_then(|rest| rest.split('&').next());
        let body = page(after.and_then(|number| number.parse().ok()).unwrap_or(0));
        // A client that is still asking would get a reset in place of the answer.
        while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
        let length = body.len();
        write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}")
    };
    thread::spawn(move || listener.incoming().flatten().try_for_each(answer));
    format!("http://{address}")
}

#[test]
fn a_list_of_several_pages_is_whole_and_one_without_an_end_has_one() {
    let bridge = Bridge::write("http://127.0.0.1:1", "", "");
    type Page = fn(u64) -> String;
    let pages: [(Page, i32, usize, &str); 6] = [
        (|after| page_of(after, 120), 0, 120, ""),
        (|after| page_of(after, u64::MAX), 1, 1_000, "more than 1000"),
        (|_| page_of(0, 50), 1, 50, "do not grow"),
        (|_| "[{\"id\": \"7\"}]".to_owned(), 1, 0, "do not grow"),
        (|_| "{}".to_owned(), 1, 0, "it is no list"),
        (|_| format!("[\"{}\"]", "x".repeat(33 << 20)), 1, 0, "too long"),
    ];
    for (page, code, count, words) in pages {
        let url = impostor(page);
        let (got, stdout, stderr) = refused(&bridge, &["list", "--bridge", &url]);
        assert_eq!((got, stdout.lines().count()), (code, count), "{words}: {stderr}");
        assert!(stderr.contains(words), "{words}: {stderr}");
    }
}

fn page_of(after: u64, last: u64) -> String {
    let ids = after + 1..=last.min(after + 50);
    json!(ids.map(|id| json!({"id": id, "chat": "c\u{9b}"})).collect::<Vec<_>>()).to_string()
}
