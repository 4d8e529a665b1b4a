//! Sets whose files or manifests are damaged.

use super::drive::Drive;
use super::*;

/// Nothing is merged.
const OPTIONS: RunSetOptions = RunSetOptions {
    log_id: 77,
    new_behind: 0,
    merges: MergeSizes { runs: 99, bytes_max: 1 << 20 },
};

/// Which run has the value that counts, and the value.
type Winners = BTreeMap<EntryKey, (RunId, Vec<u8>)>;

/// Three runs of three rooms, with messages that are replaced.
fn set(drive: &mut Drive) -> (RunSet, Winners) {
    let mut prng = Prng::from_seed(3);
    let mut set = RunSet::open(drive, OPTIONS).unwrap();
    let mut winners = Winners::new();
    for run in 1..=3 {
        let mut sorter = EntrySorter::new(64 << 20);
        for room in 1..4 {
            for offset in 0..40 * run {
                // The room in the middle has several blocks, the others a part of one.
                let bytes = if room == 2 { 3_000 } else { 100 };
                let kind =
                    if prng.percent(40) { EntryKind::Replacement } else { EntryKind::Message };
                if 40 * (run - 1) <= offset || prng.percent(20) {
                    let value: Vec<u8> = (0..bytes).map(|_| prng.draw() as u8).collect();
                    let key = key(room, offset);
                    sorter.push(&RunEntry { key, kind, value: &value }).unwrap();
                    winners.insert(key, (RunId(run), value));
                }
            }
        }
        set.begin_run(sorter, run, run);
        while set.sorted() < run {
            if let RunSetStep::Do(command) = set.step(drive, &mut |_| Ok(KeptEntries::ALL)).unwrap()
            {
                set.on_done(drive.run(&command));
            }
        }
    }
    (set, winners)
}

/// Scans a room, and says how many offsets are not told. What is told is right.
fn missing(set: &RunSet, drive: &mut Drive, winners: &Winners, direction: ScanDirection) -> usize {
    let mut missing = 0;
    for room in 1..4 {
        let range = RoomRange { room: RoomId(room), first: 5, last: 110 };
        let mut scan = set.view().scan(drive, range, direction).unwrap();
        let mut damaged: Vec<(RunId, RoomRange)> = Vec::new();
        let mut found: Vec<u64> = Vec::new();
        while let Some(item) = scan.next(drive).unwrap() {
            match item {
                ScanItem::Damaged(run, range) => {
                    assert!(range.room == RoomId(room) && 5 <= range.first && range.last <= 110);
                    let is_ahead = |offset: &u64| match direction {
                        ScanDirection::Forward => *offset < range.first,
                        ScanDirection::Backward => range.last < *offset,
                    };
                    assert!(found.iter().all(is_ahead), "it is told before what is in it");
                    damaged.push((run, range));
                }
                ScanItem::Entry(FoundEntry { entry, .. }) => {
                    let (run, value) = &winners[&entry.key];
                    assert!(*value == entry.value, "the value that counts");
                    let offset = entry.key.offset;
                    let hides = damaged.iter().find(|(damaged, range)| {
                        run < damaged && range.first <= offset && offset <= range.last
                    });
                    assert_eq!(hides, None, "a run that is damaged could have replaced {offset}");
                    found.push(offset);
                }
            }
        }
        let is_ordered = found.windows(2).all(|two| match direction {
            ScanDirection::Forward => two[0] < two[1],
            ScanDirection::Backward => two[1] < two[0],
        });
        assert!(is_ordered);
        for offset in (5..=110).filter(|offset| !found.contains(offset)) {
            let (winner, _) = &winners[&key(room, offset)];
            let is_told = damaged
                .iter()
                .any(|(run, range)| winner <= run && range.first <= offset && offset <= range.last);
            assert!(is_told, "{offset} is missing, and {damaged:?} does not say so");
            missing += 1;
        }
    }
    missing
}

#[test]
fn what_is_damaged_is_told_by_offsets_and_all_around_it_is_read() {
    let mut drive = Drive::new(1);
    let (set, winners) = set(&mut drive);
    let mut seen = 0;
    for run in 1..=3 {
        let bytes = drive.file_mut(RunId(run)).len();
        for at in (0..bytes).step_by(1_777) {
            drive.file_mut(RunId(run))[at] ^= 16;
            let forward = missing(&set, &mut drive, &winners, ScanDirection::Forward);
            let backward = missing(&set, &mut drive, &winners, ScanDirection::Backward);
            assert_eq!(forward, backward, "byte {at} of {run}");
            seen += usize::from(0 < forward);
            drive.file_mut(RunId(run))[at] ^= 16;
        }
    }
    assert!(100 < seen, "{seen}");
    // All of a run.
    drive.file_mut(RunId(2)).fill(1);
    assert!(0 < missing(&set, &mut drive, &winners, ScanDirection::Forward));
    assert!(0 < missing(&set, &mut drive, &winners, ScanDirection::Backward));
}

