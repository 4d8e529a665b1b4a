//! rookery: a chat server for extreme connection density.
//!
//! One process, one host, a million and more live WebSockets. Every core owns
//! its connections, its io_uring and its rooms; cores exchange values through
//! bounded lanes and share nothing else. ARCHITECTURE.md is the map; the modules
//! below stand in reading order, and `tests/tidy.rs` keeps their arrows.

pub mod base;
mod clock;
pub mod lane;
mod signals;

pub mod log;
pub mod log_disk;
pub mod runs;
pub mod runs_disk;

pub mod logs;
pub mod metrics;

pub mod ring;

pub mod blocks;
pub mod record_file;

pub mod wire;
pub mod ws;

pub mod store;

pub mod auth;
pub mod hook;
pub mod room;
pub mod session;

pub mod shard;

pub mod presence_feed;

pub mod api;

pub mod console;
pub mod http_server;
mod runtime;
pub mod tls_roots;

pub mod outbound;

pub mod admin;
pub mod server;

pub mod alert;
pub mod probe;

mod top;

pub mod config;

pub mod cli;
