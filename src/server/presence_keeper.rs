//! The presence feed with its files: what one pass of its thread does.
//!
//! | the disk | what happens |
//! |---|---|
//! | takes what is written | events leave, and questions are answered, in the same pass |
//! | does not | events wait in the queue, and questions are answered with nothing |
//!
//! It is tried again after 0.1 s, then after twice as long each time, up to 10 s.
//!
//! Invariant: nothing leaves that is not synced; one batch is under way at a time.
//!
//! Deliberately absent: threads, lanes and HTTP.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::Thread;

use tokio::sync::oneshot;

use super::random::random;
use crate::base::{MonotonicMs, Timestamps};
use crate::metrics::{Counter, Gauge, SharedMetricsWriter};
use crate::presence_feed::{
    ChannelState, FeedBatch, FeedOptions, FeedPage, PresenceFact, PresenceFeed, UserState,
};
use crate::record_file::{RecordFileError, RecordFileKind, SegmentFiles};

const KIND: RecordFileKind = RecordFileKind {
    name: "presence",
    magic: b"rookery presence feed 1\n",
    growth_bytes: 0,
    owner: "server",
    content: "log of a presence feed",
    place: "presence_feed.dir",
    failure: "the presence feed cannot be kept in ",
};

/// After a write that failed the next is tried after so long at first, and at most, in ms.
const RETRY_MS_MIN: u64 = 100;
const RETRY_MS_MAX: u64 = 10_000;

/// What the thread is asked, or told, beside facts.
pub(super) enum FeedAsk {
    /// The backend has all up to this number.
    Acknowledged(u64),
    /// A page of the state.
    State(StateQuestion),
}

/// How others speak to the thread of the feed.
#[derive(Clone)]
pub(super) struct FeedLink {
    asks: Sender<FeedAsk>,
    thread: Thread,
}

impl FeedLink {
    /// Asks go there, and wake the thread.
    pub fn new(asks: Sender<FeedAsk>, thread: Thread) -> FeedLink {
        FeedLink { asks, thread }
    }

    /// Asks or tells the thread.
    pub fn ask(&self, ask: FeedAsk) {
        // A thread that has ended answers nobody.
        drop(self.asks.send(ask));
        self.thread.unpark();
    }
}

/// A question for a page.
pub(super) struct StateQuestion {
    pub tenant: Arc<str>,
    pub of: StateKind,
    /// Behind this name.
    pub after: Arc<str>,
    pub entries_max: usize,
    /// `None` where the disk fails.
    pub done: oneshot::Sender<Option<StatePage>>,
}

/// What a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StateKind {
    Users,
    Channels,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StatePage {
    Users(FeedPage<UserState>),
    Channels(FeedPage<ChannelState>),
}

/// See the module.
pub(super) struct FeedKeeper {
    feed: PresenceFeed,
    files: SegmentFiles,
    dir: PathBuf,
    disk: DiskStage,
    batch: BatchStage,
    questions: Vec<StateQuestion>,
    /// Passes in which a write failed, since the beginning.
    failed_count: u64,
    queue_bytes_max: usize,
    /// The number of the last event when the log was read.
    first_number: u64,
}

/// What is known of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DiskStage {
    /// It took what was written last.
    Good,
    /// It did not. It is tried again then, and after so long where that fails, in ms.
    Broken { again_at: MonotonicMs, wait_ms: u64 },
}

/// Whether the backend is being told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BatchStage {
    Idle,
    UnderWay,
}

impl FeedKeeper {
    /// Takes the directory, and reads the log in it.
    pub fn open(dir: &Path, options: FeedOptions) -> Result<FeedKeeper, RecordFileError> {
        let (files, segments) = SegmentFiles::open(dir, &KIND)?;
        let epoch = random().map_err(|error| files.system_error(error))?;
        let epoch = u64::from_ne_bytes(epoch);
        let (feed, damaged_bytes) = PresenceFeed::read(options, epoch, segments);
        if damaged_bytes != 0 {
            let copies = files.keep_damaged()?;
            tracing::error!(
                "{damaged_bytes} bytes of the presence feed in {} are damaged, so backends have to \
                 read the state; {} has it as it was",
                dir.display(),
                copies.display()
            );
        }
        let first_number = feed.counts().last_number;
        Ok(FeedKeeper {
            feed,
            files,
            dir: dir.to_owned(),
            disk: DiskStage::Good,
            batch: BatchStage::Idle,
            questions: Vec::new(),
            failed_count: 0,
            queue_bytes_max: options.queue_bytes_max,
            first_number,
        })
    }

