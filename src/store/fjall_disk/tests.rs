//! A database in a directory: order, starts, torn and damaged files, and space.

use std::fs;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::base::{RoomId, ShardId};
use crate::store::key;
use crate::store::messages::{
    Append, ChannelCreated, OpenChannel, RequestId, StoreOp, StoreRequest, StoreResult, WriteEpoch,
};
use crate::store::{self, Disk, Engine, EngineSetup, Inspection, Requester, StoreDisk};
use crate::wire::{Epoch, Payload, Publication};

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_path_buf(),
        cache_bytes: 1 << 20,
        log_segment_bytes: 512 << 10,
        ..Options::default()
    }
}

/// A database without a log.
fn open(dir: &Path) -> FjallDisk {
    FjallDisk::make_if_missing(&options(dir)).expect("a directory of its own takes one");
    FjallDisk::open_existing(&options(dir), BackgroundThreads::One).expect("it opens")
}

/// The store as it is, a log in front of its database.
fn open_store(dir: &Path) -> StoreDisk {
    store::open(&options(dir)).expect("a directory of its own opens")
}

fn fault(dir: &Path) -> OpenError {
    store::open(&options(dir)).expect_err("it must not open")
}

type Entry<'a> = (StoreKeyspace, &'a [u8], Option<&'a [u8]>);

