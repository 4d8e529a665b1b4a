//! The presence feed as a backend sees it, which is down now and then, as is the server.

mod backend;
mod load;
mod state;

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use self::backend::{FeedBackend, Mode};
use self::load::{Load, table_of};
use self::state::{SCOPES, told_tables};
use crate::common::{API_KEY, Peer, Server, Settings, call_api, free_port, with_api};

const TOLD: &[&str] =
    &[r#"name = "told""#, r#"subscribe = "users""#, r#"publish = "users""#, "presence_feed = true"];

const DM: &[&str] = &[
    r#"name = "dm""#,
    r#"publish = "users""#,
    "history_count_max = 10",
    r#"durability = "fsync""#,
];

const GROUP: &[&str] = &[
    r#"name = "group""#,
    r#"groups = "open""#,
    r#"subscribe = "users""#,
    r#"publish = "subscribers""#,
    "history_count_max = 100",
    r#"durability = "fsync""#,
];

const GRACE_MS: u64 = 400;

const RESTART_GRACE_MS: u64 = 1_500;

fn settings(backend: &FeedBackend) -> Settings {
    patient_settings(backend, RESTART_GRACE_MS)
}

fn patient_settings(backend: &FeedBackend, restart_grace_ms: u64) -> Settings {
    let (url, grace) = (backend.url(), format!("grace_ms = {GRACE_MS}"));
    let restart_grace = format!("restart_grace_ms = {restart_grace_ms}");
    let lines = [
        &*format!("url = {url:?}"),
        r#"dir = "{folder}/presence""#,
        &grace,
        &restart_grace,
        "timeout_ms = 1000",
    ];
    Settings::new().with_table("[presence_feed]", &lines).with_table("[[namespaces]]", TOLD)
}

fn subscribe(peer: &mut Peer, channel: &str) {
    let reply = peer.call(json!({ "subscribe": { "channel": channel } }));
    assert!(reply["subscribe"].is_object(), "{reply}");
}

fn send(peer: &mut Peer, to: &str) {
    let data = json!({ "to": to, "data": { "text": "hello" } });
    let reply = peer.call(json!({ "rpc": { "method": "chat.send", "data": data } }));
    assert!(reply["rpc"]["data"]["offset"].is_u64(), "{reply}");
}

#[test]
fn who_comes_and_goes_is_told_in_order_and_a_reload_is_not() {
    let mut backend = FeedBackend::start();
    let server = Server::start(settings(&backend));
    let mut peer = Peer::user(server.address(), "ann");
    subscribe(&mut peer, "told:1");
    subscribe(&mut peer, "room:1");
    backend.wait_for(&["+ann", "+told:1", "ann+told:1"]);
    drop(peer);
    let mut again = Peer::user(server.address(), "ann");
    subscribe(&mut again, "told:1");
    let other = Peer::user(server.address(), "ann");
    drop(again);
    backend.wait_for(&["ann-told:1", "-told:1"]);
    drop(other);
    backend.wait_for(&["-ann"]);
    assert_eq!(backend.tables().0, BTreeMap::new());
}

#[test]
fn what_was_not_taken_is_told_after_a_kill_of_the_server_and_who_is_gone_too() {
    let mut backend = FeedBackend::start();
    backend.set(Mode::Refuses);
    let mut server = Server::start(settings(&backend));
    let ann = Peer::user(server.address(), "ann");
    // They may be on two cores, whose facts have no order.
    server.wait_for_metric("chat_presence_feed_events_total", 1.0);
    let bob = Peer::user(server.address(), "bob");
    server.wait_for_metric("chat_presence_feed_events_total", 2.0);
    // What is counted is in the log with the next sync, and a batch is tried when it is.
    server.wait_for_log("does not take", 1);
    server.signal("KILL");
    server.wait();
    drop((ann, bob));
    backend.set(Mode::Takes);
    server.start_again();
    backend.wait_for(&["+ann", "+bob"]);
    let _ann = Peer::user(server.address(), "ann");
    backend.wait_for(&["-bob"]);
    assert_eq!(backend.tables().0.keys().collect::<Vec<_>>(), ["ann"]);
}

#[test]
fn a_drain_leaves_its_users_the_time_of_a_restart() {
    let mut backend = FeedBackend::start();
    // Longer than the drain, in which the client does not close its end.
    let mut server = Server::start(patient_settings(&backend, 20_000));
    let ann = Peer::user(server.address(), "ann");
    backend.wait_for(&["+ann"]);
    server.signal("TERM");
    server.wait();
    drop(ann);
    server.start_again();
    // A whole grace passes, which is bob's, and ann is not told as gone.
    let bob = Peer::user(server.address(), "bob");
    backend.wait_for(&["+bob"]);
    drop(bob);
    backend.wait_for(&["-bob"]);
    let ann = Peer::user(server.address(), "ann");
    drop(ann);
    backend.wait_for(&["-ann"]);
}

#[test]
fn a_message_that_finds_nobody_is_told_and_one_that_finds_somebody_is_not() {
    let mut backend = FeedBackend::start();
    let server = Server::start(settings(&backend).with_table("[[namespaces]]", DM));
    let mut ann = Peer::user(server.address(), "ann");
    backend.wait_for(&["+ann"]);
    send(&mut ann, "ben");
    backend.wait_for(&["ben: 1 of ann in dm#ann,ben"]);
    let ben = Peer::user(server.address(), "ben");
    backend.wait_for(&["+ben"]);
    send(&mut ann, "ben");
    send(&mut ann, "cleo");
    backend.wait_for(&["cleo: 1 of ann in dm#ann,cleo"]);
    drop(ben);
    backend.wait_for(&["-ben"]);
}

#[test]
fn members_of_a_group_who_are_away_are_told_of_once_unless_they_have_muted_it() {
    let mut backend = FeedBackend::start();
    let api_port = free_port();
    let settings = with_api(settings(&backend), api_port, &["chat"]);
    let server = Server::start(settings.with_table("[[namespaces]]", GROUP));
    let call = |method: &str, user: &str, more: Value| {
        let mut body = json!({ "user": user, "channel": "group:1" });
        body.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        let (status, answer) = call_api(api_port, API_KEY, &format!("v1/chat.{method}"), &body);
        assert!(status == 200 && answer["result"].is_object(), "{answer}");
    };
    for user in ["ann", "ben", "cleo", "eve"] {
        call("join", user, json!({}));
    }
    call("mute", "cleo", json!({}));
    call("invite", "ann", json!({ "member": "guest" }));
    let mut ann = Peer::member(server.address(), "ann", "group:1");
    // Connected, and in another place.
    let _eve = Peer::user(server.address(), "eve");
    // They may be on two cores, whose facts have no order.
    backend.wait_for_table(&BTreeMap::from([("ann".into(), vec![]), ("eve".into(), vec![])]));
    backend.take_words();
    let mut say = |text: &str| {
        let data = json!({ "channel": "group:1", "data": text });
        let reply = ann.call(json!({ "rpc": { "method": "chat.publish", "data": data } }));
        assert!(reply["rpc"].is_object(), "{reply}");
    };
    say("one");
    backend.wait_for(&["ben: 1 of ann in group:1"]);
    call("join", "dora", json!({}));
    say("two");
    backend.wait_for(&["dora: 1 of ann in group:1"]);
    let ben = Peer::user(server.address(), "ben");
    backend.wait_for(&["+ben"]);
    drop(ben);
    backend.wait_for(&["-ben"]);
    call("mute", "cleo", json!({ "mute_s": 0 }));
    say("three");
    backend.wait_for(&["ben: 1 of ann in group:1", "cleo: 1 of ann in group:1"]);
}

#[test]
fn a_message_that_was_answered_just_before_a_kill_is_told_after_it() {
    for _ in 0..6 {
        let mut backend = FeedBackend::start();
        let mut server = Server::start(settings(&backend).with_table("[[namespaces]]", DM));
        let mut ann = Peer::user(server.address(), "ann");
        backend.wait_for(&["+ann"]);
        send(&mut ann, "ben");
        server.signal("KILL");
        server.wait();
        server.start_again();
        backend.wait_for(&["ben: 1 of ann in dm#ann,ben", "-ann"]);
    }
}

#[test]
fn a_message_that_was_given_up_is_told_with_the_reason() {
    let mut backend = FeedBackend::start();
    let dm = [DM, &["ttl_ms_max = 1000"]].concat();
    let server = Server::start(settings(&backend).with_table("[[namespaces]]", &dm));
    let mut ann = Peer::user(server.address(), "ann");
    backend.wait_for(&["+ann"]);
    send(&mut ann, "ben");
    let dead = "ben: 1 in dm#ann,ben is dead by expired";
    backend.wait_for(&["ben: 1 of ann in dm#ann,ben", dead]);
}

#[test]
fn a_backend_that_hangs_costs_chat_nothing() {
    let backend = FeedBackend::start();
    backend.set(Mode::Hangs);
    let server = Server::start(settings(&backend));
    let mut peers: Vec<Peer> =
        (0..50).map(|n| Peer::user(server.address(), &format!("user{n}"))).collect();
    for peer in &mut peers {
        subscribe(peer, "told:1");
    }
    let reply = peers[0].call(json!({ "publish": { "channel": "told:1", "data": 1 } }));
    assert!(reply["publish"].is_object(), "{reply}");
    assert_eq!(peers[49].publication().0, json!(1));
    server.wait_for_log("does not take", 1);
}

/// How often something happens: a few times, unless `scripts/presence-kills` asks for more.
fn count_of(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

/// What `scripts/presence-kills` writes down.
fn say_figure(what: &str, times: u32, backend: &FeedBackend) {
    let (told, again) = (backend.received_count(), backend.repeated_count());
    println!("figure\t{what}\t{times}\t{told}\t{again}");
}

#[test]
fn a_backend_that_dies_again_and_again_under_load_hears_everything_in_order() {
    let mut backend = FeedBackend::start();
    let server = Server::start(settings(&backend));
    let load = Load::start(server.address());
    let deaths_count = count_of("BACKEND_KILLS", 10);
    for death in 0..u64::from(deaths_count) {
        // Requests are repeated at times of their own: these are never the same.
        let lengths_ms = [40 + death * 29 % 60, 80 + death * 53 % 150, 20 + death * 37 % 70];
        let modes = [Mode::Takes, Mode::TakesAndDies, Mode::Gone];
        for (mode, ms) in modes.into_iter().zip(lengths_ms) {
            backend.set(mode);
            thread::sleep(Duration::from_millis(ms));
        }
    }
    backend.set(Mode::Takes);
    let here = load.stop();
    backend.wait_for_table(&table_of(&here));
    let told = server.metric("chat_presence_feed_events_total");
    assert_eq!(backend.received_count() as f64, told, "each is told at least once");
    assert!(0 < backend.repeated_count(), "it died with requests that it had taken");
    say_figure("backend", deaths_count, &backend);
}

#[test]
fn a_server_that_is_killed_again_and_again_under_load_leaves_the_backend_with_the_truth() {
    let (mut backend, port) = (FeedBackend::start(), free_port());
    let mut server = Server::start(with_api(settings(&backend), port, &SCOPES));
    let load = Load::start(server.address());
    let kills_count = count_of("SERVER_KILLS", 3);
    for life in 0..u64::from(kills_count) {
        backend.set([Mode::Takes, Mode::TakesAndDies, Mode::Gone][life as usize % 3]);
        // Some live for longer than the grace of their start.
        let long_ms = if life % 5 == 4 { RESTART_GRACE_MS + 300 } else { 0 };
        thread::sleep(Duration::from_millis(long_ms + 100 + life * 137 % 500));
        server.signal("KILL");
        server.wait();
        load.server_died();
        server.start_again();
    }
    backend.set(Mode::Takes);
    load.wait_for_arrivals();
    let here = load.stop();
    let there = table_of(&here);
    assert!(!there.is_empty());
    backend.wait_for_table(&there);
    let (users, channels) = backend.tables();
    assert_eq!(told_tables(port), (users, channels, backend.last_number()));
    say_figure("server", kills_count, &backend);
}
