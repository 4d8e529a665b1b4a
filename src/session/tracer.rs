//! Begins the measurement of a message: its trace, whether it is sampled, and its delay from the
//! client.
//!
//! Deliberately absent: counters, and exporting spans.

use super::clocks::{ClientClocks, ClockSample};
use crate::base::{Bucket, ConnId, Csprng, MonotonicMs, Origin, Rate, SpanId, Timestamps, Trace};
use crate::metrics::{Agent, ChatType};
use crate::room::{DeliveryKind, MessageTiming, UNKNOWN};
use crate::wire::trace_of;

/// The settings of tracing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracerOptions {
    /// Whether spans are exported.
    pub exports: bool,
    /// So many of a million messages are told, by their trace id.
    pub sample_per_million: u32,
    /// Most messages a second of one shard that are sampled by their trace id, or because their
    /// client wants it; 0 for no limit.
    pub sampled_per_s_max: u32,
}

impl Default for TracerOptions {
    fn default() -> TracerOptions {
        TracerOptions { exports: false, sample_per_million: 1_000, sampled_per_s_max: 100 }
    }
}

/// The tracer that the sessions of a shard share.
#[derive(Debug)]
pub struct Tracer {
    options: TracerOptions,
    clocks: ClientClocks,
    sampled: Bucket,
}

/// The data about a message that a tracer needs.
pub(super) struct TracedMessage<'m> {
    pub(super) tags: &'m [(Box<str>, Box<str>)],
    pub(super) sent_at_unix_ms: Option<u64>,
    pub(super) chat_type: ChatType,
    pub(super) agent: Agent,
}

impl Tracer {
    /// A tracer without clocks.
    pub fn new(options: TracerOptions) -> Tracer {
        Tracer { options, clocks: ClientClocks::default(), sampled: Bucket::full() }
    }

    /// Takes the round trip of a heartbeat.
    pub(super) fn on_round_trip(&mut self, now: MonotonicMs, conn: ConnId, took_ms: u64) {
        self.clocks.on_round_trip(now, conn, took_ms);
    }

    /// Removes a connection.
    pub fn forget(&mut self, conn: ConnId) {
        self.clocks.forget(conn);
    }

    /// Begins the timing of a message.
    pub(super) fn begin(
        &mut self,
        now: Timestamps,
        ids: &mut Csprng,
        conn: ConnId,
        traced: &TracedMessage<'_>,
    ) -> (Trace, MessageTiming) {
        let trace = trace_of(traced.tags).unwrap_or_else(|| Trace::made(ids));
        let sample = traced.sent_at_unix_ms.map(|sent| self.clocks.record(now, conn, sent));
        let (p2b_us, delivery_kind) = match sample {
            None | Some(ClockSample::Unknown) => (UNKNOWN, DeliveryKind::First),
            Some(ClockSample::Took { us }) => (us, DeliveryKind::First),
            Some(ClockSample::Skewed) => (0, DeliveryKind::FirstSkewed),
        };
        let timing = MessageTiming {
            trace: trace.id,
            parent: trace.parent(),
            span: trace.parent().map_or(trace.span, |_| SpanId::made(ids)),
            key: 0,
            parsed_at: now.moment,
            taken_at: now.moment,
            p2b_us,
            chat_type: traced.chat_type,
            agent: traced.agent,
            sampled: self.is_sampled(now.tick, trace),
            delivery_kind,
        };
        (trace, timing)
    }

    /// Sampled by the trace id, so that others who decide by it decide the same; or because a
    /// client wants it. The client controls both, so both have a limit.
    fn is_sampled(&mut self, now: MonotonicMs, trace: Trace) -> bool {
        let TracerOptions { exports, sample_per_million, sampled_per_s_max } = self.options;
        if !exports {
            return false;
        }
        let below = ((u128::from(sample_per_million) << 56) / 1_000_000) as u64;
        let wanted = match trace.origin {
            Origin::Client { wishes: true } => true,
            Origin::Client { wishes: false } | Origin::Server => trace.id.chance() < below,
        };
        let rate = Rate { per_s: sampled_per_s_max, burst: sampled_per_s_max };
        wanted && self.sampled.take(now, rate, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::TRACE_TAG;

    const CONN: ConnId = ConnId { slot: 1, generation: 1 };

    fn tracer(sample_per_million: u32, sampled_per_s_max: u32) -> Tracer {
        Tracer::new(TracerOptions { exports: true, sample_per_million, sampled_per_s_max })
    }

    fn begin(
        tracer: &mut Tracer,
        ids: &mut Csprng,
        traceparent: Option<&str>,
    ) -> (Trace, MessageTiming) {
        let tags: Vec<(Box<str>, Box<str>)> =
            traceparent.map(|text| (TRACE_TAG.into(), text.into())).into_iter().collect();
        let traced = TracedMessage {
            tags: &tags,
            sent_at_unix_ms: None,
            chat_type: ChatType::Group,
            agent: Agent::Other,
        };
        tracer.begin(Timestamps::at(MonotonicMs(9), 9), ids, CONN, &traced)
    }

    #[track_caller]
    fn check_share(sample_per_million: u32, want: std::ops::Range<usize>) {
        let (mut tracer, mut ids) = (tracer(sample_per_million, 0), Csprng::from_key([6; 16]));
        let mut sampled = || begin(&mut tracer, &mut ids, None).1.sampled;
        let count = (0..10_000).filter(|_| sampled()).count();
        assert!(want.contains(&count), "{count} of 10,000");
    }

    #[test]
    fn as_many_are_sampled_as_wanted() {
        check_share(0, 0..1);
        check_share(10_000, 70..130);
        check_share(500_000, 4_800..5_200);
        check_share(1_000_000, 10_000..10_001);
    }

    #[test]
    fn a_wish_is_fulfilled_up_to_the_limit() {
        let given = |flags| format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        let (mut tracer, mut ids) = (tracer(0, 3), Csprng::from_key([6; 16]));
        let mut sampled = |flags| begin(&mut tracer, &mut ids, Some(&given(flags))).1.sampled;
        assert!(!sampled("00"));
        assert_eq!([(); 5].map(|()| sampled("01")), [true, true, true, false, false]);
        let mut off = Tracer::new(TracerOptions::default());
        assert!(!begin(&mut off, &mut ids, Some(&given("01"))).1.sampled, "nobody wants spans");
    }

    #[test]
    fn the_first_span_hangs_under_the_clients_or_is_the_first() {
        let (mut tracer, mut ids) = (tracer(0, 0), Csprng::from_key([6; 16]));
        let given = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
        let (trace, timing) = begin(&mut tracer, &mut ids, Some(given));
        assert_eq!((timing.trace, timing.parent), (trace.id, Some(trace.span)));
        assert_ne!(timing.span, trace.span);
        let (trace, timing) = begin(&mut tracer, &mut ids, None);
        assert_eq!((timing.trace, timing.parent, timing.span), (trace.id, None, trace.span));
    }
}
