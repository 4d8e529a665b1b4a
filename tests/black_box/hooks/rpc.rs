//! Methods of the application.

use std::sync::mpsc::channel;
use std::thread;

use serde_json::json;

use super::{Answer, Backend, asking, result, server};
use crate::common::{Encoding, Opcode, Peer, Server, Settings, masked, token, until};

#[test]
fn a_method_is_answered_by_the_backend_with_what_it_needs_to_know() {
    let backend = Backend::start(|asked| {
        result(json!({ "data": { "twice": [asked.body["data"], asked.body["data"]] } }))
    });
    let server = server(&backend, &["rpc"]);
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    let connected = peer.call(
        json!({ "connect": { "token": token(json!({ "sub": "ann", "meta": { "plan": 1 } })) } }),
    );
    let reply = peer.call(json!({ "rpc": { "method": "twice", "data": { "x": 1 } } }));
    assert_eq!(reply["rpc"]["data"], json!({ "twice": [{ "x": 1 }, { "x": 1 }] }));
    let asked = backend.asked();
    assert_eq!(asked.path, "/hooks/rpc");
    assert_eq!(
        asked.body,
        json!({
            "client": connected["connect"]["client"],
            "transport": "websocket",
            "protocol": "json",
            "encoding": "json",
            "user": "ann",
            "method": "twice",
            "data": { "x": 1 },
            "meta": { "plan": 1 },
        })
    );
    assert_eq!(asked.header("content-type"), ["application/json"]);
    assert!(asked.header("x-rookery-signature").is_empty(), "there is no secret");
    server.wait_for_metric("chat_hook_requests_total{hook=\"rpc\"}", 1.0);
    server.wait_for_metric("chat_hooks_under_way", 0.0);
}

#[test]
fn errors_and_disconnects_of_the_backend_reach_the_client() {
    let backend = Backend::start(|asked| match asked.body["method"].as_str() {
        Some("error") => Answer::Json(
            json!({ "error": { "code": 1404, "message": "no such", "temporary": true } }),
        ),
        _ => Answer::Json(json!({ "disconnect": { "code": 4321, "reason": "go" } })),
    });
    let server = server(&backend, &["rpc"]);
    let mut ann = Peer::user(server.address(), "ann");
    let reply = ann.call(json!({ "rpc": { "method": "error" } }));
    assert_eq!(reply["error"], json!({ "code": 1404, "message": "no such", "temporary": true }));
    ann.send(json!({ "rpc": { "method": "end" } }));
    assert_eq!(ann.closed(), (4321, "go".to_owned()));
    server.wait_for_metric("chat_hook_requests_total{hook=\"rpc\"}", 2.0);
}

#[test]
fn headers_of_the_upgrade_are_handed_on_by_a_list_and_bodies_are_signed() {
    let backend = Backend::start(|_| result(json!({})));
    let settings = asking(Settings::new(), &backend, &["rpc"], &[]).with_table(
        "[hooks]",
        &[
            r#"secret = "between the two of us""#,
            r#"headers = ["Cookie", "X-Forwarded-For", "User-Agent"]"#,
            r#"address_header = "X-Real-Ip""#,
        ],
    );
    let server = Server::start(settings);
    let mut peer = Peer::silent(server.address());
    peer.send_raw(
        b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
          Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
          Sec-WebSocket-Version: 13\r\ncookie: a=b\r\nCookie: c=d\r\nX-Forwarded-For: 10.1.2.3\r\n\
          User-Agent: mine/1\r\nX-Real-Ip: 6.6.6.6\r\nAuthorization: secret\r\n\r\n",
    );
    assert!(peer.read_head().starts_with("HTTP/1.1 101 "));
    peer.call(json!({ "connect": { "token": token(json!({ "sub": "ann" })) } }));
    assert_eq!(peer.call(json!({ "rpc": { "method": "m" } }))["rpc"], json!({}));
    let asked = backend.asked();
    assert_eq!(asked.header("cookie"), ["a=b", "c=d"]);
    assert_eq!(asked.header("x-forwarded-for"), ["10.1.2.3"]);
    assert_eq!(asked.header("user-agent"), ["mine/1"]);
    assert_eq!(asked.header("x-real-ip"), ["127.0.0.1"], "the server's word, not the client's");
    assert!(asked.header("authorization").is_empty(), "it is on no list");
    let signature = asked.header("x-rookery-signature")[0];
    let (time, tag) =
        signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, b"between the two of us");
    let signed = [time.as_bytes(), b".", &asked.raw].concat();
    let want = aws_lc_rs::hmac::sign(&key, &signed);
    let want: String = want.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(tag, want);
}

