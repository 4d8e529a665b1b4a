//! The state of the presence feed, page by page, as a backend reads it that has missed something.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::backend::FeedBackend;
use super::{settings, subscribe};
use crate::common::{API_KEY, Peer, Server, Settings, call_api, free_port, with_api, with_api_key};

const PATH: &str = "v1/presence_state";

/// What keys need for all of it.
pub const SCOPES: [&str; 2] = ["connections", "channels"];

/// All pages of one kind, each with so many entries at most, and the number of the last.
#[track_caller]
fn pages(port: u16, of: &str, limit: usize) -> (u64, Vec<Value>) {
    let (mut entries, mut after) = (Vec::new(), Value::Null);
    loop {
        let body = json!({ "of": of, "after": after, "limit": limit });
        let (status, answer) = call_api(port, API_KEY, PATH, &body);
        assert_eq!(status, 200, "{answer}");
        let result = &answer["result"];
        let page = result[of].as_array().expect("entries");
        assert!(page.len() <= limit, "{answer}");
        entries.extend(page.iter().cloned());
        after = result["next"].clone();
        if after.is_null() {
            return (result["number"].as_u64().expect("a number"), entries);
        }
    }
}

/// Who is there with which channels, and which channels are occupied, as the server says; and at
/// which number.
#[track_caller]
pub fn told_tables(port: u16) -> (BTreeMap<String, Vec<String>>, BTreeSet<String>, u64) {
    let text = |value: &Value| value.as_str().expect("a name").to_owned();
    let (_, users) = pages(port, "users", 3);
    let users = users.iter().map(|one| {
        let channels = one["channels"].as_array().expect("names").iter().map(text);
        (text(&one["user"]), channels.collect())
    });
    let (number, channels) = pages(port, "channels", 2);
    (users.collect(), channels.iter().map(|one| text(&one["channel"])).collect(), number)
}

#[test]
fn the_state_is_what_the_backend_was_told_at_its_number() {
    let (mut backend, port) = (FeedBackend::start(), free_port());
    let settings = with_api(settings(&backend), port, &SCOPES);
    let server = Server::start(settings);
    assert_eq!(told_tables(port), (BTreeMap::new(), BTreeSet::new(), 0));
    let mut peers: Vec<Peer> = (0..8)
        .map(|n| {
            let mut peer = Peer::user(server.address(), &format!("user{n}"));
            (0..n % 4).for_each(|channel| subscribe(&mut peer, &format!("told:{channel}")));
            peer
        })
        .collect();
    let gone = peers.split_off(5);
    drop(gone);
    let names = |count: u32| (0..count).map(|channel| format!("told:{channel}")).collect();
    let left = (0..5).map(|n| (format!("user{n}"), names(n % 4))).collect();
    backend.wait_for_table(&left);
    let (users, channels) = backend.tables();
    assert_eq!(told_tables(port), (users, channels, backend.last_number()));
    let body = json!({ "of": "users", "after": "user3", "limit": 1 });
    let (_, answer) = call_api(port, API_KEY, PATH, &body);
    let [one] = &answer["result"]["users"].as_array().expect("users")[..] else {
        panic!("{answer}")
    };
    assert_eq!((&one["user"], answer["result"].get("next")), (&json!("user4"), None), "{answer}");
    assert!(1_600_000_000_000 < one["since"].as_u64().expect("Unix ms"), "{answer}");
}

#[test]
fn a_key_sees_what_it_covers_and_is_refused_whatever_exists() {
    let (mut backend, port) = (FeedBackend::start(), free_port());
    let settings = with_api(settings(&backend), port, &SCOPES);
    let settings = with_api_key(settings, "only 1", &["connections"], "told:1");
    let server = Server::start(settings);
    let mut peer = Peer::user(server.address(), "ann");
    subscribe(&mut peer, "told:1");
    subscribe(&mut peer, "told:2");
    backend.wait_for(&["+ann", "+told:1", "ann+told:1", "+told:2", "ann+told:2"]);
    let ask = |key: &str, body: Value| call_api(port, key, PATH, &body);
    let (_, answer) = ask("only 1", json!({ "of": "users" }));
    assert_eq!(answer["result"]["users"][0]["channels"], json!(["told:1"]), "{answer}");
    let (status, answer) = ask("only 1", json!({ "of": "channels" }));
    assert_eq!((status, &answer["error"]["code"]), (403, &json!(103)), "{answer}");
    assert_eq!(ask("another", json!({ "of": "users" })).0, 401);
    for (body, field) in [
        (json!({}), "of"),
        (json!({ "of": "people" }), "of"),
        (json!({ "of": "users", "limit": 1_001 }), "limit"),
        (json!({ "of": "users", "after": "x".repeat(256) }), "after"),
    ] {
        let (status, answer) = ask(API_KEY, body);
        assert_eq!(status, 400, "{answer}");
        let message = answer["error"]["message"].as_str().expect("a text");
        assert!(message.contains(field), "{message}");
    }
}

#[test]
fn without_a_feed_there_is_no_state_and_who_may_not_ask_is_not_told_so() {
    let port = free_port();
    let settings = with_api(Settings::new(), port, &SCOPES);
    let settings = with_api_key(settings, "poor", &["info"], "*");
    let _server = Server::start(settings);
    let (status, answer) = call_api(port, API_KEY, PATH, &json!({ "of": "users" }));
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(108)), "{answer}");
    assert_eq!(call_api(port, "poor", PATH, &json!({ "of": "users" })).0, 403);
}
