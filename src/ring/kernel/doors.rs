use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

use crate::base::Tick;
use crate::metrics::AcceptFailure;

use super::super::socket;
use super::super::token::{Kind, Token};
use super::super::uring::{Completion, Uring};

/// How long accepting rests when the kernel has no descriptor or memory left.
const REST_MS: u64 = 100;

/// The listeners of one core, and whether they take peers now.
///
/// Invariant: a door whose multishot accept is under way is `armed`; one that is
/// open and not armed gets armed by `open`, so accepting never stops silently.
#[derive(Debug, Default)]
pub(super) struct Doors {
    doors: Vec<Door>,
}

#[derive(Debug)]
struct Door {
    /// Closed when the door is shut and the kernel has answered its accept.
    listener: Option<TcpListener>,
    state: State,
    armed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Takes peers.
    Open,
    /// The plane has as many connections as it may have.
    Held,
    /// The kernel ran out of something; tried again then, or when one leaves.
    Resting(Tick),
    /// Never again.
    Shut,
}

/// What came of one answer to an accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    Peer(RawFd),
    Nobody,
    Failed(AcceptFailure),
}

impl Doors {
    pub fn add(&mut self, listener: TcpListener) {
        self.doors.push(Door { listener: Some(listener), state: State::Open, armed: false });
    }

    /// Arms every open door that is not.
    pub fn open(&mut self, uring: &mut Uring) {
        for (number, door) in self.doors.iter_mut().enumerate() {
            if door.state == State::Open
                && !door.armed
                && let Some(listener) = &door.listener
            {
                door.armed = true;
                let token = Token::plain(Kind::Accept, number as u32);
                uring.accept(token, listener.as_raw_fd());
            }
        }
    }

    /// Tries again after a hold or a rest.
    pub fn knock(&mut self, uring: &mut Uring) {
        for door in &mut self.doors {
            match door.state {
                State::Held | State::Resting(_) => door.state = State::Open,
                State::Open | State::Shut => {}
            }
        }
        self.open(uring);
    }

    /// Takes nobody until `knock`; those who come wait in the backlog.
    pub fn hold(&mut self, uring: &mut Uring) {
        for (number, door) in self.doors.iter_mut().enumerate() {
            if door.state == State::Open {
                door.state = State::Held;
                if door.armed {
                    uring.cancel(Token::plain(Kind::Accept, number as u32));
                }
            }
        }
    }

    /// Takes nobody ever again; those in the backlog are refused. Shutting down
    /// works also where another descriptor table holds the listener open.
    pub fn shut(&mut self) {
        for door in &mut self.doors {
            door.state = State::Shut;
            if let Some(listener) = &door.listener {
                socket::shut_down(listener.as_raw_fd());
            }
            door.listener.take_if(|_| !door.armed);
        }
    }

    /// When a resting door wants to be tried again.
    pub fn retry_at(&self) -> Option<Tick> {
        let rests = self.doors.iter().filter_map(|door| match door.state {
            State::Resting(until) => Some(until),
            State::Open | State::Held | State::Shut => None,
        });
        rests.min()
    }

    /// Takes note of an answer to a multishot accept.
    pub fn accepted(&mut self, done: Completion, now: Tick) -> Accepted {
        let door = &mut self.doors[done.token.id().slot as usize];
        door.armed &= done.more();
        door.listener.take_if(|_| door.state == State::Shut && !door.armed);
        if 0 <= done.result {
            if door.state == State::Shut {
                socket::close(done.result);
                return Accepted::Nobody;
            }
            return Accepted::Peer(done.result);
        }
        match (-done.result, door.state) {
            (_, State::Shut) | (libc::ECANCELED, _) => Accepted::Nobody,
            // The peer gave up while it waited, or the call was interrupted.
            (libc::ECONNABORTED | libc::EINTR | libc::EAGAIN, _) => Accepted::Nobody,
            // Descriptors or memory, mostly; resting is right for the unknown, too.
            (errno, State::Open | State::Held | State::Resting(_)) => {
                door.state = State::Resting(now.plus_ms(REST_MS));
                Accepted::Failed(match errno {
                    libc::EMFILE | libc::ENFILE => AcceptFailure::Descriptors,
                    libc::ENOMEM | libc::ENOBUFS => AcceptFailure::Memory,
                    _ => AcceptFailure::Other,
                })
            }
        }
    }
}
