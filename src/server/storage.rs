//! The storage thread: takes what shards ask of the store, lets the engine do a
//! turn of it, and brings the answers back.
//!
//! Each shard has a lane to the store and one back. What has no room in a lane stays with
//! its sender; nobody waits. What the engine has no room for stays in its lane, and holds
//! up that shard only. The thread sleeps when there is nothing to do, and is woken like any
//! sleeping thread, without a descriptor.
//!
//! Invariants: requests of one shard reach the engine in their order, and each
//! answer reaches the shard that asked; no request waits when the store is closed.
//!
//! Deliberately absent: what requests mean.

use std::io;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use tokio::sync::watch;

use super::store_notices::StoreNotices;
use super::wakers::Wakers;
use crate::admin::StoreState;
use crate::base::ShardId;
use crate::base::limits::{STORE_LANE_BATCH_ITEMS_MAX, STORE_LANE_BATCHES_MAX, TURN_REPLIES_MAX};
use crate::clock::{now, unix_ms};
use crate::lane::{self, LaneLimits, LaneSender, Mailbox};
use crate::metrics::{
    Cells, Counter, DeadLetterReason, FlightCause, FlightRecord, Gauge, Histogram, LogSegmentState,
    MetricsWriter, RunState, StoreFailure,
};
use crate::store::{
    DeadLetterTotals, Disk, Engine, LogActivity, LogWrites, OpenError, SegmentCounts, StoreCounts,
    StoreError, StoreReply, StoreRequest, TurnResult,
};

/// The bound of one lane to the store, or back.
const STORE_LANE: LaneLimits =
    LaneLimits { batches_max: STORE_LANE_BATCHES_MAX, batch_items_max: STORE_LANE_BATCH_ITEMS_MAX };

/// The longest sleep when the engine has nothing to do by itself, in ms.
const SLEEP_MS_MAX: u64 = 1_000;

/// A core's ends of its lanes.
pub(super) struct StoreEnds {
    requests: LaneSender<StoreRequest>,
    replies: Mailbox<StoreReply>,
    store: Thread,
}

/// The way back to one core.
struct Answers {
    lane: LaneSender<StoreReply>,
    /// Those for which there was no room.
    waiting: Vec<StoreReply>,
}

/// What the thread takes from, and where it brings things.
struct StoreLanes {
    requests: Mailbox<StoreRequest>,
    /// By core.
    answers: Vec<Answers>,
    /// For the presence feed, where there is one.
    notices: Option<StoreNotices>,
}

/// The thread.
pub(super) struct Storage {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

/// How the thread tells how it is.
pub(super) struct StoreStatus {
    /// Its numbers.
    pub cells: Arc<Cells>,
    /// For `/ready`.
    pub state: watch::Sender<StoreState>,
}

/// How the thread gets its engine.
pub(super) type OpenEngine<D> = Box<dyn FnOnce() -> Result<Engine<D>, OpenError> + Send>;

/// Starts the thread. It opens the store when it gets the wakers: descriptor
/// tables have split then, and none of the copies holds a file of the store open
/// that is deleted later.
pub(super) fn start<D: Disk + 'static>(
    open: OpenEngine<D>,
    store_status: StoreStatus,
    shards_count: u16,
    (wakers, notices): (Receiver<Wakers>, Option<StoreNotices>),
) -> io::Result<(Storage, Vec<StoreEnds>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let (senders, requests) = lane::mailbox(shards_count, STORE_LANE);
    let (answers, mailboxes): (Vec<_>, Vec<_>) = (0..shards_count)
        .map(|_| {
            let (mut lanes, mailbox) = lane::mailbox(1, STORE_LANE);
            (Answers { lane: lanes.remove(0), waiting: Vec::new() }, mailbox)
        })
        .unzip();
    let thread = thread::Builder::new().name("store".to_owned()).spawn({
        let stop = Arc::clone(&stop);
        move || {
            // No wakers come when the server does not start.
            let Ok(wakers) = wakers.recv() else { return };
            match open() {
                Ok(engine) => {
                    let lanes = StoreLanes { requests, answers, notices };
                    serve(engine, lanes, &wakers, &store_status, &stop)
                }
                // It was good a moment ago, and messages wait for it.
                Err(fault) => {
                    tracing::error!("{fault}");
                    process::exit(fault.exit_code().into());
                }
            }
        }
    })?;
    let ends = |(requests, replies)| {
        let store = thread.thread().clone();
        StoreEnds { requests, replies, store }
    };
    let all = senders.into_iter().zip(mailboxes).map(ends).collect();
    Ok((Storage { thread, stop }, all))
}

