//! What can be read of a log that does not open: every batch whose sums are right, in order, and
//! what is not there between them.
//!
//! A sum says that a batch was written in this life at this place, whatever stands before it. What
//! no mark proves counts only behind batches that are there without a hole, as at a start: nobody
//! was answered for what lies behind a hole at the end.
//!
//! Deliberately absent: writing anything, and what batches say.

use super::batch::SealedBatch;
use super::disk::{LogDisk, LogDiskError};
use super::manifest::{Manifest, SegmentEntry, SegmentId};
use super::page::{PAGE_BYTES, PageBuffer, read_batch, read_head};
use super::read_plan::ReadPlan;
use super::scan::LogOpenError;
use super::two_places::{ChosenManifest, HasFiles, ManifestError, ManifestPlace, choose};

/// Pages that are read at a time; more than a batch has.
const READ_PAGES: u32 = 256;

/// Batches that were durable and are not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogGap {
    /// From this sequence,
    pub first: u64,
    /// up to this one.
    pub last: u64,
    /// Where they should begin: the segment,
    pub segment: SegmentId,
    /// and the page there.
    pub page: u32,
}

/// What a log has.
#[derive(Debug, PartialEq, Eq)]
pub struct LogSurvey {
    /// The sequence of the first batch that it should have.
    pub first: u64,
    /// How to read each batch that is whole and was asked for, with its sequence, in order.
    pub batches: Vec<(u64, ReadPlan)>,
    /// What is missing between them, and at the end.
    pub gaps: Vec<LogGap>,
    /// The last batch that counts, whole or missing.
    pub last: u64,
}

/// Looks through the log of this disk for batches behind a sequence. Writes nothing.
pub fn survey(disk: &mut impl LogDisk, after: u64) -> Result<LogSurvey, LogOpenError> {
    let manifest = read_manifest(disk)?;
    let first = manifest.segments.first().and_then(|entry| entry.first);
    let first = first.unwrap_or(manifest.durable + 1);
    let mut surveyor = Surveyor {
        disk,
        segment_pages: manifest.segment_pages,
        after,
        next: first,
        expected: (manifest.segments.first().map_or(SegmentId(0), |entry| entry.id), 0),
        mark: manifest.durable,
        batches: Vec::new(),
        gaps: Vec::new(),
    };
    for entry in &manifest.segments {
        surveyor.look_through(entry);
    }
    Ok(surveyor.end(first))
}

fn read_manifest(disk: &mut impl LogDisk) -> Result<Manifest, LogOpenError> {
    let read = ManifestPlace::ALL.map(|place| disk.read_manifest(place));
    let [Ok(one), Ok(other)] = read else { return Err(LogOpenError::Disk) };
    match choose::<Manifest>(&one, &other, HasFiles::Some) {
        Ok(ChosenManifest::Found(manifest, _)) => Ok(manifest),
        Ok(ChosenManifest::New) | Err(ManifestError::Damaged) => Err(LogOpenError::NoManifest),
        Err(ManifestError::NewerForm(form)) => Err(LogOpenError::NewerForm(form)),
    }
}

struct Surveyor<'d, D> {
    disk: &'d mut D,
    segment_pages: u32,
    after: u64,
    /// The batch that comes next.
    next: u64,
    /// Where it should begin.
    expected: (SegmentId, u32),
    /// The highest mark so far.
    mark: u64,
    batches: Vec<(u64, ReadPlan)>,
    gaps: Vec<LogGap>,
}

impl<D: LogDisk> Surveyor<'_, D> {
    fn look_through(&mut self, entry: &SegmentEntry) {
        if entry.first == Some(self.next) {
            self.expected = (entry.id, 0);
        }
        let mut buffer = PageBuffer::zeroed(READ_PAGES.min(self.segment_pages));
        let mut page = 0;
        while page < self.segment_pages && entry.last.is_none_or(|last| self.next <= last) {
            let asked = READ_PAGES.min(self.segment_pages - page);
            let pages = &mut buffer.bytes_mut()[..asked as usize * PAGE_BYTES];
            self.read(entry.id, page, pages);
            let mut at = 0;
            while at < asked {
                let rest = &pages[at as usize * PAGE_BYTES..];
                match self.take(rest, entry, page + at) {
                    Some(count) if at + count <= asked => at += count,
                    // It goes on behind what was read.
                    Some(_) if 0 < at => break,
                    Some(_) | None => at += 1,
                }
            }
            page += at;
        }
    }

    /// Reads pages; those that cannot be read are zeros.
    fn read(&mut self, segment: SegmentId, page: u32, pages: &mut [u8]) {
        if self.disk.read(segment, page, pages).is_ok() {
            return;
        }
        let mut one = PageBuffer::zeroed(1);
        for (place, bytes) in (page..).zip(pages.chunks_exact_mut(PAGE_BYTES)) {
            match self.disk.read(segment, place, one.bytes_mut()) {
                Ok(()) => bytes.copy_from_slice(one.bytes()),
                Err(LogDiskError::Full | LogDiskError::Failed) => bytes.fill(0),
            }
        }
    }

    /// Notes what stands at a page. Of a batch that begins there, how many pages it has, also
    /// where `rest` does not have all of them, and nothing is noted.
    fn take(&mut self, rest: &[u8], entry: &SegmentEntry, place: u32) -> Option<u32> {
        let head = read_head(&rest[..PAGE_BYTES], entry.life, place)?;
        self.mark = self.mark.max(head.mark);
        let (sequence, count) = (head.sequence, u32::from(head.pages));
        let is_behind = entry.last.is_some_and(|last| last < sequence);
        if head.number != 0 || sequence < self.next || is_behind || READ_PAGES < count {
            return None;
        }
        let Some(pages) = rest.get(..count as usize * PAGE_BYTES) else {
            return (place + count <= self.segment_pages).then_some(count);
        };
        let sealed = read_batch(pages, entry.life, place, &head)?;
        let batch = SealedBatch::parse(&sealed).ok()?;
        if batch.position().sequence != sequence {
            return None;
        }
        self.note_gap(sequence - 1);
        if self.after < sequence {
            let plan = ReadPlan::new(entry.id, entry.life, place, count, sequence);
            self.batches.push((sequence, plan));
        }
        self.next = sequence + 1;
        self.expected = (entry.id, place + count);
        Some(count)
    }

    /// All from the next batch up to this one is missing, if that is anything.
    fn note_gap(&mut self, last: u64) {
        if self.next <= last {
            let (segment, page) = self.expected;
            self.gaps.push(LogGap { first: self.next, last, segment, page });
            self.next = last + 1;
        }
    }

    fn end(mut self, first: u64) -> LogSurvey {
        self.note_gap(self.mark);
        // What is missing behind the last mark was under way at a crash, and so is all behind it.
        let mark = self.mark;
        if let Some(open) = self.gaps.iter().position(|gap| mark < gap.last) {
            let end = self.gaps[open].first.max(mark + 1);
            self.next = end;
            self.batches.retain(|(sequence, _)| *sequence < end);
            self.gaps.truncate(open + 1);
            self.gaps[open].last = mark;
            self.gaps.retain(|gap| gap.first <= gap.last);
        }
        let (batches, gaps) = (self.batches, self.gaps);
        LogSurvey { first, batches, gaps, last: self.next - 1 }
    }
}
