//! One connection as its shard keeps it: the stage it is in, its outbox, and its next timer.
//!
//! Deliberately absent: the socket, which is the plane's, and the timers' wheel.

use super::delivery::SendState;
use crate::base::{ConnId, Deadline32, MonotonicMs};
use crate::session::{Fault, Session};
use crate::wire::Encoding;
use crate::ws::Reader;

/// One connection, from its first byte to its last.
#[derive(Debug)]
pub struct Conn {
    /// Which tenant of its slot this is.
    generation: u32,
    /// When its earliest timer fires.
    wake_at: Deadline32,
    /// What waits for its socket.
    send: SendState,
    /// What it may do.
    stage: Stage,
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

/// Which stage it is, without what is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// HTTP until the head is whole.
    Upgrading,
    /// A session talks.
    Open,
    /// We said goodbye, or are about to.
    Closing,
    /// The plane was asked to end it.
    Shut,
}

/// A head that is not whole yet.
#[derive(Debug)]
pub struct Upgrading {
    /// When the socket came.
    pub since: MonotonicMs,
    /// What came of the head, when it was cut; usually nothing.
    pub head: Vec<u8>,
}

/// A connection on its way out.
#[derive(Debug)]
pub struct Closing {
    /// For the peer's close frame.
    pub reader: Reader,
    /// When patience ends.
    pub deadline: MonotonicMs,
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
    pub fn accepted(id: ConnId, now: MonotonicMs) -> Conn {
        Conn {
            generation: id.generation,
            wake_at: Deadline32::NEVER,
            send: SendState::default(),
            stage: Stage::Upgrading(Box::new(Upgrading { since: now, head: Vec::new() })),
        }
    }

    /// Which tenant of its slot this is.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What it may do.
    pub fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The same, to change.
    pub fn stage_mut(&mut self) -> &mut Stage {
        &mut self.stage
    }

    /// Which stage that is.
    pub fn stage_kind(&self) -> StageKind {
        match self.stage {
            Stage::Upgrading(_) => StageKind::Upgrading,
            Stage::Open(..) => StageKind::Open,
            Stage::Closing(_) => StageKind::Closing,
            Stage::Shut => StageKind::Shut,
        }
    }

    /// Puts back what reads its frames. False when nothing is read of it any more.
    pub fn put_reader(&mut self, reader: Reader) -> bool {
        match &mut self.stage {
            Stage::Open(place, _) => *place = reader,
            Stage::Closing(closing) => closing.reader = reader,
            Stage::Upgrading(_) | Stage::Shut => return false,
        }
        true
    }

    /// What waits for its socket.
    pub fn send(&self) -> &SendState {
        &self.send
    }

    /// The same, to change.
    #[inline]
    pub fn send_mut(&mut self) -> &mut SendState {
        &mut self.send
    }

    /// Both at once.
    #[inline]
    pub fn split(&mut self) -> (&mut Stage, &mut SendState) {
        (&mut self.stage, &mut self.send)
    }

    /// Whether a timer will fire for it.
    pub fn has_timer(&self) -> bool {
        self.wake_at != Deadline32::NEVER
    }

    /// Lets a timer fire at `at`. Returns when, unless an earlier one is set.
    pub fn wake(&mut self, now: MonotonicMs, at: MonotonicMs) -> Option<MonotonicMs> {
        if self.wake_at.tick(now) <= at {
            return None;
        }
        self.wake_at = Deadline32::at(now, at);
        Some(self.wake_at.tick(now))
    }

    /// A timer fires. False when an earlier one took over from it.
    pub fn fire(&mut self, now: MonotonicMs) -> bool {
        let is_due = self.wake_at.tick(now) <= now;
        if is_due {
            self.wake_at = Deadline32::NEVER;
        }
        is_due
    }

    /// The upgrade is done.
    pub fn open(&mut self, encoding: Encoding, session: Session) {
        self.send.set_encoding(encoding);
        self.stage = Stage::Open(Reader::new(), session);
    }

    /// The connection is on its way out, unless its socket is gone already.
    pub fn begin_closing(&mut self, deadline: MonotonicMs, goodbye: Option<Goodbye>) {
        let reader = match &mut self.stage {
            Stage::Open(reader, _) => std::mem::take(reader),
            Stage::Upgrading(_) | Stage::Closing(_) | Stage::Shut => Reader::new(),
        };
        self.stage = match goodbye {
            Some(goodbye) => Stage::Closing(Box::new(Closing { reader, deadline, goodbye })),
            None => Stage::Shut,
        };
    }

    /// Whether everything was said, or patience is over: then the plane is to end it.
    pub fn finish_closing(&mut self) -> bool {
        let Stage::Closing(closing) = &self.stage else { return false };
        let is_over = match closing.goodbye {
            Goodbye::Awaited => false,
            Goodbye::Said => self.send.is_idle(),
            Goodbye::Overdue => true,
        };
        if is_over {
            self.stage = Stage::Shut;
        }
        is_over
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
