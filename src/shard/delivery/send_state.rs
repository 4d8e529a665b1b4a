//! What waits for one socket and what is on its way to it, with its place on the turn's list.
//!
//! Deliberately absent: the list, and the socket.

use bytes::Bytes;

use super::{Cargo, Outbox, RoundId};
use crate::wire::Encoding;

/// What is sent to one connection. Every connection has one, so it is small.
#[derive(Debug)]
pub struct SendState {
    /// What waits for the socket.
    outbox: Outbox,
    listed: FlushIndex,
    /// Who follows the send in flight.
    round: RoundId,
    /// How the client reads, once upgraded.
    encoding: Encoding,
}

/// A place on the turn's list; `NOWHERE` when nothing is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FlushIndex(u32);

impl FlushIndex {
    /// Not on the list.
    const NOWHERE: FlushIndex = FlushIndex(u32::MAX);
}

/// It fits beside the stage of a connection.
const _: () = assert!(size_of::<SendState>() <= 24);

impl Default for SendState {
    fn default() -> SendState {
        SendState {
            outbox: Outbox::default(),
            listed: FlushIndex::NOWHERE,
            round: RoundId::NOBODY,
            encoding: Encoding::Json,
        }
    }
}

impl SendState {
    /// How the client reads.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The upgrade is done, and said this.
    pub fn set_encoding(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// What channels say waits from here on, until the client knows them.
    pub fn hold(&mut self) {
        self.outbox.hold();
    }

    /// True while a send is in flight.
    pub fn is_sending(&self) -> bool {
        self.outbox.is_sending()
    }

    /// True when nothing waits and nothing is in flight.
    pub fn is_idle(&self) -> bool {
        self.outbox.is_idle()
    }

    /// Bytes that wait or are in flight.
    pub fn bytes(&self) -> usize {
        self.outbox.bytes()
    }

    /// Bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.outbox.waiting_bytes()
    }

    /// Publications that wait or are in flight.
    pub fn publications_count(&self) -> u64 {
        self.outbox.publications_count()
    }

    /// True when a send could be given now.
    pub(super) fn is_ready(&self) -> bool {
        self.outbox.is_ready()
    }

    /// What waits, for whoever keeps the totals.
    pub(super) fn outbox_mut(&mut self) -> &mut Outbox {
        &mut self.outbox
    }

    /// The short way for a frame when nothing waits: it becomes the send in flight.
    pub(super) fn send_at_once(&mut self, frame: Bytes, cargo: Cargo, round: RoundId) -> Bytes {
        self.round = round;
        self.outbox.send_at_once(frame, cargo)
    }

    /// A send is given that is followed by this.
    pub(super) fn follow(&mut self, round: RoundId) {
        self.round = round;
    }

    /// Who followed the send that was in flight.
    pub(super) fn take_round(&mut self) -> RoundId {
        std::mem::replace(&mut self.round, RoundId::NOBODY)
    }

    /// Its place on the turn's list, if it is there.
    pub(super) fn place(&self) -> Option<usize> {
        (self.listed != FlushIndex::NOWHERE).then_some(self.listed.0 as usize)
    }

    /// It is on the list, at this place.
    pub(super) fn put_at(&mut self, place: usize) {
        self.listed = FlushIndex(place as u32);
    }

    /// It is not on the list any more.
    pub(super) fn take_off(&mut self) {
        self.listed = FlushIndex::NOWHERE;
    }
}
