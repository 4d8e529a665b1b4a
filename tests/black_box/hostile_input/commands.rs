//! Messages that are no commands, and commands that have no place.

use serde_json::json;

use super::{Witness, check_refused};
use crate::common::{Encoding, Frame, Opcode, Peer, Server, Settings, masked, token};

#[test]
fn json_that_is_no_command_closes_with_3501() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    for text in [
        "",
        "\n",
        "nonsense",
        "{",
        "[]",
        "17",
        "null",
        r#"{"id":1,"connect":{}"#,
        r#"{"id":-1,"ping":{}}"#,
        r#"{"id":4294967296,"ping":{}}"#,
        r#"{"id":"1","ping":{}}"#,
        r#"{"id":2,"subscribe":{"channel":7}}"#,
        r#"{"id":2,"subscribe":[]}"#,
        r#"{"id":2,"publish":{"channel":"room:1","data":{]}}"#,
        "{\"id\":2,\"ping\":{}}\n{",
        "{\"id\":2,\"rpc\":{\"method\":\"\\ud800\"}}",
    ] {
        let mut peer = Peer::user(server.address(), "anna");
        peer.send_text(text);
        assert_eq!(peer.closed().0, 3501, "{text}");
        witness.check();
    }
}

#[test]
fn json_that_nests_without_end_is_not_followed() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    let deep = format!(r#"{{"id":2,"rpc":{{"method":"x","data":{}"#, "[".repeat(60_000));
    let mut peer = Peer::user(server.address(), "anna");
    peer.send_text(&deep);
    assert_eq!(peer.closed().0, 3501);
    witness.check();
}

#[test]
fn protobuf_that_is_no_command_closes_with_3501() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    for bytes in [
        &b""[..],
        &[5],
        &[5, 8, 1],
        &[0xff; 11],
        &[2, 0x08, 0x80],
        &[2, 0x0f, 0x01],
        &[4, 0x22, 0x7f, 0, 0],
        &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x08],
    ] {
        let mut peer = Peer::protobuf_user(server.address(), "anna");
        peer.send_raw(&masked(Opcode::BINARY, bytes));
        assert_eq!(peer.closed().0, 3501, "{bytes:02x?}");
        witness.check();
    }
}

#[test]
fn an_unknown_command_in_protobuf_is_answered_with_104() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::protobuf_user(server.address(), "anna");
    // Id 2 and an empty field 30; then id 3 alone.
    for (command, id) in [(&[0x08, 2, 0xf2, 0x01, 0][..], 2), (&[0x08, 3], 3)] {
        let reply = peer.call_protobuf(command);
        assert_eq!(reply[..2], [0x08, id], "{reply:02x?}");
        // Field 2, the error; in it field 1, the code.
        assert_eq!((reply[2], &reply[4..6]), (0x12, &[0x08, 104][..]), "{reply:02x?}");
    }
}

#[test]
fn commands_before_connect_close_with_3501() {
    let server = Server::start(Settings::new());
    for command in [
        json!({ "id": 1, "subscribe": { "channel": "room:1" } }),
        json!({ "id": 1, "publish": { "channel": "room:1", "data": {} } }),
        json!({ "id": 1, "ping": {} }),
        json!({ "id": 1, "dance": {} }),
        json!({ "send": { "data": {} } }),
        json!({ "connect": {} }),
        json!({}),
    ] {
        let mut peer = Peer::upgraded(server.address(), Encoding::Json);
        peer.send_text(&command.to_string());
        assert_eq!(peer.closed().0, 3501, "{command}");
    }
    // Ids 1 with a ping, and nothing but the id.
    for bytes in [&[4, 0x08, 1, 0x5a, 0][..], &[2, 0x08, 1]] {
        let mut peer = Peer::upgraded(server.address(), Encoding::Protobuf);
        peer.send_raw(&masked(Opcode::BINARY, bytes));
        assert_eq!(peer.closed().0, 3501, "{bytes:02x?}");
    }
}

#[test]
fn a_second_connect_closes_with_3501() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::user(server.address(), "anna");
    peer.send(json!({ "connect": { "token": token(json!({ "sub": "anna" })) } }));
    assert_eq!(peer.closed().0, 3501);
}

#[test]
fn commands_that_cannot_be_served_are_answered_one_by_one() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::member(server.address(), "anna", "room:here");
    let long = format!("room:{}", "x".repeat(300));
    for (command, want) in [
        (json!({ "dance": {} }), 104),
        (json!({}), 104),
        (json!({ "rpc": { "method": "chat.dance", "data": {} } }), 104),
        (json!({ "rpc": { "method": "orders.list", "data": {} } }), 108),
        (json!({ "rpc": { "method": "chat.typing", "data": {} } }), 107),
        (json!({ "subscribe": { "channel": "room:here" } }), 105),
        (json!({ "subscribe": { "channel": "nowhere:1" } }), 102),
        (json!({ "subscribe": { "channel": "closed:1" } }), 103),
        (json!({ "subscribe": { "channel": "@ben" } }), 103),
        (json!({ "subscribe": { "channel": "" } }), 107),
        (json!({ "subscribe": { "channel": "closed:1", "token": "nonsense" } }), 103),
        (
            json!({ "subscribe": { "channel": "closed:1", "token":
                token(json!({ "sub": "anna", "channel": "closed:1", "exp": 1 })) } }),
            109,
        ),
        (json!({ "publish": { "channel": "room:elsewhere", "data": {} } }), 103),
        (json!({ "publish": { "channel": "room:here", "data": "x".repeat(40_000) } }), 106),
        (json!({ "history": { "channel": "room:elsewhere", "limit": 1 } }), 103),
        (json!({ "presence": { "channel": "room:elsewhere" } }), 103),
        (json!({ "sub_refresh": { "channel": "room:elsewhere", "token": "x" } }), 103),
        (json!({ "refresh": { "token": "nonsense" } }), 103),
    ] {
        check_refused(&mut peer, command, want);
    }
    // Leaving where one is not is no mistake.
    let reply = peer.call(json!({ "unsubscribe": { "channel": "room:elsewhere" } }));
    assert!(reply["unsubscribe"].is_object(), "{reply}");
    // A name over its limit is no name at all.
    let mut peer = Peer::user(server.address(), "anna");
    peer.send(json!({ "subscribe": { "channel": long } }));
    let answer = peer.frame();
    let Frame::Frame(opcode, payload) = answer else { panic!("an answer") };
    let text = String::from_utf8_lossy(&payload).into_owned();
    assert!(
        opcode == Opcode::CLOSE && payload.starts_with(&3501_u16.to_be_bytes())
            || text.contains("107"),
        "{opcode:?} {text}"
    );
}

#[test]
fn many_commands_in_a_frame_are_answered_in_order() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::user(server.address(), "anna");
    let batch: Vec<String> =
        (2..=101).map(|id| json!({ "id": id, "ping": {} }).to_string()).collect();
    peer.send_text(&batch.join("\n"));
    for id in 2..=101 {
        assert_eq!(peer.object()["id"], json!(id));
    }
}
