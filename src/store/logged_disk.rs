//! A disk that is a log and what follows it: a commit is one write to the log, and what reads it
//! later gets it without a sync of its own.
//!
//! What is answered is durable in the log. Behind it, changes are applied to the follower, those
//! of many commits together and each key once. What it does not have yet is in memory, in two
//! layers: the one that grows, and one that is being applied; readers see these first. Nothing is
//! given to the follower before it is durable, so it never has what the log may lose. Once it has
//! made a checkpoint the log lets go what stands before it.
//!
//! At a start, and after every failure, the log is opened again, and everything behind what the
//! follower has is read from it. Changes are absolute, so applying one twice is as good as once.
//!
//! Invariants: applied <= durable <= last; the log keeps everything behind the last checkpoint;
//! what is not applied has a bound, at which commits wait for the follower.
//!
//! Deliberately absent: files and threads (`LogPort`, `LogFollower`), and what keys mean.

mod activity_counts;
mod clock;
mod layers;
mod port;
mod setup;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::log::{
    self, AppendError, AppendSync, LogBatch, LogCommand, LogCore, LogDisk, LogEvent, LogOpenError,
    LogPosition, LogState, PageBuffer, ReadPlanError, open, open_behind,
};

use super::changes_log::{ChangesError, GroupReader, encode};
use super::disk::{
    Batch, Capacity, Disk, DiskError, KeyChange, KeyRange, ScanCallback, StoreKeyspace, SyncMode,
    scan_changed,
};
use super::follower::{FollowerEvent, LogFollower};
use super::log_activity::{LogActivity, LogBacklog};
use super::messages::ReadOrder;
use activity_counts::ActivityCounts;
use clock::LogClock;
use layers::{ActiveLayer, FrozenLayer};

pub use port::LogPort;
pub use setup::{LogSetup, LoggedLimits, LoggedOpenError};

/// Bytes that are read at a time when groups are read again.
const READ_BYTES: usize = 1 << 20;

/// Changes are applied when there are so many bytes of them, or when the oldest is so old, in ms.
const APPLY_BYTES: usize = 1 << 20;
const APPLY_AFTER_MS: u64 = 100;

/// How long after the last changes that are applied a checkpoint is made, in ms.
const CHECKPOINT_AFTER_MS: u64 = 10_000;

/// A log, and what follows it.
#[derive(Debug)]
pub struct LoggedDisk<P, F> {
    port: P,
    follower: F,
    setup: LogSetup,
    /// `None` while opening it failed.
    log: Option<LogCore>,
    /// Changes that the follower was not given yet.
    active: ActiveLayer,
    /// Those that it applies.
    frozen: Option<FrozenLayer>,
    progress: Progress,
    counts: ActivityCounts,
    /// A failure since the last `reopen`.
    failure: Option<DiskError>,
    /// Memory of batches that is used again.
    spare: Vec<Vec<u8>>,
    commands: Vec<LogCommand>,
    clock: LogClock,
}

/// How far the follower is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    applied: u64,
    checkpoint: u64,
    /// Bytes of the log that are applied since the last checkpoint was begun.
    applied_bytes: usize,
    /// Whether one is under way.
    makes_checkpoint: bool,
    applied_at_ms: u64,
}

impl<P: LogPort, F: LogFollower> LoggedDisk<P, F> {
    /// Opens the log, and reads what the follower does not have.
    pub fn open(port: P, follower: F, setup: LogSetup) -> Result<Self, LoggedOpenError> {
        let mut disk = LoggedDisk::over(port, follower, setup, Batch::default());
        disk.begin()?;
        Ok(disk)
    }

    /// What a follower has, and what goes over it of a log that does not open. It is only
    /// looked at.
    pub fn over(port: P, follower: F, setup: LogSetup, changes: Batch) -> Self {
        LoggedDisk {
            port,
            follower,
            setup,
            log: None,
            active: ActiveLayer { changes, ..ActiveLayer::default() },
            frozen: None,
            progress: Progress::default(),
            counts: ActivityCounts::default(),
            failure: None,
            spare: Vec::new(),
            commands: Vec::new(),
            clock: LogClock::default(),
        }
    }

    /// Where the log lies.
    pub fn port(&self) -> &P {
        &self.port
    }

