//! A set on a disk that does what it is told.

use super::*;

/// Files and a manifest in memory.
#[derive(Clone, Debug, Default)]
struct SetDisk {
    files: MemoryDisk,
    manifest: [Vec<u8>; 2],
}

impl RunDisk for SetDisk {
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
        self.files.read(run, place, bytes)
    }
}

impl RunStorage for SetDisk {
    fn read_manifest(&mut self, place: ManifestPlace) -> Result<Vec<u8>, RunDiskError> {
        Ok(self.manifest[place as usize].clone())
    }

    fn runs(&mut self) -> Result<Vec<RunFile>, RunDiskError> {
        let files = self.files.files.iter();
        Ok(files.map(|(id, file)| RunFile { id: *id, bytes: file.len() as u64 }).collect())
    }

    fn run(&mut self, command: &RunCommand) -> Result<(), RunDiskError> {
        match command {
            RunCommand::Write { run, piece } => {
                let file = self.files.files.entry(*run).or_default();
                file.truncate(piece.place as usize);
                assert_eq!(file.len() as u64, piece.place);
                file.extend_from_slice(piece.pages.bytes());
            }
            RunCommand::Sync { run } => assert!(self.files.files.contains_key(run)),
            RunCommand::WriteManifest { place, bytes } => {
                self.manifest[*place as usize].clone_from(bytes);
            }
            RunCommand::Remove { run } => {
                self.files.files.remove(run);
            }
        }
        Ok(())
    }
}

const OPTIONS: RunSetOptions = RunSetOptions {
    log_id: 77,
    new_behind: 4,
    merges: MergeSizes { runs: 3, bytes_max: 16 << 20 },
};

fn settle(set: &mut RunSet, disk: &mut SetDisk, keep: &mut KeepCallback<'_>) {
    loop {
        match set.step(disk, keep).unwrap() {
            RunSetStep::Do(command) => set.on_done(disk.run(&command)),
            RunSetStep::Again => {}
            RunSetStep::Idle => return,
        }
    }
}

fn sorter(entries: &[StoredEntry]) -> EntrySorter {
    let mut sorter = EntrySorter::new(64 << 20);
    for StoredEntry { key, kind, value } in entries {
        sorter.push(&RunEntry { key: *key, kind: *kind, value }).unwrap();
    }
    sorter
}

fn entry(room: u128, offset: u64, kind: EntryKind, value: &str) -> StoredEntry {
    StoredEntry { key: key(room, offset), kind, value: value.into() }
}

fn scan(set: &RunSet, disk: &mut SetDisk, room: u128, direction: ScanDirection) -> Vec<String> {
    let range = RoomRange { room: RoomId(room), first: 0, last: u64::MAX };
    let mut scan = set.view().scan(disk, range, direction).unwrap();
    let mut found = Vec::new();
    while let Some(item) = scan.next(disk).unwrap() {
        let ScanItem::Entry(FoundEntry { entry, .. }) = item else { panic!("{item:?}") };
        let value = String::from_utf8(entry.value).unwrap();
        found.push(format!("{} {value}", entry.key.offset));
    }
    found
}

