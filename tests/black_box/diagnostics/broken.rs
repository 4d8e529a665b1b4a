//! A core that stands still, sessions that panic, and a connection that leaks.

use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::{Peer, Server, Settings};

/// Long enough for a test to look at it, and not for ever.
const BLOCK_S: u64 = 6;

fn block(server: &Server, core: u64) {
    let path = format!("/debug/faults/block?core={core}&seconds={BLOCK_S}");
    assert_eq!(server.debug("POST", &path).0, 200);
    // It takes the command at its next turn.
    server.wait_for_evidence("/debug/tasks", |page| {
        page["cores"][core as usize]["phase"] == json!("orders")
    });
}

fn panic_once(server: &Server, name: &str) {
    let mut unlucky = Peer::user(server.address(), name);
    unlucky.send(json!({ "rpc": { "method": "chat.panic", "data": {} } }));
    assert_eq!(unlucky.closed().0, 1011);
}

fn prefixes(page: &Value) -> Vec<&str> {
    let all = page["prefixes"].as_array().expect("a list of prefixes");
    all.iter().map(|one| one["prefix"].as_str().expect("a text")).collect()
}

#[test]
fn of_a_core_that_stands_still_everything_is_seen_but_its_connections() {
    let server = Server::start(Settings::new());
    let _peers: Vec<Peer> =
        (0..20).map(|n| Peer::user(server.address(), &format!("user-{n}"))).collect();
    for core in 0..2 {
        let mut stranger = Peer::silent(server.address());
        stranger.send_raw(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
        stranger.read_head();
        _ = core;
    }
    server
        .wait_for_evidence("/debug/snapshot", |page| page["events"].as_array().unwrap().len() == 2);
    block(&server, 1);
    // These ask no core.
    let tasks = server.evidence("/debug/tasks");
    assert_eq!(tasks["cores"][1]["phase"], json!("orders"), "{tasks}");
    assert_eq!(server.evidence("/debug/snapshot")["events"].as_array().unwrap().len(), 2);
    assert!(server.page("/metrics").contains("chat_core_turns_total"));
    // This one does, and says who did not answer.
    let page = server.evidence("/debug/conns?n=100");
    assert_eq!(page["silent_cores"], json!([1]), "{page}");
    let conns = page["conns"].as_array().unwrap();
    assert!(conns.iter().all(|conn| conn["core"] == json!(0)), "{page}");
    // It goes on where it stood, and the stall is noted down.
    let page = server.wait_for_evidence("/debug/snapshot?kind=stall", |page| {
        !page["events"].as_array().unwrap().is_empty()
    });
    let stall = &page["events"][0];
    assert_eq!((&stall["layer"], &stall["core"]), (&json!("core"), &json!(1)));
    assert!(BLOCK_S as f64 <= stall["value_seconds"].as_f64().unwrap(), "{stall}");
    let page =
        server.wait_for_evidence("/debug/conns?n=100", |page| page["silent_cores"] == json!([]));
    assert_eq!(page["connections"], json!(20));
}

#[test]
fn messages_that_waited_for_a_core_are_noted_with_their_trace() {
    // Spread by chance, and not by the CPU that this test runs on.
    let server = Server::start(Settings::new().with("[server]", "steer_by_cpu = false"));
    let channel = |n: usize| format!("room:{n}");
    let mut peers: Vec<Peer> = (0..40)
        .map(|n| Peer::member(server.address(), &format!("user-{n}"), &channel(n)))
        .collect();
    block(&server, 1);
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.send(json!({ "publish": { "channel": channel(n), "data": {} } }));
    }
    // Those on the other core whose room is at home on this one.
    let page = server.wait_for_evidence("/debug/snapshot?layer=latency", |page| {
        !page["events"].as_array().unwrap().is_empty()
    });
    let slow = &page["events"][0];
    assert_eq!((&slow["kind"], &slow["reason"]), (&json!("slow_message"), &json!("queue")));
    assert_eq!(slow["trace_id"].as_str().unwrap().len(), 32, "{slow}");
    assert!(slow["room_id"].as_str().unwrap().starts_with("room:"), "{slow}");
    let queue = slow["stages_seconds"]["queue"].as_f64().unwrap();
    assert!(1.0 < queue && queue <= slow["value_seconds"].as_f64().unwrap(), "{slow}");
}

#[test]
fn tasks_that_do_not_come_back_are_written_down() {
    let folder = tempfile::tempdir().unwrap();
    let dir = format!("evidence_dir = \"{}\"", folder.path().display());
    let settings = Settings::new()
        .with("[admin]", dir)
        .with("[admin]", "leak_hold_ms = 1000")
        // Else all of them may be on the core on which this test happens to run.
        .with("[server]", "steer_by_cpu = false");
    let server = Server::start(settings);
    // Of each core there is somebody, and of each a room is asked about.
    let mut peers: Vec<Peer> =
        (0..16).map(|n| Peer::user(server.address(), &format!("u{n}"))).collect();
    block(&server, 1);
    for peer in &mut peers {
        for n in 0..60 {
            peer.send(json!({ "subscribe": { "channel": format!("room:{n}") } }));
        }
    }
    server.wait_for_log("what all cores were doing is in ", 1);
    let files: Vec<_> =
        fs::read_dir(folder.path()).unwrap().map(|one| one.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    let report: Value = serde_json::from_str(&fs::read_to_string(&files[0]).unwrap()).unwrap();
    assert_eq!(report["cores"][1]["phase"], json!("orders"), "{report}");
    let open = report["cores"][0]["questions_open_by_core"]["1"].as_u64();
    assert!(open.is_some_and(|open| 15 < open), "{report}");
    let page = server.evidence("/debug/conns?sort=tasks&n=1");
    assert!(15 < page["conns"][0]["tasks"].as_u64().unwrap(), "{page}");
    assert!(15.0 < max_of(&server.page("/metrics"), "chat_conn_tasks_max{"));
}

fn max_of(page: &str, name: &str) -> f64 {
    let lines = page.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).fold(0.0, f64::max)
}

