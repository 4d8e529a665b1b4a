//! The states of a session, what each of them holds, and what any of them says of its peer.
//!
//! Deliberately absent: what leads from one to the next (`machine`).

use super::connect::PendingConnect;
use super::context::{is_long_over, is_over};
use super::greeting::Greeting;
use super::heartbeat::Heartbeat;
use super::identity::Peer;
use super::{Context, Fault, Options};
use crate::base::MonotonicMs;
use crate::base::limits::LOOK_AGAIN_MS;

/// Each state holds exactly what that state may touch.
#[derive(Debug)]
pub(super) enum SessionState {
    /// A connect command has to come.
    Greeting(Greeting),
    /// Rooms are asked; commands meanwhile wait, and over their limit are refused
    /// as temporary.
    Connecting(Box<PendingConnect>),
    /// In.
    Ready(Peer),
    /// Over; what still comes is ignored.
    Closed,
}

impl SessionState {
    /// Who it is; nobody before its connect command was good.
    pub fn peer(&self) -> Option<&Peer> {
        match self {
            SessionState::Ready(peer) => Some(peer),
            SessionState::Connecting(connecting) => Some(connecting.peer()),
            SessionState::Greeting(_) | SessionState::Closed => None,
        }
    }

    /// Why it ends if nothing of the peer is left to be read: what had to come by now has not.
    pub fn missed_deadline(&self, cx: &Context<'_>) -> Option<Fault> {
        match self {
            SessionState::Greeting(greeting) => {
                (greeting.deadline() <= cx.now.tick).then_some(Fault::Stale)
            }
            SessionState::Ready(peer) => {
                let is_over = peer.expires_unix_s().is_some_and(|end| is_over(cx, end));
                is_over.then_some(Fault::Expired)
            }
            SessionState::Connecting(_) | SessionState::Closed => None,
        }
    }

    /// Whether that is judged all the same as soon as there is nothing more to be read,
    /// though nobody is judged now.
    pub fn is_judged_late(&self, cx: &Context<'_>) -> bool {
        match self {
            SessionState::Greeting(greeting) => {
                greeting.deadline().plus_ms(cx.options.connect_ms_max) <= cx.now.tick
            }
            SessionState::Ready(peer) => {
                peer.expires_unix_s().is_some_and(|end| is_long_over(cx, end))
            }
            SessionState::Connecting(_) | SessionState::Closed => false,
        }
    }

    /// How long ago its upgrade was done, to a quarter of a second.
    pub fn age_ms(&self, now: MonotonicMs, options: &Options) -> u64 {
        match self {
            SessionState::Greeting(greeting) => greeting.age_ms(now, options),
            SessionState::Ready(_) | SessionState::Connecting(_) | SessionState::Closed => {
                self.peer().map_or(0, |peer| peer.started_at().age_ms(now))
            }
        }
    }

    /// What the messages cost that the answer to its connect command will have.
    pub fn held_recovery_bytes(&self) -> usize {
        match self {
            SessionState::Connecting(connecting) => connecting.recovery_bytes(),
            SessionState::Greeting(_) | SessionState::Ready(_) | SessionState::Closed => 0,
        }
    }

    /// When something of it is due next.
    pub fn next_timer(&self, cx: &Context<'_>, heartbeat: &Heartbeat) -> MonotonicMs {
        match self {
            SessionState::Greeting(greeting) if cx.now.tick < greeting.deadline() => {
                greeting.deadline()
            }
            SessionState::Greeting(_) => cx.now.tick.plus_ms(LOOK_AGAIN_MS),
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
