//! The states of a session, with the data of each.
//!
//! Deliberately absent: transitions (`machine`).

use super::awaiting_connect::AwaitingConnect;
use super::connect::PendingConnect;
use super::context::{is_long_over, is_over};
use super::heartbeat::Heartbeat;
use super::identity::Peer;
use super::{Context, Fault, Options};
use crate::base::MonotonicMs;
use crate::base::limits::LOOK_AGAIN_MS;

/// A state holds exactly the data that it may use.
#[derive(Debug)]
pub(super) enum SessionState {
    /// It waits for the connect command.
    AwaitingConnect(AwaitingConnect),
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
            SessionState::AwaitingConnect(_) | SessionState::Closed => None,
        }
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
                (awaiting.deadline() <= cx.now.tick).then_some(Fault::Stale)
            }
            SessionState::Ready(peer) => {
                let is_over = peer.expires_unix_s().is_some_and(|end| is_over(cx, end));
                is_over.then_some(Fault::Expired)
            }
            SessionState::Connecting(_) | SessionState::Closed => None,
        }
    }

    /// Whether that is judged as soon as everything was read, even while suspects are not checked.
    pub fn is_judged_late(&self, cx: &Context<'_>) -> bool {
        match self {
            SessionState::AwaitingConnect(awaiting) => {
                awaiting.deadline().plus_ms(cx.options.connect_ms_max) <= cx.now.tick
            }
            SessionState::Ready(peer) => {
                peer.expires_unix_s().is_some_and(|end| is_long_over(cx, end))
            }
            SessionState::Connecting(_) | SessionState::Closed => false,
        }
    }

    /// Time since its upgrade, to a quarter of a second.
    pub fn age_ms(&self, now: MonotonicMs, options: &Options) -> u64 {
        match self {
            SessionState::AwaitingConnect(awaiting) => awaiting.age_ms(now, options),
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
            SessionState::AwaitingConnect(_) | SessionState::Closed => 0,
        }
    }

    /// The time of its next timer.
    pub fn next_timer(&self, cx: &Context<'_>, heartbeat: &Heartbeat) -> MonotonicMs {
        match self {
            SessionState::AwaitingConnect(awaiting) if cx.now.tick < awaiting.deadline() => {
                awaiting.deadline()
            }
            SessionState::AwaitingConnect(_) => cx.now.tick.plus_ms(LOOK_AGAIN_MS),
            SessionState::Connecting(_) => MonotonicMs(u64::MAX),
            SessionState::Ready(peer) => {
                let first = peer.first_expiry().map(|(_, end)| end);
                let end = peer.expires_unix_s().into_iter().chain(first).min();
                let end = end.map_or(MonotonicMs(u64::MAX), |end_unix_s| {
                    let end_unix_ms = end_unix_s.saturating_mul(1_000);
                    let over_unix_ms = end_unix_ms.saturating_add(cx.options.expiry_grace_ms);
                    match over_unix_ms.saturating_sub(cx.now.unix_ms) {
                        0 => cx.now.tick.plus_ms(LOOK_AGAIN_MS),
                        left_ms => cx.now.tick.plus_ms(left_ms),
                    }
                });
                end.min(heartbeat.due(cx))
            }
            SessionState::Closed => MonotonicMs(u64::MAX),
        }
    }
}
