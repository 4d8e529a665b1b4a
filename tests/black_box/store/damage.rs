//! What `rookery store` says of a store with damage anywhere in its files.

use std::fs;
use std::io::Write as _;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use rookery::store::{self, Disk as _, Options};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{binary, run};

/// Channels, and how many messages they have before the last ones.
const CHANNELS: [(&str, u64); 3] = [("room:1", 60), ("room:2", 400), ("room:3", 30)];

/// Messages that come last in the first two channels, in runs of their own.
const LAST: u64 = 10;
const MESSAGE_BYTES: usize = 1_500;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

fn plain(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

fn words_of(channel: &str, offset: u64) -> String {
    format!("{offset} of {channel} {}", "x".repeat(MESSAGE_BYTES))
}

/// Loads messages of a channel, at these offsets.
#[track_caller]
fn load(dir: &Path, channel: &str, offsets: RangeInclusive<u64>) {
    let words = ["store", "load", "--new-input", "--channel", channel, "--store-dir", plain(dir)];
    let mut process =
        binary(words).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it starts");
    let mut input = process.stdin.take().expect("it is piped");
    for offset in offsets {
        let line =
            json!({ "time_unix_ms": offset, "offset": offset, "text": words_of(channel, offset) });
        writeln!(input, "{line}").expect("it reads");
    }
    drop(input);
    assert!(process.wait().expect("it ends").success());
}

/// Makes a store with a small log, or brings everything out of its log, into a run.
fn sort(dir: &Path) {
    let options = Options {
        dir: dir.to_owned(),
        reserve_bytes: 0,
        log_segment_bytes: 512 << 10,
        ..Options::default()
    };
    let mut disk = store::open(&options).expect("it is at rest");
    disk.reclaim().expect("it works");
    disk.close().expect("it works");
}

/// A store with a run for each channel, and two more for the last messages of the first two.
fn filled() -> TempDir {
    let folder = folder();
    sort(folder.path());
    for (channel, last) in CHANNELS {
        load(folder.path(), channel, 1..=last);
        sort(folder.path());
    }
    for (channel, last) in &CHANNELS[..2] {
        load(folder.path(), channel, last + 1..=last + LAST);
        sort(folder.path());
    }
    folder
}

fn copied(from: &Path) -> TempDir {
    let to = folder();
    let status = crate::common::command("cp")
        .args(["-r", &format!("{}/.", plain(from)), plain(to.path())])
        .status();
    assert!(status.expect("cp runs").success());
    to
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

fn ask(dir: &Path, words: &[&str]) -> Said {
    let output = run(&[&["store"], words, &["--store-dir", plain(dir)]].concat());
    let [out, err] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    assert!(!err.contains("panicked"), "{words:?}: {err}");
    Said { code: output.status.code(), out, err }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// How many messages a channel has.
fn count_of(channel: &str) -> u64 {
    let (_, count) = CHANNELS.iter().find(|(name, _)| *name == channel).expect("it is one");
    if channel == CHANNELS[2].0 { *count } else { count + LAST }
}

fn all() -> u64 {
    CHANNELS.iter().map(|(name, _)| count_of(name)).sum()
}

/// Bytes in the pages at the end of a run, from its end: in the last part of its index, in the upper
/// level of that, and in the trailer.
const INDEX: u64 = 3 * 4_096 - 100;
const UPPER: u64 = 2 * 4_096 - 100;
const TRAILER: u64 = 4_096 - 100;

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// A bit of this byte turns, counted from the end.
    Flip(u64),
    Cut,
    Empty,
    Gone,
}

/// A copy of a store with damage in a file.
fn damaged(whole: &Path, name: &Path, damage: Damage) -> TempDir {
    let copy = copied(whole);
    let path = copy.path().join(name);
    let mut bytes = fs::read(&path).expect("it is there");
    match damage {
        Damage::Flip(from_end) => {
            let at = bytes.len() - from_end as usize;
            bytes[at] ^= 1;
        }
        Damage::Cut => bytes.truncate(bytes.len() / 2),
        Damage::Empty => bytes.clear(),
        Damage::Gone => return fs::remove_file(&path).map(|()| copy).expect("it is ours"),
    }
    fs::write(&path, bytes).expect("it can be written");
    copy
}

/// What `check` finds, and how many messages are whole.
#[track_caller]
fn check(dir: &Path, code: i32) -> (Vec<Value>, u64) {
    let said = ask(dir, &["check", "--json"]);
    assert_eq!(said.code, Some(code), "{}{}", said.out, said.err);
    let lines = said.out.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let mut found: Vec<Value> = lines.collect();
    let totals = found.pop().expect("there are totals");
    assert_eq!(totals["findings_count"], json!(found.len()), "{totals}");
    (found, totals["messages_count"].as_u64().expect("a number"))
}

#[test]
fn damage_in_a_run_is_named_by_channel_and_offset_and_all_else_is_read_and_salvaged() {
    let whole = filled();
    assert_eq!(check(whole.path(), 0), (Vec::new(), all()));
    for (number, channel) in [(1, "room:1"), (5, "room:2")] {
        let name = format!("messages/run-{number}");
        let bytes = fs::metadata(whole.path().join(&name)).expect("it is there").len();
        // Behind blocks come a part of the index, its upper level, and the trailer, a page each at
        // least.
        let blocks = bytes - 3 * 4_096;
        for damage in [
            Damage::Flip(bytes),
            Damage::Flip(bytes - blocks / 2),
            Damage::Flip(bytes - blocks + 2_048),
            Damage::Flip(INDEX),
            Damage::Flip(UPPER),
            Damage::Flip(TRAILER),
            Damage::Cut,
            Damage::Gone,
        ] {
            let what = format!("{name} {damage:?}");
            let store = damaged(whole.path(), Path::new(&name), damage);
            let (found, whole_count) = check(store.path(), 16);
            assert!(whole_count < all(), "{what}");
            let is_run = found.iter().any(|one| one["finding"] == json!("run_unreadable"));
            // What a part of the index had may be of the rooms behind it, too: then older runs may
            // have words that were taken back.
            let is_index = matches!(damage, Damage::Flip(INDEX | UPPER)) && !is_run;
            for one in &found {
                if one["finding"] == json!("run_unreadable") {
                    assert_eq!(one["run"], json!(number), "{what}");
                    continue;
                }
                let kind = if is_run { "missing" } else { "damaged" };
                assert_eq!(one["finding"], json!(kind), "{what}: {found:?}");
                assert!(is_index || one["channel"] == json!(channel), "{what}: {found:?}");
                let ends = [&one["first"], &one["last"]].map(|end| end.as_u64().expect("a number"));
                assert!(1 <= ends[0] && ends[0] <= ends[1], "{what}: {found:?}");
            }
            let mut shown_count = 0;
            for (shown, _) in CHANNELS {
                let said = ask(store.path(), &["dump", "--json", "--channel", shown]);
                let count = said.out.lines().count() as u64;
                assert!(
                    is_index || shown == channel || count == count_of(shown),
                    "{what}: {shown}"
                );
                assert!(said.code == Some(16) || count == count_of(shown), "{what}: {}", said.err);
                shown_count += count;
            }
            assert_eq!(shown_count, whole_count, "{what}");
            let stats = ask(store.path(), &["stats", "--json"]);
            let stats: Value = serde_json::from_str(&stats.out).expect("JSON");
            assert_eq!(stats["messages_count"], json!(whole_count), "{what}");
            let others = if is_index { 0 } else { all() - count_of(channel) };
            check_salvaged(store.path(), others..=whole_count, found.len());
        }
    }
}

/// That a store is salvaged, with so many messages.
#[track_caller]
fn check_salvaged(dir: &Path, messages: RangeInclusive<u64>, findings_count: usize) {
    let to = folder();
    let said = ask(dir, &["salvage", "--json", "--to", plain(to.path())]);
    assert_eq!(said.code, Some(16), "{}{}", said.out, said.err);
    assert_eq!(said.out.lines().count(), findings_count + 1, "{}", said.out);
    let (_, copied_count) = check(to.path(), 0);
    assert!(messages.contains(&copied_count), "{copied_count} of {messages:?}");
    let mut shown_count = 0;
    for (channel, _) in CHANNELS {
        let said = ask(to.path(), &["dump", "--json", "--channel", channel]);
        for line in said.out.lines() {
            let line: Value = serde_json::from_str(line).expect("JSON");
            let offset = line["offset"].as_u64().expect("a number");
            assert_eq!(line["data"]["text"], json!(words_of(channel, offset)));
            shown_count += 1;
        }
    }
    assert_eq!(shown_count, copied_count);
    let again = ask(dir, &["salvage", "--to", plain(to.path())]);
    assert_eq!(again.code, Some(17), "{}", again.err);
    assert!(again.err.contains("it is not empty"), "{}", again.err);
}

#[test]
fn damage_in_the_database_is_said_and_nothing_is_said_to_be_whole_that_is_not() {
    let whole = filled();
    for path in files(&whole.path().join("db")) {
        let bytes = fs::metadata(&path).expect("it is there").len();
        let name = path.strip_prefix(whole.path()).expect("it is in it");
        if bytes == 0 {
            continue;
        }
        let flips = [bytes, bytes / 2 + 1, bytes / 4 + 1, 1].map(Damage::Flip);
        for damage in flips.into_iter().chain([Damage::Cut, Damage::Empty, Damage::Gone]) {
            let what = format!("{} {damage:?}", name.display());
            let store = damaged(whole.path(), name, damage);
            let said = ask(store.path(), &["check"]);
            match said.code {
                Some(0) => {
                    let all = format!("3 channels, {} messages: all is well\n", all());
                    assert_eq!(said.out, all, "{what}: where nothing hangs on it");
                }
                Some(16) if said.err.is_empty() => assert!(said.out.contains("finding"), "{what}"),
                // What the database's own version says is not told from damage in it.
                Some(15 | 16) => {
                    assert!(said.err.contains(plain(store.path())), "{what}: {}", said.err);
                    assert!(!said.err.contains("store check"), "{what}: {}", said.err);
                }
                code => panic!("{what}: {code:?} {}", said.err),
            }
            for words in
                [&["stats"][..], &["dump", "--channel", "room:2"], &["dead-letters", "list"]]
            {
                let said = ask(store.path(), words);
                assert!(
                    matches!(said.code, Some(0 | 1 | 15 | 16)),
                    "{what} {words:?}: {}",
                    said.err
                );
            }
        }
    }
}

#[test]
fn a_list_of_runs_that_is_lost_is_said_and_one_place_of_it_is_enough() {
    let whole = filled();
    let name = Path::new("messages/manifest");
    for damage in [Damage::Empty, Damage::Gone] {
        let store = damaged(whole.path(), name, damage);
        for words in [&["check"][..], &["stats"], &["salvage", "--to", plain(folder().path())]] {
            let said = ask(store.path(), words);
            assert_eq!(said.code, Some(16), "{words:?}: {}", said.err);
            assert!(
                said.err.contains("their list is damaged; nothing of it can be read"),
                "{}",
                said.err
            );
        }
    }
    let store = damaged(whole.path(), name, Damage::Cut);
    assert_eq!(check(store.path(), 0), (Vec::new(), all()));
}
