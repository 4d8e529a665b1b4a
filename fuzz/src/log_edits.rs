//! Changes of a log at rest: those that a disk or a person makes, and those that only somebody
//! makes who knows the lives and means it.

use rookery::log::{PAGE_BYTES, SegmentId};

use crate::choices::Choices;
use crate::log_disk::Disk;
use crate::log_forgery::{change_batch, life_of, segments_of, sum_manifest, sum_page, take_marks};

/// What a change was made with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Knowledge {
    /// None of the log's lives, and a manifest is left that was written.
    None,
    /// Lives, or a manifest that is not the last one.
    Lives,
}

/// Makes one change.
pub fn edit(disk: &mut Disk, choices: &mut Choices<'_>) -> Knowledge {
    let kind = choices.byte() % 16;
    let Some(segment) = disk.some_segment(choices.byte().into()) else {
        return edit_manifest(disk, choices);
    };
    match kind {
        0..=6 => damage(disk, segment, kind, choices),
        7 => damage_manifest(disk, choices),
        8..=10 => forge_page(disk, segment, choices),
        11 | 12 => forge_batch(disk, segment, choices),
        13 => {
            take_marks(disk);
            Knowledge::Lives
        }
        _ => edit_manifest(disk, choices),
    }
}

fn damage(disk: &mut Disk, segment: SegmentId, kind: u8, choices: &mut Choices<'_>) -> Knowledge {
    let other = disk.some_segment(choices.byte().into()).unwrap_or(segment);
    let copied = {
        let bytes = &disk.segments[&other];
        let page = choices.below((bytes.len() / PAGE_BYTES).max(1));
        bytes.get(page * PAGE_BYTES..(page + 1) * PAGE_BYTES).unwrap_or_default().to_vec()
    };
    if kind == 0 {
        swap(disk, segment, other);
        return Knowledge::None;
    }
    let Some(bytes) = disk.segments.get_mut(&segment) else { return Knowledge::None };
    let at = choices.below(bytes.len().div_ceil(PAGE_BYTES).max(1)) * PAGE_BYTES;
    let page_end = bytes.len().min(at + PAGE_BYTES);
    match kind {
        1 => bytes.truncate(at + choices.below(PAGE_BYTES)),
        2 => bytes.resize(bytes.len() + choices.below(2 * PAGE_BYTES), choices.byte()),
        3 => bytes[at..page_end].fill(choices.byte()),
        4 if copied.len() == page_end - at => bytes[at..page_end].copy_from_slice(&copied),
        5 if choices.byte().is_multiple_of(4) => {
            disk.segments.remove(&segment);
        }
        _ => {
            let at = at + choices.below(PAGE_BYTES);
            let written = choices.bytes(8);
            let room = bytes.get_mut(at..at + written.len()).unwrap_or_default();
            room.iter_mut().zip(written).for_each(|(byte, change)| *byte ^= change);
        }
    }
    Knowledge::None
}

fn swap(disk: &mut Disk, one: SegmentId, other: SegmentId) {
    let moved = [(one, other), (other, one)].map(|(from, to)| (to, disk.segments[&from].clone()));
    disk.segments.extend(moved);
}

/// A flipped bit in one place.
fn damage_manifest(disk: &mut Disk, choices: &mut Choices<'_>) -> Knowledge {
    let place = &mut disk.manifest[usize::from(choices.byte() % 2)];
    let at = choices.below(place.len().max(1));
    if let Some(byte) = place.get_mut(at) {
        *byte ^= 1 << (choices.byte() % 8);
    }
    Knowledge::None
}

/// A page whose head, or a byte of it, says something else under a right sum.
fn forge_page(disk: &mut Disk, segment: SegmentId, choices: &mut Choices<'_>) -> Knowledge {
    let Some(life) = life_of(disk, segment) else { return Knowledge::Lives };
    let bytes = disk.segments.entry(segment).or_default();
    let page = choices.below((bytes.len() / PAGE_BYTES).max(1));
    let Some(page_bytes) = bytes.get_mut(page * PAGE_BYTES..(page + 1) * PAGE_BYTES) else {
        return Knowledge::Lives;
    };
    let (field, number) = (choices.byte() % 6, choices.number().to_le_bytes());
    match field {
        0 => page_bytes[8..10].copy_from_slice(&number[..2]),
        1 => page_bytes[10..12].copy_from_slice(&number[..2]),
        2 => page_bytes[12..16].copy_from_slice(&number[..4]),
        3 => page_bytes[16..24].copy_from_slice(&number),
        4 => page_bytes[24..32].copy_from_slice(&number),
        _ => {
            // A page that is a batch's only one, whatever stands in it.
            let whole = 8 + choices.below(PAGE_BYTES - 16);
            let written = choices.bytes(PAGE_BYTES - 8 - whole);
            page_bytes[whole..][..written.len()].copy_from_slice(written);
        }
    }
    sum_page(page_bytes, life, page as u32);
    Knowledge::Lives
}

/// A batch whose head, or records, say something else under right sums.
fn forge_batch(disk: &mut Disk, segment: SegmentId, choices: &mut Choices<'_>) -> Knowledge {
    let Some(life) = life_of(disk, segment) else { return Knowledge::Lives };
    let bytes = disk.segments.entry(segment).or_default();
    let page = choices.below((bytes.len() / PAGE_BYTES).max(1));
    let (field, number) = (choices.byte() % 6, choices.number().to_le_bytes());
    change_batch(bytes, life, page as u32, |batch| match field {
        0 => batch[8..16].copy_from_slice(&number),
        1 => batch[16..24].copy_from_slice(&number),
        2 => batch[24..32].copy_from_slice(&number),
        3 => batch[32..36].copy_from_slice(&number[..4]),
        4 => batch[36..40].copy_from_slice(&number[..4]),
        _ => {
            let at = 40 + choices.below((batch.len() - 40).max(1));
            let written = choices.bytes(8.min(batch.len().saturating_sub(at)));
            batch[at..][..written.len()].copy_from_slice(written);
        }
    });
    Knowledge::Lives
}

/// A manifest that says something else, in one place or in both.
fn edit_manifest(disk: &mut Disk, choices: &mut Choices<'_>) -> Knowledge {
    let number = usize::from(choices.byte() % 2);
    let mut place = disk.manifest[number].clone();
    let entries = segments_of(&place);
    match choices.byte() % 8 {
        0 => place.truncate(choices.below(place.len() + 1)),
        1 => place.fill(choices.byte()),
        2 => place.clone_from(&disk.manifest[1 - number]),
        3 => set(&mut place, 16 + 4 * choices.below(2), choices.number(), 4),
        4 => set(&mut place, 24 + 8 * choices.below(2), choices.number(), 8),
        5 => set(&mut place, 40, choices.number(), 4),
        6 => set(&mut place, 48 + 40 * choices.below(entries.max(1)), choices.number(), 4),
        _ => {
            let field = choices.below(4);
            set(
                &mut place,
                56 + 40 * choices.below(entries.max(1)) + 8 * field,
                choices.number(),
                8,
            );
        }
    }
    if choices.byte() % 4 != 3 {
        sum_manifest(&mut place);
    }
    if choices.byte().is_multiple_of(2) {
        disk.manifest[1 - number].clone_from(&place);
    }
    disk.manifest[number] = place;
    Knowledge::Lives
}

fn set(place: &mut [u8], at: usize, number: u64, width: usize) {
    if let Some(bytes) = place.get_mut(at..at + width) {
        bytes.copy_from_slice(&number.to_le_bytes()[..width]);
    }
}
