//! The listening sockets of one core, and how many accepts each has under way.
//!
//! Deliberately absent: what becomes of a peer that was accepted, and how fast peers should
//! be taken (the shard's).

use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

use crate::base::MonotonicMs;
use crate::base::limits::PEERS_PER_TURN_MAX;
use crate::metrics::AcceptFailure;

use super::super::socket;
use super::super::token::{RequestKind, UserData};
use super::super::uring::{Completion, Uring};

/// How long accepting rests when the kernel has no descriptor or memory left.
const REST_MS: u64 = 100;

/// The listeners of one core, and how many peers they take now.
///
/// Peers are accepted one by one, so many a turn as the core says: who waits in the
/// backlog costs nothing, and a storm does not become one turn.
///
/// Invariant: a door that is open has as many accepts under way as `arm` gives it in
/// each turn, so accepting never stops silently; all doors together have no more than
/// there is room for connections.
#[derive(Debug)]
pub(super) struct Acceptors {
    doors: Vec<Door>,
    peers_per_turn_max: u16,
    /// Nobody is taken before.
    from: Option<MonotonicMs>,
}

#[derive(Debug)]
struct Door {
    /// Closed when the door is shut and the kernel has answered its accepts.
    listener: Option<TcpListener>,
    state: State,
    /// Accepts that the kernel has not answered.
    armed: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Takes peers.
    Open,
    /// The kernel ran out of something; tried again then, or when one leaves.
    Resting(MonotonicMs),
    /// One more accept will be tried. Those under way do not notice that a peer waits.
    Retrying,
    /// It was, and has no outcome yet.
    Retried,
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

impl Default for Acceptors {
    fn default() -> Acceptors {
        Acceptors { doors: Vec::new(), peers_per_turn_max: PEERS_PER_TURN_MAX, from: None }
    }
}

impl Acceptors {
    pub fn add(&mut self, listener: TcpListener) {
        self.doors.push(Door { listener: Some(listener), state: State::Open, armed: 0 });
    }

    /// From `from` on so many peers a turn, and none before.
    pub fn pace(&mut self, peers_per_turn_max: u16, from: MonotonicMs) {
        self.peers_per_turn_max = peers_per_turn_max;
        self.from = Some(from);
    }

    /// Begins this turn's accepts: each door has its part of them, and all have no
    /// more than `room`.
    pub fn arm(&mut self, uring: &mut Uring, now: MonotonicMs, room: u32) {
        if self.from.is_some_and(|from| now < from) {
            return;
        }
        self.from = None;
        let mut armed: u32 = self.doors.iter().map(|door| u32::from(door.armed)).sum();
        let part = (usize::from(self.peers_per_turn_max) / self.doors.len().max(1)).max(1);
        for (number, door) in self.doors.iter_mut().enumerate() {
            if matches!(door.state, State::Resting(until) if until <= now) {
                door.state = State::Retrying;
            }
            let Some(listener) = &door.listener else { continue };
            let wanted = match door.state {
                State::Open => part.saturating_sub(usize::from(door.armed)),
                State::Retrying => 1,
                State::Resting(_) | State::Retried | State::Shut => 0,
            };
            for _ in 0..wanted {
                if room <= armed {
                    return;
                }
                uring.accept(
                    UserData::plain(RequestKind::Accept, number as u32),
                    listener.as_raw_fd(),
                );
                armed += 1;
                door.armed += 1;
                if door.state == State::Retrying {
                    door.state = State::Retried;
                }
            }
        }
    }

    /// A connection has gone: what the kernel ran out of may be there again.
    pub fn retry(&mut self) {
        for door in &mut self.doors {
            if let State::Resting(_) = door.state {
                door.state = State::Retrying;
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
            door.listener.take_if(|_| door.armed == 0);
        }
    }

    /// When accepting wants to be tried again though nothing happens.
    pub fn retry_at(&self) -> Option<MonotonicMs> {
        let rests = self.doors.iter().filter_map(|door| match door.state {
            State::Resting(until) => Some(until),
            State::Open | State::Retrying | State::Retried | State::Shut => None,
        });
        rests.chain(self.from).min()
    }

    /// Takes note of an answer to an accept.
    pub fn accepted(&mut self, done: Completion, now: MonotonicMs) -> Accepted {
        let door = &mut self.doors[done.token.id().slot as usize];
        door.armed -= 1;
        door.listener.take_if(|_| door.state == State::Shut && door.armed == 0);
        if 0 <= done.result {
            if door.state == State::Shut {
                socket::close(done.result);
                return Accepted::Nobody;
            }
            door.state = State::Open;
            return Accepted::Peer(done.result);
        }
        match (-done.result, door.state) {
            (_, State::Shut) | (libc::ECANCELED, _) => Accepted::Nobody,
            // The peer gave up while it waited, or the call was interrupted.
            (libc::ECONNABORTED | libc::EINTR | libc::EAGAIN, State::Retried) => {
                door.state = State::Retrying;
                Accepted::Nobody
            }
            (libc::ECONNABORTED | libc::EINTR | libc::EAGAIN, _) => Accepted::Nobody,
            // Descriptors or memory, mostly; resting is right for the unknown, too.
            (errno, State::Open | State::Resting(_) | State::Retrying | State::Retried) => {
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
