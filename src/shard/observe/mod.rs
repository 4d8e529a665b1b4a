//! Being watched: what is measured of messages, noted down, sampled, and looked for among the
//! connections of one shard.
//!
//! Deliberately absent: whoever reads it.

mod connection_scan;
mod flights;
mod message_timing;
mod notes;
mod recent;
mod sampler;

pub use connection_scan::{Found, Look, Looking, SIGHTS_MAX, Sight, Worst};
pub use flights::EarlyPanic;
pub use message_timing::hashed;
pub use notes::{Cause, Note, Notes, Room, Span, SpanAction, Trouble};
pub use recent::{Delivered, Recent};
pub use sampler::Census;
