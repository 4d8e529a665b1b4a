//! The chat protocol: bytes to commands, messages to bytes. No state between calls.
//!
//! Deliberately absent: WebSocket framing, sessions, what a command means.
#![forbid(unsafe_code)]

mod types;

pub use types::*;
