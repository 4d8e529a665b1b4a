//! Whether a core keeps its times (`lateness`), and whom it suspects of being gone (`suspects`).
//! `Shard` asks it before it takes somebody in, or ends a connection for time.
//!
//! Deliberately absent: what is done about either (`judge`).

mod lateness;
mod suspects;

pub use lateness::Lateness;
pub use suspects::{SuspectChecks, Suspects};
