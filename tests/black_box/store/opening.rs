//! A store that does not open: a sentence that names the directory, and an exit
//! code of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use rookery::store::{self, Batch, Disk as _, Options, StoreKeyspace, SyncMode};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{kept, kept_in};
use crate::common::{BINARY, Peer, Server, Settings, command, free_port};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// Runs `rookery serve` behind other words, to its end.
fn serve(before: &[&str], settings: Settings, folder: &TempDir, more: &[&str]) -> Output {
    let config = Server::config_for(settings, folder, free_port());
    let config = config.to_str().expect("a plain path");
    // One that opens the store after all would serve for ever.
    let limit = ["timeout", "--signal=KILL", "60"];
    let words = [&limit, before, &[BINARY, "serve", "--config", config], more].concat();
    command(words[0]).args(&words[1..]).output().expect("it can be started")
}

#[track_caller]
fn check_output(output: &Output, code: i32, dir: &Path, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let line = text.lines().last().unwrap_or_default();
    for word in [&[dir.to_str().expect("a plain path")], words].concat() {
        assert!(line.contains(word), "no {word:?} in {text}");
    }
    assert!(!text.contains("panicked") && !text.contains("listening on"), "{text}");
}

/// That a server whose store is `<folder>/store` ends with this code and these words.
#[track_caller]
fn check(folder: &TempDir, code: i32, words: &[&str]) {
    let output = serve(&[], kept(), folder, &[]);
    check_output(&output, code, &folder.path().join("store"), words);
}

/// A store in which something was committed, and its options.
fn store_with(folder: &TempDir, batches: &[(&[u8], &[u8])]) -> Options {
    let options = Options {
        dir: folder.path().join("store"),
        log_segment_bytes: 512 << 10,
        ..Options::default()
    };
    fs::create_dir(&options.dir).expect("it can be made");
    let mut disk = store::open(&options).expect("it is empty");
    for (key, value) in batches {
        let mut batch = Batch::default();
        batch.put(StoreKeyspace::Meta, key, value);
        disk.commit(&mut batch, SyncMode::Now).expect("there is space");
    }
    options
}

#[test]
fn a_directory_that_is_not_there_is_10() {
    check(&folder(), 10, &["does not exist", "create it"]);
}

#[test]
fn a_file_in_its_place_is_11() {
    let folder = folder();
    fs::write(folder.path().join("store"), "").expect("it can be written");
    check(&folder, 11, &["is not a directory"]);
}

#[test]
fn one_that_may_not_be_written_is_12() {
    let folder = folder();
    let dir = folder.path().join("store");
    fs::create_dir(&dir).expect("it can be made");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).expect("it is ours");
    // Whoever runs the tests as root may write everywhere, unless told otherwise.
    let is_root = fs::metadata(folder.path())
        .is_ok_and(|found| std::os::unix::fs::MetadataExt::uid(&found) == 0);
    let mortal = ["setpriv", "--bounding-set", "-dac_override", "--inh-caps", "-dac_override"];
    let output = serve(if is_root { &mortal } else { &[] }, kept(), &folder, &[]);
    check_output(&output, 12, &dir, &["cannot be written to"]);
}

#[test]
fn a_disk_without_space_is_13() {
    let folder = folder();
    let dir = folder.path().join("store");
    fs::create_dir(&dir).expect("it can be made");
    let script = "mount -t tmpfs -o size=8k none \"$0\" && exec \"$@\"";
    let dir = dir.to_str().expect("a plain path");
    let within = ["unshare", "--map-root-user", "--mount", "sh", "-c", script, dir];
    let output = serve(&within, kept(), &folder, &[]);
    check_output(&output, 13, Path::new(dir), &["no space"]);
}

#[test]
fn one_that_another_server_uses_is_14() {
    let server = Server::start(kept());
    let dir = server.store_dir();
    let output = serve(&[], kept_in(&dir), &folder(), &[]);
    check_output(&output, 14, &dir, &["in use by another process"]);
    assert_eq!(server.page("/ready"), "ready\n");
}

#[test]
fn one_of_a_later_version_is_15() {
    let folder = folder();
    store_with(&folder, &[(b"format", &7_u32.to_be_bytes())]);
    check(&folder, 15, &["later version", "format 7"]);
}

