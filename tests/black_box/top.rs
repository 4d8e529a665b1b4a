//! `rookery top --once`: what is printed of a server that serves, of one that is gone, and of
//! something that is no server.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;
use std::thread;

use serde_json::{Value, json};

use crate::common::{ADMIN_TOKEN, Encoding, Peer, Server, Settings, binary, run, token};

/// One picture of a server, asked for as its operator does.
fn once(server: &Server, more: &[&str]) -> Output {
    let config = server.folder().join("rookery.toml").display().to_string();
    let all = [&["top", "--once", "--interval-ms", "200", "--config", &config], more].concat();
    binary(all).output().expect("it runs")
}

#[track_caller]
fn text(output: &Output) -> &str {
    assert!(output.status.success(), "{output:?}");
    let text = str::from_utf8(&output.stdout).expect("it is text");
    assert!(!text.contains(|letter: char| letter.is_control() && letter != '\n'), "{text:?}");
    text
}

#[test]
fn a_picture_of_a_live_server_is_text_for_people_and_json_for_programs() {
    let server = Server::start(Settings::new());
    let _ann = Peer::member(server.address(), "ann", "room:1");
    let mut boss = Peer::upgraded(server.address(), Encoding::Json);
    let claims = json!({ "sub": "boss", "tenant": "公司" });
    boss.call(json!({ "connect": { "token": token(claims) } }));
    let output = once(&server, &[]);
    let seen = text(&output);
    let address = format!("http://127.0.0.1:{}", server.admin_port);
    let head = seen.lines().next().expect("a line");
    assert!(head.starts_with(concat!("rookery ", env!("CARGO_PKG_VERSION"), "  ")), "{seen}");
    assert!(head.contains(&address) && head.trim_end().ends_with("ready"), "{seen}");
    for words in ["connections  2 of ", "opened 0/s", "p99 –", "公司 1", "core", " ops"] {
        assert!(seen.contains(words), "no {words:?} in {seen}");
    }
    let output = once(&server, &["--json"]);
    let json: Value = serde_json::from_str(text(&output)).expect("it is JSON");
    assert_eq!((&json["connections"]["open"], &json["state"]), (&json!(2.0), &json!("ready")));
    let cores = json["cores"].as_array().expect("a list");
    let connections: f64 = cores.iter().filter_map(|core| core["connections"].as_f64()).sum();
    assert_eq!(connections, 2.0, "{json}");
    assert!(cores.iter().all(|core| core["phase"].is_string()), "{json}");
    assert!(json["over_seconds"].as_f64().is_some_and(|over| 0.2 <= over), "{json}");
}

#[test]
fn without_the_token_there_is_all_but_the_phases_of_cores() {
    let server = Server::start(Settings::new());
    let address = format!("http://127.0.0.1:{}", server.admin_port);
    let file = server.folder().join("token");
    let check = |arguments: &[&str], want: &str, phases: bool| {
        let all =
            [&["top", "--once", "--interval-ms", "200", "--admin", &address], arguments].concat();
        let output = run(&all);
        let seen = text(&output);
        assert!(seen.contains(want) && seen.contains("connections  0 of "), "{seen}");
        assert_eq!(seen.contains(" ops"), phases, "{seen}");
    };
    check(&[], "delivery     p50", false);
    let path = file.to_str().expect("a plain path");
    std::fs::write(&file, ADMIN_TOKEN).expect("it can be written");
    check(&["--token-file", path], "delivery     p50", true);
    std::fs::write(&file, "a-token-of-somebody-else").expect("it can be written");
    check(&["--token-file", path], "the admin token is refused", false);
}

#[test]
fn a_server_that_is_not_there_is_told_and_what_a_stranger_says_moves_no_cursor() {
    let server = Server::start(Settings::new());
    let gone = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("it has one")
    };
    let refused = |address: &str, want: &str| {
        let output = run(&["top", "--once", "--admin", address]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
        assert!(said.contains(want) && !said.contains('\u{1b}'), "{said}");
    };
    refused(&format!("http://{gone}"), &format!("the server at http://{gone}: "));
    let chat = format!("http://127.0.0.1:{}", server.port);
    refused(&chat, "says 404");
    for (answer, want) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n<\u{1b}[2Jx>\n", "line 1"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nup 1\n", "no rookery"),
        ("HTTP/1.1 500 No\r\ncontent-length: 6\r\n\r\n\u{1b}[2Jno", "says 500: \\u{1b}[2Jno"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\nup 1\n", "does not end"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it has one");
        let stranger = thread::spawn(move || {
            // Each question has a connection of its own, and a stranger says one thing.
            for stream in listener.incoming().take(3) {
                let mut stream = stream.expect("it comes");
                let _ = stream.read(&mut [0; 65_536]);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        refused(&format!("http://{address}"), want);
        drop(stranger);
    }
    let output = run(&["top", "--admin", &format!("http://{gone}")]);
    assert_eq!(output.status.code(), Some(2), "a pipe is no terminal: {output:?}");
    let output = run(&["top", "--once", "--interval-ms", "10"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
