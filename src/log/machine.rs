//! The log while it serves: takes batches, says what is to be written, and what is durable.
//!
//! Commands go out, and what came of them comes in by `on_event`; time comes in by `on_time`.
//! Batches of two writes may be under way, and answers come in order of their syncs. Segments to
//! go on in are made, and named in a manifest, before they are needed.
//!
//! Any failure of a write, a flush or the manifest ends the life: nobody knows what the disk has.
//! What is under way is waited for, nothing is answered, and then `open` reads everything again.
//! Only a spare segment that cannot be made does no harm.
//!
//! Deliberately absent: who waits for which batch, and how many are worth a second write.

use super::batch::LogBatch;
use super::disk::{LogCommand, LogDiskError, LogEvent};
use super::manifest::{Manifest, SegmentEntry, SegmentId};
use super::manifest_writer::{ManifestStep, ManifestWriter};
use super::options::{DEPTH, Options};
use super::page::{Life, PAGE_BYTES, into_pages, pages_of};
use super::position::LogPosition;
use super::read_plan::{ReadPlan, ReadPlanError};
use super::segment_pool::SegmentPool;
use super::segments::{LogSegment, Segments};
use super::window::{AppendSync, Window, WindowEntry};
use crate::base::Csprng;

/// How long after the last batch an empty one carries the mark that it was durable, in ms.
/// Only what was answered since then could pass for torn where the disk damages it.
const MARK_AFTER_MS: u64 = 100;

/// Why a batch is not taken. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// It was to be behind another one than the last, which is this.
    NotLast(LogPosition),
    /// As much is under way as may be, or the next segment is not ready: again after the next
    /// event.
    Busy,
    /// No space for another segment: again when something was let go, or the disk has space.
    Full,
    /// The log is closed, or its life has ended.
    Ended,
}

/// What the log does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogState {
    /// It takes batches.
    Serving,
    /// It takes none, and becomes `Closed` when all is durable.
    Closing,
    /// All is durable, and the manifest says so.
    Closed,
    /// A command failed, and others are under way.
    Failing,
    /// A command failed and none is under way: it can be opened again.
    Ended,
}

/// Segments of a log, by what they are for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentCounts {
    /// They have batches that somebody may read, or the next ones go there.
    pub used: usize,
    /// Nobody reads their batches any more, and they were not let go.
    pub waiting: usize,
    /// They have nothing.
    pub free: usize,
}

/// A log that is open.
#[derive(Debug)]
pub struct LogCore {
    options: Options,
    segments: Segments,
    /// The segment to go on in. A manifest that names it is durable if it is `true`.
    next: Option<(SegmentId, Life, bool)>,
    pool: SegmentPool,
    /// The manifest names segments that were let go.
    names_too_many: bool,
    window: Window,
    manifest: ManifestWriter<Manifest>,
    lives: Csprng,
    last: u64,
    last_seal: u64,
    /// The last batch with a record.
    last_filled: u64,
    state: LogState,
    /// Commands whose end has not come in.
    under_way: u32,
    now_ms: u64,
    /// When a batch became durable.
    durable_at_ms: u64,
}

impl LogCore {
    /// All that segments have is durable, and so is the manifest of this generation, which says
    /// that.
    pub(super) fn new(
        options: Options,
        segments: Segments,
        pool: SegmentPool,
        generation: u64,
        last_seal: u64,
        lives: Csprng,
    ) -> LogCore {
        let last = segments.active().last();
        LogCore {
            options,
            segments,
            next: None,
            pool,
            names_too_many: false,
            window: Window::new(last),
            manifest: ManifestWriter::new(generation),
            lives,
            last,
            last_seal,
            last_filled: last,
            state: LogState::Serving,
            under_way: 0,
            now_ms: 0,
            durable_at_ms: 0,
        }
    }

    /// Batches that may be under way.
    pub fn depth(&self) -> usize {
        DEPTH
    }

    /// Where the last batch stands, durable or not.
    pub fn last(&self) -> LogPosition {
        LogPosition::of_file(self.last)
    }

    /// Up to where all is durable.
    pub fn tail(&self) -> LogPosition {
        LogPosition::of_file(self.window.durable())
    }

    /// Where the first batch stands that is kept, or the next one if none is.
    pub fn first(&self) -> LogPosition {
        LogPosition::of_file(self.segments.first())
    }

    /// What it does.
    pub fn state(&self) -> LogState {
        self.state
    }

    /// Appends a batch behind `expected`, which has to be the last one. Returns where it will
    /// stand: a ticket, which nobody may be shown before `take_answered` gives it back.
    pub fn append(
        &mut self,
        expected: LogPosition,
        batch: &mut LogBatch,
        sync: AppendSync,
        commands: &mut Vec<LogCommand>,
    ) -> Result<LogPosition, AppendError> {
        if self.state != LogState::Serving {
            return Err(AppendError::Ended);
        }
        if expected != self.last() {
            return Err(AppendError::NotLast(self.last()));
        }
        let appended = self.put(batch, Some(sync), commands);
        self.drive(commands);
        appended
    }

