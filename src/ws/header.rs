//! Reading one frame's header, and the rules of RFC 6455 that a header can break.
//!
//! Deliberately absent: payloads, and bytes that wait for the rest of a frame (`reader`).

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::FrameError;
use super::incoming::{ControlKind, MessageKind};

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
    pub(super) part: FramePart,
    pub(super) mask: Option<[u8; 4]>,
    /// At most what the rules allow for a message, or 125.
    pub(super) payload_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum FramePart {
    /// One of a message's frames, with the kind that the first of them gave.
    Data(MessageKind, FragmentPlace),
    Control(ControlKind),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FragmentPlace {
    NotLast,
    Last,
}

/// The message whose fragments come, as far as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartialMessage {
    pub(super) kind: MessageKind,
    pub(super) bytes: usize,
}

/// Takes the header off the front of `bytes`: the frame, and the header's own
/// length. `Ok(None)` asks for more bytes.
///
/// tungstenite's parser refuses reserved opcodes and nothing else, so every
/// other rule stands here.
pub(super) fn parse(
    bytes: &[u8],
    begun: Option<PartialMessage>,
    rules: Rules,
) -> Result<Option<(Frame, usize)>, FrameError> {
    let mut cursor = Cursor::new(bytes);
    // Reading from memory fails in no other way.
    let parsed = FrameHeader::parse(&mut cursor).map_err(|_| FrameError::ReservedOpcode)?;
    let Some((header, payload_bytes)) = parsed else { return Ok(None) };
    let header_bytes = cursor.position() as usize;

    if header.rsv1 || header.rsv2 || header.rsv3 {
        return Err(FrameError::ReservedBits);
    }
    match (rules.role, header.mask) {
        (Role::Server, None) => return Err(FrameError::MaskMissing),
        (Role::Client, Some(_)) => return Err(FrameError::MaskUnexpected),
        (Role::Server, Some(_)) | (Role::Client, None) => {}
    }
    let part = part(&header, begun.map(|begun| begun.kind))?;
    if payload_bytes >> 63 != 0 {
        return Err(FrameError::LengthOutOfRange);
    }
    if header.len(payload_bytes) != header_bytes {
        return Err(FrameError::LengthNotMinimal);
    }
    match part {
        FramePart::Control(_) if (CONTROL_BYTES_MAX as u64) < payload_bytes => {
            return Err(FrameError::ControlTooLong);
        }
        FramePart::Data(..) => {
            let begun_bytes = begun.map_or(0, |begun| begun.bytes) as u64;
            // Both are below 2^63: the sum does not overflow.
            if u64::from(rules.message_bytes_max) < begun_bytes + payload_bytes {
                return Err(FrameError::MessageTooLong);
            }
        }
        FramePart::Control(_) => {}
    }
    let frame = Frame { part, mask: header.mask, payload_bytes: payload_bytes as usize };
    Ok(Some((frame, header_bytes)))
}

fn part(header: &FrameHeader, begun: Option<MessageKind>) -> Result<FramePart, FrameError> {
    let place = if header.is_final { FragmentPlace::Last } else { FragmentPlace::NotLast };
    let signal = match (header.opcode, begun) {
        (OpCode::Data(Data::Continue), Some(kind)) => return Ok(FramePart::Data(kind, place)),
        (OpCode::Data(Data::Text), None) => return Ok(FramePart::Data(MessageKind::Text, place)),
        (OpCode::Data(Data::Binary), None) => {
            return Ok(FramePart::Data(MessageKind::Binary, place));
        }
        (OpCode::Data(Data::Continue), None) => return Err(FrameError::ContinuationUnexpected),
        (OpCode::Data(Data::Text | Data::Binary), Some(_)) => {
            return Err(FrameError::MessageInterrupted);
        }
        (OpCode::Data(Data::Reserved(_)) | OpCode::Control(Control::Reserved(_)), _) => {
            return Err(FrameError::ReservedOpcode);
        }
        (OpCode::Control(Control::Close), _) => ControlKind::Close,
        (OpCode::Control(Control::Ping), _) => ControlKind::Ping,
        (OpCode::Control(Control::Pong), _) => ControlKind::Pong,
    };
    match place {
        FragmentPlace::Last => Ok(FramePart::Control(signal)),
        FragmentPlace::NotLast => Err(FrameError::ControlFragmented),
    }
}
