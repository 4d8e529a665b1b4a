//! Users that are kept out, whatever the application's backend says of them.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{Backend, asking, result};
use crate::common::{Encoding, Peer, Server, Settings, free_port};

const KEY: &str = "a key that only this test knows";

/// Settings with a server API on this port.
fn with_api(settings: Settings, port: u16) -> Settings {
    let hash: String =
        digest(&SHA256, KEY.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let (listen, sha256) = (format!("listen = \"127.0.0.1:{port}\""), format!("sha256 = {hash:?}"));
    settings.with_table("[api]", &[&listen]).with_table(
        "[[api.keys]]",
        &[r#"name = "test""#, &sha256, r#"scopes = ["blocks"]"#, r#"channels = ["*"]"#],
    )
}

#[track_caller]
fn call(port: u16, method: &str, body: &Value) {
    let body = body.to_string();
    let head = format!(
        "POST /api/{method} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {KEY}\r\n\
         Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the API listens");
    stream.write_all((head + &body).as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"result\""), "{answer}");
}

#[test]
fn who_is_blocked_stays_out_even_if_it_happens_while_the_backend_is_asked() {
    let (gate, port) = (Arc::new(Barrier::new(2)), free_port());
    let opened = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        opened.wait();
        result(json!({ "user": "ann" }))
    });
    let settings = with_api(asking(Settings::new(), &backend, &["connect"], &[]), port);
    let server = Server::start(settings);
    let connect = || {
        let mut peer = Peer::upgraded(server.address(), Encoding::Json);
        peer.send(json!({ "connect": {} }));
        server.wait_for_metric("chat_hooks_under_way", 1.0);
        peer
    };
    let mut asked_before = connect();
    call(port, "block_user", &json!({ "user": "ann" }));
    gate.wait();
    assert_eq!(asked_before.closed(), (3503, "blocked".to_owned()));
    let mut asked_later = connect();
    gate.wait();
    assert_eq!(asked_later.closed(), (3503, "blocked".to_owned()));
    server.wait_for_metric("chat_conn_blocked_total{kind=\"user\"}", 2.0);
    call(port, "unblock_user", &json!({ "user": "ann" }));
    let mut free = connect();
    gate.wait();
    assert!(free.object()["connect"]["client"].is_string());
    // Tokens from before a time are not good any more, and neither is the backend's word.
    call(
        port,
        "invalidate_user_tokens",
        &json!({ "user": "ann", "issued_before": 4_000_000_000_u32 }),
    );
    assert_eq!(free.closed().0, 3500);
}