#[test]
fn bytes_of_protobuf_clients_go_both_ways() {
    let backend = Backend::start(|asked| result(json!({ "b64data": asked.body["b64data"] })));
    let server = server(&backend, &["rpc"]);
    let mut peer = Peer::protobuf_user(server.address(), "ann");
    // id 2, rpc with data 00 ff and method m.
    let reply = peer.call_protobuf(&[8, 2, 0x6a, 7, 0x0a, 2, 0, 0xff, 0x12, 1, b'm']);
    assert_eq!(reply, [8, 2, 0x6a, 4, 0x0a, 2, 0, 0xff]);
    let asked = backend.asked();
    assert_eq!(
        (&asked.body["protocol"], &asked.body["encoding"]),
        (&json!("protobuf"), &json!("binary"))
    );
}

#[test]
fn a_slow_backend_costs_chat_nothing() {
    let backend = Backend::start(|_| Answer::Hang(Vec::new()));
    let settings =
        asking(Settings::new(), &backend, &["rpc"], &["timeout_ms = 10000", "at_once_max = 4"]);
    let server = Server::start(settings);
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let mut bob = Peer::member(server.address(), "bob", "room:1");
    let calls: String = (100..140)
        .map(|id| json!({ "id": id, "rpc": { "method": "m", "data": "x" } }).to_string() + "\n")
        .collect();
    ann.send_raw(&masked(Opcode::TEXT, calls.as_bytes()));
    server.wait_for_metric("chat_hooks_under_way", 40.0);
    for n in 0..50 {
        let reply = ann.call(json!({ "publish": { "channel": "room:1", "data": n } }));
        assert!(reply["publish"].is_object(), "{reply}");
        assert_eq!(bob.publication().0, json!(n));
    }
    assert_eq!(server.metric("chat_hooks_under_way"), 40.0, "messages do not wait for it");
}

#[test]
fn a_backend_that_is_gone_is_left_alone_and_found_again() {
    let (send, told) = channel();
    let port = crate::common::free_port();
    let lines = format!("url = \"http://127.0.0.1:{port}/\"");
    let settings = Settings::new()
        .with_table("[[hooks.endpoints]]", &["hook = \"rpc\"", &lines, "timeout_ms = 500"]);
    let server = Server::start(settings);
    let mut ann = Peer::user(server.address(), "ann");
    let suspended = "chat_hooks_suspended";
    while server.metric(suspended) == 0.0 {
        let reply = ann.call(json!({ "rpc": { "method": "m" } }));
        assert_eq!(
            (&reply["error"]["code"], &reply["error"]["temporary"]),
            (&json!(100), &json!(true))
        );
    }
    assert_eq!(server.metric("chat_hook_misses_total{reason=\"failed\"}"), 10.0);
    let reply = ann.call(json!({ "rpc": { "method": "m" } }));
    assert_eq!(reply["error"]["code"], json!(100));
    assert!(server.metric("chat_hook_misses_total{reason=\"skipped\"}") >= 1.0);
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).expect("it was free");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            super::backend::serve(stream, &|_| result(json!({ "data": 7 })), &send);
        }
    });
    let is_found = until(|| {
        let reply = ann.call(json!({ "rpc": { "method": "m" } }));
        (reply["rpc"]["data"] == json!(7)).then_some(())
    });
    assert!(is_found.is_some(), "it is not found again");
    assert!(told.recv().is_ok());
    server.wait_for_metric(suspended, 0.0);
}
