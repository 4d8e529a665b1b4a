//! A panic inside one session: that session ends, everybody else notices nothing.

use serde_json::json;

use crate::common::{Peer, Server, Settings};

#[test]
fn a_panic_ends_its_own_session_with_1011_and_is_counted() {
    let server = Server::start(Settings::new());
    let mut neighbour = Peer::member(server.address(), "neighbour", "room:1");
    for _ in 0..3 {
        let mut unlucky = Peer::member(server.address(), "unlucky", "room:1");
        unlucky.send(json!({ "rpc": { "method": "chat.panic", "data": {} } }));
        assert_eq!(unlucky.closed().0, 1011);
        // Its room and its shard go on.
        let reply =
            neighbour.call(json!({ "publish": { "channel": "room:1", "data": { "here": true } } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    let page = server.page("/metrics");
    let counted: f64 = page
        .lines()
        .filter(|line| line.contains("reason=\"panic\"") && line.contains("close"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum();
    assert!((counted - 3.0).abs() < 0.5, "{counted} panics in\n{page}");
}