fn batch(entries: &[Entry<'_>]) -> Batch {
    let mut batch = Batch::default();
    for (space, key, value) in entries {
        match value {
            Some(value) => batch.put(*space, key, value),
            None => batch.remove(*space, key),
        }
    }
    batch
}

fn keys(disk: &FjallDisk, space: StoreKeyspace, order: ReadOrder) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let range = KeyRange { first: b"b".to_vec(), last: b"y".to_vec() };
    disk.scan(space, &range, order, &mut |key, _| {
        keys.push(key.to_vec());
        if keys.len() < 3 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .unwrap();
    keys
}

#[test]
fn spaces_are_apart_ordered_and_there_after_opening_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = open(dir.path());
    for space in StoreKeyspace::ALL {
        let name = [space.index() as u8];
        let [a, b, c, d, e, z] = [b"a", b"b", b"c", b"d", b"e", b"z"].map(|key| &key[..]);
        let entries = [a, b, c, d, e, z].map(|key| (space, key, Some(&name[..])));
        disk.commit(&mut batch(&entries), SyncMode::Later).unwrap();
    }
    disk.commit(&mut batch(&[(StoreKeyspace::Dead, b"c", None)]), SyncMode::Now).unwrap();
    for write_epoch in 0..3 {
        for space in StoreKeyspace::ALL {
            let (mut up, mut down) = ([b"b", b"c", b"d"], [b"e", b"d", b"c"]);
            if space == StoreKeyspace::Dead {
                (up, down) = ([b"b", b"d", b"e"], [b"e", b"d", b"b"]);
            }
            assert_eq!(keys(&disk, space, ReadOrder::OldestFirst), up);
            assert_eq!(keys(&disk, space, ReadOrder::NewestFirst), down);
            assert_eq!(disk.get(space, b"a").unwrap(), Some(vec![space.index() as u8]));
            assert_eq!(disk.get(space, b"q").unwrap(), None);
        }
        match write_epoch {
            0 => disk.reopen().unwrap(),
            _ => {
                drop(disk);
                disk = open(dir.path());
            }
        }
    }
    let capacity = disk.capacity().unwrap();
    assert!(0 < capacity.used_bytes && capacity.used_bytes < 4 << 20, "{capacity:?}");
    assert!(0 < capacity.free_bytes);
}

#[test]
fn a_directory_that_cannot_be_used_is_told_by_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    assert_eq!(fault(&at("none")), OpenError::Missing(at("none")));
    fs::write(at("file"), "").unwrap();
    assert_eq!(fault(&at("file")), OpenError::NotADirectory(at("file")));
    fs::create_dir(at("store")).unwrap();
    let disk = open(&at("store"));
    assert_eq!(fault(&at("store")), OpenError::Locked(at("store")));
    drop(disk);
    assert!(fault(&at("none")).to_string().contains("does not exist; create it"));
    let empty =
        FjallDisk::open_existing(&options(dir.path()), BackgroundThreads::None).unwrap_err();
    assert_eq!(empty, OpenError::Missing(at("db")));
    // A user who may do everything may write here, too.
    fs::set_permissions(at("store"), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(at("store/probe"), "").is_err() {
        assert_eq!(fault(&at("store")), OpenError::ReadOnly(at("store")));
    }
    fs::set_permissions(at("store"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn a_later_format_of_the_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let version = dir.path().join("db/version");
    let mut bytes = fs::read(&version).unwrap();
    *bytes.last_mut().unwrap() = 99;
    fs::write(&version, bytes).unwrap();
    assert!(matches!(fault(dir.path()), OpenError::Newer { found: None, .. }));
}

#[test]
fn a_first_start_that_was_cut_off_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("db.new/keyspaces")).unwrap();
    fs::write(dir.path().join("db.new/0.jnl"), "half").unwrap();
    drop(open(dir.path()));
    assert!(!dir.path().join("db.new").exists());
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("db/0.jnl")
}

/// Ten batches, and the bytes of their journal.
fn ten_batches(dir: &Path) -> Vec<u8> {
    let mut disk = open(dir);
    for number in 0..10u8 {
        let entries = [
            (StoreKeyspace::Messages, &[1, number][..], Some(&[b'v'; 500][..])),
            (StoreKeyspace::Markers, &[1, number][..], Some(&[number][..])),
        ];
        disk.commit(&mut batch(&entries), SyncMode::Now).unwrap();
    }
    drop(disk);
    let mut bytes = fs::read(journal(dir)).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    bytes.truncate(end);
    bytes
}

#[test]
fn a_torn_end_is_cut_and_its_batch_is_wholly_gone() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = ten_batches(dir.path());
    for (len, zeros) in [(1, 0), (13, 5), (200, 0), (200, 4_000), (560, 0)] {
        let mut torn = bytes[..bytes.len() - len].to_vec();
        torn.resize(torn.len() + zeros, 0);
        fs::write(journal(dir.path()), torn).unwrap();
        let disk = open(dir.path());
        for space in [StoreKeyspace::Messages, StoreKeyspace::Markers] {
            assert!(disk.get(space, &[1, 8]).unwrap().is_some());
            assert_eq!(disk.get(space, &[1, 9]).unwrap(), None, "{len} bytes are missing");
        }
    }
    // Lengths that are right around bytes that are not: fjall alone does not open.
    let mut wrong = bytes.clone();
    let at = wrong.len() - 200;
    wrong[at..at + 100].fill(0);
    fs::write(journal(dir.path()), wrong).unwrap();
    assert_eq!(open(dir.path()).get(StoreKeyspace::Messages, &[1, 9]).unwrap(), None);
}

#[test]
fn damage_before_the_end_is_told_and_nothing_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = ten_batches(dir.path());
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs::write(journal(dir.path()), &flipped).unwrap();
    for _ in 0..2 {
        let OpenError::Damaged { what, .. } = fault(dir.path()) else { panic!() };
        assert!(what.starts_with("0.jnl at byte "), "{what}");
    }
    assert_eq!(fs::read(journal(dir.path())).unwrap(), flipped);
    fs::remove_file(journal(dir.path())).unwrap();
    let OpenError::Damaged { what, .. } = fault(dir.path()) else { panic!() };
    assert_eq!(what, "its journal is missing");
}

/// An engine over the store in a folder, which removes nothing by itself.
fn setup(dir: &Path) -> EngineSetup {
    EngineSetup {
        options: options(dir),
        retention: Vec::new(),
        namespace_of: Box::new(|_| 0),
        new_name_key: [1; 16],
    }
}

