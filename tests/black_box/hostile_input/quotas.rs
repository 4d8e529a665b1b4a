//! Who asks for too much, and who reads too little.

use serde_json::{Value, json};

use super::{Witness, check_refused};
use crate::common::{Frame, Opcode, Peer, Server, Settings};

/// Sends a command again and again, and is told to stop, and then closed. Returns
/// how many were served.
#[track_caller]
fn check_flood(settings: Settings, command: &Value) -> usize {
    let server = Server::start(settings);
    let mut witness = Witness::of(&server);
    let mut flood = Peer::user(server.address(), "flood");
    let text = command.to_string();
    // All at once, as far as the socket takes it: who floods does not listen.
    for _ in 0..2_000 {
        flood.send_text(&text);
    }
    let (mut served, mut refused) = (0, 0);
    loop {
        match flood.frame() {
            Frame::Frame(Opcode::TEXT, payload) => {
                for line in payload.split(|byte| *byte == b'\n') {
                    let reply: Value = serde_json::from_slice(line).expect("JSON");
                    match reply["error"]["code"].as_u64() {
                        None => served += 1,
                        Some(code) => {
                            assert_eq!((code, &reply["error"]["temporary"]), (111, &json!(true)));
                            refused += 1;
                        }
                    }
                }
            }
            Frame::Frame(Opcode::CLOSE, payload) => {
                assert_eq!(payload[..2], 3013_u16.to_be_bytes());
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(refused >= 1, "{refused} were refused");
    witness.check();
    served
}

#[test]
fn a_flood_of_commands_is_answered_with_111_and_then_closed_with_3013() {
    let settings = Settings::new()
        .with("[session]", "commands_per_s = 10")
        .with("[session]", "commands_burst = 50");
    let served = check_flood(settings, &json!({ "id": 9, "ping": {} }));
    // Connect was one of the burst.
    assert!(49 <= served, "{served} were served");
}

#[test]
fn a_flood_of_bytes_is_answered_with_111_and_then_closed_with_3013() {
    let settings = Settings::new()
        .with("[session]", "bytes_per_s = 1000")
        .with("[session]", "bytes_burst = 66000")
        .with("[session]", "errors_per_s = 5");
    // A member that nobody knows is skipped; its bytes count.
    let ping = json!({ "id": 9, "ping": {}, "padding": "x".repeat(8_000) });
    let served = check_flood(settings, &ping);
    assert!((7..=8).contains(&served), "{served} of 8 kB were served from 66 kB");
}

#[test]
fn too_many_mistakes_close_with_3509() {
    let server = Server::start(Settings::new().with("[session]", "errors_per_s = 5"));
    let mut witness = Witness::of(&server);
    let mut peer = Peer::user(server.address(), "anna");
    for _ in 0..100 {
        peer.send(json!({ "rpc": { "method": "chat.nothing", "data": {} } }));
    }
    assert_eq!(peer.closed().0, 3509);
    witness.check();
}

/// As a client does that comes back to channels that are no longer there.
#[test]
fn refusals_that_good_clients_meet_do_not_close() {
    let server = Server::start(Settings::new().with("[session]", "errors_per_s = 5"));
    let mut peer = Peer::user(server.address(), "anna");
    for _ in 0..100 {
        check_refused(&mut peer, json!({ "subscribe": { "channel": "nowhere:1" } }), 102);
    }
}

#[test]
fn too_many_channels_are_refused_with_106() {
    let server = Server::start(Settings::new().with("[session]", "channels_max = 3"));
    let mut peer = Peer::member(server.address(), "anna", "room:1");
    // The inbox counts, too.
    peer.call(json!({ "subscribe": { "channel": "room:2" } }));
    check_refused(&mut peer, json!({ "subscribe": { "channel": "room:3" } }), 106);
}

#[test]
fn a_reader_that_never_reads_is_closed_and_others_see_everything_in_order() {
    // It reads the close only when all is said, whatever else the machine does meanwhile.
    let settings = Settings::new()
        .with("[session]", "outbox_bytes_max = 65536")
        .with("[session]", "close_ms_max = 60000");
    let server = Server::start(settings);
    let mut witness = Witness::of(&server);
    let mut stuck = Peer::member(server.address(), "stuck", "wide:1");
    let mut reader = Peer::member(server.address(), "reader", "wide:1");
    let mut writer = Peer::user(server.address(), "writer");
    writer.call(json!({ "subscribe": { "channel": "wide:1" } }));
    // More than both ends' kernel buffers take for a socket that is not read.
    let filler = "x".repeat(30_000);
    let count = 400;
    for number in 1..=count {
        let data = json!({ "number": number, "filler": filler });
        let reply = writer.call(json!({ "publish": { "channel": "wide:1", "data": data } }));
        assert!(reply["publish"].is_object(), "{reply}");
        let (data, offset) = reader.publication();
        assert_eq!((&data["number"], offset), (&json!(number), number));
    }
    // What was on its way comes first, without a gap; then the close says why.
    let mut seen = 0;
    loop {
        match stuck.frame() {
            Frame::Frame(Opcode::TEXT, payload) => {
                for line in payload.split(|byte| *byte == b'\n') {
                    let push: Value = serde_json::from_slice(line).expect("JSON");
                    if !push["push"]["pub"].is_null() {
                        seen += 1;
                        assert_eq!(push["push"]["pub"]["offset"], json!(seen));
                    }
                }
            }
            Frame::Frame(Opcode::CLOSE, payload) => {
                assert_eq!(payload[..2], 3008_u16.to_be_bytes());
                break;
            }
            other => panic!("{other:?} after {seen} messages"),
        }
    }
    assert!(seen < count, "it saw everything, so it was not slow");
    witness.check();
}

#[test]
fn who_does_not_answer_a_ping_is_closed_with_3012() {
    let settings = Settings::new()
        .with("[session]", "ping_interval_ms = 1000")
        .with("[session]", "pong_ms_max = 300");
    let server = Server::start(settings);
    let mut peer = Peer::user(server.address(), "anna");
    assert_eq!(peer.closed().0, 3012);
}
