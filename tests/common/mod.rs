//! What black-box tests stand on: the real binary on free ports, and a peer that
//! may send any bytes it likes.
//!
//! Every wait has an end: sockets carry a timeout, and a server that is not ready
//! or does not end in time fails the test with its log.
//!
//! Deliberately absent: the library. These tests see what a stranger sees.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part of this")]

mod api;
mod bridge;
mod peer;
mod process;
mod server;
mod settings;

pub use api::{API_KEY, call_api, with_api, with_api_key, with_tenant_key};
pub use bridge::idle_bridge;
pub use peer::{Encoding, Frame, Opcode, Peer, frame, masked, signed, token, upgrade_request};
pub use process::{BINARY, Running, binary, command, fetch, free_port, run, signal, until};
pub use server::Server;
pub use settings::{ADMIN_TOKEN, Settings};
