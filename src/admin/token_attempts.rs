//! Wrong tokens of each address, for all pages that want one: who guesses at `/debug` waits at the
//! console, too.
//!
//! Deliberately absent: comparing tokens, and who may not wait (whoever has the right one).

use std::net::IpAddr;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio::time::Instant;

use super::token::FailedAttempts;
use crate::base::MonotonicMs;

/// See the module.
#[derive(Clone)]
pub(super) struct TokenAttempts {
    failed: Arc<Mutex<FailedAttempts>>,
    opened: Instant,
}

impl TokenAttempts {
    /// Nobody has guessed.
    pub fn new() -> TokenAttempts {
        TokenAttempts { failed: Arc::default(), opened: Instant::now() }
    }

    /// The listener's own time.
    pub fn now(&self) -> MonotonicMs {
        MonotonicMs(u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// An address showed a wrong token, or none; how many seconds it has to wait, if it has
    /// guessed too often, and then this one does not count.
    pub async fn wait_s(&self, from: IpAddr, guess: Guess) -> Option<u64> {
        let now = self.now();
        let mut failed = self.failed.lock().await;
        let wait_ms = failed.wait_ms(now, from);
        if wait_ms != 0 {
            return Some(wait_ms.div_ceil(1_000));
        }
        match guess {
            Guess::Wrong => failed.count(now, from),
            Guess::None => (),
        }
        None
    }
}

/// What somebody showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// A token that is nobody's.
    Wrong,
    /// No token at all, which is no guess.
    None,
}
