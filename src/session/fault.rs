//! The causes of a session's end. One function maps a cause to a close code, one to a metric label,
//! and one to whose fault it is.
//!
//! Deliberately absent: commands that are refused while the session goes on (`outcome`).

use std::fmt;

use crate::metrics::{Blame, BlockKind, CloseReason};
use crate::wire::ErrorCode;
use crate::ws;

/// Why a session ends. The list has only causes that a peer, the load or the operator can produce;
/// a broken invariant is a panic, and no variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes violate the WebSocket protocol.
    Frame(ws::FrameError),
    /// A text message on a binary connection, or the other way round.
    WrongOpcode,
    /// A message is no command, or one that is not allowed in this state.
    BadRequest,
    /// The connection token is invalid.
    InvalidToken,
    /// The connect command was answered with an error.
    Refused(ErrorCode),
    /// The connect command did not come in time.
    Stale,
    /// The connection token expired and was not refreshed.
    Expired,
    /// The outbox of this reader exceeded its limit.
    Slow,
    /// A channel that the server subscribed it to has a gap.
    InsufficientState,
    /// A ping was not answered.
    NoPong,
    /// The user has a newer connection, and may have only one.
    Replaced,
    /// A backend closes it, with this code; the shard knows its reason.
    ByBackend(u16),
    /// The user or the address is blocked, or the token revoked.
    Blocked(BlockKind),
    /// Clients of this kind made sessions panic, and are blocked for a while.
    Quarantined,
    /// Too many commands or bytes, in spite of refusals.
    TooManyRequests,
    /// Incomplete messages exceed their limit, and this user has most of them.
    PartialMessages,
    /// Too many errors.
    TooManyErrors,
    /// The server shuts down; the client should wait before it reconnects.
    Shutdown {
        /// The time to wait, which is spread so that not all clients come back at once.
        retry_after_ms: u32,
    },
    /// The peer sent a close frame with this code; 1005 stands for none (RFC 6455, 7.1.5).
    PeerClosed(u16),
    /// The peer has closed its direction of the connection.
    PeerEnded,
    /// The socket is gone.
    Broken,
    /// Nothing came from the peer to the kernel for too long, and it gave up.
    PeerGone,
    /// A panic, contained to this session.
    Panicked,
}

impl Fault {
    /// The WebSocket close code.
    pub fn close_code(self) -> u16 {
        match self {
            Fault::Frame(fault) => fault.close_code(),
            Fault::WrongOpcode => 1003,
            Fault::BadRequest => 3501,
            Fault::InvalidToken | Fault::Blocked(BlockKind::UserTokens | BlockKind::Token) => 3500,
            // They differ, so that the client knows whether to reconnect.
            Fault::Refused(code) if code.parts().2 => 3004,
            Fault::Refused(_) => 3507,
            Fault::Stale => 3502,
            Fault::Expired => 3005,
            Fault::Slow => 3008,
            Fault::InsufficientState => 3010,
            Fault::NoPong => 3012,
            // With codes from 3500 on clients do not reconnect by themselves.
            Fault::Replaced | Fault::Blocked(BlockKind::User | BlockKind::Address) => 3503,
            Fault::ByBackend(code) => code,
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

    /// The metric label.
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
            Fault::ByBackend(_) | Fault::Blocked(_) => CloseReason::Backend,
            Fault::PeerEnded | Fault::Broken => CloseReason::NetError,
            Fault::PeerGone => CloseReason::PeerGone,
            Fault::Panicked => CloseReason::Panic,
            Fault::Quarantined => CloseReason::Quarantine,
        }
    }

    /// Whose fault it is.
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
            // A quarantine is caused by panics, which are the server's fault.
            Fault::Shutdown { .. }
            | Fault::InsufficientState
            | Fault::Panicked
            | Fault::Quarantined => Blame::Server,
            Fault::PeerClosed(_)
            | Fault::Replaced
            | Fault::ByBackend(_)
            | Fault::Blocked(_)
            | Fault::PeerEnded
            | Fault::Broken
            | Fault::PeerGone => Blame::Nobody,
        }
    }
}

/// The reason in the close frame.
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
            Fault::ByBackend(_) => "force disconnect",
            Fault::Blocked(BlockKind::User | BlockKind::Address) => "blocked",
            Fault::Blocked(BlockKind::UserTokens | BlockKind::Token) => "token revoked",
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