    /// Cores listen from now on.
    pub fn begin(&mut self, now: Timestamps) {
        self.feed.begin(now);
    }

    /// Takes a fact.
    pub fn take(&mut self, now: Timestamps, fact: PresenceFact) {
        self.feed.take(now, fact);
    }

    /// Takes what it is asked.
    pub fn ask(&mut self, ask: FeedAsk) {
        match ask {
            FeedAsk::Acknowledged(number) => {
                self.batch = BatchStage::Idle;
                self.feed.on_acknowledged(number);
            }
            FeedAsk::State(question) => self.questions.push(question),
        }
    }

    /// Decides, writes and syncs, and answers. Returns what the backend is told next.
    pub fn end_pass(&mut self, now: Timestamps) -> Option<FeedBatch> {
        if let DiskStage::Broken { again_at, .. } = self.disk
            && again_at <= now.tick
        {
            self.feed.begin_again();
        }
        self.feed.tick(now);
        self.feed.advance();
        self.write(now);
        for segment in self.feed.take_unneeded() {
            if let Err(error) = self.files.remove(segment) {
                // The next start finds it, and removes it then.
                tracing::warn!("an old file in {} stays: {error}", self.dir.display());
            }
        }
        self.answer();
        let batch = match self.batch {
            BatchStage::Idle => self.feed.batch(),
            BatchStage::UnderWay => None,
        };
        if batch.is_some() {
            self.batch = BatchStage::UnderWay;
        }
        batch
    }

    fn write(&mut self, now: Timestamps) {
        let Some(write) = self.feed.take_write() else { return };
        let Err(error) = self.files.append(write.segment, &write.records) else {
            if self.disk != DiskStage::Good {
                tracing::info!("the presence feed can be written to {} again", self.dir.display());
            }
            self.disk = DiskStage::Good;
            return self.feed.on_synced();
        };
        self.feed.on_write_failed();
        self.failed_count += 1;
        let wait_ms = match self.disk {
            DiskStage::Good => {
                let dir = self.dir.display();
                tracing::error!("the presence feed cannot be written to {dir}: {error}");
                RETRY_MS_MIN
            }
            DiskStage::Broken { wait_ms, .. } => (2 * wait_ms).min(RETRY_MS_MAX),
        };
        self.disk = DiskStage::Broken { again_at: now.tick.plus_ms(wait_ms), wait_ms };
    }

    fn answer(&mut self) {
        for question in self.questions.drain(..) {
            let StateQuestion { tenant, of, after, entries_max, done } = question;
            let page = match of {
                StateKind::Users => {
                    self.feed.users_page(&tenant, &after, entries_max).map(StatePage::Users)
                }
                StateKind::Channels => {
                    self.feed.channels_page(&tenant, &after, entries_max).map(StatePage::Channels)
                }
            };
            // Whoever asked may be gone.
            drop(done.send(page));
        }
    }

