//! Messages: what stands in them, in which order, in how many parts, and in the form
//! that each kind of robot takes. Links and what proves them stand here, too, since a message
//! has them in it.
//!
//! Deliberately absent: when a message is sent, and by whom.

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