impl StoreEnds {
    /// Gives the store what there is room for. Returns how many.
    pub(super) fn post(&mut self, requests: &mut Vec<StoreRequest>) -> usize {
        let posted_count = self.requests.post(requests);
        if 0 < posted_count {
            self.store.unpark();
        }
        posted_count
    }

    /// Takes a bounded number of answers. Returns how many.
    pub(super) fn take(&mut self, on_reply: &mut dyn FnMut(StoreReply)) -> usize {
        let StoreEnds { replies, store, .. } = self;
        replies.take(TURN_REPLIES_MAX, &mut |_, reply| on_reply(reply), &mut |_| store.unpark())
    }
}

impl Storage {
    /// Ends the thread when it has done what it was given.
    pub(super) fn stop(self) {
        self.stop.store(true, SeqCst);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the storage thread panicked");
        }
    }
}

fn serve<D: Disk>(
    mut engine: Engine<D>,
    mut lanes: StoreLanes,
    wakers: &Wakers,
    store_status: &StoreStatus,
    stop: &AtomicBool,
) {
    let metrics = store_status.cells.claim();
    let StoreLanes { requests, answers, notices } = &mut lanes;
    let mut published = StoreCounts::default();
    let mut replies = Vec::new();
    let mut doubted_ms = None;
    if let Some(notices) = notices {
        notices.tell_recent(engine.take_recent_direct());
    }
    loop {
        let is_last = stop.load(SeqCst);
        let taken_count = take_requests(requests, &mut engine, wakers);
        let began = now();
        let turned = engine.turn(unix_ms(), &mut replies);
        if published.commits != engine.counts().commits {
            metrics.observe(Histogram::StoreTurn, began.elapsed().as_micros() as u64);
        }
        if let Some(notices) = notices {
            notices.tell(&engine);
        }
        published = store_status.publish(&metrics, &engine, published);
        tell_doubt(&mut doubted_ms, engine.doubted_jump_ms());
        publish_log(&metrics, &engine.disk_mut().take_log_activity());
        for (ShardId(shard), reply) in replies.drain(..) {
            answers[usize::from(shard)].waiting.push(reply);
        }
        for (back, waker) in answers.iter_mut().zip(wakers.iter()) {
            if 0 < back.lane.post(&mut back.waiting) {
                waker.notify();
            }
        }
        if taken_count != 0 || turned == TurnResult::Busy {
            continue;
        }
        if is_last {
            assert_eq!(requests.waiting_count(), 0, "an engine that is idle has room");
            // The next start finds there that nothing was lost.
            if engine.close().is_err() {
                tracing::error!("the store could not be closed well");
            }
            return;
        }
        let wake = engine.next_wake_unix_ms();
        let sleep_ms = wake.map_or(SLEEP_MS_MAX, |at| at.saturating_sub(unix_ms()));
        thread::park_timeout(Duration::from_millis(sleep_ms.min(SLEEP_MS_MAX)));
    }
}

/// Gives the engine what it has room for, and wakes the cores whose lane has room again.
/// Returns how many requests it was.
fn take_requests<D: Disk>(
    requests: &mut Mailbox<StoreRequest>,
    engine: &mut Engine<D>,
    wakers: &Wakers,
) -> usize {
    let mut taken_count = 0;
    for from in 0..wakers.len() as u16 {
        taken_count += requests.take_from(from, usize::MAX, &mut |request| {
            if !engine.has_room_for(&request.op) {
                return Some(request);
            }
            engine.take(ShardId(from), request);
            None
        });
    }
    requests.name_unblocked(&mut |from| wakers[usize::from(from)].notify());
    taken_count
}

/// Says when the clock begins to be doubted, and when it is believed again.
fn tell_doubt(told: &mut Option<u64>, jump_ms: Option<u64>) {
    match (&told, jump_ms) {
        (None, Some(ms)) => tracing::warn!(
            "the clock is {} days ahead of the store's: nothing expires by it before it has been \
             so for an hour",
            ms / 86_400_000
        ),
        (Some(_), None) => tracing::info!("the store's clock is that of the system again"),
        (None, None) | (Some(_), Some(_)) => {}
    }
    *told = jump_ms;
}

