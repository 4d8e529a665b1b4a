//! One connection of the load generator, as small as it can be: a million of
//! them share a machine with the server that is measured.

use bytes::{Bytes, BytesMut};
use rookery::base::{Action, ConnId};
use rookery::ws::Reader;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is none.
    Absent,
    /// TCP is under way.
    Dialing,
    /// The upgrade was asked for.
    Upgrading,
    /// Connect and subscribe were asked for.
    Joining,
    /// In its room.
    Live,
    /// Was asked to prove that it lives.
    Proving,
    /// Has proved it.
    Proved,
    /// Was closed by us.
    Leaving,
}

impl State {
    /// Whether the connection is on its way into its room.
    pub fn is_handshake(self) -> bool {
        match self {
            State::Dialing | State::Upgrading | State::Joining => true,
            State::Absent | State::Live | State::Proving | State::Proved | State::Leaving => false,
        }
    }

    /// Whether the connection is in its room.
    pub fn is_in(self) -> bool {
        match self {
            State::Live | State::Proving | State::Proved => true,
            State::Absent | State::Dialing | State::Upgrading | State::Joining | State::Leaving => {
                false
            }
        }
    }
}

/// One connection. What only some have lies elsewhere: half an upgrade's
/// answer with the worker, bytes that wait in a box.
#[derive(Debug)]
pub struct Peer {
    /// The ring's name for it; of the last one while `Absent`.
    pub conn: ConnId,
    /// How far it is.
    pub state: State,
    /// Whether a send is in flight.
    is_sending: bool,
    /// How often it was dialed.
    pub attempt: u16,
    /// The id of its last command.
    pub last_id: u32,
    /// The last message that it saw in its room. Outlives the connection.
    pub offset: u64,
    /// Reads frames; owns nothing between messages.
    pub reader: Reader,
    /// What is sent when the send in flight has left.
    waiting: Option<Box<BytesMut>>,
}

impl Default for Peer {
    fn default() -> Peer {
        Peer {
            conn: ConnId { slot: u32::MAX, generation: u32::MAX },
            state: State::Absent,
            is_sending: false,
            attempt: 0,
            last_id: 0,
            offset: 0,
            reader: Reader::new(),
            waiting: None,
        }
    }
}

impl Peer {
    /// Begins a new connection in the same place of the scenario.
    pub fn dialed(&mut self, conn: ConnId) {
        let attempt = self.attempt.wrapping_add(1);
        let offset = self.offset;
        *self = Peer { conn, state: State::Dialing, attempt, offset, ..Peer::default() };
    }

    /// Sends now, or behind what is in flight.
    pub fn send(&mut self, bytes: Bytes, work: &mut Vec<Action>) {
        if self.is_sending {
            self.waiting.get_or_insert_default().extend_from_slice(&bytes);
        } else {
            self.is_sending = true;
            work.push(Action::Send(self.conn, bytes));
        }
    }

    /// What was in flight has left.
    pub fn sent(&mut self, work: &mut Vec<Action>) {
        assert!(self.is_sending, "nothing was in flight");
        self.is_sending = false;
        if let Some(waiting) = self.waiting.take() {
            self.send(waiting.freeze(), work);
        }
    }

    /// Ends the connection, because we want to.
    pub fn leave(&mut self, work: &mut Vec<Action>) {
        self.state = State::Leaving;
        work.push(Action::Close(self.conn));
    }

    /// The next command's id.
    pub fn next_id(&mut self) -> u32 {
        self.last_id = self.last_id.wrapping_add(1).max(1);
        self.last_id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_most_one_send_is_in_flight_and_the_rest_leaves_together() {
        let (mut peer, mut work) = (Peer::default(), Vec::new());
        let conn = ConnId { slot: 1, generation: 2 };
        peer.dialed(conn);
        for part in ["a", "b", "c"] {
            peer.send(Bytes::from_static(part.as_bytes()), &mut work);
        }
        assert_eq!(work, [Action::Send(conn, "a".into())]);
        peer.sent(&mut work);
        assert_eq!(work[1..], [Action::Send(conn, "bc".into())]);
        peer.sent(&mut work);
        assert_eq!(work.len(), 2);
    }

    #[test]
    fn a_million_of_them_are_small() {
        assert!(size_of::<Peer>() <= 56, "{}", size_of::<Peer>());
    }
}
