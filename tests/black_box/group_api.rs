//! Groups by the server API: a backend joins as whom it will, does what the user's role allows, and
//! more where it says that it moderates.

use serde_json::{Value, json};

use crate::common::{API_KEY, Peer, Server, Settings, call_api, free_port, with_api};

const CHANNEL: &str = "club:1";

/// A group for who is invited, which backends begin, and who has a token that says so.
const CLUB: &[&str] = &[
    r#"name = "club""#,
    r#"groups = "invited""#,
    r#"subscribe = "token""#,
    r#"publish = "subscribers""#,
    r#"see_history = "subscribers""#,
    "history_count_max = 100",
    r#"durability = "fsync""#,
];

struct World {
    server: Server,
    api_port: u16,
}

impl World {
    fn start() -> World {
        let api_port = free_port();
        let settings = with_api(Settings::new(), api_port, &["chat"]);
        World { server: Server::start(settings.with_table("[[namespaces]]", CLUB)), api_port }
    }

    /// A chat method as a user, in the group.
    #[track_caller]
    fn call(&self, method: &str, user: &str, more: Value) -> (u16, Value) {
        let mut body = json!({ "user": user, "channel": CHANNEL });
        let more = more.as_object().expect("fields").clone();
        body.as_object_mut().expect("fields").extend(more);
        call_api(self.api_port, API_KEY, &format!("v1/chat.{method}"), &body)
    }

    #[track_caller]
    fn done(&self, method: &str, user: &str, more: Value) -> Value {
        let (status, mut answer) = self.call(method, user, more);
        assert_eq!(status, 200, "{answer}");
        assert!(answer["result"].is_object(), "{answer}");
        answer["result"].take()
    }

    #[track_caller]
    fn refused(&self, method: &str, user: &str, more: Value, status: u16, word: &str) {
        let (told, answer) = self.call(method, user, more);
        assert_eq!((told, &answer["error"]["message"]), (status, &json!(word)), "{answer}");
    }

    #[track_caller]
    fn roster(&self) -> Vec<(String, String)> {
        let listed = self.done("roster", "nobody in it", json!({}));
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let members = listed["members"].as_array().expect("a list");
        members.iter().map(|one| (text(one, "user"), text(one, "role"))).collect()
    }
}

fn roles(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|&(user, role)| (user.to_owned(), role.to_owned())).collect()
}

#[test]
fn a_backend_leads_a_group_by_the_roles_of_its_users_and_above_them_where_it_says_so() {
    let world = World::start();
    let member = |name: &str| json!({ "member": name });
    // Nobody may begin a group here, and a backend does.
    let mut anna = Peer::user(world.server.address(), "anna");
    let join = json!({ "rpc": { "method": "chat.join", "data": { "channel": CHANNEL } } });
    assert_eq!(anna.call(join)["error"]["code"], 103);
    for user in ["anna", "ben", "carl"] {
        assert_eq!(world.done("join", user, json!({})), json!({}));
    }
    assert_eq!(world.roster(), roles(&[("anna", "owner"), ("ben", "member"), ("carl", "member")]));
    // Its own role allows the user what it does.
    world.refused("invite", "ben", member("dora"), 403, "permission denied");
    world.refused("kick", "nobody in it", member("ben"), 403, "permission denied");
    world.done("set_role", "anna", json!({ "member": "ben", "role": "admin" }));
    world.done("invite", "ben", member("dora"));
    world.refused("kick", "ben", member("anna"), 403, "permission denied");
    // What moderates has no role, and needs none.
    let moderated = json!({ "member": "ben", "role": "owner", "as_moderator": true });
    world.done("set_role", "console", moderated);
    assert_eq!(
        world.roster(),
        roles(&[("anna", "owner"), ("ben", "owner"), ("carl", "member"), ("dora", "invited")])
    );
    world.done("leave", "carl", json!({}));
    world.done("kick", "console", json!({ "member": "anna", "as_moderator": true }));
    assert_eq!(world.roster(), roles(&[("ben", "owner"), ("dora", "invited")]));
    // Who is none any more is out, and a group of which a user is a member is among its rooms.
    let subscribe = json!({ "subscribe": { "channel": CHANNEL } });
    assert_eq!(anna.call(subscribe.clone())["error"]["code"], 103);
    let rooms = |user: &str| world.done("rooms", user, json!({}))["rooms"].clone();
    assert_eq!(rooms("anna"), json!([]));
    assert_eq!(
        (&rooms("ben")[0]["channel"], &rooms("ben")[0]["role"]),
        (&json!(CHANNEL), &json!("owner"))
    );
    let mut dora = Peer::user(world.server.address(), "dora");
    let join = json!({ "rpc": { "method": "chat.join", "data": { "channel": CHANNEL } } });
    assert_eq!(dora.call(join)["rpc"]["data"], json!({}));
    assert!(dora.call(subscribe)["subscribe"].is_object());

    let role = |role: &str| json!({ "member": "dora", "role": role });
    world.refused("set_role", "ben", role("invited"), 400, "bad request: role");
    world.refused("invite", "ben", json!({}), 400, "bad request: member");
    world.refused(
        "set_role",
        "ben",
        json!({ "member": "x", "role": "admin" }),
        200,
        "bad request: member",
    );
    let elsewhere = json!({ "user": "ben", "channel": "room:1" });
    let (status, answer) = call_api(world.api_port, API_KEY, "v1/chat.join", &elsewhere);
    assert_eq!((status, &answer["error"]["code"]), (200, &json!(108)), "{answer}");
}

