//! The blocked prefixes of clients, with the cores that know them: what operators ask about
//! them, and what follows from early panics.
//!
//! Invariant: a core that takes no commands is told who is blocked when it does again.
//!
//! Deliberately absent: when a prefix is blocked (`quarantine`), and how its share is counted
//! (`scans`).

use std::collections::VecDeque;
use std::sync::Arc;

use super::quarantine::{BlockedBy, PREFIXES_MAX, Quarantine, SuspectResult};
use super::scans::PrefixShare;
use crate::admin::{BlockedPrefixRow, QuestionError};
use crate::base::MonotonicMs;
use crate::server::core_lanes::CoreCommand;
use crate::server::cores::CoreHandles;
use crate::session::{Prefix, QuarantineOptions};
use crate::shard::ShardCommand;

/// The quarantine, and who knows of it.
pub(super) struct Blocklist {
    quarantine: Quarantine,
    /// How long a prefix is blocked where nobody says.
    hold_ms: u64,
    /// Prefixes whose share is to be counted.
    suspects: VecDeque<Prefix>,
    /// By core: whether it knows who is blocked.
    informed: Vec<bool>,
}

impl Blocklist {
    /// Nobody is blocked, and every core knows it.
    pub fn new(options: QuarantineOptions, cores_count: usize) -> Blocklist {
        Blocklist {
            hold_ms: options.hold_ms,
            quarantine: Quarantine::new(options),
            suspects: VecDeque::new(),
            informed: vec![true; cores_count],
        }
    }

    /// The blocked prefixes, as an operator sees them.
    pub fn rows(&self, now: MonotonicMs) -> Vec<BlockedPrefixRow> {
        let rows = self.quarantine.blocked().iter().map(|blocked| BlockedPrefixRow {
            prefix: blocked.prefix.to_string(),
            left_ms: blocked.until.ms_since(now),
            held_ms: now.ms_since(blocked.since),
            by: match blocked.by {
                BlockedBy::Server => "server",
                BlockedBy::Operator => "operator",
            },
        });
        rows.collect()
    }

    /// An operator blocks a prefix.
    pub fn block(
        &mut self,
        now: MonotonicMs,
        prefix: &str,
        hold_ms: Option<u64>,
    ) -> Result<(), QuestionError> {
        let prefix = Prefix::parse(prefix).ok_or(QuestionError::Malformed)?;
        let hold_ms = hold_ms.unwrap_or(self.hold_ms);
        match self.quarantine.block(now, prefix, hold_ms, BlockedBy::Operator) {
            SuspectResult::Blocked => {
                self.informed.fill(false);
                tracing::info!("a client prefix is blocked: an operator said so");
                Ok(())
            }
            SuspectResult::Full | SuspectResult::Spared | SuspectResult::Forgotten => {
                Err(QuestionError::Full)
            }
        }
    }

    /// An operator lets a prefix in again.
    pub fn unblock(&mut self, prefix: &str) -> Result<(), QuestionError> {
        let prefix = Prefix::parse(prefix).ok_or(QuestionError::Unknown)?;
        if !self.quarantine.unblock(&prefix) {
            return Err(QuestionError::Unknown);
        }
        self.informed.fill(false);
        tracing::info!("a client prefix is let in again: an operator said so");
        Ok(())
    }

    /// A session panicked soon after it began.
    pub fn on_panic(&mut self, now: MonotonicMs, prefix: &Prefix) {
        let is_suspect = self.quarantine.on_panic(now, prefix);
        if is_suspect && self.suspects.len() < PREFIXES_MAX && !self.suspects.contains(prefix) {
            self.suspects.push_back(prefix.clone());
        }
    }

    /// The next prefix whose share is to be counted.
    pub fn take_suspect(&mut self) -> Option<Prefix> {
        self.suspects.pop_front()
    }

    /// The share of a suspect is known.
    pub fn on_share(&mut self, now: MonotonicMs, share: &PrefixShare) {
        let PrefixShare { prefix, having, all } = share;
        // Names stand behind the token only, and not in a log.
        match self.quarantine.on_share(now, prefix, *having, *all) {
            SuspectResult::Blocked => {
                self.informed.fill(false);
                tracing::warn!(
                    "a client prefix is blocked for {} s: its sessions panicked soon after \
                     they began; GET /debug/quarantine names it",
                    self.hold_ms / 1_000
                );
            }
            SuspectResult::Spared => tracing::warn!(
                "sessions of a client prefix panic soon after they begin, and it stays: {having} \
                 of {all} connections have it"
            ),
            SuspectResult::Full => tracing::warn!(
                "sessions of a client prefix panic soon after they begin, and it stays: \
                 {PREFIXES_MAX} are blocked already"
            ),
            SuspectResult::Forgotten => (),
        }
    }

    /// Lets those in whose time is over.
    pub fn expire(&mut self, now: MonotonicMs) {
        if self.quarantine.expire(now) {
            self.informed.fill(false);
            tracing::info!("a client prefix is let in again: its time is over");
        }
    }

    /// Tells the cores that do not know who is blocked.
    pub fn inform(&mut self, cores: &mut CoreHandles) {
        if self.informed.iter().all(|informed| *informed) {
            return;
        }
        let blocked = self.quarantine.blocked().iter().map(|blocked| blocked.prefix.clone());
        let blocked: Arc<[Prefix]> = blocked.collect();
        for (core, informed) in self.informed.iter_mut().enumerate() {
            if !*informed {
                let command = ShardCommand::BlockedPrefixes(Arc::clone(&blocked));
                *informed = cores.try_send(core, CoreCommand::Shard(command));
            }
        }
    }
}
