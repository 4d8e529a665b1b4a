//! What the bridge speaks of, as plain values: alerts as they come in, what waits to be told,
//! what has been told, and what was found out.
//!
//! Deliberately absent: decisions, and how a message looks.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

pub mod alert;
pub mod core_snapshot;
pub mod json_repair;
pub mod notification;
pub mod pending;
pub mod sent_state;
pub mod snapshot;
pub mod text;
