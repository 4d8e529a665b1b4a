//! The listening sockets of one core, and their accepts in flight.
//!
//! Deliberately absent: accepted peers, and the rate of accepting (the shard).

use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

use crate::base::MonotonicMs;
use crate::base::limits::PEERS_PER_TURN_MAX;
use crate::metrics::AcceptFailure;

use super::super::socket;
use super::super::uring::{Completion, Uring};
use super::super::user_data::{RequestKind, UserData};

/// The pause when the kernel has no descriptor or memory left.
const BACKOFF_MS: u64 = 100;

/// The listeners of one core, with the rate of accepting.
///
/// Peers are accepted one by one, as many a turn as the core says: the backlog costs nothing, and a
/// burst does not become one turn.
///
/// Invariant: an acceptor that is open has as many accepts under way as `arm` gives it in
/// each turn, so accepting never stops silently; all together have no more than there is
/// room for connections.
#[derive(Debug)]
pub(super) struct Acceptors {
    acceptors: Vec<Acceptor>,
    peers_per_turn_max: u16,
    /// No peer is accepted before.
    from: Option<MonotonicMs>,
}

#[derive(Debug)]
struct Acceptor {
    /// Closed when the acceptor is and the kernel has answered its accepts.
    listener: Option<TcpListener>,
    state: State,
    /// Accepts in flight.
    armed: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It accepts peers.
    Open,
    /// The kernel ran out of a resource; it is tried again then, or when a connection ends.
    BackingOff(MonotonicMs),
    /// One more accept will be tried. Those in flight do not notice that a peer waits.
    Retrying,
    /// It was submitted, and has no result yet.
    Retried,
    /// Takes no peers any more.
    Closed,
}

/// The result of an accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    Peer(RawFd),
    Nobody,
    Failed(AcceptFailure),
}

impl Default for Acceptors {
    fn default() -> Acceptors {
        Acceptors { acceptors: Vec::new(), peers_per_turn_max: PEERS_PER_TURN_MAX, from: None }
    }
}

impl Acceptors {
    pub fn add(&mut self, listener: TcpListener) {
        self.acceptors.push(Acceptor { listener: Some(listener), state: State::Open, armed: 0 });
    }

    /// Accepts so many peers a turn from `from` on, and none before.
    pub fn pace(&mut self, peers_per_turn_max: u16, from: MonotonicMs) {
        self.peers_per_turn_max = peers_per_turn_max;
        self.from = Some(from);
    }

    /// Begins this turn's accepts: each acceptor has its part of them, and all have no
    /// more than `room`.
    pub fn arm(&mut self, uring: &mut Uring, now: MonotonicMs, room: u32) {
        if self.from.is_some_and(|from| now < from) {
            return;
        }
        self.from = None;
        let mut armed: u32 = self.acceptors.iter().map(|acceptor| u32::from(acceptor.armed)).sum();
        let part = (usize::from(self.peers_per_turn_max) / self.acceptors.len().max(1)).max(1);
        for (number, acceptor) in self.acceptors.iter_mut().enumerate() {
            if matches!(acceptor.state, State::BackingOff(until) if until <= now) {
                acceptor.state = State::Retrying;
            }
            let Some(listener) = &acceptor.listener else { continue };
            let wanted = match acceptor.state {
                State::Open => part.saturating_sub(usize::from(acceptor.armed)),
                State::Retrying => 1,
                State::BackingOff(_) | State::Retried | State::Closed => 0,
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
                acceptor.armed += 1;
                if acceptor.state == State::Retrying {
                    acceptor.state = State::Retried;
                }
            }
        }
    }

    /// A connection has ended: the resource that the kernel ran out of may be free again.
    pub fn resume(&mut self) {
        for acceptor in &mut self.acceptors {
            if let State::BackingOff(_) = acceptor.state {
                acceptor.state = State::Retrying;
            }
        }
    }

    /// Stops accepting; peers in the backlog are refused. Shutting down also works where another
    /// descriptor table holds the listener open.
    pub fn close(&mut self) {
        for acceptor in &mut self.acceptors {
            acceptor.state = State::Closed;
            if let Some(listener) = &acceptor.listener {
                socket::shut_down(listener.as_raw_fd());
            }
            acceptor.listener.take_if(|_| acceptor.armed == 0);
        }
    }

    /// The time of the next attempt to accept.
    pub fn retry_at(&self) -> Option<MonotonicMs> {
        let rests = self.acceptors.iter().filter_map(|acceptor| match acceptor.state {
            State::BackingOff(until) => Some(until),
            State::Open | State::Retrying | State::Retried | State::Closed => None,
        });
        rests.chain(self.from).min()
    }

    /// Handles the answer to an accept.
    pub fn accepted(&mut self, done: Completion, now: MonotonicMs) -> Accepted {
        let acceptor = &mut self.acceptors[done.token.id().slot as usize];
        acceptor.armed -= 1;
        acceptor.listener.take_if(|_| acceptor.state == State::Closed && acceptor.armed == 0);
        if 0 <= done.result {
            if acceptor.state == State::Closed {
                socket::close(done.result);
                return Accepted::Nobody;
            }
            acceptor.state = State::Open;
            return Accepted::Peer(done.result);
        }
        match (-done.result, acceptor.state) {
            (_, State::Closed) | (libc::ECANCELED, _) => Accepted::Nobody,
            // The peer gave up while it waited, or the call was interrupted.
            (libc::ECONNABORTED | libc::EINTR | libc::EAGAIN, State::Retried) => {
                acceptor.state = State::Retrying;
                Accepted::Nobody
            }
            (libc::ECONNABORTED | libc::EINTR | libc::EAGAIN, _) => Accepted::Nobody,
            // Descriptors or memory, mostly; a pause is right for unknown errors, too.
            (errno, State::Open | State::BackingOff(_) | State::Retrying | State::Retried) => {
                acceptor.state = State::BackingOff(now.plus_ms(BACKOFF_MS));
                Accepted::Failed(match errno {
                    libc::EMFILE | libc::ENFILE => AcceptFailure::Descriptors,
                    libc::ENOMEM | libc::ENOBUFS => AcceptFailure::Memory,
                    _ => AcceptFailure::Other,
                })
            }
        }
    }
}