/// Turns a bit where the log of a store has these bytes first.
fn turn_bit(store: &Path, bytes: &[u8]) {
    let segments = fs::read_dir(store.join("log")).expect("it is there");
    let mut segments = segments.map(|entry| entry.expect("it can be read").path());
    let turned = segments.any(|segment| {
        let mut content = fs::read(&segment).expect("it can be read");
        let place = content.windows(bytes.len()).position(|part| part == bytes);
        if let Some(place) = place {
            content[place] ^= 1;
            fs::write(&segment, content).expect("it can be written");
        }
        place.is_some()
    });
    assert!(turned, "it is written plainly");
}

#[test]
fn a_damaged_one_is_16() {
    let folder = folder();
    let value = [b'v'; 64];
    let batches: Vec<(&[u8], &[u8])> = [b"a", b"b", b"c"].map(|key| (&key[..], &value[..])).into();
    let options = store_with(&folder, &batches);
    turn_bit(&options.dir, &value);
    check(&folder, 16, &["is damaged", "was durable and is not whole", "rookery store check"]);
}

#[test]
fn what_is_damaged_in_a_log_is_said_and_the_rest_kept() {
    let mut server = Server::start(kept());
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    for number in 1..=3 {
        let data = format!("the words of message {number}");
        let reply = anna.call(json!({ "publish": { "channel": "room:1", "data": data } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    server.signal("KILL");
    server.wait();
    let dir = server.store_dir();
    turn_bit(&dir, b"the words of message 2");
    let dir = dir.to_str().expect("a plain path");
    let output = crate::common::run(&["store", "check", "--json", "--store-dir", dir]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(16), "{text}");
    let first: Value = serde_json::from_str(text.lines().next().unwrap_or_default()).expect("JSON");
    assert_eq!(first["finding"], "log_batches", "{text}");
    assert_eq!(first["first"], first["last"], "{text}");
    // What the database did not have yet is missing there.
    let is_lost = first["lost"].as_bool().expect("it says so");
    assert_eq!(text.contains("\"finding\":\"missing\""), is_lost, "{text}");
}

#[test]
fn a_server_starts_over_damage_in_its_log_that_its_database_has() {
    let mut server = Server::start(kept());
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    for number in 1..=3 {
        let data = format!("the words of message {number}");
        let reply = anna.call(json!({ "publish": { "channel": "room:1", "data": data } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    drop(anna);
    server.signal("TERM");
    server.wait();
    let dir = server.store_dir();
    turn_bit(&dir, b"the words of message 2");
    let dir = dir.to_str().expect("a plain path");
    let output = crate::common::run(&["store", "check", "--store-dir", dir]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(16), "{text}");
    assert!(text.contains("the database has what they say, and nothing is lost"), "{text}");
    server.start_again();
    server.wait_for_log("database and runs have that, and nothing is lost", 1);
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    let reply = anna.call(json!({ "history": { "channel": "room:1", "limit": 9 } }));
    let found = reply["history"]["publications"].as_array().expect("a page");
    let words: Vec<_> = found.iter().map(|message| message["data"].clone()).collect();
    assert_eq!(words, [1, 2, 3].map(|number| json!(format!("the words of message {number}"))));
    let output = crate::common::run(&["store", "check", "--store-dir", dir]);
    assert_eq!(output.status.code(), Some(14), "a server has it");
}

#[test]
fn the_development_server_makes_its_own() {
    let folder = folder();
    let dir = folder.path().join("some/where");
    fs::write(folder.path().join("file"), "").expect("it can be written");
    let dev = |dir: &Path| {
        let dir = dir.to_str().expect("a plain path");
        let port = format!("127.0.0.1:{}", free_port());
        let words = ["serve", "--dev", "--store-dir", dir, "--listen", &port];
        // The admin address cannot be had, so it ends.
        crate::common::run(&[&words[..], &["--admin-listen", "192.0.2.1:1"]].concat())
    };
    assert_eq!(dev(&dir).status.code(), Some(1));
    let mode = fs::metadata(&dir).expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let output = dev(&folder.path().join("file/below"));
    check_output(&output, 17, &folder.path().join("file/below"), &["cannot be made"]);
    check_output(&dev(&folder.path().join("file")), 1, Path::new(""), &["192.0.2.1"]);
}
