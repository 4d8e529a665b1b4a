//! Letting everybody go, a few at a time.

use super::Shard;
use super::conn::Stage;
use super::connections::Cursor;
use super::receive::RETRY_AFTER_S;
use crate::base::{Now, Tick};
use crate::session::Fault;
use crate::ws::Refusal;

/// Time between two batches.
const STEP_MS: u64 = 50;

/// A batch is at least so large: a small server is empty at once.
const BATCH_MIN: u64 = 64;

/// A drain under way.
#[derive(Debug)]
pub struct Drain {
    next_at: Tick,
    cursor: Cursor,
    batch: u64,
    over_ms: u64,
    /// Whether the cursor has passed everybody.
    finished: bool,
}

impl Drain {
    /// When the next batch is due.
    pub fn next_wake(&self) -> Option<Tick> {
        (!self.finished).then_some(self.next_at)
    }
}

impl Shard {
    /// Begins to close connections: all have their close frame after half of
    /// the time, and the other half to answer it.
    pub(super) fn begin_drain(&mut self, now: Now, over_ms: u64) {
        let steps = (over_ms / 2 / STEP_MS).max(1);
        let batch = (self.connections.len() as u64).div_ceil(steps).max(BATCH_MIN);
        self.drain = Some(Drain {
            next_at: now.tick,
            cursor: Cursor::default(),
            batch,
            over_ms,
            finished: false,
        });
    }

    /// Closes the next batch when it is due.
    pub(super) fn advance_drain(&mut self, now: Now) {
        let Some(drain) = &mut self.drain else { return };
        if drain.finished || now.tick < drain.next_at {
            return;
        }
        // From when it was due: a core that is busy closing catches up.
        drain.next_at = drain.next_at.plus_ms(STEP_MS);
        let (mut left, mut cursor, over_ms) = (drain.batch, drain.cursor, drain.over_ms);
        let span = self.connections.span();
        while 0 < left
            && let Some((id, conn)) = self.connections.next(&mut cursor, span)
        {
            match conn.stage() {
                Stage::Open(..) => {
                    // Spread, so that they do not come back all at once.
                    let retry_after_ms = self.env.jitter_below(over_ms.max(1)) as u32;
                    self.end(now, id, Fault::Shutdown { retry_after_ms });
                }
                Stage::Upgrading(_) => {
                    let retry_after_s = RETRY_AFTER_S;
                    self.refuse_upgrade(now, id, Refusal::Draining { retry_after_s });
                }
                Stage::Closing(_) | Stage::Shut => (),
            }
            left -= 1;
        }
        if let Some(drain) = &mut self.drain {
            drain.cursor = cursor;
            drain.finished = cursor.is_at(span);
        }
    }
}
