//! Disks that fail, that are full, and that are opened again.

use super::*;

#[test]
fn a_failed_batch_is_answered_as_failed_and_the_disk_is_read_again() {
    for (commit, sync) in [(100, 0), (0, 100)] {
        let mut bench = Bench::new();
        bench.said(1..=3);
        bench.set_fault_profile(DiskFaultProfile {
            commit_fails_percent: commit,
            sync_fails_percent: sync,
            reopen_fails_percent: 100,
            ..DiskFaultProfile::CALM
        });
        bench.give(append(ROOM, "room:a", 4));
        bench.give(mark(ROOM, "ann", MarkerPosition::Read(4)));
        bench.give(StoreOp::Read(all(ROOM)));
        for answer in bench.answers() {
            assert_eq!(failure(&answer), StoreError::Broken);
        }
        assert_eq!(bench.engine.takes_messages(), Err(StoreError::Broken));
        bench.write_epoch.0 += 1;
        assert_eq!(failure(&bench.say(4)), StoreError::Broken, "until it is read again");
        assert_eq!(bench.history(ROOM, 0, 9), [1, 2, 3], "reading goes on");
        let reopened = bench.ask(StoreOp::Open(open(ROOM)));
        assert_eq!(failure(&reopened), StoreError::Broken, "its end is not known");
        let other = bench.ask(StoreOp::Open(open(RoomId(8))));
        assert!(matches!(other, StoreResult::Opened(None, _)), "{other:?}");
        bench.set_fault_profile(DiskFaultProfile::CALM);
        bench.now += 10_000;
        bench.write_epoch.0 += 1;
        let head = bench.opened(ROOM).unwrap().head;
        assert!(head == 3 || head == 4, "nobody could know");
        bench.said(head + 1..=9);
        assert_eq!(bench.history(ROOM, 0, 99), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
        assert_eq!(bench.engine.counts().reopened, 1);
    }
}

#[test]
fn where_too_much_waits_behind_the_disk_messages_are_refused_and_the_rest_goes_on() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    let late = DiskFaultProfile { takes_messages: false, ..DiskFaultProfile::CALM };
    bench.set_fault_profile(late);
    bench.give(append(ROOM, "room:a", 4));
    bench.give(append(RoomId(8), "room:b", 1));
    bench.give(append(ROOM, "room:a", 5));
    for answer in bench.answers() {
        assert_eq!(failure(&answer), StoreError::Overloaded, "each is told the same");
    }
    assert!(matches!(bench.mark(MarkerPosition::Read(3)), StoreResult::MarkerAdvanced { .. }));
    assert_eq!(bench.history(ROOM, 0, 9), [1, 2, 3]);
    assert_eq!(bench.engine.takes_messages(), Ok(()), "it is over soon");
    assert_eq!(bench.engine.counts().overloaded, 3);
    bench.set_fault_profile(DiskFaultProfile::CALM);
    assert_eq!(failure(&bench.say(6)), StoreError::Stale, "there is a hole before it");
    bench.write_epoch.0 += 1;
    bench.said(4..=5);
    assert_eq!(bench.history(ROOM, 0, 9), [1, 2, 3, 4, 5]);
}

#[test]
fn without_space_messages_are_refused_and_the_rest_goes_on() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    let used = bench.engine.disk_mut().capacity().unwrap().used_bytes;
    bench.set_fault_profile(DiskFaultProfile {
        capacity_bytes: used + 999,
        ..DiskFaultProfile::CALM
    });
    bench.now += 1_000;
    assert_eq!(failure(&bench.say(4)), StoreError::Full, "one byte below the reserve");
    assert_eq!(bench.engine.takes_messages(), Err(StoreError::Full));
    assert!(matches!(bench.mark(MarkerPosition::Read(3)), StoreResult::MarkerAdvanced { .. }));
    assert_eq!(bench.history(ROOM, 0, 9), [1, 2, 3]);
    bench.set_fault_profile(DiskFaultProfile {
        capacity_bytes: used + 2_000,
        ..DiskFaultProfile::CALM
    });
    bench.now += 1_000;
    bench.write_epoch.0 += 1;
    bench.said(4..=4);
    assert_eq!(bench.engine.takes_messages(), Ok(()));
}

#[test]
fn a_disk_that_is_really_full_heals_by_itself() {
    let mut bench = Bench::new();
    bench.said(1..=3);
    let used = bench.engine.disk_mut().capacity().unwrap().used_bytes;
    // Somebody else took the reserve since the engine looked last.
    bench
        .set_fault_profile(DiskFaultProfile { capacity_bytes: used + 5, ..DiskFaultProfile::CALM });
    assert_eq!(failure(&bench.say(4)), StoreError::Broken);
    bench.write_epoch.0 += 1;
    assert_eq!(failure(&bench.say(4)), StoreError::Full);
    bench.write_epoch.0 += 1;
    bench.set_fault_profile(DiskFaultProfile::CALM);
    bench.now += 10_000;
    bench.said(4..=5);
    assert_eq!(bench.history(ROOM, 0, 99), [1, 2, 3, 4, 5]);
}

