//! A client that chats with a server from outside, again and again, and says whether it
//! can: what a server says of itself is nothing when nobody reaches it. `rookery probe` (`cli`)
//! runs it.
//!
//! A *round* is two clients of their own: both come in, both join a room, one says
//! something, the other must hear it. `round` knows what is said and heard, `link` is a
//! WebSocket over TCP or TLS, `watch` goes on for ever and shows what it found.
//!
//! Invariant: a round ends within its time, whatever the server does, and holds at most
//! two connections.
//!
//! Deliberately absent: loads (`rookery-bench`), and what is to be done about it.
#![forbid(unsafe_code)]

mod failure;
mod link;
mod meters;
mod options;
mod round;
mod target;
mod watch;

pub use failure::ProbeError;
pub use options::{Options, TokenSource};
pub use round::{ProbeReport, ProbeStage};
pub use target::{ProbeTarget, TARGETS_MAX, TargetError};
pub use watch::{WatchError, once, watch};
