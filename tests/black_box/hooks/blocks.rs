//! Users that are kept out, whatever the application's backend says of them.

use std::sync::{Arc, Barrier};

use serde_json::{Value, json};

use super::{Backend, asking, result};
use crate::common::{API_KEY, Encoding, Peer, Server, Settings, call_api, free_port, with_api};

#[track_caller]
fn call(port: u16, method: &str, body: &Value) {
    let (status, answer) = call_api(port, API_KEY, method, body);
    assert!(status == 200 && answer["result"].is_object(), "{status} {answer}");
}

#[test]
fn who_is_blocked_stays_out_even_if_it_happens_while_the_backend_is_asked() {
    let (gate, port) = (Arc::new(Barrier::new(2)), free_port());
    let opened = Arc::clone(&gate);
    let backend = Backend::start(move |_| {
        opened.wait();
        result(json!({ "user": "ann" }))
    });
    let settings = asking(Settings::new(), &backend, &["connect"], &[]);
    let settings = with_api(settings, port, &["blocks"]);
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
