//! Requests that are none, late ones, and sockets that never speak.

use std::fs;
use std::io::{ErrorKind, Read};
use std::time::Duration;

use super::Witness;
use crate::common::{Encoding, Peer, Server, Settings, upgrade_request};

/// Sends `bytes` and expects an HTTP answer that begins with `want`, then the end.
#[track_caller]
fn check_upgrade(server: &Server, bytes: &[u8], want: &str) -> String {
    let mut peer = Peer::silent(server.address());
    peer.send_raw(bytes);
    let answer = String::from_utf8_lossy(&peer.read_to_end()).into_owned();
    assert!(answer.starts_with(want), "{}: {answer}", String::from_utf8_lossy(bytes));
    answer
}

#[test]
fn malformed_upgrades_are_answered_and_ended() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    let good = upgrade_request("/connection/websocket");
    let without = |line: &str| {
        let lines: Vec<&str> = good.split("\r\n").filter(|one| !one.starts_with(line)).collect();
        lines.join("\r\n")
    };
    let instead = |line: &str, other: &str| good.replace(line, other);
    for (request, want) in [
        ("\0\0\0\0\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("hello there\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (instead("GET ", "POST "), "HTTP/1.1 405"),
        (instead("HTTP/1.1", "HTTP/1.0"), "HTTP/1.1 505"),
        (instead("/connection/websocket", "/other"), "HTTP/1.1 404"),
        (without("Host"), "HTTP/1.1 400"),
        (without("Upgrade"), "HTTP/1.1 426"),
        (without("Connection"), "HTTP/1.1 4"),
        (without("Sec-WebSocket-Key"), "HTTP/1.1 400"),
        (instead("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), "HTTP/1.1 400"),
        (instead("dGhlIHNhbXBsZSBub25jZQ==", "***"), "HTTP/1.1 400"),
        (instead("Host:", "Host\u{7f}:"), "HTTP/1.1 400"),
        (instead("Host:", &format!("X-Long: {}\r\nHost:", "x".repeat(9_000))), "HTTP/1.1 431"),
    ] {
        check_upgrade(&server, request.as_bytes(), want);
        witness.check();
    }
}

#[test]
fn a_wrong_version_is_told_the_right_one() {
    let server = Server::start(Settings::new());
    let request = upgrade_request("/connection/websocket").replace("Version: 13", "Version: 12");
    let answer = check_upgrade(&server, request.as_bytes(), "HTTP/1.1 426");
    assert!(answer.contains("Sec-WebSocket-Version: 13\r\n"), "{answer}");
}

#[test]
fn where_there_is_no_room_one_is_told_when_to_come_again() {
    let settings =
        Settings::new().with("[server]", "shards = 1").with("[server]", "connections_max = 1");
    let server = Server::start(settings);
    let mut witness = Witness::of(&server);
    let request = upgrade_request("/connection/websocket");
    let answer = check_upgrade(&server, request.as_bytes(), "HTTP/1.1 503");
    let (_, wait_s) = answer.split_once("\r\nRetry-After: ").expect("it says when");
    let wait_s = wait_s.split("\r\n").next().and_then(|text| text.parse::<u32>().ok());
    assert!(wait_s.is_some_and(|wait_s| 0 < wait_s), "{answer}");
    witness.check();
}

#[test]
fn a_page_of_a_foreign_origin_may_not_connect() {
    let settings = Settings::new().with("[ws]", "origins = [\"https://chat.example\"]");
    let server = Server::start(settings);
    let from = |origin: &str| {
        let header = format!("Origin: {origin}\r\nHost:");
        upgrade_request("/connection/websocket").replace("Host:", &header)
    };
    check_upgrade(&server, from("https://evil.example").as_bytes(), "HTTP/1.1 403");
    let mut peer = Peer::silent(server.address());
    peer.send_raw(from("https://chat.example").as_bytes());
    assert!(peer.read_head().starts_with("HTTP/1.1 101"));
}

#[test]
fn a_head_that_comes_byte_by_byte_is_served_and_a_slow_one_is_ended() {
    let settings = Settings::new().with("[session]", "upgrade_ms_max = 1500");
    let server = Server::start(settings);
    let mut witness = Witness::of(&server);

    let mut quick = Peer::silent(server.address());
    for byte in upgrade_request("/connection/websocket").bytes() {
        quick.send_raw(&[byte]);
    }
    assert!(quick.read_head().starts_with("HTTP/1.1 101"));

    // Each byte is sent when the one before had time to be dealt with; the server
    // must not give a new deadline for each.
    let mut slow = Peer::silent(server.address());
    slow.stream.set_read_timeout(Some(Duration::from_millis(250))).expect("it can be set");
    let request = upgrade_request("/connection/websocket");
    let sent = request.bytes().take_while(|byte| {
        slow.send_raw(&[*byte]);
        !has_ended(&slow)
    });
    let sent = sent.count();
    assert!((1..20).contains(&sent), "it was given {sent} bytes");
    witness.check();
}

/// Waits for the socket's end as long as its timeout allows.
fn has_ended(peer: &Peer) -> bool {
    let mut answer = [0; 1_024];
    // An answer (408) is no end yet, but one follows.
    !matches!((&peer.stream).read(&mut answer), Err(error)
        if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn ten_thousand_silent_sockets_harm_nobody() {
    let settings = Settings::new().with("[session]", "upgrade_ms_max = 3000");
    let server = Server::start(settings);
    let mut witness = Witness::of(&server);
    // As many as this process may have, where that is less.
    let count = descriptors_max().saturating_sub(500).min(10_000);
    let mut silent: Vec<Peer> = (0..count).map(|_| Peer::silent(server.address())).collect();
    witness.check();
    let mut newcomer = Witness::of(&server);
    newcomer.said = witness.said;
    newcomer.check();
    for peer in &mut silent {
        let answer = peer.read_to_end();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 408"),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }
}

fn descriptors_max() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux has it");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("a line");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}

#[test]
fn who_upgrades_and_says_nothing_is_closed_as_stale() {
    let settings = Settings::new().with("[session]", "connect_ms_max = 300");
    let server = Server::start(settings);
    assert_eq!(Peer::upgraded(server.address(), Encoding::Json).closed().0, 3502);
}
