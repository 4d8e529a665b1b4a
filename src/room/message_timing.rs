//! What is measured of one message, from its client to its readers: a value that travels in
//! the letters which carry the message.
//!
//! Deliberately absent: clocks, and where measured times are counted and written.

use crate::base::{MonotonicUs, RoomId, SpanId, Timestamps, Trace, TraceId};
use crate::metrics::{Agent, ChatType};

/// What is measured of one message, as a value in the letters that carry it: one
/// cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTiming {
    /// Its trace.
    pub trace: TraceId,
    /// The span of the client that said it, if it gave one.
    pub parent: Option<SpanId>,
    /// The span of its being said; of the try, for one that is sent again.
    pub span: SpanId,
    /// Finds it again when it is acknowledged: `ack_key` of its place.
    pub key: u64,
    /// When its command was parsed.
    pub parsed_at: MonotonicUs,
    /// When its room had given it its place, stored it where it is stored, and began
    /// to deliver it.
    pub taken_at: MonotonicUs,
    /// From the client's sending to the parsing, in us; `UNKNOWN` when the client's
    /// clock says nothing.
    pub p2b_us: u32,
    /// What kind of channel it is said in.
    pub chat_type: ChatType,
    /// What its author's program is.
    pub agent: Agent,
    /// Whether its steps are written down whatever becomes of it.
    pub sampled: bool,
    /// How it came here.
    pub delivery_kind: DeliveryKind,
}

/// How a message came to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryKind {
    /// It was just said.
    First,
    /// It was just said, and by its client's clock before it was sent.
    FirstSkewed,
    /// It was said before, and is sent again, or late: what is measured begins anew.
    Redelivery,
}

/// No client's clock is known.
pub const UNKNOWN: u32 = u32::MAX;

impl MessageTiming {
    /// The way of a message that was said before, from here on.
    pub fn again(
        now: Timestamps,
        trace: Trace,
        span: SpanId,
        chat_type: ChatType,
    ) -> MessageTiming {
        MessageTiming {
            trace: trace.id,
            parent: Some(trace.span),
            span,
            key: 0,
            parsed_at: now.moment,
            taken_at: now.moment,
            p2b_us: UNKNOWN,
            chat_type,
            agent: Agent::None,
            sampled: true,
            delivery_kind: DeliveryKind::Redelivery,
        }
    }

    /// When its client sent it, as far as that is known; else when it was parsed.
    pub fn sent_at(&self) -> MonotonicUs {
        match self.p2b_us {
            UNKNOWN => self.parsed_at,
            known => self.parsed_at.minus_us(u64::from(known)),
        }
    }
}

/// Where a message is found again when it is acknowledged: by its channel and offset.
pub fn ack_key(room: RoomId, offset: u64) -> u64 {
    // A room's id is a hash already; the factor spreads neighbouring offsets.
    room.fold() ^ offset.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

const _: () = assert!(size_of::<MessageTiming>() <= 64);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::Csprng;

    /// Of a message in a group.
    pub fn timing() -> MessageTiming {
        let trace = Trace::made(&mut Csprng::from_key([1; 16]));
        let again = MessageTiming::again(Timestamps::default(), trace, trace.span, ChatType::Group);
        MessageTiming { parent: None, sampled: false, delivery_kind: DeliveryKind::First, ..again }
    }

    #[test]
    fn a_timing_begins_where_its_client_sent_the_message_if_that_is_known() {
        let parsed = MessageTiming { parsed_at: MonotonicUs(5_000), ..timing() };
        assert_eq!(parsed.sent_at(), MonotonicUs(5_000));
        assert_eq!(MessageTiming { p2b_us: 4_000, ..parsed }.sent_at(), MonotonicUs(1_000));
        assert_eq!(MessageTiming { p2b_us: 9_000, ..parsed }.sent_at(), MonotonicUs(0));
    }
}
