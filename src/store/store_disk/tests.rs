//! A store in a directory, its log in front of its database: what one of them lacks the other one
//! has, and where neither has it the store does not open.

use std::fs;
use std::path::Path;

use super::*;
use crate::base::RoomId;
use crate::log::PAGE_BYTES;
use crate::store::KeyRange;
use crate::store::log_activity::{LogActivity, LogWrites};
use crate::store::messages::ReadOrder;
use crate::store::open;
use crate::store::record::ChannelRecord;
use crate::wire::Epoch;

fn options(dir: &Path) -> Options {
    Options {
        dir: dir.to_path_buf(),
        cache_bytes: 1 << 20,
        log_segment_bytes: 128 << 10,
        ..Options::default()
    }
}

fn opened(dir: &Path) -> StoreDisk {
    open(&options(dir)).expect("a directory of its own opens")
}

/// Why it does not open.
#[track_caller]
fn damage(dir: &Path) -> String {
    match open(&options(dir)) {
        Err(OpenError::Damaged { what, .. }) => what,
        Err(fault) => panic!("{fault:?}"),
        Ok(_) => panic!("it opens"),
    }
}

/// A channel that has this name and one message.
fn room(name: &[u8]) -> RoomId {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name);
    RoomId(u128::from_be_bytes(bytes))
}

fn put(disk: &mut impl Disk, name: &[u8], value: &[u8]) {
    let record = ChannelRecord {
        epoch: Epoch(1),
        created_unix_ms: 1,
        losses_count: 0,
        first: 1,
        below_bytes: 0,
        head: 1,
        total_bytes: 0,
        last_unix_ms: 0,
        removed: None,
        parties: None,
        tenant: "t".into(),
        channel: "c".into(),
    };
    let room = room(name);
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Markers, name, value);
    batch.put(StoreKeyspace::Channels, &key::channel(room), record.put());
    batch.put(StoreKeyspace::Messages, &key::message(room, 1), value);
    disk.commit(&mut batch, SyncMode::Now).unwrap();
}

#[track_caller]
fn check(disk: &impl Disk, name: &[u8], value: Option<&[u8]>) {
    let message = key::message(room(name), 1);
    for (space, key) in [(StoreKeyspace::Markers, name), (StoreKeyspace::Messages, &message)] {
        let found = disk.get(space, key).unwrap();
        assert!(found.as_deref() == value, "{space:?} of {name:?}");
    }
}

fn journals(dir: &Path) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(dir.join("db")).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|end| end == "jnl")).collect()
}

/// As a power cut leaves it that took all that was not synced.
fn empty_journals(dir: &Path) {
    for journal in journals(dir) {
        fs::write(journal, "").unwrap();
    }
}

#[test]
fn what_the_database_lost_is_read_from_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut disk = opened(dir);
    put(&mut disk, b"a", b"1");
    // Now the tables have it, under a number that the journal loses.
    disk.reclaim().unwrap();
    put(&mut disk, b"a", b"2");
    put(&mut disk, b"b", &[7; 100_000]);
    drop(disk);
    empty_journals(dir);
    let mut disk = opened(dir);
    check(&disk, b"a", Some(b"2"));
    check(&disk, b"b", Some(&[7; 100_000]));
    put(&mut disk, b"a", b"3");
    // The database has it, and not for good.
    disk.tend(1_000_000).unwrap();
    disk.tend(1_001_000).unwrap();
    drop(disk);
    // A bit is not what it was, in the middle: batches behind it do not count either.
    let journal = journals(dir).remove(0);
    let mut bytes = fs::read(&journal).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let disk = opened(dir);
    check(&disk, b"a", Some(b"3"));
    check(&disk, b"b", Some(&[7; 100_000]));
    drop(disk);
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    let cuts = names.filter(|name| name.to_string_lossy().starts_with("journal.cut-"));
    assert_eq!(cuts.count(), 0, "what was cut off is not needed");
}

/// 26 bytes that are a whole batch of fjall's, in a message. Behind a torn place they made a journal
/// look damaged.
#[test]
fn a_message_that_looks_like_a_batch_of_the_journal_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let sum = xxhash_rust::xxh3::xxh3_64(&[]);
    let [none, number, sum] = [&0_u32.to_le_bytes()[..], &[0xff; 8], &sum.to_le_bytes()];
    let batch = [&[1], none, number, &[3], sum, b"FJL\x03"].concat();
    assert_eq!(batch.len(), 26);
    let mut disk = opened(dir);
    disk.reclaim().unwrap();
    put(&mut disk, b"a", &batch);
    disk.tend(1_000_000).unwrap();
    disk.tend(1_001_000).unwrap();
    drop(disk);
    let journal = journals(dir).remove(0);
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.windows(26).rposition(|part| part == batch).expect("it stands there plainly");
    // The last batch is torn behind it.
    bytes.truncate(at + 26);
    fs::write(&journal, bytes).unwrap();
    check(&opened(dir), b"a", Some(&batch));
}

