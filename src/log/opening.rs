//! Opening a log, at a start and after every error: what survived is brought into a new life.
//!
//! In this order, each step durable before the next:
//!
//! 1. The manifest that counts is written again, in its own place first: it may have been read
//!    from a drive's cache, and it must not be the other place's turn before it is durable.
//! 2. Segments are scanned. What a mark proves stays where it is. The few batches behind it may
//!    have been read from a cache, too, and are written anew into a spare segment.
//! 3. A manifest seals the old lives at the mark, and names the new one. So nothing that lies
//!    behind a cut is a batch or a proof later.
//!
//! A crash in between leaves the old manifest, and all that it names as it was.
//!
//! Deliberately absent: what is done from then on (`machine`).

use std::collections::BTreeSet;

use super::disk::{LogCommand, LogDisk, LogDiskError, SegmentFile, WriteMode};
use super::machine::LogCore;
use super::manifest::{Manifest, SEGMENTS_MAX, SegmentId};
use super::options::Options;
use super::page::{Life, PageBuffer, into_pages, pages_of};
use super::scan::{LogOpenError, Scanned, check_sizes, scan};
use super::segment_pool::{SegmentPool, free_id};
use super::segments::{LogSegment, Segments};
use super::two_places::{
    ChosenManifest, HasFiles, ManifestError, ManifestPlace, PlacedManifest as _, choose,
};
use crate::base::Csprng;

/// Opens the log of this disk, or begins one where there is none. Nothing else may be under way
/// on the disk. After an error it may be tried again from the start.
pub fn open(
    disk: &mut impl LogDisk,
    options: Options,
    lives: Csprng,
) -> Result<LogCore, LogOpenError> {
    open_behind(disk, options, lives, 0)
}

/// The same for a log whose batches up to a sequence are durable somewhere else: what of those is
/// damaged is left out, with all that stands before it.
pub fn open_behind(
    disk: &mut impl LogDisk,
    options: Options,
    mut lives: Csprng,
    kept_elsewhere: u64,
) -> Result<LogCore, LogOpenError> {
    assert!(options.are_possible(), "{options:?}");
    let manifest = read_manifest(disk, options)?;
    let options = check_sizes(&manifest, options)?;
    let files = disk.segments(options.segment_pages).map_err(|_| LogOpenError::Disk)?;
    let used: BTreeSet<SegmentId> = manifest.segments.iter().map(|entry| entry.id).collect();
    let is_whole = |id: &SegmentId| files.contains(&SegmentFile { id: *id, is_whole: true });
    if let Some(id) = used.iter().find(|id| !is_whole(id)) {
        return Err(LogOpenError::Missing(*id));
    }
    let mut scanned = scan(disk, &manifest, kept_elsewhere)?;
    let whole = files.iter().filter(|file| file.is_whole).map(|file| file.id);
    let mut spares: Vec<SegmentId> = whole.filter(|id| !used.contains(id)).collect();
    let fresh = spare_segment(disk, &mut spares, &used, options)?;
    let life = Life(lives.draw());
    let active = rewrite(disk, &mut scanned, fresh, life, options)?;
    let durable = scanned.last;
    let mut segments = scanned.segments;
    segments.push(active);
    // Nothing but the last one stays open.
    let segments = Segments::new(segments);
    let entries = segments.entries(durable);
    let kept: BTreeSet<SegmentId> = entries.iter().map(|entry| entry.id).collect();
    let generation = manifest.generation + 1;
    let manifest = Manifest { generation, durable, segments: entries, ..manifest };
    write_manifest(disk, &manifest, ManifestPlace::First)?;
    spares.extend(used.iter().filter(|id| !kept.contains(id)));
    let pool = SegmentPool::new(spares, kept, options.segments_max);
    Ok(LogCore::new(options, segments, pool, generation, scanned.last_seal, lives))
}

/// The pages of a segment of the log of this disk, which it was made with; `None` where there is
/// no log that can be opened. Writes nothing.
pub fn segment_pages(disk: &mut impl LogDisk) -> Option<u32> {
    let [first, second] = ManifestPlace::ALL.map(|place| disk.read_manifest(place));
    match choose::<Manifest>(&first.ok()?, &second.ok()?, HasFiles::Some) {
        Ok(ChosenManifest::Found(manifest, _)) => Some(manifest.segment_pages),
        Ok(ChosenManifest::New) | Err(_) => None,
    }
}