    /// A ticket whose batch is durable, or written where its sync may wait.
    pub fn take_answered(&mut self) -> Option<LogPosition> {
        self.window.take_answered().map(LogPosition::of_file)
    }

    /// Makes durable all that is there.
    pub fn sync(&mut self, commands: &mut Vec<LogCommand>) {
        self.window.want_sync();
        self.drive(commands);
    }

    /// The time, in ms that never go back.
    pub fn on_time(&mut self, now_ms: u64, commands: &mut Vec<LogCommand>) {
        self.now_ms = now_ms;
        let is_quiet = self.window.is_empty() && self.durable_at_ms + MARK_AFTER_MS <= now_ms;
        if self.state == LogState::Serving && is_quiet && self.window.marked() < self.last_filled {
            // Where it finds no room, the next segment's manifest carries the mark.
            let _ = self.put(&mut LogBatch::new(0), None, commands);
        }
        self.drive(commands);
    }

    /// When it has to be told the time, in ms of `on_time`; `None` where it has nothing to do then.
    pub fn due_ms(&self) -> Option<u64> {
        let is_marked = self.last_filled <= self.window.marked();
        let waits = self.state == LogState::Serving && self.window.is_empty() && !is_marked;
        waits.then_some(self.durable_at_ms + MARK_AFTER_MS)
    }

    /// A command is over.
    pub fn on_event(&mut self, event: LogEvent, commands: &mut Vec<LogCommand>) {
        self.under_way -= 1;
        match event {
            LogEvent::Zeroed { result: Ok(()) } => self.pool.on_made(),
            LogEvent::Zeroed { result: Err(_) } => self.pool.on_failed(self.now_ms),
            LogEvent::Written { result: Err(error), .. }
            | LogEvent::Flushed { result: Err(error) }
            | LogEvent::ManifestWritten { result: Err(error) } => self.fail(error),
            // After a failure a success means nothing: what stands before it may be missing.
            LogEvent::Written { .. }
            | LogEvent::Flushed { .. }
            | LogEvent::ManifestWritten { .. }
                if self.state == LogState::Failing => {}
            LogEvent::Written { sequence, result: Ok(()) } => {
                self.note_durable(|window| window.on_written(sequence));
            }
            LogEvent::Flushed { result: Ok(()) } => self.note_durable(Window::on_flushed),
            LogEvent::ManifestWritten { result: Ok(()) } => match self.manifest.on_written() {
                ManifestStep::Go(write) => self.emit(write.into(), commands),
                ManifestStep::Done(manifest) => self.on_manifest(&manifest),
            },
        }
        if self.state == LogState::Failing && self.under_way == 0 {
            self.state = LogState::Ended;
        }
        self.drive(commands);
    }

    /// Nobody will read batches before this one. Whoever says so has what they had, durable,
    /// somewhere else: their segments are used again, though not before a manifest names them in
    /// another life. A manifest without them is written, so that no start finds them again.
    pub fn let_go(&mut self, below: LogPosition, commands: &mut Vec<LogCommand>) {
        let below = below.sequence.min(self.window.durable() + 1);
        let gone = self.segments.let_go(below);
        self.names_too_many |= !gone.is_empty();
        self.pool.give_back(gone);
        self.drive(commands);
    }

    /// Takes no batch from here on, and is `Closed` when all is durable.
    pub fn close(&mut self, commands: &mut Vec<LogCommand>) {
        if self.state == LogState::Serving {
            self.state = LogState::Closing;
            self.window.want_sync();
        }
        self.drive(commands);
    }

    /// How many segments there are, where nobody reads batches before this one.
    pub fn segment_counts(&self, unread: LogPosition) -> SegmentCounts {
        let waiting = self.segments.count_below(unread.sequence);
        let used = self.segments.count() - waiting + usize::from(self.next.is_some());
        SegmentCounts { used, waiting, free: self.pool.spares_count() }
    }

    /// How to read batches behind `after`, which may be the default: durable ones only, within
    /// a number of bytes, but at least one.
    pub fn read_plan(
        &self,
        after: LogPosition,
        bytes_max: usize,
    ) -> Result<ReadPlan, ReadPlanError> {
        let from = after.sequence + 1;
        if from < self.segments.first() {
            return Err(ReadPlanError::Gone);
        }
        let pages_max = u32::try_from(bytes_max / PAGE_BYTES).unwrap_or(u32::MAX / 2);
        let plan = self.segments.plan(from, self.window.durable(), pages_max);
        plan.ok_or(ReadPlanError::NotYet)
    }

