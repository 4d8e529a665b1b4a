//! What a shard has to tell of single messages: spans, and what went wrong. Values for
//! the control thread, which sends them on and writes lines.
//!
//! Deliberately absent: message bodies, users' names, encodings.

use std::sync::Arc;

use crate::base::{Bucket, MonotonicMs, MonotonicUs, Rate, SpanId, TraceId};
use crate::metrics::{Agent, ChatType, DeliveryOutcome, PublishResult, Segment};

/// Notes that wait in one shard for its lane; what comes more is dropped and counted.
const EVENTS_MAX: usize = 1_024;

/// Messages a second of one shard whose way is told because they were slow, and as many
/// because they did not arrive: the many that are slow on a bad day hide none of those.
const INCIDENTS_PER_S_MAX: u32 = 50;

/// Something to be told. Closed.
#[derive(Clone, Debug, PartialEq)]
pub enum TraceEvent {
    /// A step of a message's way.
    Span(Span),
    /// A message was slow, or did not arrive.
    Incident(MessageIncident),
}

/// A step of a message's way.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Of which trace.
    pub trace: TraceId,
    /// Which one it is.
    pub id: SpanId,
    /// What it belongs to.
    pub parent: Option<SpanId>,
    /// What was done.
    pub action: SpanAction,
    /// From when,
    pub began_at: MonotonicUs,
    /// to when.
    pub ended_at: MonotonicUs,
    /// For which channel.
    pub room: ChannelLabel,
    /// Whether it came to nothing.
    pub failed: bool,
    /// What kind of channel it is.
    pub chat_type: ChatType,
    /// What the author's program is.
    pub agent: Agent,
}

/// What a span is about. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanAction {
    /// From the command to the first letter to subscribers, at the home of the room.
    Publish {
        /// The place that it got; 0 where there are none.
        offset: u64,
    },
    /// From the request to the store to its answer.
    Store,
    /// From there to the last byte for the last subscriber of one shard.
    Deliver {
        /// To how many connections.
        recipients: u32,
        /// How many of them did not get it.
        failed: u32,
        /// Whether it was said before.
        again: bool,
    },
    /// From there to the acknowledgement of one subscriber.
    Consume,
    /// A direct message was given up.
    DeadLetter {
        /// Its place in its conversation.
        offset: u64,
    },
}

/// A channel, as it may be told.
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
    /// What went wrong.
    pub cause: IncidentCause,
    /// Of which trace.
    pub trace: TraceId,
    /// In which channel.
    pub room: ChannelLabel,
    /// What kind of channel it is.
    pub chat_type: ChatType,
    /// What the author's program is.
    pub agent: Agent,
    /// How long each piece of the way took, in us, as far as it came; in the order of
    /// `Segment::ALL`.
    pub segments_us: [Option<u64>; 4],
}

/// What went wrong. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentCause {
    /// It was slow, and most of it here.
    Slow(Segment),
    /// Somebody did not get it.
    Failed(DeliveryOutcome),
    /// It could not be taken.
    Refused(PublishResult),
}

/// Whether anybody wants spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanExport {
    /// They are sent on.
    On,
    /// Nobody does.
    Off,
}

/// What a shard has to tell, in order.
#[derive(Debug)]
pub struct TraceEvents {
    export: SpanExport,
    waiting: Vec<TraceEvent>,
    dropped_count: u64,
    slow: Bucket,
    lost: Bucket,
}

impl TraceEvents {
    /// Nothing to tell yet.
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

    /// A step, if anybody wants to know.
    pub fn span(&mut self, span: Span) {
        match self.export {
            SpanExport::On => self.push(TraceEvent::Span(span)),
            SpanExport::Off => (),
        }
    }

    /// Something went wrong.
    pub fn incident(&mut self, incident: MessageIncident) {
        self.push(TraceEvent::Incident(incident));
    }

    /// What waits, for whoever takes from the front what has room.
    pub fn waiting(&mut self) -> &mut Vec<TraceEvent> {
        &mut self.waiting
    }

    /// How many were dropped since the last call.
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
