//! What stands in the log of a server that tells everything it has to tell.

use serde_json::json;

use crate::common::{Encoding, Opcode, Peer, Server, Settings, masked, signed, token};

#[test]
fn neither_tokens_nor_messages_nor_what_peers_sent_stand_in_the_log() {
    let server = Server::start(Settings::new().with("[server]", "log_level = \"debug\""));
    let good = token(json!({ "sub": "anna" }));
    let ended = token(json!({ "sub": "anna", "exp": 1 }));
    let forged = signed(json!({ "sub": "anna" }), "a secret of somebody else, long enough");
    let channel_token = token(json!({ "sub": "anna", "channel": "closed:1" }));
    for bad in [&ended, &forged] {
        let mut peer = Peer::upgraded(server.address(), Encoding::Json);
        peer.send(json!({ "connect": { "token": bad } }));
        peer.frame();
    }
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    peer.call(json!({ "connect": { "token": good, "data": "private-at-connect" } }));
    peer.call(json!({ "subscribe": { "channel": "closed:1", "token": channel_token } }));
    peer.call(json!({ "subscribe": { "channel": "room:1" } }));
    peer.call(json!({ "publish": { "channel": "room:1", "data": "private-message" } }));
    peer.call(json!({ "publish": { "channel": "room:2", "data": "private-and-refused" } }));
    peer.call(json!({ "rpc": { "method": "private.method", "data": "private-call" } }));
    peer.send_raw(&masked(Opcode::TEXT, b"{private-and-malformed"));
    peer.closed();
    let mut stray = Peer::silent(server.address());
    stray.send_raw(b"GET /private-path?token=private HTTP/1.1\r\nHost: x\r\n\r\n");
    stray.read_to_end();

    let log = server.log();
    assert!(log.contains("listening on"), "{log}");
    for secret in [&*good, &ended, &forged, &channel_token, "private"] {
        assert!(!log.contains(secret), "{secret} stands in {log}");
    }
}
