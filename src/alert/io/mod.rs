//! The process around the core: its disk (`journal`), its HTTP client (`client`), its pages and
//! its log. `worker` carries inputs into the core and does what it says; `rookery alert-bridge`
//! (`cli`) runs all of it (`process`).
//!
//! Invariant: what the core says is to be kept is on the disk, or the disk has refused,
//! before anything else that it said is done.
//!
//! Deliberately absent: decisions, and how a message looks.

mod actions;
mod audit;
mod body;
mod client;
mod clock;
mod envelope;
mod exposition;
mod html;
mod journal;
mod log;
mod lookup;
mod pages;
mod peer;
mod process;
mod send;
mod shared;
mod trial;
mod used_links;
mod worker;

pub use self::process::{BridgeError, run};
pub use self::trial::{TrialResult, try_route};
pub use self::worker::BridgeEnd;