#[test]
fn the_log_lets_go_what_the_database_has_for_good() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut disk = opened(dir);
    for number in 0..800_u32 {
        put(&mut disk, &number.to_be_bytes(), &[7; 10_000]);
    }
    disk.close().unwrap();
    drop(disk);
    let log_bytes: u64 = fs::read_dir(dir.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    // However late the thread that sorts is: commits wait where thirty segments are not sorted.
    assert!(log_bytes < 6 << 20, "{log_bytes} of 16,000,000 that were written");
    let disk = opened(dir);
    check(&disk, &799_u32.to_be_bytes(), Some(&[7; 10_000]));
    drop(disk);
    // What is gone from the log, and was lost behind it, is told.
    for journal in journals(dir) {
        let bytes = fs::read(&journal).unwrap();
        fs::write(&journal, &bytes[..bytes.len() / 2]).unwrap();
    }
    let tables = fs::read_dir(dir.join("db/keyspaces")).unwrap().count();
    assert!(0 < tables);
    let what = damage(dir);
    assert!(what.contains("what stands between is missing"), "{what}");
    let cut = fs::metadata(dir.join("journal.cut-0")).or(fs::metadata(dir.join("journal.cut-1")));
    assert!(cut.is_ok(), "what was cut off is kept");
}

#[test]
fn each_write_of_the_log_is_counted_and_each_that_is_durable_timed() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = opened(dir.path());
    disk.take_log_activity();
    let taken = |disk: &mut StoreDisk| {
        let LogWrites { batches, bytes, syncs } = disk.take_log_activity().writes;
        (batches, bytes, syncs.len())
    };
    let page = PAGE_BYTES as u64;
    put(&mut disk, b"a", b"1");
    put(&mut disk, b"a", &[7; 3_000]);
    assert_eq!(taken(&mut disk), (2, 3 * page, 2));
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Markers, b"b", b"1");
    disk.commit(&mut batch, SyncMode::Later).unwrap();
    assert_eq!(taken(&mut disk), (1, page, 0));
    disk.sync().unwrap();
    assert_eq!(taken(&mut disk), (0, 0, 1));

    for number in 0..200_u32 {
        put(&mut disk, &number.to_be_bytes(), &[7; 10_000]);
    }
    let segments = disk.take_log_activity().backlog.segments;
    assert!(3 < segments.used + segments.waiting, "{segments:?}");
    // Also messages stand behind it then.
    disk.reclaim().unwrap();
    disk.close().unwrap();
    let LogActivity { checkpoints, backlog, .. } = disk.take_log_activity();
    assert!(!checkpoints.is_empty());
    assert_eq!((backlog.unapplied_bytes, backlog.segments.waiting), (0, 0));
    assert!(backlog.segments.used <= 2 && 2 <= backlog.segments.free, "{backlog:?}");
}

/// A store as programs made it that knew no logs.
fn old_store(dir: &Path) {
    FjallDisk::make_if_missing(&options(dir)).unwrap();
    let mut disk = FjallDisk::open_existing(&options(dir), BackgroundThreads::One).unwrap();
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Meta, key::FORMAT, FORMAT_WITHOUT_LOG.to_be_bytes());
    batch.put(StoreKeyspace::Meta, key::NAME_KEY, vec![3; 16]);
    disk.commit(&mut batch, SyncMode::Now).unwrap();
    put(&mut disk, b"a", b"1");
}

#[test]
fn a_store_of_before_gets_a_log_and_is_refused_by_who_knows_none() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    old_store(dir);
    let looked_at = open_at_rest(&options(dir), BackgroundThreads::None).unwrap();
    check(&looked_at, b"a", Some(b"1"));
    drop(looked_at);
    assert!(!dir.join("log").exists(), "looking changes nothing");
    let mut disk = opened(dir);
    check(&disk, b"a", Some(b"1"));
    put(&mut disk, b"b", b"2");
    drop(disk);
    // The format stands in the database itself, and for good.
    let database = FjallDisk::open_existing(&options(dir), BackgroundThreads::None).unwrap();
    let format = database.get(StoreKeyspace::Meta, key::FORMAT).unwrap().unwrap();
    assert_eq!(format, FORMAT.to_be_bytes());
    drop(database);
    let disk = opened(dir);
    check(&disk, b"a", Some(b"1"));
    check(&disk, b"b", Some(b"2"));
    drop(disk);
    fs::rename(dir.join("log"), dir.join("elsewhere")).unwrap();
    assert_eq!(damage(dir), "its log is missing");
    assert!(!dir.join("log").exists(), "and no other one is made");
    fs::rename(dir.join("elsewhere"), dir.join("log")).unwrap();
    fs::rename(dir.join("db"), dir.join("elsewhere")).unwrap();
    assert_eq!(damage(dir), "it has a log, and its database is missing");
}

