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
pub struct Speech {
    encoding: Encoding,
    http: Option<Vec<u8>>,
    reader: Reader,
    closed: bool,
}

/// What the server said.
#[derive(Debug)]
pub enum Heard {
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

impl Speech {
    /// A connection that was not upgraded yet.
    pub fn new(encoding: Encoding) -> Speech {
        Speech { encoding, http: Some(Vec::new()), reader: Reader::new(), closed: false }
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
    pub fn hear(&mut self, mut bytes: Vec<u8>) -> Vec<Heard> {
        let mut heard = Vec::new();
        if let Some(http) = &mut self.http {
            http.extend_from_slice(&bytes);
            match parse_upgrade_response(http, KEY) {
                Ok(None) => return heard,
                Err(ClientHandshakeError::Status(status)) => return vec![Heard::Refused(status)],
                Err(other) => return vec![Heard::Nonsense(format!("{other:?}"))],
                Ok(Some(used)) => {
                    bytes = http.split_off(used);
                    self.http = None;
                    heard.push(Heard::Upgraded);
                }
            }
        }
        let mut input = ReadBuffer::new(&mut bytes);
        loop {
            if self.closed && !input.is_empty() {
                heard.push(Heard::Nonsense("bytes behind a close frame".to_owned()));
                return heard;
            }
            let (text, frame) = match self.reader.next(&mut input, RULES) {
                Ok(None) => return heard,
                Ok(Some(Incoming::Text(text))) => (Encoding::Json, text.as_bytes()),
                Ok(Some(Incoming::Binary(bytes))) => (Encoding::Protobuf, bytes),
                Ok(Some(Incoming::Pong(_))) => {
                    heard.push(Heard::Pong);
                    continue;
                }
                Ok(Some(Incoming::Close(said))) => {
                    self.closed = true;
                    heard.push(Heard::Closed(said.map_or(1005, |(code, _)| code)));
                    continue;
                }
                Ok(Some(Incoming::Ping(_))) => {
                    heard.push(Heard::Nonsense("a WebSocket ping".to_owned()));
                    return heard;
                }
                Err(fault) => {
                    heard.push(Heard::Nonsense(format!("{fault:?}")));
                    return heard;
                }
            };
            if text != self.encoding {
                heard.push(Heard::Nonsense("the other encoding's opcode".to_owned()));
                return heard;
            }
            heard.extend(messages(self.encoding, frame).map(|message| match message {
                Ok(message) => Heard::Message(message),
                Err(fault) => Heard::Nonsense(format!("{fault:?}")),
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
