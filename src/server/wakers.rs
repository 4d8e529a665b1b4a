//! What wakes the cores, for threads beside them.
//!
//! Deliberately absent: when a core is woken.

use std::sync::Arc;

use crate::ring::Waker;

/// What wakes shards, by shard; comes when they exist.
pub(super) type Wakers = Arc<[Waker]>;
