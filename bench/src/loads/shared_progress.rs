//! What the threads of one run tell each other: the stage that all are in, how
//! far each is, and how much each room has been told.
//!
//! Every cell but one has one writer. A thread writes its own once a turn, not once a
//! delivery. Nobody rings: a thread with a descriptor table of its own has no
//! descriptor in common with the others, so all look at the board now and then.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// What all threads do at a time. A stage begins when everyone has ended the
/// one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Everyone connects and joins.
    Ramp,
    /// The load.
    Measure,
    /// `storm`: everyone drops but those who stay.
    Drop,
    /// `storm`: one of each room comes back and speaks.
    Talk,
    /// `storm`: all others come back and recover.
    Return,
    /// Everyone answers.
    Prove,
    /// The end of the threads.
    Over,
}

impl Stage {
    const ALL: [Stage; 7] = [
        Stage::Ramp,
        Stage::Measure,
        Stage::Drop,
        Stage::Talk,
        Stage::Return,
        Stage::Prove,
        Stage::Over,
    ];
}

/// One thread's cells, apart from its neighbours' cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Cells {
    /// Stages that this thread has ended.
    ended: AtomicU64,
    /// Steps that show that it moves: whatever it counts.
    progress: AtomicU64,
    live: AtomicU64,
    delivered: AtomicU64,
    answered: AtomicU64,
    recovered: AtomicU64,
    /// Messages that all its members of the first room have received.
    watermark: AtomicU64,
    /// 1 when its publishers will not publish again in this run.
    is_silent: AtomicU64,
    /// 1 when all of its connections are back in a storm.
    is_back: AtomicU64,
    /// When the last delivery or recovery was counted.
    last_ns: AtomicU64,
}

/// What one thread shows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "as in `Cells`")]
pub struct Shown {
    pub progress: u64,
    pub live: u64,
    pub delivered: u64,
    pub answered: u64,
    pub recovered: u64,
    pub watermark: u64,
    pub is_silent: bool,
    pub is_back: bool,
    pub last_ns: u64,
}

/// All cells of one run.
#[derive(Debug)]
pub struct SharedProgress {
    stage: AtomicU64,
    /// When the stage began, by the clock of the run.
    stage_ns: AtomicU64,
    threads: Box<[Cells]>,
    /// Threads with somebody to dial. All write it, seldom.
    dialing: AtomicU32,
    /// A thread could not begin, so the run is for nothing.
    is_abandoned: AtomicBool,
    /// Messages published into each room that is spoken in. Written by the one
    /// thread that has the room's publisher.
    rooms: Box<[AtomicU64]>,
}

