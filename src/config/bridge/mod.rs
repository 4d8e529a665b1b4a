//! The configuration of the alert bridge: a file of its own, read as the server's is.
//!
//! Secrets are not in it: it names the files or variables that they are in.
//!
//! Deliberately absent: sending, and what an alert is.

pub mod example;
mod relations;
pub mod resolve;
mod settings;
