//! The storage thread: takes what shards ask of the store, lets the engine do a
//! turn of it, and brings the answers back.
//!
//! Each shard has a lane to the store and one back. A full lane keeps what it has
//! no room for with the sender; nobody waits. The thread sleeps when there is
//! nothing to do, and is woken like any sleeping thread, without a descriptor.
//!
//! Invariant: requests of one shard reach the engine in their order, and each
//! answer reaches the shard that asked.
//!
//! Deliberately absent: what requests mean.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::mpsc::Receiver;
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rtrb::{Consumer, Producer, PushError, RingBuffer};
use tokio::sync::watch;

use crate::admin::StoreState;
use crate::base::ShardId;
use crate::metrics::{
    Cause, Cells, Counter, DeadLetterReason, Flight, Gauge, Histogram, Scribe, StoreFailure,
};
use crate::ring::Doorbell;
use crate::store::{Counts, DeadLetters, Disk, Engine, Failure, OpenFault, Reply, Request, Turned};

/// Bags that wait in one lane.
const LANE_BAGS_MAX: usize = 8;

/// The longest sleep when the engine has nothing to do by itself, in ms.
const SLEEP_MS_MAX: u64 = 1_000;

/// The sleep when a shard has not taken its answers yet, in ms.
const FULL_LANE_MS: u64 = 1;

/// A shard's ends of its lanes.
pub(super) struct StoreLane {
    requests: Producer<Vec<Request>>,
    replies: Consumer<Vec<Reply>>,
    store: Thread,
}

/// The store's ends of the lanes of one shard.
struct Client {
    requests: Consumer<Vec<Request>>,
    /// Taken from the lane, and not yet by the engine: what it has no places for. A
    /// shard bounds what it asks for, so these have an end.
    taken: VecDeque<Request>,
    replies: Producer<Vec<Reply>>,
    /// Answers for which there was no room.
    waiting: Vec<Reply>,
}

/// The thread.
pub(super) struct Storage {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

/// What wakes shards, by shard; comes when they exist.
pub(super) type Doorbells = Arc<[Doorbell]>;

/// How the thread tells how it is.
pub(super) struct Voice {
    /// Its numbers.
    pub cells: Arc<Cells>,
    /// For `/ready`.
    pub state: watch::Sender<StoreState>,
}

/// How the thread gets its engine.
pub(super) type Open<D> = Box<dyn FnOnce() -> Result<Engine<D>, OpenFault> + Send>;

/// Starts the thread. It opens the store when it gets the doorbells: descriptor
/// tables have split then, and none of the copies holds a file of the store open
/// that is deleted later.
pub(super) fn start<D: Disk + 'static>(
    open: Open<D>,
    voice: Voice,
    shards_count: u16,
    doorbells: Receiver<Doorbells>,
) -> io::Result<(Storage, Vec<StoreLane>)> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    let mut ends = Vec::new();
    for _ in 0..shards_count {
        let (to_store, requests) = RingBuffer::new(LANE_BAGS_MAX);
        let (replies, from_store) = RingBuffer::new(LANE_BAGS_MAX);
        clients.push(Client { requests, taken: VecDeque::new(), replies, waiting: Vec::new() });
        ends.push((to_store, from_store));
    }
    let thread = thread::Builder::new().name("store".to_owned()).spawn({
        let stop = Arc::clone(&stop);
        move || {
            // No doorbells come when the server does not start.
            let Ok(doorbells) = doorbells.recv() else { return };
            match open() {
                Ok(engine) => serve(engine, &mut clients, &doorbells, &voice, &stop),
                // It was good a moment ago, and messages wait for it.
                Err(fault) => {
                    tracing::error!("{fault}");
                    process::exit(fault.exit_code().into());
                }
            }
        }
    })?;
    let lane = |(requests, replies)| {
        let store = thread.thread().clone();
        StoreLane { requests, replies, store }
    };
    let lanes = ends.into_iter().map(lane).collect();
    Ok((Storage { thread, stop }, lanes))
}

impl StoreLane {
    /// Gives all that waits to the store, if there is room. Says how many.
    pub(super) fn post(&mut self, requests: &mut Vec<Request>) -> usize {
        if requests.is_empty() {
            return 0;
        }
        match self.requests.push(mem::take(requests)) {
            Ok(()) => {
                self.store.unpark();
                // The count is only a hint that something moved.
                1
            }
            Err(PushError::Full(bag)) => {
                *requests = bag;
                0
            }
        }
    }

