//! What is read is what a map has.

use super::*;

fn check(prng: &mut Prng, run: &Run, disk: &mut MemoryDisk, model: &Model) {
    let cursor = RunCursor::of_all(run, disk).unwrap();
    let whole: Vec<StoredEntry> = model.iter().map(stored).collect();
    assert_eq!(all(run, disk, cursor).unwrap(), whole);
    let keys: Vec<EntryKey> = model.keys().copied().collect();
    let near = |prng: &mut Prng| {
        let EntryKey { room, offset } = keys[prng.below(keys.len() as u64) as usize];
        let offset = offset.wrapping_add(prng.below(9)).wrapping_sub(4);
        let room = if prng.percent(10) { RoomId(room.0.wrapping_add(1)) } else { room };
        EntryKey { room, offset }
    };
    for _ in 0..200 {
        let key = near(prng);
        let wanted = model.get_key_value(&key).map(stored);
        assert_eq!(run.get(disk, key).unwrap(), wanted, "{key:?}");
    }
    for _ in 0..60 {
        let low = near(prng);
        let high = near(prng).offset;
        let end = EntryKey { offset: high, ..low };
        let mut wanted: Vec<StoredEntry> = match low <= end {
            true => model.range(low..=end).map(stored).collect(),
            false => Vec::new(),
        };
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            let cursor = RunCursor::of_room(run, disk, low, high, direction).unwrap();
            assert_eq!(all(run, disk, cursor).unwrap(), wanted, "{low:?} {high} {direction:?}");
            wanted.reverse();
        }
    }
}

#[test]
fn what_is_written_is_found_and_walked_in_both_directions() {
    // Few rooms with many blocks, many rooms with several parts of the index, long values.
    for (seed, (count, rooms, bytes)) in
        [(1, 1, 0), (40, 3, 50), (900, 1, 2_000), (3_000, 400, 30), (30, 2, 200_000)]
            .into_iter()
            .cycle()
            .take(30)
            .enumerate()
    {
        let mut prng = Prng::from_seed(seed as u64);
        let mut disk = MemoryDisk::default();
        let entries = draw(&mut prng, count, rooms, bytes);
        let info = write(&mut disk, RunId(seed as u64), &entries);
        let model = model(&entries);
        assert_eq!(info.entries, model.len() as u64);
        let replacements =
            model.values().filter(|(kind, _)| *kind == EntryKind::Replacement).count();
        assert_eq!(info.replacements, replacements as u64);
        let run = disk.open(info.id).unwrap();
        assert_eq!(*run.info(), info);
        check(&mut prng, &run, &mut disk, &model);
    }
}

#[test]
fn a_run_without_entries_is_one() {
    let mut disk = MemoryDisk::default();
    let info = write(&mut disk, RunId(1), &[]);
    let run = disk.open(info.id).unwrap();
    assert_eq!(run.get(&mut disk, key(1, 1)).unwrap(), None);
    assert_eq!(RunCursor::of_all(&run, &mut disk).unwrap().entry(), None);
    for direction in [ScanDirection::Forward, ScanDirection::Backward] {
        let cursor = RunCursor::of_room(&run, &mut disk, key(1, 0), 9, direction).unwrap();
        assert_eq!(cursor.entry(), None);
    }
}

#[test]
fn entries_are_taken_in_order_within_the_bounds_and_as_pieces_are() {
    let mut writer = RunWriter::new(RunId(1), 0, LOG, 7);
    let mut push = |room, offset, bytes: usize| {
        let value = vec![7; bytes];
        writer.push(&RunEntry { key: key(room, offset), kind: EntryKind::Message, value: &value })
    };
    assert_eq!(push(2, 5, 10), Ok(()));
    assert_eq!(push(2, 5, 10), Err(RunPushError::NotInOrder));
    assert_eq!(push(1, 9, 10), Err(RunPushError::NotInOrder));
    assert_eq!(push(2, 6, VALUE_BYTES_MAX + 1), Err(RunPushError::ValueTooLong));
    assert_eq!(push(2, 6, VALUE_BYTES_MAX), Ok(()));
    assert_eq!(push(2, 7, 1), Ok(()), "the long block goes out, and is a piece");
    assert_eq!(push(2, 8, 1), Err(RunPushError::PieceWaits));
    assert_eq!(writer.take_piece().unwrap().pages.bytes().len(), PIECE_BYTES);
    assert!(writer.take_piece().is_none(), "the rest is not whole");
    let info = writer.finish();
    assert_eq!(writer.finish(), info);
    let entry = RunEntry { key: key(3, 1), kind: EntryKind::Message, value: &[] };
    assert_eq!(writer.push(&entry), Err(RunPushError::Finished));
}

#[test]
fn a_sorter_takes_what_its_bound_says() {
    let mut sorter = EntrySorter::new(199);
    let value = [7; 60];
    let entry = |offset| RunEntry { key: key(1, offset), kind: EntryKind::Message, value: &value };
    assert_eq!(sorter.push(&entry(1)), Ok(()));
    assert_eq!(sorter.push(&entry(2)), Err(SorterFullError));
    let mut writer = RunWriter::new(RunId(1), 0, LOG, 7);
    assert_eq!(sorter.feed(&mut writer), Ok(SorterState::AllFed));
    let small = RunEntry { value: &[], ..entry(2) };
    assert_eq!(sorter.push(&small), Err(SorterFullError), "it was sorted");
}

#[test]
fn a_room_that_is_not_there_costs_one_read_of_4_kib() {
    struct Counted(MemoryDisk, Vec<usize>);
    impl RunDisk for Counted {
        fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
            self.1.push(bytes.len());
            self.0.read(run, place, bytes)
        }
    }
    let mut disk = MemoryDisk::default();
    let entries: Vec<StoredEntry> = (0..3_000)
        .map(|room| StoredEntry {
            key: key(2 * room, 1),
            kind: EntryKind::Message,
            value: vec![1; 9],
        })
        .collect();
    let info = write(&mut disk, RunId(1), &entries);
    let run = disk.open(info.id).unwrap();
    let mut disk = Counted(disk, Vec::new());
    for room in [1, 501, 5_999] {
        assert_eq!(run.get(&mut disk, key(room, 1)).unwrap(), None);
        let high = u64::MAX;
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            let cursor = RunCursor::of_room(&run, &mut disk, key(room, 0), high, direction);
            assert_eq!(cursor.unwrap().entry(), None);
        }
    }
    assert!(disk.1.iter().all(|bytes| *bytes <= 4_096), "{:?}", disk.1);
    assert!(disk.1.len() <= 3 * 5, "{:?}", disk.1);
}
