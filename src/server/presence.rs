//! The thread of the presence feed: it takes what cores say, lets the keeper do a pass, and hands
//! out what a backend is told.
//!
//! It passes at most every 20 ms, so that what comes together is synced together; a fact that
//! comes alone waits for nothing. The thread sleeps when there is nothing to do, and is woken like
//! any sleeping thread, without a descriptor.
//!
//! Invariants: facts of one core reach the feed in their order; no core waits for this thread: what
//! has no room in its lane stays with it.
//!
//! Deliberately absent: what a pass does (`presence_keeper`), and HTTP (`presence_client`).

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::spawn_blocking;

use super::StartError;
use super::presence_client::{PresenceBackend, PresenceClient};
use super::presence_keeper::{FeedAsk, FeedKeeper, FeedLink};
use super::wakers::Wakers;
use crate::base::limits::{PRESENCE_BATCH_FACTS_MAX, PRESENCE_BATCHES_MAX};
use crate::base::{MonotonicMs, MonotonicUs, Timestamps};
use crate::clock::{now, unix_ms};
use crate::lane::{self, LaneLimits, LaneSender, Mailbox};
use crate::metrics::SharedMetricsWriter;
use crate::presence_feed::{FeedBatch, FeedOptions, PresenceFact};
use crate::store::TellingTime;

/// The bound of the lane of one core.
const PRESENCE_LANE: LaneLimits =
    LaneLimits { batches_max: PRESENCE_BATCHES_MAX, batch_items_max: PRESENCE_BATCH_FACTS_MAX };

/// Facts that one pass takes.
const PASS_FACTS_MAX: usize = 16_384;

/// From the beginning of one pass to that of the next.
const PASS_MS: u64 = 20;

/// From when a message is stored until a pass has synced that it found nobody, beside graces, in ms.
const TELLING_MS: u64 = 10_000;

/// The longest sleep when there is nothing to do, in ms.
const SLEEP_MS_MAX: u64 = 1_000;

/// Where it is kept who is there, and who is told.
#[derive(Debug)]
pub struct PresenceSetup {
    /// A directory for this server alone.
    pub dir: PathBuf,
    /// Graces and bounds.
    pub options: FeedOptions,
    /// Who is told.
    pub backend: PresenceBackend,
}

impl PresenceSetup {
    /// How long telling of a direct message may take: its reader may come back meanwhile, and a
    /// pass and a core may be late.
    pub fn telling(&self) -> TellingTime {
        let FeedOptions { grace_ms, restart_grace_ms, .. } = self.options;
        let ms = grace_ms.saturating_add(TELLING_MS);
        TellingTime { ms, after_start_ms: ms.saturating_add(restart_grace_ms) }
    }
}

/// A core's end of its lane.
pub(super) struct PresenceSender {
    lane: LaneSender<PresenceFact>,
    thread: Thread,
    /// The feed wants to hear all that is there.
    wants_pass: Arc<AtomicBool>,
}

/// The thread.
pub(super) struct PresenceThread {
    thread: JoinHandle<()>,
    go: SyncSender<Wakers>,
    stop: Arc<AtomicBool>,
}

/// The thread, with the ends of others.
pub(super) struct StartedFeed {
    pub thread: PresenceThread,
    /// By core.
    pub senders: Vec<PresenceSender>,
    /// The storage thread's.
    pub store: PresenceSender,
    pub link: FeedLink,
}

/// Reads the log, and starts the thread and the task that tells the backend, where there is one.
/// Must be called within a tokio runtime.
pub(super) async fn start(
    setup: Option<PresenceSetup>,
    cores_count: u16,
    metrics: SharedMetricsWriter,
) -> Result<Option<StartedFeed>, StartError> {
    let Some(PresenceSetup { dir, options, backend }) = setup else { return Ok(None) };
    let client = PresenceClient::new(backend, metrics.clone()).map_err(StartError::Hooks)?;
    let open = move || FeedKeeper::open(&dir, options);
    let opened = spawn_blocking(open).await.expect("a panic there ends the process");
    let keeper = opened.map_err(StartError::Presence)?;
    let (sender, batches) = unbounded_channel();
    let out = FeedOutlet { batches: sender, metrics };
    let started = start_thread(keeper, cores_count, out).map_err(StartError::Storage)?;
    tokio::spawn(client.run(batches, started.link.clone()));
    Ok(Some(started))
}

/// The ends of a feed.
pub(super) struct FeedEnds {
    pub thread: Option<PresenceThread>,
    /// Those of cores, in their order.
    pub senders: std::vec::IntoIter<PresenceSender>,
    /// The storage thread's.
    pub store: Option<PresenceSender>,
}

/// The ends, where somebody is told.
pub(super) fn ends(feed: Option<StartedFeed>) -> FeedEnds {
    match feed {
        Some(StartedFeed { thread, senders, store, .. }) => {
            FeedEnds { thread: Some(thread), senders: senders.into_iter(), store: Some(store) }
        }
        None => FeedEnds { thread: None, senders: Vec::new().into_iter(), store: None },
    }
}

