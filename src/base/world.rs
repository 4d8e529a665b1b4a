use bytes::Bytes;

use super::ConnId;

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
    Gone(ConnId, Ending),
}

/// How a connection ended, seen from the socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
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
    /// No new peers from here on; those waiting in the backlog are refused.
    StopAccepting,
}
