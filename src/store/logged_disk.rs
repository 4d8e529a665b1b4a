//! A disk that is a log and what follows it: a commit is one write to the log, and what reads it
//! later gets it without a sync of its own.
//!
//! What is answered is durable in the log. Behind it, changes of records are applied to the
//! follower, those of many commits together and each key once, and messages become sorted runs
//! (`layered_messages`). What the two do not have yet is in memory, in layers: ones that grow, and
//! ones that are being applied or sorted; readers see these first. Nothing is given away before it
//! is durable, so nobody has what the log may lose. Once a checkpoint is made and runs are durable
//! the log lets go what stands before both.
//!
//! At a start, and after every failure, the log is opened again, and everything behind what the
//! two have is read from it. Changes are absolute, so applying one twice is as good as once.
//!
//! Invariants: applied <= durable <= last, and sorted <= durable; the log keeps everything behind
//! the last checkpoint and the last run; what is not applied or not sorted has a bound, at which
//! commits wait.
//!
//! Deliberately absent: files and threads (`LogPort`, `LogFollower`, `MessageRuns`).

mod activity_counts;
mod backlog;
mod clock;
mod layers;
mod port;
mod progress;
mod reading;
mod setup;
mod sorting;
mod start;
mod void;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::log::{
    self, AppendError, AppendSync, LogBatch, LogCommand, LogCore, LogEvent, LogPosition, LogState,
};

use super::changes_log::encode;
use super::disk::{
    Batch, Capacity, Disk, DiskError, KeyRange, ScanCallback, StoreKeyspace, SyncMode,
};
use super::follower::{FollowerEvent, LogFollower};
use super::layered_messages::{ChannelFloor, LayeredMessages, note_removed};
use super::log_activity::LogActivity;
use super::message_runs::{MessageRuns, RunsEvent};
use super::messages::ReadOrder;
use activity_counts::ActivityCounts;
use clock::LogClock;
use layers::{ActiveLayer, FrozenLayer};
use progress::{Overload, Progress};
use reading::record;

pub use port::LogPort;
pub use setup::{LogSetup, LoggedLimits, LoggedOpenError};

/// Changes are applied when there are so many bytes of them, or when the oldest is so old, in ms.
const APPLY_BYTES: usize = 1 << 20;
const APPLY_AFTER_MS: u64 = 100;

/// How long after the last changes that are applied a checkpoint is made, in ms.
const CHECKPOINT_AFTER_MS: u64 = 10_000;

/// A log, and what follows it.
#[derive(Debug)]
pub struct LoggedDisk<P, F, R> {
    port: P,
    follower: F,
    messages: LayeredMessages<R>,
    setup: LogSetup,
    /// `None` while opening it failed.
    log: Option<LogCore>,
    /// Changes of records that the follower was not given yet.
    active: ActiveLayer,
    /// Those that it applies.
    frozen: Option<FrozenLayer>,
    progress: Progress,
    counts: ActivityCounts,
    /// Behind which key it is to be looked which removed channels need not be known any more.
    void_behind: Option<Vec<u8>>,
    overload: Overload,
    /// A failure since the last `reopen`.
    failure: Option<DiskError>,
    /// Memory of batches that is used again.
    spare: Vec<Vec<u8>>,
    commands: Vec<LogCommand>,
    clock: LogClock,
}

impl<P: LogPort, F: LogFollower, R: MessageRuns> LoggedDisk<P, F, R> {
    /// Opens the log, and reads what follower and runs do not have.
    pub fn open(port: P, follower: F, runs: R, setup: LogSetup) -> Result<Self, LoggedOpenError> {
        let mut disk = LoggedDisk::at_rest(port, follower, runs, setup);
        disk.begin()?;
        Ok(disk)
    }

    /// What follower and runs have, and behind that the groups of a log that does not open, each
    /// with the sequence at which it ends. It is only looked at.
    pub fn over(
        port: P,
        follower: F,
        runs: R,
        setup: LogSetup,
        groups: Vec<(u64, Batch)>,
    ) -> Result<Self, DiskError> {
        let mut disk = LoggedDisk::at_rest(port, follower, runs, setup);
        disk.messages.begin()?;
        disk.progress.applied = disk.follower.applied()?.unwrap_or(0);
        for (last, mut changes) in groups {
            disk.absorb(&mut changes, last, log::PAGE_BYTES)?;
        }
        Ok(disk)
    }

