//! Rooms, users and connections come by the thousand and go, and the server's memory is
//! what it was before.
//!
//! `make memory` asks for a million rooms; here are fewer, and the tables that would keep
//! them would show as well: with so many, a hash table that never shrinks and the slots of
//! rooms that are gone are several times what is allowed.
//!
//! Deliberately absent: how long it takes.

mod common;

use std::thread;

use common::{Peer, Server, Settings, until};
use serde_json::json;

/// Rooms that one connection is in at a time; below `channels_max`, and below what one
/// user may begin at once.
const ROOMS_PER_USER: u64 = 120;

/// Peers at a time.
const PEERS_COUNT: u64 = 4;

/// What may differ: a tenth, and what thread caches and lists of a fixed size keep.
const SHARE_MAX: f64 = 0.1;
const FIXED_BYTES_MAX: f64 = (1 << 20) as f64;

/// How many rooms come and go.
fn rooms_count() -> u64 {
    let asked = std::env::var("ROOKERY_MEMORY_ROOMS").ok();
    asked.map_or(100_000, |text| text.parse().expect("ROOKERY_MEMORY_ROOMS is a number"))
}

/// A namespace whose messages are soon too old, in a server that nobody else uses.
fn settings(durability: &str) -> Settings {
    let durability = format!("durability = \"{durability}\"");
    Settings::new().with_table(
        "[[namespaces]]",
        &[
            "name = \"brief\"",
            "subscribe = \"users\"",
            "publish = \"subscribers\"",
            "history_count_max = 10",
            "history_age_ms_max = 1000",
            &durability,
        ],
    )
}

/// Users who each come, are in rooms of their own, say something in each, and go.
fn come_and_go(server: &Server, visit: &str, rooms_count: u64) {
    let users = rooms_count.div_ceil(ROOMS_PER_USER);
    thread::scope(|scope| {
        for first in 0..PEERS_COUNT {
            scope.spawn(move || {
                for user in (first..users).step_by(PEERS_COUNT as usize) {
                    let mut peer = Peer::user(server.address(), &format!("{visit}-{user}"));
                    let channel = |room: u64| format!("brief:{visit}-{user}-{room}");
                    speak(&mut peer, |room| json!({ "subscribe": { "channel": channel(room) } }));
                    speak(
                        &mut peer,
                        |room| json!({ "publish": { "channel": channel(room), "data": "word" } }),
                    );
                }
            });
        }
    });
}

/// One command for each room, all in one message, and their answers.
fn speak(peer: &mut Peer, command: impl Fn(u64) -> serde_json::Value) {
    let commands = (0..ROOMS_PER_USER).map(|room| {
        let mut command = command(room);
        command["id"] = json!(room + 1);
        command.to_string()
    });
    peer.send_text(&commands.collect::<Vec<_>>().join("\n"));
    let mut answers_count = 0;
    while answers_count < ROOMS_PER_USER {
        let object = peer.object();
        assert!(object["error"].is_null(), "{object}");
        answers_count += u64::from(!object["id"].is_null());
    }
}

/// The sum of a metric over all its samples.
fn sum(server: &Server, name: &str) -> f64 {
    let page = server.page("/metrics");
    let samples = page
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// Waits until nobody and nothing is left.
fn wait_until_empty(server: &Server) {
    let left = || {
        ["chat_rooms", "chat_subscriptions", "chat_active_connections"]
            .map(|name| sum(server, name))
    };
    // Rooms on disk rest for half a minute in memory, and one wait is shorter.
    let is_empty = (0..4).any(|_| until(|| (left() == [0.0; 3]).then_some(())).is_some());
    assert!(is_empty, "rooms, subscriptions, connections: {:?}", left());
}

/// Bytes that the server's allocator has given out, when that has come to rest.
fn allocated(server: &Server) -> f64 {
    let mut last = f64::MAX;
    let rests = until(|| {
        let bytes = sum(server, "chat_memory_heap_alloc_bytes");
        let before = std::mem::replace(&mut last, bytes);
        ((before - bytes).abs() < 0.01 * bytes).then_some(bytes)
    });
    rests.unwrap_or(last)
}

fn check(durability: &str, rooms_count: u64, store_bytes_max: f64) {
    let server = Server::start(settings(durability));
    come_and_go(&server, "before", rooms_count / 20);
    wait_until_empty(&server);
    let before = allocated(&server);
    let resident_before = sum(&server, "process_resident_memory_bytes");
    come_and_go(&server, "visit", rooms_count);
    let peak = allocated(&server);
    wait_until_empty(&server);
    let most = before * (1.0 + SHARE_MAX) + FIXED_BYTES_MAX + store_bytes_max;
    let after = until(|| Some(allocated(&server)).filter(|after| *after <= most));
    // Pages go back some ten seconds later; how many depends on what lies beside what.
    let resident = || sum(&server, "process_resident_memory_bytes");
    let came_back = until(|| Some(resident()).filter(|it| *it <= 1.1 * resident_before));
    // It is told when tables, too, have given back what they do step by step.
    let now = allocated(&server);
    println!(
        "{durability}, {rooms_count} rooms: {before} bytes before, {peak} at the end of the \
         visits, {now} after; resident {resident_before} before, {} after",
        came_back.unwrap_or_else(resident)
    );
    assert!(after.is_some(), "{now} bytes, {before} before, {most} allowed");
}

#[test]
fn rooms_in_memory_that_came_and_went_leave_nothing() {
    check("memory", rooms_count(), 0.0);
}

/// What the store itself keeps has a bound of its own: what was written and is in no table
/// yet, 16 MiB for messages and as much for records, and its cache.
#[test]
fn rooms_on_disk_that_came_and_went_leave_nothing() {
    check("fsync", rooms_count() / 10, f64::from(64 << 20));
}
