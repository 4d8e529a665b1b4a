//! The bare loop over fjall: batches of messages, each synced, and nothing else.
//! What a durable publish costs more than its part of this is the server's doing.
//!
//! The keyspace is like the one in which the store keeps messages, and so are the
//! keys: in each batch one message for each of as many rooms.
//!
//! Deliberately absent: everything that makes a chat server of it.

use std::path::Path;
use std::sync::Arc;

use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, PinningPolicy};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use rookery::base::Prng;

use crate::clock::Clock;
use crate::stats::{Latency, Summary};

/// What the loop is told.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Messages in a batch.
    pub batch_count: u32,
    /// Bytes of a message.
    pub message_bytes: u32,
    /// For how long.
    pub measure_ms: u64,
}

/// What the loop found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Messages a second, on the disk.
    pub messages_per_s: f64,
    /// The syncs alone.
    pub sync: Summary,
    /// Whole batches with their sync.
    pub batch: Summary,
}

/// Runs it in a directory that must not exist yet, and removes that again.
pub fn run(dir: &Path, options: Options) -> Result<Found, String> {
    let found = write(dir, options).map_err(|error| format!("{}: {error:?}", dir.display()));
    // It is only ours to remove when it was only ours to write.
    if dir.exists() {
        std::fs::remove_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    }
    found
}

fn write(dir: &Path, options: Options) -> fjall::Result<Found> {
    let (db, messages) = open(dir)?;
    let mut prng = Prng::from_seed(1);
    let mut rooms: Vec<u128> = (0..options.batch_count).map(|_| prng.draw_u128()).collect();
    rooms.sort_unstable();
    let data = vec![b'm'; options.message_bytes as usize];
    let (mut syncs, mut batches) = (Latency::new(), Latency::new());
    let (mut offset, mut began_ns) = (0_u64, 0);
    let clock = Clock::start();
    while began_ns < options.measure_ms * 1_000_000 {
        offset += 1;
        let mut batch = db.batch().durability(Some(PersistMode::Buffer));
        for room in &rooms {
            let mut key = [0; 24];
            key[..16].copy_from_slice(&room.to_be_bytes());
            key[16..].copy_from_slice(&offset.to_be_bytes());
            batch.insert(&messages, key, &data[..]);
        }
        batch.commit()?;
        let written_ns = clock.ns();
        db.persist(PersistMode::SyncData)?;
        let ended_ns = clock.ns();
        syncs.record(ended_ns - written_ns);
        batches.record(ended_ns - began_ns);
        began_ns = ended_ns;
    }
    let written = offset * u64::from(options.batch_count);
    let messages_per_s = written as f64 * 1e9 / began_ns as f64;
    Ok(Found { messages_per_s, sync: syncs.summary(), batch: batches.summary() })
}

/// As the store opens it.
fn open(dir: &Path) -> fjall::Result<(Database, Keyspace)> {
    let db = Database::builder(dir)
        .cache_size(32 << 20)
        .worker_threads(1)
        .max_journaling_size(128 << 20)
        .max_cached_files(Some(256))
        .manual_journal_persist(true)
        .open()?;
    let messages = db.keyspace("messages", || {
        KeyspaceCreateOptions::default()
            .max_memtable_size(16 << 20)
            .manual_journal_persist(true)
            .data_block_size_policy(BlockSizePolicy::all(4 << 10))
            .filter_block_pinning_policy(PinningPolicy::all(false))
            .index_block_pinning_policy(PinningPolicy::all(false))
            .expect_point_read_hits(true)
            .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(16 << 20)))
    })?;
    Ok((db, messages))
}
