//! The `user_data` of requests, which names the request of a completion.
//!
//! Invariant: the generation of the slot is part of it, so a completion for an earlier connection
//! is recognised.

use crate::base::ConnId;

/// What a completion belongs to. Travels through the kernel as `user_data`:
/// 8 bits of kind, 24 of generation, 32 of slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct UserData(pub u64);

/// The kinds of request that a ring has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestKind {
    /// An accept of one peer; the slot is the listener's number.
    Accept,
    /// The receive of a connection: multishot, or of one buffer.
    Receive,
    /// The one send of a connection.
    Send,
    /// An outgoing connection.
    Connect,
    /// Multishot poll: the waker's descriptor was written to.
    Bell,
    /// A message to the ring of another core, whose number is the slot; it is answered only when it
    /// failed.
    Wake,
    /// No request of this ring: a message of another core.
    Woken,
    /// A request whose result is in another completion (cancel).
    NoReply,
}

const KINDS: [RequestKind; 8] = [
    RequestKind::Accept,
    RequestKind::Receive,
    RequestKind::Send,
    RequestKind::Connect,
    RequestKind::Bell,
    RequestKind::Wake,
    RequestKind::Woken,
    RequestKind::NoReply,
];

/// Bits of a generation; the next one after the last is 0.
pub(super) const GENERATION_BITS: u32 = 24;

impl UserData {
    /// A request of the connection `id`.
    pub fn of(kind: RequestKind, id: ConnId) -> UserData {
        debug_assert!(id.generation < 1 << GENERATION_BITS);
        UserData((kind as u64) << 56 | u64::from(id.generation) << 32 | u64::from(id.slot))
    }

    /// A request of the ring itself; `number` tells several apart.
    pub fn plain(kind: RequestKind, number: u32) -> UserData {
        UserData::of(kind, ConnId { slot: number, generation: 0 })
    }

    /// The kind of the request.
    pub fn kind(self) -> RequestKind {
        KINDS[(self.0 >> 56) as usize]
    }

    /// The connection of the request, or the number given to `plain`.
    pub fn id(self) -> ConnId {
        let generation = (self.0 >> 32) as u32 & ((1 << GENERATION_BITS) - 1);
        ConnId { slot: self.0 as u32, generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_into_a_token_comes_out() {
        for kind in KINDS {
            for (slot, generation) in [(0, 0), (u32::MAX, (1 << GENERATION_BITS) - 1), (7, 9)] {
                let id = ConnId { slot, generation };
                let token = UserData::of(kind, id);
                assert_eq!((token.kind(), token.id()), (kind, id));
            }
        }
    }
}