#[test]
fn an_interval_syncs_by_itself_and_loses_nothing_to_a_kill() {
    let mut bench = Bench::new();
    let soon = |offset| append(ROOM, "soon:a", offset);
    let syncs = bench.engine.counts().syncs;
    assert!(matches!(bench.ask(soon(1)), StoreResult::Appended));
    assert_eq!(bench.engine.counts().syncs, syncs, "answered before its sync");
    assert!(bench.engine.next_wake_unix_ms().unwrap() <= bench.now + 100);
    let mut bench = bench.crash(Crash::Killed);
    assert_eq!(bench.history(ROOM, 0, 9), [1]);
    assert!(matches!(bench.ask(soon(2)), StoreResult::Appended));
    bench.pass(100);
    assert_eq!(bench.engine.counts().syncs, 1);
    let mut bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.history(ROOM, 0, 9), [1, 2]);
}

#[test]
fn damage_is_told_and_the_rest_is_read() {
    let mut bench = Bench::new();
    bench.said(1..=9);
    bench.ask(append(RoomId(8), "room:b", 1));
    bench.engine.disk_mut().damage(StoreKeyspace::Messages, &key::message(ROOM, 5));
    assert_eq!(failure(&bench.ask(StoreOp::Read(all(ROOM)))), StoreError::Damaged);
    assert_eq!(bench.history(ROOM, 6, 9), [6, 7, 8, 9]);
    assert_eq!(bench.history(RoomId(8), 0, 9), [1]);
    // A hole is no better.
    let mut batch = Batch::default();
    batch.remove(StoreKeyspace::Messages, &key::message(ROOM, 7));
    bench.engine.disk_mut().commit(&mut batch, SyncMode::Now).unwrap();
    assert_eq!(
        failure(&bench.ask(StoreOp::Read(HistoryRange { first: 6, ..all(ROOM) }))),
        StoreError::Damaged
    );
    assert_eq!(failure(&bench.ask(StoreOp::Open(open(ROOM)))), StoreError::Damaged);
}

#[test]
fn a_key_of_the_small_generator_is_told() {
    let of_seed = Prng::from_seed(77).draw_u128().to_be_bytes();
    let disk = Bench::new().engine.into_disk();
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Meta, key::NAME_KEY, of_seed);
    let mut disk = disk;
    disk.commit(&mut batch, SyncMode::Now).unwrap();
    let engine = Engine::open(disk, setup()).unwrap();
    assert!(engine.has_weak_name_key());
    assert_eq!(engine.name_key(), of_seed, "names stay");
}

#[test]
fn the_key_of_names_stays_and_a_later_format_is_refused() {
    let mut bench = Bench::new();
    let name_key = bench.engine.name_key();
    bench.said(1..=1);
    let bench = bench.crash(Crash::PowerCut);
    assert_eq!(bench.engine.name_key(), name_key);
    assert_eq!(name_key, setup().new_name_key, "as it was given");
    assert!(!bench.engine.has_weak_name_key());
    let mut disk = bench.engine.into_disk();
    let mut batch = Batch::default();
    batch.put(StoreKeyspace::Meta, key::FORMAT, (FORMAT + 1).to_be_bytes());
    disk.commit(&mut batch, SyncMode::Now).unwrap();
    let fault = Engine::open(disk, setup()).unwrap_err();
    assert_eq!(fault, OpenError::Newer { dir: "/nowhere".into(), found: Some(FORMAT + 1) });
    assert!(fault.to_string().contains("format 4; this one knows 3"), "{fault}");
}

#[test]
fn where_something_may_be_lost_the_stream_is_another_one() {
    let said = |bench: &mut Bench<SimulatedDisk>, offset| {
        for (room, channel) in [(ROOM, "soon:a"), (RoomId(8), "room:b")] {
            assert!(matches!(bench.ask(unborn(room, channel, offset)), StoreResult::Appended));
        }
    };
    let epochs = |bench: &mut Bench<SimulatedDisk>| {
        [ROOM, RoomId(8)].map(|room| bench.opened(room).unwrap().epoch)
    };
    let mut bench = Bench::new();
    for (room, channel) in [(ROOM, "soon:a"), (RoomId(8), "room:b")] {
        bench.ask(append(room, channel, 1));
    }
    let mut bench = bench.crash(Crash::Killed);
    assert_eq!(epochs(&mut bench), [EPOCH, EPOCH], "a kill loses nothing");
    said(&mut bench, 2);
    bench.pass(200);
    let mut bench = bench.crash(Crash::PowerCut);
    let [new_epoch, sure] = epochs(&mut bench);
    assert_ne!(new_epoch, EPOCH);
    assert_eq!(sure, EPOCH, "what is synced at once is never lost");
    let mut bench = bench.crash(Crash::Killed);
    assert_eq!(epochs(&mut bench), [new_epoch, sure], "the same whenever it is asked for");
    said(&mut bench, 3);
    let mut bench = bench.crash(Crash::Killed);
    assert_eq!(epochs(&mut bench), [new_epoch, sure]);
    // After a failure, too, when something waited for its sync.
    bench.ask(unborn(ROOM, "soon:a", 4));
    bench.set_fault_profile(DiskFaultProfile {
        commit_fails_percent: 100,
        ..DiskFaultProfile::CALM
    });
    bench.ask(unborn(ROOM, "soon:a", 5));
    bench.set_fault_profile(DiskFaultProfile::CALM);
    bench.write_epoch.0 += 1;
    let [again, sure] = epochs(&mut bench);
    assert!(again != new_epoch && sure == EPOCH);
    // An orderly end with the machine's is none.
    let disk = bench.engine.channels.staged().disk().clone();
    let mut closed = Bench::over(disk);
    let before = epochs(&mut closed);
    let mut disk = closed.engine.close().unwrap();
    disk.crash(Crash::PowerCut);
    assert_eq!(epochs(&mut Bench::over(disk)), before);
}
