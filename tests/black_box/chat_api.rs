//! What a backend reads as a user by the server API: it is told what the user's own client is told.

use serde_json::{Value, json};

use crate::common::{API_KEY, Peer, Server, Settings, call_api, free_port, with_api, with_api_key};

const NARROW: &str = "a key for one room alone";

/// A server with conversations and a durable room, and where its API is.
struct World {
    server: Server,
    api_port: u16,
}

impl World {
    fn start() -> World {
        let api_port = free_port();
        let kept = |name: &'static str| {
            [name, "publish = \"users\"", "history_count_max = 100", "durability = \"fsync\""]
        };
        let settings = Settings::new()
            .with_table("[[namespaces]]", &kept("name = \"dm\""))
            .with_table("[[namespaces]]", &kept("name = \"kept\""));
        let settings = with_api(settings, api_port, &["chat"]);
        let settings = with_api_key(settings, NARROW, &["chat"], "room:1");
        World { server: Server::start(settings), api_port }
    }

    #[track_caller]
    fn call(&self, key: &str, method: &str, body: &Value) -> (u16, Value) {
        call_api(self.api_port, key, &format!("v1/chat.{method}"), body)
    }

    /// What a method tells anna's backend.
    #[track_caller]
    fn as_anna(&self, method: &str, mut body: Value) -> Value {
        body["user"] = json!("anna");
        let (status, mut answer) = self.call(API_KEY, method, &body);
        assert_eq!(status, 200, "{answer}");
        answer["result"].take()
    }
}

/// What a client is told.
#[track_caller]
fn as_client(peer: &mut Peer, method: &str, data: Value) -> Value {
    let method = format!("chat.{method}");
    let mut reply = peer.call(json!({ "rpc": { "method": method, "data": data } }));
    assert!(reply["rpc"].is_object(), "{reply}");
    reply["rpc"]["data"].take()
}

/// Anna and ben in a room in memory and in a conversation on disk, where something was said and
/// reacted to.
fn talk(world: &World) -> [Peer; 2] {
    let mut both = ["anna", "ben"].map(|name| Peer::member(world.server.address(), name, "room:1"));
    for n in 1..=3 {
        let data = json!({ "channel": "room:1", "data": { "n": n } });
        as_client(&mut both[n % 2], "publish", data);
        as_client(&mut both[0], "send", json!({ "to": "ben", "data": { "n": n } }));
    }
    for channel in ["room:1", "dm#anna,ben"] {
        for (index, value) in ["a", "b"].into_iter().enumerate() {
            let data = json!({ "channel": channel, "offset": 2, "value": value });
            as_client(&mut both[index], "react", data);
        }
    }
    both
}

