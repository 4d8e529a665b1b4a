//! A server that gets a fraction of a core, a crowd that answers its pings, and a storm of
//! newcomers: nobody is closed for the server's own lateness.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use common::{Frame, Opcode, Peer, Server, Settings, until, upgrade_request};

/// Clients that are there, and answer.
const CLIENTS_COUNT: usize = 40;

/// The server runs for a fifth of the time, and stands still for longer than it waits for a
/// pong.
const RUNS_MS: u64 = 80;
const STANDS_MS: u64 = 320;
const PRESSURE_MS: u64 = 3_000;

/// Answers pings until it is over; whether the connection was still there.
fn answer(mut peer: Peer, is_over: &AtomicBool) -> bool {
    while !is_over.load(Relaxed) {
        match peer.frame() {
            Frame::Frame(Opcode::TEXT, payload) if payload == b"{}" => peer.send_text("{}"),
            Frame::Frame(Opcode::TEXT, _) => {}
            Frame::Frame(..) | Frame::End => return false,
        }
    }
    true
}

/// Comes, asks for the upgrade and goes, again and again.
fn storm(server: &Server, is_over: &AtomicBool, came: &AtomicUsize) {
    while !is_over.load(Relaxed) {
        let mut peer = Peer::silent(server.address());
        peer.send_raw(upgrade_request("/connection/websocket").as_bytes());
        if peer.read_head().starts_with("HTTP/1.1 101 ") {
            came.fetch_add(1, Relaxed);
        }
    }
}

#[test]
fn a_server_without_time_closes_nobody_who_answers() {
    let settings = Settings::new()
        .with("[server]", "shards = 1")
        .with("[session]", "ping_interval_ms = 500")
        .with("[session]", "pong_ms_max = 200");
    let server = Server::start(settings);
    let (is_over, came) = (Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS_COUNT)
        .map(|number| {
            let peer = Peer::user(server.address(), &format!("user-{number}"));
            let is_over = Arc::clone(&is_over);
            thread::spawn(move || answer(peer, &is_over))
        })
        .collect();
    let ends_storm = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| storm(&server, &ends_storm, &came));
        }
        // The pauses are the pressure; nothing is waited for by them.
        for _ in 0..PRESSURE_MS / (STANDS_MS + RUNS_MS) {
            server.signal("STOP");
            thread::sleep(Duration::from_millis(STANDS_MS));
            server.signal("CONT");
            thread::sleep(Duration::from_millis(RUNS_MS));
        }
        ends_storm.store(true, Relaxed);
    });
    assert!(0 < came.load(Relaxed), "a late server takes in some");
    assert!(0.0 < server.metric("chat_core_late_seconds_total{core=\"0\"}"), "it was late");
    let lag = || server.metric("chat_core_timer_lag_seconds{core=\"0\"}");
    assert!(until(|| (lag() < 0.2).then_some(())).is_some(), "{} s late", lag());
    // All is as before: somebody comes in, is pinged, and those who were there are still.
    let mut newcomer = Peer::user(server.address(), "newcomer");
    assert!(matches!(newcomer.frame(), Frame::Frame(Opcode::TEXT, ping) if ping == b"{}"));
    is_over.store(true, Relaxed);
    let stayed = clients.into_iter().map(|client| client.join().unwrap());
    assert_eq!(stayed.filter(|stayed| *stayed).count(), CLIENTS_COUNT);
    assert_eq!(server.metric("chat_pong_suspicions_total{outcome=\"closed\"}"), 0.0);
}