    /// What follows the log.
    pub fn follower(&self) -> &F {
        &self.follower
    }

    /// The same, for what is written beside the log.
    pub(super) fn follower_mut(&mut self) -> &mut F {
        &mut self.follower
    }

    /// Which log it is.
    pub fn log_id(&self) -> u64 {
        self.setup.log_id
    }

    /// The sequence of the log's last batch; 0 while it is not open.
    pub fn last_sequence(&self) -> u64 {
        self.log.as_ref().map_or(0, |log| log.last().sequence)
    }

    /// Opens the log and reads what is behind the follower. Nothing is under way.
    fn begin(&mut self) -> Result<(), LoggedOpenError> {
        self.log = None;
        self.active = ActiveLayer::default();
        self.frozen = None;
        self.commands.clear();
        let lives = self.port.lives().map_err(LoggedOpenError::Disk)?;
        let known = self.follower.applied().map_err(LoggedOpenError::Disk)?;
        let log = match open(self.port.disk(), self.setup.options, lives) {
            Err(damage @ LogOpenError::Damaged { .. }) => {
                self.open_behind_damage(damage, known.unwrap_or(0))?
            }
            log => log.map_err(LoggedOpenError::Log)?,
        };
        let (first, last) = (log.first().sequence, log.last().sequence);
        let applied = known.unwrap_or(first - 1);
        if last < applied {
            return Err(LoggedOpenError::LogTooShort(last, applied));
        }
        if applied + 1 < first {
            return Err(LoggedOpenError::FollowerTooShort(first, applied));
        }
        self.progress = Progress { applied, checkpoint: first - 1, ..Progress::default() };
        self.log = Some(log);
        self.failure = None;
        // What the follower had of it may be in a cache only.
        self.make_checkpoint();
        let log_id = self.setup.log_id;
        match known {
            Some(applied) => self.read_behind(applied, GroupReader::new(log_id)),
            None => self.read_behind(first - 1, GroupReader::within(log_id)),
        }
    }

    /// Opens a log of which something is damaged, where that has no batch that the follower lacks.
    fn open_behind_damage(
        &mut self,
        damage: LogOpenError,
        applied: u64,
    ) -> Result<LogCore, LoggedOpenError> {
        // What it has may be in a cache only, and the log forgets it.
        self.follower.sync().map_err(LoggedOpenError::Disk)?;
        let lives = self.port.lives().map_err(LoggedOpenError::Disk)?;
        let log = open_behind(self.port.disk(), self.setup.options, lives, applied);
        let log = log.map_err(LoggedOpenError::Log)?;
        tracing::warn!("the store's log: {damage}; its database has that, and nothing is lost");
        self.counts.note_damage();
        Ok(log)
    }

    /// Reads everything behind a sequence, and gives it to the follower.
    fn read_behind(
        &mut self,
        mut after: u64,
        mut groups: GroupReader,
    ) -> Result<(), LoggedOpenError> {
        loop {
            let log = self.log.as_ref().expect("it is open");
            let plan = match log.read_plan(LogPosition::of_file(after), READ_BYTES) {
                Ok(plan) => plan,
                Err(ReadPlanError::NotYet) => return Ok(()),
                Err(ReadPlanError::Gone | ReadPlanError::Damaged) => {
                    return Err(LoggedOpenError::Changes(ChangesError::Damaged));
                }
            };
            let mut pages = PageBuffer::zeroed(plan.pages());
            let read = self.port.disk().read(plan.segment(), plan.page(), pages.bytes_mut());
            read.map_err(|_| LoggedOpenError::Disk(DiskError::Damaged))?;
            let batches = plan.batches(pages.bytes());
            for sealed in batches.map_err(|_| LoggedOpenError::Disk(DiskError::Damaged))? {
                after += 1;
                let Some(group) = groups.next(sealed).map_err(LoggedOpenError::Changes)? else {
                    continue;
                };
                let mut changes = group.changes().map_err(LoggedOpenError::Changes)?;
                self.wait_for_follower().map_err(LoggedOpenError::Disk)?;
                self.absorb(&mut changes, group.last, group.disk_bytes());
            }
        }
    }

