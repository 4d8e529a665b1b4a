//! Letting everybody go, a few at a time: how many, and when each is told to come back.
//!
//! Deliberately absent: who orders it, and accepting, which ends with the order.

use super::conn::StageKind;
use super::connections::Cursor;
use super::sessions::Sessions;
use super::turn_context::TurnContext;
use super::upgrades::{self, RETRY_AFTER_S};
use crate::base::MonotonicMs;
use crate::session::Fault;
use crate::ws::UpgradeError;

/// Time between two batches.
const STEP_MS: u64 = 50;

/// A batch is at least so large: a small server is empty at once.
const BATCH_MIN: u64 = 64;

/// A drain under way.
#[derive(Debug)]
pub struct Drain {
    next_at: MonotonicMs,
    cursor: Cursor,
    batch: u64,
    over_ms: u64,
    /// Whether the cursor has passed everybody.
    finished: bool,
}

impl Drain {
    /// Begins to close connections: all have their close frame after half of
    /// the time, and the other half to answer it.
    pub fn begin(now: MonotonicMs, connections_count: usize, over_ms: u64) -> Drain {
        let steps = (over_ms / 2 / STEP_MS).max(1);
        let batch = (connections_count as u64).div_ceil(steps).max(BATCH_MIN);
        Drain { next_at: now, cursor: Cursor::default(), batch, over_ms, finished: false }
    }

    /// When the next batch is due.
    pub fn next_wake(&self) -> Option<MonotonicMs> {
        (!self.finished).then_some(self.next_at)
    }

    /// Closes the next batch when it is due.
    pub fn step(&mut self, sessions: &mut Sessions, cx: &mut TurnContext<'_>) {
        if self.finished || cx.now.tick < self.next_at {
            return;
        }
        // From when it was due: a core that is busy closing catches up.
        self.next_at = self.next_at.plus_ms(STEP_MS);
        let mut left = self.batch;
        let end = sessions.connections().span();
        while 0 < left
            && let Some((id, conn)) = sessions.connections().next(&mut self.cursor, end)
        {
            match conn.stage_kind() {
                StageKind::Open => {
                    // Spread, so that they do not come back all at once.
                    let jitter_ms = sessions.env_mut().jitter_below(self.over_ms.max(1));
                    let retry_after_ms = jitter_ms as u32;
                    sessions.end(cx, id, Fault::Shutdown { retry_after_ms });
                }
                StageKind::Upgrading => {
                    let retry_after_s = RETRY_AFTER_S;
                    upgrades::refuse(sessions, cx, id, UpgradeError::Draining { retry_after_s });
                }
                StageKind::Closing | StageKind::Shut => (),
            }
            left -= 1;
        }
        self.finished = self.cursor.is_at(end);
    }
}
