//! WebSocket (RFC 6455): the upgrade, frames, messages, the closing handshake. `shard` calls it
//! for the server; `client` is the other end, for the probe, load generators and tests.
//!
//! Bytes in, messages or a fault out; messages in, bytes out. A connection's
//! whole state here is one `Reader`, a pointer wide, and it owns nothing
//! between messages.
//!
//! Deliberately absent: sockets, timers, what a message means, and extensions:
//! an offer of permessage-deflate is not taken up.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod client;
mod fault;
mod frame;
mod header;
mod incoming;
mod mask;
mod origin;
mod reader;
mod refusal;
mod upgrade;

pub use fault::FrameError;
pub use frame::{
    FRAME_HEADER_BYTES_MAX, FrameStart, Header, Opcode, begin_frame, close_code_is_valid,
    close_frame, close_frame_without_code, finish_frame, frame_header, put_frame, put_header,
};
pub use header::{Role, Rules};
pub use incoming::Incoming;
pub use reader::{ReadBuffer, Reader};
pub use refusal::{BadRequestReason, UpgradeError};
pub use upgrade::{
    HEAD_BYTES_MAX, PayloadFormat, Subprotocol, USER_AGENT_BYTES_MAX, Upgrade, upgrade,
};

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the endpoint; others are answered with 404.
    pub path: String,
    /// Allowed `Origin` values, lower case, `*` as the host's first label or
    /// alone; empty allows the same host. A request without an origin does not
    /// come from a page in a browser and is always allowed.
    pub origins: Vec<String>,
    /// Bytes of one reassembled message.
    pub message_bytes_max: u32,
    /// Headers that are kept of a request, lower case.
    pub kept_headers: Vec<String>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            path: "/connection/websocket".to_owned(),
            origins: Vec::new(),
            // The subscribes of 128 channels with tokens of 1.9 KiB each, which an SDK
            // that comes back puts into one message.
            message_bytes_max: 256 << 10,
            kept_headers: Vec::new(),
        }
    }
}