/// Starts the thread, which begins when it gets the wakers: cores listen then, and descriptor
/// tables have split.
fn start_thread(keeper: FeedKeeper, cores_count: u16, out: FeedOutlet) -> io::Result<StartedFeed> {
    let (stop, wants_pass) = (Arc::new(AtomicBool::new(false)), passes(cores_count));
    let (lanes, facts) = lane::mailbox(cores_count, PRESENCE_LANE);
    let (mut store_lanes, given_up) = lane::mailbox(1, PRESENCE_LANE);
    let (asks, asked) = channel();
    let (go, wakers) = sync_channel::<Wakers>(1);
    let thread = thread::Builder::new().name("presence".to_owned()).spawn({
        let (stop, wants_pass) = (Arc::clone(&stop), wants_pass.clone());
        move || {
            // No wakers come when the server does not start.
            let Ok(wakers) = wakers.recv() else { return };
            let feed_thread =
                FeedThread { keeper, facts, given_up, asked, out, wants_pass, wakers };
            feed_thread.serve(&stop);
        }
    })?;
    let handle = thread.thread().clone();
    let sender = |(lane, wants_pass)| PresenceSender { lane, thread: handle.clone(), wants_pass };
    let store = sender((store_lanes.remove(0), Arc::default()));
    let senders = lanes.into_iter().zip(wants_pass).map(sender).collect();
    let link = FeedLink::new(asks, handle.clone());
    Ok(StartedFeed { thread: PresenceThread { thread, go, stop }, senders, store, link })
}

fn passes(cores_count: u16) -> Vec<Arc<AtomicBool>> {
    (0..cores_count).map(|_| Arc::default()).collect()
}

impl PresenceSender {
    /// Carries facts as far as the lane has room; the rest stays.
    pub fn post(&mut self, facts: &mut Vec<PresenceFact>) {
        if 0 < self.lane.post(facts) {
            self.thread.unpark();
        }
    }

    /// Whether the core is to say all that is there.
    pub fn take_pass_wish(&self) -> bool {
        self.wants_pass.load(Relaxed) && self.wants_pass.swap(false, Relaxed)
    }
}

impl PresenceThread {
    /// Cores listen from now on.
    pub fn begin(&self, wakers: Wakers) {
        // Its end is found out when it is stopped.
        let _ = self.go.send(wakers);
    }

    /// Ends the thread when all that cores have said is on the disk.
    pub fn stop(self) {
        self.stop.store(true, SeqCst);
        drop(self.go);
        self.thread.thread().unpark();
        if self.thread.join().is_err() {
            tracing::error!("the thread of the presence feed panicked");
        }
    }
}

/// Where what it decides goes, and what is measured.
struct FeedOutlet {
    batches: UnboundedSender<FeedBatch>,
    metrics: SharedMetricsWriter,
}

/// What the thread has.
struct FeedThread {
    keeper: FeedKeeper,
    facts: Mailbox<PresenceFact>,
    /// From the storage thread.
    given_up: Mailbox<PresenceFact>,
    asked: Receiver<FeedAsk>,
    out: FeedOutlet,
    /// By core.
    wants_pass: Vec<Arc<AtomicBool>>,
    wakers: Wakers,
}

impl FeedThread {
    fn serve(mut self, stop: &AtomicBool) {
        let began = now();
        self.keeper.begin(timestamps(began));
        loop {
            let is_last = stop.load(SeqCst);
            let at = timestamps(began);
            let taken_count = self.pass(at);
            if taken_count == PASS_FACTS_MAX {
                continue;
            }
            if is_last {
                return;
            }
            let next_ms = self.keeper.next_wake().map_or(u64::MAX, |wake| wake.ms_since(at.tick));
            thread::park_timeout(Duration::from_millis(next_ms.min(SLEEP_MS_MAX)));
            let passed_ms = timestamps(began).tick.ms_since(at.tick);
            thread::sleep(Duration::from_millis(PASS_MS.saturating_sub(passed_ms)));
        }
    }

    /// Returns how many facts it was.
    fn pass(&mut self, at: Timestamps) -> usize {
        let FeedThread { keeper, facts, given_up, asked, out, wants_pass, wakers } = self;
        let taken_count =
            facts.take(PASS_FACTS_MAX, &mut |_, fact| keeper.take(at, fact), &mut |core| {
                wakers[usize::from(core)].notify()
            });
        // The storage thread looks by itself whether there is room.
        given_up.take(PASS_FACTS_MAX, &mut |_, fact| keeper.take(at, fact), &mut |_| ());
        while let Ok(ask) = asked.try_recv() {
            keeper.ask(ask);
        }
        if let Some(batch) = keeper.end_pass(at) {
            // Nobody is told any more when the server ends.
            drop(out.batches.send(batch));
        }
        keeper.show(&out.metrics, at.unix_ms);
        if keeper.take_pass_wish() {
            wants_pass.iter().for_each(|wish| wish.store(true, Relaxed));
        }
        taken_count
    }
}

fn timestamps(began: Instant) -> Timestamps {
    let moment = began.elapsed();
    Timestamps {
        tick: MonotonicMs(moment.as_millis() as u64),
        unix_ms: unix_ms(),
        moment: MonotonicUs(moment.as_micros() as u64),
    }
}
