//! The oldest connection of a shard and the busiest, for two gauges: every connection
//! is looked at once in a quarter of a minute, a few at a time.
//!
//! Invariant: a step looks at no more than `STEP_SLOTS_MAX` slots.
//!
//! Deliberately absent: which connections they are; a look of an operator says that.

use std::rc::Rc;

use super::connection_scan::tasks;
use crate::base::{MonotonicMs, Timestamps};
use crate::metrics::{Gauge, MetricsWriter};
use crate::session::Options;
use crate::shard::conn::ConnStage;
use crate::shard::connections::{Connections, Cursor};

/// A round through all connections takes so long, if the core turns often enough.
const ROUND_MS: u64 = 15_000;

/// Between two steps.
const STEP_MS: u64 = 250;

/// A core that sleeps wakes so often for a step.
const REST_MS_MAX: u64 = 1_000;

/// Slots of a step at least, so that a small shard is seen in one.
const STEP_SLOTS_MIN: u64 = 512;

/// Slots of a step at most: 1 to 3 ms without optimisation, four times a second.
const STEP_SLOTS_MAX: u64 = 8_192;

/// A round under way, and what the last one found.
pub struct ConnSampler {
    /// How far this round has come.
    cursor: Cursor,
    stepped_at: MonotonicMs,
    /// Of this round so far.
    oldest: Option<MonotonicMs>,
    tasks_max: u32,
    /// Of the round before.
    shown_oldest: Option<MonotonicMs>,
    shown_tasks_max: u32,
    metrics: Rc<MetricsWriter>,
}

impl ConnSampler {
    /// Nobody was looked at yet.
    pub fn new(metrics: Rc<MetricsWriter>) -> ConnSampler {
        ConnSampler {
            cursor: Cursor::default(),
            stepped_at: MonotonicMs(0),
            oldest: None,
            tasks_max: 0,
            shown_oldest: None,
            shown_tasks_max: 0,
            metrics,
        }
    }

    /// When the next step is due though nothing happens.
    pub fn next_wake(&self) -> MonotonicMs {
        self.stepped_at.plus_ms(REST_MS_MAX)
    }

    /// A step, when one is due.
    pub fn step(&mut self, now: Timestamps, connections: &Connections, options: &Options) {
        let since_ms = now.tick.ms_since(self.stepped_at);
        if since_ms < STEP_MS {
            return;
        }
        self.stepped_at = now.tick;
        let span = connections.span();
        let step = u64::from(span) * since_ms / ROUND_MS;
        let step = step.clamp(STEP_SLOTS_MIN, STEP_SLOTS_MAX) as u32;
        let end = connections.end_of_step(self.cursor, step);
        while let Some((_, conn)) = connections.next(&mut self.cursor, end) {
            if let ConnStage::Open(_, session) = conn.stage() {
                self.tasks_max = self.tasks_max.max(tasks(conn));
                let age_ms = session.age_ms(now.tick, options);
                let since = MonotonicMs(now.tick.0.saturating_sub(age_ms));
                self.oldest = Some(self.oldest.map_or(since, |oldest| oldest.min(since)));
            }
        }
        // What is worse than in the last round is shown at once.
        self.shown_tasks_max = self.shown_tasks_max.max(self.tasks_max);
        if end == span {
            self.shown_oldest = self.oldest.take();
            self.shown_tasks_max = std::mem::take(&mut self.tasks_max);
            self.cursor = Cursor::default();
        }
        let oldest_ms = self.shown_oldest.map_or(0, |since| now.tick.ms_since(since));
        self.metrics.set(Gauge::OldestAge, oldest_ms);
        self.metrics.set(Gauge::ConnTasksMax, self.shown_tasks_max.into());
    }
}
