//! What an operator's program asks and does by the server API: connections of a user, the first
//! rooms by some measure, dead letters, quarantine, a drain.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::common::{
    API_KEY, Encoding, Peer, Server, Settings, call_api, free_port, token, with_api, with_api_key,
    with_tenant_key,
};

/// A server, and where its API is.
struct World {
    server: Server,
    api_port: u16,
}

impl World {
    fn start(settings: Settings, scopes: &[&str]) -> World {
        let api_port = free_port();
        World { server: Server::start(with_api(settings, api_port, scopes)), api_port }
    }

    fn address(&self) -> SocketAddr {
        self.server.address()
    }

    #[track_caller]
    fn call(&self, method: &str, body: Value) -> (u16, Value) {
        call_api(self.api_port, API_KEY, &format!("v1/{method}"), &body)
    }

    /// The result of a call that is done.
    #[track_caller]
    fn done(&self, method: &str, body: Value) -> Value {
        let (status, mut answer) = self.call(method, body);
        assert_eq!(status, 200, "{answer}");
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].take()
    }

    /// A call that is refused with this status, and a field's name or another word.
    #[track_caller]
    fn refused(&self, method: &str, body: Value, status: u16, word: &str) {
        let (got, answer) = self.call(method, body);
        let message = answer["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert_eq!(got, status, "{answer}");
        assert!(message.contains(word), "{answer}");
    }
}

/// A user of this kind of program, and the id of the connection.
#[track_caller]
fn connected(address: SocketAddr, name: &str, program: &str) -> (Peer, String) {
    let mut peer = Peer::upgraded(address, Encoding::Json);
    let token = token(json!({ "sub": name }));
    let reply = peer.call(json!({ "connect": { "token": token, "name": program } }));
    let client = reply["connect"]["client"].as_str().expect("it is let in").to_owned();
    (peer, client)
}

#[test]
fn connections_of_a_user_are_shown_with_address_program_age_and_channels() {
    let world = World::start(Settings::new(), &["connections"]);
    let mut all = Vec::new();
    for _ in 0..3 {
        let (mut peer, client) = connected(world.address(), "anna", "python");
        for channel in ["room:b", "room:a"] {
            let reply = peer.call(json!({ "subscribe": { "channel": channel } }));
            assert!(reply["subscribe"].is_object(), "{reply}");
        }
        all.push((client, peer));
    }
    all.sort_by(|(one, _), (other, _)| one.cmp(other));
    let _bob = Peer::user(world.address(), "bob");
    let first = world.done("connections.list", json!({ "user": "anna", "limit": 2 }));
    let second = world
        .done("connections.list", json!({ "user": "anna", "limit": 2, "after": first["next"] }));
    assert_eq!(second["next"], Value::Null);
    let shown = first["connections"].as_array().into_iter().chain(second["connections"].as_array());
    let shown: Vec<&Value> = shown.flatten().collect();
    for (one, (client, _)) in shown.iter().zip(&all) {
        assert_eq!(one["client"], **client);
        assert_eq!((&one["address"], &one["agent"]), (&json!("127.0.0.1"), &json!("python")));
        assert_eq!((&one["transport"], &one["protocol"]), (&json!("websocket"), &json!("json")));
        assert_eq!(one["channels"], json!(["@anna", "room:a", "room:b"]));
        assert_eq!(one["channels_count"], 3);
        assert!(one["age_ms"].as_u64().is_some_and(|age_ms| age_ms < 60_000), "{one}");
    }
    assert_eq!(shown.len(), 3);
    let only = world.done("connections.list", json!({ "user": "anna", "client": all[1].0 }));
    assert_eq!(only["connections"][0]["client"], all[1].0);
    assert_eq!(only["connections"].as_array().map(Vec::len), Some(1));
    world.refused("connections.list", json!({}), 400, "user");
    world.refused("connections.list", json!({ "user": "anna", "limit": 101 }), 400, "limit");
    world.refused("connections.list", json!({ "user": "anna", "after": "x" }), 400, "after");
    world.refused("rooms.top", json!({}), 403, "permission denied");
    // Its path is its own.
    let (_, answer) = call_api(world.api_port, API_KEY, "connections.list", &json!({}));
    assert_eq!(answer["error"]["code"], 104);
}