    fn at_rest(port: P, follower: F, runs: R, setup: LogSetup) -> Self {
        LoggedDisk {
            port,
            follower,
            messages: LayeredMessages::new(runs),
            setup,
            log: None,
            active: ActiveLayer::default(),
            frozen: None,
            progress: Progress::default(),
            counts: ActivityCounts::default(),
            void_behind: None,
            overload: Overload::None,
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

    /// Which log it is.
    pub fn log_id(&self) -> u64 {
        self.setup.log_id
    }

    /// Takes changes that the log has.
    fn absorb(
        &mut self,
        changes: &mut Batch,
        last: u64,
        log_bytes: usize,
    ) -> Result<(), DiskError> {
        note_removed(changes, last);
        if self.progress.applied < last {
            if self.active.log_bytes == 0 {
                self.active.since_ms = self.clock.ms();
            }
            let records = StoreKeyspace::ALL.into_iter().filter(|s| *s != StoreKeyspace::Messages);
            records.for_each(|space| self.active.changes.absorb(space, changes));
            self.active.last = last;
            self.active.log_bytes += log_bytes;
        }
        let LoggedDisk { messages: layers, active, frozen, follower, .. } = self;
        let absorbed = layers.absorb(changes, last, log_bytes, &|room| {
            let layers = [Some(&active.changes), frozen.as_ref().map(|frozen| &*frozen.changes)];
            ChannelFloor::read(room, |space, key| record(layers, follower.disk(), (space, key)))
        });
        absorbed.map_err(|failure| self.fail(failure))?;
        changes.clear();
        self.apply_if_due();
        self.sort_if_due();
        Ok(())
    }

    /// Whether all up to a sequence is durable.
    fn is_durable(&self, sequence: u64) -> bool {
        sequence <= self.log.as_ref().map_or(0, |log| log.tail().sequence)
    }

    /// Whether there are changes that could be applied: all of them are durable, and none are
    /// being applied.
    fn may_apply(&self) -> bool {
        let is_there = 0 < self.active.log_bytes;
        self.frozen.is_none() && is_there && self.is_durable(self.active.last)
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
        while let Some(event) = self.messages.poll() {
            self.on_runs(event);
        }
        let max = self.setup.limits.unsorted_bytes_max;
        self.overload = self.overload.next(self.messages.unsorted_log_bytes(), max);
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
                self.let_go();
            }
            FollowerEvent::Failed(failure) => {
                self.fail(failure);
            }
        }
    }

    fn on_runs(&mut self, event: RunsEvent) {
        match event {
            RunsEvent::Sorted(_) => {
                self.let_go();
                self.sort_if_due();
                self.void_behind = Some(Vec::new());
            }
            RunsEvent::Merged | RunsEvent::Reclaimed => self.void_behind = Some(Vec::new()),
            RunsEvent::Failed(failure) => {
                self.fail(failure);
            }
        }
    }

    /// The log lets go what both have, durable.
    fn let_go(&mut self) {
        let had = self.progress.checkpoint.min(self.messages.sorted());
        if let Some(log) = &mut self.log {
            log.let_go(LogPosition::of_file(had + 1), &mut self.commands);
            self.run_commands();
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

impl<P: LogPort, F: LogFollower, R: MessageRuns> Disk for LoggedDisk<P, F, R> {
    fn get(&self, space: StoreKeyspace, key: &[u8]) -> Result<Option<Vec<u8>>, DiskError> {
        if space == StoreKeyspace::Messages {
            return self.messages.get(key, &|room| self.floor_of(room));
        }
        self.record(space, key)
    }

    fn scan(
        &self,
        space: StoreKeyspace,
        range: &KeyRange,
        order: ReadOrder,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        if space == StoreKeyspace::Messages {
            return self.messages.scan(range, order, &|room| self.floor_of(room), on_entry);
        }
        self.scan_records((space, range), order, on_entry)
    }

    fn commit(&mut self, batch: &mut Batch, durable: SyncMode) -> Result<(), DiskError> {
        self.poll();
        self.wait_for_readers()?;
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
        self.absorb(batch, last.sequence, log_bytes)
    }

    fn takes_messages(&self) -> bool {
        self.overload == Overload::None
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        self.works()?;
        let log = self.log.as_mut().expect("it works");
        log.sync(&mut self.commands);
        self.run_commands();
        self.wait_until(|log| log.tail() == log.last())?;
        self.apply_if_due();
        self.sort_if_due();
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
        self.messages.runs_mut().reopen()?;
        self.begin().map_err(|error| {
            tracing::error!("the store could not be read again: {error}");
            self.failure = Some(DiskError::Broken);
            DiskError::from(error)
        })
    }

    fn reclaim(&mut self) -> Result<(), DiskError> {
        self.settle()?;
        self.sort_all()?;
        self.reclaim_runs()?;
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
        self.sort_if_due();
        self.forget_void()?;
        let is_due = self.progress.applied_at_ms + CHECKPOINT_AFTER_MS <= self.clock.ms();
        if self.progress.wants_checkpoint() && is_due {
            self.make_checkpoint();
        }
        self.works()
    }

    fn tend_due_ms(&self) -> Option<u64> {
        let mark_ms = self.log.as_ref().and_then(LogCore::due_ms);
        let checkpoint_ms = self.progress.applied_at_ms + CHECKPOINT_AFTER_MS;
        let checkpoint_ms = self.progress.wants_checkpoint().then_some(checkpoint_ms);
        let apply_ms = self.may_apply().then_some(self.active.since_ms + APPLY_AFTER_MS);
        let due_ms = mark_ms.into_iter().chain(checkpoint_ms).chain(apply_ms).min()?;
        Some(due_ms.saturating_sub(self.clock.ms()))
    }

    fn close(&mut self) -> Result<(), DiskError> {
        self.settle()?;
        self.sort_all()?;
        let log = self.log.as_mut().expect("it works");
        log.close(&mut self.commands);
        self.run_commands();
        self.wait_until(|log| log.state() == LogState::Closed)
    }

    fn capacity(&self) -> Result<Capacity, DiskError> {
        let Capacity { used_bytes, free_bytes } = self.follower.disk().capacity()?;
        Ok(Capacity { used_bytes: used_bytes + self.messages.runs().used_bytes(), free_bytes })
    }

    fn boot_id(&self) -> u64 {
        self.follower.disk().boot_id()
    }

    fn take_log_activity(&mut self) -> LogActivity {
        let runs = self.messages.runs_mut().take_activity();
        self.counts.take(self.port.take_writes(), self.backlog(), runs)
    }
}
