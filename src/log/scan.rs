//! What of a log counts: batches from the first on, as far as they are whole, and the proof that
//! no durable one is missing.
//!
//! A batch that is not whole ends the log. It was torn by a crash, unless a mark says that it had
//! been durable: of any page that was written in these lives, however far behind, or the
//! manifest's, which covers all segments that are sealed. That a later batch is there proves nothing, since writes reach a
//! disk in any order. What cannot be read is damage.
//!
//! What is durable somewhere else needs no proof: a batch of those that is not whole is left out,
//! with all before it, and the log begins at the next one that is, not behind the first that is
//! needed. So the first batch of a log may stand in the middle of its segment.
//!
//! Each page is read once, and looked at by its head and sum.
//!
//! Deliberately absent: what becomes of it (`opening`).

use std::fmt;

use super::batch::SealedBatch;
use super::disk::LogDisk;
use super::manifest::{Manifest, SegmentEntry, SegmentId};
use super::options::Options;
use super::page::{PAGE_BYTES, PageBuffer, pages_of, read_batch, read_head};
use super::segments::LogSegment;

/// Pages that are read at a time; more than a batch has.
const READ_PAGES: u32 = 256;

/// Why a log is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOpenError {
    /// A batch that was durable is not there.
    Damaged {
        /// Where it should begin.
        segment: SegmentId,
        /// The page there.
        page: u32,
        /// The batch.
        sequence: u64,
    },
    /// A segment that the manifest names is not there, or not all of it.
    Missing(SegmentId),
    /// A page cannot be read.
    Unreadable {
        /// The segment.
        segment: SegmentId,
        /// The first of the pages that were asked for.
        page: u32,
    },
    /// Neither place of the manifest has one, and there are segments.
    NoManifest,
    /// A newer program wrote it, in this form.
    NewerForm(u32),
    /// Its segments have another size than this program can use.
    SegmentPages(u32),
    /// No space for the segment in which it would go on.
    Full,
    /// The disk fails, or cannot be written.
    Disk,
}

impl fmt::Display for LogOpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LogOpenError::Damaged { segment, page, sequence } => write!(
                f,
                "batch {sequence} was durable and is not whole: segment {}, page {page}",
                segment.0
            ),
            LogOpenError::Missing(segment) => {
                write!(f, "segment {} is missing, or a part of it", segment.0)
            }
            LogOpenError::Unreadable { segment, page } => {
                write!(f, "segment {} cannot be read from page {page} on", segment.0)
            }
            LogOpenError::NoManifest => {
                write!(f, "there are segments, and neither place of the manifest can be read")
            }
            LogOpenError::NewerForm(form) => {
                write!(f, "a newer version wrote this log, in form {form}")
            }
            LogOpenError::SegmentPages(pages) => {
                write!(f, "its segments have {pages} pages, which these settings have no use for")
            }
            LogOpenError::Full => write!(f, "no space for another segment"),
            LogOpenError::Disk => write!(f, "the disk fails, or cannot be written"),
        }
    }
}

/// What counts.
#[derive(Debug)]
pub struct Scanned {
    /// Segments with at least one batch, in order.
    pub segments: Vec<LogSegment>,
    /// A mark says that batches were durable up to here.
    pub durable: u64,
    /// The last batch that is there, marked or not.
    pub last: u64,
    /// Its seal.
    pub last_seal: u64,
}

/// Reads what a manifest names. Batches up to a sequence are durable somewhere else.
pub fn scan(
    disk: &mut impl LogDisk,
    manifest: &Manifest,
    kept_elsewhere: u64,
) -> Result<Scanned, LogOpenError> {
    let first = manifest.segments.first();
    let mut scanner = Scanner {
        disk,
        segment_pages: manifest.segment_pages,
        kept_elsewhere,
        segments: Vec::new(),
        next: first.and_then(|entry| entry.first).unwrap_or(manifest.durable + 1),
        seal: first.map_or(0, |entry| entry.previous),
        first_seal: 0,
        mark: manifest.durable,
        end: (SegmentId(0), 0),
    };
    for (place, entry) in manifest.segments.iter().enumerate() {
        // Only the first one may begin behind page 0.
        let begin = if place == 0 { SegmentBegin::AnyPage } else { SegmentBegin::FirstPage };
        scanner.scan_segment(entry, begin)?;
    }
    let Scanner { segments, next, seal, mark, end, .. } = scanner;
    if next <= mark && mark == kept_elsewhere {
        // Nothing that is needed was ever durable here: the log goes on behind it.
        let (segments, durable, last) = (Vec::new(), mark, mark);
        return Ok(Scanned { segments, durable, last, last_seal: 0 });
    }
    if next <= mark {
        let (segment, page) = end;
        return Err(LogOpenError::Damaged { segment, page, sequence: next });
    }
    Ok(Scanned { segments, durable: mark, last: next - 1, last_seal: seal })
}

struct Scanner<'d, D> {
    disk: &'d mut D,
    segment_pages: u32,
    /// Up to this sequence batches are durable somewhere else.
    kept_elsewhere: u64,
    segments: Vec<LogSegment>,
    /// The batch that is looked for.
    next: u64,
    /// The seal of the one before it.
    seal: u64,
    /// What the batch names at which the log began anew.
    first_seal: u64,
    /// The highest mark so far.
    mark: u64,
    /// Where the batch that is looked for should begin.
    end: (SegmentId, u32),
}

/// Where the first batch of a segment may begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SegmentBegin {
    FirstPage,
    AnyPage,
}

