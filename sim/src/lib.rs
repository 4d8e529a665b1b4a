//! Whole servers in one thread, from a seed: shards over simulated rings, lanes
//! between them, clients that misbehave, and checkers that look on.
//!
//! A seed decides everything: the options, the faults, what each client does
//! and when. The same seed tells the same story for ever, so a failure is a
//! number. A world passes three phases: chaos; calm, in which everything under
//! way must arrive; and a drain, after which everything must be empty. Worlds with
//! a store end and begin again at any moment of the chaos, over what is left on
//! their disk.
//!
//! Deliberately absent: threads, the kernel, real time.
#![forbid(unsafe_code)]

mod answers;
mod asked_histories;
mod backend;
mod callers;
mod chat;
pub mod checkers;
mod client;
mod client_actions;
mod client_codec;
mod client_connection;
mod client_context;
mod core;
pub mod digest;
mod durable_oracle;
mod edits;
mod groups;
mod histories;
mod inbox_oracle;
mod lane;
mod member_view;
pub mod mutation;
mod on_disk;
mod oracle;
mod post;
mod presence;
mod publication;
mod reaction;
mod reaction_oracle;
mod reactions;
mod reading;
mod removal_oracle;
mod remover;
mod scenario;
mod store;
mod summary;
#[cfg(test)]
mod tests;
pub mod violation;
mod world;

pub use scenario::Scenario;
pub use summary::{Summary, Trace};
pub use world::{quiet_panics, run};