#[test]
fn early_panics_of_one_prefix_lock_it_out_until_it_is_lifted() {
    let server = Server::start(Settings::new());
    let mut witness = Peer::member(server.address(), "ann", "room:1");
    for n in 0..3 {
        panic_once(&server, &format!("bot-{n}"));
    }
    let page = server.wait_for_evidence("/debug/quarantine", |page| !prefixes(page).is_empty());
    assert_eq!(prefixes(&page), ["~bot~none"]);
    let held = &page["prefixes"][0];
    assert_eq!(held["by"], json!("server"));
    assert!((500.0..=600.0).contains(&held["left_seconds"].as_f64().unwrap()), "{held}");
    // Cores learn of it a moment later, one after the other.
    let mut refused = 0;
    while refused < 8 {
        let mut bot = Peer::upgraded(server.address(), crate::common::Encoding::Json);
        let token = crate::common::token(json!({ "sub": "bot-9" }));
        bot.send(json!({ "connect": { "token": token } }));
        match bot.frame() {
            crate::common::Frame::Frame(crate::common::Opcode::CLOSE, payload) => {
                assert_eq!(payload[..2], 3510_u16.to_be_bytes());
                refused += 1;
            }
            _ => refused = 0,
        }
    }
    // Others of a similar name, and whoever was there, notice nothing.
    Peer::user(server.address(), "bots-1");
    let said = witness.call(json!({ "publish": { "channel": "room:1", "data": {} } }));
    assert!(said["publish"].is_object(), "{said}");
    let events = server.evidence("/debug/snapshot?kind=quarantined");
    assert!(!events["events"].as_array().unwrap().is_empty());
    let panics = server.evidence("/debug/snapshot?kind=closed&layer=connection");
    assert_eq!(panics["events"].as_array().unwrap().len(), 3, "{panics}");
    assert!(8.0 <= server.metric("chat_conn_quarantined_total"));
    assert!(!server.log().contains("~bot~"), "{}", server.log());

    assert_eq!(server.debug("DELETE", "/debug/quarantine/~bot~none").0, 204);
    assert_eq!(server.debug("DELETE", "/debug/quarantine/~bot~none").0, 404);
    assert!(prefixes(&server.evidence("/debug/quarantine")).is_empty());
    // Cores learn of that, too.
    server.wait_for_log("let in again", 1);
    for _ in 0..100 {
        let mut bot = Peer::upgraded(server.address(), crate::common::Encoding::Json);
        let token = crate::common::token(json!({ "sub": "bot-9" }));
        bot.send(json!({ "connect": { "token": token } }));
        if let crate::common::Frame::Frame(crate::common::Opcode::TEXT, _) = bot.frame() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("it is let in again");
}

#[test]
fn a_prefix_that_many_have_is_spared() {
    let server = Server::start(Settings::new());
    let _crowd: Vec<Peer> =
        (0..8).map(|n| Peer::user(server.address(), &format!("guest-{n}"))).collect();
    for n in 0..3 {
        panic_once(&server, &format!("guest-{n}0"));
    }
    server.wait_for_log("and it stays: 8 of 8 connections have it", 1);
    assert!(prefixes(&server.evidence("/debug/quarantine")).is_empty());
    Peer::user(server.address(), "guest-9");
}

#[test]
fn late_panics_lock_nobody_out() {
    let settings = Settings::new().with("[quarantine]", "early_ms_max = 500");
    let server = Server::start(settings);
    // Each has been there for longer than a panic is early.
    let mut bots: Vec<Peer> =
        (0..4).map(|n| Peer::user(server.address(), &format!("bot-{n}"))).collect();
    server.wait_for_evidence("/debug/conns?sort=age&n=10", |page| {
        let conns = page["conns"].as_array().unwrap();
        conns.iter().all(|conn| 1.0 < conn["age_seconds"].as_f64().unwrap())
    });
    for bot in &mut bots {
        bot.send(json!({ "rpc": { "method": "chat.panic", "data": {} } }));
        assert_eq!(bot.closed().0, 1011);
    }
    server.wait_for_metric("chat_session_panics_total", 4.0);
    assert!(prefixes(&server.evidence("/debug/quarantine")).is_empty());
    Peer::user(server.address(), "bot-9");
}

#[test]
fn an_operator_locks_out_and_lets_in() {
    let server = Server::start(Settings::new());
    for (path, want) in [
        ("/debug/quarantine", 400),
        ("/debug/quarantine?prefix=bot", 400),
        ("/debug/quarantine?prefix=~bot~nobody", 400),
        ("/debug/quarantine?prefix=~bot~none&seconds=0", 400),
        ("/debug/quarantine?prefix=~bot~none&seconds=30", 204),
        ("/debug/quarantine?prefix=%7Etom%7Enone", 204),
    ] {
        let (status, body) = server.debug("POST", path);
        assert_eq!(status, want, "{path}: {body}");
    }
    let page = server.evidence("/debug/quarantine");
    assert_eq!(prefixes(&page), ["~bot~none", "~tom~none"]);
    assert_eq!(page["prefixes"][0]["by"], json!("operator"));
    assert!(page["prefixes"][0]["left_seconds"].as_f64().unwrap() <= 30.0, "{page}");
    for n in 0..62 {
        assert_eq!(server.debug("POST", &format!("/debug/quarantine?prefix=~u{n}~none")).0, 204);
    }
    assert_eq!(server.debug("POST", "/debug/quarantine?prefix=~more~none").0, 409);
}