    /// When the next pass is to be at the latest, if it matters.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        if self.feed.is_writing_state() && self.disk == DiskStage::Good {
            return Some(MonotonicMs(0));
        }
        let again = match self.disk {
            DiskStage::Good => None,
            DiskStage::Broken { again_at, .. } => Some(again_at),
        };
        again.into_iter().chain(self.feed.next_wake()).min()
    }

    /// Whether all cores are to say what is there.
    pub fn take_pass_wish(&mut self) -> bool {
        self.feed.take_pass_wish()
    }

    /// Shows what is measured.
    pub fn show(&self, metrics: &SharedMetricsWriter, unix_ms: u64) {
        let counts = self.feed.counts();
        let told_count = counts.last_number - self.first_number;
        metrics.set_total(Counter::PresenceEvents, told_count);
        metrics.set_total(Counter::PresenceLost, counts.lost);
        metrics.set_total(Counter::PresenceWriteFailures, self.failed_count);
        metrics.set_total(Counter::PresencePasses, counts.passes);
        metrics.set(Gauge::PresenceQueued, counts.queued as u64);
        metrics.set(Gauge::PresenceQueuedBytes, counts.queued_bytes as u64);
        metrics.set(Gauge::PresenceQueueLimitBytes, self.queue_bytes_max as u64);
        let oldest = counts.oldest_unix_ms;
        let age_ms = oldest.map_or(0, |oldest| unix_ms.saturating_sub(oldest));
        metrics.set(Gauge::PresenceOldestAge, age_ms);
        metrics.set(Gauge::PresenceUsers, counts.users as u64);
        metrics.set(Gauge::PresenceSubscriptions, counts.subscriptions as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{ConnId, ShardId};
    use crate::presence_feed::{PeerConn, UserKey};

    const OPTIONS: FeedOptions = FeedOptions {
        grace_ms: 100,
        restart_grace_ms: 1_000,
        queue_bytes_max: 1 << 20,
        batch_events_max: 8,
        subscriptions_max: 1_000,
        segment_bytes_min: 1 << 20,
    };

    fn at(ms: u64) -> Timestamps {
        Timestamps::at(MonotonicMs(ms), 1_000_000 + ms)
    }

    fn connected(name: &str, slot: u32) -> PresenceFact {
        let conn = PeerConn { shard: ShardId(0), conn: ConnId { slot, generation: 1 } };
        PresenceFact::Connected { user: UserKey::new("".into(), name.into(), conn), conn }
    }

    fn users(keeper: &mut FeedKeeper, now: Timestamps) -> Option<(u64, Vec<String>)> {
        let (done, mut answer) = oneshot::channel();
        let (of, entries_max) = (StateKind::Users, 10);
        let (tenant, after) = (Arc::default(), Arc::default());
        keeper.ask(FeedAsk::State(StateQuestion { tenant, of, after, entries_max, done }));
        keeper.end_pass(now);
        let Some(StatePage::Users(page)) = answer.try_recv().unwrap() else { return None };
        let names = page.entries.iter().map(|state| state.user.to_string());
        Some((page.number, names.collect()))
    }

    #[test]
    fn what_was_not_acknowledged_is_told_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut keeper = FeedKeeper::open(dir.path(), OPTIONS).unwrap();
        keeper.begin(at(0));
        keeper.take(at(1), connected("ann", 1));
        let batch = keeper.end_pass(at(1)).unwrap();
        assert_eq!((batch.last_number, batch.events_count), (1, 1));
        keeper.take(at(2), connected("bob", 2));
        assert_eq!(keeper.end_pass(at(2)), None, "one is under way");
        drop(keeper);
        let mut keeper = FeedKeeper::open(dir.path(), OPTIONS).unwrap();
        keeper.begin(at(0));
        let batch = keeper.end_pass(at(1)).unwrap();
        assert_eq!((batch.last_number, batch.events_count), (2, 2));
        keeper.ask(FeedAsk::Acknowledged(2));
        assert_eq!(keeper.end_pass(at(2)), None);
        assert_eq!(users(&mut keeper, at(3)), Some((2, vec!["ann".into(), "bob".into()])));
        drop(keeper);
        let mut keeper = FeedKeeper::open(dir.path(), OPTIONS).unwrap();
        keeper.begin(at(0));
        assert_eq!(keeper.end_pass(at(1)), None);
        let batch = keeper.end_pass(at(1_000)).unwrap();
        assert_eq!((batch.last_number, batch.events_count), (4, 2), "they did not come back");
    }

    #[test]
    fn while_a_disk_fails_nothing_leaves_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feed");
        let mut keeper = FeedKeeper::open(&path, OPTIONS).unwrap();
        keeper.begin(at(0));
        assert_eq!(keeper.end_pass(at(0)), None);
        // A file in the place of the next segment: it cannot be made.
        std::fs::rename(&path, dir.path().join("away")).unwrap();
        keeper.feed.on_write_failed();
        keeper.disk = DiskStage::Broken { again_at: MonotonicMs(1), wait_ms: RETRY_MS_MIN };
        keeper.take(at(1), connected("ann", 1));
        assert_eq!(keeper.end_pass(at(1)), None);
        assert_eq!(keeper.next_wake(), Some(MonotonicMs(201)));
        assert_eq!(users(&mut keeper, at(2)), None);
        std::fs::rename(dir.path().join("away"), &path).unwrap();
        assert_eq!(keeper.end_pass(at(200)), None);
        let batch = keeper.end_pass(at(201)).unwrap();
        assert_eq!((batch.last_number, keeper.failed_count), (1, 1));
        assert_eq!(users(&mut keeper, at(202)), Some((1, vec!["ann".into()])));
    }
}
