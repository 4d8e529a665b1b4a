//! Places for connections. When all are taken, who has not yet said what it wants makes
//! room for whoever comes, and after it who does not take its answer: so peers that hold
//! connections open keep no operator, scraper or health check out.
//!
//! Deliberately absent: sockets. A place is a task that can be ended.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{self, Instant};

/// An answer that is under way for longer may give way: pages are small, and a peer that
/// reads takes one at once.
const ANSWER_MS: u64 = 1_000;

/// Between two looks for somebody who gives way, in ms.
const LOOK_MS: u64 = 50;

/// How far an exchange is.
#[derive(Debug, Default)]
pub(super) struct ExchangeProgress {
    has_asked: AtomicBool,
    answered_at: OnceLock<Instant>,
}

impl ExchangeProgress {
    /// The head has arrived.
    pub fn asked(&self) {
        self.has_asked.store(true, Relaxed);
    }

    /// The answer is made, and leaves.
    pub fn answered(&self) {
        let _ = self.answered_at.set(Instant::now()); // there is one answer
    }

    fn is_idle(&self) -> bool {
        !self.has_asked.load(Relaxed)
    }

    fn is_stuck(&self) -> bool {
        let limit = Duration::from_millis(ANSWER_MS);
        self.answered_at.get().is_some_and(|at| limit <= at.elapsed())
    }
}

/// Says that a place is free, however its connection ended.
pub(super) struct PlaceGuard(Arc<Notify>);

impl Drop for PlaceGuard {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// All places; who came first stands first.
pub(super) struct Places {
    connections_max: usize,
    taken: Vec<(Arc<ExchangeProgress>, AbortHandle)>,
    left: Arc<Notify>,
}

impl Places {
    pub fn new(connections_max: usize) -> Places {
        Places { connections_max, taken: Vec::new(), left: Arc::default() }
    }

    /// To be dropped at the end of a connection.
    pub fn leaving(&self) -> PlaceGuard {
        PlaceGuard(Arc::clone(&self.left))
    }

    /// A connection takes a place.
    pub fn take(&mut self, progress: Arc<ExchangeProgress>, task: AbortHandle) {
        self.taken.push((progress, task));
    }

    /// Waits until there is a place, and makes one where that is possible.
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
