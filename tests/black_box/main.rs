//! The binary as a stranger and an operator see it: real processes, real sockets.
//!
//! One program of many tests, so that the library is linked once and no core waits for the
//! last test of a suite. What needs the machine for itself, or is asked for by itself, is a
//! program of its own: `late` and `memory`, `alert` and `crash`.

#[path = "../common/mod.rs"]
mod common;

mod chat_api;
mod console;
mod diagnostics;
mod group_api;
mod hang;
mod hooks;
mod hostile_input;
mod logs;
mod operator_api;
mod pages;
mod presence_feed;
mod probe;
mod seccomp;
mod server;
mod silent;
mod store;
mod top;
mod tracing;
mod without_io_uring;
