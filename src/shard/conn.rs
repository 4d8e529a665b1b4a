//! One connection as its shard keeps it: the stage it is in, its outbox, and its next timer.
//!
//! Deliberately absent: the socket, which is the plane's, and the timers' wheel.

use super::delivery::{Outbox, RoundId};
use crate::base::{ConnId, Soon, Tick};
use crate::session::{Fault, Session};
use crate::wire::Encoding;
use crate::ws::Reader;

/// One connection, from its first byte to its last.
#[derive(Debug)]
pub struct Conn {
    /// Which tenant of its slot this is.
    pub generation: u32,
    /// How it speaks, once upgraded.
    pub encoding: Encoding,
    /// Who follows its send in flight.
    pub round: RoundId,
    /// Its place on the turn's list of those with something to send.
    pub listed: Listed,
    /// When its earliest timer fires.
    pub wake_at: Soon,
    /// What waits for its socket.
    pub outbox: Outbox,
    /// What it may do.
    pub stage: Stage,
}

/// A place on the turn's list; `NOWHERE` when nothing is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed(pub u32);

impl Listed {
    /// Not on the list.
    pub const NOWHERE: Listed = Listed(u32::MAX);
}

/// Each stage holds exactly what it may touch.
#[derive(Debug)]
pub enum Stage {
    /// HTTP until the head is whole.
    Upgrading(Box<Upgrading>),
    /// A session talks.
    Open(Reader, Session),
    /// We said goodbye, or are about to; only the peer's goodbye matters.
    Closing(Box<Closing>),
    /// The plane was asked to end it; `Gone` will follow.
    Shut,
}

/// A head that is not whole yet.
#[derive(Debug)]
pub struct Upgrading {
    /// When the socket came.
    pub since: Tick,
    /// What came of the head, when it was cut; usually nothing.
    pub head: Vec<u8>,
}

/// A connection on its way out.
#[derive(Debug)]
pub struct Closing {
    /// For the peer's close frame.
    pub reader: Reader,
    /// When patience ends.
    pub deadline: Tick,
    /// What is waited for, beyond the last byte having left.
    pub goodbye: Goodbye,
}

/// Whose turn it is in the closing handshake (RFC 6455, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The peer has yet to say it.
    Awaited,
    /// Nothing more will come that matters; what waits still leaves.
    Said,
    /// Patience is over; what has not left will not.
    Overdue,
}

impl Conn {
    /// A socket that just came.
    pub fn accepted(id: ConnId, now: Tick) -> Conn {
        Conn {
            generation: id.generation,
            encoding: Encoding::Json,
            round: RoundId::NOBODY,
            listed: Listed::NOWHERE,
            wake_at: Soon::NEVER,
            outbox: Outbox::default(),
            stage: Stage::Upgrading(Box::new(Upgrading { since: now, head: Vec::new() })),
        }
    }
}

/// What is waited for after a session ended this way; `None` when the socket is
/// gone already.
pub fn goodbye(fault: Fault) -> Option<Goodbye> {
    match fault {
        Fault::Broken | Fault::PeerGone => None,
        Fault::PeerClosed(_) | Fault::PeerEnded => Some(Goodbye::Said),
        Fault::Frame(_)
        | Fault::WrongOpcode
        | Fault::BadRequest
        | Fault::InvalidToken
        | Fault::Refused(_)
        | Fault::Stale
        | Fault::Expired
        | Fault::Slow
        | Fault::InsufficientState
        | Fault::NoPong
        | Fault::Replaced
        | Fault::Quarantined
        | Fault::TooManyRequests
        | Fault::HalfMessages
        | Fault::TooManyErrors
        | Fault::Shutdown { .. }
        | Fault::Panicked => Some(Goodbye::Awaited),
    }
}

/// Idle connections are what a server of this kind is full of: a field more in
/// here is megabytes there.
const _: () = assert!(size_of::<Option<Conn>>() <= 128);
