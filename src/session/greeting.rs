//! Before a session is let in: until when its connect command has to come, and what becomes of
//! one that is refused.
//!
//! Deliberately absent: what a good one begins (`connect`), and when it is looked at
//! (`machine`).

use super::connect::PendingConnect;
use super::identity::StartTime24;
use super::quota::Quota;
use super::tokens::ConnectCommandError;
use super::{Context, CorePace, Fault, Options, SessionOutput};
use crate::base::MonotonicMs;
use crate::metrics::Agent;
use crate::wire::{ConnectRequest, ErrorCode};

/// A connect command has to come.
#[derive(Debug)]
pub(super) struct Greeting {
    /// By then.
    deadline: MonotonicMs,
    /// Why one was refused: what came behind it is, too.
    refused: Option<ErrorCode>,
}

impl Greeting {
    /// The greeting of a session whose upgrade is done now.
    pub fn begin(now: MonotonicMs, options: &Options) -> Greeting {
        Greeting { deadline: now.plus_ms(options.connect_ms_max), refused: None }
    }

    /// By when a connect command has to come.
    pub fn deadline(&self) -> MonotonicMs {
        self.deadline
    }

    /// Why the last one was refused, if one was.
    pub fn refused(&self) -> Option<ErrorCode> {
        self.refused
    }

    /// How long ago the upgrade was done.
    pub fn age_ms(&self, now: MonotonicMs, options: &Options) -> u64 {
        options.connect_ms_max.saturating_sub(self.deadline.ms_since(now))
    }

    /// The connect command. Gives what it begins, if it is good.
    pub fn on_connect(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: &ConnectRequest<'_>,
        agent: Agent,
        quota: &mut Quota,
        out: &mut SessionOutput,
    ) -> Option<PendingConnect> {
        if cx.load.pace == CorePace::FarBehind {
            self.refused = Some(ErrorCode::TooManyRequests);
            // No mistake of the client's, so it is not counted as one.
            out.refuse(id, ErrorCode::TooManyRequests);
            return None;
        }
        let age_ms = self.age_ms(cx.now.tick, cx.options);
        let started_at = StartTime24::new(MonotonicMs(cx.now.tick.0.saturating_sub(age_ms)));
        let opened_at = MonotonicMs(self.deadline.0.saturating_sub(cx.options.connect_ms_max));
        match PendingConnect::begin(cx, id, request, opened_at, started_at) {
            Err(ConnectCommandError::Refuse(code)) => {
                self.refused = Some(code);
                quota.refuse_stranger(cx, id, code, out);
            }
            Err(ConnectCommandError::Close(fault)) => out.close(fault),
            Ok(connecting) if connecting.is_blocked(cx, agent) => out.close(Fault::Quarantined),
            Ok(connecting) => {
                quota.on_admitted();
                return Some(connecting);
            }
        }
        None
    }
}
