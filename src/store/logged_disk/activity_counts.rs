//! What a log in front of a database did since somebody last asked.
//!
//! Deliberately absent: what it wrote, which its port counts.

use std::time::Duration;

use super::super::log_activity::{LogActivity, LogBacklog, LogWrites, RunsActivity, keep_length};

/// What happened since it was last taken.
#[derive(Debug, Default)]
pub struct ActivityCounts {
    failures: u64,
    damages: u64,
    checkpoints: Vec<Duration>,
}

impl ActivityCounts {
    /// A command of the log failed, which ended a life.
    pub fn note_failure(&mut self) {
        self.failures += 1;
    }

    /// Something of the log was damaged and not needed.
    pub fn note_damage(&mut self) {
        self.damages += 1;
    }

    /// A checkpoint was made.
    pub fn note_checkpoint(&mut self, took: Duration) {
        keep_length(&mut self.checkpoints, took);
    }

    /// All of it, with what was written, how it is now, and what was done to runs.
    pub fn take(
        &mut self,
        writes: LogWrites,
        backlog: LogBacklog,
        runs: RunsActivity,
    ) -> LogActivity {
        let ActivityCounts { failures, damages, checkpoints } = std::mem::take(self);
        LogActivity { writes, failures, damages, checkpoints, backlog, runs }
    }
}