#[test]
fn the_newest_value_counts_before_and_behind_a_merge_and_at_the_next_start() {
    use EntryKind::{Message, Replacement};
    let mut disk = SetDisk::default();
    let mut set = RunSet::open(&mut disk, OPTIONS).unwrap();
    assert_eq!(set.sorted(), 4);
    let keep = &mut |_| Ok(KeptEntries::ALL);
    let runs = [
        vec![entry(1, 1, Message, "one"), entry(1, 2, Message, "two"), entry(2, 1, Message, "x")],
        vec![entry(1, 3, Message, "three"), entry(1, 1, Replacement, "one again")],
        vec![entry(1, 4, Message, "four"), entry(2, 1, Replacement, "y")],
    ];
    for (number, entries) in (0..).zip(&runs) {
        assert_eq!(set.may_begin_run(), Ok(()));
        set.set_known_up_to(u64::MAX);
        set.begin_run(sorter(entries), 10 * (number + 1), 1_000 + number);
        assert_eq!(set.may_begin_run(), Err(BeginRunError::Busy));
        settle(&mut set, &mut disk, keep);
        assert_eq!(set.sorted(), 10 * (number + 1));
        let mut wanted = vec!["1 one", "2 two"];
        if number == 1 {
            wanted = vec!["1 one again", "2 two", "3 three"];
        }
        if number == 2 {
            wanted = vec!["1 one again", "2 two", "3 three", "4 four"];
        }
        for _ in 0..2 {
            assert_eq!(scan(&set, &mut disk, 1, ScanDirection::Forward), wanted);
            wanted.reverse();
            assert_eq!(scan(&set, &mut disk, 1, ScanDirection::Backward), wanted);
            wanted.reverse();
            set = RunSet::open(&mut disk, OPTIONS).unwrap();
        }
    }
    let view = Arc::clone(set.view());
    assert_eq!(view.runs().count(), 1, "three were merged");
    let info = *view.runs().next().unwrap().info();
    assert_eq!((info.level, info.log), (1, LogRange { first: 5, last: 30 }));
    assert_eq!((info.newest_unix_ms, info.entries, info.replacements), (1_002, 5, 0));
    let found = view.get(&mut disk, key(2, 1)).unwrap();
    assert_eq!(found.map(|found| found.entry), Some(entry(2, 1, Message, "y")));
    assert_eq!(disk.files.files.len(), 1);
}

/// Does all that is due, and says how many runs there are.
fn runs_then(set: &mut RunSet, disk: &mut SetDisk, kept: KeptEntries) -> usize {
    settle(set, disk, &mut |_| Ok(kept));
    set.view().runs().count()
}

/// Runs of one batch and so many messages of room 1 and room 2 each, which are not merged.
fn several(disk: &mut SetDisk, runs: u64, messages: u64, bytes: usize) -> RunSet {
    let none = MergeSizes { runs: 99, ..OPTIONS.merges };
    let mut set = RunSet::open(disk, RunSetOptions { merges: none, ..OPTIONS }).unwrap();
    for run in 0..runs {
        let offsets = run * messages..(run + 1) * messages;
        let value = "x".repeat(bytes);
        let of = |offset| [1, 2].map(|room| entry(room, offset, EntryKind::Message, &value));
        let entries: Vec<StoredEntry> = offsets.flat_map(of).collect();
        set.begin_run(sorter(&entries), set.sorted() + 1, 1_000 + run);
        settle(&mut set, disk, &mut |_| Ok(KeptEntries::ALL));
    }
    RunSet::open(disk, OPTIONS).unwrap()
}

#[test]
fn a_merge_in_which_nothing_is_kept_makes_no_file_and_reads_a_bounded_part_a_step() {
    let mut disk = SetDisk::default();
    let mut set = several(&mut disk, 3, 600, 700);
    set.set_known_up_to(u64::MAX);
    let mut moved = Vec::new();
    loop {
        match set.step(&mut disk, &mut |_| Ok(KeptEntries::NONE)).unwrap() {
            RunSetStep::Do(RunCommand::Write { .. }) => panic!("nothing is kept"),
            RunSetStep::Do(command) => set.on_done(disk.run(&command)),
            RunSetStep::Again => {}
            RunSetStep::Idle => break,
        }
        moved.push(set.take_moved_bytes());
    }
    assert_eq!((set.view().runs().count(), set.sorted()), (0, 7));
    assert_eq!(disk.files.files.len(), 0);
    let most = moved.iter().max().unwrap();
    assert!(*most <= (512 + 256 + 64) << 10, "{most} bytes in a step");
    assert!(3 < moved.iter().filter(|bytes| 0 < **bytes).count());
}

