//! The client's side of the protocol in the simulator: the upgrade, frames and messages, from
//! bytes to values and back.
//!
//! Deliberately absent: what a client asks, and whether an answer is right.

use bytes::BytesMut;
use rookery::wire::client::{ClientMessage, messages, put_command};
use rookery::wire::{Encoding, Request, separate};
use rookery::ws::client::{
    ClientHandshakeError, parse_upgrade_response, put_masked_frame, upgrade_request,
};
use rookery::ws::{Incoming, Opcode, ReadBuffer, Reader, Role, Rules, Subprotocol};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const RULES: Rules = Rules { role: Role::Client, message_bytes_max: 1 << 24 };
const MASK: [u8; 4] = [7, 1, 200, 90];

/// The client's half of one connection: bytes to messages.
#[derive(Debug)]
pub struct ClientCodec {
    encoding: Encoding,
    http: Option<Vec<u8>>,
    reader: Reader,
    closed: bool,
}

/// What the server said.
#[derive(Debug)]
pub enum Received {
    /// 101.
    Upgraded,
    /// Another HTTP status; the connection is over.
    Refused(u16),
    /// A message of the chat protocol.
    Message(ClientMessage),
    /// The answer to a WebSocket ping.
    Pong,
    /// The server says goodbye.
    Closed(u16),
    /// What no server may say.
    Nonsense(String),
}

impl ClientCodec {
    /// A connection that was not upgraded yet.
    pub fn new(encoding: Encoding) -> ClientCodec {
        ClientCodec { encoding, http: Some(Vec::new()), reader: Reader::new(), closed: false }
    }

    /// What asks for the upgrade.
    pub fn upgrade(&self) -> Vec<u8> {
        let subprotocol = match self.encoding {
            Encoding::Json => Subprotocol::None,
            Encoding::Protobuf => Subprotocol::Protobuf,
        };
        upgrade_request("sim", "/connection/websocket", KEY, subprotocol, &[])
    }

    /// What the next bytes say.
    pub fn decode(&mut self, mut bytes: Vec<u8>) -> Vec<Received> {
        let mut received = Vec::new();
        if let Some(http) = &mut self.http {
            http.extend_from_slice(&bytes);
            match parse_upgrade_response(http, KEY) {
                Ok(None) => return received,
                Err(ClientHandshakeError::Status(status)) => {
                    return vec![Received::Refused(status)];
                }
                Err(other) => return vec![Received::Nonsense(format!("{other:?}"))],
                Ok(Some(used)) => {
                    bytes = http.split_off(used);
                    self.http = None;
                    received.push(Received::Upgraded);
                }
            }
        }
        let mut input = ReadBuffer::new(&mut bytes);
        loop {
            if self.closed && !input.is_empty() {
                received.push(Received::Nonsense("bytes behind a close frame".to_owned()));
                return received;
            }
            let (text, frame) = match self.reader.next(&mut input, RULES) {
                Ok(None) => return received,
                Ok(Some(Incoming::Text(text))) => (Encoding::Json, text.as_bytes()),
                Ok(Some(Incoming::Binary(bytes))) => (Encoding::Protobuf, bytes),
                Ok(Some(Incoming::Pong(_))) => {
                    received.push(Received::Pong);
                    continue;
                }
                Ok(Some(Incoming::Close(said))) => {
                    self.closed = true;
                    received.push(Received::Closed(said.map_or(1005, |(code, _)| code)));
                    continue;
                }
                Ok(Some(Incoming::Ping(_))) => {
                    received.push(Received::Nonsense("a WebSocket ping".to_owned()));
                    return received;
                }
                Err(fault) => {
                    received.push(Received::Nonsense(format!("{fault:?}")));
                    return received;
                }
            };
            if text != self.encoding {
                received.push(Received::Nonsense("the other encoding's opcode".to_owned()));
                return received;
            }
            received.extend(messages(self.encoding, frame).map(|message| match message {
                Ok(message) => Received::Message(message),
                Err(fault) => Received::Nonsense(format!("{fault:?}")),
            }));
        }
    }
}

/// One frame with these commands.
pub fn frame(encoding: Encoding, commands: &[(u32, Request<'_>)]) -> BytesMut {
    let mut payload = BytesMut::new();
    for (id, request) in commands {
        if !payload.is_empty() {
            separate(encoding, &mut payload);
        }
        put_command(encoding, *id, request, &mut payload);
    }
    let opcode = match encoding {
        Encoding::Json => Opcode::Text,
        Encoding::Protobuf => Opcode::Binary,
    };
    raw_frame(opcode, &payload)
}

/// One frame with any bytes.
pub fn raw_frame(opcode: Opcode, payload: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    put_masked_frame(&mut frame, opcode, payload, MASK);
    frame
}
