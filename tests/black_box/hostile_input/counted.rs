//! What operators see of it: each end under its reason, and what came and went.

use serde_json::json;

use crate::common::{Encoding, Opcode, Peer, Server, Settings, masked};

/// A sample, and what it must come to.
#[track_caller]
fn check(server: &Server, samples: &[(&str, u32)]) {
    for (sample, want) in samples {
        server.wait_for_metric(sample, f64::from(*want));
    }
}

#[test]
fn each_end_is_counted_under_its_reason_and_blame() {
    let settings = Settings::new()
        .with("[session]", "connect_ms_max = 300")
        .with("[session]", "ping_interval_ms = 1000")
        .with("[session]", "pong_ms_max = 300")
        .with("[session]", "errors_per_s = 5");
    let server = Server::start(settings);
    let address = server.address();
    let mut stale = Peer::upgraded(address, Encoding::Json);
    let mut mute = Peer::user(address, "mute");
    let mut forger = Peer::upgraded(address, Encoding::Json);
    forger.send(json!({ "connect": { "token": "a.b.c" } }));
    let mut garbled = Peer::user(address, "garbled");
    garbled.send_text("{");
    let mut confused = Peer::user(address, "confused");
    for _ in 0..20 {
        confused.send(json!({ "rpc": { "method": "chat.nothing", "data": {} } }));
    }
    let mut polite = Peer::user(address, "polite");
    polite.send_raw(&masked(Opcode::CLOSE, &1000_u16.to_be_bytes()));
    let ended = [&mut stale, &mut forger, &mut garbled, &mut confused, &mut polite, &mut mute];
    let codes = ended.map(|peer| peer.closed().0);
    assert_eq!(codes, [3502, 3500, 3501, 3509, 1000, 3012]);
    drop(Peer::user(address, "rude"));

    check(
        &server,
        &[
            ("chat_conn_closed_total{reason=\"timeout\"}", 2),
            ("chat_conn_closed_total{reason=\"auth\"}", 1),
            ("chat_conn_closed_total{reason=\"protocol_error\"}", 2),
            ("chat_conn_closed_total{reason=\"normal\"}", 1),
            ("chat_conn_closed_total{reason=\"net_error\"}", 1),
            ("chat_conn_closed_blame_total{blame=\"client\"}", 5),
            ("chat_conn_closed_blame_total{blame=\"nobody\"}", 2),
            ("chat_conn_opened_total{protocol=\"json\"}", 7),
            ("chat_active_connections{protocol=\"json\"}", 0),
            ("chat_heartbeat_total{outcome=\"timeout\"}", 1),
        ],
    );
}

#[test]
fn what_comes_and_goes_is_counted() {
    let server = Server::start(Settings::new());
    let mut speaker = Peer::member(server.address(), "speaker", "room:1");
    let mut listener = Peer::member(server.address(), "listener", "room:1");
    for number in 0..5 {
        speaker.call(json!({ "publish": { "channel": "room:1", "data": number } }));
        listener.publication();
    }
    speaker.call(json!({ "publish": { "channel": "room:2", "data": 0 } }));
    check(
        &server,
        &[
            ("chat_ws_messages_received_total{protocol=\"json\"}", 10),
            ("chat_commands_received_total", 10),
            ("chat_replies_sent_total", 10),
            ("chat_error_replies_sent_total{code=\"103\"}", 1),
            ("chat_msg_publish_total{chat_type=\"group\",result=\"accepted\"}", 5),
            ("chat_msg_recipients_total", 10),
            // The one that was spoken in, and two inboxes.
            ("chat_rooms", 3),
            ("chat_subscriptions", 4),
        ],
    );
    let [bytes_in, bytes_out] = ["in", "out"]
        .map(|direction| server.metric(&format!("chat_bytes_total{{direction=\"{direction}\"}}")));
    assert!(500.0 < bytes_in && 500.0 < bytes_out, "{bytes_in} {bytes_out}");
}
