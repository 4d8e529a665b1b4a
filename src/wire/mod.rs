//! The chat protocol: bytes to commands, messages to bytes. No state between calls. `shard` reads
//! commands and writes messages by it; `session` and `room` use its types.
//!
//! `types` says what can be said; a file for each direction and encoding says
//! how. Commands borrow from the received frame, messages are written straight
//! into the buffer that is sent: no tree and no intermediate text on either way.
//! `client` is the same for the other end of the line.
//!
//! Deliberately absent: WebSocket framing, sessions, what a command means.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod api;
pub mod chat;
pub mod client;
mod client_out;
mod command_parts;
mod commands;
mod data;
mod error_code;
mod fossil_delta;
mod json_bounded;
mod json_fields;
mod json_in;
mod json_out;
mod json_values;
mod names;
mod protobuf_in;
mod protobuf_out;
mod tag_filter;
#[cfg(test)]
mod tests;
mod types;

pub use commands::{Commands, commands, commands_behind};
pub use error_code::ErrorCode;
pub use fossil_delta::fossil_delta;
pub use names::{INBOX_NAMESPACE, channel_is_valid};
pub use tag_filter::TagFilter;
pub use types::*;

use bytes::{BufMut, BytesMut};

/// Appends one reply or push. Several of one frame need `separate` between them.
pub fn encode(encoding: Encoding, message: &Message<'_>, out: &mut BytesMut) {
    match encoding {
        Encoding::Json => json_out::message(message, out),
        Encoding::Protobuf => protobuf_out::message(message, out),
    }
}

/// About as many bytes as a message takes, so that a buffer made for it need not grow.
/// Nothing but time depends on the guess.
pub fn bytes_about(message: &Message<'_>) -> usize {
    // Names of members, numbers, who said it.
    const PUBLICATION_BYTES: usize = 192;
    const TAG_BYTES: usize = 64;
    const OTHER_BYTES: usize = 64;
    let (channel, push) = match message {
        Message::Push { channel, push } => (*channel, push),
        Message::CompactPush { push, .. } => ("", push),
        Message::Reply { .. } | Message::Ping => return OTHER_BYTES,
    };
    match push {
        Push::Publication(Publication { data, tags, .. }, _) => {
            channel.len() + data.bytes.len() + PUBLICATION_BYTES + tags.len() * TAG_BYTES
        }
        Push::Join { .. }
        | Push::Leave { .. }
        | Push::Unsubscribe { .. }
        | Push::Subscribe(_)
        | Push::Message { .. } => OTHER_BYTES,
    }
}

/// Appends what stands between two messages of one frame.
pub fn separate(encoding: Encoding, out: &mut BytesMut) {
    match encoding {
        Encoding::Json => out.put_u8(b'\n'),
        // Each message stands behind its length.
        Encoding::Protobuf => {}
    }
}
