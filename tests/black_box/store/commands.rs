//! `rookery store` on a store that a real server has filled.

use std::fs;
use std::path::{Path, PathBuf};

use rookery::base::{RoomId, ShardId};
use rookery::session::NameKey;
use rookery::store::{
    self, Batch, DeadLetterCause, Disk as _, Engine, EngineSetup, NewDeadLetter, Options,
    RequestId, Requester, StoreKeyspace, StoreOp, StoreRequest, SyncMode, WriteEpoch,
};
use serde_json::{Value, json};

use super::kept;
use crate::common::{Peer, Server, Settings, run};

const CHANNEL: &str = "dm#anna,ben";
const NOW_UNIX_MS: u64 = 1_700_000_000_000;

/// `rookery store` with these words, on the store of a directory.
#[track_caller]
fn store(words: &[&str], dir: &Path, code: i32) -> (String, String) {
    let dir = dir.to_str().expect("a plain path");
    let output = run(&[&["store"], words, &["--store-dir", dir]].concat());
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}\n{err}");
    assert!(!err.contains("panicked"), "{err}");
    (out, err)
}

fn object(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

/// Ends a server, whose folder lasts as long as it.
fn at_rest(server: &mut Server) -> PathBuf {
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    server.store_dir()
}

/// A server that was told these things in `room:1`, at rest.
fn told(messages: &[Value]) -> (Server, PathBuf) {
    let mut server = Server::start(kept());
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    for data in messages {
        let reply = anna.call(json!({ "publish": { "channel": "room:1", "data": data } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    drop(anna);
    let dir = at_rest(&mut server);
    (server, dir)
}

/// A server with a message from anna that ben did not come for, at rest.
fn sent() -> (Server, PathBuf) {
    let settings: Settings = kept()
        .with("[[namespaces]]", "name = \"dm\"")
        .with("[[namespaces]]", "publish = \"users\"");
    let mut server = Server::start(settings);
    let mut anna = Peer::user(server.address(), "anna");
    let data = json!({ "to": "ben", "data": { "text": "hello" } });
    let reply = anna.call(json!({ "rpc": { "method": "chat.send", "data": data } }));
    assert_eq!(reply["rpc"]["data"]["channel"], CHANNEL, "{reply}");
    drop(anna);
    let dir = at_rest(&mut server);
    (server, dir)
}

fn options(dir: &Path) -> Options {
    Options { dir: dir.to_owned(), reserve_bytes: 0, ..Options::default() }
}

/// What a server does when it gives a message up.
fn make_dead_letter(dir: &Path) {
    let disk = store::open(&options(dir)).expect("it is at rest");
    let retention = Vec::new();
    let namespace_of = Box::new(|_: &str| 0);
    let new_name_key = [7; 16];
    let setup = EngineSetup { options: options(dir), retention, namespace_of, new_name_key };
    let mut engine = Engine::open(disk, setup).expect("it is good");
    let names = NameKey::from_bytes(engine.name_key());
    let (inbox, room) = (names.inbox("", "ben"), names.room("", CHANNEL));
    let (cause, at_unix_ms) = (DeadLetterCause::Attempts, NOW_UNIX_MS);
    let op = StoreOp::DeadLetter(NewDeadLetter { inbox, room, offset: 1, cause, at_unix_ms });
    engine.take(
        ShardId(0),
        StoreRequest {
            request_id: RequestId(0),
            write_epoch: WriteEpoch(0),
            by: Requester::NOBODY,
            op,
        },
    );
    engine.turn(NOW_UNIX_MS, &mut Vec::new());
    assert_eq!(engine.counts().dead_tried, 1);
}

#[test]
fn what_was_said_is_counted_and_shown() {
    let (_server, dir) = told(&[json!({ "text": "a\u{1b}[2J" }), json!("b"), json!([1, 2.50])]);
    let (out, _) = store(&["check"], &dir, 0);
    assert_eq!(out, "1 channel, 3 messages: all is well\n");
    let checked = object(&store(&["check", "--json"], &dir, 0).0);
    assert_eq!(checked, json!({ "channels_count": 1, "messages_count": 3, "findings_count": 0 }));

    let stats = object(&store(&["stats", "--json"], &dir, 0).0);
    assert_eq!((&stats["channels_count"], &stats["messages_count"]), (&json!(1), &json!(3)));
    assert!(stats["disk_used_bytes"].as_u64().is_some_and(|bytes| 0 < bytes), "{stats}");
    assert!(store(&["stats"], &dir, 0).0.contains("messages_count      3\n"));

    let (out, _) = store(&["dump", "--channel", "room:1"], &dir, 0);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("1  20") && lines[0].contains("Z  anna  {"), "{out}");
    assert!(lines[2].ends_with("  anna  [1,2.5]"), "{out}");
    assert!(!out.contains('\u{1b}'), "{out}");
    let (out, _) = store(&["dump", "--channel", "room:1", "--json"], &dir, 0);
    let said: Vec<Value> = out.lines().map(object).collect();
    assert_eq!(said[0]["data"], json!({ "text": "a\u{1b}[2J" }));
    assert_eq!((&said[1]["offset"], &said[1]["user"]), (&json!(2), &json!("anna")));
}

#[test]
fn a_channel_that_is_not_there_is_1() {
    let (_server, dir) = told(&[json!(1)]);
    let (out, err) = store(&["dump", "--channel", "room:2"], &dir, 1);
    assert!(out.is_empty() && err.contains("no channel room:2"), "{err}");
    let (_, err) = store(&["dump", "--channel", "room:1", "--tenant", "t\n"], &dir, 1);
    assert!(err.contains(r"no channel room:1 of tenant t\n;"), "{err}");
}

#[test]
fn a_store_in_use_or_nowhere_is_refused() {
    let server = Server::start(kept());
    for words in [&["check"][..], &["dump", "--channel", "x"], &["dead-letters", "drop", "--all"]] {
        let (out, err) = store(words, &server.store_dir(), 14);
        assert!(out.is_empty() && err.contains("in use by another process"), "{err}");
    }
    assert_eq!(server.page("/ready"), "ready\n");
    let folder = tempfile::tempdir().expect("a temporary folder");
    store(&["stats"], folder.path(), 10);
    assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0, "nothing was made");
}

#[test]
fn what_is_missing_is_named() {
    let (_server, dir) = told(&[json!(1), json!(2), json!(3)]);
    let mut disk = store::open(&options(&dir)).expect("it is at rest");
    let key =
        disk.get(StoreKeyspace::Meta, b"name_key").expect("it can be read").expect("it is there");
    let names = NameKey::from_bytes(key.try_into().expect("16 bytes"));
    let RoomId(room) = names.room("", "room:1");
    let mut batch = Batch::default();
    batch
        .remove(StoreKeyspace::Messages, &[&room.to_be_bytes()[..], &2_u64.to_be_bytes()].concat());
    disk.commit(&mut batch, SyncMode::Now).expect("there is space");
    drop(disk);
    let (out, _) = store(&["check"], &dir, 16);
    assert_eq!(out, "channel \"room:1\": message 2 is missing\n1 channel, 2 messages: 1 finding\n");
    let (out, _) = store(&["check", "--json"], &dir, 16);
    let found = object(out.lines().next().expect("a finding"));
    let want =
        json!({ "finding": "missing", "tenant": "", "channel": "room:1", "first": 2, "last": 2 });
    assert_eq!(found, want);
    let (out, err) = store(&["dump", "--channel", "room:1"], &dir, 16);
    assert_eq!(out.lines().count(), 2);
    assert!(err.contains("channel \"room:1\": message 2 is missing"), "{err}");
}

#[test]
fn what_does_not_match_its_checksum_is_named() {
    let text = "here is the bit that turns";
    let (mut server, dir) = told(&[json!(text)]);
    let mut disk = store::open(&options(&dir)).expect("it is at rest");
    // Out of the log, into a run.
    disk.reclaim().expect("it works");
    drop(disk);
    let turned = turn_a_bit(&dir.join("messages"), text.as_bytes());
    assert!(0 < turned, "it is in no run");
    let (out, err) = store(&["check"], &dir, 16);
    assert!(out.starts_with("channel \"room:1\": message 1 is damaged\n"), "{out} {err}");

    // Told to, a server goes on without it, and says what that is.
    server.rewrite_config(kept().with("[store]", "ignore_damage = true"));
    server.start_again();
    assert!(server.log().contains("channel \"room:1\": message 1 is damaged"), "{}", server.log());
    assert!(server.log().contains("store.ignore_damage is true"), "{}", server.log());
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    let reply = anna.call(json!({ "publish": { "channel": "room:1", "data": "again" } }));
    assert!(reply["publish"].is_object(), "{reply}");
    drop(anna);
    at_rest(&mut server);
    assert_eq!(store(&["check"], &dir, 0).0, "1 channel, 1 message: all is well\n");
    assert!(dir.join("db.damaged-1").is_dir(), "the damaged one is kept beside it");
}

/// In each file but journals that has this text; how many.
fn turn_a_bit(dir: &Path, text: &[u8]) -> usize {
    let mut turned = 0;
    for entry in fs::read_dir(dir).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() {
            turned += turn_a_bit(&path, text);
            continue;
        }
        let mut bytes = fs::read(&path).expect("it can be read");
        let place = bytes.windows(text.len()).position(|part| part == text);
        if let Some(place) = place.filter(|_| path.extension().is_none_or(|end| end != "jnl")) {
            bytes[place] ^= 1;
            fs::write(&path, bytes).expect("it can be written");
            turned += 1;
        }
    }
    turned
}

#[test]
fn dead_letters_are_shown_and_wait_again_when_told() {
    let (mut server, dir) = sent();
    assert_eq!(store(&["dead-letters", "list"], &dir, 0).0, "");
    make_dead_letter(&dir);
    let (out, _) = store(&["dead-letters", "list"], &dir, 0);
    assert!(
        out.starts_with("dm#anna,ben 1  tries after 0 tries, 2023-11-14T22:13:20.000Z"),
        "{out}"
    );
    assert!(out.trim_end().ends_with(r#"anna  {"text":"hello"}"#), "{out}");
    let letter = object(&store(&["dead-letters", "list", "--json"], &dir, 0).0);
    assert_eq!((&letter["channel"], &letter["cause"]), (&json!(CHANNEL), &json!("tries")));
    assert_eq!(letter["data"], json!({ "text": "hello" }));

    let requeue = |more: &[&str]| store(&[&["dead-letters", "requeue"], more].concat(), &dir, 0).0;
    assert_eq!(requeue(&["--channel", "dm#anna,bob"]), "requeued 0\n");
    assert_eq!(requeue(&["--channel", CHANNEL, "--offset", "2"]), "requeued 0\n");
    assert_eq!(requeue(&["--channel", CHANNEL, "--offset", "1", "--ttl", "1h"]), "requeued 1\n");
    assert_eq!(store(&["dead-letters", "list"], &dir, 0).0, "");

    server.start_again();
    let mut ben = Peer::user(server.address(), "ben");
    assert_eq!(ben.publication().0, json!({ "text": "hello" }));
}

#[test]
fn dead_letters_are_dropped_only_when_it_is_said_which() {
    let (_server, dir) = sent();
    make_dead_letter(&dir);
    for words in [&["drop"][..], &["requeue"], &["drop", "--all", "--channel", CHANNEL]] {
        store(&[&["dead-letters"], words].concat(), &dir, 2);
    }
    store(&["dead-letters", "list", "--offset", "1"], &dir, 2);
    let (out, err) = store(&["dead-letters", "drop", "--all", "--json"], &dir, 0);
    assert_eq!(object(&out), json!({ "dropped": 1 }));
    assert_eq!(err, "", "what it did is in the system's log");
    assert_eq!(store(&["dead-letters", "drop", "--all"], &dir, 0).0, "dropped 0\n");
    // The conversation is as it was.
    assert!(store(&["dump", "--channel", CHANNEL], &dir, 0).0.contains("hello"));
}