    fn put(
        &mut self,
        batch: &mut LogBatch,
        answer: Option<AppendSync>,
        commands: &mut Vec<LogCommand>,
    ) -> Result<LogPosition, AppendError> {
        let pages = pages_of(batch.sealed_bytes());
        assert!(
            batch.sealed_bytes() <= self.options.batch_bytes_max as usize,
            "a batch is made with the bound of its log"
        );
        if self.options.undurable_pages_max < self.window.pages() + pages {
            self.window.want_sync();
            return Err(AppendError::Busy);
        }
        if DEPTH <= self.window.writes() {
            return Err(AppendError::Busy);
        }
        self.make_room(pages)?;
        let (position, mark) = (LogPosition::of_file(self.last + 1), self.window.durable());
        let page = self.segments.add(pages);
        let segment = self.segments.active();
        let (id, life) = (segment.id(), segment.life());
        let is_filled = 0 < batch.record_count();
        let sealed = batch.seal(position, self.last_seal);
        self.last_seal = sealed.seal();
        let sequence = position.sequence;
        let buffer = into_pages(sealed.bytes(), sequence, mark, life, page);
        self.last = sequence;
        if is_filled {
            self.last_filled = sequence;
        }
        let mode = self.window.mode(answer);
        self.window.push(WindowEntry { sequence, segment: id, pages, mark, mode, answer });
        let command = LogCommand::Write { segment: id, page, pages: buffer, mode, sequence };
        self.emit(command, commands);
        Ok(position)
    }

    /// Goes on in the next segment where this one has no room.
    fn make_room(&mut self, pages: u32) -> Result<(), AppendError> {
        if self.segments.active().end_page() + pages <= self.options.segment_pages {
            return Ok(());
        }
        match self.next {
            Some((id, life, true)) => {
                self.segments.begin(LogSegment::new(id, life, self.last + 1, self.last_seal));
                self.next = None;
                Ok(())
            }
            Some((_, _, false)) => Err(AppendError::Busy),
            None if self.pool.may_get_more(self.now_ms) => Err(AppendError::Busy),
            None => Err(AppendError::Full),
        }
    }

    /// Begins whatever can begin now.
    fn drive(&mut self, commands: &mut Vec<LogCommand>) {
        match self.state {
            LogState::Serving | LogState::Closing => {}
            LogState::Closed | LogState::Failing | LogState::Ended => return,
        }
        // Half of what may be under way has no sync: the other half is for meanwhile.
        if self.options.undurable_pages_max / 2 < self.window.pages() {
            self.window.want_sync();
        }
        if let Some(segment) = self.window.flush() {
            self.emit(LogCommand::Flush { segment }, commands);
        }
        if self.state == LogState::Serving {
            self.prepare(commands);
        }
        let is_over = self.state == LogState::Closing && self.window.is_empty();
        if (is_over || self.names_too_many) && self.manifest.is_idle() {
            self.write_manifest(commands);
        }
    }

    /// Makes spare segments, and names the next one before this one is full.
    fn prepare(&mut self, commands: &mut Vec<LogCommand>) {
        if let Some(segment) = self.pool.make(self.now_ms) {
            let pages = self.options.segment_pages;
            self.emit(LogCommand::Zero { segment, pages }, commands);
        }
        let is_half_full = self.options.segment_pages / 2 <= self.segments.active().end_page();
        if self.next.is_none()
            && is_half_full
            && self.manifest.is_idle()
            && let Some(id) = self.pool.take()
        {
            self.next = Some((id, Life(self.lives.draw()), false));
            self.write_manifest(commands);
        }
    }

    fn write_manifest(&mut self, commands: &mut Vec<LogCommand>) {
        let durable = self.window.durable();
        let mut segments = self.segments.entries(durable);
        segments.extend(self.next.map(|(id, life, _)| SegmentEntry {
            id,
            life,
            first: None,
            last: None,
            previous: 0,
        }));
        self.names_too_many = false;
        let segment_pages = self.options.segment_pages;
        let write =
            self.manifest.begin(Manifest { generation: 0, segment_pages, durable, segments });
        self.emit(write.into(), commands);
    }

    /// A manifest is durable in both places.
    fn on_manifest(&mut self, manifest: &Manifest) {
        // One change at a time: it was begun with this segment.
        if let Some((_, _, is_named)) = &mut self.next {
            *is_named = true;
        }
        self.window.on_marked(manifest.durable);
        if self.state == LogState::Closing && manifest.durable == self.last {
            self.state = LogState::Closed;
        }
    }

    fn note_durable(&mut self, change: impl FnOnce(&mut Window)) {
        let before = self.window.durable();
        change(&mut self.window);
        if before < self.window.durable() {
            self.durable_at_ms = self.now_ms;
        }
    }

    /// Whatever it was: a full disk under a segment that has its blocks is as unexpected as any.
    fn fail(&mut self, _error: LogDiskError) {
        self.state = LogState::Failing;
    }

    fn emit(&mut self, command: LogCommand, commands: &mut Vec<LogCommand>) {
        self.under_way += 1;
        commands.push(command);
    }
}
