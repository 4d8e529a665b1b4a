//! A history that a backend has removed, of a server that is killed as soon as it has said so.

use serde_json::{Value, json};

use super::kept;
use crate::common::{API_KEY, Peer, Server, call_api, free_port, run, until, with_api};

const MESSAGES: u64 = 400;
const ROUNDS: u64 = 2;

/// What a call comes to.
#[track_caller]
fn call(port: u16, method: &str, body: &Value) -> Value {
    let (status, mut answer) = call_api(port, API_KEY, method, body);
    assert_eq!(status, 200, "{answer}");
    answer["result"].take()
}

#[test]
fn what_was_removed_is_gone_when_the_server_is_killed_behind_its_word() {
    let port = free_port();
    let settings = with_api(kept(), port, &["publish", "history", "history_remove"]);
    let mut server = Server::start(settings);
    let mut kept_count = 0;
    for round in 1..=ROUNDS {
        let one = json!({ "publish": { "channel": "room:1", "data": { "round": round } } });
        call(port, "batch", &json!({ "commands": vec![one; MESSAGES as usize] }));
        kept_count += MESSAGES;
        assert!(call(port, "history_remove", &json!({ "channel": "room:1" })).is_object());
        server.signal("KILL");
        server.wait();
        let dir = server.store_dir();
        let check = run(&["store", "check", "--store-dir", dir.to_str().expect("a plain path")]);
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        server.start_again();
        let found = call(port, "history", &json!({ "channel": "room:1", "limit": -1 }));
        assert_eq!((&found["publications"], &found["offset"]), (&json!([]), &json!(kept_count)));
        let told =
            call(port, "publish", &json!({ "channel": "room:1", "data": { "since": round } }));
        kept_count += 1;
        assert_eq!(told["offset"], json!(kept_count));
        let mut anna = Peer::member(server.address(), "anna", "room:1");
        let ask = json!({ "history": { "channel": "room:1", "limit": 10 } });
        let shown = anna.call(ask)["history"]["publications"].take();
        let offsets: Vec<&Value> =
            shown.as_array().expect("a list").iter().map(|one| &one["offset"]).collect();
        assert_eq!(offsets, [&json!(kept_count)]);
    }
    // What is left is deleted in small steps, whatever ends the server meanwhile.
    let mut others_count = 0;
    let is_deleted = until(|| {
        // Each of them gives the store a turn.
        for _ in 0..20 {
            call(port, "publish", &json!({ "channel": "room:2", "data": {} }));
            others_count += 1;
        }
        server.signal("KILL");
        server.wait();
        let dir = server.store_dir();
        let words =
            ["store", "stats", "--json", "--store-dir", dir.to_str().expect("a plain path")];
        let stats: Value = serde_json::from_slice(&run(&words).stdout).expect("JSON");
        server.start_again();
        (stats["messages_count"] == json!(1 + others_count)).then_some(())
    });
    assert_eq!(is_deleted, Some(()));
}
