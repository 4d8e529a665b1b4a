//! Messages of a channel as frames, and for which of its subscribers they are.
//!
//! Deliberately absent: who the subscribers are (`channels`).

use bytes::BytesMut;

use super::channels::SubscriberClass;
use crate::wire::{self, Encoding, Message};
use crate::ws::{self, Opcode};

/// The subscribers that get a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// Every subscriber.
    All,
    /// Subscribers that want join and leave messages.
    JoinLeave,
}

impl Recipients {
    /// Whether subscribers of a class are among them.
    pub fn include(self, class: SubscriberClass) -> bool {
        match self {
            Recipients::All => true,
            Recipients::JoinLeave => class.wants_join_leave,
        }
    }
}

/// Appends one message in a frame of its own.
pub fn put_message(encoding: Encoding, message: &Message<'_>, out: &mut BytesMut) {
    if out.is_empty() {
        out.reserve(wire::bytes_about(message));
    }
    let start = ws::begin_frame(out);
    wire::encode(encoding, message, out);
    ws::finish_frame(out, start, opcode(encoding));
}

/// The opcode of frames of an encoding.
pub fn opcode(encoding: Encoding) -> Opcode {
    match encoding {
        Encoding::Json => Opcode::Text,
        Encoding::Protobuf => Opcode::Binary,
    }
}
