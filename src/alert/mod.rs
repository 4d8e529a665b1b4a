//! The alert bridge: from Alertmanager's webhook to the group chats of people, and
//! nothing lost on the way. A process of its own: it must speak when the server cannot.
//!
//! Deciding is apart from acting. `core` takes what comes in and says what is to be
//! kept, asked, sent and done; `bridge` does it: a queue on the disk (`journal`), an
//! HTTP client (`client`), pages (`pages`).
//!
//! Invariants: what was answered with 200 is on the disk; that a message leaves is on
//! the disk before it leaves; nothing that a stranger wrote reaches a chat with a
//! meaning; tokens are in no log, error, metric or file of the bridge's own.
//!
//! Deliberately absent: the chat server.
#![forbid(unsafe_code)]

mod ack_pages;
mod answer;
mod audit;
mod bridge;
mod client;
mod core;
mod core_snapshot;
mod counts;
mod dispatch;
mod escalation;
mod evidence;
mod intake;
mod intake_body;
mod journal;
mod json_repair;
mod link;
mod message;
mod meters;
mod options;
mod outlive;
mod pages;
mod pair;
mod pair_pages;
mod payload;
mod pending;
mod people;
mod record;
mod refused;
mod refused_pages;
mod robot;
mod signature;
mod silence;
mod template;
#[cfg(test)]
mod tests;
mod text;
mod trial;
mod used;

pub use bridge::{Ended, Fault, run};
pub use core::Settings;
pub use message::check as check_template;
pub use options::{Action, Channel, Language, Options, Person, Robot, Route, Secret};
pub use template::{STANDARD, Templates, built_in as built_in_templates, name as template_name};
pub use trial::{Tried, try_route};