/// Shows what the store's log did.
fn publish_log(metrics: &MetricsWriter, activity: &LogActivity) {
    let LogActivity { writes, failures, damages, checkpoints, backlog, runs } = activity;
    let LogWrites { batches, bytes, syncs } = writes;
    metrics.add(Counter::StoreLogBatches, *batches);
    metrics.add(Counter::StoreLogBytes, *bytes);
    metrics.add(Counter::StoreLogFailures, *failures);
    metrics.add(Counter::StoreLogDamages, *damages);
    metrics.add(Counter::StoreRunMovedBytes, runs.moved_bytes);
    metrics.add(Counter::StoreRunFailures, runs.failures);
    metrics.set(Gauge::StoreRunBytes(RunState::Unmerged), runs.unmerged_bytes);
    metrics.set(Gauge::StoreRunBytes(RunState::Merged), runs.merged_bytes);
    for took in syncs {
        metrics.observe(Histogram::StoreLogSync, took.as_micros() as u64);
    }
    for took in checkpoints {
        metrics.observe(Histogram::StoreLogCheckpoint, took.as_micros() as u64);
    }
    let SegmentCounts { used, waiting, free } = backlog.segments;
    for (gauge, value) in [
        (Gauge::StoreLogSegments(LogSegmentState::Used), used as u64),
        (Gauge::StoreLogSegments(LogSegmentState::Waiting), waiting as u64),
        (Gauge::StoreLogSegments(LogSegmentState::Free), free as u64),
        (Gauge::StoreLogUnappliedBytes, backlog.unapplied_bytes),
        (Gauge::StoreLogUnappliedLimitBytes, backlog.unapplied_bytes_max),
        (Gauge::StoreLogUnappliedAge, backlog.unapplied_age_ms),
        (Gauge::StoreLogLayersBytes, backlog.layers_bytes),
        (Gauge::StoreLogUnsortedBytes, backlog.unsorted_bytes),
        (Gauge::StoreLogUnsortedLimitBytes, backlog.unsorted_bytes_max),
        (Gauge::StoreLogSortingAge, backlog.sorting_ms),
    ] {
        metrics.set(gauge, value);
    }
}

impl StoreStatus {
    /// Counts what was done since `published`. Returns what is told now.
    fn publish<D: Disk>(
        &self,
        metrics: &MetricsWriter,
        engine: &Engine<D>,
        published: StoreCounts,
    ) -> StoreCounts {
        let state = match engine.takes_messages() {
            Ok(()) => StoreState::Good,
            Err(StoreError::Full) => StoreState::Full,
            Err(
                StoreError::Broken
                | StoreError::Stale
                | StoreError::Damaged
                | StoreError::Abandoned
                | StoreError::Crowded
                | StoreError::Overloaded,
            ) => StoreState::Broken,
        };
        self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
        let capacity = engine.capacity();
        metrics.set(Gauge::StoreUsedBytes, capacity.used_bytes);
        metrics.set(Gauge::StoreFreeBytes, capacity.free_bytes.min(i64::MAX as u64));
        let DeadLetterTotals { count, oldest_unix_ms } = engine.dead_letters();
        metrics.set(Gauge::DeadLetterMessages, count);
        let age_ms = oldest_unix_ms.map_or(0, |oldest| unix_ms().saturating_sub(oldest));
        metrics.set(Gauge::DeadLetterOldestAge, age_ms);
        let counts = engine.counts();
        for (counter, now, before) in [
            (Counter::StoreMessages, counts.appended, published.appended),
            (Counter::StoreMessageBytes, counts.appended_bytes, published.appended_bytes),
            (Counter::StoreCommits, counts.commits, published.commits),
            (Counter::StoreSyncs, counts.syncs, published.syncs),
            (Counter::StoreRefused(StoreFailure::Full), counts.full, published.full),
            (Counter::StoreRefused(StoreFailure::Stale), counts.stale, published.stale),
            (Counter::StoreRefused(StoreFailure::Broken), counts.broken, published.broken),
            (Counter::StoreRefused(StoreFailure::Damaged), counts.damaged, published.damaged),
            (
                Counter::StoreRefused(StoreFailure::Overloaded),
                counts.overloaded,
                published.overloaded,
            ),
            (Counter::StoreReopened, counts.reopened, published.reopened),
            (Counter::StoreExpired, counts.expired, published.expired),
            (
                Counter::DeadLetters(DeadLetterReason::Tries),
                counts.dead_tried,
                published.dead_tried,
            ),
            (
                Counter::DeadLetters(DeadLetterReason::Expired),
                counts.dead_expired,
                published.dead_expired,
            ),
        ] {
            metrics.add(counter, now.saturating_sub(before));
        }
        for (failure, now, before) in [
            (StoreFailure::Full, counts.full, published.full),
            (StoreFailure::Stale, counts.stale, published.stale),
            (StoreFailure::Broken, counts.broken, published.broken),
            (StoreFailure::Damaged, counts.damaged, published.damaged),
            (StoreFailure::Overloaded, counts.overloaded, published.overloaded),
        ] {
            // One of a turn says it for all.
            if before < now {
                metrics.note(&FlightRecord::new(unix_ms(), FlightCause::StoreFailure(failure)));
            }
        }
        counts
    }
}
