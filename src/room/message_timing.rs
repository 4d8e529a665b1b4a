//! The timing of one message, from its client to its readers: a value that travels with the
//! message between shards.
//!
//! Deliberately absent: clocks, and where measured times are counted and written.

use crate::base::{MonotonicUs, RoomId, SpanId, Timestamps, Trace, TraceId};
use crate::metrics::{Agent, ChatType};

/// The timing of one message, which travels with it between shards: one cache line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageTiming {
    /// Its trace.
    pub trace: TraceId,
    /// The span of the client, if it gave one.
    pub parent: Option<SpanId>,
    /// The span of the publish; of the delivery attempt, for a redelivery.
    pub span: SpanId,
    /// Finds it when it is acknowledged: `ack_key` of its offset.
    pub key: u64,
    /// When its command was parsed.
    pub parsed_at: MonotonicUs,
    /// When its room had given it its offset, stored it where it is durable, and began to
    /// deliver it.
    pub taken_at: MonotonicUs,
    /// From the client's sending to the parsing, in us; `UNKNOWN` when the client's
    /// clock says nothing.
    pub p2b_us: u32,
    /// The chat type of its channel.
    pub chat_type: ChatType,
    /// The user agent of its author.
    pub agent: Agent,
    /// Whether its spans are exported in any case.
    pub sampled: bool,
    /// How it came to be delivered.
    pub delivery_kind: DeliveryKind,
}

/// How a message came to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryKind {
    /// It was just published.
    First,
    /// It was just published; by its client's clock it was parsed before it was sent.
    FirstSkewed,
    /// It is sent again, or late: the measurement begins anew.
    Redelivery,
}

/// No client's clock is known.
pub const UNKNOWN: u32 = u32::MAX;

impl MessageTiming {
    /// The timing of a redelivery.
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

/// The key of a message, by channel and offset, for its acknowledgement.
pub fn ack_key(room: RoomId, offset: u64) -> u64 {
    // A room's id is a hash already; the factor spreads neighbouring offsets.
    room.fold() ^ offset.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

const _: () = assert!(size_of::<MessageTiming>() <= 64);

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::base::Csprng;

    /// A timing of a message in a group.
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