#[test]
fn a_key_sees_the_channels_that_it_covers() {
    let api_port = free_port();
    let key = "a key of few channels";
    let settings = with_api(Settings::new(), api_port, &[]);
    let settings = with_api_key(settings, key, &["connections", "channels"], "wide:*");
    let server = Server::start(settings);
    let mut anna = Peer::member(server.address(), "anna", "room:1");
    anna.call(json!({ "subscribe": { "channel": "wide:1" } }));
    let call =
        |method: &str| call_api(api_port, key, &format!("v1/{method}"), &json!({ "user": "anna" }));
    let (_, shown) = call("connections.list");
    let one = &shown["result"]["connections"][0];
    assert_eq!((&one["channels"], &one["channels_count"]), (&json!(["wide:1"]), &json!(3)));
    let (_, top) = call("rooms.top");
    let wide = json!({ "channel": "wide:1", "num_clients": 1, "messages_per_min": 0 });
    assert_eq!(top["result"]["rooms"], json!([wide]));
}

#[test]
fn rooms_are_told_by_size_and_by_rate_in_pages() {
    let world = World::start(Settings::new(), &["channels"]);
    let mut loud = Peer::member(world.address(), "loud", "room:loud");
    let _others: Vec<Peer> = (0..3)
        .map(|n| Peer::member(world.address(), &format!("user{n}"), "room:large"))
        .chain([Peer::member(world.address(), "quiet", "room:quiet")])
        .collect();
    for n in 0..5 {
        let reply = loud.call(json!({ "publish": { "channel": "room:loud", "data": n } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    let row = |channel: &str, clients: u64, messages: u64| json!({ "channel": channel, "num_clients": clients, "messages_per_min": messages });
    let large = row("room:large", 3, 0);
    let loudest = row("room:loud", 1, 5);
    let quiet = row("room:quiet", 1, 0);
    let by_size = world.done("rooms.top", json!({ "pattern": "room:*" }));
    assert_eq!(by_size["rooms"], json!([large, loudest, quiet]));
    assert_eq!(by_size["next"], Value::Null);
    let by_rate = |after: &Value| {
        let body = json!({
            "by": "messages_per_min", "pattern": "room:*", "limit": 1, "after": after,
        });
        world.done("rooms.top", body)
    };
    let (mut after, mut rows) = (Value::Null, Vec::new());
    for _ in 0..3 {
        let page = by_rate(&after);
        rows.push(page["rooms"][0].clone());
        after = page["next"].clone();
    }
    assert_eq!(rows, [loudest, large, quiet]);
    assert_eq!(by_rate(&after), json!({ "rooms": [] }));
    let some = world.done("rooms.top", json!({ "pattern": "room:q*" }));
    assert_eq!(some["rooms"].as_array().map(Vec::len), Some(1));
    world.refused("rooms.top", json!({ "by": "size" }), 400, "by");
    world.refused("rooms.top", json!({ "after": {} }), 400, "value");
    world.refused("rooms.top", json!({ "pattern": "[a]" }), 400, "pattern");
    world.refused("connections.list", json!({ "user": "anna" }), 403, "permission denied");
}

/// Conversations on disk.
fn conversations() -> Settings {
    Settings::new().with_table(
        "[[namespaces]]",
        &[
            "name = \"dm\"",
            "publish = \"users\"",
            "history_count_max = 100",
            "durability = \"fsync\"",
        ],
    )
}

/// Anna says so many things to ben, who is not there, until all of them are given up.
#[track_caller]
fn give_up(world: &World, count: u64) {
    let mut anna = Peer::user(world.address(), "anna");
    for n in 1..=count {
        let data = json!({ "to": "ben", "data": { "n": n }, "ttl_s": 1 });
        let reply = anna.call(json!({ "rpc": { "method": "chat.send", "data": data } }));
        assert_eq!(reply["rpc"]["data"]["offset"], n, "{reply}");
    }
    world.server.wait_for_metric("chat_dead_letter_messages", count as f64);
}

/// What comes to a user of messages of a conversation: their numbers.
#[track_caller]
fn heard(peer: &mut Peer, count: usize) -> Vec<u64> {
    (0..count)
        .map(|_| {
            let (data, _) = peer.publication();
            data["n"].as_u64().unwrap_or_else(|| panic!("{data}"))
        })
        .collect()
}

fn offsets(page: &Value) -> Vec<u64> {
    let letters = page["dead_letters"].as_array().expect("a list").iter();
    letters.map(|one| one["offset"].as_u64().expect("a number")).collect()
}

const LETTERS: &str = "dm#anna,ben";

#[test]
fn dead_letters_are_listed_and_wait_again_on_a_server_that_runs() {
    let world = World::start(conversations(), &["dead_letters"]);
    give_up(&world, 3);
    let first = world.done("dead_letters.list", json!({ "limit": 2 }));
    let second = world.done("dead_letters.list", json!({ "limit": 2, "after": first["next"] }));
    assert_eq!((offsets(&first), offsets(&second)), (vec![1, 2], vec![3]));
    assert_eq!(second["next"], Value::Null);
    let one = &first["dead_letters"][0];
    assert_eq!((&one["channel"], &one["user"]), (&json!(LETTERS), &json!("ben")));
    assert_eq!((&one["cause"], &one["tries"]), (&json!("expired"), &json!(0)));
    assert!(one["at"].as_u64().is_some_and(|at| 1_700_000_000_000 < at), "{one}");
    assert_eq!(offsets(&world.done("dead_letters.list", json!({ "user": "ben" }))), [1, 2, 3]);
    assert!(offsets(&world.done("dead_letters.list", json!({ "user": "anna" }))).is_empty());

    let mut ben = Peer::user(world.address(), "ben");
    let letter = json!({ "channel": LETTERS, "offset": 2 });
    let requeued = world.done("dead_letters.requeue", letter.clone());
    assert_eq!(requeued, json!({ "count": 1, "empty": 0, "more": false }));
    assert_eq!(heard(&mut ben, 1), [2]);
    // A repeat finds that it is none.
    world.refused("dead_letters.requeue", letter, 404, "offset");
    world.refused("dead_letters.drop", json!({ "channel": LETTERS, "offset": 9 }), 404, "offset");
    let ack = json!({ "channel": LETTERS, "offset": 2 });
    let reply = ben.call(json!({ "rpc": { "method": "chat.ack", "data": ack } }));
    assert!(reply["rpc"].is_object(), "{reply}");

    let all = world.done("dead_letters.requeue", json!({ "channel": LETTERS, "ttl_s": 3_600 }));
    assert_eq!(all["count"], 2);
    assert_eq!(heard(&mut ben, 2), [1, 3]);
    assert!(offsets(&world.done("dead_letters.list", json!({}))).is_empty());
    world.server.wait_for_metric("chat_dead_letter_messages", 0.0);
    world.server.wait_for_log("dead_letters.requeued", 3);
    world.refused("dead_letters.requeue", json!({ "channel": LETTERS, "ttl_s": 0 }), 400, "ttl_s");
    world.refused("dead_letters.drop", json!({}), 400, "channel");
    world.refused("dead_letters.list", json!({ "after": "x" }), 400, "after");
    let (status, refused) = world.call("dead_letters.drop", json!({ "channel": "room:1" }));
    assert_eq!((status, &refused["error"]["code"]), (200, &json!(108)));
}

#[test]
fn what_waits_again_waits_across_a_kill_and_what_was_dropped_is_gone() {
    let mut world = World::start(conversations(), &["dead_letters"]);
    give_up(&world, 3);
    let dropped = world.done("dead_letters.drop", json!({ "channel": LETTERS, "offset": 3 }));
    assert_eq!(dropped, json!({ "count": 1, "more": false }));
    let requeued = world.done("dead_letters.requeue", json!({ "channel": LETTERS, "offset": 1 }));
    assert_eq!(requeued["count"], 1);
    world.server.signal("KILL");
    world.server.wait();
    world.server.start_again();
    let mut ben = Peer::user(world.address(), "ben");
    assert_eq!(heard(&mut ben, 1), [1]);
    assert_eq!(offsets(&world.done("dead_letters.list", json!({}))), [2]);
}

#[test]
fn a_key_hears_of_dead_letters_that_it_covers_and_needs_the_scope() {
    let api_port = free_port();
    let (other, poor) = ("a key of other channels", "a key of other methods");
    let settings = with_api(conversations(), api_port, &["dead_letters"]);
    let settings = with_api_key(settings, other, &["dead_letters"], "dm#carl,*");
    let settings = with_api_key(settings, poor, &["history", "publish", "chat"], "*");
    let world = World { server: Server::start(settings), api_port };
    give_up(&world, 1);
    let call = |key: &str, method: &str, body: Value| {
        call_api(api_port, key, &format!("v1/dead_letters.{method}"), &body)
    };
    assert_eq!(call(other, "list", json!({})), (200, json!({ "result": { "dead_letters": [] } })));
    assert_eq!(call(other, "drop", json!({ "channel": LETTERS, "offset": 1 })).0, 403);
    for (method, body) in [
        ("list", json!({})),
        ("requeue", json!({ "channel": LETTERS })),
        ("drop", json!({ "channel": LETTERS })),
    ] {
        assert_eq!(call(poor, method, body).0, 403, "{method}");
    }
    assert_eq!(offsets(&world.done("dead_letters.list", json!({}))), [1]);
}

#[test]
fn without_a_store_there_are_no_dead_letters() {
    let world = World::start(Settings::new(), &["dead_letters"]);
    let (status, refused) = world.call("dead_letters.list", json!({}));
    assert_eq!((status, &refused["error"]["code"]), (200, &json!(108)));
}

fn told_prefixes(world: &World) -> Vec<String> {
    let told = world.done("quarantine.list", json!({}));
    let rows = told["prefixes"].as_array().expect("a list").iter();
    rows.map(|one| one["prefix"].as_str().expect("a text").to_owned()).collect()
}

#[test]
fn a_kind_of_clients_is_kept_out_and_let_in_again() {
    let world = World::start(Settings::new(), &["quarantine"]);
    let comes_in = |name: &str| {
        let mut peer = Peer::upgraded(world.address(), Encoding::Json);
        let token = token(json!({ "sub": name }));
        peer.send(json!({ "connect": { "token": token, "name": "python" } }));
        peer
    };
    assert!(told_prefixes(&world).is_empty());
    let bot = json!({ "prefix": "~bot~python", "hold_s": 3_600 });
    assert_eq!(world.done("quarantine.set", bot), json!({}));
    let told = world.done("quarantine.list", json!({}));
    let one = &told["prefixes"][0];
    assert_eq!((&one["prefix"], &one["by"]), (&json!("~bot~python"), &json!("operator")));
    assert!(one["left_ms"].as_u64().is_some_and(|ms| 3_000_000 < ms && ms <= 3_600_000), "{one}");
    // The console's way shows the same, and so does the server to who comes.
    let (status, text) = world.server.debug("GET", "/debug/quarantine");
    assert_eq!(status, 200);
    assert!(text.contains("~bot~python"), "{text}");
    comes_in("bot-7").closed();
    assert!(comes_in("ann").object()["connect"].is_object());
    assert_eq!(world.done("quarantine.lift", json!({ "prefix": "~bot~python" })), json!({}));
    assert!(comes_in("bot-7").object()["connect"].is_object());
    assert!(told_prefixes(&world).is_empty());
    world.refused("quarantine.lift", json!({ "prefix": "~bot~python" }), 404, "prefix");
    world.refused("quarantine.set", json!({ "prefix": "~bot~perl" }), 404, "prefix");
    world.refused("quarantine.set", json!({ "prefix": "~bot" }), 400, "prefix");
    world.refused("quarantine.set", json!({ "prefix": "~~go", "hold_s": 86_401 }), 400, "hold_s");
    world.refused("drain.start", json!({ "instance": "a" }), 403, "permission denied");
    world.refused("drain.status", json!({}), 403, "permission denied");
    for event in ["prefix.quarantined", "prefix.released"] {
        world.server.wait_for_log(event, 2);
    }
}

#[test]
fn a_drain_is_begun_and_watched_until_the_end() {
    let settings = Settings::new().with("[server]", "drain_ms = 60000");
    let mut world = World::start(settings, &["drain", "info", "publish"]);
    let mut anna = Peer::user(world.address(), "anna");
    let status = |world: &World| world.done("drain.status", json!({}));
    let ready = status(&world);
    assert_eq!((&ready["state"], &ready["began"]), (&json!("ready"), &Value::Null));
    assert_eq!(ready["num_clients"], 1);
    world.refused("drain.start", json!({}), 400, "instance");
    world.refused("drain.start", json!({ "instance": "another" }), 404, "instance");
    world.refused("quarantine.list", json!({}), 403, "permission denied");
    assert_eq!(status(&world)["state"], "ready");
    let (_, info) = call_api(world.api_port, API_KEY, "info", &json!({}));
    let instance = json!({ "instance": info["result"]["nodes"][0]["uid"] });
    assert_eq!(world.done("drain.start", instance.clone()), json!({}));
    world.server.wait_for_log("draining for up to", 1);
    let draining = status(&world);
    assert_eq!((&draining["state"], &draining["limit_ms"]), (&json!("draining"), &json!(60_000)));
    assert!(draining["began"].as_u64().is_some_and(|at| 1_700_000_000_000 < at), "{draining}");
    // A repeat is harmless, and cores are asked nothing any more.
    assert_eq!(world.done("drain.start", instance), json!({}));
    let publish = json!({ "channel": "room:1", "data": 1 });
    assert_eq!(call_api(world.api_port, API_KEY, "publish", &publish).0, 503);
    anna.closed();
    assert_eq!(world.server.wait().code(), Some(0));
}

#[test]
fn the_server_is_that_of_all_tenants() {
    let api_port = free_port();
    let key = "a key of one tenant";
    let settings = with_api(Settings::new(), api_port, &[]);
    let settings = with_tenant_key(settings, key, &["quarantine", "drain"], "acme");
    let server = Server::start(settings);
    for (method, body) in [
        ("quarantine.list", json!({})),
        ("quarantine.set", json!({ "prefix": "acme~~go" })),
        ("drain.status", json!({})),
        ("drain.start", json!({ "instance": format!("127.0.0.1:{}", server.admin_port) })),
    ] {
        assert_eq!(call_api(api_port, key, &format!("v1/{method}"), &body).0, 403, "{method}");
    }
    assert_eq!(server.page("/ready"), "ready\n");
}
