//! What the report of durable messages is made of, in small: the bare loop over the
//! disk, and a store that was made without a server.

use std::fs;
use std::path::{Path, PathBuf};

use rookery::base::ShardId;
use rookery::log;
use rookery::session::NameKey;
use rookery::store::{
    self, Durability, Engine, EngineSetup, OpenChannel, RequestId, Requester, Retention, StoreDisk,
    StoreOp, StoreRequest, StoreResult, WriteEpoch,
};
use rookery_bench::disk_loop;
use rookery_bench::log_loop::{self, LogUse, Overlap};
use rookery_bench::stored::{self, Content};

/// A place of a test's own; what an earlier run left there is gone.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    drop(fs::remove_dir_all(&folder));
    folder
}

#[test]
fn the_bare_loop_syncs_each_batch_and_leaves_nothing_behind() {
    let folder = folder("bench-disk-loop");
    let options = disk_loop::Options { batch_count: 4, message_bytes: 100, measure_ms: 30 };
    let found = disk_loop::run(&folder, options).unwrap();
    assert!(0 < found.sync.count && found.sync.count == found.batch.count);
    assert!(found.sync.p50_ns <= found.batch.p50_ns);
    let seconds = found.sync.count as f64 * 4.0 / found.messages_per_s;
    assert!(0.03 <= seconds, "{found:?}");
    assert!(!folder.exists());
}

#[test]
fn the_bare_log_answers_each_batch_and_leaves_nothing_behind() {
    let folder = folder("bench-log-loop");
    let sizes = log::Options {
        segment_pages: 256,
        batch_bytes_max: 100_000,
        undurable_pages_max: 128,
        ..log::Options::default()
    };
    for overlap in [Overlap::None, Overlap::Threads] {
        // A segment has twelve of these batches, so that the log goes on in others.
        let options = disk_loop::Options { batch_count: 40, message_bytes: 2_000, measure_ms: 300 };
        let used = LogUse { options: sizes, overlap };
        let (found, _) = log_loop::run(&folder, options, used).unwrap();
        assert!(0 < found.batch.count, "{found:?}");
        assert!(overlap == Overlap::Threads || found.sync.p50_ns <= found.batch.p50_ns);
        assert!(!folder.exists());
    }
}

fn engine(dir: &Path) -> Engine<StoreDisk> {
    let options = store::Options { dir: dir.to_owned(), ..store::Options::default() };
    let kept = Retention {
        durability: Durability::Fsync,
        count_max: 1_000,
        bytes_max: u64::MAX,
        age_ms_max: u64::MAX,
        channel_ms_max: u64::MAX,
        has_rosters: false,
    };
    let disk = store::open(&options).unwrap();
    let setup = EngineSetup {
        options,
        retention: vec![kept],
        namespace_of: Box::new(|_| 0),
        new_name_key: [2; 16],
    };
    Engine::open(disk, setup).unwrap()
}

/// Head, and bytes of data of the newest messages, as a server would read them.
fn opened(engine: &mut Engine<StoreDisk>, channel: &str) -> Option<(u64, Vec<usize>)> {
    let room = NameKey::from_bytes(engine.name_key()).room("", channel);
    let open =
        OpenChannel { room, count_max: 100, bytes_max: 1 << 20, after: None, ids_since_unix_ms: 0 };
    let request = StoreRequest {
        request_id: RequestId(0),
        write_epoch: WriteEpoch(0),
        by: Requester::NOBODY,
        op: StoreOp::Open(open),
    };
    engine.take(ShardId(0), request);
    let mut replies = Vec::new();
    engine.turn(1_000, &mut replies);
    let (_, reply) = replies.pop().unwrap();
    let StoreResult::Opened(opened, _) = reply.outcome else { panic!("{reply:?}") };
    opened.map(|found| (found.head, found.tail.iter().map(|one| one.data.bytes.len()).collect()))
}

#[test]
fn a_store_made_without_a_server_is_one_that_a_server_reads() {
    let folder = folder("bench-stored");
    let content = Content {
        // More requests than one turn takes.
        channels_count: 300,
        messages_count: 5,
        data_bytes: 40,
        time_unix_ms: 1_000,
        seed: 3,
    };
    let name = |channel: u32| format!("room:{channel}");
    stored::write(&folder, &content, name).unwrap();
    let least = content.messages() * u64::from(content.data_bytes);
    assert!(least < stored::disk_bytes(&folder).unwrap());
    let mut engine = engine(&folder);
    for channel in 0..content.channels_count {
        assert_eq!(opened(&mut engine, &name(channel)), Some((5, vec![40; 5])), "{channel}");
    }
    assert_eq!(opened(&mut engine, &name(content.channels_count)), None);
    drop(engine);
    // What is there already is not written again.
    assert!(stored::write(&folder, &content, name).is_err());
}