impl SharedProgress {
    /// Everyone is about to ramp.
    pub fn new(threads: u16, rooms: u32) -> SharedProgress {
        SharedProgress {
            stage: AtomicU64::new(0),
            stage_ns: AtomicU64::new(0),
            threads: (0..threads).map(|_| Cells::default()).collect(),
            dialing: AtomicU32::new(0),
            is_abandoned: AtomicBool::new(false),
            rooms: (0..rooms).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A thread has somebody to dial.
    pub fn begin_dialing(&self) {
        self.dialing.fetch_add(1, Ordering::Relaxed);
    }

    /// It has nobody any more.
    pub fn end_dialing(&self) {
        self.dialing.fetch_sub(1, Ordering::Relaxed);
    }

    /// Threads with somebody to dial; at least one.
    pub fn dialing(&self) -> u32 {
        self.dialing.load(Ordering::Relaxed).max(1)
    }

    /// The stage and when it began.
    pub fn stage(&self) -> (Stage, u64) {
        let stage = Stage::ALL[self.stage.load(Ordering::Acquire) as usize];
        (stage, self.stage_ns.load(Ordering::Relaxed))
    }

    /// Lets the next stage begin.
    pub fn begin(&self, stage: Stage, now_ns: u64) {
        self.stage_ns.store(now_ns, Ordering::Relaxed);
        self.stage.store(stage as u64, Ordering::Release);
    }

    /// Whether all threads have ended so many stages.
    pub fn all_ended(&self, stages: u64) -> bool {
        self.threads.iter().all(|cells| stages <= cells.ended.load(Ordering::Acquire))
    }

    /// A thread has ended so many stages.
    pub fn end_stage(&self, thread: u16, stages: u64) {
        self.threads[usize::from(thread)].ended.fetch_max(stages, Ordering::AcqRel);
    }

    /// The stage is given up: whoever has not ended it is taken as having.
    pub fn end_for_all(&self, stages: u64) {
        for cells in &self.threads {
            cells.ended.fetch_max(stages, Ordering::AcqRel);
        }
    }

    /// A thread could not begin.
    pub fn abandon(&self) {
        self.is_abandoned.store(true, Ordering::Release);
    }

    /// Whether some thread could not begin.
    pub fn is_abandoned(&self) -> bool {
        self.is_abandoned.load(Ordering::Acquire)
    }

    /// A thread shows how far it is.
    pub fn show(&self, thread: u16, shown: Shown) {
        let cells = &self.threads[usize::from(thread)];
        let Shown {
            progress,
            live,
            delivered,
            answered,
            recovered,
            watermark,
            is_silent,
            is_back,
            last_ns,
        } = shown;
        cells.progress.store(progress, Ordering::Relaxed);
        cells.live.store(live, Ordering::Relaxed);
        cells.delivered.store(delivered, Ordering::Relaxed);
        cells.answered.store(answered, Ordering::Relaxed);
        cells.recovered.store(recovered, Ordering::Relaxed);
        cells.watermark.store(watermark, Ordering::Relaxed);
        cells.last_ns.store(last_ns, Ordering::Relaxed);
        cells.is_back.store(u64::from(is_back), Ordering::Relaxed);
        // Last: who sees the silence must see all that was published before it.
        cells.is_silent.store(u64::from(is_silent), Ordering::Release);
    }

    /// All threads together: sums, the lowest watermark, the latest time.
    pub fn shown(&self) -> Shown {
        let mut all =
            Shown { watermark: u64::MAX, is_silent: true, is_back: true, ..Shown::default() };
        for cells in &self.threads {
            all.is_silent &= cells.is_silent.load(Ordering::Acquire) == 1;
            all.is_back &= cells.is_back.load(Ordering::Relaxed) == 1;
            all.progress += cells.progress.load(Ordering::Relaxed);
            all.live += cells.live.load(Ordering::Relaxed);
            all.delivered += cells.delivered.load(Ordering::Relaxed);
            all.answered += cells.answered.load(Ordering::Relaxed);
            all.recovered += cells.recovered.load(Ordering::Relaxed);
            all.watermark = all.watermark.min(cells.watermark.load(Ordering::Relaxed));
            all.last_ns = all.last_ns.max(cells.last_ns.load(Ordering::Relaxed));
        }
        all
    }

    /// Counts messages into a room; only by the thread of its publishers.
    pub fn publish(&self, room: u32) -> u64 {
        let cell = &self.rooms[room as usize];
        let published = cell.load(Ordering::Relaxed) + 1;
        cell.store(published, Ordering::Relaxed);
        published
    }

    /// Messages published into a room; 0 for one that nobody speaks in.
    pub fn published(&self, room: u32) -> u64 {
        self.rooms.get(room as usize).map_or(0, |cell| cell.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_ends_when_the_last_thread_has_ended_it() {
        let shared_progress = SharedProgress::new(2, 0);
        assert_eq!(shared_progress.stage(), (Stage::Ramp, 0));
        shared_progress.end_stage(0, 1);
        assert!(!shared_progress.all_ended(1));
        shared_progress.end_stage(1, 1);
        assert!(shared_progress.all_ended(1) && !shared_progress.all_ended(2));
        shared_progress.end_for_all(2);
        shared_progress.end_stage(0, 1);
        assert!(shared_progress.all_ended(2), "what was given up is not begun again");
        for stage in Stage::ALL {
            shared_progress.begin(stage, 9);
            assert_eq!(shared_progress.stage(), (stage, 9));
        }
    }

    #[test]
    fn the_whole_is_as_far_as_its_slowest_part() {
        let shared_progress = SharedProgress::new(2, 3);
        shared_progress
            .show(0, Shown { watermark: 5, delivered: 10, is_silent: true, ..Shown::default() });
        shared_progress
            .show(1, Shown { watermark: 3, delivered: 7, last_ns: 4, ..Shown::default() });
        let all = shared_progress.shown();
        assert_eq!((all.watermark, all.delivered, all.is_silent, all.last_ns), (3, 17, false, 4));
        assert_eq!(
            (shared_progress.publish(1), shared_progress.publish(1), shared_progress.published(1)),
            (1, 2, 2)
        );
        assert_eq!((shared_progress.published(0), shared_progress.published(99)), (0, 0));
    }
}
