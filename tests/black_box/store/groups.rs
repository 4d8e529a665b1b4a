//! Members of groups, of a server that is killed as soon as it has said that they are.

use serde_json::{Value, json};

use super::kept;
use crate::common::{Peer, Server, run};

const USERS: usize = 8;

/// A chat method's answer.
#[track_caller]
fn chat(peer: &mut Peer, method: &str, fields: Value) -> Value {
    let mut reply = peer.call(json!({ "rpc": { "method": method, "data": fields } }));
    assert!(reply["rpc"].is_object(), "{method}: {reply}");
    reply["rpc"]["data"].take()
}

#[test]
fn whoever_was_told_to_be_a_member_is_one_when_the_server_is_killed_behind_its_word() {
    let settings = kept().with_table(
        "[[namespaces]]",
        &[
            "name = \"group\"",
            "groups = \"open\"",
            "subscribe = \"users\"",
            "publish = \"subscribers\"",
            "see_history = \"subscribers\"",
            "history_count_max = 1000",
            "durability = \"fsync\"",
        ],
    );
    let mut server = Server::start(settings);
    let channel = || json!({ "channel": "group:1" });
    for number in 0..USERS {
        let name = format!("user{number}");
        let mut peer = Peer::user(server.address(), &name);
        assert_eq!(chat(&mut peer, "chat.join", channel()), json!({}));
        if number == 3 {
            assert_eq!(chat(&mut peer, "chat.leave", channel()), json!({}));
        }
        server.signal("KILL");
        server.wait();
        let dir = server.store_dir();
        let check = run(&["store", "check", "--store-dir", dir.to_str().expect("a plain path")]);
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
        server.start_again();
        let mut peer = Peer::user(server.address(), &name);
        let rooms = chat(&mut peer, "chat.rooms", json!({}));
        let listed = rooms["rooms"].as_array().expect("a list");
        assert_eq!(listed.len(), usize::from(number != 3), "{rooms}");
    }
    let mut owner = Peer::member(server.address(), "user0", "group:1");
    let roster = chat(&mut owner, "chat.roster", channel());
    let members = roster["members"].as_array().expect("a list");
    let users: Vec<&str> = members.iter().filter_map(|one| one["user"].as_str()).collect();
    let all: Vec<String> =
        (0..USERS).filter(|number| *number != 3).map(|number| format!("user{number}")).collect();
    assert_eq!(users, all);
    assert_eq!(members[0]["role"], json!("owner"));
}
