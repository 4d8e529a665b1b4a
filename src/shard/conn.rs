//! The state of one connection in its shard: its stage, its send state, and its next timer.
//!
//! Deliberately absent: the socket, which belongs to the `Io`, and the timer wheel.

use super::outbox::SendState;
use crate::base::{ConnId, Deadline32, MonotonicMs};
use crate::session::{Fault, Session};
use crate::wire::Encoding;
use crate::ws::Reader;

/// One connection, from its first byte to its last.
#[derive(Debug)]
pub struct Connection {
    /// Tells it from earlier connections in its slot.
    generation: u32,
    /// When its earliest timer fires.
    wake_at: Deadline32,
    /// Its send state.
    send: SendState,
    /// Its stage.
    stage: ConnStage,
}

/// The stage of a connection; each holds exactly the state that it needs.
#[derive(Debug)]
pub enum ConnStage {
    /// The HTTP upgrade, until its head is complete.
    Upgrading(Box<Upgrading>),
    /// A session is open.
    Open(Reader, Session),
    /// The close frame was sent, or waits; only the peer's close frame matters.
    Closing(Box<Closing>),
    /// The `Io` was asked to close it; `Event::Gone` will follow.
    Shut,
}

/// The kind of a stage, without its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageKind {
    /// The HTTP upgrade, until its head is complete.
    Upgrading,
    /// A session is open.
    Open,
    /// The close frame was sent, or waits.
    Closing,
    /// The `Io` was asked to close it.
    Shut,
}

/// An upgrade whose head is not complete.
#[derive(Debug)]
pub struct Upgrading {
    /// The time at which the socket was accepted.
    pub since: MonotonicMs,
    /// The part of the head that has come; usually empty.
    pub head: Vec<u8>,
}

/// A connection that is being closed.
#[derive(Debug)]
pub struct Closing {
    /// Reads the peer's close frame.
    pub reader: Reader,
    /// The end of the closing handshake.
    pub deadline: MonotonicMs,
    /// The state of the closing handshake.
    pub close_handshake: CloseHandshake,
}

/// The state of the closing handshake (RFC 6455, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseHandshake {
    /// The peer has yet to send its close frame.
    Waiting,
    /// The peer's close frame has come; waiting frames are still sent.
    Done,
    /// The deadline has passed; waiting frames are dropped.
    TimedOut,
}

impl Connection {
    /// A connection whose socket was just accepted.
    pub fn accepted(id: ConnId, now: MonotonicMs) -> Connection {
        Connection {
            generation: id.generation,
            wake_at: Deadline32::NEVER,
            send: SendState::default(),
            stage: ConnStage::Upgrading(Box::new(Upgrading { since: now, head: Vec::new() })),
        }
    }

    /// Tells it from earlier connections in its slot.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Its stage.
    pub fn stage(&self) -> &ConnStage {
        &self.stage
    }

    /// The same, mutable.
    pub fn stage_mut(&mut self) -> &mut ConnStage {
        &mut self.stage
    }

    /// The kind of its stage.
    pub fn stage_kind(&self) -> StageKind {
        match self.stage {
            ConnStage::Upgrading(_) => StageKind::Upgrading,
            ConnStage::Open(..) => StageKind::Open,
            ConnStage::Closing(_) => StageKind::Closing,
            ConnStage::Shut => StageKind::Shut,
        }
    }

    /// Puts back its frame reader. False when nothing is read from it any more.
    pub fn put_reader(&mut self, reader: Reader) -> bool {
        match &mut self.stage {
            ConnStage::Open(place, _) => *place = reader,
            ConnStage::Closing(closing) => closing.reader = reader,
            ConnStage::Upgrading(_) | ConnStage::Shut => return false,
        }
        true
    }

    /// Its send state.
    pub fn send(&self) -> &SendState {
        &self.send
    }

    /// The same, mutable.
    #[inline]
    pub fn send_mut(&mut self) -> &mut SendState {
        &mut self.send
    }

    /// Both at once.
    #[inline]
    pub fn split(&mut self) -> (&mut ConnStage, &mut SendState) {
        (&mut self.stage, &mut self.send)
    }

    /// Whether it has a timer.
    pub fn has_timer(&self) -> bool {
        self.wake_at != Deadline32::NEVER
    }

    /// Sets its timer to `at`. Returns the rounded time, unless an earlier timer is set.
    pub fn wake(&mut self, now: MonotonicMs, at: MonotonicMs) -> Option<MonotonicMs> {
        if self.wake_at.tick(now) <= at {
            return None;
        }
        self.wake_at = Deadline32::at(now, at);
        Some(self.wake_at.tick(now))
    }

    /// A timer fires. False when an earlier one has replaced it.
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

    /// Begins to close the connection, unless its socket is gone already.
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

    /// Ends the closing stage when the handshake is done and all frames have left, or its
    /// deadline has passed. True when the socket is to be closed.
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

/// The closing handshake that follows this end of a session; `None` when the socket is gone
/// already.
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
        | Fault::ByBackend(_)
        | Fault::Blocked(_)
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
