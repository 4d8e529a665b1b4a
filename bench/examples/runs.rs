//! What sorted runs cost on a disk: `runs DIRECTORY [messages] [rooms]`, the time of sorting, writing,
//! merging and reading in ns a message of 256 B, syncs included, and bytes beside them. The directory is
//! new, and stays.

use std::path::Path;

use rookery::base::{Prng, RoomId};
use rookery::runs::{
    EntryKey, EntryKind, EntrySorter, KeptEntries, MergeSizes, RoomRange, RunEntry, RunSet,
    RunSetOptions, RunSetStep, RunStorage as _, RunView, ScanDirection, SortBacklog, SortPace,
};
use rookery::runs_disk::RunFiles;
use rookery_bench::clock::Clock;

/// Bytes of a sorter, and so of a run that was not merged.
const SORTER_BYTES: u32 = 16 << 20;

const OPTIONS: RunSetOptions =
    RunSetOptions { log_id: 1, new_behind: 0, merges: MergeSizes { runs: 8, bytes_max: 1 << 30 } };

fn main() {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().expect("runs DIRECTORY [messages] [rooms]");
    let mut number =
        |default: u64| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (messages, rooms) = (number(50_000).max(1), number(500).max(1));
    let mut prng = Prng::from_seed(7);
    let ids: Vec<RoomId> = (0..rooms).map(|_| RoomId(prng.draw_u128())).collect();
    let mut files = RunFiles::take(Path::new(&dir)).expect("a directory");
    println!("{}", files.access());
    let mut set = RunSet::open(&mut files, OPTIONS).expect("a directory that is new");
    set.set_free_bytes(files.free_bytes().expect("a directory"));
    set.set_known_up_to(u64::MAX);
    let (clock, mut pace, mut waited_us) = (Clock::start(), SortPace::default(), 0);
    let mut offset = 0;
    while offset < messages {
        let sorter = sorter(&mut prng, &ids, &mut offset, messages);
        // As many batches as messages.
        set.begin_run(sorter, offset, 0);
        while set.sorted() < offset {
            step(&mut set, &mut files);
            let unmerged_bytes = set.unmerged_bytes();
            let backlog = SortBacklog { unsorted_bytes: SORTER_BYTES.into(), unmerged_bytes };
            waited_us += pace.wait_us(waited_us, set.take_moved_bytes(), backlog);
        }
    }
    tell("sort, write and merge", &clock, messages);
    while step(&mut set, &mut files) {}
    tell("the same with all merges", &clock, messages);
    println!("paced it had taken {} ms", waited_us / 1_000);
    let listed = files.runs().expect("a directory");
    let bytes: u64 = listed.iter().map(|file| file.bytes).sum();
    let beside = bytes as f64 / messages as f64 - 256.0;
    println!("runs: {}, beside values: {beside:.2} B", listed.len());
    drop(set);
    read(&mut files, &ids, messages);
}

fn sorter(prng: &mut Prng, ids: &[RoomId], offset: &mut u64, messages: u64) -> EntrySorter {
    let mut sorter = EntrySorter::new(SORTER_BYTES);
    while *offset < messages {
        let room = ids[prng.below(ids.len() as u64) as usize];
        let key = EntryKey { room, offset: *offset };
        let entry = RunEntry { key, kind: EntryKind::Message, value: &[7; 256] };
        if sorter.push(&entry).is_err() {
            break;
        }
        *offset += 1;
    }
    sorter
}

fn read(files: &mut RunFiles, ids: &[RoomId], messages: u64) {
    let (view, _) = RunView::open(files, OPTIONS).expect("it was written");
    let mut files = files.another();
    let first = view.room_from(&mut files, RoomId(0)).expect("it was written");
    let last = view.room_up_to(&mut files, RoomId(u128::MAX)).expect("it was written");
    assert!(first <= last, "rooms have an order");
    let all = |room: &RoomId| RoomRange { room: *room, first: 0, last: u64::MAX };
    let clock = Clock::start();
    for room in ids {
        let scan = view.scan(&mut files, all(room), ScanDirection::Forward);
        let mut scan = scan.expect("it was written");
        while scan.next(&mut files).expect("it was written").is_some() {}
    }
    tell("scan all rooms", &clock, messages);
    let clock = Clock::start();
    for room in ids {
        let last = view.scan(&mut files, all(room), ScanDirection::Backward);
        last.expect("it was written").next(&mut files).expect("it was written");
    }
    tell("find the last of a room", &clock, ids.len() as u64);
}

/// Whether there was something to do.
fn step(set: &mut RunSet, files: &mut RunFiles) -> bool {
    match set.step(files, &mut |_| Ok(KeptEntries::ALL)).expect("the disk works") {
        RunSetStep::Do(command) => set.on_done(files.run(&command)),
        RunSetStep::Again => {}
        RunSetStep::Idle => return false,
    }
    assert!(!set.has_ended(), "{:?}", files.failure());
    true
}

fn tell(what: &str, clock: &Clock, count: u64) {
    println!("{what}: {:.1} ns", clock.ns() as f64 / count as f64);
}
