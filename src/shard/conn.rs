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
pub struct Connection {
    /// Which tenant of its slot this is.
    generation: u32,
    /// When its earliest timer fires.
    wake_at: Deadline32,
    /// What waits for its socket.
    send: SendState,
    /// What it may do.
    stage: ConnStage,
}

/// Each stage holds exactly what it may touch.
#[derive(Debug)]
pub enum ConnStage {
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
    pub close_handshake: CloseHandshake,
}

/// Whose turn it is in the closing handshake (RFC 6455, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHandshake {
    /// The peer has yet to say it.
    Waiting,
    /// Nothing more will come that matters; what waits still leaves.
    Done,
    /// Patience is over; what has not left will not.
    TimedOut,
}

impl Connection {
    /// A socket that just came.
    pub fn accepted(id: ConnId, now: MonotonicMs) -> Connection {
        Connection {
            generation: id.generation,
            wake_at: Deadline32::NEVER,
            send: SendState::default(),
            stage: ConnStage::Upgrading(Box::new(Upgrading { since: now, head: Vec::new() })),
        }
    }

    /// Which tenant of its slot this is.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What it may do.
    pub fn stage(&self) -> &ConnStage {
        &self.stage
    }

    /// The same, to change.
    pub fn stage_mut(&mut self) -> &mut ConnStage {
        &mut self.stage
    }

    /// Which stage that is.
    pub fn stage_kind(&self) -> StageKind {
        match self.stage {
            ConnStage::Upgrading(_) => StageKind::Upgrading,
            ConnStage::Open(..) => StageKind::Open,
            ConnStage::Closing(_) => StageKind::Closing,
            ConnStage::Shut => StageKind::Shut,
        }
    }

    /// Puts back what reads its frames. False when nothing is read of it any more.
    pub fn put_reader(&mut self, reader: Reader) -> bool {
        match &mut self.stage {
            ConnStage::Open(place, _) => *place = reader,
            ConnStage::Closing(closing) => closing.reader = reader,
            ConnStage::Upgrading(_) | ConnStage::Shut => return false,
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
    pub fn split(&mut self) -> (&mut ConnStage, &mut SendState) {
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
        self.stage = ConnStage::Open(Reader::new(), session);
    }

    /// The connection is on its way out, unless its socket is gone already.
    pub fn begin_closing(
        &mut self,
        deadline: MonotonicMs,
        close_handshake: Option<CloseHandshake>,
    ) {
        let reader = match &mut self.stage {
            ConnStage::Open(reader, _) => std::mem::take(reader),
            ConnStage::Upgrading(_) | ConnStage::Closing(_) | ConnStage::Shut => Reader::new(),
        };
        self.stage = match close_handshake {
            Some(close_handshake) => {
                ConnStage::Closing(Box::new(Closing { reader, deadline, close_handshake }))
            }
            None => ConnStage::Shut,
        };
    }

    /// Whether everything was said, or patience is over: then the plane is to end it.
    pub fn finish_closing(&mut self) -> bool {
        let ConnStage::Closing(closing) = &self.stage else { return false };
        let is_over = match closing.close_handshake {
            CloseHandshake::Waiting => false,
            CloseHandshake::Done => self.send.is_idle(),
            CloseHandshake::TimedOut => true,
        };
        if is_over {
            self.stage = ConnStage::Shut;
        }
        is_over
    }
}

/// What is waited for after a session ended this way; `None` when the socket is
/// gone already.
pub fn close_handshake(fault: Fault) -> Option<CloseHandshake> {
    match fault {
        Fault::Broken | Fault::PeerGone => None,
        Fault::PeerClosed(_) | Fault::PeerEnded => Some(CloseHandshake::Done),
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
        | Fault::PartialMessages
        | Fault::TooManyErrors
        | Fault::Shutdown { .. }
        | Fault::Panicked => Some(CloseHandshake::Waiting),
    }
}

/// Idle connections are what a server of this kind is full of: a field more in
/// here is megabytes there.
const _: () = assert!(size_of::<Option<Connection>>() <= 128);
