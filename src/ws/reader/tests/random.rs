//! Streams drawn at random: what was encoded is what is read, however it is
//! fragmented and cut, and tungstenite reads the same.

use std::io;

use bytes::BytesMut;
use proptest::prelude::*;
use tungstenite::protocol::{Message, WebSocket, WebSocketConfig};

use super::*;
use crate::base::Prng;
use crate::ws::client::put_masked_frame;
use crate::ws::{Opcode, close_frame, put_frame};

/// A message or control frame, and how it goes onto the wire.
#[derive(Debug, Clone)]
struct Sent {
    message: Got,
    /// Lengths of the fragments before the last.
    fragments: Vec<usize>,
    /// Pings in front of the fragments.
    pings: Vec<Vec<u8>>,
}

fn sent() -> impl Strategy<Value = Sent> {
    let bytes = || {
        prop_oneof![
            8 => prop::collection::vec(any::<u8>(), 0..200),
            1 => prop::collection::vec(any::<u8>(), 120..140),
            1 => prop::collection::vec(any::<u8>(), MESSAGE_BYTES_MAX as usize - 9..=1_000),
        ]
    };
    let control = || prop::collection::vec(any::<u8>(), 0..=125);
    let message = prop_oneof![
        4 => ".{0,80}".prop_map(Got::Text),
        4 => bytes().prop_map(Got::Binary),
        1 => control().prop_map(Got::Ping),
        1 => control().prop_map(Got::Pong),
    ];
    let fragments = prop::collection::vec(0..60usize, 0..5);
    let pings = prop::collection::vec(control(), 0..3);
    (message, fragments, pings).prop_map(|(message, fragments, pings)| Sent {
        message,
        fragments,
        pings,
    })
}

fn parts_of(message: &Got) -> (Opcode, &[u8]) {
    match message {
        Got::Text(text) => (Opcode::Text, text.as_bytes()),
        Got::Binary(bytes) => (Opcode::Binary, bytes),
        Got::Ping(bytes) => (Opcode::Ping, bytes),
        Got::Pong(bytes) => (Opcode::Pong, bytes),
        Got::Close(_) | Got::Fault(_) => unreachable!("is not drawn"),
    }
}

/// Puts everything onto the wire; gives it with what a reader should make of it.
fn encode(role: Role, all: &[Sent], seed: u64) -> (Vec<u8>, Vec<Got>) {
    let mut prng = Prng::from_seed(seed);
    let (mut out, mut want) = (BytesMut::new(), Vec::new());
    let mut put = |out: &mut BytesMut, opcode, payload: &[u8]| match role {
        Role::Client => put_frame(out, opcode, payload),
        Role::Server => put_masked_frame(out, opcode, payload, (prng.draw() as u32).to_ne_bytes()),
    };
    for sent in all {
        let (mut opcode, mut rest) = parts_of(&sent.message);
        let is_data = matches!(opcode, Opcode::Text | Opcode::Binary);
        for (index, &bytes) in sent.fragments.iter().enumerate().filter(|_| is_data) {
            let (fragment, after) = rest.split_at(bytes.min(rest.len()));
            let start = out.len();
            put(&mut out, opcode, fragment);
            out[start] &= 0x7f; // not the last
            if let Some(ping) = sent.pings.get(index) {
                put(&mut out, Opcode::Ping, ping);
                want.push(Got::Ping(ping.clone()));
            }
            (opcode, rest) = (Opcode::Continuation, after);
        }
        put(&mut out, opcode, rest);
        want.push(sent.message.clone());
    }
    (out.to_vec(), want)
}

/// Cuts at random places, often very near to each other.
fn cut(stream: &[u8], seed: u64) -> Vec<&[u8]> {
    let (mut prng, mut rest, mut parts) = (Prng::from_seed(seed), stream, Vec::new());
    while !rest.is_empty() {
        let bits = prng.below(11);
        let bytes = 1 + prng.below(1 << bits) as usize;
        let (part, after) = rest.split_at(bytes.min(rest.len()));
        parts.push(part);
        rest = after;
    }
    parts
}

/// A stream that gives its bytes once and takes what is written.
struct OneWay<'a>(&'a [u8]);

impl io::Read for OneWay<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl io::Write for OneWay<'_> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite reads; its first fault stands for all faults.
fn oracle(role: Role, stream: &[u8]) -> Vec<Got> {
    let role = match role {
        Role::Server => tungstenite::protocol::Role::Server,
        Role::Client => tungstenite::protocol::Role::Client,
    };
    let limit = Some(MESSAGE_BYTES_MAX as usize);
    let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    let mut socket = WebSocket::from_raw_socket(OneWay(stream), role, Some(config));
    let mut got = Vec::new();
    loop {
        got.push(match socket.read() {
            Ok(Message::Text(text)) => Got::Text(text.as_str().to_owned()),
            Ok(Message::Binary(bytes)) => Got::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Got::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Got::Pong(bytes.to_vec()),
            Ok(Message::Close(said)) => {
                let said = said.map(|said| (said.code.into(), said.reason.as_str().to_owned()));
                got.push(Got::Close(said));
                return got;
            }
            Ok(Message::Frame(_)) => unreachable!("is only written"),
            Err(_) => return got,
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn what_was_sent_is_what_is_read(
        all in prop::collection::vec(sent(), 0..12),
        role in prop_oneof![Just(Role::Server), Just(Role::Client)],
        seed in any::<u64>(),
    ) {
        let rules = Rules { role, message_bytes_max: MESSAGE_BYTES_MAX };
        let (mut stream, mut want) = encode(role, &all, seed);
        prop_assert_eq!(&read(rules, [&stream[..]]).0, &want);
        let (got, reader) = read(rules, cut(&stream, seed));
        prop_assert_eq!(&got, &want);
        prop_assert_eq!(reader.kept_bytes(), 0);

        let mut goodbye = close_frame(3001, "bye").to_vec();
        if role == Role::Server {
            goodbye = masked(0x88, &goodbye[2..]);
        }
        stream.extend(goodbye);
        want.push(Got::Close(Some((3001, "bye".to_owned()))));
        prop_assert_eq!(&oracle(role, &stream), &want);
        prop_assert_eq!(&read(rules, cut(&stream, !seed)).0, &want);
    }

    /// One byte of a good stream is changed. What we take, tungstenite takes
    /// alike; it takes more, because it does not check everything.
    #[test]
    fn a_damaged_stream_is_refused_no_later_than_tungstenite_does(
        all in prop::collection::vec(sent(), 1..6),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        seed in any::<u64>(),
    ) {
        let (mut stream, _) = encode(Role::Server, &all, seed);
        let at = at.index(stream.len());
        stream[at] = byte;
        let mut got = read(SERVER, [&stream[..]]).0;
        prop_assert_eq!(&got, &read(SERVER, cut(&stream, seed)).0);
        // Behind a close frame bytes mean nothing, and tungstenite stops.
        let is_last = |got: &Got| matches!(got, Got::Fault(_) | Got::Close(_));
        got.truncate(got.iter().position(is_last).map_or(got.len(), |index| index + 1));
        let is_refused = matches!(got.last(), Some(Got::Fault(_)));
        got.truncate(got.len() - usize::from(is_refused));
        let mut theirs = oracle(Role::Server, &stream);
        if is_refused {
            theirs.truncate(got.len());
        }
        prop_assert_eq!(got, theirs);
    }
}
