//! The slots of a server's connections. When all are taken, a connection that has not sent
//! its request is closed for the next one, or else one that does not read its response: so
//! peers that hold connections open keep no operator, scraper or health check out.
//!
//! Deliberately absent: sockets. A slot holds a task that can be aborted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{self, Instant};

/// A response that has been under way for longer may be cut off: pages are small, and a peer
/// that reads takes one at once.
const ANSWER_MS: u64 = 1_000;

/// Time between two looks for a connection to close, in ms.
const LOOK_MS: u64 = 50;

/// How far the exchange of a connection is: `IDLE`, `ASKED`, or how many ms after the
/// connection's begin its answer was made.
#[derive(Debug)]
pub(super) struct ExchangeProgress {
    began: Instant,
    stage: AtomicU64,
}

/// Nothing was asked on this connection yet.
const IDLE: u64 = u64::MAX;

/// The head has arrived, and the answer is being made.
const ASKED: u64 = u64::MAX - 1;

impl ExchangeProgress {
    /// Of a connection that begins now.
    pub fn new() -> ExchangeProgress {
        ExchangeProgress { began: Instant::now(), stage: AtomicU64::new(IDLE) }
    }

    /// The head has arrived.
    pub fn asked(&self) {
        self.stage.store(ASKED, Relaxed);
    }

    /// The answer is made, and leaves; the next request may follow it.
    pub fn answered(&self) {
        self.stage.store(self.age_ms(), Relaxed);
    }

    fn is_idle(&self) -> bool {
        self.stage.load(Relaxed) == IDLE
    }

    /// Whether its peer takes no answer, or has nothing more to ask.
    fn is_stuck(&self) -> bool {
        match self.stage.load(Relaxed) {
            IDLE | ASKED => false,
            answered_ms => answered_ms.saturating_add(ANSWER_MS) <= self.age_ms(),
        }
    }

    fn age_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// Frees its slot when it is dropped, however the connection ended.
pub(super) struct SlotGuard(Arc<Notify>);

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// All slots; the oldest connection stands first.
pub(super) struct ConnectionSlots {
    connections_max: usize,
    taken: Vec<(Arc<ExchangeProgress>, AbortHandle)>,
    left: Arc<Notify>,
}

impl ConnectionSlots {
    pub fn new(connections_max: usize) -> ConnectionSlots {
        ConnectionSlots { connections_max, taken: Vec::new(), left: Arc::default() }
    }

    /// To be dropped at the end of a connection.
    pub fn leaving(&self) -> SlotGuard {
        SlotGuard(Arc::clone(&self.left))
    }

    /// A connection takes a slot.
    pub fn take(&mut self, progress: Arc<ExchangeProgress>, task: AbortHandle) {
        self.taken.push((progress, task));
    }

    /// Waits until a slot is free, and frees one where that is possible.
    pub async fn free(&mut self) {
        loop {
            self.taken.retain(|(_, task)| !task.is_finished());
            if self.taken.len() < self.connections_max {
                return;
            }
            let idle = self.taken.iter().find(|(progress, _)| progress.is_idle());
            let one = idle.or_else(|| self.taken.iter().find(|(progress, _)| progress.is_stuck()));
            if let Some((_, task)) = one {
                task.abort();
            }
            let look = Duration::from_millis(LOOK_MS);
            // Whoever left in the meantime is seen at the next look at the latest.
            let _ = time::timeout(look, self.left.notified()).await;
        }
    }
}
