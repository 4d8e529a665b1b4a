//! WebSocket (RFC 6455): the upgrade, frames, messages, the closing handshake.
//!
//! Deliberately absent: sockets, timers, what a message means.
#![forbid(unsafe_code)]

/// What an operator may set.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the endpoint; others are answered with 404.
    pub path: String,
    /// Allowed `Origin` values, lower case, `*` as the host's first label or
    /// alone; empty allows requests of the same host and those without an origin.
    pub origins: Vec<String>,
    /// Bytes of one reassembled message.
    pub message_bytes_max: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            path: "/connection/websocket".to_owned(),
            origins: Vec::new(),
            message_bytes_max: 64 << 10,
        }
    }
}