    /// Takes one bag of answers. Says how many.
    pub(super) fn take(&mut self, on_reply: &mut dyn FnMut(Reply)) -> usize {
        let Ok(bag) = self.replies.pop() else { return 0 };
        let taken = bag.len();
        bag.into_iter().for_each(on_reply);
        taken
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
    clients: &mut [Client],
    doorbells: &Doorbells,
    voice: &Voice,
    stop: &AtomicBool,
) {
    let scribe = voice.cells.claim();
    let mut told = Counts::default();
    let mut replies = Vec::new();
    loop {
        let is_last = stop.load(SeqCst);
        let mut taken = 0;
        for ((index, client), doorbell) in clients.iter_mut().enumerate().zip(doorbells.iter()) {
            taken += client.give(ShardId(index as u16), &mut engine, doorbell);
        }
        let began = now();
        let turned = engine.turn(unix_ms(), &mut replies);
        if told.commits != engine.counts().commits {
            scribe.observe(Histogram::StoreTurn, began.elapsed().as_micros() as u64);
        }
        told = voice.tell(&scribe, &engine, told);
        for (ShardId(shard), reply) in replies.drain(..) {
            clients[usize::from(shard)].waiting.push(reply);
        }
        let mut is_waiting = false;
        for (client, doorbell) in clients.iter_mut().zip(doorbells.iter()) {
            if client.waiting.is_empty() {
                continue;
            }
            match client.replies.push(mem::take(&mut client.waiting)) {
                Ok(()) => doorbell.ring(),
                Err(PushError::Full(bag)) => {
                    client.waiting = bag;
                    is_waiting = true;
                }
            }
        }
        if taken != 0 || turned == Turned::Busy {
            continue;
        }
        if is_last {
            // Says to the next life that nothing was lost.
            if engine.close().is_err() {
                tracing::error!("the store could not be closed well");
            }
            return;
        }
        let sleep_ms = if is_waiting {
            FULL_LANE_MS
        } else {
            let wake = engine.next_wake_unix_ms();
            wake.map_or(SLEEP_MS_MAX, |at| at.saturating_sub(unix_ms()).min(SLEEP_MS_MAX))
        };
        thread::park_timeout(Duration::from_millis(sleep_ms));
    }
}

impl Voice {
    /// Counts what was done since `told`. Returns what is told now.
    fn tell<D: Disk>(&self, scribe: &Scribe, engine: &Engine<D>, told: Counts) -> Counts {
        let state = match engine.takes_messages() {
            Ok(()) => StoreState::Good,
            Err(Failure::Full) => StoreState::Full,
            Err(
                Failure::Broken
                | Failure::Stale
                | Failure::Damaged
                | Failure::Abandoned
                | Failure::Crowded,
            ) => StoreState::Broken,
        };
        self.state.send_if_modified(|old| std::mem::replace(old, state) != state);
        let capacity = engine.capacity();
        scribe.set(Gauge::StoreUsedBytes, capacity.used_bytes);
        scribe.set(Gauge::StoreFreeBytes, capacity.free_bytes.min(i64::MAX as u64));
        let DeadLetters { count, oldest_unix_ms } = engine.dead_letters();
        scribe.set(Gauge::DeadLetterMessages, count);
        let age_ms = oldest_unix_ms.map_or(0, |oldest| unix_ms().saturating_sub(oldest));
        scribe.set(Gauge::DeadLetterOldestAge, age_ms);
        let counts = engine.counts();
        for (counter, now, before) in [
            (Counter::StoreMessages, counts.appended, told.appended),
            (Counter::StoreMessageBytes, counts.appended_bytes, told.appended_bytes),
            (Counter::StoreCommits, counts.commits, told.commits),
            (Counter::StoreSyncs, counts.syncs, told.syncs),
            (Counter::StoreRefused(StoreFailure::Full), counts.full, told.full),
            (Counter::StoreRefused(StoreFailure::Stale), counts.stale, told.stale),
            (Counter::StoreRefused(StoreFailure::Broken), counts.broken, told.broken),
            (Counter::StoreRefused(StoreFailure::Damaged), counts.damaged, told.damaged),
            (Counter::StoreReopened, counts.reopened, told.reopened),
            (Counter::StoreExpired, counts.expired, told.expired),
            (Counter::DeadLetters(DeadLetterReason::Tries), counts.dead_tried, told.dead_tried),
            (
                Counter::DeadLetters(DeadLetterReason::Expired),
                counts.dead_expired,
                told.dead_expired,
            ),
        ] {
            scribe.add(counter, now.saturating_sub(before));
        }
        for (failure, now, before) in [
            (StoreFailure::Full, counts.full, told.full),
            (StoreFailure::Stale, counts.stale, told.stale),
            (StoreFailure::Broken, counts.broken, told.broken),
            (StoreFailure::Damaged, counts.damaged, told.damaged),
        ] {
            // One of a turn says it for all.
            if before < now {
                scribe.note(&Flight::new(unix_ms(), Cause::StoreFailure(failure)));
            }
        }
        counts
    }
}

impl Client {
    /// Gives the engine what it has room for. Says how many.
    fn give<D: Disk>(
        &mut self,
        from: ShardId,
        engine: &mut Engine<D>,
        doorbell: &Doorbell,
    ) -> usize {
        let mut given = 0;
        loop {
            while let Some(request) =
                self.taken.pop_front_if(|request| engine.has_room_for(&request.job))
            {
                engine.take(from, request);
                given += 1;
            }
            if !self.taken.is_empty() {
                return given;
            }
            let was_full = self.requests.slots() == LANE_BAGS_MAX;
            let Ok(bag) = self.requests.pop() else { return given };
            self.taken = bag.into();
            if was_full {
                doorbell.ring();
            }
        }
    }
}

/// The one clock that is read here for lengths.
#[allow(clippy::disallowed_methods)]
fn now() -> Instant {
    Instant::now()
}

/// The clock that messages carry.
#[allow(clippy::disallowed_methods)]
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