#[test]
fn a_conversion_that_ended_anywhere_goes_on() {
    // Before the log, and behind it.
    for begun in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        old_store(dir);
        prepare_for_log(&options(dir)).unwrap();
        if begun {
            drop(open_logged(&options(dir), BackgroundThreads::One).unwrap());
        }
        let mut disk = opened(dir);
        check(&disk, b"a", Some(b"1"));
        put(&mut disk, b"b", b"2");
        drop(disk);
        check(&opened(dir), b"b", Some(b"2"));
    }
}

#[test]
fn what_is_sorted_is_counted_and_its_files_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut disk = opened(dir.path());
    for offset in 1..=200_u64 {
        let mut batch = Batch::default();
        batch.put(StoreKeyspace::Messages, &key::message(RoomId(1), offset), [7; 10_000]);
        disk.commit(&mut batch, SyncMode::Now).unwrap();
    }
    let before = disk.take_log_activity();
    assert!(2_000_000 <= before.backlog.unsorted_bytes + before.runs.moved_bytes, "{before:?}");
    disk.close().unwrap();
    let after = disk.take_log_activity();
    assert_eq!((after.backlog.unsorted_bytes, after.runs.failures), (0, 0));
    let files = after.runs.unmerged_bytes + after.runs.merged_bytes;
    assert!(0 < after.runs.unmerged_bytes && 2_000_000 < files, "{after:?}");
    assert!(2_000_000 <= before.runs.moved_bytes + after.runs.moved_bytes);
    assert_eq!(disk.take_log_activity().runs.moved_bytes, 0, "each is told once");
}

/// A name that each number has for itself.
fn numbered(number: u32) -> Vec<u8> {
    [b"n", &number.to_be_bytes()[..]].concat()
}

/// A store as programs made it whose messages stood in the database, with more in its log.
fn store_without_runs(dir: &Path) {
    old_store(dir);
    prepare_for_log(&options(dir)).unwrap();
    let mut disk = open_logged(&options(dir), BackgroundThreads::One).unwrap();
    put(&mut disk, b"b", b"2");
    drop(disk);
    let mut database = FjallDisk::open_existing(&options(dir), BackgroundThreads::One).unwrap();
    put_format(&mut database, FORMAT_WITHOUT_RUNS).unwrap();
    for number in 0..2_000_u32 {
        put(&mut database, &numbered(number), &[7; 100]);
    }
}

#[track_caller]
fn check_converted(dir: &Path) {
    let mut disk = opened(dir);
    check(&disk, b"a", Some(b"1"));
    check(&disk, b"b", Some(b"2"));
    for number in [0, 1_234, 1_999_u32] {
        check(&disk, &numbered(number), Some(&[7; 100]));
    }
    put(&mut disk, b"c", b"3");
    drop(disk);
    check(&opened(dir), b"c", Some(b"3"));
    let database = FjallDisk::open_existing(&options(dir), BackgroundThreads::None).unwrap();
    let found = database.get(StoreKeyspace::Messages, &key::message(room(b"a"), 1)).unwrap();
    assert_eq!(found, None, "they stand in runs alone");
    assert!(!dir.join("messages.new").exists());
}

#[test]
fn messages_of_a_store_of_before_become_runs_wherever_that_was_ended() {
    for step in 0..5 {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        store_without_runs(dir);
        let looked_at = open_at_rest(&options(dir), BackgroundThreads::None).unwrap();
        check(&looked_at, b"a", Some(b"1"));
        check(&looked_at, b"b", Some(b"2"));
        drop(looked_at);
        assert!(!dir.join("messages").exists(), "looking converts nothing");
        let mut database = FjallDisk::open_existing(&options(dir), BackgroundThreads::One).unwrap();
        let log_id = database.log_id().unwrap().unwrap();
        match step {
            0 => {}
            // It was being written.
            1 => {
                fs::create_dir(dir.join("messages.new")).unwrap();
                fs::write(dir.join("messages.new/run-1"), [1; 4_096]).unwrap();
            }
            // It was complete, and then a program of before wrote on.
            2 => {
                conversion::convert(dir, &database, log_id).unwrap();
                put(&mut database, &numbered(7), &[8; 9]);
            }
            // The format was raised,
            3 => {
                conversion::convert(dir, &database, log_id).unwrap();
                put_format(&mut database, FORMAT).unwrap();
            }
            // and messages were removed.
            _ => {
                conversion::convert(dir, &database, log_id).unwrap();
                put_format(&mut database, FORMAT).unwrap();
                database.clear_messages().unwrap();
            }
        }
        drop(database);
        check_converted(dir);
        if step == 2 {
            check(&opened(dir), &numbered(7), Some(&[8; 9]));
        }
    }
}