#[test]
fn a_store_goes_on_without_what_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Engine::open(open(dir.path()), setup(dir.path())).unwrap();
    let name_key = engine.name_key();
    for room in [1, 2] {
        for offset in 1..=20 {
            assert!(matches!(say(&mut engine, RoomId(room), offset), StoreResult::Appended));
        }
    }
    // As programs left it that knew no logs.
    let format = (StoreKeyspace::Meta, key::FORMAT, Some(&[0, 0, 0, 1][..]));
    engine.disk_mut().commit(&mut batch(&[format]), SyncMode::Now).unwrap();
    drop(engine);
    let mut bytes = fs::read(journal(dir.path())).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[end * 3 / 4] ^= 1;
    fs::write(journal(dir.path()), bytes).unwrap();
    assert!(matches!(fault(dir.path()), OpenError::Damaged { .. }));
    let mut findings = Vec::new();
    assert!(!dir.path().join("db.damaged-1").exists(), "not without being told");
    let salvaged = store::go_on_without(&options(dir.path()), &mut |finding| {
        findings.push(finding);
    })
    .unwrap();
    assert_eq!((salvaged.channels_count, salvaged.findings_count), (2, 0));
    assert!((25..35).contains(&salvaged.messages_count), "{salvaged:?}");
    let mut engine = Engine::open(open_store(dir.path()), setup(dir.path())).unwrap();
    assert_eq!(engine.name_key(), name_key);
    for (room, head) in [(1, 20), (2, salvaged.messages_count - 20)] {
        let op = StoreOp::Open(OpenChannel {
            room: RoomId(room),
            count_max: 100,
            bytes_max: u32::MAX,
            after: None,
            ids_since_unix_ms: u64::MAX,
        });
        let StoreResult::Opened(Some(opened), _) = ask(&mut engine, op) else { panic!() };
        assert_eq!((opened.head, opened.tail.len() as u64), (head, head));
        assert_ne!(opened.epoch, Epoch(5), "offsets may be given again");
    }
    assert!(dir.path().join("db.damaged-1").exists());
    assert!(dir.path().join("journal.damaged-0").exists());
}

fn ask(engine: &mut Engine<impl Disk>, op: StoreOp) -> StoreResult {
    engine.take(
        ShardId(0),
        StoreRequest {
            request_id: RequestId(1),
            write_epoch: WriteEpoch(1),
            by: Requester::NOBODY,
            op,
        },
    );
    let mut out = Vec::new();
    engine.turn(1_000_000, &mut out);
    out.remove(0).1.outcome
}

fn say(engine: &mut Engine<impl Disk>, room: RoomId, offset: u64) -> StoreResult {
    let publication = Publication {
        offset,
        data: Payload { bytes: vec![b'v'; 100].into(), is_json: false },
        info: None,
        chan_info: None,
        tags: Vec::new(),
        time_unix_ms: 1_000_000,
        trace: None,
    };
    let channel = format!("room:{}", { room.0 }).into();
    let channel_created = ChannelCreated {
        tenant: "".into(),
        channel,
        epoch: Epoch(5),
        created_unix_ms: 1,
        behind: 0,
        parties: None,
    };
    let (channel_created, publication) =
        (Some(channel_created).filter(|_| offset == 1), publication.into());
    let append = Append {
        room,
        namespace: 0,
        channel_created,
        publication,
        addressee: None,
        keeps_id: false,
        change: None,
        roster: None,
    };
    ask(engine, StoreOp::Append(Box::new(append)))
}

