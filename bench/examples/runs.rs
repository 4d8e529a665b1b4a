//! What a sorted run costs: `runs [messages] [rooms]`, CPU of sorting, writing and reading in ns a
//! message of 256 B, and bytes beside them. Its disk is memory.

use rookery::base::{Prng, RoomId};
use rookery::runs::{
    EntryKey, EntryKind, EntrySorter, LogRange, Run, RunCursor, RunDisk, RunDiskError, RunEntry,
    RunId, RunWriter, ScanDirection, SorterState,
};
use rookery_bench::clock::Clock;

struct Memory(Vec<u8>);

impl RunDisk for Memory {
    fn read(&mut self, _run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
        let found = self.0.get(place as usize..).and_then(|rest| rest.get(..bytes.len()));
        bytes.copy_from_slice(found.ok_or(RunDiskError::Missing)?);
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
    let (clock, value) = (Clock::start(), [7; 256]);
    let mut sorter = EntrySorter::new(u32::MAX);
    for offset in 0..messages {
        let key = EntryKey { room: ids[prng.below(rooms) as usize], offset };
        let entry = RunEntry { key, kind: EntryKind::Message, value: &value };
        sorter.push(&entry).expect("the sorter has room for 4 GiB");
    }
    let mut writer = RunWriter::new(RunId(1), 0, LogRange { first: 1, last: 1 });
    let mut disk = Memory(Vec::new());
    while sorter.feed(&mut writer).expect("entries are sorted") == SorterState::PieceWaits {
        take(&mut writer, &mut disk);
    }
    let info = writer.finish();
    take(&mut writer, &mut disk);
    tell("sort and write", clock, messages);
    println!("beside values: {:.2} B", (info.bytes - info.value_bytes) as f64 / messages as f64);
    let run = Run::open(&mut disk, info.id, info.bytes).expect("it was written");
    let clock = Clock::start();
    let mut cursor = RunCursor::of_all(&run, &mut disk).expect("it was written");
    while cursor.entry().is_some() {
        cursor.advance(&run, &mut disk).expect("it was written");
    }
    tell("read all", clock, messages);
    let clock = Clock::start();
    for room in &ids {
        let low = EntryKey { room: *room, offset: 0 };
        let last = RunCursor::of_room(&run, &mut disk, low, u64::MAX, ScanDirection::Backward);
        if let Some(entry) = last.expect("it was written").entry() {
            let key = entry.key;
            assert!(run.get(&mut disk, key).expect("it was written").is_some());
        }
    }
    tell("find the last of a room, twice", clock, rooms);
}

fn take(writer: &mut RunWriter, disk: &mut Memory) {
    while let Some(piece) = writer.take_piece() {
        assert_eq!(piece.place, disk.0.len() as u64);
        disk.0.extend_from_slice(piece.pages.bytes());
    }
}

fn tell(what: &str, clock: Clock, count: u64) {
    println!("{what}: {:.1} ns", clock.ns() as f64 / count as f64);
}
