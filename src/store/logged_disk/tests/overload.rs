//! Runs that are late: messages are refused before commits wait, and taken again behind them.

use super::*;
use crate::base::RoomId;
use crate::store::logged_disk::progress::Overload;

const BOUND: usize = SETUP.limits.unsorted_bytes_max;

fn commit(disk: &mut Logged, space: StoreKeyspace, key: &[u8]) {
    let mut batch = Batch::default();
    batch.put(space, key, [7; 2_000]);
    disk.commit(&mut batch, SyncMode::Now).unwrap();
}

#[test]
fn messages_are_refused_where_too_much_is_not_sorted_and_records_go_on() {
    let mut world = World::new(3);
    (world.fails, world.segments) = (0, 99);
    world.set_faults();
    let disk = &mut world.disk;
    disk.messages.runs_mut().set_late(true);
    let mut offset = 0;
    while disk.takes_messages() {
        offset += 1;
        commit(disk, StoreKeyspace::Messages, &key::message(RoomId(1), offset));
        disk.tend(1_000).unwrap();
    }
    let unsorted = disk.messages.unsorted_log_bytes();
    assert!((BOUND..BOUND + 12_000).contains(&unsorted), "{unsorted}");
    let LogBacklog { unsorted_bytes, unsorted_bytes_max, sorting_ms, .. } =
        disk.take_log_activity().backlog;
    assert_eq!((unsorted_bytes as usize, unsorted_bytes_max as usize), (unsorted, BOUND));
    assert_eq!(sorting_ms, 0);
    disk.tend(1_700).unwrap();
    assert_eq!(disk.take_log_activity().backlog.sorting_ms, 700);
    for number in 0..100_u32 {
        commit(disk, StoreKeyspace::Markers, &number.to_be_bytes());
        let unsorted = disk.messages.unsorted_log_bytes();
        assert!(unsorted < BOUND + BOUND / 4 + 12_000, "then commits wait: {unsorted}");
    }
    disk.messages.runs_mut().set_late(false);
    let mut turns_count = 0;
    while !disk.takes_messages() {
        turns_count += 1;
        assert!(turns_count < 1_000, "it is over when they are sorted");
        disk.tend(1_000).unwrap();
    }
    assert!(disk.messages.unsorted_log_bytes() < BOUND);
    while disk.messages.is_sorting() {
        disk.tend(9_000).unwrap();
    }
    assert_eq!(disk.take_log_activity().backlog.sorting_ms, 0);
}

#[test]
fn it_is_over_when_a_quarter_is_sorted() {
    let mut overload = Overload::None;
    for (unsorted, takes) in
        [(0, true), (99, true), (100, false), (99, false), (75, false), (74, true), (99, true)]
    {
        overload = overload.next(unsorted, 100);
        assert_eq!(overload == Overload::None, takes, "{unsorted}");
    }
}