#[test]
fn what_is_before_the_head_and_of_a_room_that_came_again_goes_at_a_merge() {
    let mut disk = SetDisk::default();
    let mut set = several(&mut disk, 3, 4, 9);
    assert_eq!(runs_then(&mut set, &mut disk, KeptEntries::ALL), 3, "nothing is known");
    set.set_known_up_to(6);
    assert_eq!(runs_then(&mut set, &mut disk, KeptEntries::ALL), 3, "the last one is not known");
    set.set_known_up_to(7);
    set.set_free_bytes(64 << 20);
    assert_eq!(runs_then(&mut set, &mut disk, KeptEntries::ALL), 3, "there is no room");
    set.set_free_bytes(65 << 20);
    settle(&mut set, &mut disk, &mut |room| {
        let first = if room == RoomId(1) { 3 } else { 0 };
        Ok(KeptEntries::from(first).behind(if room == RoomId(1) { 0 } else { 6 }))
    });
    assert_eq!(set.view().runs().count(), 1);
    let offsets = |disk: &mut SetDisk, room| {
        let found = scan(&set, disk, room, ScanDirection::Forward);
        let number = |text: &String| text.split(' ').next().unwrap().parse::<u64>().unwrap();
        found.iter().map(number).collect::<Vec<u64>>()
    };
    assert_eq!(offsets(&mut disk, 1), (3..12).collect::<Vec<u64>>());
    assert_eq!(offsets(&mut disk, 2), (8..12).collect::<Vec<u64>>(), "of the last run");
}

#[test]
fn what_is_kept_is_not_guessed_where_that_cannot_be_read() {
    let mut disk = SetDisk::default();
    let mut set = several(&mut disk, 3, 4, 9);
    set.set_known_up_to(7);
    let mut failures = 0;
    for _ in 0..40 {
        match set.step(&mut disk, &mut |_| Err(RunDiskError::Failed)) {
            Ok(RunSetStep::Do(command)) => set.on_done(disk.run(&command)),
            Ok(RunSetStep::Again | RunSetStep::Idle) => {}
            Err(error) => {
                assert_eq!(error, RunStepError::Disk(RunDiskError::Failed));
                failures += 1;
            }
        }
    }
    assert!(0 < failures);
    assert_eq!(runs_then(&mut set, &mut disk, KeptEntries::ALL), 1, "it is tried again");
    assert_eq!(scan(&set, &mut disk, 1, ScanDirection::Forward).len(), 12);
}

#[test]
fn runs_whose_time_is_over_go_and_are_not_read() {
    struct Unread(SetDisk);
    impl RunDisk for Unread {
        fn read(&mut self, _: RunId, _: u64, _: &mut [u8]) -> Result<(), RunDiskError> {
            panic!("nothing has to be read");
        }
    }
    let mut disk = SetDisk::default();
    let mut set = several(&mut disk, 3, 4, 9);
    let view = Arc::clone(set.view());
    set.expire(1_002);
    let mut unread = Unread(disk);
    let mut keep = |_: RoomId| -> Result<KeptEntries, RunDiskError> { panic!("nor asked") };
    loop {
        match set.step(&mut unread, &mut keep).unwrap() {
            RunSetStep::Do(command) => set.on_done(unread.0.run(&command)),
            RunSetStep::Again => {}
            RunSetStep::Idle => break,
        }
    }
    assert_eq!(set.view().runs().count(), 1, "the last one has something of that time");
    assert_eq!(unread.0.files.files.len(), 3, "a view has them");
    drop(view);
    assert_eq!(runs_then(&mut set, &mut unread.0, KeptEntries::ALL), 1);
    assert_eq!(unread.0.files.files.len(), 1);
    assert_eq!(set.sorted(), 7);
}

