//! What a shard is made of, and what the control thread tells it later: values only.
//!
//! Deliberately absent: who makes them.

use std::rc::Rc;
use std::sync::Arc;

use super::{Options, ScanRequest};
use crate::auth::Keys;
use crate::base::{Csprng, ShardId, Timestamps};
use crate::metrics::MetricsWriter;
use crate::session::{NameKey, Prefix};

/// What a shard is made of.
pub struct ShardSetup {
    /// Which one it is.
    pub id: ShardId,
    /// Of how many.
    pub shards_count: u16,
    /// The operator's word.
    pub options: Arc<Options>,
    /// For tokens.
    pub keys: Arc<Keys>,
    /// For names; equal on all shards.
    pub names: NameKey,
    /// For jitter; different on each shard.
    pub seed: u64,
    /// For identities and epochs; under a key of its own on each shard.
    pub ids: Csprng,
    /// The clocks at the start.
    pub now: Timestamps,
    /// Where it counts.
    pub metrics: Rc<MetricsWriter>,
}

/// What the control thread tells a shard. Values only.
#[derive(Clone, Debug)]
pub enum ShardCommand {
    /// Tokens are checked with these from now on.
    Keys(Arc<Keys>),
    /// Let everybody go, spread over this time.
    Drain {
        /// In ms.
        over_ms: u64,
    },
    /// Clients with these prefixes are let in no more; all others are.
    BlockedPrefixes(Arc<[Prefix]>),
    /// Look through all connections; what is found has this ticket.
    Scan(u64, ScanRequest),
}
