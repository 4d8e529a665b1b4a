//! Pages, batches and manifests under right sums: what no accident makes, and no fuzzer would find.
//!
//! This reads the log's form by itself, without the library.
//!
//! Deliberately absent: what is changed in them.

use rookery::log::{PAGE_BYTES, SegmentId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::log_disk::Disk;

const PAGE_HEAD_BYTES: usize = 32;
const MANIFEST_HEAD_BYTES: usize = 48;
const MANIFEST_ENTRY_BYTES: usize = 40;

/// The life of a segment, as a manifest says that has it.
pub fn life_of(disk: &Disk, segment: SegmentId) -> Option<u64> {
    let mut entries = disk.manifest.iter().flat_map(|place| segments_with_lives(place));
    entries.find(|(id, _)| *id == segment).map(|(_, life)| life)
}

fn segments_with_lives(place: &[u8]) -> impl Iterator<Item = (SegmentId, u64)> {
    let entries = place.get(MANIFEST_HEAD_BYTES..).unwrap_or_default();
    let entries = entries.chunks_exact(MANIFEST_ENTRY_BYTES).take(segments_of(place));
    entries.map(|entry| (SegmentId(number_at(entry, 0) as u32), number_at(entry, 8)))
}

/// Segments that a place of the manifest has.
pub fn segments_of(place: &[u8]) -> usize {
    field_of(place, 40).min(128) as usize
}

/// Pages of a segment, as a place of the manifest says.
pub fn segment_pages_of(place: &[u8]) -> u64 {
    field_of(place, 16) >> 32
}

/// The generation that a place of the manifest has.
pub fn generation_of(place: &[u8]) -> u64 {
    field_of(place, 24)
}

/// Up to where all was durable, as a place of the manifest says.
pub fn durable_of(place: &[u8]) -> u64 {
    field_of(place, 32)
}

/// Takes every mark away: in the manifest, which has its segments open then, and in all pages.
pub fn take_marks(disk: &mut Disk) {
    let Disk { segments, manifest, .. } = disk;
    let lives: Vec<(SegmentId, u64)> = segments_with_lives(&manifest[0]).collect();
    for place in manifest {
        let entries = segments_of(place);
        let head = place.get_mut(..MANIFEST_HEAD_BYTES + entries * MANIFEST_ENTRY_BYTES);
        let Some((head, entries)) = head.and_then(|all| all.split_at_mut_checked(48)) else {
            continue;
        };
        let first = entries.get(16..24).map_or(1, |_| number_at(entries, 16));
        head[32..40].copy_from_slice(&first.saturating_sub(1).to_le_bytes());
        entries.chunks_exact_mut(MANIFEST_ENTRY_BYTES).for_each(|entry| entry[24..32].fill(0xFF));
        sum_manifest(place);
    }
    for (id, life) in lives {
        let pages =
            segments.get_mut(&id).into_iter().flat_map(|all| all.chunks_exact_mut(PAGE_BYTES));
        for (page, bytes) in pages.enumerate().filter(|(_, bytes)| number_at(bytes, 0) != 0) {
            bytes[24..32].fill(0);
            sum_page(bytes, life, page as u32);
        }
    }
}

/// Gives a page the sum that belongs to what stands in it.
pub fn sum_page(page_bytes: &mut [u8], life: u64, page: u32) {
    let seed = life.wrapping_add((u64::from(page) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let sum = xxh3_64_with_seed(&page_bytes[8..], seed);
    page_bytes[..8].copy_from_slice(&sum.to_le_bytes());
}

/// Gives a place of the manifest the sum that belongs to it.
pub fn sum_manifest(place: &mut [u8]) {
    let Some((sum, rest)) = place.split_first_chunk_mut::<8>() else { return };
    *sum = xxh3_64(rest).to_le_bytes();
}

/// Changes a batch that begins at this page, and gives it the seal and its pages the sums that
/// belong to them. Nothing happens where none begins.
pub fn change_batch(segment: &mut [u8], life: u64, page: u32, change: impl FnOnce(&mut [u8])) {
    let from = page as usize * PAGE_BYTES;
    let Some(head) = segment.get(from..from + PAGE_BYTES) else { return };
    let count = usize::from(head[10]) | usize::from(head[11]) << 8;
    let batch_bytes = (number_at(head, 8) >> 32) as usize;
    let Some(pages) = segment.get_mut(from..from + count * PAGE_BYTES) else { return };
    let parts = pages.chunks(PAGE_BYTES).flat_map(|page| &page[PAGE_HEAD_BYTES..]);
    let mut batch: Vec<u8> = parts.copied().take(batch_bytes).collect();
    if batch.len() < 40 {
        return;
    }
    change(&mut batch);
    let seal = xxh3_64(&batch[8..]);
    batch[..8].copy_from_slice(&seal.to_le_bytes());
    let parts = batch.chunks(PAGE_BYTES - PAGE_HEAD_BYTES);
    for (number, (bytes, part)) in pages.chunks_mut(PAGE_BYTES).zip(parts).enumerate() {
        bytes[PAGE_HEAD_BYTES..][..part.len()].copy_from_slice(part);
        sum_page(bytes, life, page + number as u32);
    }
}

/// A number of the head, and 0 where there is none.
fn field_of(place: &[u8], at: usize) -> u64 {
    place.get(at..at + 8).map_or(0, |_| number_at(place, at))
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