    /// Takes changes that the log has.
    fn absorb(&mut self, changes: &mut Batch, last: u64, log_bytes: usize) {
        if self.active.changes.is_empty() {
            self.active.since_ms = self.clock.ms();
        }
        self.active.changes.absorb(changes);
        self.active.last = last;
        self.active.log_bytes += log_bytes;
        self.apply_if_due();
    }

    /// Whether there are changes that could be applied: all of them are durable, and none are
    /// being applied.
    fn may_apply(&self) -> bool {
        let durable = self.log.as_ref().map_or(0, |log| log.tail().sequence);
        let is_durable = self.active.last <= durable;
        self.frozen.is_none() && !self.active.changes.is_empty() && is_durable
    }

    fn apply_if_due(&mut self) {
        let is_old = self.active.since_ms + APPLY_AFTER_MS <= self.clock.ms();
        if self.may_apply() && (is_old || APPLY_BYTES <= self.active.changes.bytes()) {
            self.apply();
        }
    }

    fn apply(&mut self) {
        let ActiveLayer { changes, last, log_bytes, since_ms } = std::mem::take(&mut self.active);
        let changes = Arc::new(changes);
        self.follower.apply(Arc::clone(&changes), last);
        self.frozen = Some(FrozenLayer { changes, log_bytes, since_ms });
    }

    fn make_checkpoint(&mut self) {
        self.progress.makes_checkpoint = true;
        self.progress.applied_bytes = 0;
        self.follower.checkpoint();
    }

    /// Waits until what is not applied has room for another commit.
    fn wait_for_follower(&mut self) -> Result<(), DiskError> {
        while self.setup.limits.unapplied_bytes_max < self.unapplied_bytes() {
            self.works()?;
            if self.frozen.is_none() {
                self.sync()?;
            }
            if self.may_apply() {
                self.apply();
            }
            // One that has nothing under way applies nothing: a store that is looked at.
            let Some(event) = self.follower.wait() else { break };
            self.on_follower(event);
        }
        self.works()
    }

    fn unapplied_bytes(&self) -> usize {
        let frozen = self.frozen.as_ref().map_or(0, |frozen| frozen.log_bytes);
        self.active.log_bytes + frozen
    }

    fn works(&self) -> Result<(), DiskError> {
        match self.failure {
            Some(failure) => Err(failure),
            None if self.log.is_none() => Err(DiskError::Broken),
            None => Ok(()),
        }
    }

    fn fail(&mut self, failure: DiskError) -> DiskError {
        *self.failure.get_or_insert(failure)
    }

    /// Takes note of what is over.
    fn poll(&mut self) {
        while let Some(event) = self.port.poll() {
            self.on_log(event);
        }
        while let Some(event) = self.follower.poll() {
            self.on_follower(event);
        }
    }

    fn on_log(&mut self, event: LogEvent) {
        let Some(log) = &mut self.log else { return };
        let has_failed = |log: &LogCore| matches!(log.state(), LogState::Failing | LogState::Ended);
        let had_failed = has_failed(log);
        log.on_event(event, &mut self.commands);
        if has_failed(log) {
            if !had_failed {
                self.counts.note_failure();
            }
            self.failure.get_or_insert(DiskError::Broken);
        }
        self.run_commands();
    }

    fn run_commands(&mut self) {
        for command in self.commands.drain(..) {
            self.port.begin(command);
        }
    }

    fn on_follower(&mut self, event: FollowerEvent) {
        match event {
            FollowerEvent::Applied(sequence) => {
                if let Some(FrozenLayer { changes, log_bytes, .. }) = self.frozen.take() {
                    self.progress.applied_bytes += log_bytes;
                    self.follower.dispose(changes);
                }
                self.progress.applied = sequence;
                self.progress.applied_at_ms = self.clock.ms();
                self.apply_if_due();
                let is_due = self.setup.limits.checkpoint_bytes <= self.progress.applied_bytes;
                if is_due && !self.progress.makes_checkpoint {
                    self.make_checkpoint();
                }
            }
            FollowerEvent::CheckpointMade(sequence, took) => {
                self.counts.note_checkpoint(took);
                self.progress.makes_checkpoint = false;
                self.progress.checkpoint = sequence.max(self.progress.checkpoint);
                if let Some(log) = &mut self.log {
                    let below = LogPosition::of_file(self.progress.checkpoint + 1);
                    log.let_go(below, &mut self.commands);
                    self.run_commands();
                }
            }
            FollowerEvent::Failed(failure) => {
                self.fail(failure);
            }
        }
    }

