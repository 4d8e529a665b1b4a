//! What an operator can get wrong before the server runs, and what one may change then.

use std::net::TcpListener;

use serde_json::json;

use super::Witness;
use crate::common::{Encoding, Frame, Opcode, Peer, Server, Settings, free_port, run, signed};

/// `rookery serve` with this configuration must end with a sentence that has all of `words`.
#[track_caller]
fn check_start(settings: Settings, port: u16, words: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let config = Server::config_for(settings, &folder, port);
    let output = run(&["serve", "--config", config.to_str().expect("a plain path")]);
    assert_eq!(output.status.code().map(|code| code != 0), Some(true), "{output:?}");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    for word in words {
        assert!(text.contains(word), "no {word:?} in {text}");
    }
    assert!(!text.contains("panicked"), "{text}");
}

#[test]
fn a_port_in_use_is_a_sentence_with_the_address() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let port = listener.local_addr().expect("it has one").port();
    check_start(Settings::new(), port, &[&format!("127.0.0.1:{port}"), "taken"]);
}

#[test]
fn a_key_file_that_is_not_there_is_a_sentence_with_its_path() {
    let settings = Settings::new()
        .with("[[auth.keys]]", "algorithm = \"ES256\"")
        .with("[[auth.keys]]", "pem_file = \"/nowhere/rookery.pem\"")
        .without("[[auth.keys]]", "secret");
    check_start(settings, free_port(), &["/nowhere/rookery.pem"]);
}

#[test]
fn a_configuration_that_is_not_there_is_a_sentence_with_its_path() {
    let output = run(&["serve", "--config", "/nowhere/rookery.toml"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/rookery.toml"));
}

/// What a user with a token of this secret gets: 0 for being let in, or a close code.
#[track_caller]
fn outcome_of(server: &Server, secret: &str) -> u16 {
    let mut peer = Peer::upgraded(server.address(), Encoding::Json);
    peer.send(json!({ "connect": { "token": signed(json!({ "sub": "anna" }), secret) } }));
    match peer.frame() {
        Frame::Frame(Opcode::TEXT, payload) if payload.starts_with(br#"{"id":1,"connect""#) => 0,
        Frame::Frame(Opcode::CLOSE, payload) => u16::from_be_bytes([payload[0], payload[1]]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hang_up_exchanges_the_keys_and_a_mistake_keeps_them() {
    let [old, new] = ["the first secret of this test", "the second secret of this test"];
    let with = |secret: &str| Settings::new().with("[[auth.keys]]", format!("secret = {secret:?}"));
    let server = Server::start(with(old));
    assert_eq!([old, new].map(|secret| outcome_of(&server, secret)), [0, 3500]);

    server.rewrite_config(with(new));
    server.signal("HUP");
    server.wait_for_log("keys were read again", 1);
    assert_eq!([old, new].map(|secret| outcome_of(&server, secret)), [3500, 0]);

    server.rewrite_config(with(old).with("[[auth.keys]]", "algorithm = \"none\""));
    server.signal("HUP");
    server.wait_for_log("keys stay as they were", 1);
    assert_eq!([old, new].map(|secret| outcome_of(&server, secret)), [3500, 0]);
    assert!(!server.log().contains("secret of this test"), "{}", server.log());
}

#[test]
fn who_is_in_stays_when_the_keys_are_exchanged() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    let other = "secret = \"a secret that the witness does not know\"";
    server.rewrite_config(Settings::new().with("[[auth.keys]]", other));
    server.signal("HUP");
    server.wait_for_log("keys were read again", 1);
    witness.check();
}
