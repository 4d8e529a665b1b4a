//! Many peers: in what order messages happened, who is there, what a
//! late-comer may see.
//!
//! A room lives on its home shard only; other shards hold a subscription.
//!
//! Deliberately absent: sockets, encodings, other nodes of the cluster.
#![forbid(unsafe_code)]

mod options;

pub use options::{Namespace, Options, Who};
