//! The presence feed: what a backend is told of who is there, in an order that survives whatever
//! ends in between.
//!
//! Facts of shards go in (`PresenceFact`); records of a log come out, and batches of events whose
//! records are on the disk. Decision 0063 says why it is so.
//!
//! Invariants: an event leaves when its record is synced, and not before; numbers ascend without
//! holes; what was written and is read again gives the same table and the same queue, at whatever
//! record it ends; to hear a fact twice changes nothing.
//!
//! Deliberately absent: files, threads, HTTP, and how shards come to their facts.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::wildcard_enum_match_arm))]

mod channels;
mod conn_set;
mod event;
mod fact;
mod feed;
mod graces;
mod group_waits;
mod held;
mod log;
mod passes;
mod queue;
mod record;
mod segments;
mod table;
#[cfg(test)]
mod tests;
mod told;

pub use event::{ChannelState, FeedEvent, FeedNews, UserState};
pub use fact::{
    AwayFor, DeadLetterNotice, GoneReason, GroupMessages, Leaving, PeerConn, PresenceFact, UserKey,
    WaitingMessage,
};
pub use feed::{FeedCounts, FeedOptions, FeedPage, PresenceFeed};
pub use log::FeedWrite;
pub use queue::FeedBatch;
