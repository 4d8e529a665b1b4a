//! Renders messages: their content, its order, their parts, and the form that each messenger takes.
//! Links and their signatures are here, too, because messages contain them.
//!
//! Deliberately absent: queueing and sending.
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod channel;
mod check;
mod format;
pub mod link;
mod message_input;
mod notes;
pub mod oncall;
mod part;
mod parts;
mod render;
mod settings;
pub mod signature;
pub mod silence;
pub mod template;
#[cfg(test)]
mod tests;
mod views;

pub use self::channel::{Attempt, body, url};
pub use self::check::{check, sample};
pub use self::message_input::MessageInput;
pub use self::part::MessagePart;
pub use self::render::{of_words, render};
pub use self::settings::BridgeSettings;
