//! Profiles that pprof can read.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use serde_json::json;

use crate::common::{ADMIN_TOKEN, Peer, Server, Settings, until};

/// Bytes of a profile as they are behind gzip.
fn unpacked(profile: &[u8]) -> Vec<u8> {
    assert_eq!(profile[..2], [0x1f, 0x8b], "it is gzip");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(profile).read_to_end(&mut bytes).expect("gzip");
    bytes
}

/// Fields of a protobuf message with a length (wire type 2), by their numbers; the
/// others are skipped.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let mut value = 0;
        for shift in (0..).step_by(7) {
            let (&byte, rest) = bytes.split_first().expect("a whole number");
            *bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
        }
        value
    }
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        match key & 7 {
            0 => _ = varint(&mut bytes),
            2 => {
                let length = usize::try_from(varint(&mut bytes)).expect("a length");
                let (field, rest) = bytes.split_at(length);
                bytes = rest;
                all.push((key >> 3, field));
            }
            other => panic!("no field of a profile has the wire type {other}"),
        }
    }
    all
}

/// Samples (field 2), and the table of strings (field 6), of a profile.
fn read(profile: &[u8]) -> (usize, Vec<String>) {
    let bytes = unpacked(profile);
    let fields = fields(&bytes);
    let samples = fields.iter().filter(|(number, _)| *number == 2).count();
    let strings = fields.iter().filter(|(number, _)| *number == 6);
    (samples, strings.map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect())
}

/// Runs `ask` while a peer publishes as fast as it can.
fn under_load<T>(server: &Server, ask: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut peer = Peer::member(server.address(), "busy", "room:busy");
            while !over.load(Relaxed) {
                peer.call(
                    json!({ "publish": { "channel": "room:busy", "data": { "a": [1, 2] } } }),
                );
            }
        });
        let answer = ask();
        over.store(true, Relaxed);
        answer
    })
}

#[test]
fn a_cpu_profile_names_functions_of_ours_and_their_threads() {
    let server = Server::start(Settings::new());
    let (status, profile) = under_load(&server, || {
        server.ask("GET", "/debug/profile?seconds=3&type=cpu", Some(ADMIN_TOKEN)).unwrap()
    });
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&profile));
    let (samples, strings) = read(&profile);
    assert!(0 < samples);
    let has = |part: &str| strings.iter().any(|text| text.contains(part));
    assert!(has("rookery::") && has("shard-") && has("nanoseconds"), "{strings:#?}");
    // The signals ended no wait for good.
    let mut peer = Peer::member(server.address(), "after", "room:after");
    let said = peer.call(json!({ "publish": { "channel": "room:after", "data": {} } }));
    assert!(said["publish"].is_object(), "{said}");
    assert_eq!(server.page("/ready"), "ready\n");
}

#[test]
fn a_heap_profile_has_what_was_allocated_meanwhile() {
    // What stays in the window of a room: 1,000 messages of 30 kB, of which the allocator
    // samples one in 17. In a window of 1 MiB there may be none of these.
    let server =
        Server::start(Settings::new().with("[[namespaces]]", "history_bytes_max = 67108864"));
    let (status, profile) = thread::scope(|scope| {
        let asked = scope.spawn(|| {
            server.ask("GET", "/debug/profile?seconds=4&type=heap", Some(ADMIN_TOKEN)).unwrap()
        });
        let mut peer = Peer::member(server.address(), "busy", "room:busy");
        let data = "x".repeat(30_000);
        for _ in 0..1_000 {
            peer.call(json!({ "publish": { "channel": "room:busy", "data": data } }));
            if asked.is_finished() {
                break;
            }
        }
        asked.join().unwrap()
    });
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&profile));
    let (samples, strings) = read(&profile);
    assert!(0 < samples && strings.iter().any(|text| text.contains("rookery::")), "{strings:#?}");
}

