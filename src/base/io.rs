//! The interface between a core and its sockets: events in, actions out.
//!
//! Deliberately absent: its two implementations, over the kernel and simulated (`ring`).

use std::net::IpAddr;

use bytes::Bytes;

use super::{ConnId, MonotonicMs, ShardId, Timestamps};

/// What the world tells a core. The list is closed, so a core's past is a list
/// of these, and can be replayed.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A peer came in through the listener.
    Accepted(ConnId),
    /// A connection that we asked for is up (load generator only).
    Connected(ConnId),
    /// Bytes from the peer, at least one. Lent for the call, and free to be
    /// changed in place (unmasking); they go back to the kernel afterwards.
    Received(ConnId, &'a mut [u8]),
    /// The one send in flight has left wholly; the next may be given.
    Sent(ConnId),
    /// The peer will send no more, but may still read (half-closed).
    Ended(ConnId),
    /// The connection is over, and all that was lent for it is back. The last
    /// event of this `ConnId`.
    Gone(ConnId, DisconnectReason),
}

impl Event<'_> {
    /// The connection that it is of.
    pub fn conn(&self) -> ConnId {
        match *self {
            Event::Accepted(id)
            | Event::Connected(id)
            | Event::Received(id, _)
            | Event::Sent(id)
            | Event::Ended(id)
            | Event::Gone(id, _) => id,
        }
    }
}

/// How a connection ended, seen from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectReason {
    /// We asked for it by `Action::Close`.
    Closed,
    /// The peer or the network broke it.
    Reset,
    /// The kernel gave up: what was sent was not acknowledged in time.
    TimedOut,
    /// An outgoing connection was never established.
    Unreachable,
}

/// What a core asks of the world.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    /// Sends all of the bytes, in order. At most one send of a connection is in
    /// flight: the next is given after `Event::Sent`.
    Send(ConnId, Bytes),
    /// Ends the connection now; what is in flight may be lost. Answered by
    /// `Event::Gone`. For a connection that is gone already, nothing happens.
    Close(ConnId),
    /// So many new peers a turn at most from then on, and none before; the others wait in
    /// the backlog. It is `PEERS_PER_TURN_MAX` until this comes.
    PaceAccepting {
        /// A peer costs more than anything else that a turn takes.
        peers_per_turn_max: u16,
        /// None is taken before.
        from: MonotonicMs,
    },
    /// No new peers from here on; those waiting in the backlog are refused.
    StopAccepting,
}

/// What the `Io` knows of a peer from which nothing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TcpLiveness {
    /// Bytes of it that have not been received: in its socket, or because its receive waits
    /// for a buffer.
    pub has_unread: bool,
    /// How long ago its last bytes came, in ms, as far as that is known.
    pub heard_ms_ago: Option<u32>,
    /// How long ago its host acknowledged anything, in ms, as far as that is known.
    pub acknowledged_ms_ago: Option<u32>,
}

/// One core's sockets.
pub trait Io {
    /// What the clocks show; read once a turn.
    fn now(&self) -> Timestamps;

    /// Hands up to `max` finished events to `on_event`, in the order in which
    /// they happened to each connection. Returns how many.
    fn reap(&mut self, max: usize, on_event: &mut dyn FnMut(Event<'_>)) -> usize;

    /// Whether the last `reap` handed out all that had happened. A peer from which
    /// nothing came then has sent nothing that the kernel knows of.
    fn is_drained(&self) -> bool;

    /// What is known of a peer from which nothing came. A system call or two: for a few that
    /// are suspected, not for every turn.
    fn tcp_liveness(&mut self, id: ConnId) -> TcpLiveness;

    /// Where a peer is; `None` when its socket is gone. A system call: for newcomers while
    /// addresses are blocked, and for some connections of a turn when one was.
    fn address(&mut self, id: ConnId) -> Option<IpAddr>;

    /// Wakes another core of this process, at the latest with the next `submit`.
    fn wake(&mut self, neighbour: ShardId);

    /// Takes all of `work`, in one submit; what the kernel has no room for waits in here.
    fn submit(&mut self, work: &mut Vec<Action>);
}
