//! What active connections do, and when: one file for each load that decides
//! anything. `connect` only waits, and `storm` is a sequence of stages that the
//! engine goes through, beside echoes, so these two are a few lines here.
//!
//! A load is told what was delivered and what time it is, and answers with
//! orders. It never touches a connection.
//!
//! Deliberately absent: sockets, encodings, clocks.

mod echo;
mod fanout;
mod shared_progress;
mod soak;

pub use shared_progress::{SharedProgress, Shown, Stage};

use crate::scenario::{Load, Pace, Role, Scenario};

/// What a load wants done. Connections are counted within the thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadCommand {
    /// Publish into the connection's room a message that should leave at a time.
    Publish {
        /// Who.
        peer: u32,
        /// When it should leave: now, or earlier when we are late.
        intended_ns: u64,
    },
    /// End the connection, and let it come back.
    Drop {
        /// Who.
        peer: u32,
    },
}

/// One thread's part of a load.
#[derive(Debug)]
pub enum Driver {
    /// `connect`, and a `storm` in which nobody stays.
    Hold {
        /// When the holding ends.
        end_ns: u64,
    },
    /// `echo`, and those who stay in a `storm`.
    Echo(echo::Echo),
    /// `fanout`.
    Fanout(fanout::Fanout),
    /// `soak`.
    Soak(soak::Soak),
}

/// One thread's place in a scenario.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The whole.
    pub scenario: &'a Scenario,
    /// Which thread.
    pub thread: u16,
}

impl Part<'_> {
    /// The thread's connections that publish by the clock, counted within the thread.
    fn publishers(&self) -> Vec<u32> {
        let range = self.scenario.of_thread(self.thread);
        let publishes = |connection: u32| match self.scenario.load {
            Load::Storm { .. } => self.scenario.stays(connection),
            Load::Connect { .. } | Load::Echo { .. } | Load::Fanout { .. } | Load::Soak { .. } => {
                self.scenario.role(connection) == Role::Publisher
            }
        };
        let here = range.clone().filter(|connection| publishes(*connection));
        here.map(|connection| connection - range.start).collect()
    }

    /// How many of the thread's connections are in a room that is spoken in.
    pub fn hearers(&self) -> u32 {
        let range = self.scenario.of_thread(self.thread);
        range.filter(|connection| self.scenario.hears(*connection).is_some()).count() as u32
    }
}

impl Driver {
    /// The load of one thread, beginning now.
    pub fn begin(part: Part<'_>, now_ns: u64) -> Driver {
        let end = |ms: u64| now_ns + ms * 1_000_000;
        match part.scenario.load {
            Load::Connect { hold_ms } => Driver::Hold { end_ns: end(hold_ms) },
            Load::Storm { calm_ms, .. } => Driver::storm(part, now_ns, end(calm_ms)),
            Load::Echo { pace, measure_ms } => {
                Driver::Echo(echo::Echo::new(part, pace, now_ns, end(measure_ms)))
            }
            Load::Fanout { pace, measure_ms, .. } => {
                Driver::Fanout(fanout::Fanout::new(part, pace, now_ns, end(measure_ms)))
            }
            Load::Soak { per_s, churn_per_s, measure_ms } => {
                Driver::Soak(soak::Soak::new(part, per_s, churn_per_s, now_ns, end(measure_ms)))
            }
        }
    }

    /// Those who stay while the others come back talk until `end`.
    pub fn begin_return(part: Part<'_>, now_ns: u64) -> Driver {
        Driver::storm(part, now_ns, u64::MAX)
    }

    fn storm(part: Part<'_>, now_ns: u64, end_ns: u64) -> Driver {
        match part.scenario.load {
            Load::Storm { per_s, .. } if 0 < part.scenario.active => {
                Driver::Echo(echo::Echo::new(part, Pace::Open { per_s }, now_ns, end_ns))
            }
            _ => Driver::Hold { end_ns: now_ns },
        }
    }

    /// Nothing more is to be ordered from now on.
    pub fn end(&mut self, now_ns: u64) {
        match self {
            Driver::Hold { end_ns } => *end_ns = now_ns,
            Driver::Echo(echo) => echo.end(now_ns),
            Driver::Fanout(_) | Driver::Soak(_) => unreachable!("these know their end"),
        }
    }

    /// A connection got the next message of its room; `number` counts from 1
    /// in this run.
    #[inline]
    pub fn on_delivery(
        &mut self,
        peer: u32,
        number: u64,
        commands: &mut Vec<LoadCommand>,
        now_ns: u64,
    ) {
        match self {
            Driver::Hold { .. } | Driver::Soak(_) => {}
            Driver::Echo(echo) => echo.on_delivery(peer, commands, now_ns),
            Driver::Fanout(fanout) => fanout.on_delivery(number),
        }
    }

    /// Time has passed.
    pub fn on_turn(
        &mut self,
        now_ns: u64,
        shared_progress: &SharedProgress,
        commands: &mut Vec<LoadCommand>,
    ) {
        match self {
            Driver::Hold { .. } => {}
            Driver::Echo(echo) => echo.on_turn(now_ns, commands),
            Driver::Fanout(fanout) => fanout.on_turn(now_ns, shared_progress, commands),
            Driver::Soak(soak) => soak.on_turn(now_ns, commands),
        }
    }

    /// Whether nothing more will be ordered.
    pub fn is_silent(&self, now_ns: u64) -> bool {
        match self {
            Driver::Hold { end_ns } => *end_ns <= now_ns,
            Driver::Echo(echo) => echo.is_silent(now_ns),
            Driver::Fanout(fanout) => fanout.is_silent(now_ns),
            Driver::Soak(soak) => soak.is_silent(now_ns),
        }
    }

    /// When `on_turn` is wanted again at the latest; `None` when only a
    /// delivery changes anything.
    pub fn next_ns(&self, now_ns: u64) -> Option<u64> {
        match self {
            Driver::Hold { end_ns } => Some(*end_ns),
            Driver::Echo(echo) => echo.next_ns(),
            Driver::Fanout(fanout) => fanout.next_ns(now_ns),
            Driver::Soak(soak) => soak.next_ns(),
        }
    }

    /// What the other threads must know about this one.
    pub fn show(&self, shown: &mut Shown) {
        shown.watermark = match self {
            Driver::Fanout(fanout) => fanout.watermark(),
            Driver::Hold { .. } | Driver::Echo(_) | Driver::Soak(_) => u64::MAX,
        };
    }
}
