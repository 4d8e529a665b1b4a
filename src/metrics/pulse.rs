//! What a core is doing at this moment, for those who look at it from outside.
//!
//! A core says with plain stores in which phase of its turn it is. Whoever reads it
//! asks nobody, so of a core that hangs one sees where.
//!
//! Invariant: the phase is that of the turn that the time and the number belong to,
//! or at most one store ahead.

use std::array;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};

use super::current_work::{CurrentWork, CurrentWorkCell};
use crate::base::limits::SHARDS_MAX;

/// What a turn consists of, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnPhase {
    /// It has not begun to turn.
    Starting,
    /// What the kernel finished.
    Reaping,
    /// What neighbours said.
    Letters,
    /// What the store answered.
    Store,
    /// What the control thread said.
    Orders,
    /// What is due.
    Timers,
    /// What is sent to whom.
    Deliver,
    /// What the kernel shall do.
    Submit,
    /// Nothing to do.
    Sleeping,
}

impl TurnPhase {
    /// All, in order.
    pub const ALL: [TurnPhase; 9] = [
        TurnPhase::Starting,
        TurnPhase::Reaping,
        TurnPhase::Letters,
        TurnPhase::Store,
        TurnPhase::Orders,
        TurnPhase::Timers,
        TurnPhase::Deliver,
        TurnPhase::Submit,
        TurnPhase::Sleeping,
    ];

    /// What an operator reads.
    pub const fn word(self) -> &'static str {
        match self {
            TurnPhase::Starting => "starting",
            TurnPhase::Reaping => "reaping",
            TurnPhase::Letters => "letters",
            TurnPhase::Store => "store",
            TurnPhase::Orders => "orders",
            TurnPhase::Timers => "timers",
            TurnPhase::Deliver => "deliver",
            TurnPhase::Submit => "submit",
            TurnPhase::Sleeping => "sleeping",
        }
    }
}

/// What a core has under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoreWork {
    /// Connections, in whatever stage.
    pub connections: u64,
    /// Deadlines of connections that wait.
    pub timers: u64,
    /// Questions to rooms of other cores that are not answered.
    pub questions: u64,
    /// Requests that the kernel has not answered finally.
    pub ring_operations: u64,
    /// Requests that the store has not answered.
    pub store_requests: u64,
}

/// One core's pulse: one writer, any number of readers.
#[derive(Debug)]
pub(super) struct CorePulse {
    phase: AtomicU8,
    /// When the turn began, Unix ms.
    since_unix_ms: AtomicU64,
    turn: AtomicU64,
    pub(super) current_work: CurrentWorkCell,
    under_way: [AtomicU64; 5],
    /// Open questions by the core that was asked.
    lanes: [AtomicU32; SHARDS_MAX as usize],
}

/// What a reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PulseReading {
    /// Where in its turn the core is.
    pub phase: TurnPhase,
    /// When that turn began, Unix ms; a sleeping core's sleep began in it.
    pub since_unix_ms: u64,
    /// Which turn it is, from 1.
    pub turn: u64,
    /// The connection, client and room that it works for.
    pub current_work: CurrentWork,
    /// What was under way when the last turn ended.
    pub under_way: CoreWork,
    /// Open questions to other cores, where there are any.
    pub lanes: Vec<(u16, u32)>,
}

impl CorePulse {
    pub fn new() -> CorePulse {
        CorePulse {
            phase: AtomicU8::new(TurnPhase::Starting as u8),
            since_unix_ms: AtomicU64::new(0),
            turn: AtomicU64::new(0),
            current_work: CurrentWorkCell::new(),
            under_way: array::from_fn(|_| AtomicU64::new(0)),
            lanes: array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    #[inline]
    pub fn begin(&self, unix_ms: u64) {
        self.since_unix_ms.store(unix_ms, Relaxed);
        self.turn.store(self.turn.load(Relaxed) + 1, Relaxed);
        self.enter(TurnPhase::Reaping);
    }

    #[inline]
    pub fn enter(&self, phase: TurnPhase) {
        self.phase.store(phase as u8, Relaxed);
        self.current_work.clear();
    }

    pub fn set_work(&self, under_way: &CoreWork) {
        let CoreWork { connections, timers, questions, ring_operations, store_requests } =
            *under_way;
        let words = [connections, timers, questions, ring_operations, store_requests];
        for (place, word) in self.under_way.iter().zip(words) {
            place.store(word, Relaxed);
        }
    }

    pub fn set_open_requests(&self, to: u16, questions: u32) {
        self.lanes[usize::from(to)].store(questions, Relaxed);
    }

    pub fn read(&self) -> PulseReading {
        let [connections, timers, questions, ring_operations, store_requests] =
            array::from_fn(|place| self.under_way[place].load(Relaxed));
        let lanes = (0..).zip(&self.lanes).map(|(to, open)| (to, open.load(Relaxed)));
        PulseReading {
            phase: TurnPhase::ALL[usize::from(self.phase.load(Relaxed))],
            since_unix_ms: self.since_unix_ms.load(Relaxed),
            turn: self.turn.load(Relaxed),
            current_work: self.current_work.read(),
            under_way: CoreWork { connections, timers, questions, ring_operations, store_requests },
            lanes: lanes.filter(|&(_, open)| open != 0).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_core_says_is_read() {
        let pulse = CorePulse::new();
        assert_eq!((pulse.read().phase, pulse.read().turn), (TurnPhase::Starting, 0));
        pulse.begin(1_700);
        pulse.begin(1_800);
        for phase in TurnPhase::ALL {
            pulse.enter(phase);
            assert_eq!(pulse.read().phase, phase);
        }
        let under_way = CoreWork {
            connections: 1,
            timers: 2,
            questions: 3,
            ring_operations: 4,
            store_requests: 5,
        };
        pulse.set_work(&under_way);
        pulse.set_open_requests(3, 9);
        pulse.set_open_requests(255, 1);
        pulse.set_open_requests(0, 0);
        let reading = pulse.read();
        assert_eq!((reading.since_unix_ms, reading.turn, reading.under_way), (1_800, 2, under_way));
        assert_eq!(reading.lanes, [(3, 9), (255, 1)]);
    }
}
