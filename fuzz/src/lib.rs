//! The properties that the fuzzer holds library functions to. The targets in
//! `fuzz_targets/` are one line each over these.
#![forbid(unsafe_code)]

mod choices;
mod log;
mod log_disk;
mod log_edits;
mod log_forgery;
mod log_history;
mod wire;
mod ws;

pub use log::log_recovery;
pub use wire::{wire_chat, wire_json, wire_protobuf};
pub use ws::{ws_reader, ws_upgrade};