#[test]
fn a_failed_write_of_the_manifest_ends_the_life_and_views_outlive_it() {
    let mut disk = SetDisk::default();
    let mut set = several(&mut disk, 3, 4, 9);
    set.set_known_up_to(7);
    let keep: &mut KeepCallback<'_> = &mut |_| Ok(KeptEntries::ALL);
    let view = Arc::clone(set.view());
    loop {
        match set.step(&mut disk, keep).unwrap() {
            RunSetStep::Do(RunCommand::WriteManifest { .. }) => break,
            RunSetStep::Do(command) => set.on_done(disk.run(&command)),
            RunSetStep::Again => {}
            RunSetStep::Idle => panic!("there is something to merge"),
        }
    }
    set.on_done(Err(RunDiskError::Failed));
    assert!(set.has_ended());
    assert_eq!(set.may_begin_run(), Err(BeginRunError::Ended));
    assert!(matches!(set.step(&mut disk, keep), Ok(RunSetStep::Idle)));
    assert_eq!(disk.files.files.len(), 4, "nothing is removed");
    set.reopen(&mut disk).unwrap();
    settle(&mut set, &mut disk, keep);
    assert_eq!(set.view().runs().count(), 1, "it is merged again");
    assert_eq!(disk.files.files.len(), 4, "the old view has its three");
    let found = view.get(&mut disk, key(1, 0)).unwrap();
    assert!(found.is_some());
    drop(view);
    settle(&mut set, &mut disk, keep);
    assert_eq!(disk.files.files.len(), 1);
}

/// Keeps of room 1 what is at an offset and behind it, and all or nothing of others.
fn keep_from(
    first: u64,
    others: KeptEntries,
) -> impl FnMut(RoomId) -> Result<KeptEntries, RunDiskError> {
    move |room| Ok(if room == RoomId(1) { KeptEntries::from(first) } else { others })
}

#[test]
fn a_run_of_which_little_is_kept_is_written_again_and_goes_where_that_is_nothing() {
    let mut disk = SetDisk::default();
    let mut set = RunSet::open(&mut disk, OPTIONS).unwrap();
    let mut entries: Vec<StoredEntry> = (1..=3_000)
        .map(|offset| entry(1, offset, EntryKind::Message, &"word ".repeat(20)))
        .collect();
    entries.push(entry(2, 1, EntryKind::Message, "other"));
    set.begin_run(sorter(&entries), 10, 1_000);
    settle(&mut set, &mut disk, &mut keep_from(0, KeptEntries::ALL));
    let ids = |set: &RunSet| -> Vec<RunId> { set.view().runs().map(|run| run.info().id).collect() };
    let first = ids(&set);
    let bytes = disk.files.files[&first[0]].len();
    // It ends behind what is known, and then more than half of it is kept.
    for (known_up_to, kept_from) in [(9, 2_900), (10, 1_400)] {
        set.set_known_up_to(known_up_to);
        set.survey();
        settle(&mut set, &mut disk, &mut keep_from(kept_from, KeptEntries::ALL));
        assert_eq!(ids(&set), first, "{known_up_to}");
    }
    // No room for it.
    set.set_free_bytes(64 << 20);
    set.survey();
    settle(&mut set, &mut disk, &mut keep_from(2_000, KeptEntries::ALL));
    assert_eq!(ids(&set), first);
    set.set_free_bytes(u64::MAX);
    set.survey();
    settle(&mut set, &mut disk, &mut keep_from(2_000, KeptEntries::ALL));
    let second = ids(&set);
    assert_ne!(second, first);
    let info = *set.view().runs().next().unwrap().info();
    assert_eq!((info.entries, info.log, info.level), (1_002, LogRange { first: 5, last: 10 }, 0));
    assert_eq!(info.newest_unix_ms, 1_000);
    let found = |set: &RunSet, disk: &mut SetDisk, offset| {
        set.view().get(disk, key(1, offset)).unwrap().is_some()
    };
    assert!(found(&set, &mut disk, 2_000) && !found(&set, &mut disk, 1_999));
    assert_eq!(disk.files.files.len(), 1, "the other one is gone");
    assert!(disk.files.files[&second[0]].len() < bytes / 2);
    // What was before the log had the room is void.
    set.survey();
    let void = KeptEntries::ALL.behind(10);
    set.set_free_bytes(0);
    settle(&mut set, &mut disk, &mut keep_from(9_000, void));
    assert!(ids(&set).is_empty() && disk.files.files.is_empty());
    assert_eq!(set.sorted(), 10);
}
