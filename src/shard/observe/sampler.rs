//! The oldest connection of a shard and the busiest, for two gauges: every connection
//! is looked at once in a quarter of a minute, a few at a time.
//!
//! Invariant: a step looks at no more than `STEP_SLOTS_MAX` slots.
//!
//! Deliberately absent: which connections they are; a look of an operator says that.

use super::connection_scan::tasks;
use crate::base::{Now, Tick};
use crate::metrics::Gauge;
use crate::shard::Shard;
use crate::shard::conn::Stage;
use crate::shard::connections::Cursor;

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
#[derive(Debug, Default)]
pub struct Census {
    /// How far this round has come.
    cursor: Cursor,
    stepped_at: Tick,
    /// Of this round so far.
    oldest: Option<Tick>,
    tasks_max: u32,
    /// Of the round before.
    shown_oldest: Option<Tick>,
    shown_tasks_max: u32,
}

impl Census {
    /// When the next step is due though nothing happens.
    pub fn next_wake(&self) -> Tick {
        self.stepped_at.plus_ms(REST_MS_MAX)
    }
}

impl Shard {
    /// A step, when one is due.
    pub(in crate::shard) fn count_on(&mut self, now: Now) {
        let since_ms = now.tick.ms_since(self.census.stepped_at);
        if since_ms < STEP_MS {
            return;
        }
        let census = &mut self.census;
        census.stepped_at = now.tick;
        let span = self.connections.span();
        let step = u64::from(span) * since_ms / ROUND_MS;
        let step = step.clamp(STEP_SLOTS_MIN, STEP_SLOTS_MAX) as u32;
        let end = self.connections.end_of_step(census.cursor, step);
        while let Some((_, conn)) = self.connections.next(&mut census.cursor, end) {
            if let Stage::Open(_, session) = &conn.stage {
                census.tasks_max = census.tasks_max.max(tasks(conn));
                let age_ms = session.age_ms(now.tick, &self.options.session);
                let since = Tick(now.tick.0.saturating_sub(age_ms));
                census.oldest = Some(census.oldest.map_or(since, |oldest| oldest.min(since)));
            }
        }
        // What is worse than in the last round is shown at once.
        census.shown_tasks_max = census.shown_tasks_max.max(census.tasks_max);
        if end == span {
            census.shown_oldest = census.oldest.take();
            census.shown_tasks_max = std::mem::take(&mut census.tasks_max);
            census.cursor = Cursor::default();
        }
        let oldest_ms = census.shown_oldest.map_or(0, |since| now.tick.ms_since(since));
        self.scribe.set(Gauge::OldestAge, oldest_ms);
        self.scribe.set(Gauge::ConnTasksMax, census.shown_tasks_max.into());
    }
}