#[test]
fn a_key_behind_damage_is_not_found_in_older_runs() {
    let mut drive = Drive::new(1);
    let (set, winners) = set(&mut drive);
    drive.file_mut(RunId(3)).fill(1);
    let first = winners.iter().find(|(_, (run, _))| *run == RunId(3));
    let first = *first.unwrap().0;
    for (key, (run, value)) in &winners {
        match set.view().get(&mut drive, *key) {
            Ok(found) => {
                // What is kept in memory of a run says that it has nothing before its first key.
                assert!(*run == RunId(3) || *key < first, "{key:?}");
                assert_eq!(found.unwrap().entry.value, *value);
            }
            Err(error) => assert!(matches!(error, RunReadError::Damaged(_)), "{error:?}"),
        }
    }
}

#[test]
fn what_is_damaged_is_not_merged_and_the_rest_is() {
    let mut drive = Drive::new(1);
    let (_, winners) = set(&mut drive);
    let merges = MergeSizes { runs: 2, ..OPTIONS.merges };
    let mut set = RunSet::open(&mut drive, RunSetOptions { merges, ..OPTIONS }).unwrap();
    set.set_known_up_to(3);
    drive.file_mut(RunId(1))[9] ^= 1;
    let mut damaged = Vec::new();
    loop {
        match set.step(&mut drive, &mut |_| Ok(KeptEntries::ALL)) {
            Ok(RunSetStep::Do(command)) => set.on_done(drive.run(&command)),
            Ok(RunSetStep::Again) => {}
            Ok(RunSetStep::Idle) => break,
            Err(RunStepError::Damaged(damage)) => damaged.push(damage.run),
            Err(error) => panic!("{error:?}"),
        }
    }
    assert_eq!(damaged, [RunId(1)]);
    assert_eq!(set.view().runs().count(), 2, "the others are one");
    drive.file_mut(RunId(1))[9] ^= 1;
    // The merged run has another number, and has what the two had.
    let winners = winners.into_iter();
    let merged = |run| if run == RunId(1) { run } else { RunId(9) };
    let winners = winners.map(|(key, (run, value))| (key, (merged(run), value))).collect();
    assert_eq!(missing(&set, &mut drive, &winners, ScanDirection::Forward), 0);
}

#[test]
fn either_place_of_the_manifest_is_enough_and_another_one_is_refused() {
    let mut drive = Drive::new(1);
    let (_, winners) = set(&mut drive);
    for place in ManifestPlace::ALL {
        drive.manifest_mut(place).fill(9);
        let set = RunSet::open(&mut drive, OPTIONS).unwrap();
        assert_eq!(missing(&set, &mut drive, &winners, ScanDirection::Forward), 0);
        assert_eq!(set.sorted(), 3);
    }
    let other = RunSetOptions { log_id: 78, ..OPTIONS };
    assert_eq!(RunSet::open(&mut drive, other).err(), Some(RunSetOpenError::OtherLog(77)));
    let whole = drive.clone();
    let manifest = drive.manifest_mut(ManifestPlace::Second);
    manifest[16] = 2;
    let sum = xxhash_rust::xxh3::xxh3_64(&manifest[8..]);
    manifest[..8].copy_from_slice(&sum.to_le_bytes());
    assert_eq!(RunSet::open(&mut drive, OPTIONS).err(), Some(RunSetOpenError::NewerForm(2)));
    for fill in [0, 9] {
        ManifestPlace::ALL.iter().for_each(|place| drive.manifest_mut(*place).fill(fill));
        assert_eq!(RunSet::open(&mut drive, OPTIONS).err(), Some(RunSetOpenError::NoManifest));
    }
    drive = whole;
    let removed = RunCommand::Remove { run: RunId(2) };
    drive.run(&removed).unwrap();
    let missing = RunSetOpenError::Run(RunId(2), RunOpenError::Disk(RunDiskError::Missing));
    assert_eq!(RunSet::open(&mut drive, OPTIONS).err(), Some(missing));
}

/// A part of the index has 127 blocks: here each entry is one, and parts begin within rooms.
#[test]
fn a_damaged_part_of_the_index_is_told_for_the_rooms_in_it() {
    const BLOCK: usize = 8 + 1 + 3 + 33_000;
    const PART: usize = 8 + 127 * 32;
    let mut drive = Drive::new(1);
    let mut set = RunSet::open(&mut drive, OPTIONS).unwrap();
    let mut sorter = EntrySorter::new(64 << 20);
    let mut winners = Winners::new();
    for (room, offset) in (1..4).flat_map(|room| (0..120).map(move |offset| (room, offset))) {
        let (key, value) = (key(room, offset), vec![offset as u8; 33_000]);
        sorter.push(&RunEntry { key, kind: EntryKind::Message, value: &value }).unwrap();
        winners.insert(key, (RunId(1), value));
    }
    set.begin_run(sorter, 1, 1);
    while set.sorted() < 1 {
        if let RunSetStep::Do(command) =
            set.step(&mut drive, &mut |_| Ok(KeptEntries::ALL)).unwrap()
        {
            set.on_done(drive.run(&command));
        }
    }
    // Entries from 5 to 110 of each room are asked for; the parts begin with these entries.
    let parts = [(127 * BLOCK, 106 + 2), (2 * 127 * BLOCK + PART, 104 + 9)];
    for (number, (at, missed)) in parts.into_iter().enumerate() {
        drive.file_mut(RunId(1))[at + 100] ^= 1;
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            let found = missing(&set, &mut drive, &winners, direction);
            assert_eq!(found, missed, "part {number}, {direction:?}");
        }
        drive.file_mut(RunId(1))[at + 100] ^= 1;
    }
}
