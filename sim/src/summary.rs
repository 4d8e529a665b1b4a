//! What is told of a world: while it happens, and at its end.
//!
//! Deliberately absent: objections (`violation`).

use std::collections::BTreeSet;

use rookery::base::MonotonicMs;

/// What a world came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Connections that cores accepted.
    pub accepted: u64,
    /// Messages whose publishers were told that they are out.
    pub published: u64,
    /// Messages that arrived at another core.
    pub messages: u64,
    /// How often the process ended and began again.
    pub crashes: u64,
    /// What clients were told when something ended or failed.
    pub endings: BTreeSet<String>,
    /// The longest that anybody who asks for one thing at a time waited, in steps.
    pub served_steps_max: u64,
    /// How long it took, by its own clock.
    pub ended_at: MonotonicMs,
    /// A number for all that happened: equal as long as a world happens as it did.
    pub digest: u64,
}

/// Whether a world tells what happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// It does not.
    Silent,
    /// Line by line, to standard output.
    Printed,
}
