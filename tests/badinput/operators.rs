//! What an operator can get wrong before the server runs.

use std::net::TcpListener;

use super::common::{Server, Settings, free_port, run};

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