#[test]
fn one_profile_at_a_time_and_other_pages_answer_meanwhile() {
    let server = Server::start(Settings::new());
    thread::scope(|scope| {
        let mut first = std::net::TcpStream::connect(("127.0.0.1", server.admin_port)).unwrap();
        let request = format!(
            "GET /debug/profile?seconds=2 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
        );
        first.write_all(request.as_bytes()).unwrap();
        let first = scope.spawn(move || {
            let mut answer = Vec::new();
            first.read_to_end(&mut answer).unwrap();
            answer
        });
        // Who is second depends on the machine, so it asks until it is.
        let is_refused = || server.debug("GET", "/debug/profile?seconds=1&type=heap").0 == 429;
        while !first.is_finished() && !is_refused() {}
        assert!(!first.is_finished(), "somebody is refused while the first is made");
        assert_eq!(server.page("/health"), "alive\n");
        assert!(server.evidence("/debug/tasks")["cores"].is_array());
        assert!(first.join().unwrap().starts_with(b"HTTP/1.1 200 "));
    });
}

#[test]
fn a_profile_that_is_being_made_keeps_no_server_from_its_end() {
    let mut server = Server::start(Settings::new());
    let mut asker = std::net::TcpStream::connect(("127.0.0.1", server.admin_port)).unwrap();
    let request = format!(
        "GET /debug/profile?seconds=60 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n\r\n"
    );
    asker.write_all(request.as_bytes()).unwrap();
    // Another one is refused as soon as it is being made.
    let is_made = until(|| {
        (server.debug("GET", "/debug/profile?seconds=1&type=heap").0 == 429).then_some(())
    });
    assert!(is_made.is_some());
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
}

/// What each number of a thread's descriptor table stands for.
fn table(pid: u32, thread: &str) -> BTreeMap<u32, String> {
    let folder = format!("/proc/{pid}/task/{thread}/fd");
    let entries = fs::read_dir(&folder).expect("the thread lives").flatten();
    let link = |entry: fs::DirEntry| {
        let number: u32 = entry.file_name().to_str()?.parse().ok()?;
        let link = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
        // Event descriptors look alike but for their number.
        let more = fs::read_to_string(format!("/proc/{pid}/task/{thread}/fdinfo/{number}"));
        let more = more.unwrap_or_default();
        let id = more.lines().find(|line| line.starts_with("eventfd-id"));
        Some((number, format!("{link} {}", id.unwrap_or_default())))
    };
    entries.filter_map(link).collect()
}

/// The ids of a process's threads, by their names.
fn threads(pid: u32) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives").flatten();
    let named = tasks.filter_map(|task| {
        let name = fs::read_to_string(task.path().join("comm")).ok()?;
        Some((name.trim().to_owned(), task.file_name().into_string().ok()?))
    });
    named.collect()
}

#[test]
fn with_split_tables_nothing_that_shards_use_by_number_is_a_stranger() {
    let settings = Settings::new()
        .with("[server]", "shards = 3")
        .with("[server]", "descriptor_table = \"per-shard\"");
    let server = Server::start(settings);
    let _peers: Vec<Peer> =
        (0..60).map(|at| Peer::member(server.address(), &format!("user-{at}"), "room:1")).collect();
    let (status, body) = server.debug("GET", "/debug/profile?seconds=1&type=cpu");
    assert!(status == 409 && body.contains("perf record"), "{status} {body}");
    let (status, _) =
        server.ask("GET", "/debug/profile?seconds=1&type=heap", Some(ADMIN_TOKEN)).unwrap();
    assert_eq!(status, 200, "memory is looked at by the thread that was asked");

    let pid = server.pid();
    let own = table(pid, &pid.to_string());
    // A runtime's helper has its shard's name, and the table that all had at the start.
    let all = threads(pid).into_iter().map(|(name, thread)| (name, table(pid, &thread)));
    let has_peers = |table: &BTreeMap<u32, String>| {
        table.values().filter(|what| what.starts_with("socket:")).count() > 10
    };
    let shards: Vec<_> = all.filter(|(_, table)| has_peers(table)).collect();
    assert_eq!(shards.len(), 3, "{:?}", threads(pid));
    let is_named_by_all = |what: &str| {
        what.contains("io_uring") || what.contains("eventfd") || what.contains("eventpoll")
    };
    for (name, split) in &shards {
        assert!(name.starts_with("shard-"), "{name}");
        for (number, what) in own.iter().filter(|(_, what)| is_named_by_all(what)) {
            assert_eq!(split.get(number), Some(what), "{number} in the table of {name}");
        }
        assert!((0..3).all(|number| split.get(&number) == own.get(&number)), "{name}");
    }
    // A sampler's file would be a deleted one of the main table.
    assert!(!own.values().any(|what| what.contains("(deleted)")), "{own:?}");
}
