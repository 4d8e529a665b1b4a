//! A session before its connect command: its deadline, and the refusal of a connect command.
//!
//! Deliberately absent: a valid one (`connect`), and the state machine (`machine`).

use std::borrow::Cow;
use std::sync::Arc;

use super::asked_connect::AskedConnect;
use super::connect::{ConnectOrigin, PendingConnect};
use super::identity::StartTime24;
use super::quota::Quota;
use super::tokens::ConnectCommandError;
use super::{Context, CorePace, Options, SessionOutput};
use crate::base::limits::CONNECT_HEADER_BYTES_MAX;
use crate::base::{Deadline32, MonotonicMs};
use crate::hook::{Hook, HookHeaders};
use crate::metrics::Agent;
use crate::wire::{ConnectRequest, ErrorCode};

/// A session that waits for its connect command.
#[derive(Debug)]
pub(super) struct AwaitingConnect {
    /// The deadline. It counts from when the client could know of the upgrade, because a core
    /// that is late may send the response long after it was made. In four bytes, because every
    /// idle connection has room for it.
    deadline: Deadline32,
    response: UpgradeResponse,
    /// Why the last one was refused: commands after it are, too.
    refused: Option<ErrorCode>,
    /// Those of the upgrade that hooks get.
    headers: Option<Arc<HookHeaders>>,
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

/// What became of a connect command.
#[derive(Debug)]
pub(super) enum ConnectStep {
    /// It is refused, or the session ends.
    Refused,
    /// The application's backend is asked about the client.
    Asked(AskedConnect),
    /// It is valid.
    Begun(PendingConnect),
}

/// The connect command of a client.
pub(super) struct ConnectCommand<'r> {
    /// Its id.
    pub id: u32,
    /// What it asks for.
    pub request: ConnectRequest<'r>,
    /// The kind of program that the client is.
    pub agent: Agent,
}

impl AwaitingConnect {
    /// Of a session whose upgrade is done now.
    pub fn begin(now: MonotonicMs, options: &Options) -> AwaitingConnect {
        AwaitingConnect {
            deadline: Deadline32::at(now, now.plus_ms(options.connect_ms_max)),
            response: UpgradeResponse::Waits,
            refused: None,
            headers: None,
        }
    }

    /// Keeps the headers of the upgrade that hooks get.
    pub fn keep_headers(&mut self, headers: HookHeaders) {
        self.headers = Some(Arc::new(headers));
    }

    /// A send has left; the first one is the response to the upgrade.
    pub fn on_sent(&mut self, now: MonotonicMs, options: &Options) {
        if self.response != UpgradeResponse::Sent {
            self.response = UpgradeResponse::Sent;
            self.deadline = Deadline32::at(now, now.plus_ms(options.connect_ms_max));
        }
    }

    /// Its deadline is judged: it is put off once where the response has not left. A client that
    /// does not take the response has twice its time, and no more.
    pub fn spare_unsent(&mut self, now: MonotonicMs, options: &Options) {
        if self.deadline(now) <= now && self.response == UpgradeResponse::Waits {
            self.response = UpgradeResponse::Spared;
            self.deadline = Deadline32::at(now, now.plus_ms(options.connect_ms_max));
        }
    }

    /// The deadline.
    pub fn deadline(&self, now: MonotonicMs) -> MonotonicMs {
        self.deadline.tick(now)
    }

    /// Why the last one was refused, if one was.
    pub fn refused(&self) -> Option<ErrorCode> {
        self.refused
    }

    /// Time since the upgrade, or since its response left.
    pub fn age_ms(&self, now: MonotonicMs, options: &Options) -> u64 {
        options.connect_ms_max.saturating_sub(self.deadline(now).ms_since(now))
    }

    /// Handles the connect command.
    pub fn on_connect(
        &mut self,
        cx: &mut Context<'_>,
        command: ConnectCommand<'_>,
        quota: &mut Quota,
        out: &mut SessionOutput,
    ) -> ConnectStep {
        let ConnectCommand { id, request, agent } = command;
        if cx.load.pace == CorePace::FarBehind {
            self.refused = Some(ErrorCode::TooManyRequests);
            // It is not counted as a mistake of the client.
            out.refuse(id, ErrorCode::TooManyRequests);
            return ConnectStep::Refused;
        }
        let age_ms = self.age_ms(cx.now.tick, cx.options);
        let started_at = StartTime24::new(MonotonicMs(cx.now.tick.0.saturating_sub(age_ms)));
        let deadline = self.deadline(cx.now.tick);
        let opened_at = MonotonicMs(deadline.0.saturating_sub(cx.options.connect_ms_max));
        let origin = ConnectOrigin { opened_at, started_at };
        let headers = headers(cx, self.headers.take(), &request);
        if request.token.is_empty() && cx.options.hooks.asks(Hook::Connect) {
            let about = (origin, agent);
            return ConnectStep::Asked(AskedConnect::ask(cx, (id, request), about, headers, out));
        }
        match PendingConnect::begin(cx, (id, &request), origin) {
            Err(ConnectCommandError::Refuse(code)) => {
                self.refused = Some(code);
                quota.refuse_stranger(cx, id, code, out);
            }
            Err(ConnectCommandError::Close(fault)) => out.close(fault),
            Ok(connecting) => {
                let connecting = connecting.with_headers(cx, headers);
                let admitted = connecting.admit(cx, agent, quota, out);
                return admitted.map_or(ConnectStep::Refused, ConnectStep::Begun);
            }
        }
        ConnectStep::Refused
    }
}

/// The headers that hooks get: those of the upgrade, and those of the connect command that a list
/// of their own names. No name is in both lists.
fn headers(
    cx: &Context<'_>,
    of_upgrade: Option<Arc<HookHeaders>>,
    request: &ConnectRequest<'_>,
) -> Option<Arc<HookHeaders>> {
    let is_text = |text: &str| {
        text.len() <= CONNECT_HEADER_BYTES_MAX && !text.bytes().any(|byte| byte.is_ascii_control())
    };
    let named = |(name, text): &(Cow<'_, str>, Cow<'_, str>)| {
        let mut names = cx.options.hooks.client_headers.iter();
        let name = names.find(|one| one.eq_ignore_ascii_case(name)).filter(|_| is_text(text))?;
        Some((Box::from(name.as_str()), Box::from(text.as_bytes())))
    };
    let more: Vec<_> = request.headers.iter().filter_map(named).collect();
    if more.is_empty() {
        return of_upgrade;
    }
    let mut all =
        of_upgrade.map_or_else(HookHeaders::default, |headers| HookHeaders::clone(&headers));
    all.0.extend(more);
    Some(Arc::new(all))
}
