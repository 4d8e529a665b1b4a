//! The flight recorder. Its JSON is a contract with the alert bridge.

use serde_json::{Value, json};

use crate::common::{Opcode, Peer, Server, Settings, masked, upgrade_request};

/// Keys of an event of a closed connection.
const KEYS: [&str; 8] = [
    "client_hash",
    "core",
    "kind",
    "layer",
    "reason",
    "time_unix_ms",
    "user_agent",
    "value_seconds",
];

fn events(page: &Value) -> &Vec<Value> {
    page["events"].as_array().expect("a list of events")
}

/// Ends a connection for a reason that should not be.
fn break_the_protocol(server: &Server, name: &str) {
    let mut peer = Peer::user(server.address(), name);
    peer.send_raw(&masked(Opcode(3), b""));
    assert_eq!(peer.closed().0, 1002);
}

#[test]
fn what_went_wrong_is_there_newest_first_and_names_nobody() {
    let server = Server::start(Settings::new());
    assert_eq!(events(&server.evidence("/debug/snapshot")), &Vec::<Value>::new());
    let mut stranger = Peer::silent(server.address());
    stranger.send_raw(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(stranger.read_head().starts_with("HTTP/1.1 404 "));
    for name in ["ann-the-first", "ann-the-second"] {
        break_the_protocol(&server, name);
    }
    let page = server.wait_for_evidence("/debug/snapshot", |page| events(page).len() == 3);
    let all = events(&page);
    assert!(all.is_sorted_by(|a, b| b["time_unix_ms"].as_u64() <= a["time_unix_ms"].as_u64()));
    assert!(all[0]["time_unix_ms"].as_u64() <= page["now_unix_ms"].as_u64());
    assert_eq!(page["instance"], json!(format!("127.0.0.1:{}", server.admin_port)));
    for event in &all[..2] {
        let keys: Vec<&String> = event.as_object().unwrap().keys().collect();
        assert!(
            keys.iter().copied().eq(KEYS.iter().filter(|key| event.get(key).is_some())),
            "{event}"
        );
        assert_eq!(event["kind"], json!("closed"));
        assert_eq!(event["layer"], json!("connection"));
        assert_eq!(event["reason"], json!("protocol_error"));
        assert_eq!(event["client_hash"].as_str().unwrap().len(), 16);
        assert!(event["core"].as_u64().unwrap() < 2);
    }
    assert_ne!(all[0]["client_hash"], all[1]["client_hash"]);
    assert_eq!(all[2]["kind"], json!("handshake_failed"));
    assert_eq!(all[2]["reason"], json!("client_error"));
    assert!(!page.to_string().contains("ann"), "{page}");

    for (query, want) in [
        ("n=1", 1),
        ("kind=closed", 2),
        ("kind=closed&n=1", 1),
        ("layer=connection", 3),
        ("layer=latency", 0),
        ("kind=handshake_failed&layer=connection", 1),
        ("since_unix_ms=99999999999999", 0),
    ] {
        let page = server.evidence(&format!("/debug/snapshot?{query}"));
        assert_eq!(events(&page).len(), want, "{query}: {page}");
    }
    for wrong in ["n=0", "n=1001", "kind=other", "layer=", "order=oldest", "n=1&n=2"] {
        let (status, body) = server.debug("GET", &format!("/debug/snapshot?{wrong}"));
        assert_eq!(status, 400, "{wrong}: {body}");
    }
}

#[test]
fn a_message_that_a_reader_did_not_get_is_noted_with_its_trace() {
    let server = Server::start(Settings::new().with("[session]", "outbox_bytes_max = 65536"));
    let mut writer = Peer::member(server.address(), "writer", "wide:1");
    let _stuck = Peer::member(server.address(), "stuck", "wide:1");
    let filler = "x".repeat(30_000);
    // More than both ends' kernel buffers take for a socket that is not read.
    for _ in 0..400 {
        writer.call(json!({ "publish": { "channel": "wide:1", "data": filler } }));
    }
    // Messages that a busy machine made slow are noted beside it.
    let is_lost = |event: &&Value| event["kind"] == json!("failed_message");
    let page = server.wait_for_evidence("/debug/snapshot?layer=reachability", |page| {
        events(page).iter().any(|event| is_lost(&event))
    });
    let event = events(&page).iter().rfind(is_lost).unwrap();
    assert_eq!(event["reason"], json!("failed"));
    assert_eq!(event["room_id"], json!("wide:1"), "{page}");
    assert_eq!(event["trace_id"].as_str().unwrap().len(), 32, "{event}");
    let page = server.evidence("/debug/snapshot?kind=closed");
    assert_eq!(events(&page)[0]["reason"], json!("slow_consumer"), "{page}");
}

#[test]
fn a_class_of_program_is_all_that_is_kept_of_a_user_agent() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::silent(server.address());
    let agent = "<@all>[x](http://e) Python/3.11";
    let request = upgrade_request("/connection/websocket")
        .replace("\r\n\r\n", &format!("\r\nUser-Agent: {agent}\r\n\r\n"));
    peer.send_raw(request.as_bytes());
    assert!(peer.read_head().starts_with("HTTP/1.1 101 "));
    peer.send_raw(&masked(Opcode(3), b""));
    assert_eq!(peer.closed().0, 1002);
    let page = server.wait_for_evidence("/debug/snapshot", |page| events(page).len() == 1);
    assert_eq!(events(&page)[0]["user_agent"], json!("python"));
    assert!(!page.to_string().contains("@all"), "{page}");
}

#[test]
fn the_recorder_keeps_the_newest_of_each_layer() {
    let server = Server::start(Settings::new().with("[server]", "shards = 1"));
    for _ in 0..130 {
        let mut stranger = Peer::silent(server.address());
        stranger.send_raw(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
        stranger.read_head();
    }
    break_the_protocol(&server, "last");
    // A stall of a busy machine is of another layer.
    let page = server.wait_for_evidence("/debug/snapshot?n=1000&layer=connection", |page| {
        events(page).iter().any(|event| event["kind"] == json!("closed"))
    });
    assert_eq!(events(&page).len(), 128);
}
