//! The channels of one shard: who is in them, and what they say in a turn, encoded once for
//! each kind of subscriber.
//!
//! Deliberately absent: connections and what waits for them (`delivery`).

mod buffer;
mod channels;

pub use buffer::{Audience, Gathering, Gatherings, opcode, put_message};
pub use channels::{Channel, Channels, Kind, Seat};