#[test]
fn damaged_messages_are_told_remembered_and_left_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = Engine::open(open_store(dir.path()), setup(dir.path())).unwrap();
    for room in [1, 2] {
        // Some blocks of a run.
        for offset in 1..=600 {
            assert!(matches!(say(&mut engine, RoomId(room), offset), StoreResult::Appended));
        }
    }
    // Giving space back writes memory into runs and tables.
    engine.disk_mut().reclaim().unwrap();
    drop(engine);
    let mut files = Vec::new();
    files_below(&dir.path().join("messages"), &mut files);
    let number = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?.strip_prefix("run-")?;
        name.parse::<u64>().ok()
    };
    let oldest = files.into_iter().filter(|path| number(path).is_some()).min_by_key(number);
    let oldest = oldest.expect("all is sorted");
    let mut bytes = fs::read(&oldest).unwrap();
    bytes[10_000] ^= 1;
    fs::write(&oldest, bytes).unwrap();
    let mut engine = Engine::open(open_store(dir.path()), setup(dir.path())).unwrap();
    let damaged = [1, 2].map(|room| {
        let all = crate::store::HistoryRange {
            room: RoomId(room),
            first: 0,
            last: u64::MAX,
            count_max: 1_000,
            bytes_max: u32::MAX,
            order: ReadOrder::OldestFirst,
        };
        matches!(ask(&mut engine, StoreOp::Read(all)), StoreResult::Failed(_))
    });
    assert!(damaged.contains(&true) && damaged.contains(&false), "{damaged:?}");
    drop(engine);
    let OpenError::Damaged { what, .. } = fault(dir.path()) else { panic!() };
    assert!(what.starts_with("what it keeps does not match"), "{what}");
    let mut findings = Vec::new();
    let inspection = Inspection::open(&options(dir.path()), BackgroundThreads::None).unwrap();
    inspection.check(&mut |finding| findings.push(finding.to_string())).unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].starts_with("channel \"room:"), "{findings:?}");
    assert!(findings[0].ends_with(" are damaged"), "{findings:?}");
    drop(inspection);
    let ignoring = Options { ignore_damage: true, ..options(dir.path()) };
    drop(store::open(&ignoring).unwrap());
    drop(open_store(dir.path()));
    let inspection = Inspection::open(&options(dir.path()), BackgroundThreads::None).unwrap();
    let totals = inspection.check(&mut |finding| panic!("{finding}")).unwrap();
    assert_eq!(totals.channels_count, 2);
    drop(inspection);
    drop(store::open(&ignoring).unwrap());
    assert!(!dir.path().join("db.damaged-2").exists(), "a whole one stays where it is");
}

fn files_below(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files_below(&path, files) } else { files.push(path) }
    }
}

#[test]
fn what_was_removed_gives_its_space_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = open(dir.path());
    // What no compression makes small.
    let mut random = 1_u64;
    let mut value = || {
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) as u8
        };
        (0..20_000).map(|_| next()).collect::<Vec<u8>>()
    };
    let values: Vec<Vec<u8>> = (0..200).map(|_| value()).collect();
    let key = |index: usize| index.to_be_bytes();
    for (index, value) in values.iter().enumerate() {
        let entry = (StoreKeyspace::Messages, &key(index)[..], Some(&value[..]));
        disk.commit(&mut batch(&[entry]), SyncMode::Now).unwrap();
    }
    let used_bytes = |disk: &FjallDisk| layout::used_bytes(&layout::db_dir(&disk.dir)).unwrap();
    let before_bytes = used_bytes(&disk);
    assert!(200 * 20_000 < before_bytes, "{before_bytes}");
    for index in 0..150 {
        disk.commit(&mut batch(&[(StoreKeyspace::Messages, &key(index), None)]), SyncMode::Now)
            .unwrap();
    }
    assert!(before_bytes <= used_bytes(&disk), "removing alone frees nothing");
    disk.reclaim().unwrap();
    let after_bytes = used_bytes(&disk);
    assert!(after_bytes < before_bytes / 2, "{before_bytes} became {after_bytes}");
    for write_epoch in 0..3 {
        for (index, value) in values.iter().enumerate() {
            let kept = disk.get(StoreKeyspace::Messages, &key(index)).unwrap();
            assert_eq!(kept.as_ref(), (150 <= index).then_some(value), "{index}");
        }
        let written = [write_epoch as u8];
        let entry = (StoreKeyspace::Markers, &written[..], Some(&written[..]));
        disk.commit(&mut batch(&[entry]), SyncMode::Now).unwrap();
        drop(disk);
        disk = open(dir.path());
        assert_eq!(
            disk.get(StoreKeyspace::Markers, &written).unwrap().as_deref(),
            Some(&written[..])
        );
    }
}
