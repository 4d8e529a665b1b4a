//! Sets over real files: processes that end between any two commands, and what file systems refuse.

mod files;
mod small_disks;

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::base::RoomId;
use crate::runs::{
    EntryKey, EntryKind, EntrySorter, KeptEntries, MergeSizes, RoomRange, RunCommand, RunDiskError,
    RunEntry, RunSet, RunSetOpenError, RunSetOptions, RunSetStep, RunStorage, RunView,
    ScanDirection, ScanItem,
};

const OPTIONS: RunSetOptions =
    RunSetOptions { log_id: 5, new_behind: 0, merges: MergeSizes { runs: 2, bytes_max: 1 << 30 } };

/// What each batch of the log has: a message in each of three rooms, and a replacement.
fn batch(sequence: u64) -> Vec<(EntryKey, EntryKind, Vec<u8>)> {
    let value = |room: u64| {
        let bytes = if sequence.is_multiple_of(5) { 200_000 } else { 50 };
        vec![(sequence * 7 + room) as u8; bytes]
    };
    let key = |room: u64, offset| EntryKey { room: RoomId(room.into()), offset };
    let messages = (1..4).map(|room| (key(room, sequence), EntryKind::Message, value(room)));
    let replaced = (key(2, sequence / 2), EntryKind::Replacement, value(9));
    messages.chain((1 < sequence).then_some(replaced)).collect()
}

fn sorter(first: u64, last: u64) -> EntrySorter {
    let mut sorter = EntrySorter::new(64 << 20);
    for (key, kind, value) in (first..=last).flat_map(batch) {
        sorter.push(&RunEntry { key, kind, value: &value }).unwrap();
    }
    sorter
}

/// The set has all that the log has up to `sorted`, and nothing else.
fn check(view: &RunView, files: &mut RunFiles) {
    let mut wanted = BTreeMap::new();
    for (key, _, value) in (1..=view.sorted()).flat_map(batch) {
        wanted.insert(key, value);
    }
    let mut found = BTreeMap::new();
    for room in 1..4 {
        let range = RoomRange { room: RoomId(room), first: 0, last: u64::MAX };
        let mut scan = view.scan(files, range, ScanDirection::Forward).unwrap();
        while let Some(item) = scan.next(files).unwrap() {
            let ScanItem::Entry(found_entry) = item else { panic!("{item:?}") };
            found.insert(found_entry.entry.key, found_entry.entry.value);
        }
    }
    assert!(found == wanted, "what is read is what was written");
}

/// Goes on until there is nothing to do, beginning runs of five batches up to `last`, or until so
/// many commands are done. Says how many were, and the first error.
fn go_on(
    set: &mut RunSet,
    files: &mut RunFiles,
    last: u64,
    commands_max: usize,
) -> (usize, Option<RunDiskError>) {
    set.set_known_up_to(u64::MAX);
    let mut done = 0;
    loop {
        if set.may_begin_run().is_ok() && set.sorted() < last {
            let through = (set.sorted() + 5).min(last);
            set.begin_run(sorter(set.sorted() + 1, through), through, 0);
        }
        match set.step(files, &mut |_| Ok(KeptEntries::ALL)).unwrap() {
            RunSetStep::Do(_) if done == commands_max => return (done, None),
            RunSetStep::Do(command) => {
                let result = files.run(&command);
                set.on_done(result);
                done += 1;
                if let Err(error) = result {
                    return (done, Some(error));
                }
            }
            RunSetStep::Again => {}
            RunSetStep::Idle => return (done, None),
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}
