//! Files that are cut, changed, or made by somebody else: nothing wrong is read.

use super::*;

/// Small, with two rooms and a replacement.
fn small() -> (MemoryDisk, RunId, Model) {
    let mut entries = Vec::new();
    for (room, offset, bytes) in [(3, 1, 5), (3, 2, 0), (3, 9, 40), (8, 4, 300), (8, 5, 3)] {
        let value = (0..bytes).map(|at: usize| (at * 7 + offset as usize) as u8).collect();
        let kind = if offset == 2 { EntryKind::Replacement } else { EntryKind::Message };
        entries.push(StoredEntry { key: key(room, offset), kind, value });
    }
    let mut disk = MemoryDisk::default();
    let id = write(&mut disk, RunId(4), &entries).id;
    (disk, id, model(&entries))
}

/// Whether anything of it says that it is damaged; nothing that is read is wrong.
fn is_seen(disk: &mut MemoryDisk, id: RunId, model: &Model, what: &str) -> bool {
    let Ok(run) = disk.open(id) else { return true };
    let mut is_seen = false;
    for (key, wanted) in model {
        match run.get(disk, *key) {
            Ok(found) => assert_eq!(found, Some(stored((key, wanted))), "{what}"),
            Err(RunReadError::Damaged(damage)) => {
                is_seen = true;
                assert!(damage.from <= *key, "{what}: {damage:?} does not name {key:?}");
                assert!(damage.before.is_none_or(|before| *key < before), "{what}: {damage:?}");
            }
            Err(RunReadError::Disk(error)) => panic!("{what}: {error:?}"),
        }
    }
    let walked = RunCursor::of_all(&run, disk).and_then(|cursor| all(&run, disk, cursor));
    match walked {
        Ok(found) => {
            assert_eq!(found, model.iter().map(stored).collect::<Vec<_>>(), "{what}");
            assert!(!is_seen, "{what}");
        }
        Err(error) => {
            assert!(matches!(error, RunReadError::Damaged(_)), "{what}: {error:?}");
            is_seen = true;
        }
    }
    is_seen
}

#[test]
fn every_cut_is_no_run() {
    let (whole, id, model) = small();
    assert!(!is_seen(&mut whole.clone(), id, &model, "whole"));
    let file = &whole.files[&id];
    for cut in 0..file.len() {
        let mut disk = MemoryDisk::default();
        disk.files.insert(id, file[..cut].to_vec());
        assert_eq!(disk.open(id).err(), Some(RunOpenError::NoTrailer), "{cut}");
    }
}

#[test]
fn every_flipped_bit_is_seen_and_nothing_wrong_is_read() {
    let (mut disk, id, model) = small();
    let bytes = disk.files[&id].len();
    for bit in 0..bytes * 8 {
        let mask = 1 << (bit % 8);
        disk.files.get_mut(&id).unwrap()[bit / 8] ^= mask;
        assert!(is_seen(&mut disk, id, &model, "a flipped bit"), "{bit}");
        disk.files.get_mut(&id).unwrap()[bit / 8] ^= mask;
    }
}

/// A write that was lost leaves zeros; one that went elsewhere leaves another run's bytes.
#[test]
fn pages_of_other_runs_and_zeros_are_seen() {
    let (mut disk, id, model) = small();
    let mut other = MemoryDisk::default();
    let entries: Vec<StoredEntry> = model.iter().map(stored).collect();
    write(&mut other, RunId(5), &entries);
    let (whole, other) = (disk.files[&id].clone(), &other.files[&RunId(5)]);
    for page in 0..whole.len() / 4_096 {
        for from in [&vec![0; whole.len()], other] {
            let mut file = whole.clone();
            let range = page * 4_096..(page + 1) * 4_096;
            file[range.clone()].copy_from_slice(&from[range]);
            if file == whole {
                continue;
            }
            disk.files.insert(id, file);
            assert!(is_seen(&mut disk, id, &model, &format!("page {page}")), "{page}");
        }
    }
    disk.files.insert(id, other.clone());
    assert_eq!(disk.open(id).err(), Some(RunOpenError::NoTrailer), "another run");
    disk.files.insert(id, [whole.clone(), whole].concat());
    assert_eq!(disk.open(id).err(), Some(RunOpenError::NoTrailer), "twice");
}

/// A file with right sums by somebody who means harm: numbers up to their ends.
#[test]
fn numbers_that_no_writer_makes_do_no_harm_under_right_sums() {
    let (disk, id, model) = small();
    let whole = disk.files[&id].clone();
    let page = whole.len() - 4_096;
    for at in (16..104).step_by(4) {
        for number in [0, 1, 2, 0x7FFF_FFFF, u32::MAX] {
            let mut file = whole.clone();
            file[page + at..][..4].copy_from_slice(&u32::to_le_bytes(number));
            super::super::block::put_sum(&mut file[page..], id, page as u64);
            let mut disk = MemoryDisk::default();
            disk.files.insert(id, file);
            let Ok(run) = disk.open(id) else { continue };
            for key in model.keys() {
                let found = run.get(&mut disk, *key);
                let wanted = Some(stored((key, &model[key])));
                assert!(found.is_err() || found == Ok(wanted), "{at} {number}");
            }
        }
    }
}

#[test]
fn a_newer_form_is_told_apart() {
    let (mut disk, id, _) = small();
    let file = disk.files.get_mut(&id).unwrap();
    let page = file.len() - 4_096;
    file[page + 16] = 2;
    super::super::block::put_sum(&mut file[page..], id, page as u64);
    assert_eq!(disk.open(id).err(), Some(RunOpenError::NewerForm(2)));
}
