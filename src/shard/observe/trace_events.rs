//! Trace events of single messages: spans and incidents, as values for the control thread,
//! which exports and logs them.
//!
//! Deliberately absent: message bodies, users' names, encodings.

use std::sync::Arc;

use crate::base::{Bucket, MonotonicMs, MonotonicUs, Rate, SpanId, TraceId};
use crate::metrics::{Agent, ChatType, DeliveryOutcome, PublishResult, Segment};

/// Events that wait in one shard for its lane; more are dropped and counted.
const EVENTS_MAX: usize = 1_024;

/// Incidents a second of one shard for slow messages, and as many for undelivered ones: so
/// many slow messages hide no lost ones.
const INCIDENTS_PER_S_MAX: u32 = 50;

/// A trace event. Closed.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceEvent {
    /// A step of a message's delivery.
    Span(Span),
    /// A message was slow, or did not arrive.
    Incident(MessageIncident),
}

/// A step of a message's delivery.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Its trace.
    pub trace: TraceId,
    /// Its id.
    pub id: SpanId,
    /// Its parent span.
    pub parent: Option<SpanId>,
    /// Its action.
    pub action: SpanAction,
    /// Its start.
    pub began_at: MonotonicUs,
    /// Its end.
    pub ended_at: MonotonicUs,
    /// The channel.
    pub room: ChannelLabel,
    /// Whether it failed.
    pub failed: bool,
    /// The chat type of the channel.
    pub chat_type: ChatType,
    /// The user agent of the author.
    pub agent: Agent,
}

/// The action of a span. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanAction {
    /// From the command to the first message to subscribers, at the home of the room.
    Publish {
        /// Its offset; 0 where there are none.
        offset: u64,
    },
    /// From the request to the store to its answer.
    Store,
    /// From `Publish` to the last byte for the last subscriber of one shard.
    Deliver {
        /// Connections that it is for.
        recipients: u32,
        /// Connections that did not get it.
        failed: u32,
        /// Whether it is a redelivery.
        again: bool,
    },
    /// From `Deliver` to the acknowledgement of one subscriber.
    Consume,
    /// A direct message became a dead letter.
    DeadLetter {
        /// Its offset in its conversation.
        offset: u64,
    },
}

/// A channel's name or hash, for traces and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelLabel {
    /// By its name.
    Named(Arc<str>),
    /// By half of its keyed hash: conversations and inboxes, whose names are those of
    /// users, and channels that are gone.
    Hashed(u64),
}

/// A message that was slow, or did not arrive.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageIncident {
    /// Its cause.
    pub cause: IncidentCause,
    /// Its trace.
    pub trace: TraceId,
    /// In which channel.
    pub room: ChannelLabel,
    /// The chat type of the channel.
    pub chat_type: ChatType,
    /// The user agent of the author.
    pub agent: Agent,
    /// How long each piece of the way took, in us, as far as it came; in the order of
    /// `Segment::ALL`.
    pub segments_us: [Option<u64>; 4],
}

/// The cause of an incident. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentCause {
    /// It was slow, most of the time in this segment.
    Slow(Segment),
    /// It was not delivered to all.
    Failed(DeliveryOutcome),
    /// It was refused.
    Refused(PublishResult),
}

/// Whether spans are exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanExport {
    /// They are exported.
    On,
    /// They are not.
    Off,
}

/// The trace events of a shard, oldest first.
#[derive(Debug)]
pub struct TraceEvents {
    export: SpanExport,
    waiting: Vec<TraceEvent>,
    dropped_count: u64,
    slow: Bucket,
    lost: Bucket,
}

impl TraceEvents {
    /// No events yet.
    pub fn new(export: SpanExport) -> TraceEvents {
        let (slow, lost) = (Bucket::full(), Bucket::full());
        TraceEvents { export, waiting: Vec::new(), dropped_count: 0, slow, lost }
    }

    /// Whether one more trouble of this kind may be told now.
    pub fn may_report(&mut self, now: MonotonicMs, cause: IncidentCause) -> bool {
        let rate = Rate { per_s: INCIDENTS_PER_S_MAX, burst: INCIDENTS_PER_S_MAX };
        let bucket = match cause {
            IncidentCause::Slow(_) => &mut self.slow,
            IncidentCause::Failed(_) | IncidentCause::Refused(_) => &mut self.lost,
        };
        bucket.take(now, rate, 1)
    }

    /// Adds a span, if spans are exported.
    pub fn span(&mut self, span: Span) {
        match self.export {
            SpanExport::On => self.push(TraceEvent::Span(span)),
            SpanExport::Off => (),
        }
    }

    /// Adds an incident.
    pub fn incident(&mut self, incident: MessageIncident) {
        self.push(TraceEvent::Incident(incident));
    }

    /// The waiting events; the caller takes from the front.
    pub fn waiting(&mut self) -> &mut Vec<TraceEvent> {
        &mut self.waiting
    }

    /// Takes the number of events that were dropped since the last call.
    pub fn take_dropped(&mut self) -> u64 {
        std::mem::take(&mut self.dropped_count)
    }

    fn push(&mut self, event: TraceEvent) {
        if self.waiting.len() < EVENTS_MAX {
            self.waiting.push(event);
        } else {
            self.dropped_count += 1;
        }
    }
}

const fn crosses_threads<T: Send + 'static>() {}
const _: () = crosses_threads::<TraceEvent>();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Csprng, Trace};

    fn span() -> Span {
        let trace = Trace::made(&mut Csprng::from_key([1; 16]));
        Span {
            trace: trace.id,
            id: trace.span,
            parent: None,
            action: SpanAction::Store,
            began_at: MonotonicUs(1),
            ended_at: MonotonicUs(2),
            room: ChannelLabel::Hashed(3),
            failed: false,
            chat_type: ChatType::Group,
            agent: Agent::None,
        }
    }

    #[test]
    fn what_nobody_takes_is_dropped_and_counted() {
        let mut trace_events = TraceEvents::new(SpanExport::On);
        (0..EVENTS_MAX + 3).for_each(|_| trace_events.span(span()));
        assert_eq!((trace_events.waiting().len(), trace_events.take_dropped()), (EVENTS_MAX, 3));
        assert_eq!(trace_events.take_dropped(), 0);
        trace_events.waiting().clear();
        trace_events.span(span());
        assert_eq!(trace_events.waiting().len(), 1);
        let mut quiet = TraceEvents::new(SpanExport::Off);
        quiet.span(span());
        assert!(quiet.waiting().is_empty(), "nobody wants spans");
    }

    #[test]
    fn incidents_are_limited_by_the_second() {
        let mut trace_events = TraceEvents::new(SpanExport::On);
        let slow = IncidentCause::Slow(Segment::Queue);
        let refused = IncidentCause::Refused(PublishResult::Failed);
        let mut told = |ms, cause| {
            (0..1_000).filter(|_| trace_events.may_report(MonotonicMs(ms), cause)).count()
        };
        assert_eq!(told(0, slow), 50);
        assert_eq!(told(500, slow), 25);
        assert_eq!(told(500, refused), 50, "what is slow takes no place of what is lost");
    }
}
