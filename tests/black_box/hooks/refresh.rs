//! Connections and subscriptions that are about to expire.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::{Answer, Backend, asking, result};
use crate::common::{Encoding, Peer, Server, Settings};

#[expect(clippy::disallowed_methods, reason = "the server compares with the clock")]
fn in_s(seconds: u64) -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds
}

#[test]
fn the_backend_prolongs_connections_and_lets_them_expire() {
    let asked_count = AtomicU32::new(0);
    let backend = Backend::start(move |asked| match &*asked.path {
        "/hooks/connect" => result(json!({ "user": "ann", "expire_at": in_s(1) })),
        _ if asked_count.fetch_add(1, SeqCst) == 0 => result(json!({ "expire_at": in_s(1) })),
        _ => result(json!({ "expired": true })),
    });
    let server = Server::start(asking(Settings::new(), &backend, &["connect", "refresh"], &[]));
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    let connected = peer.call(json!({ "connect": {} }));
    assert!(connected["connect"]["expires"].is_null(), "{connected}");
    assert_eq!(backend.asked().path, "/hooks/connect");
    for _ in 0..2 {
        let asked = backend.asked();
        assert_eq!((&*asked.path, &asked.body["user"]), ("/hooks/refresh", &json!("ann")));
    }
    assert_eq!(peer.closed().0, 3005);
}

#[test]
fn the_backend_prolongs_subscriptions_and_lets_them_expire() {
    let asked_count = AtomicU32::new(0);
    let backend = Backend::start(move |asked| match &*asked.path {
        "/hooks/subscribe" => result(json!({ "expire_at": in_s(1), "info": { "role": "guest" } })),
        _ if asked_count.fetch_add(1, SeqCst) == 0 => result(json!({ "expire_at": in_s(1) })),
        _ => Answer::Json(json!({})),
    });
    let settings = asking(Settings::new(), &backend, &["subscribe", "sub_refresh"], &[]);
    let settings = settings.with_table(
        "[[namespaces]]",
        &[
            r#"name = "hooked""#,
            "subscribe_hook = true",
            "sub_refresh_hook = true",
            r#"see_presence = "subscribers""#,
            "presence = true",
        ],
    );
    let server = Server::start(settings);
    let mut ann = Peer::user(server.address(), "ann");
    let reply = ann.call(json!({ "subscribe": { "channel": "hooked:1" } }));
    assert!(reply["subscribe"].is_object() && reply["subscribe"]["expires"].is_null(), "{reply}");
    let presence = ann.call(json!({ "presence": { "channel": "hooked:1" } }));
    let clients = presence["presence"]["presence"].as_object().unwrap();
    assert!(clients.values().all(|client| client["chan_info"] == json!({ "role": "guest" })));
    assert_eq!(backend.asked().path, "/hooks/subscribe");
    for _ in 0..2 {
        let asked = backend.asked();
        assert_eq!(
            (&*asked.path, &asked.body["channel"]),
            ("/hooks/sub_refresh", &json!("hooked:1"))
        );
    }
    let push = ann.object();
    assert_eq!(push["push"]["unsubscribe"]["code"], json!(2501), "{push}");
}
