//! Writing frames (RFC 6455, 5.2): headers, whole frames, frames of unknown length, and close
//! frames.
//!
//! Deliberately absent: reading frames (`header`, `reader`), and fragments, which are never
//! sent.

use std::ops::Deref;

use bytes::{BufMut, Bytes, BytesMut};
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::base::limits::CLOSE_REASON_BYTES_MAX;

/// Bytes of the longest frame header: two, a 64-bit length, a mask.
pub const FRAME_HEADER_BYTES_MAX: usize = 14;

/// Room that `begin_frame` leaves. Right for payloads of 126 to 65,535 bytes.
const GUESSED_HEADER_BYTES: usize = 4;

/// What a frame is (5.2); those that the RFC reserves are faults before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// A later fragment of a message.
    Continuation,
    /// A message of UTF-8, or its first fragment.
    Text,
    /// A message of bytes, or its first fragment.
    Binary,
    /// The closing handshake.
    Close,
    /// Asks for a pong with the same bytes.
    Ping,
    /// Answers a ping, or comes unasked.
    Pong,
}

impl Opcode {
    fn on_the_wire(self) -> OpCode {
        match self {
            Opcode::Continuation => OpCode::Data(Data::Continue),
            Opcode::Text => OpCode::Data(Data::Text),
            Opcode::Binary => OpCode::Data(Data::Binary),
            Opcode::Close => OpCode::Control(Control::Close),
            Opcode::Ping => OpCode::Control(Control::Ping),
            Opcode::Pong => OpCode::Control(Control::Pong),
        }
    }
}

/// A frame header, ready to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; FRAME_HEADER_BYTES_MAX],
    used: u8,
}

impl Deref for Header {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.used)]
    }
}

/// The header of a server's frame that is a whole message.
pub fn frame_header(opcode: Opcode, payload_bytes: usize) -> Header {
    header(opcode, payload_bytes, None)
}

/// The header of a frame that is a whole message.
pub(super) fn header(opcode: Opcode, payload_bytes: usize, mask: Option<[u8; 4]>) -> Header {
    let opcode = opcode.on_the_wire();
    let frame = FrameHeader { opcode, mask, ..FrameHeader::default() };
    let mut bytes = [0; FRAME_HEADER_BYTES_MAX];
    frame
        .format(payload_bytes as u64, &mut &mut bytes[..])
        .expect("no header is longer than the longest");
    Header { bytes, used: frame.len(payload_bytes as u64) as u8 }
}

/// Appends the header of a server's frame whose payload the caller appends next.
pub fn put_header(out: &mut BytesMut, opcode: Opcode, payload_bytes: usize) {
    out.put_slice(&frame_header(opcode, payload_bytes));
}

/// Appends one server's frame.
pub fn put_frame(out: &mut BytesMut, opcode: Opcode, payload: &[u8]) {
    out.reserve(FRAME_HEADER_BYTES_MAX + payload.len());
    put_header(out, opcode, payload.len());
    out.put_slice(payload);
}

/// Where a frame of unknown length begins.
#[must_use = "a frame that was begun is finished"]
#[derive(Debug)]
pub struct FrameStart(usize);

/// Leaves room for a header; the caller appends the payload, then calls
/// `finish_frame`. Frames of one buffer lie contiguous.
///
/// Encoding once and patching is cheaper than encoding twice to learn a length,
/// and than a second buffer. The room is for the lengths that chat has most
/// (126 to 65,535 bytes): there nothing moves. A shorter payload moves by two
/// bytes, which is a copy of at most 125 within two cache lines.
pub fn begin_frame(out: &mut BytesMut) -> FrameStart {
    let start = FrameStart(out.len());
    out.put_bytes(0, GUESSED_HEADER_BYTES);
    start
}

/// Writes the header of what was appended since `begin_frame`.
pub fn finish_frame(out: &mut BytesMut, start: FrameStart, opcode: Opcode) {
    let payload_start = start.0 + GUESSED_HEADER_BYTES;
    let payload_bytes = out.len().checked_sub(payload_start).expect("begun on this buffer");
    let header = frame_header(opcode, payload_bytes);
    let moved_start = start.0 + header.len();
    if payload_start < moved_start {
        out.put_bytes(0, moved_start - payload_start);
    }
    if moved_start != payload_start {
        out.copy_within(payload_start..payload_start + payload_bytes, moved_start);
    }
    out.truncate(moved_start + payload_bytes);
    out[start.0..moved_start].copy_from_slice(&header);
}

/// A server's close frame. The reason is cut to what fits, between characters.
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    assert!(close_code_is_valid(code), "{code} may not be sent");
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
    let mut out = BytesMut::with_capacity(4 + reason.len());
    put_header(&mut out, Opcode::Close, 2 + reason.len());
    out.put_u16(code);
    out.put_slice(reason.as_bytes());
    out.freeze()
}

/// The answer to a close frame that names no code.
pub fn close_frame_without_code() -> Bytes {
    Bytes::from_static(&[0x88, 0])
}

/// Whether a code may stand in a close frame: those of 7.4.1 and of the IANA
/// registry that are not marked as never sent, and those of libraries (3000 to
/// 3999) and applications (4000 to 4999).
pub fn close_code_is_valid(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 9] = [0, 1, 125, 126, 127, 150, 65_535, 65_536, 70_000];

    #[test]
    fn server_frames_of_the_rfc() {
        let mut out = BytesMut::new();
        put_frame(&mut out, Opcode::Text, b"Hello");
        assert_eq!(out[..], [0x81, 5, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(frame_header(Opcode::Binary, 256)[..], [0x82, 0x7e, 1, 0]);
        assert_eq!(frame_header(Opcode::Binary, 65_536)[..], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_payload_of_unknown_length_gives_the_same_frame() {
        for payload_bytes in LENGTHS {
            let payload: Vec<u8> = (0..payload_bytes).map(|n| n as u8).collect();
            let (mut want, mut out) = (BytesMut::from(&b"before"[..]), BytesMut::from("before"));
            for opcode in [Opcode::Binary, Opcode::Ping] {
                put_frame(&mut want, opcode, &payload);
                let start = begin_frame(&mut out);
                out.put_slice(&payload);
                finish_frame(&mut out, start, opcode);
            }
            assert!(out == want, "payload_bytes={payload_bytes}");
        }
    }

    #[test]
    fn a_reason_is_cut_between_characters() {
        let reason = format!("{}éé", "x".repeat(120));
        let frame = close_frame(3001, &reason);
        assert_eq!(frame[..4], [0x88, 2 + 122, 0x0b, 0xb9]);
        assert_eq!(&frame[4..], format!("{}é", "x".repeat(120)).as_bytes());
        assert_eq!(close_frame(1000, "")[..], [0x88, 2, 0x03, 0xe8]);
        assert_eq!(close_frame(1000, &"x".repeat(123)).len(), 127);
        assert_eq!(close_frame(1000, &"x".repeat(124)).len(), 127);
    }

    #[test]
    fn only_codes_that_may_be_sent_are_valid() {
        let never = [1004, 1005, 1006, 1015];
        for code in 0..=u16::MAX {
            let want = (1000..=1014).contains(&code) && !never.contains(&code)
                || (3000..5000).contains(&code);
            assert_eq!(close_code_is_valid(code), want, "{code}");
        }
    }
}
