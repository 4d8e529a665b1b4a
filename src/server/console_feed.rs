//! What the control thread tells the operators' console: who may come in, that a drain began, and
//! what was done by signals.
//!
//! Deliberately absent: what is done about a signal (`control`).

use std::mem;

use tokio::sync::watch;

use super::ConsoleOptions;
use crate::admin::{AuditLog, ConsoleSetup};
use crate::clock::unix_ms;
use crate::console::{AuditAction, AuditEvent, AuditOutcome, AuditVia, Operators};
use crate::signals::StopSignal;

/// Why a server lets its clients go.
#[derive(Clone, Copy, Debug)]
pub(super) enum StopCause {
    /// A signal.
    Signal(StopSignal),
    /// An operator said so, at the console or by a program.
    Operator,
}

impl StopCause {
    /// What the log calls it.
    pub fn name(self) -> &'static str {
        match self {
            StopCause::Signal(signal) => signal.name(),
            StopCause::Operator => "an operator",
        }
    }
}

/// See the module.
pub(super) struct ConsoleFeed {
    operators: watch::Sender<Operators>,
    /// When a drain began, Unix ms, and how many ms it may take.
    drain: watch::Sender<Option<(u64, u64)>>,
    audit: AuditLog,
}

impl ConsoleFeed {
    /// These may come in; and what the console's pages get.
    pub fn new(options: &mut ConsoleOptions, operators: Operators) -> (ConsoleFeed, ConsoleSetup) {
        let (drain, drain_seen) = watch::channel(None);
        let setup = ConsoleSetup {
            files: options.files.take(),
            origins: mem::take(&mut options.origins),
            drain: drain_seen,
        };
        let operators = watch::channel(operators).0;
        (ConsoleFeed { operators, drain, audit: AuditLog::default() }, setup)
    }

    /// Who may come in, for those who ask.
    pub fn operators(&self) -> watch::Receiver<Operators> {
        self.operators.subscribe()
    }

    /// Where events are written down.
    pub fn audit(&self) -> AuditLog {
        self.audit.clone()
    }

    /// Keys were read again, and these may come in; none where that did not work.
    pub async fn on_reload(&self, operators: Option<Operators>) {
        let outcome = match operators {
            Some(operators) => {
                self.operators.send_replace(operators);
                AuditOutcome::Done
            }
            None => AuditOutcome::Failed("configuration"),
        };
        self.tell(AuditAction::KeysReloaded, outcome).await;
    }

    /// When a drain began, for those who ask.
    pub fn drain(&self) -> watch::Receiver<Option<(u64, u64)>> {
        self.drain.subscribe()
    }

    /// A drain begins, which may take so long. An operator's is told where they asked for it.
    pub async fn on_drain(&self, cause: StopCause, drain_ms: u64) {
        self.drain.send_replace(Some((unix_ms(), drain_ms)));
        match cause {
            StopCause::Signal(_) => self.tell(AuditAction::DrainBegun, AuditOutcome::Done).await,
            StopCause::Operator => (),
        }
    }

    /// Who sent a signal, the kernel does not say.
    async fn tell(&self, action: AuditAction, outcome: AuditOutcome) {
        let event = AuditEvent {
            unix_ms: unix_ms(),
            action,
            actor: "".into(),
            via: AuditVia::Signal,
            from: None,
            target: "".into(),
            outcome,
        };
        self.audit.tell(event).await;
    }
}
