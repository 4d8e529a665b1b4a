//! Why sessions end. One function turns a cause into a close code, one into a metric label,
//! and one into whose fault it is.
//!
//! Deliberately absent: commands that are refused while the session goes on (`outcome`).

use std::fmt;

use crate::metrics::{Blame, CloseReason};
use crate::wire::ErrorCode;
use crate::ws;

/// Why a session ends. Only causes that a peer, the load or the operator can
/// produce are listed; a broken invariant of ours is a panic, not a variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are no WebSocket.
    Frame(ws::FrameError),
    /// A text message on a binary connection, or the other way round.
    WrongOpcode,
    /// No command, or one that has no place here.
    BadRequest,
    /// The connection token is no good.
    InvalidToken,
    /// The connect command was answered with an error.
    Refused(ErrorCode),
    /// No connect command in time.
    Stale,
    /// The connection token expired and was not refreshed.
    Expired,
    /// What waits for this reader passed its limit.
    Slow,
    /// A channel that the server subscribed it to has a gap.
    InsufficientState,
    /// Our ping was not answered.
    NoPong,
    /// The user came by another connection, and may have only one.
    Replaced,
    /// Clients of this kind made sessions panic, and are blocked for a while.
    Quarantined,
    /// Too many commands or bytes, in spite of being told.
    TooManyRequests,
    /// Of all users of the shard it keeps most in messages of which only a part has come,
    /// and all keep too much.
    PartialMessages,
    /// Too many mistakes.
    TooManyErrors,
    /// The server goes down; the client should wait so long.
    Shutdown {
        /// Spread over the drain, so that not all come back at once.
        retry_after_ms: u32,
    },
    /// The peer said goodbye with this code; 1005 stands for none (RFC 6455, 7.1.5).
    PeerClosed(u16),
    /// The peer sends no more.
    PeerEnded,
    /// The socket is gone.
    Broken,
    /// Nothing came from the peer to the kernel for too long, and it gave up.
    PeerGone,
    /// Our own mistake, contained to this session.
    Panicked,
}

impl Fault {
    /// The one place where a cause becomes a WebSocket close code.
    pub fn close_code(self) -> u16 {
        match self {
            Fault::Frame(fault) => fault.close_code(),
            Fault::WrongOpcode => 1003,
            Fault::BadRequest => 3501,
            Fault::InvalidToken => 3500,
            // Told apart, so that the client knows whether to come back.
            Fault::Refused(code) if code.parts().2 => 3004,
            Fault::Refused(_) => 3507,
            Fault::Stale => 3502,
            Fault::Expired => 3005,
            Fault::Slow => 3008,
            Fault::InsufficientState => 3010,
            Fault::NoPong => 3012,
            // From 3500 on clients do not come back by themselves.
            Fault::Replaced => 3503,
            Fault::Quarantined => 3510,
            Fault::TooManyRequests | Fault::PartialMessages => 3013,
            Fault::TooManyErrors => 3509,
            Fault::Shutdown { .. } => 3001,
            // A close frame without a code is answered by one without an error.
            Fault::PeerClosed(1005) | Fault::PeerEnded | Fault::Broken | Fault::PeerGone => 1000,
            Fault::PeerClosed(code) => code,
            Fault::Panicked => 1011,
        }
    }

    /// The one place where a cause becomes a metric label.
    pub fn label(self) -> CloseReason {
        match self {
            Fault::Frame(_) | Fault::WrongOpcode | Fault::BadRequest | Fault::TooManyErrors => {
                CloseReason::ProtocolError
            }
            Fault::Refused(ErrorCode::Internal) => CloseReason::InternalError,
            Fault::InvalidToken | Fault::Expired | Fault::Refused(_) => CloseReason::Auth,
            Fault::Stale | Fault::NoPong => CloseReason::Timeout,
            Fault::Slow => CloseReason::SlowConsumer,
            Fault::TooManyRequests | Fault::InsufficientState => CloseReason::Overload,
            Fault::PartialMessages => CloseReason::PartialMessages,
            Fault::Shutdown { .. } => CloseReason::Shutdown,
            Fault::PeerClosed(_) | Fault::Replaced => CloseReason::Normal,
            Fault::PeerEnded | Fault::Broken => CloseReason::NetError,
            Fault::PeerGone => CloseReason::PeerGone,
            Fault::Panicked => CloseReason::Panic,
            Fault::Quarantined => CloseReason::Quarantine,
        }
    }

    /// The one place that decides who has to do something about it.
    pub fn blame(self) -> Blame {
        match self {
            Fault::Refused(ErrorCode::Internal) => Blame::Server,
            Fault::Frame(_)
            | Fault::WrongOpcode
            | Fault::BadRequest
            | Fault::InvalidToken
            | Fault::Refused(_)
            | Fault::Stale
            | Fault::Expired
            | Fault::Slow
            | Fault::NoPong
            | Fault::TooManyRequests
            | Fault::PartialMessages
            | Fault::TooManyErrors => Blame::Client,
            // Behind a quarantine are panics, and those are ours.
            Fault::Shutdown { .. }
            | Fault::InsufficientState
            | Fault::Panicked
            | Fault::Quarantined => Blame::Server,
            Fault::PeerClosed(_)
            | Fault::Replaced
            | Fault::PeerEnded
            | Fault::Broken
            | Fault::PeerGone => Blame::Nobody,
        }
    }
}

/// What the close frame says beside its code.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Fault::Frame(_) => "protocol error",
            Fault::WrongOpcode => "wrong message type",
            Fault::BadRequest => "bad request",
            Fault::InvalidToken => "invalid token",
            Fault::Refused(code) => code.parts().1,
            Fault::Stale => "stale",
            Fault::Expired => "connection expired",
            Fault::Slow => "slow",
            Fault::InsufficientState => "insufficient state",
            Fault::NoPong => "no pong",
            Fault::Replaced => "replaced by a newer connection",
            Fault::Quarantined => "quarantined",
            Fault::TooManyRequests => "too many requests",
            Fault::PartialMessages => "too many unfinished messages",
            Fault::TooManyErrors => "too many errors",
            Fault::Shutdown { retry_after_ms } => {
                return write!(f, "shutdown retry_after_ms={retry_after_ms}");
            }
            Fault::PeerClosed(_) | Fault::PeerEnded | Fault::Broken | Fault::PeerGone => {
                "connection closed"
            }
            Fault::Panicked => "internal server error",
        })
    }
}
