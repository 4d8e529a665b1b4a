//! Peers that fall silent: what they are sent is lost, and nobody says so. The kernel ends
//! who stays away, for the reason that is told; who is back in time lives.

use std::thread;
use std::time::Duration;

use serde_json::json;
use socket2::{SockFilter, SockRef};

use crate::common::{Frame, Opcode, Peer, Server, Settings, until};

/// An outage that is survived: half of what the kernel waits, `TCP_USER_TIMEOUT`.
const OUTAGE: Duration = Duration::from_secs(20);

/// What waits for a peer that took nothing: more than sockets hold, and less than its outbox.
const WAITING_MESSAGES: usize = 300;
const WAITING_BYTES: usize = 30_000;

/// Drops all that comes for a peer before its kernel looks at it, so that nothing is
/// acknowledged.
fn fall_silent(peer: &Peer) {
    let drop_all = SockFilter::new((libc::BPF_RET | libc::BPF_K) as u16, 0, 0, 0);
    SockRef::from(&peer.stream).attach_filter(&[drop_all]).expect("a filter is for everybody");
}

/// Until a sample has a value, for longer than the kernel waits for a peer.
#[track_caller]
fn wait_long_for(server: &Server, sample: &str, want: f64) {
    let is_so = (0..4).find_map(|_| until(|| (server.metric(sample) == want).then_some(())));
    assert!(is_so.is_some(), "{sample} is {} and not {want}", server.metric(sample));
}

fn closed(reason: &str) -> String {
    format!("chat_conn_closed_total{{reason=\"{reason}\"}}")
}

#[test]
fn the_kernel_ends_who_stays_silent_and_who_is_back_in_time_lives() {
    let settings = Settings::new()
        // Nothing but the kernel judges here.
        .with("[session]", "ping_interval_ms = 0")
        .with("[session]", "outbox_bytes_max = 67_108_864")
        .with("[session]", "bytes_burst = 67_108_864");
    let server = Server::start(settings);
    let join = |name: &str, room: &str| Peer::member(server.address(), name, room);
    let (gone, mut back) = (join("gone", "room:1"), join("back", "room:1"));
    // One is silent, and the kernel of the other acknowledges that it takes nothing.
    let (full, _hung) = (join("full", "room:2"), join("hung", "room:2"));
    let (mut ann, mut bob) = (join("ann", "room:1"), join("bob", "room:2"));

    for peer in [&gone, &back, &full] {
        fall_silent(peer);
    }
    let reply = ann.call(json!({ "publish": { "channel": "room:1", "data": "are you there" } }));
    assert!(reply["publish"].is_object(), "{reply}");
    let long = "x".repeat(WAITING_BYTES);
    for _ in 0..WAITING_MESSAGES {
        let reply = bob.call(json!({ "publish": { "channel": "room:2", "data": long } }));
        assert!(reply["publish"].is_object(), "{reply}");
    }
    thread::sleep(OUTAGE);
    SockRef::from(&back.stream).detach_filter().expect("it has one");
    assert_eq!(back.publication().0, json!("are you there"));
    let reply = back.call(json!({ "publish": { "channel": "room:1", "data": "I am back" } }));
    assert!(reply["publish"].is_object(), "{reply}");

    wait_long_for(&server, &closed("peer_gone"), 1.0);
    // Bytes waited for these, which they did not take: to others they were slow.
    wait_long_for(&server, &closed("slow_consumer"), 2.0);
    assert_eq!(server.metric(&closed("net_error")), 0.0);
    assert_eq!(server.metric("chat_active_connections{protocol=\"json\"}"), 3.0);
    back.send_raw(&crate::common::masked(Opcode::PING, b"still"));
    while back.frame() != Frame::Frame(Opcode::PONG, b"still".to_vec()) {}
}
