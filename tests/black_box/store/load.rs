//! `rookery store load`: what `dump` prints of one store, put into another one that a server serves
//! then.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{kept, kept_in};
use crate::common::{Peer, Server, Settings, binary, free_port, run};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// Runs `rookery store` with these words, on the store of a directory, with this input.
fn store(words: &[&str], dir: &Path, input: &[u8]) -> Output {
    let words = [&["store"], words, &["--store-dir", plain(dir)]].concat();
    let mut process = binary(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    // One that refuses its input ends before it has all.
    let _ = process.stdin.take().expect("it is piped").write_all(input);
    process.wait_with_output().expect("it ends")
}

/// Loads lines, and says what was loaded, how many lines were before, and what is said beside.
#[track_caller]
fn load(channel: &str, dir: &Path, input: &[u8], code: i32) -> (u64, u64, String) {
    load_as(&["--channel", channel], dir, input, code)
}

#[track_caller]
fn load_as(words: &[&str], dir: &Path, input: &[u8], code: i32) -> (u64, u64, String) {
    let output = store(&[&["load", "--json"], words].concat(), dir, input);
    let err = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let number = |name: &str| said[name].as_u64().unwrap_or_default();
    (number("loaded"), number("lines_before"), err)
}

#[track_caller]
fn dump(channel: &str, dir: &Path) -> Vec<u8> {
    let output = store(&["dump", "--json", "--channel", channel], dir, b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[track_caller]
fn check(dir: &Path, found: &str) {
    let output = store(&["check"], dir, b"");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{found}: all is well\n"));
}

/// A chat method's answer.
#[track_caller]
fn chat(peer: &mut Peer, method: &str, fields: Value) -> Value {
    let mut reply = peer.call(json!({ "rpc": { "method": method, "data": fields } }));
    assert!(reply["rpc"].is_object(), "{method}: {reply}");
    reply["rpc"]["data"].take()
}

/// Rooms and conversations on disk.
fn settings() -> Settings {
    kept().with_table(
        "[[namespaces]]",
        &[
            "name = \"dm\"",
            "publish = \"users\"",
            "history_count_max = 1000",
            "durability = \"fsync\"",
        ],
    )
}

const CHANNELS: [&str; 2] = ["room:1", "dm#anna,ben"];

/// All that is said of both channels to anna.
#[track_caller]
fn history(server: &Server) -> Value {
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    let asked = json!({ "channels": CHANNELS, "limit": 100 });
    let mut told = chat(&mut anna, "chat.history", asked);
    for channel in told["channels"].as_array_mut().expect("a list") {
        assert!(channel["epoch"].take().is_string(), "{channel}");
    }
    told
}

/// Users who say, edit, take back and react to things in both channels.
fn talk(server: &Server) {
    let mut both = ["anna", "ben"].map(|name| Peer::member(server.address(), name, "room:1"));
    let all = [
        json!({ "text": "a\u{9b}\u{1b}[2J \u{202e} \u{1f980}", "n": 1.50 }),
        json!(null),
        json!([{}, "x"]),
        json!("last words"),
        json!({ "text": "to be edited" }),
    ];
    for (index, data) in all.into_iter().enumerate() {
        let said = json!({ "channel": "room:1", "data": data, "id": format!("own-{index}") });
        chat(&mut both[0], "chat.publish", said);
        chat(&mut both[0], "chat.send", json!({ "to": "ben", "data": data }));
    }
    for channel in CHANNELS {
        let at = |offset: u64| json!({ "channel": channel, "offset": offset });
        chat(&mut both[0], "chat.retract", at(4));
        for words in ["other", "other again"] {
            let mut edit = at(5);
            edit["data"] = json!({ "text": words });
            chat(&mut both[0], "chat.edit", edit);
        }
        // The totals are in the order in which values came, and not in that of names.
        for (who, value) in [(1, "b"), (0, "a")] {
            let mut react = at(3);
            react["value"] = json!(value);
            chat(&mut both[who], "chat.react", react);
        }
    }
}

#[test]
fn what_is_dumped_and_loaded_is_served_as_it_was() {
    let mut from = Server::start(settings());
    talk(&from);
    let before = history(&from);
    assert_eq!(before["channels"][0]["publications"].as_array().map(Vec::len), Some(8), "{before}");
    from.signal("TERM");
    from.wait();
    let dumped = CHANNELS.map(|channel| dump(channel, &from.store_dir()));

    let mut to = Server::start(settings());
    to.signal("TERM");
    to.wait();
    let dir = to.store_dir();
    for (channel, lines) in CHANNELS.into_iter().zip(&dumped) {
        assert_eq!(load(channel, &dir, lines, 0), (8, 0, String::new()));
        assert_eq!(dump(channel, &dir), *lines, "{channel}");
    }
    check(&dir, "2 channels, 16 messages");
    let stats = store(&["stats", "--json"], &dir, b"").stdout;
    let stats: Value = serde_json::from_slice(&stats).expect("JSON");
    assert_eq!((&stats["pending_count"], &stats["marks_count"]), (&json!(0), &json!(0)));
    assert_eq!(stats["reactions_count"], json!(4));
    to.start_again();
    assert_eq!(history(&to), before);
    // Nobody is told, and both have their conversation.
    let mut ben = Peer::user(to.address(), "ben");
    let rooms = chat(&mut ben, "chat.rooms", json!({}));
    assert_eq!(rooms["rooms"][0]["channel"], json!("dm#anna,ben"), "{rooms}");
    // It goes on behind what was loaded, and an id that was said is known.
    let mut anna = Peer::member(to.address(), "anna", "room:1");
    let again = json!({ "channel": "room:1", "data": null, "id": "own-1" });
    assert_eq!(chat(&mut anna, "chat.publish", again)["offset"], json!(2));
    let next = json!({ "channel": "room:1", "data": "next" });
    assert_eq!(chat(&mut anna, "chat.publish", next)["offset"], json!(9));
    let edit = json!({ "channel": "room:1", "offset": 5, "data": "third" });
    chat(&mut anna, "chat.edit", edit);
}

/// Lines of another server, of about so many bytes each.
fn lines(count: usize, bytes: usize) -> Vec<Vec<u8>> {
    let filler = "x".repeat(bytes);
    (1..=count)
        .map(|number| {
            let line = json!({
                "time_unix_ms": 1_700_000_000_000_u64 + number as u64,
                "user": format!("user{}", number % 7),
                "text": format!("{number} {filler}"),
            });
            (line.to_string() + "\n").into_bytes()
        })
        .collect()
}

/// What was said, by what `lines` made it of.
#[track_caller]
fn check_dumped(dir: &Path, count: usize) {
    let dumped = dump("room:1", dir);
    let text = String::from_utf8(dumped).expect("text");
    let mut number = 0;
    for line in text.lines() {
        number += 1;
        let line: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(line["offset"], json!(number));
        let words = line["data"]["text"].as_str().expect("a text");
        assert!(words.starts_with(&format!("{number} ")), "offset {number}: {words:.20}");
    }
    assert_eq!(number, count as u64);
}

#[test]
fn a_load_that_is_killed_goes_on_without_loss_or_repetition() {
    let folder = folder();
    let dir = folder.path();
    let lines = lines(3_000, 2_000);
    let words = ["store", "load", "--channel", "room:1", "--store-dir", plain(dir)];
    let mut random = 7_u64;
    for round in 1..=5 {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let count = round * 500 + random as usize % 500;
        let mut process = binary(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary can be started");
        let mut input = process.stdin.take().expect("it is piped");
        input.write_all(&lines[..count.min(lines.len())].concat()).expect("it reads");
        process.kill().expect("it can be killed");
        process.wait().expect("it ends");
    }
    let all = lines.concat();
    let (loaded, before, _) = load("room:1", dir, &all, 0);
    assert_eq!(loaded + before, 3_000);
    assert!((1_000..3_000).contains(&before), "{before} lines were loaded before");
    check_dumped(dir, 3_000);
    // Once more says that nothing is left to do; one line more goes on.
    assert_eq!(load("room:1", dir, &all, 0), (0, 3_000, String::new()));
    let more = self::lines(3_001, 2_000).concat();
    assert_eq!(load("room:1", dir, &more, 0), (1, 3_000, String::new()));
    check_dumped(dir, 3_001);
    check(dir, "1 channel, 3001 messages");

    let other = self::lines(2, 1).concat();
    let (loaded, _, err) = load("room:1", dir, &other, 1);
    assert!(loaded == 0 && err.contains("--new-input"), "{err}");
    let words = ["--channel", "room:1", "--new-input"];
    assert_eq!(load_as(&words, dir, &other, 0), (2, 0, String::new()));
    check(dir, "1 channel, 3003 messages");
}

#[test]
fn a_line_that_is_wrong_is_named_and_the_load_goes_on_when_it_is_right() {
    let folder = folder();
    let dir = folder.path();
    let good = lines(3, 10);
    for (bad, words) in [
        (&b"{\"time_unix_ms\":1"[..], "line 3: EOF"),
        (b"\xff\xff", "line 3: it is not UTF-8"),
        (b"{\"time_unix_ms\":1,\"data\":1,\"offset\":1}", "line 3: its offset 1 is taken"),
        (b"{\"time_unix_ms\":1,\"data\":1,\"offset\":9}", "line 3: its offset is 9, and 3 comes next"),
        (b"{\"time_unix_ms\":1,\"data\":1,\"offset\":18446744073709551615}", "the highest one is"),
        (b"{\"time_unix_ms\":9999999999999999,\"data\":1}", "line 3: its time_unix_ms is in the future"),
        (b"{\"time_unix_ms\":1,\"data\":1,\"\x1b[2J\":1}", "line 3: "),
        (
            br#"{"time_unix_ms":1,"data":1,"reactions":[{"user":"a","value":"x"},{"user":"a","value":"y"}]}"#,
            "line 3: of its reactions",
        ),
        (
            br#"{"time_unix_ms":1,"data":1,"tags":{"retracted":"true"},"reactions":[{"user":"a","value":"x"}]}"#,
            "line 3: it has reactions, and was taken back",
        ),
        (format!("{{\"time_unix_ms\":1,\"data\":1,\"user\":\"{}\"}}", "u".repeat(256)).as_bytes(), "line 3: a name"),
        (format!("{{\"time_unix_ms\":1,\"text\":\"{}\"}}", "u".repeat(300_000)).as_bytes(), "line 3: it takes 3"),
        (&[b'['; 5 << 20], "line 3: it has more than 4194304 bytes"),
        (&[b'['; 1 << 20], "line 3: it is no JSON object"),
        (
            format!("{{\"time_unix_ms\":1,\"data\":{}{}}}", "[".repeat(999), "]".repeat(999)).as_bytes(),
            "line 3: its data is more than 120 levels deep",
        ),
    ] {
        let input = [&good[0][..], &good[1], bad, b"\n", &good[2]].concat();
        let (_, _, err) = load("room:1", dir, &input, 1);
        assert!(err.contains(words), "{words}: {err}");
        assert!(!err.trim_end().contains(char::is_control), "{err:?}");
        check(dir, "1 channel, 2 messages");
    }
    assert_eq!(load("room:1", dir, &good.concat(), 0), (1, 2, String::new()));
    check_dumped(dir, 3);
}

#[test]
fn a_gap_is_filled_when_that_is_said() {
    let folder = folder();
    let dir = folder.path();
    let said = |offset: u64| {
        format!("{{\"time_unix_ms\":{offset},\"data\":{offset},\"offset\":{offset}}}\n")
    };
    let input = [said(5), said(6), said(9)].concat();
    let (loaded, _, err) = load("room:1", dir, input.as_bytes(), 1);
    assert!(loaded == 2 && err.contains("line 3: its offset is 9, and 7 comes next"), "{err}");
    check(dir, "1 channel, 2 messages");
    let words = ["--channel", "room:1", "--fill-gaps"];
    assert_eq!(load_as(&words, dir, input.as_bytes(), 0), (1, 2, String::new()));
    check(dir, "1 channel, 5 messages");
    let text = String::from_utf8(dump("room:1", dir)).expect("text");
    let found: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let offsets: Vec<u64> = found.iter().filter_map(|line| line["offset"].as_u64()).collect();
    assert_eq!(offsets, [5, 6, 7, 8, 9], "what retention removed before the first one stays away");
    assert_eq!(found[2]["tags"], json!({ "retracted": "true" }));
    // One that is too wide is none that somebody forgot.
    let (_, _, err) = load_as(&words, dir, (input + &said(10_011)).as_bytes(), 1);
    assert!(err.contains("line 4: its offset is 10011, and 10 comes next"), "{err}");
}

#[test]
fn a_full_store_ends_a_load_that_goes_on_when_there_is_space() {
    let folder = folder();
    let dir = folder.path().join("store");
    fs::create_dir(&dir).expect("it can be made");
    let small = kept_in(&dir).with("[store]", "disk_bytes_max = 6291456");
    let config = Server::config_for(small, &folder, free_port());
    let input = folder.path().join("lines");
    fs::write(&input, lines(600, 20_000).concat()).expect("there is space");
    let words = ["store", "load", "--channel", "room:1", "--config", plain(&config), plain(&input)];
    let output = run(&words);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(13), "{err}");
    assert!(err.contains("no space is left for more messages"), "{err}");
    assert!(err.contains("are older than this configuration keeps"), "{err}");
    let (loaded, before, _) = load("room:1", &dir, &fs::read(&input).expect("it is there"), 0);
    assert!(0 < before && loaded + before == 600, "{loaded} behind {before}");
    check_dumped(&dir, 600);
}

#[test]
fn messages_go_behind_what_a_channel_has_and_a_store_in_use_is_refused() {
    let mut server = Server::start(kept());
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    let reply = anna.call(json!({ "publish": { "channel": "room:1", "data": "1 here" } }));
    assert!(reply["publish"].is_object(), "{reply}");
    drop(anna);
    let dir = server.store_dir();
    let line = |text: &str| {
        format!("{{\"time_unix_ms\":1700000000000,\"user\":\"\",\"text\":\"{text}\"}}\n")
    };
    let input = [line("2 older"), line("3 older")].concat();
    let (_, _, err) = load("room:1", &dir, input.as_bytes(), 14);
    assert!(err.contains("in use by another process"), "{err}");
    server.signal("TERM");
    server.wait();
    assert_eq!(load("room:1", &dir, input.as_bytes(), 0), (2, 0, String::new()));
    let (_, _, err) = load("room:1\n", &dir, input.as_bytes(), 2);
    assert!(err.contains("--channel"), "{err}");
    let gone = dir.join("gone");
    load("room:1", &gone, input.as_bytes(), 10);
    let output =
        run(&["store", "load", "--channel", "a:1", "--store-dir", plain(&dir), "/nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    server.start_again();
    let mut ben = Peer::member(server.address(), "ben", "room:1");
    let reply = ben.call(json!({ "history": { "channel": "room:1", "limit": 9 } }));
    let found = reply["history"]["publications"].as_array().expect("a page");
    let offsets: Vec<&Value> = found.iter().map(|one| &one["offset"]).collect();
    assert_eq!(offsets, [&json!(1), &json!(2), &json!(3)], "{reply}");
    assert_eq!(found[2]["data"]["text"], json!("3 older"));
}
