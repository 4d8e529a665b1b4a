//! A session before its connect command: its deadline, and the refusal of a connect command.
//!
//! Deliberately absent: a valid one (`connect`), and the state machine (`machine`).

use super::connect::PendingConnect;
use super::identity::StartTime24;
use super::quota::Quota;
use super::tokens::ConnectCommandError;
use super::{Context, CorePace, Fault, Options, SessionOutput};
use crate::base::MonotonicMs;
use crate::metrics::Agent;
use crate::wire::{ConnectRequest, ErrorCode};

/// A session that waits for its connect command.
#[derive(Debug)]
pub(super) struct AwaitingConnect {
    /// The deadline. It counts from when the client could know of the upgrade, because a core
    /// that is late may send the response long after it was made.
    deadline: MonotonicMs,
    response: UpgradeResponse,
    /// Why the last one was refused: commands after it are, too.
    refused: Option<ErrorCode>,
}

/// Where the response to the upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UpgradeResponse {
    /// It has not left.
    Waits,
    /// It has not left, and the deadline was put off for that.
    Spared,
    /// It has left.
    Sent,
}

/// The connect command of a client.
pub(super) struct ConnectCommand<'c, 'r> {
    /// Its id.
    pub id: u32,
    /// What it asks for.
    pub request: &'c ConnectRequest<'r>,
    /// The kind of program that the client is.
    pub agent: Agent,
}

impl AwaitingConnect {
    /// Of a session whose upgrade is done now.
    pub fn begin(now: MonotonicMs, options: &Options) -> AwaitingConnect {
        AwaitingConnect {
            deadline: now.plus_ms(options.connect_ms_max),
            response: UpgradeResponse::Waits,
            refused: None,
        }
    }

    /// A send has left; the first one is the response to the upgrade.
    pub fn on_sent(&mut self, now: MonotonicMs, options: &Options) {
        if self.response != UpgradeResponse::Sent {
            self.response = UpgradeResponse::Sent;
            self.deadline = now.plus_ms(options.connect_ms_max);
        }
    }

    /// Its deadline is judged: it is put off once where the response has not left. A client that
    /// does not take the response has twice its time, and no more.
    pub fn spare_unsent(&mut self, now: MonotonicMs, options: &Options) {
        if self.deadline <= now && self.response == UpgradeResponse::Waits {
            self.response = UpgradeResponse::Spared;
            self.deadline = now.plus_ms(options.connect_ms_max);
        }
    }

    /// The deadline.
    pub fn deadline(&self) -> MonotonicMs {
        self.deadline
    }

    /// Why the last one was refused, if one was.
    pub fn refused(&self) -> Option<ErrorCode> {
        self.refused
    }

    /// Time since the upgrade, or since its response left.
    pub fn age_ms(&self, now: MonotonicMs, options: &Options) -> u64 {
        options.connect_ms_max.saturating_sub(self.deadline.ms_since(now))
    }

    /// Handles the connect command. Returns the pending connect, if it is valid.
    pub fn on_connect(
        &mut self,
        cx: &mut Context<'_>,
        command: &ConnectCommand<'_, '_>,
        quota: &mut Quota,
        out: &mut SessionOutput,
    ) -> Option<PendingConnect> {
        let &ConnectCommand { id, request, agent } = command;
        if cx.load.pace == CorePace::FarBehind {
            self.refused = Some(ErrorCode::TooManyRequests);
            // It is not counted as a mistake of the client.
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
                if let Some(kind) = connecting.refusal(cx) {
                    out.close(Fault::Blocked(kind));
                    return None;
                }
                quota.on_admitted();
                out.count_unsupported(connecting.unsupported());
                return Some(connecting);
            }
        }
        None
    }
}
