//! The thread that writes runs.
//!
//! It does a step, sleeps as long as its pace wants, and looks for orders. A failure of what the
//! log waits for ends it, after it has said so; a failed merge is tried again later.
//!
//! Deliberately absent: what a step is (`runs`).

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::super::disk::DiskError;
use super::super::fjall_disk::AppliedRecords;
use super::super::layered_messages::ChannelFloor;
use super::super::message_layer::MessageLayer;
use super::super::record;
use super::{RunSequence, disk_error};
use crate::base::RoomId;
use crate::clock::now;
use crate::runs::{
    BeginRunError, EntryKind, EntrySorter, KeptEntries, RunDiskError, RunEntry, RunSet, RunSetStep,
    RunStepError, RunStorage as _, RunView, SORTER_BYTES_MAX, SortBacklog, SortPace,
};
use crate::runs_disk::RunFiles;

/// How long merges wait after a failure, and where the database is not as far as runs are.
const MERGE_PAUSE: Duration = Duration::from_secs(10);

/// How often runs are looked through for ones of which little is kept.
const SURVEY_PAUSE: Duration = Duration::from_secs(3_600);

/// How often records are looked at again, for merges that wait for them.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The latest time that a run can have.
const UNKNOWN_UNIX_MS: u64 = (1 << 62) - 1;

/// What the thread says.
#[derive(Debug)]
pub enum SorterEvent {
    /// Other runs count.
    Changed(Arc<RunView>),
    /// A layer is sorted.
    Sorted(Arc<RunView>),
    /// What is gone takes little space.
    Reclaimed(Arc<RunView>),
    /// Something could not be done. The thread ends.
    Failed(DiskError),
}

#[derive(Debug)]
enum Order {
    Sort(Arc<MessageLayer>),
    Reclaim,
    Dispose(Arc<MessageLayer>),
}

/// What the thread did since somebody last asked.
#[derive(Debug, Default)]
struct SorterCounts {
    moved_bytes: AtomicU64,
    failures: AtomicU64,
}

/// The thread, as the store sees it.
#[derive(Debug)]
pub struct Sorter {
    counts: Arc<SorterCounts>,
    /// `None` when it is to end.
    orders: Option<Sender<Order>>,
    events: Receiver<SorterEvent>,
    thread: Option<JoinHandle<()>>,
    /// Orders whose end has not come in.
    under_way: usize,
}

impl Sorter {
    /// Begins a thread.
    pub fn start(set: RunSet, files: RunFiles, records: AppliedRecords) -> io::Result<Sorter> {
        let (orders, wanted) = channel();
        let (done, events) = channel();
        let counts = Arc::<SorterCounts>::default();
        let mut work = Work::new(set, files, records, done);
        work.counts = Arc::clone(&counts);
        let thread = thread::Builder::new()
            .name("store-sort".to_owned())
            .spawn(move || work.run(&wanted))?;
        Ok(Sorter { counts, orders: Some(orders), events, thread: Some(thread), under_way: 0 })
    }

    /// Bytes that it wrote, and read to merge them, and how often it failed, since this was asked
    /// last.
    pub fn take_counts(&self) -> (u64, u64) {
        let SorterCounts { moved_bytes, failures } = &*self.counts;
        (moved_bytes.swap(0, Relaxed), failures.swap(0, Relaxed))
    }

    /// Gives it a layer.
    pub fn sort(&mut self, layer: Arc<MessageLayer>) {
        self.order(Order::Sort(layer));
    }

    /// Lets it look for space that is to be given back.
    pub fn reclaim(&mut self) {
        self.order(Order::Reclaim);
    }

    fn order(&mut self, order: Order) {
        // One that ended has told why.
        if self.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok()) {
            self.under_way += 1;
        }
    }

    /// Gives it a layer to be freed.
    pub fn dispose(&mut self, layer: Arc<MessageLayer>) {
        if let Some(orders) = &self.orders {
            // One that ended frees nothing: the sender does.
            let _ = orders.send(Order::Dispose(layer));
        }
    }

    /// What it says, if anything.
    pub fn poll(&mut self) -> Option<SorterEvent> {
        let event = self.events.try_recv().ok()?;
        self.note(&event);
        Some(event)
    }

    /// The same, and waits for it where an order is under way.
    pub fn wait(&mut self) -> Option<SorterEvent> {
        if self.under_way == 0 {
            return self.poll();
        }
        let event = self.events.recv().ok()?;
        self.note(&event);
        Some(event)
    }

    fn note(&mut self, event: &SorterEvent) {
        match event {
            SorterEvent::Sorted(_) | SorterEvent::Reclaimed(_) => self.under_way -= 1,
            // It does nothing more.
            SorterEvent::Failed(_) => self.under_way = 0,
            SorterEvent::Changed(_) => {}
        }
    }
}