#[test]
fn another_log_in_its_place_is_refused() {
    let [own, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let (own, other) = (own.path(), other.path());
    let mut disk = opened(own);
    put(&mut disk, b"a", b"1");
    drop(disk);
    let mut disk = opened(other);
    for number in 0..9 {
        put(&mut disk, &[number], b"1");
    }
    drop(disk);
    fs::rename(own.join("log"), own.join("older")).unwrap();
    fs::rename(other.join("log"), own.join("log")).unwrap();
    assert_eq!(damage(own), "its log is another store's");
    fs::rename(own.join("log"), other.join("log")).unwrap();
    fs::rename(own.join("older"), own.join("log")).unwrap();
    check(&opened(own), b"a", Some(b"1"));

    // Its own, and as it was before.
    let copy = own.join("copy");
    fs::create_dir(&copy).unwrap();
    for file in fs::read_dir(own.join("log")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    let mut disk = opened(own);
    put(&mut disk, b"a", b"2");
    disk.close().unwrap();
    drop(disk);
    fs::rename(own.join("log"), own.join("newer")).unwrap();
    fs::rename(&copy, own.join("log")).unwrap();
    let what = damage(own);
    assert!(what.contains("the log is an older one"), "{what}");
}

/// Flips a bit of a text in the log's segments; how often it stands there.
fn turn_in_log(dir: &Path, text: &[u8]) -> usize {
    let mut turned = 0;
    for file in fs::read_dir(dir.join("log")).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(text.len()).position(|part| part == text) {
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            turned += 1;
        }
    }
    turned
}

#[test]
fn a_store_goes_on_without_a_log_that_is_damaged_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    old_store(dir);
    let mut disk = opened(dir);
    put(&mut disk, b"b", b"here is the bit that turns");
    // The next batch says that it was durable, and the database has neither of them.
    put(&mut disk, b"c", b"3");
    drop(disk);
    assert_eq!(turn_in_log(dir, b"here is the bit that turns"), 1);
    let what = damage(dir);
    assert!(what.contains("was durable and is not whole"), "{what}");
    let ignoring = Options { ignore_damage: true, ..options(dir) };
    let disk = open(&ignoring).unwrap();
    // Markers of no channel are not copied, and its key for names is the same.
    assert_eq!(disk.get(StoreKeyspace::Meta, key::NAME_KEY).unwrap(), Some(vec![3; 16]));
    drop(disk);
    assert!(dir.join("log.damaged-1").is_dir() && dir.join("db.damaged-1").is_dir());
    let mut disk = opened(dir);
    put(&mut disk, b"d", b"4");
    drop(disk);
    check(&opened(dir), b"d", Some(b"4"));
}

#[test]
fn damage_of_what_the_database_has_is_left_out_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut disk = opened(dir);
    put(&mut disk, b"a", b"here is the bit that turns");
    put(&mut disk, b"b", b"2");
    // Database and runs get these, and not what follows.
    disk.reclaim().unwrap();
    put(&mut disk, b"c", b"3");
    drop(disk);
    assert_eq!(turn_in_log(dir, b"here is the bit that turns"), 1);
    for (damages, value) in [(1, b"4"), (0, b"5")] {
        let mut disk = opened(dir);
        assert_eq!(disk.take_log_activity().damages, damages);
        check(&disk, b"a", Some(b"here is the bit that turns"));
        check(&disk, b"b", Some(b"2"));
        check(&disk, b"c", Some(b"3"));
        put(&mut disk, b"d", value);
        drop(disk);
    }
    check(&opened(dir), b"d", Some(b"5"));
}

/// What is in the log alone is looked at, too, and stays there.
#[test]
fn a_store_at_rest_shows_what_only_its_log_has() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut disk = opened(dir);
    // Its log's id is in a table.
    disk.reclaim().unwrap();
    for number in 0..50_u8 {
        put(&mut disk, &[b'k', number], &[number; 300]);
    }
    drop(disk);
    empty_journals(dir);
    for _ in 0..2 {
        let disk = open_at_rest(&options(dir), BackgroundThreads::None).unwrap();
        let all = KeyRange { first: vec![0], last: vec![255; 60] };
        let mut seen = 0;
        let scanned =
            disk.scan(StoreKeyspace::Markers, &all, ReadOrder::NewestFirst, &mut |key, value| {
                seen += 1;
                assert_eq!((key[0], value), (b'k', &[50 - seen; 300][..]));
                std::ops::ControlFlow::Continue(())
            });
        scanned.unwrap();
        assert_eq!(seen, 50);
    }
}
