//! Tokens that are forged, cut, early, late or missing.

use serde_json::json;

use super::check_refused;
use super::common::{Encoding, Peer, Server, Settings, signed, token};

#[test]
fn bad_tokens_close_with_3500_and_expired_ones_are_told() {
    let server = Server::start(Settings::new());
    let good = token(json!({ "sub": "anna" }));
    let none = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).expect("claims"));
    let cut = &good[..good.len() - 2];
    for bad in [
        "x",
        "a.b.c",
        &none,
        cut,
        &signed(json!({ "sub": "anna" }), "another secret that is long enough, too"),
        &token(json!({ "sub": 7 })),
        &token(json!({ "sub": "anna", "nbf": 99_999_999_999_u64 })),
    ] {
        let mut peer = Peer::upgraded(server.address(), Encoding::Json);
        peer.send(json!({ "connect": { "token": bad } }));
        assert_eq!(peer.closed().0, 3500, "{bad}");
    }
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    check_refused(
        &mut peer,
        json!({ "connect": { "token": token(json!({ "sub": "anna", "exp": 1 })) } }),
        109,
    );
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    check_refused(&mut peer, json!({ "connect": {} }), 101);
    assert!(!server.log().contains(&good), "a token stands in the log");
}