impl Drop for Sorter {
    fn drop(&mut self) {
        // Without a sender the thread ends at its next step.
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// What the thread does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another step.
    Step,
    /// It waits for an order, and looks again after a while.
    Pause(Duration),
    /// It ends.
    End,
}

/// What the thread has.
struct Work {
    set: RunSet,
    files: RunFiles,
    records: AppliedRecords,
    events: Sender<SorterEvent>,
    counts: Arc<SorterCounts>,
    /// A layer that is to be sorted, as soon as a run can be begun.
    waiting: Option<Arc<MessageLayer>>,
    /// Where the layer ends that is being sorted.
    sorting: Option<RunSequence>,
    /// The runs that were told.
    told: u64,
    /// Bytes of layers that are in no run yet.
    unsorted_bytes: u64,
    /// Whether somebody waits for space.
    reclaims: bool,
    /// When runs are looked through next.
    survey_at: Instant,
    pace: SortPace,
    /// When it began, for the pace.
    begun: Instant,
}

impl Work {
    fn new(
        set: RunSet,
        files: RunFiles,
        records: AppliedRecords,
        events: Sender<SorterEvent>,
    ) -> Work {
        let told = set.view().generation();
        let (waiting, sorting) = (None, None);
        let (pace, begun) = (SortPace::default(), now());
        let (unsorted_bytes, reclaims, survey_at) = (0, false, begun + SURVEY_PAUSE);
        Work {
            set,
            files,
            records,
            events,
            counts: Arc::default(),
            waiting,
            sorting,
            told,
            unsorted_bytes,
            reclaims,
            survey_at,
            pace,
            begun,
        }
    }

