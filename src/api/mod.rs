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
mod operator_calls;
mod plan;
mod scopes;
#[cfg(test)]
mod tests;

pub use answers::{ApiReplies, answer};
pub use plan::{ApiPlan, BlockAsks, BlockReplies, Caller, FORCED_CLOSE, Question, Questions, plan};
pub use scopes::scope_of;
