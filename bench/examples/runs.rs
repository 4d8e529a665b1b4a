//! What sorted runs cost: `runs [messages] [rooms]`, CPU of sorting, writing, merging and reading in ns
//! a message of 256 B, and bytes beside them. Its disk is memory.

use std::collections::BTreeMap;

use rookery::base::{Prng, RoomId};
use rookery::log::ManifestPlace;
use rookery::runs::{
    EntryKey, EntryKind, EntrySorter, KeptFrom, MergeSizes, RoomRange, RunCommand, RunDisk,
    RunDiskError, RunEntry, RunFile, RunId, RunSet, RunSetOptions, RunSetStep, RunStorage,
    ScanDirection,
};
use rookery_bench::clock::Clock;

/// Bytes of a sorter, and so of a run that was not merged.
const SORTER_BYTES: u32 = 16 << 20;

#[derive(Default)]
struct Memory(BTreeMap<RunId, Vec<u8>>);

impl RunDisk for Memory {
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
        let file = self.0.get(&run).ok_or(RunDiskError::Missing)?;
        let found = file.get(place as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(found.ok_or(RunDiskError::Missing)?);
        Ok(())
    }
}

impl RunStorage for Memory {
    fn read_manifest(&mut self, _place: ManifestPlace) -> Result<Vec<u8>, RunDiskError> {
        Ok(Vec::new())
    }

    fn runs(&mut self) -> Result<Vec<RunFile>, RunDiskError> {
        Ok(Vec::new())
    }

    fn run(&mut self, command: &RunCommand) -> Result<(), RunDiskError> {
        match command {
            RunCommand::Write { run, piece } => {
                self.0.entry(*run).or_default().extend_from_slice(piece.pages.bytes());
            }
            RunCommand::Sync { .. } | RunCommand::WriteManifest { .. } => {}
            RunCommand::Remove { run } => {
                self.0.remove(run);
            }
        }
        Ok(())
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default: u64| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (messages, rooms) = (number(50_000).max(1), number(500).max(1));
    let mut prng = Prng::from_seed(7);
    let ids: Vec<RoomId> = (0..rooms).map(|_| RoomId(prng.draw_u128())).collect();
    let value = [7; 256];
    let mut disk = Memory::default();
    let options = RunSetOptions { log_id: 1, new_behind: 0, merges: MergeSizes::default() };
    let mut set = RunSet::open(&mut disk, options).expect("memory is a disk");
    set.set_free_bytes(u64::MAX);
    let clock = Clock::start();
    let mut offset = 0;
    let mut unmerged_bytes_max = 0;
    while offset < messages {
        let mut sorter = EntrySorter::new(SORTER_BYTES);
        while offset < messages {
            let key = EntryKey { room: ids[prng.below(rooms) as usize], offset };
            let entry = RunEntry { key, kind: EntryKind::Message, value: &value };
            if sorter.push(&entry).is_err() {
                break;
            }
            offset += 1;
        }
        // As many batches as messages.
        set.begin_run(sorter, offset, 0);
        while set.sorted() < offset {
            step(&mut set, &mut disk);
            unmerged_bytes_max = unmerged_bytes_max.max(set.unmerged_bytes());
        }
    }
    while step(&mut set, &mut disk) {}
    tell("sort, write and merge", clock, messages);
    let bytes: usize = disk.0.values().map(Vec::len).sum();
    println!("runs: {}, beside values: {:.2} B", disk.0.len(), beside(bytes, messages));
    let moved = set.take_moved_bytes() as f64 / bytes as f64;
    println!("moved: {moved:.1} bytes a byte, unmerged at most: {unmerged_bytes_max} B");
    read(&set, &mut disk, &ids, messages);
}

fn read(set: &RunSet, disk: &mut Memory, ids: &[RoomId], messages: u64) {
    let view = set.view();
    let all = |room: &RoomId| RoomRange { room: *room, first: 0, last: u64::MAX };
    let clock = Clock::start();
    for room in ids {
        let mut scan = view.scan(disk, all(room), ScanDirection::Forward).expect("it was written");
        while scan.next(disk).expect("it was written").is_some() {}
    }
    tell("scan all rooms", clock, messages);
    let clock = Clock::start();
    for room in ids {
        let last = view.scan(disk, all(room), ScanDirection::Backward);
        last.expect("it was written").next(disk).expect("it was written");
    }
    tell("find the last of a room", clock, ids.len() as u64);
}

/// Whether there was something to do.
fn step(set: &mut RunSet, disk: &mut Memory) -> bool {
    match set.step(disk, &mut |_| KeptFrom::Everything).expect("memory is a disk") {
        RunSetStep::Do(command) => set.on_done(disk.run(&command)),
        RunSetStep::Again => {}
        RunSetStep::Idle => return false,
    }
    true
}

fn beside(bytes: usize, messages: u64) -> f64 {
    bytes as f64 / messages as f64 - 256.0
}

fn tell(what: &str, clock: Clock, count: u64) {
    println!("{what}: {:.1} ns", clock.ns() as f64 / count as f64);
}