#[test]
fn a_backend_reads_as_a_user_what_the_users_client_reads() {
    let world = World::start();
    let [mut anna, _ben] = talk(&world);
    let newest = json!({ "channels": ["room:1", "dm#anna,ben"], "limit": 2, "reverse": true });
    let told = world.as_anna("history", newest.clone());
    assert_eq!(told, as_client(&mut anna, "history", newest));
    for channel in told["channels"].as_array().expect("a list") {
        let last = &channel["publications"][0];
        assert_eq!((&last["offset"], &last["data"]["n"]), (&json!(3), &json!(3)), "{channel}");
        let tag = channel["publications"][1]["tags"]["reactions"].as_str().expect("it has some");
        assert!(tag.ends_with(r#""own":"a"}"#), "anna's own: {tag}");
    }
    let since: Vec<Value> = told["channels"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| json!({ "channel": one["channel"], "offset": 1, "epoch": one["epoch"] }))
        .collect();
    let behind = json!({ "channels": since });
    let told = world.as_anna("history", behind.clone());
    assert_eq!(told, as_client(&mut anna, "history", behind));
    assert_eq!(told["channels"][1]["publications"].as_array().map(Vec::len), Some(2));
    for channel in ["room:1", "dm#anna,ben"] {
        let asked = json!({ "channel": channel, "offsets": [1, 2] });
        let told = world.as_anna("reactions", asked.clone());
        assert_eq!(told, as_client(&mut anna, "reactions", asked));
        assert_eq!(
            (&told["messages"][0]["offset"], &told["messages"][0]["own"]),
            (&json!(2), &json!("a"))
        );
    }
}

#[test]
fn the_connections_of_a_channel_are_told_in_pages() {
    let world = World::start();
    let [mut anna, _ben] = talk(&world);
    let first = world.as_anna("members", json!({ "channel": "room:1", "limit": 1 }));
    let page = json!({ "channel": "room:1", "limit": 1, "after": first["next"] });
    let second = world.as_anna("members", page);
    assert_eq!(second["next"], Value::Null);
    let all = as_client(&mut anna, "members", json!({ "channel": "room:1" }));
    assert_eq!(all["members"], json!([first["members"][0], second["members"][0]]));
    let (status, refused) =
        world.call(API_KEY, "members", &json!({ "user": "anna", "channel": "kept:1" }));
    assert_eq!((status, &refused["error"]["code"]), (200, &json!(108)));
}

/// Who is told to be typing, and where; what else comes is passed over.
#[track_caller]
fn typing(peer: &mut Peer) -> Value {
    loop {
        let mut object = peer.object();
        let typing = &mut object["push"]["message"]["data"]["typing"];
        if typing.is_object() {
            return typing.take();
        }
    }
}

#[test]
fn that_a_user_types_is_told_where_the_user_is_not_subscribed() {
    let world = World::start();
    let mut ben = Peer::member(world.server.address(), "ben", "room:1");
    assert_eq!(world.as_anna("typing", json!({ "channel": "room:1" })), json!({}));
    let told = typing(&mut ben);
    assert_eq!((&told["channel"], &told["user"]), (&json!("room:1"), &json!("anna")));
    // The other one of a conversation hears it without a subscription.
    assert_eq!(world.as_anna("typing", json!({ "channel": "dm#anna,ben" })), json!({}));
    let told = typing(&mut ben);
    assert_eq!((&told["channel"], &told["user"]), (&json!("dm#anna,ben"), &json!("anna")));
}

#[test]
fn reading_as_a_user_has_the_bounds_and_the_errors_of_clients() {
    let world = World::start();
    let [_anna, _ben] = talk(&world);
    let many: Vec<String> = (0..50).map(|n| format!("room:{n}")).collect();
    let told = world.as_anna("history", json!({ "channels": many }));
    assert_eq!(told["channels"].as_array().map(Vec::len), Some(50));
    let over: Vec<String> = (0..51).map(|n| format!("room:{n}")).collect();
    for (method, body, field) in [
        ("history", json!({ "user": "anna", "channels": over }), "channels"),
        ("history", json!({ "user": "anna", "channels": [] }), "channels"),
        ("history", json!({ "user": "anna", "channels": ["room:1", "room:1"] }), "channels"),
        ("history", json!({ "user": "anna", "channels": ["room:1"], "limit": 1_001 }), "limit"),
        ("history", json!({ "channels": ["room:1"] }), "user"),
        ("members", json!({ "user": "anna", "channel": "room:1", "after": "ben" }), "after"),
        ("reactions", json!({ "user": "anna", "channel": "room:1", "offsets": [0] }), "offsets"),
        ("typing", json!({ "user": "anna" }), "channel"),
    ] {
        let (status, refused) = world.call(API_KEY, method, &body);
        let message = refused["error"]["message"].as_str().unwrap_or_default();
        assert_eq!((status, message.contains(field)), (400, true), "{method} {refused}");
    }
    // Each channel answers for itself: those of others, and those that the key may not name.
    let channels = json!(["room:1", "dm#ben,carl", "none:1", "closed:1"]);
    let codes = |told: &Value| -> Vec<Value> {
        let all = told["channels"].as_array().expect("a list").iter();
        all.map(|one| one["error"]["code"].clone()).collect()
    };
    let told = world.as_anna("history", json!({ "channels": channels }));
    assert_eq!(codes(&told), [Value::Null, json!(103), json!(102), json!(108)]);
    let body = json!({ "user": "anna", "channels": channels });
    let (status, told) = world.call(NARROW, "history", &body);
    assert_eq!(status, 200, "{told}");
    let denied = json!(103);
    assert_eq!(codes(&told["result"]), [Value::Null, denied.clone(), denied.clone(), denied]);
    for method in ["typing", "members", "reactions"] {
        let body = json!({ "user": "anna", "channel": "room:2", "offsets": [1] });
        let (status, refused) = world.call(NARROW, method, &body);
        assert_eq!((status, &refused["error"]["code"]), (403, &json!(103)), "{refused}");
    }
}
