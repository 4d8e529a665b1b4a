//! Runs over a disk in memory: against a model, and over files that are damaged.

mod bad_input;
mod damage;
mod drive;
mod model;
mod sets;
mod worlds;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::base::{Prng, RoomId};
use crate::log::ManifestPlace;

/// What a model has: the key, and what stands there.
type Model = BTreeMap<EntryKey, (EntryKind, Vec<u8>)>;

/// Files in memory.
#[derive(Clone, Debug, Default)]
struct MemoryDisk {
    files: BTreeMap<RunId, Vec<u8>>,
}

impl RunDisk for MemoryDisk {
    fn read(&mut self, run: RunId, place: u64, bytes: &mut [u8]) -> Result<(), RunDiskError> {
        let file = self.files.get(&run).ok_or(RunDiskError::Missing)?;
        let end = place.checked_add(bytes.len() as u64).ok_or(RunDiskError::Missing)?;
        let found = file.get(place as usize..end as usize).ok_or(RunDiskError::Missing)?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}

impl MemoryDisk {
    fn open(&mut self, id: RunId) -> Result<Run, RunOpenError> {
        let bytes = self.files.get(&id).map_or(0, Vec::len) as u64;
        Run::open(self, id, bytes)
    }
}

const LOG: LogRange = LogRange { first: 5, last: 9 };

fn key(room: u128, offset: u64) -> EntryKey {
    EntryKey { room: RoomId(room), offset }
}

fn take_pieces(writer: &mut RunWriter, file: &mut Vec<u8>) {
    while let Some(piece) = writer.take_piece() {
        assert_eq!(piece.place, file.len() as u64);
        file.extend_from_slice(piece.pages.bytes());
    }
}

/// Writes entries that come in this order, the last for a key counting.
fn write(disk: &mut MemoryDisk, id: RunId, entries: &[StoredEntry]) -> RunInfo {
    let mut sorter = EntrySorter::new(64 << 20);
    for StoredEntry { key, kind, value } in entries {
        sorter.push(&RunEntry { key: *key, kind: *kind, value }).unwrap();
    }
    let mut writer = RunWriter::new(id, 0, LOG, 7);
    let mut file = Vec::new();
    while sorter.feed(&mut writer).unwrap() == SorterState::PieceWaits {
        take_pieces(&mut writer, &mut file);
    }
    let info = writer.finish();
    take_pieces(&mut writer, &mut file);
    assert_eq!(info.bytes, file.len() as u64);
    disk.files.insert(id, file);
    info
}

/// Entries of a few rooms, with offsets drawn from few so that some are replaced, and values up to
/// so many bytes.
fn draw(prng: &mut Prng, count: u64, rooms: u64, value_bytes_max: u64) -> Vec<StoredEntry> {
    let mut entries = Vec::new();
    for _ in 0..count {
        let room =
            [0, 1, 77 << 90, u128::MAX][prng.below(4) as usize] ^ u128::from(prng.below(rooms));
        let offset = match prng.below(50) {
            0 => u64::MAX - prng.below(3),
            1 => prng.below(3),
            _ => 1_000 + prng.below(2 * count / rooms + 2),
        };
        let kind = if prng.percent(20) { EntryKind::Replacement } else { EntryKind::Message };
        let bytes = prng.below(value_bytes_max + 1);
        let value = (0..bytes).map(|_| prng.draw() as u8).collect();
        entries.push(StoredEntry { key: key(room, offset), kind, value });
    }
    entries
}

fn model(entries: &[StoredEntry]) -> Model {
    let mut model = Model::new();
    for StoredEntry { key, kind, value } in entries {
        let of = model.entry(*key).or_insert((*kind, Vec::new()));
        of.1.clone_from(value);
    }
    model
}

fn stored((key, (kind, value)): (&EntryKey, &(EntryKind, Vec<u8>))) -> StoredEntry {
    StoredEntry { key: *key, kind: *kind, value: value.clone() }
}

fn all(
    run: &Run,
    disk: &mut MemoryDisk,
    mut cursor: RunCursor,
) -> Result<Vec<StoredEntry>, RunReadError> {
    let mut found = Vec::new();
    while let Some(entry) = cursor.entry() {
        found.push(entry.stored());
        cursor.advance(run, disk)?;
    }
    Ok(found)
}
