//! Tokens that are forged, cut, early, late or missing.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;

use super::check_refused;
use crate::common::{Encoding, Peer, Server, Settings, signed, token};

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

#[test]
fn public_keys_check_tokens_and_are_no_secrets() {
    let pem = |name: &str| {
        let path = format!("{}/tests/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"));
        (fs::read(&path).expect("it is there"), path)
    };
    for (name, algorithm, key) in [
        ("rsa", Algorithm::RS256, EncodingKey::from_rsa_pem as fn(&[u8]) -> _),
        ("ec", Algorithm::ES256, EncodingKey::from_ec_pem),
        ("ed", Algorithm::EdDSA, EncodingKey::from_ed_pem),
    ] {
        let (public, path) = pem(&format!("{name}.public"));
        let settings = Settings::new()
            .without("[[auth.keys]]", "secret")
            .with("[[auth.keys]]", format!("algorithm = \"{algorithm:?}\""))
            .with("[[auth.keys]]", format!("pem_file = {path:?}"));
        let server = Server::start(settings);
        let connect = |algorithm: Algorithm, key: &EncodingKey| {
            let claims = json!({ "sub": "anna" });
            let token = jsonwebtoken::encode(&Header::new(algorithm), &claims, key);
            let mut peer = Peer::upgraded(server.address(), Encoding::Json);
            peer.send(json!({ "connect": { "token": token.expect("it can be signed") } }));
            peer
        };
        let private = key(&pem(&format!("{name}.private")).0).expect("it is a key");
        let reply = connect(algorithm, &private).object();
        assert!(reply["connect"]["client"].is_string(), "{name}: {reply}");
        // What everybody may know must not sign: not as a secret, either.
        let mut forger = connect(Algorithm::HS256, &EncodingKey::from_secret(&public));
        assert_eq!(forger.closed().0, 3500, "{name}");
    }
}

/// The end of a token that is good now, and not for long.
#[allow(clippy::disallowed_methods, reason = "the server compares it with its own clock")]
fn soon_unix_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    now.as_secs() + 3
}

#[test]
fn a_token_that_ends_and_is_not_refreshed_ends_the_connection_with_3005() {
    let server = Server::start(Settings::new().with("[session]", "expiry_grace_ms = 0"));
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    let ends = token(json!({ "sub": "anna", "exp": soon_unix_s() }));
    let reply = peer.call(json!({ "connect": { "token": ends } }));
    assert_eq!(reply["connect"]["expires"], json!(true), "{reply}");
    assert_eq!(peer.closed().0, 3005);
}

#[test]
fn a_subscription_that_ends_and_is_not_refreshed_ends_alone_with_2501() {
    let server = Server::start(Settings::new().with("[session]", "expiry_grace_ms = 0"));
    let mut peer = Peer::user(server.address(), "anna");
    let ends = token(json!({ "sub": "anna", "channel": "closed:1", "exp": soon_unix_s() }));
    let reply = peer.call(json!({ "subscribe": { "channel": "closed:1", "token": ends } }));
    assert_eq!(reply["subscribe"]["expires"], json!(true), "{reply}");
    let push = peer.object();
    assert_eq!(push["push"]["channel"], json!("closed:1"), "{push}");
    assert_eq!(push["push"]["unsubscribe"]["code"], json!(2501), "{push}");
    assert!(peer.call(json!({ "ping": {} }))["ping"].is_object());
}

#[test]
fn insecure_lets_everybody_do_everything_and_says_so_at_the_start() {
    let warning = "session.insecure is true";
    let server = Server::start(Settings::new().with("[session]", "insecure = true"));
    assert!(server.log().contains(warning), "{}", server.log());
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    for (command, answer) in [
        (json!({ "connect": {} }), "connect"),
        (json!({ "publish": { "channel": "closed:1", "data": {} } }), "publish"),
        (json!({ "subscribe": { "channel": "closed:1" } }), "subscribe"),
    ] {
        let reply = peer.call(command);
        assert!(reply[answer].is_object(), "{reply}");
    }
    assert!(!Server::start(Settings::new()).log().contains(warning));
}
