//! Frames that RFC 6455 forbids, and some that it only makes unusual.

use std::net::Shutdown;

use serde_json::json;

use super::Witness;
use crate::common::{Encoding, Frame, Opcode, Peer, Server, Settings, frame, masked};

const MASK: Option<[u8; 4]> = Some([1, 2, 3, 4]);

/// A connected user sends `bytes` and is closed with `want`.
#[track_caller]
fn check_frames(server: &Server, bytes: &[u8], want: u16) {
    let mut peer = Peer::user(server.address(), "anna");
    peer.send_raw(bytes);
    assert_eq!(peer.closed().0, want, "{:02x?}", &bytes[..bytes.len().min(40)]);
}

#[test]
fn frames_that_are_against_the_rules_close_with_1002() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    let interrupted = [frame(0x01, MASK, b"{"), frame(0x81, MASK, b"}")].concat();
    for bytes in [
        frame(0xc1, MASK, b"{}"),
        frame(0xa1, MASK, b"{}"),
        frame(0x91, MASK, b"{}"),
        frame(0x83, MASK, b"{}"),
        frame(0x8b, MASK, b""),
        frame(0x8f, MASK, b""),
        frame(0x81, None, b"{}"),
        frame(0x09, MASK, b"fragmented ping"),
        frame(0x89, MASK, &[0; 126]),
        frame(0x80, MASK, b"nothing to continue"),
        interrupted,
        vec![0x81, 0xfe, 0, 125, 1, 2, 3, 4],
        vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4],
        vec![0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
    ] {
        check_frames(&server, &bytes, 1002);
        witness.check();
    }
}

#[test]
fn a_message_over_the_limit_closes_with_1009_before_it_is_there() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    // Only the header of a frame of 1 GiB.
    check_frames(&server, &[0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4], 1009);
    // Fragments that are too long together.
    let fragments: Vec<u8> = (0..33)
        .flat_map(|number| frame(if number == 0 { 0x01 } else { 0x00 }, MASK, &[b' '; 8_192]))
        .collect();
    check_frames(&server, &fragments, 1009);
    witness.check();
}

#[test]
fn text_that_is_not_utf8_closes_with_1007_as_soon_as_it_is_seen() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    for bad in
        [&b"\xff"[..], b"{\"id\":1\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80"]
    {
        check_frames(&server, &masked(Opcode::TEXT, bad), 1007);
        // A fragment: the rest need not come.
        check_frames(&server, &frame(0x01, MASK, bad), 1007);
    }
    // A character may be cut by a fragment, but not by the end of the message.
    check_frames(&server, &masked(Opcode::TEXT, b"\"\xc3"), 1007);
    witness.check();
}

#[test]
fn close_codes_are_answered_and_bad_ones_told_so() {
    let server = Server::start(Settings::new());
    let mut witness = Witness::of(&server);
    let close = |code: u16, reason: &[u8]| {
        masked(Opcode::CLOSE, &[&code.to_be_bytes()[..], reason].concat())
    };
    for code in [1000, 1001, 1011, 3000, 3999, 4000, 4999] {
        check_frames(&server, &close(code, b"bye"), code);
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        check_frames(&server, &close(code, b""), 1002);
    }
    check_frames(&server, &masked(Opcode::CLOSE, &[3]), 1002);
    check_frames(&server, &close(1000, b"\xff\xfe"), 1007);
    witness.check();
}

#[test]
fn a_close_without_a_code_is_answered() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::user(server.address(), "anna");
    peer.send_raw(&masked(Opcode::CLOSE, b""));
    assert!(matches!(peer.frame(), Frame::Frame(Opcode::CLOSE, _)));
    assert_eq!(peer.frame(), Frame::End);
}

#[test]
fn control_frames_between_fragments_are_served() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::user(server.address(), "anna");
    peer.send_raw(&frame(0x01, MASK, br#"{"id":2,"#));
    peer.send_raw(&masked(Opcode::PING, b"still here"));
    assert_eq!(peer.frame(), Frame::Frame(Opcode::PONG, b"still here".to_vec()));
    peer.send_raw(&frame(0x80, MASK, br#""ping":{}}"#));
    assert_eq!(peer.object()["id"], json!(2));
}

#[test]
fn frames_that_come_byte_by_byte_are_served() {
    let server = Server::start(Settings::new().with("[server]", "shards = 1"));
    let mut witness = Witness::of(&server);
    let mut peer = Peer::user(server.address(), "anna");
    let first = frame(0x01, MASK, br#"{"id":2,"#);
    let last = frame(0x80, MASK, br#""ping":{}}"#);
    for byte in [first, masked(Opcode::PING, b"still here"), last].concat() {
        peer.send_raw(&[byte]);
        // Behind its answer, the one core has dealt with the byte.
        witness.check();
    }
    assert_eq!(peer.frame(), Frame::Frame(Opcode::PONG, b"still here".to_vec()));
    assert_eq!(peer.object()["id"], json!(2));
}

#[test]
fn a_frame_of_the_wrong_kind_closes_with_1003() {
    let server = Server::start(Settings::new());
    check_frames(&server, &masked(Opcode::BINARY, b"{}"), 1003);
    let mut peer = Peer::upgraded(server.address(), Encoding::Protobuf);
    peer.send_text("{}");
    assert_eq!(peer.closed().0, 1003);
}

#[test]
fn a_peer_that_half_closes_gets_its_answers() {
    let server = Server::start(Settings::new());
    let mut peer = Peer::user(server.address(), "anna");
    let id = peer.send(json!({ "ping": {} }));
    peer.stream.shutdown(Shutdown::Write).expect("it can be shut");
    assert_eq!(peer.object()["id"], json!(id));
    peer.read_to_end();
}
