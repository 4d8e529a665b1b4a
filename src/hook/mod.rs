//! Hooks: what is asked of an application's backend when a client connects, calls a method of
//! the application, subscribes, publishes, or is about to expire, and what the backend answers.
//!
//! Bodies and answers are those of Centrifugo's HTTP proxies, so that a backend for these serves
//! here, too. `session` decides when a hook is asked, and what its answer means; the control
//! thread (`server`) asks.
//!
//! Invariant: an answer that is not wholly understood is none.
//!
//! Deliberately absent: HTTP, time limits, and who may do what.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod answer;
mod body;
mod options;
mod request;
#[cfg(test)]
mod tests;

pub use answer::{
    HookAnswerError, HookDisconnect, HookReply, HookResult, PublishTerms, read_answer,
};
pub use body::write_body;
pub use options::{HookOptions, HookSet, OnFailure};
pub use request::{ConnectQuestion, HookAsker, HookHeaders, HookQuestion, HookRequest};

pub use crate::metrics::Hook;
