//! Whether a core keeps its times, and whom it suspects of being gone.
//!
//! Deliberately absent: what is done about either (`judge`).

mod lateness;
mod suspects;

pub use lateness::Lateness;
pub use suspects::{SuspectChecks, Suspects};