    /// Appends a batch behind all others, as soon as the log takes it.
    fn append(&mut self, batch: &mut LogBatch, sync: AppendSync) -> Result<LogPosition, DiskError> {
        loop {
            let Some(log) = &mut self.log else { return Err(DiskError::Broken) };
            let appended = log.append(log.last(), batch, sync, &mut self.commands);
            self.run_commands();
            match appended {
                Ok(position) => return Ok(position),
                Err(AppendError::Full) => return Err(self.fail(DiskError::Full)),
                Err(AppendError::Ended | AppendError::NotLast(_)) => {
                    return Err(self.fail(DiskError::Broken));
                }
                Err(AppendError::Busy) => match self.port.wait() {
                    Some(event) => self.on_log(event),
                    // It waits for a segment, and none is being made.
                    None => return Err(self.fail(DiskError::Full)),
                },
            }
        }
    }

    /// Waits for an answer of the log.
    fn wait_until(
        &mut self,
        mut is_over: impl FnMut(&mut LogCore) -> bool,
    ) -> Result<(), DiskError> {
        loop {
            self.works()?;
            let log = self.log.as_mut().expect("it works");
            if is_over(log) {
                return Ok(());
            }
            match self.port.wait() {
                Some(event) => self.on_log(event),
                None => return Err(self.fail(DiskError::Broken)),
            }
        }
    }

    /// Waits until the follower has everything, durable.
    fn settle(&mut self) -> Result<(), DiskError> {
        self.sync()?;
        while self.progress.makes_checkpoint || self.frozen.is_some() {
            self.wait_for_one()?;
        }
        if self.may_apply() {
            self.apply();
        }
        self.make_checkpoint();
        while self.progress.makes_checkpoint {
            self.wait_for_one()?;
        }
        self.works()
    }

    fn wait_for_one(&mut self) -> Result<(), DiskError> {
        match self.follower.wait() {
            Some(event) => self.on_follower(event),
            // A store that is looked at.
            None => {
                self.progress.makes_checkpoint = false;
                self.frozen = None;
            }
        }
        self.works()
    }
}

/// Buffers of batches that are kept.
const SPARE_BATCHES: usize = 16;

