//! Who may speak to the bridge.

use crate::world::{Alert, Bridge, World, post, request, wait_for};

const TOKEN: &str = "a token of twenty-two b";
const BEARER: &str = "Bearer a token of twenty-two b";
/// `alertmanager:a token of twenty-two b`.
const BASIC: &str = "Basic YWxlcnRtYW5hZ2VyOmEgdG9rZW4gb2YgdHdlbnR5LXR3byBi";

fn send(world: &World, path: &str, authorization: &str) -> u16 {
    let body = Alert::payload("g", &[Alert::firing("n-1-")]);
    let header = match authorization {
        "" => String::new(),
        value => format!("\r\nauthorization: {value}"),
    };
    let head = format!("POST {path} HTTP/1.1\r\ncontent-type: application/json{header}");
    request(world.bridge.address(), &head, &body).0
}

#[test]
fn only_who_knows_the_token_notifies_and_feeds_the_watchdog() {
    let mut world = World::not_started("[bridge]\ntoken_file = \"listener\"\n");
    std::fs::write(world.bridge.file("listener"), TOKEN).expect("it can be written");
    world.bridge.start();
    for authorization in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer a token of twenty-two",
        "Basic YWxlcnRtYW5hZ2VyOg==",
        "Basic !",
        "Digest a token of twenty-two b",
        TOKEN,
    ] {
        for path in ["/v1/notify/page", "/v1/notify/nobody", "/v1/deadman"] {
            assert_eq!(send(&world, path, authorization), 401, "{path} {authorization}");
        }
    }
    assert_eq!(world.bridge.get("/v1/notify/page").0, 401, "before the method is looked at");
    let count = || world.bridge.metric("chatalert_webhooks_total{outcome=\"unauthorized\"}");
    wait_for("them to be counted", || count() == 25.0);
    assert_eq!(world.robots.messages(), Vec::<String>::new());
    for authorization in [BEARER, BASIC, "bearer   a token of twenty-two b"] {
        assert_eq!(send(&world, "/v1/deadman", authorization), 200, "{authorization}");
    }
    assert_eq!(send(&world, "/v1/notify/page", BASIC), 200);
    wait_for("the message", || world.robots.messages().len() == 1);
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(world.bridge.get(path).0, 200, "{path}");
    }
    // A new token counts from the signal on.
    std::fs::write(world.bridge.file("listener"), "another one of 16 b").expect("it can be");
    world.bridge.hang_up();
    wait_for("the new one", || send(&world, "/v1/deadman", "Bearer another one of 16 b") == 200);
    assert_eq!(send(&world, "/v1/deadman", BEARER), 401);
    for text in [world.bridge.log(), world.bridge.everything_written()] {
        assert!(!text.contains(TOKEN), "{text}");
    }
}

#[test]
fn an_address_that_others_reach_needs_a_token() {
    let check = |listen: &str, more: &str, want: Option<&str>| {
        let more = format!("[bridge]\n{more}");
        let bridge = Bridge::write("http://127.0.0.1:1/send", &more, "");
        std::fs::write(bridge.file("listener"), TOKEN).expect("it can be written");
        std::fs::write(bridge.file("short"), "fifteen bytes 1").expect("it can be written");
        let text = std::fs::read_to_string(bridge.file("bridge.toml")).expect("it is there");
        let line = format!("listen = \"{}\"", bridge.address());
        bridge.write_config(&text.replace(&line, &format!("listen = \"{listen}\"")));
        let (code, _, stderr) = bridge.command(&["check"]);
        assert_eq!(code, if want.is_some() { 2 } else { 0 }, "{listen} {more}: {stderr}");
        assert!(stderr.contains(want.unwrap_or_default()), "{stderr}");
    };
    let token = "token_file = \"listener\"\n";
    for listen in ["0.0.0.0:9494", "[::]:9494", "10.0.0.1:9494", "[::ffff:10.0.0.1]:9494"] {
        check(listen, "", Some("bridge.listen: other machines reach this address"));
        check(listen, token, None);
    }
    for listen in ["127.0.0.1:9494", "[::1]:9494", "127.9.9.9:9494"] {
        check(listen, "", None);
    }
    check("127.0.0.1:9494", "token_file = \"short\"\n", Some("at least 16 bytes"));
    let both = format!("{token}token_env = \"A\"\n");
    check("127.0.0.1:9494", &both, Some("bridge.token_file: a file and a variable"));
}

#[test]
fn a_link_for_a_silence_works_once_and_again_when_none_was_made() {
    let mut world = World::new(60.0, "");
    let alertmanager = world.start_alertmanager();
    let alert = r#"[{"labels":{"alertname":"ChatCoreHung","severity":"critical","job":"chat"}}]"#;
    assert_eq!(post(&alertmanager, "/api/v2/alerts", "application/json", alert).0, 200);
    wait_for("the message", || !world.robots.messages().is_empty());
    let message = world.robots.messages().remove(0);
    let link = message.split("[silence](").nth(1).and_then(|rest| rest.split(')').next());
    let query = link.and_then(|link| link.split_once('?')).expect("the message has the link").1;
    let form = format!("{query}&who=anna&minutes=60");
    let use_it = |world: &World| {
        post(world.bridge.address(), "/v1/silence", "application/x-www-form-urlencoded", &form).0
    };
    let text = std::fs::read_to_string(world.bridge.file("bridge.toml")).expect("it is there");
    world.bridge.write_config(&text.replace(&alertmanager, "127.0.0.1:9"));
    // What is asked before new settings count would be done by the old ones.
    world.bridge.kill_and_restart();
    assert_eq!(use_it(&world), 502);
    world.bridge.write_config(&text);
    world.bridge.kill_and_restart();
    assert_eq!(use_it(&world), 200);
    assert_eq!(use_it(&world), 410);
    assert_eq!(world.bridge.get(&format!("/v1/silence?{query}")).0, 410);
    world.bridge.kill_and_restart();
    assert_eq!(use_it(&world), 410, "also after a restart");
    let made = world.get_from(&alertmanager, "/api/v2/silences").1;
    assert_eq!(made.matches("\"createdBy\"").count(), 1, "{made}");
}