/// The manifest that counts, durable in both places.
fn read_manifest(disk: &mut impl LogDisk, options: Options) -> Result<Manifest, LogOpenError> {
    let [first, second] = ManifestPlace::ALL.map(|place| disk.read_manifest(place));
    let (Ok(first), Ok(second)) = (first, second) else { return Err(LogOpenError::Disk) };
    // A list that cannot be read says nothing about a new log.
    let has_files = match disk.segments(options.segment_pages) {
        Ok(files) if files.is_empty() => HasFiles::None,
        Ok(_) | Err(_) => HasFiles::Some,
    };
    let chosen = choose(&first, &second, has_files);
    let (manifest, place) = match chosen {
        Ok(ChosenManifest::Found(manifest, place)) => (manifest, place),
        Ok(ChosenManifest::New) => (Manifest::empty(options.segment_pages), ManifestPlace::First),
        Err(ManifestError::Damaged) => return Err(LogOpenError::NoManifest),
        Err(ManifestError::NewerForm(form)) => return Err(LogOpenError::NewerForm(form)),
    };
    write_manifest(disk, &manifest, place)?;
    Ok(manifest)
}

fn write_manifest(
    disk: &mut impl LogDisk,
    manifest: &Manifest,
    place: ManifestPlace,
) -> Result<(), LogOpenError> {
    for place in [place, place.other()] {
        run(disk, &LogCommand::WriteManifest { place, bytes: manifest.encode() })?;
    }
    Ok(())
}

/// A segment that no manifest names. Here the reserved ones may be taken: this is what for.
fn spare_segment(
    disk: &mut impl LogDisk,
    spares: &mut Vec<SegmentId>,
    used: &BTreeSet<SegmentId>,
    options: Options,
) -> Result<SegmentId, LogOpenError> {
    if !spares.is_empty() {
        return Ok(spares.remove(0));
    }
    // Beyond what the options say, if it has to be: who cannot open a log can let nothing go.
    let id = free_id(used, SEGMENTS_MAX as u32).ok_or(LogOpenError::Full)?;
    run(disk, &LogCommand::Zero { segment: id, pages: options.segment_pages })?;
    Ok(id)
}

/// Writes what no mark proves into another segment, and takes it out of those in which it was.
fn rewrite(
    disk: &mut impl LogDisk,
    scanned: &mut Scanned,
    id: SegmentId,
    life: Life,
    options: Options,
) -> Result<LogSegment, LogOpenError> {
    let mut survivors = Vec::new();
    let mut pages = 0;
    for sequence in scanned.durable + 1..=scanned.last {
        let sealed = read_survivor(disk, scanned, sequence)?;
        let page = pages;
        pages += pages_of(sealed.len());
        if options.segment_pages < pages {
            // So much is never under way: marks have been lost.
            return Err(LogOpenError::Damaged { segment: id, page, sequence });
        }
        survivors.push(sealed);
    }
    let previous = |sealed: &Vec<u8>| super::batch::u64_at(sealed, 8);
    let seal = survivors.first().map_or(scanned.last_seal, previous);
    let mut active = LogSegment::new(id, life, scanned.durable + 1, seal);
    for (sequence, sealed) in (scanned.durable + 1..).zip(&survivors) {
        let page = active.add(pages_of(sealed.len()));
        let pages = into_pages(sealed, sequence, scanned.durable, life, page);
        let mode = WriteMode::Cached;
        run(disk, &LogCommand::Write { segment: id, page, pages, mode, sequence })?;
    }
    if !survivors.is_empty() {
        run(disk, &LogCommand::Flush { segment: id })?;
    }
    let durable = scanned.durable;
    scanned.segments.retain_mut(|segment| segment.cut_behind(durable));
    Ok(active)
}

fn read_survivor(
    disk: &mut impl LogDisk,
    scanned: &Scanned,
    sequence: u64,
) -> Result<Vec<u8>, LogOpenError> {
    let plan = scanned.segments.iter().find_map(|segment| segment.plan(sequence, sequence, 0));
    let plan = plan.expect("the scan has found it");
    let (segment, page) = (plan.segment(), plan.page());
    let mut pages = PageBuffer::zeroed(plan.pages());
    let read = disk.read(segment, page, pages.bytes_mut());
    read.map_err(|_| LogOpenError::Unreadable { segment, page })?;
    let batches = plan.batches(pages.bytes());
    let batches = batches.map_err(|_| LogOpenError::Damaged { segment, page, sequence })?;
    Ok(batches.into_iter().next().expect("a plan has at least one batch"))
}

fn run(disk: &mut impl LogDisk, command: &LogCommand) -> Result<(), LogOpenError> {
    disk.run(command).map_err(|error| match error {
        LogDiskError::Full => LogOpenError::Full,
        LogDiskError::Failed => LogOpenError::Disk,
    })
}