impl<P: LogPort, F: LogFollower> Disk for LoggedDisk<P, F> {
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        let frozen = self.frozen.as_ref().map(|frozen| &*frozen.changes);
        for layer in [Some(&self.active.changes), frozen].into_iter().flatten() {
            match layer.change_of(space, key) {
                KeyChange::Put(value) => return Ok(Some(value.to_vec())),
                KeyChange::Remove => return Ok(None),
                KeyChange::None => {}
            }
        }
        self.follower.disk().get(space, key)
    }

    fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        let applied = &mut |on_entry: &mut ScanCallback<'_>| {
            self.follower.disk().scan(space, range, order, on_entry)
        };
        let mut below = |on_entry: &mut ScanCallback<'_>| match &self.frozen {
            Some(frozen) => scan_changed(&frozen.changes, (space, range), order, on_entry, applied),
            None => applied(on_entry),
        };
        scan_changed(&self.active.changes, (space, range), order, on_entry, &mut below)
    }

    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError> {
        self.poll();
        self.wait_for_follower()?;
        if batch.is_empty() {
            return Ok(());
        }
        let sync = match durable {
            SyncMode::Now => AppendSync::Now,
            SyncMode::Later => AppendSync::Later,
        };
        let bytes_max = self.setup.options.batch_bytes_max;
        let spare = &mut self.spare;
        let mut new_batch = || LogBatch::reusing(bytes_max, spare.pop().unwrap_or_default());
        let mut parts = encode(batch, self.setup.log_id, &mut new_batch);
        let mut last = LogPosition::default();
        for part in &mut parts {
            last = self.append(part, sync)?;
        }
        self.wait_until(|log| {
            while let Some(answered) = log.take_answered() {
                if answered == last {
                    return true;
                }
            }
            false
        })?;
        let log_bytes = parts.iter().map(|part| log::disk_bytes(part.sealed_bytes())).sum();
        self.spare.extend(parts.into_iter().map(LogBatch::into_bytes));
        self.spare.truncate(SPARE_BATCHES);
        self.absorb(batch, last.sequence, log_bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.works()?;
        let log = self.log.as_mut().expect("it works");
        log.sync(&mut self.commands);
        self.run_commands();
        self.wait_until(|log| log.tail() == log.last())?;
        self.apply_if_due();
        Ok(())
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        // What is under way ends first: whoever reads must not see half of it.
        while let Some(event) = self.port.wait() {
            self.on_log(event);
        }
        self.failure = Some(DiskError::Broken);
        self.log = None;
        self.port.restart()?;
        self.follower.reopen()?;
        self.begin().map_err(|error| {
            tracing::error!("the store could not be read again: {error}");
            self.failure = Some(DiskError::Broken);
            DiskError::from(error)
        })
    }

    fn reclaim(&mut self) -> Result<(), DiskError> {
        self.settle()?;
        self.follower.reclaim().map_err(|failure| self.fail(failure))
    }

    fn tend(&mut self, now_unix_ms: u64) -> Result<(), DiskError> {
        self.clock.advance(now_unix_ms);
        self.poll();
        self.works()?;
        let log = self.log.as_mut().expect("it works");
        log.on_time(self.clock.ms(), &mut self.commands);
        self.run_commands();
        self.apply_if_due();
        let is_due = self.progress.applied_at_ms + CHECKPOINT_AFTER_MS <= self.clock.ms();
        if self.wants_checkpoint() && is_due {
            self.make_checkpoint();
        }
        self.works()
    }

    fn tend_due_ms(&self) -> Option<u64> {
        let mark_ms = self.log.as_ref().and_then(LogCore::due_ms);
        let checkpoint_ms = self.progress.applied_at_ms + CHECKPOINT_AFTER_MS;
        let checkpoint_ms = self.wants_checkpoint().then_some(checkpoint_ms);
        let apply_ms = self.may_apply().then_some(self.active.since_ms + APPLY_AFTER_MS);
        let due_ms = mark_ms.into_iter().chain(checkpoint_ms).chain(apply_ms).min()?;
        Some(due_ms.saturating_sub(self.clock.ms()))
    }

    fn close(&mut self) -> Result<(), DiskError> {
        self.settle()?;
        let log = self.log.as_mut().expect("it works");
        log.close(&mut self.commands);
        self.run_commands();
        self.wait_until(|log| log.state() == LogState::Closed)
    }

    fn capacity(&self) -> Result<Capacity, DiskError> {
        self.follower.disk().capacity()
    }

    fn boot_id(&self) -> u64 {
        self.follower.disk().boot_id()
    }

    fn take_log_activity(&mut self) -> LogActivity {
        self.counts.take(self.port.take_writes(), self.backlog())
    }
}

impl<P: LogPort, F: LogFollower> LoggedDisk<P, F> {
    /// How far the follower is behind.
    fn backlog(&self) -> LogBacklog {
        let frozen = self.frozen.as_ref();
        let active_ms = (!self.active.changes.is_empty()).then_some(self.active.since_ms);
        let since_ms = frozen.map(|frozen| frozen.since_ms).or(active_ms);
        let frozen_bytes = frozen.map_or(0, |frozen| frozen.changes.bytes());
        let unread = LogPosition::of_file(self.progress.applied + 1);
        let segments = self.log.as_ref().map(|log| log.segment_counts(unread));
        LogBacklog {
            unapplied_bytes: self.unapplied_bytes() as u64,
            unapplied_bytes_max: self.setup.limits.unapplied_bytes_max as u64,
            unapplied_age_ms: since_ms.map_or(0, |since| self.clock.ms().saturating_sub(since)),
            layers_bytes: (self.active.changes.bytes() + frozen_bytes) as u64,
            segments: segments.unwrap_or_default(),
        }
    }

    fn wants_checkpoint(&self) -> bool {
        self.progress.checkpoint < self.progress.applied && !self.progress.makes_checkpoint
    }
}
