//! The states of a session, with the data of each.
//!
//! Deliberately absent: transitions (`machine`).

use super::asked_connect::AskedConnect;
use super::awaiting_connect::AwaitingConnect;
use super::connect::PendingConnect;
use super::context::{is_long_over, is_over};
use super::heartbeat::Heartbeat;
use super::identity::Peer;
use super::peer_permissions::CommandResult;
use super::{CommandError, Context, Fault, Options};
use crate::base::limits::LOOK_AGAIN_MS;
use crate::base::{MonotonicMs, RoomId};
use crate::hook::Hook;
use crate::wire::{Command, Encoding};

/// A state holds exactly the data that it may use.
#[derive(Debug)]
pub(super) enum SessionState {
    /// It waits for the connect command.
    AwaitingConnect(AwaitingConnect),
    /// The application's backend is asked who the client is. Other commands wait, too.
    Asking(Box<AskedConnect>),
    /// The connect command waits for rooms. Other commands wait, too; over their limit they are
    /// refused as temporary.
    Connecting(Box<PendingConnect>),
    /// In.
    Ready(Peer),
    /// It has ended; input is ignored.
    Closed,
}

impl SessionState {
    /// Its identity; `None` before its connect command was valid.
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            SessionState::Ready(peer) => Some(peer),
            SessionState::Connecting(connecting) => Some(connecting.peer()),
            SessionState::AwaitingConnect(_) | SessionState::Asking(_) | SessionState::Closed => {
                None
            }
        }
    }

    /// Holds a command that follows a connect command which is not answered; `None` where there
    /// is none.
    pub fn hold_behind_connect(
        &mut self,
        encoding: Encoding,
        command: &Command<'_>,
    ) -> Option<CommandResult> {
        let held = match self {
            SessionState::Asking(asked) => asked.hold(encoding, command),
            SessionState::Connecting(connecting) => connecting.hold(encoding, command),
            SessionState::Ready(_) | SessionState::AwaitingConnect(_) | SessionState::Closed => {
                return None;
            }
        };
        Some(held.map_err(CommandError::from))
    }

    /// Holds a command that follows one which a room has not answered.
    pub fn hold_behind_room(
        &mut self,
        room: RoomId,
        encoding: Encoding,
        command: &Command<'_>,
    ) -> CommandResult {
        let SessionState::Ready(peer) = self else { return Ok(()) };
        Ok(peer.backlogs_mut().push(room, encoding, command)?)
    }

    /// A send has left.
    pub fn on_sent(&mut self, now: MonotonicMs, options: &Options) {
        if let SessionState::AwaitingConnect(awaiting) = self {
            awaiting.on_sent(now, options);
        }
    }

    /// The same as `missed_deadline`, where it is acted on: what its own core had not sent yet is
    /// no fault of the peer.
    pub fn judge_deadline(&mut self, cx: &Context<'_>) -> Option<Fault> {
        if let SessionState::AwaitingConnect(awaiting) = self {
            awaiting.spare_unsent(cx.now.tick, cx.options);
        }
        self.missed_deadline(cx)
    }

    /// The fault after a missed deadline, when everything of the peer was read.
    pub fn missed_deadline(&self, cx: &Context<'_>) -> Option<Fault> {
        match self {
            SessionState::AwaitingConnect(awaiting) => {
                (awaiting.deadline(cx.now.tick) <= cx.now.tick).then_some(Fault::Stale)
            }
            SessionState::Ready(peer) => {
                let end = peer.expires_unix_s().filter(|_| !cx.options.hooks.asks(Hook::Refresh));
                end.is_some_and(|end| is_over(cx, end)).then_some(Fault::Expired)
            }
            SessionState::Asking(_) | SessionState::Connecting(_) | SessionState::Closed => None,
        }
    }

    /// Whether that is judged as soon as everything was read, even while suspects are not checked.
    pub fn is_judged_late(&self, cx: &Context<'_>) -> bool {
        match self {
            SessionState::AwaitingConnect(awaiting) => {
                awaiting.deadline(cx.now.tick).plus_ms(cx.options.connect_ms_max) <= cx.now.tick
            }
            SessionState::Ready(peer) => {
                let end = peer.expires_unix_s().filter(|_| !cx.options.hooks.asks(Hook::Refresh));
                end.is_some_and(|end| is_long_over(cx, end))
            }
            SessionState::Asking(_) | SessionState::Connecting(_) | SessionState::Closed => false,
        }
    }

    /// Time since its upgrade, to a quarter of a second.
    pub fn age_ms(&self, now: MonotonicMs, options: &Options) -> u64 {
        match self {
            SessionState::AwaitingConnect(awaiting) => awaiting.age_ms(now, options),
            SessionState::Asking(asked) => asked.origin().started_at.age_ms(now),
            SessionState::Ready(_) | SessionState::Connecting(_) | SessionState::Closed => {
                self.peer().map_or(0, |peer| peer.started_at().age_ms(now))
            }
        }
    }

    /// What the messages cost that wait for the rest of an answer: the one to its connect
    /// command, or those to histories of several channels.
    pub fn held_answer_bytes(&self) -> usize {
        match self {
            SessionState::Connecting(connecting) => connecting.recovery_bytes(),
            SessionState::Ready(peer) => peer.held_answer_bytes(),
            SessionState::AwaitingConnect(_) | SessionState::Asking(_) | SessionState::Closed => 0,
        }
    }

    /// The time of its next timer.
    pub fn next_timer(&self, cx: &Context<'_>, heartbeat: &Heartbeat) -> MonotonicMs {
        match self {
            SessionState::AwaitingConnect(awaiting)
                if cx.now.tick < awaiting.deadline(cx.now.tick) =>
            {
                awaiting.deadline(cx.now.tick)
            }
            SessionState::AwaitingConnect(_) => cx.now.tick.plus_ms(LOOK_AGAIN_MS),
            SessionState::Asking(_) | SessionState::Connecting(_) => MonotonicMs(u64::MAX),
            SessionState::Ready(peer) => {
                let first = peer.first_expiry().map(|(_, end)| over(cx, Hook::SubRefresh, end));
                let own = peer.expires_unix_s().map(|end| over(cx, Hook::Refresh, end));
                let first_over = own.into_iter().chain(first).min();
                let looked_at = first_over.map_or(MonotonicMs(u64::MAX), |over_unix_ms| {
                    match over_unix_ms.saturating_sub(cx.now.unix_ms) {
                        0 => cx.now.tick.plus_ms(LOOK_AGAIN_MS),
                        left_ms => cx.now.tick.plus_ms(left_ms),
                    }
                });
                looked_at.min(heartbeat.due(cx))
            }
            SessionState::Closed => MonotonicMs(u64::MAX),
        }
    }
}

/// When something is looked at that ends then, Unix seconds, in Unix ms: after its grace, or at once
/// where the backend is asked about it.
fn over(cx: &Context<'_>, hook: Hook, end_unix_s: u64) -> u64 {
    let grace_ms = if cx.options.hooks.asks(hook) { 0 } else { cx.options.expiry_grace_ms };
    end_unix_s.saturating_mul(1_000).saturating_add(grace_ms)
}