#[test]
fn members_that_a_backend_made_outlive_a_killed_server_and_a_repeat_is_harmless() {
    let mut world = World::start();
    let mut commands = Vec::new();
    for user in ["anna", "ben", "anna"] {
        commands.push(json!({ "chat.join": { "user": user, "channel": CHANNEL } }));
    }
    commands.push(json!({ "chat.roster": { "user": "anna", "channel": CHANNEL } }));
    let batch = json!({ "commands": commands });
    let (status, answer) = call_api(world.api_port, API_KEY, "batch", &batch);
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer["replies"].as_array().expect("replies")[..3]
            .iter()
            .all(|reply| *reply == json!({ "chat.join": {} })),
        "{answer}"
    );
    world.server.signal("KILL");
    world.server.wait();
    world.server.start_again();
    assert_eq!(world.done("join", "ben", json!({})), json!({}));
    assert_eq!(world.roster(), roles(&[("anna", "owner"), ("ben", "member")]));
    let page = world.done("roster", "anna", json!({ "limit": 1 }));
    assert_eq!((&page["members"][0]["user"], &page["next"]), (&json!("anna"), &json!("anna")));
    assert!(page["members"][0]["since"].as_u64().is_some_and(|since| 0 < since), "{page}");
}

#[test]
fn a_mute_is_the_users_own_and_outlives_a_killed_server() {
    let mut world = World::start();
    for user in ["anna", "ben"] {
        world.done("join", user, json!({}));
    }
    let mut ben = Peer::user(world.server.address(), "ben");
    world.done("mute", "ben", json!({ "mute_s": 3_600 }));
    let until = loop {
        let object = ben.object();
        let muted = &object["push"]["message"]["data"]["muted"];
        if muted.is_object() {
            assert_eq!(muted["channel"], CHANNEL, "{object}");
            break muted["until"].as_u64().expect("a time");
        }
    };
    world.server.signal("KILL");
    world.server.wait();
    world.server.start_again();
    let until_of = |user: &str| {
        let rooms = world.done("rooms", user, json!({}))["rooms"].take();
        rooms[0]["muted_until"].as_u64()
    };
    assert_eq!((until_of("ben"), until_of("anna")), (Some(until), None));
    let mut anna = Peer::user(world.server.address(), "anna");
    let roster = json!({ "rpc": { "method": "chat.roster", "data": { "channel": CHANNEL } } });
    let listed = anna.call(roster);
    assert!(!listed.to_string().contains("muted_until"), "{listed}");
    world.done("mute", "ben", json!({}));
    assert!(until_of("ben").is_some_and(|for_good| until < for_good));
    world.done("mute", "ben", json!({ "mute_s": 0 }));
    assert_eq!(until_of("ben"), None);
    world.refused("mute", "carl", json!({}), 403, "permission denied");
    world.refused("mute", "ben", json!({ "mute_s": -1 }), 400, "bad request: mute_s");
}
