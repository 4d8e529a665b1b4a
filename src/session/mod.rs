//! One peer's conversation, from the first command to goodbye.
//!
//! A session is a state machine: commands, answers of rooms and time go in;
//! messages for the client and effects for the shard come out. It decides who
//! the peer is, what it may do, and how much of it.
//!
//! Invariants: every command with an id is answered once; a room is asked to let
//! a member go exactly when it let it in.
//!
//! Deliberately absent: sockets, WebSocket frames (the shard's), other sessions.
#![forbid(unsafe_code)]

mod backlog;
mod chat;
mod clocks;
mod connect;
mod fault;
mod heartbeat;
mod identity;
mod load;
mod names;
mod options;
mod outcome;
mod position_seal;
mod quarantine;
mod quota;
mod refresh;
mod requests;
mod rights;
mod state;
mod subs;
mod target;
#[cfg(test)]
mod tests;
mod tracer;

pub use backlog::HeldCommands;
pub use fault::Fault;
pub use heartbeat::Finding;
pub use load::{CoreLoad, Pace};
pub use names::{CONVERSATION_NAMESPACE, INBOX_NAMESPACE, NameKey, namespace_of};
pub use options::Options;
pub use outcome::{Effect, Outcome, Passage, Refusal, Suspicion};
pub use quarantine::{Held, HeldBy, PREFIXES_MAX, Prefix, Quarantine, QuarantineOptions, Verdict};
pub use quota::Admission;
pub use state::{Context, Session, Who};
pub use subs::Place;
pub use tracer::{Tracer, TracerOptions};
