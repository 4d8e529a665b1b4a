//! The values that a shard is made of, and the commands that the control thread sends to it.
//!
//! Deliberately absent: the code that makes them.

use std::rc::Rc;
use std::sync::Arc;

use super::hooks::HookReturn;
use super::observe::ScanRequest;
use super::options::Options;
use super::server_questions::ServerQuestion;
use crate::auth::Keys;
use crate::base::{Csprng, ShardId, Timestamps};
use crate::blocks::BlockTable;
use crate::metrics::MetricsWriter;
use crate::session::{NameKey, Prefix};

/// The values that a shard is made of.
pub struct ShardSetup {
    /// Number of this shard.
    pub id: ShardId,
    /// Total shards.
    pub shards_count: u16,
    /// Settings.
    pub options: Arc<Options>,
    /// Keys that tokens are checked with.
    pub keys: Arc<Keys>,
    /// Who is kept out.
    pub blocks: BlockTable,
    /// Key that names are hashed with; equal on all shards.
    pub names: NameKey,
    /// Seed for jitter; different on each shard.
    pub seed: u64,
    /// Generator of identities and epochs; keyed differently on each shard.
    pub ids: Csprng,
    /// The clocks at the start.
    pub now: Timestamps,
    /// The metrics that it writes.
    pub metrics: Rc<MetricsWriter>,
}

/// A command of the control thread to a shard.
#[derive(Clone, Debug)]
pub enum ShardCommand {
    /// Tokens are checked with these from now on.
    Keys(Arc<Keys>),
    /// Close all connections, spread over this time.
    Drain {
        /// In ms.
        over_ms: u64,
    },
    /// Refuse clients with these prefixes; the list replaces the earlier one.
    BlockedPrefixes(Arc<[Prefix]>),
    /// Questions of backends to rooms of this shard.
    Server(Vec<ServerQuestion>),
    /// Answers of an application's backend.
    Hooks(Vec<HookReturn>),
    /// Scan all connections; the result carries this id.
    Scan(u64, ScanRequest),
    /// Find the largest rooms; the result carries this id.
    RankRooms(u64),
}
