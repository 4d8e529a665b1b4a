//! A store as a server leaves it after very many messages, made without a server:
//! through the store's own engine and disk, in large batches, synced once.
//!
//! Deliberately absent: sockets, and any way of writing but the store's own.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rookery::base::{ClientId, Prng, RoomId, ShardId};
use rookery::session::NameKey;
use rookery::store::{
    self, Append, ChannelCreated, Disk, Durability, Engine, EngineSetup, RequestId, Requester,
    Retention, StoreDisk, StoreOp, StoreReply, StoreRequest, StoreResult, WriteEpoch,
};
use rookery::wire::{ClientInfo, Epoch, Payload, Publication};

/// Channels that are written at a time: their heads fit into the engine's memory.
const CHANNELS_AT_A_TIME: u32 = 4_096;

/// Requests between two turns of the engine.
const REQUESTS_PER_TURN: usize = 1_024;

/// What is to be stored.
#[derive(Clone, Debug)]
pub struct Content {
    /// How many channels.
    pub channels_count: u32,
    /// Messages in each.
    pub messages_count: u32,
    /// Bytes of a message's data.
    pub data_bytes: u32,
    /// When they were said.
    pub time_unix_ms: u64,
    /// Everything random follows from it.
    pub seed: u64,
}

impl Content {
    /// All messages.
    pub fn messages(&self) -> u64 {
        u64::from(self.channels_count) * u64::from(self.messages_count)
    }
}

/// Writes it into a directory that is made where there is none. `name` gives a
/// channel's name, which must be in the same namespace whenever it is read.
pub fn write(dir: &Path, content: &Content, name: impl Fn(u32) -> String) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(|error| failed(&error))?;
    let options = store::Options { dir: dir.to_owned(), ..store::Options::default() };
    let disk = store::open(&options).map_err(|fault| failed(&fault))?;
    let kept = Retention {
        // Synced once, at the end.
        durability: Durability::Interval,
        count_max: u32::MAX,
        bytes_max: u64::MAX,
        age_ms_max: u64::MAX,
        channel_ms_max: u64::MAX,
        has_rosters: false,
    };
    let namespace_of = Box::new(|_: &str| 0);
    let new_name_key = u128::from(content.seed).to_le_bytes();
    let setup = EngineSetup { options, retention: vec![kept], namespace_of, new_name_key };
    let engine = Engine::open(disk, setup).map_err(|fault| failed(&fault))?;
    let mut writer = Writer::new(engine, content);
    for first in (0..content.channels_count).step_by(CHANNELS_AT_A_TIME as usize) {
        let last = content.channels_count.min(first + CHANNELS_AT_A_TIME);
        let channels: Vec<Arc<str>> = (first..last).map(|channel| name(channel).into()).collect();
        for offset in 1..=u64::from(content.messages_count) {
            for channel in &channels {
                writer.append(channel, offset).map_err(|why| failed(&why))?;
            }
        }
    }
    writer.finish().map_err(|why| failed(&why))
}

/// An engine, and what waits for its next turn.
struct Writer {
    engine: Engine<StoreDisk>,
    names: NameKey,
    waiting_count: usize,
    replies: Vec<(ShardId, StoreReply)>,
    tenant: Arc<str>,
    info: Arc<ClientInfo>,
    data: Payload,
    time_unix_ms: u64,
}

impl Writer {
    fn new(engine: Engine<StoreDisk>, content: &Content) -> Writer {
        let mut data = vec![b'd'; content.data_bytes as usize];
        if let [first, .., last] = &mut data[..] {
            (*first, *last) = (b'"', b'"');
        }
        let client = ClientId::from_random(Prng::from_seed(content.seed).draw_u128());
        Writer {
            names: NameKey::from_bytes(engine.name_key()),
            engine,
            waiting_count: 0,
            replies: Vec::new(),
            tenant: "".into(),
            info: Arc::new(ClientInfo { user: "u0".into(), client, conn_info: None }),
            data: Payload { bytes: Bytes::from(data), is_json: true },
            time_unix_ms: content.time_unix_ms,
        }
    }

    fn append(&mut self, channel: &Arc<str>, offset: u64) -> Result<(), String> {
        let room = self.names.room(&self.tenant, channel);
        let channel_created = (offset == 1).then(|| ChannelCreated {
            tenant: Arc::clone(&self.tenant),
            channel: Arc::clone(channel),
            epoch: epoch(room),
            created_unix_ms: self.time_unix_ms,
            behind: 0,
            parties: None,
        });
        let publication = Publication {
            offset,
            data: self.data.clone(),
            info: Some(Arc::clone(&self.info)),
            chan_info: None,
            tags: Vec::new(),
            time_unix_ms: self.time_unix_ms,
            trace: None,
        };
        let publication = Arc::new(publication);
        let (addressee, keeps_id) = (None, false);
        let namespace = 0;
        let op = Append {
            room,
            namespace,
            channel_created,
            publication,
            addressee,
            keeps_id,
            change: None,
            roster: None,
        };
        let op = StoreOp::Append(Box::new(op));
        let request = StoreRequest {
            request_id: RequestId(0),
            write_epoch: WriteEpoch(0),
            by: Requester::NOBODY,
            op,
        };
        self.engine.take(ShardId(0), request);
        self.waiting_count += 1;
        if self.waiting_count < REQUESTS_PER_TURN { Ok(()) } else { self.turn() }
    }

    /// All that waits is written, and none of it is refused.
    fn turn(&mut self) -> Result<(), String> {
        while 0 < self.waiting_count {
            self.engine.turn(self.time_unix_ms, &mut self.replies);
            self.waiting_count -= self.replies.len();
            for (_, reply) in self.replies.drain(..) {
                match reply.outcome {
                    StoreResult::Appended => {}
                    other => return Err(format!("not stored: {other:?}")),
                }
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<(), String> {
        self.turn()?;
        self.engine.into_disk().sync().map_err(|fault| format!("not synced: {fault:?}"))
    }
}

/// Any but the foreign one.
fn epoch(room: RoomId) -> Epoch {
    Epoch(u128::from(room.0 as u32 | 1))
}

/// What the files below a directory take on the disk.
pub fn disk_bytes(dir: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // The server removes files while we look.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        const BLOCK_BYTES: u64 = 512;
        bytes += match metadata.is_dir() {
            true => disk_bytes(&entry.path())?,
            false => metadata.blocks() * BLOCK_BYTES,
        };
    }
    Ok(bytes)
}
