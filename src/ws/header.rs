//! Reading one frame's header, and the rules of RFC 6455 that a header can break.
//!
//! Deliberately absent: payloads, and bytes that wait for the rest of a frame (`reader`).

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::Fault;
use super::incoming::{Kind, Signal};

/// Payload of the longest control frame (5.5).
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Which end of the connection reads: clients mask, servers do not (5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Reads what clients send.
    Server,
    /// Reads what a server sends.
    Client,
}

/// What a reader holds its peer to. The same at each call of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Our end.
    pub role: Role,
    /// Bytes of one reassembled message.
    pub message_bytes_max: u32,
}

/// A received header that keeps the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    pub(super) part: Part,
    pub(super) mask: Option<[u8; 4]>,
    /// At most what the rules allow for a message, or 125.
    pub(super) payload_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// One of a message's frames, with the kind that the first of them gave.
    Data(Kind, Place),
    Control(Signal),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    NotLast,
    Last,
}

/// The message whose fragments come, as far as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) kind: Kind,
    pub(super) bytes: usize,
}

/// Takes the header off the front of `bytes`: the frame, and the header's own
/// length. `Ok(None)` asks for more bytes.
///
/// tungstenite's parser refuses reserved opcodes and nothing else, so every
/// other rule stands here.
pub(super) fn parse(
    bytes: &[u8],
    begun: Option<Begun>,
    rules: Rules,
) -> Result<Option<(Frame, usize)>, Fault> {
    let mut cursor = Cursor::new(bytes);
    // Reading from memory fails in no other way.
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| Fault::ReservedOpcode)?;
    let Some((header, payload_bytes)) = parsed else { return Ok(None) };
    let header_bytes = cursor.position() as usize;

    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(Fault::ReservedBits);
    }
    match (rules.role, header.mask) {
        (Role::Server, None) => return Err(Fault::MaskMissing),
        (Role::Client, Some(_)) => return Err(Fault::MaskUnexpected),
        (Role::Server, Some(_)) | (Role::Client, None) => {}
    }
    let part = part(&header, begun.map(|begun| begun.kind))?;
    if payload_bytes >> 63 != 0 {
        return Err(Fault::LengthOutOfRange);
    }
    if header.len(payload_bytes) != header_bytes {
        return Err(Fault::LengthNotMinimal);
    }
    match part {
        Part::Control(_) if (CONTROL_BYTES_MAX as u64) < payload_bytes => {
            return Err(Fault::ControlTooLong);
        }
        Part::Data(..) => {
            let begun_bytes = begun.map_or(0, |begun| begun.bytes) as u64;
            // Both are below 2^63: the sum does not overflow.
            if u64::from(rules.message_bytes_max) < begun_bytes + payload_bytes {
                return Err(Fault::MessageTooLong);
            }
        }
        Part::Control(_) => {}
    }
    let frame = Frame { part, mask: header.mask, payload_bytes: payload_bytes as usize };
    Ok(Some((frame, header_bytes)))
}

fn part(header: &FrameHeader, begun: Option<Kind>) -> Result<Part, Fault> {
    let place = if header.is_final { Place::Last } else { Place::NotLast };
    let signal = match (header.opcode, begun) {
        (OpCode::Data(Data::Continue), Some(kind)) => return Ok(Part::Data(kind, place)),
        (OpCode::Data(Data::Text), None) => return Ok(Part::Data(Kind::Text, place)),
        (OpCode::Data(Data::Binary), None) => return Ok(Part::Data(Kind::Binary, place)),
        (OpCode::Data(Data::Continue), None) => return Err(Fault::ContinuationUnexpected),
        (OpCode::Data(Data::Text | Data::Binary), Some(_)) => {
            return Err(Fault::MessageInterrupted);
        }
        (OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)), _) => {
            return Err(Fault::ReservedOpcode);
        }
        (OpCode::Control(Control::Close), _) => Signal::Close,
        (OpCode::Control(Control::Ping), _) => Signal::Ping,
        (OpCode::Control(Control::Pong), _) => Signal::Pong,
    };
    match place {
        Place::Last => Ok(Part::Control(signal)),
        Place::NotLast => Err(Fault::ControlFragmented),
    }
}