    fn run(mut self, orders: &Receiver<Order>) {
        let mut next = Next::Step;
        loop {
            let order = match next {
                Next::Step => orders.try_recv().map_err(|error| match error {
                    TryRecvError::Empty => RecvTimeoutError::Timeout,
                    TryRecvError::Disconnected => RecvTimeoutError::Disconnected,
                }),
                Next::Pause(pause) => orders.recv_timeout(pause),
                Next::End => return,
            };
            match order {
                Ok(Order::Sort(layer)) => {
                    self.unsorted_bytes = layer.bytes() as u64;
                    self.waiting = Some(layer);
                }
                Ok(Order::Reclaim) => {
                    self.reclaims = true;
                    self.set.survey();
                }
                Ok(Order::Dispose(layer)) => drop(layer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            next = self.step();
        }
    }

    fn step(&mut self) -> Next {
        if let Some(layer) = self.waiting.take() {
            match self.set.may_begin_run() {
                Ok(()) => self.begin(&layer),
                Err(BeginRunError::Busy | BeginRunError::TooMany) => self.waiting = Some(layer),
                Err(BeginRunError::Ended) => return self.fail(DiskError::Broken),
            }
        }
        if let Ok(applied) = self.records.applied() {
            self.set.set_known_up_to(RunSequence::of(applied).0);
        }
        let records = &self.records;
        let mut keep = |room| kept(records, room);
        let result = match self.set.step(&mut self.files, &mut keep) {
            Ok(RunSetStep::Do(command)) => {
                let result = self.files.run(&command);
                self.set.on_done(result);
                result.map_err(RunStepError::Disk)
            }
            Ok(RunSetStep::Again) => Ok(()),
            Ok(RunSetStep::Idle) => return self.idle(),
            Err(error) => Err(error),
        };
        match result {
            Ok(()) => match self.tell() {
                Next::Step => self.paced(),
                next @ (Next::Pause(_) | Next::End) => next,
            },
            Err(error) => self.on_error(error),
        }
    }

    fn begin(&mut self, layer: &MessageLayer) {
        let bytes_max = layer.bytes().min(SORTER_BYTES_MAX) as u32;
        let mut sorter = EntrySorter::new(bytes_max);
        let mut newest_unix_ms = 0;
        for (key, value) in layer.messages() {
            newest_unix_ms = newest_unix_ms.max(said_unix_ms(value));
            // Whether it replaces one is not known here.
            let entry = RunEntry { key, kind: EntryKind::Replacement, value };
            sorter.push(&entry).expect("a layer counts more for a message than a sorter");
        }
        let through = RunSequence::of(layer.last());
        self.set.begin_run(sorter, through.0, newest_unix_ms);
        self.sorting = Some(through);
    }

    /// The next step, when what was read and written has had its time.
    fn paced(&mut self) -> Next {
        let backlog = SortBacklog {
            unsorted_bytes: self.unsorted_bytes,
            unmerged_bytes: self.set.unmerged_bytes(),
        };
        let now_us = self.begun.elapsed().as_micros() as u64;
        let moved_bytes = self.set.take_moved_bytes();
        self.counts.moved_bytes.fetch_add(moved_bytes, Relaxed);
        match self.pace.wait_us(now_us, moved_bytes, backlog) {
            0 => Next::Step,
            wait_us => Next::Pause(Duration::from_micros(wait_us)),
        }
    }

    /// Nothing is to be done now.
    fn idle(&mut self) -> Next {
        if std::mem::take(&mut self.reclaims) {
            let view = Arc::clone(self.set.view());
            self.told = view.generation();
            return match self.events.send(SorterEvent::Reclaimed(view)) {
                Ok(()) => Next::Step,
                Err(_) => Next::End,
            };
        }
        let survey_in = self.survey_at.saturating_duration_since(now());
        if survey_in.is_zero() {
            self.survey_at = now() + SURVEY_PAUSE;
            self.set.survey();
            return Next::Step;
        }
        if self.waiting.is_some() {
            // There are too many runs, and none can be merged yet.
            return Next::Pause(LOOK_AGAIN);
        }
        match self.set.unmerged_bytes() {
            0 => Next::Pause(survey_in),
            _ => Next::Pause(LOOK_AGAIN),
        }
    }

    /// Says which runs count, if others do.
    fn tell(&mut self) -> Next {
        let view = Arc::clone(self.set.view());
        if view.generation() == self.told {
            return Next::Step;
        }
        self.told = view.generation();
        let is_sorted = self.sorting.is_some_and(|end| end.0 <= view.sorted());
        let event = match is_sorted {
            true => {
                self.sorting = None;
                self.unsorted_bytes = 0;
                SorterEvent::Sorted(view)
            }
            false => SorterEvent::Changed(view),
        };
        if let Ok(free_bytes) = self.files.free_bytes() {
            self.set.set_free_bytes(free_bytes);
        }
        match self.events.send(event) {
            Ok(()) => Next::Step,
            Err(_) => Next::End,
        }
    }

    fn on_error(&mut self, error: RunStepError) -> Next {
        tracing::warn!("writing the store's messages: {error}");
        self.counts.failures.fetch_add(1, Relaxed);
        let failure = match error {
            RunStepError::Disk(error) => disk_error(error),
            RunStepError::Damaged(_) => DiskError::Damaged,
            RunStepError::NotAsWritten(..) => DiskError::Broken,
        };
        if self.set.has_ended() || self.sorting.is_some() {
            return self.fail(failure);
        }
        if std::mem::take(&mut self.reclaims) {
            // It gave back what it could.
            let _ = self.events.send(SorterEvent::Reclaimed(Arc::clone(self.set.view())));
        }
        match failure {
            // Those are not merged any more.
            DiskError::Damaged => Next::Step,
            DiskError::Full | DiskError::Broken => Next::Pause(MERGE_PAUSE),
        }
    }

    fn fail(&mut self, failure: DiskError) -> Next {
        // Whoever does not want it is gone.
        let _ = self.events.send(SorterEvent::Failed(failure));
        Next::End
    }
}

/// When a message was said; at the end of all times where its record cannot be read, so that no
/// run with one expires.
pub fn said_unix_ms(value: &[u8]) -> u64 {
    let said = record::take_accounting(value).map_or(u64::MAX, |said| said.time_unix_ms);
    said.min(UNKNOWN_UNIX_MS)
}

/// What is kept of a room, as the database knows.
fn kept(records: &AppliedRecords, room: RoomId) -> Result<KeptEntries, RunDiskError> {
    let floor = ChannelFloor::read(room, |space, key| records.get(space, key));
    let floor = floor.map_err(|_| RunDiskError::Failed)?;
    Ok(match floor {
        Some(ChannelFloor { first, void_up_to: None }) => KeptEntries::from(first),
        Some(ChannelFloor { first, void_up_to: Some(void_up_to) }) => {
            KeptEntries::from(first).behind(RunSequence::of(void_up_to).0)
        }
        None => KeptEntries::NONE,
    })
}
