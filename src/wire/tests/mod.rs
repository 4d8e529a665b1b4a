//! The wire from outside: texts and bytes that clients and server exchange.

mod golden;
mod hostile;
mod round_trip;

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::client;
use super::*;

fn encoded(encoding: Encoding, message: &Message<'_>) -> Bytes {
    let mut out = BytesMut::new();
    encode(encoding, message, &mut out);
    out.freeze()
}

fn command_bytes(encoding: Encoding, id: u32, request: &Request<'_>) -> Bytes {
    let mut out = BytesMut::new();
    client::put_command(encoding, id, request, &mut out);
    out.freeze()
}

fn all(encoding: Encoding, frame: &[u8]) -> Result<Vec<Command<'_>>, CommandParseError> {
    commands(encoding, frame).collect()
}

fn json(data: &str) -> RawData<'_> {
    RawData { bytes: Cow::Borrowed(data.as_bytes()), is_json: true }
}

fn json_payload(data: &str) -> Payload {
    json(data).to_payload()
}
