//! Who a client is, by its backend.

use std::sync::{Arc, Barrier};

use serde_json::json;

use super::{Answer, Backend, asking, result, server};
use crate::common::{Encoding, Peer, Server, Settings, token};

#[test]
fn the_backend_lets_clients_in_without_a_token() {
    let backend = Backend::start(|asked| {
        let name =
            asked.header("cookie").first().map_or("", |cookie| &cookie["user=".len()..]).to_owned();
        result(json!({
            "user": name,
            "info": { "name": asked.body["data"]["name"] },
            "data": { "hello": name },
            "channels": ["room:1"],
            "subs": { "room:2": { "data": [1, 2] } },
            "meta": { "plan": "pro" },
        }))
    });
    let settings = asking(Settings::new(), &backend, &["connect", "rpc"], &[])
        .with_table("[hooks]", &[r#"headers = ["cookie"]"#]);
    let server = Server::start(settings);
    let mut peer = Peer::silent(server.address());
    peer.send_raw(
        b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
          Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
          Sec-WebSocket-Version: 13\r\nCookie: user=ann\r\n\r\n",
    );
    assert!(peer.read_head().starts_with("HTTP/1.1 101 "));
    // SDKs send both in one frame.
    peer.send_text(
        "{\"id\":1,\"connect\":{\"data\":{\"name\":\"Ann\"},\"name\":\"js\",\"version\":\"5\"}}\n\
         {\"id\":2,\"subscribe\":{\"channel\":\"room:3\"}}",
    );
    let connected = peer.object();
    assert_eq!(
        (&connected["id"], &connected["connect"]["data"]),
        (&json!(1), &json!({ "hello": "ann" }))
    );
    assert!(connected["connect"]["subs"]["room:1"].is_object());
    assert_eq!(connected["connect"]["subs"]["room:2"]["data"], json!([1, 2]));
    assert!(peer.object()["subscribe"].is_object());
    let asked = backend.asked();
    let mut want = json!({
        "client": connected["connect"]["client"], "transport": "websocket", "protocol": "json",
        "encoding": "json", "data": { "name": "Ann" }, "name": "js", "version": "5",
    });
    assert_eq!(asked.body, want);
    want = json!({ "user": "ann", "client": connected["connect"]["client"], "conn_info": { "name": "Ann" } });
    let presence = peer.call(json!({ "presence": { "channel": "room:3" } }));
    let client = connected["connect"]["client"].as_str().unwrap();
    assert_eq!(presence["presence"]["presence"][client], want);
    peer.send(json!({ "rpc": { "method": "m" } }));
    let asked = backend.asked();
    assert_eq!(
        (&asked.body["user"], &asked.body["meta"]),
        (&json!("ann"), &json!({ "plan": "pro" }))
    );
    assert_eq!(asked.header("cookie"), ["user=ann"], "it is kept for later hooks");
}

#[test]
fn headers_of_the_connect_command_have_a_list_of_their_own() {
    let backend = Backend::start(|_| result(json!({ "user": "ann" })));
    let lists = [r#"headers = ["cookie"]"#, r#"client_headers = ["X-Session", "authorization"]"#];
    let settings = asking(Settings::new(), &backend, &["connect", "rpc"], &[]);
    let server = Server::start(settings.with_table("[hooks]", &lists));
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    let headers = json!({
        "x-session": "s1", "Authorization": "Bearer b", "cookie": "user=root", "host": "evil",
        "content-length": "7",
    });
    let reply = peer.call(json!({ "connect": { "headers": headers } }));
    assert!(reply["connect"]["client"].is_string(), "{reply}");
    peer.send(json!({ "rpc": { "method": "m" } }));
    for _ in 0..2 {
        let asked = backend.asked();
        assert_eq!(asked.header("x-session"), ["s1"]);
        assert_eq!(asked.header("authorization"), ["Bearer b"]);
        assert!(asked.header("cookie").is_empty(), "it is of the upgrade alone");
        assert_ne!(asked.header("host"), ["evil"]);
    }
}

#[test]
fn the_backend_turns_clients_away() {
    let backend = Backend::start(|asked| match asked.body["name"].as_str() {
        Some("error") => Answer::Json(json!({ "error": { "code": 4000, "message": "no" } })),
        Some("later") => Answer::Json(json!({ "error": { "code": 4001, "temporary": true } })),
        Some("end") => Answer::Json(json!({ "disconnect": { "code": 4501, "reason": "banned" } })),
        Some("old") => result(json!({ "user": "ann", "expire_at": 1_000 })),
        Some("nobody") => Answer::Json(json!({})),
        _ => Answer::Hang(Vec::new()),
    });
    let settings = asking(Settings::new(), &backend, &["connect"], &["timeout_ms = 300"]);
    let server = Server::start(settings);
    for (name, told, code) in [
        ("error", json!({ "code": 4000, "message": "no" }), 3507),
        ("later", json!({ "code": 4001, "temporary": true }), 3004),
        ("nobody", json!({ "code": 101, "message": "unauthorized" }), 3507),
        (
            "hang",
            json!({ "code": 100, "message": "internal server error", "temporary": true }),
            3004,
        ),
    ] {
        let mut peer = Peer::upgraded(server.address(), Encoding::Json);
        let reply = peer.call(json!({ "connect": { "name": name } }));
        assert_eq!(reply["error"], told, "{name}");
        assert_eq!(peer.closed().0, code, "{name}");
    }
    for (name, code) in [("end", 4501), ("old", 3005)] {
        let mut peer = Peer::upgraded(server.address(), Encoding::Json);
        peer.send(json!({ "connect": { "name": name } }));
        assert_eq!(peer.closed().0, code, "{name}");
    }
    server.wait_for_metric("chat_conn_closed_total{reason=\"backend\"}", 1.0);
}

#[test]
fn tokens_are_not_asked_about_and_who_leaves_is_forgotten() {
    let gate = Arc::new(Barrier::new(2));
    let opened = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        opened.wait();
        result(json!({ "user": "ann", "channels": ["room:1"] }))
    });
    let server = server(&backend, &["connect"]);
    let mut gone = Peer::upgraded(server.address(), Encoding::Json);
    gone.send(json!({ "connect": {} }));
    server.wait_for_metric("chat_hooks_under_way", 1.0);
    server.wait_for_metric("chat_active_connections{protocol=\"json\"}", 1.0);
    drop(gone);
    server.wait_for_metric("chat_active_connections{protocol=\"json\"}", 0.0);
    gate.wait();
    backend.asked();
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    let reply = peer.call(json!({ "connect": { "token": token(json!({ "sub": "bob" })) } }));
    assert!(reply["connect"]["client"].is_string(), "{reply}");
    assert!(backend.is_left_alone());
    server.wait_for_metric("chat_hooks_under_way", 0.0);
    server.wait_for_metric("chat_subscriptions", 1.0); // the inbox of who is here
}
