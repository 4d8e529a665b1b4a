//! The configuration of the alert bridge: a file of its own, read as the server's is. Its
//! settings stand in `settings`, what they demand of each other in `relations`, and `example`
//! writes them as a file to begin with.
//!
//! Secrets are not in it: it names the files or variables that they are in.
//!
//! Deliberately absent: sending, and what an alert is.

pub mod example;
mod relations;
pub mod resolve;
mod settings;