/// What stands at a page.
enum Found {
    /// The batch that is looked for, with so many pages.
    Batch(u32),
    /// One behind it, at which the log begins anew, with so many pages.
    NewFirst(u32),
    /// Its beginning, and more must be read.
    Part,
    /// Something else.
    Other,
}

impl<D: LogDisk> Scanner<'_, D> {
    fn scan_segment(
        &mut self,
        entry: &SegmentEntry,
        begin: SegmentBegin,
    ) -> Result<(), LogOpenError> {
        // Behind a cut a segment has no batch, and perhaps a mark.
        if entry.first == Some(self.next) {
            self.end = (entry.id, 0);
        }
        let mut segment = LogSegment::new(entry.id, entry.life, self.next, self.seal);
        let mut buffer = PageBuffer::zeroed(READ_PAGES.min(self.segment_pages));
        let mut page = 0;
        let mut is_ended = false;
        let is_sealed = |next: u64| entry.last.is_some_and(|last| last < next);
        while page < self.segment_pages && !is_sealed(self.next) {
            let asked = READ_PAGES.min(self.segment_pages - page);
            let pages = &mut buffer.bytes_mut()[..asked as usize * PAGE_BYTES];
            let read = self.disk.read(entry.id, page, pages);
            read.map_err(|_| LogOpenError::Unreadable { segment: entry.id, page })?;
            let mut at = 0;
            while at < asked && !is_sealed(self.next) {
                let rest = &pages[at as usize * PAGE_BYTES..];
                let is_over = is_ended && self.kept_elsewhere < self.next;
                let found = if is_over { Found::Other } else { self.take(rest, entry, page + at)? };
                match found {
                    Found::Batch(pages) => {
                        segment.add_at(page + at, pages);
                        at += pages;
                    }
                    Found::NewFirst(pages) => {
                        segment =
                            LogSegment::new(entry.id, entry.life, self.next - 1, self.first_seal);
                        segment.add_at(page + at, pages);
                        is_ended = false;
                        at += pages;
                    }
                    Found::Part if page + asked < self.segment_pages && 0 < at => break,
                    Found::Part | Found::Other => {
                        let may_begin = begin == SegmentBegin::AnyPage && segment.is_empty();
                        is_ended = !may_begin;
                        self.note_mark(rest, entry, page + at);
                        at += 1;
                    }
                }
            }
            page += at;
        }
        if segment.first() < self.next {
            self.end = (entry.id, segment.end_page());
            self.segments.push(segment);
        }
        Ok(())
    }

    /// The batch that is looked for, if it stands here; then the next one is looked for.
    fn take(
        &mut self,
        rest: &[u8],
        entry: &SegmentEntry,
        place: u32,
    ) -> Result<Found, LogOpenError> {
        let Some(head) = read_head(&rest[..PAGE_BYTES], entry.life, place) else {
            return Ok(Found::Other);
        };
        let batch_pages = u32::from(head.pages);
        let is_looked_for = head.sequence == self.next;
        let is_first = !is_looked_for && self.may_begin_at(head.sequence, entry);
        if head.number != 0 || !(is_looked_for || is_first) || READ_PAGES < batch_pages {
            return Ok(Found::Other);
        }
        let Some(pages) = rest.get(..batch_pages as usize * PAGE_BYTES) else {
            return Ok(Found::Part);
        };
        let Some(sealed) = read_batch(pages, entry.life, place, &head) else {
            return Ok(Found::Other);
        };
        // Sums are right: this is what was written, and it has to be the next link of the chain.
        let batch = SealedBatch::parse(&sealed).map_err(|_| self.damaged(entry.id, place))?;
        if is_first && batch.position().sequence == head.sequence {
            self.segments.clear();
            self.next = head.sequence + 1;
            (self.first_seal, self.seal) = (batch.previous(), batch.seal());
            // All before it is durable, where it is kept.
            self.mark = self.mark.max(head.mark).max(head.sequence - 1);
            return Ok(Found::NewFirst(batch_pages));
        }
        if batch.previous() != self.seal || batch.position().sequence != self.next {
            return Err(self.damaged(entry.id, place));
        }
        self.seal = batch.seal();
        self.mark = self.mark.max(head.mark);
        self.next += 1;
        Ok(Found::Batch(batch_pages))
    }

    /// Whether a batch is behind one that is missing, and everything before it is kept elsewhere.
    fn may_begin_at(&self, sequence: u64, entry: &SegmentEntry) -> bool {
        let is_behind = entry.last.is_some_and(|last| last < sequence);
        self.next < sequence && sequence <= self.kept_elsewhere + 1 && !is_behind
    }

    fn note_mark(&mut self, rest: &[u8], entry: &SegmentEntry, place: u32) {
        if let Some(head) = read_head(&rest[..PAGE_BYTES], entry.life, place) {
            self.mark = self.mark.max(head.mark);
        }
    }

    fn damaged(&self, segment: SegmentId, page: u32) -> LogOpenError {
        LogOpenError::Damaged { segment, page, sequence: self.next }
    }
}

/// Whether a whole batch is read at a time.
const _: () = assert!(pages_of(super::batch::BATCH_BYTES_MAX as usize) < READ_PAGES);

/// Whether segments of a manifest can be used with these options.
pub fn check_sizes(manifest: &Manifest, options: Options) -> Result<Options, LogOpenError> {
    let options = Options { segment_pages: manifest.segment_pages, ..options };
    let error = LogOpenError::SegmentPages(manifest.segment_pages);
    options.are_possible().then_some(options).ok_or(error)
}
