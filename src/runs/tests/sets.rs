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

const OPTIONS: RunSetOptions =
    RunSetOptions { log_id: 77, new_behind: 4, merges: MergeSizes { runs: 3, bytes_max: 1 << 20 } };

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
        let ScanItem::Entry(entry) = item else { panic!("{item:?}") };
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
    let keep = &mut |_| KeptFrom::Everything;
    let runs = [
        vec![entry(1, 1, Message, "one"), entry(1, 2, Message, "two"), entry(2, 1, Message, "x")],
        vec![entry(1, 3, Message, "three"), entry(1, 1, Replacement, "one again")],
        vec![entry(1, 4, Message, "four"), entry(2, 1, Replacement, "y")],
    ];
    for (number, entries) in (0..).zip(&runs) {
        assert_eq!(set.may_begin_run(), Ok(()));
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
    assert_eq!(found, Some(entry(2, 1, Message, "y")));
    assert_eq!(disk.files.files.len(), 1);
}
