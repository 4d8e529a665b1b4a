//! The server API: what a call means, and who may make it.
//!
//! Calls come as `wire::api::ApiCall`. `plan` decides which questions to rooms a call leads
//! to, and `answer` what their answers mean together. Both are pure.
//!
//! Deliberately absent: HTTP, and the way of questions to shards (`server`).
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod answers;
mod block_change;
mod control_calls;
mod dead_letters;
mod operator_calls;
mod plan;
mod questions;
mod scopes;
#[cfg(test)]
mod tests;

pub use answers::{ApiReplies, answer};
pub use dead_letters::{ask_for_letters, ask_to_change_letters, reader_of};
pub use plan::{ApiPlan, Caller, FORCED_CLOSE, plan};
pub use questions::{
    BlockAsks, BlockReplies, ControlAsk, ControlError, ControlOutcome, ControlReply, Question,
    Questions,
};
pub use scopes::scope_of;
