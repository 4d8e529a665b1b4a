//! What shards tell of single messages: spans go to a collector, incidents into the log.
//!
//! A shard leaves its trace events in a lane of its own and never waits. The control thread
//! takes them a few times a second, and a collector that is gone or slow costs nothing
//! but the spans that find no room meanwhile; they are counted.
//!
//! Deliberately absent: which messages are told; shards decide that.

mod http;
mod otlp;

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::base::limits::{LANE_TRACE_EVENTS_MAX, SHARDS_MAX};
use crate::base::{Bucket, MonotonicMs, Rate, SpanId};
use crate::lane::{LaneLimits, Mailbox};
use crate::logs::Quoted;
use crate::metrics::{Counter, Segment, SharedMetricsWriter, SpanOutcome};
use crate::shard::{ChannelLabel, IncidentCause, MessageIncident, Span, TraceEvent};

pub(super) use otlp::{Collector, OtlpResource};

/// The bound of the lane of one shard. Trace events are few, and each is a batch.
pub(super) const TRACE_EVENT_LANE: LaneLimits =
    LaneLimits { batches_max: LANE_TRACE_EVENTS_MAX, batch_items_max: 1 };

/// Trace events that one look takes from all lanes.
const LOOK_EVENTS_MAX: usize = LANE_TRACE_EVENTS_MAX * SHARDS_MAX as usize;

/// Spans that wait for the collector.
const SPANS_MAX: usize = 8_192;

/// Spans that leave in one request.
const BATCH_SPANS_MAX: usize = 512;

/// How often lanes are looked into, in ms.
const LOOK_MS: u64 = 200;

/// How long the collector may take for one request, in ms.
const EXPORT_MS_MAX: u64 = 5_000;

/// After a request that failed the next one waits so long, and twice as long each
/// time, in ms.
const REST_MS_MIN: u64 = 1_000;
const REST_MS_MAX: u64 = 30_000;

/// At the end of the server, how long the last spans may take, in ms.
const SHUTDOWN_MS_MAX: u64 = 2_000;

/// Lines a second about single messages; the metrics count them all.
const LINES_PER_S_MAX: u32 = 10;

/// Spans of which it is remembered that they were told: several shards may find the
/// same message slow, and each tells how it began.
const SENT_SPANS_MAX: usize = 4_096;

/// The task that takes trace events, and how it is ended.
pub(super) struct ExporterTask {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl ExporterTask {
    /// Begins to take what shards tell.
    pub(super) fn begin(
        trace_events: Mailbox<TraceEvent>,
        collector: Option<Collector>,
        metrics: SharedMetricsWriter,
    ) -> ExporterTask {
        let (end, ended) = oneshot::channel();
        let exporter = TraceExporter::new(trace_events, collector, metrics);
        ExporterTask { end, task: tokio::spawn(exporter.run(ended)) }
    }

    /// Lets the last spans leave, for a while.
    pub(super) async fn end(self) {
        // A task that is gone has nothing left.
        let _ = self.end.send(());
        let limit = Duration::from_millis(SHUTDOWN_MS_MAX);
        if time::timeout(limit, self.task).await.is_err() {
            tracing::warn!("the last spans did not leave in time");
        }
    }
}

/// Takes trace events and passes them on.
struct TraceExporter {
    trace_events: Mailbox<TraceEvent>,
    collector: Option<Arc<Collector>>,
    metrics: SharedMetricsWriter,
    began: Instant,
    waiting: VecDeque<Span>,
    sent_spans: SentSpans,
    under_way: Option<UnderWay>,
    /// Nothing is sent before, because the last request failed.
    rests_until: Option<Instant>,
    rest_ms: u64,
    lines: Bucket,
    lines_left_out: u64,
}

struct UnderWay {
    spans: u64,
    request: JoinHandle<Result<(), String>>,
}

/// Which spans were told lately.
#[derive(Default)]
struct SentSpans {
    order: VecDeque<SpanId>,
    known: BTreeSet<SpanId>,
}

impl SentSpans {
    /// Whether it is new; it is known from then on.
    fn is_new(&mut self, id: SpanId) -> bool {
        if !self.known.insert(id) {
            return false;
        }
        self.order.push_back(id);
        if SENT_SPANS_MAX < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}

impl TraceExporter {
    fn new(
        trace_events: Mailbox<TraceEvent>,
        collector: Option<Collector>,
        metrics: SharedMetricsWriter,
    ) -> TraceExporter {
        TraceExporter {
            trace_events,
            collector: collector.map(Arc::new),
            metrics,
            began: Instant::now(),
            waiting: VecDeque::new(),
            sent_spans: SentSpans::default(),
            under_way: None,
            rests_until: None,
            rest_ms: REST_MS_MIN,
            lines: Bucket::full(),
            lines_left_out: 0,
        }
    }

    async fn run(mut self, mut ended: oneshot::Receiver<()>) {
        let mut looks = time::interval(Duration::from_millis(LOOK_MS));
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => self.look(),
                answered = answer(&mut self.under_way) => self.on_answer(answered),
                _ = &mut ended => break,
            }
            self.send();
        }
        self.look();
        self.rests_until = None;
        self.send();
        while self.under_way.is_some() {
            let answered = answer(&mut self.under_way).await;
            self.on_answer(answered);
            if self.rests_until.is_some() {
                break;
            }
            self.send();
        }
    }

    /// Takes what lies in the lanes.
    fn look(&mut self) {
        let TraceExporter { trace_events, sent_spans, waiting, .. } = self;
        let mut dropped = trace_events.take_dropped();
        let mut incidents = Vec::new();
        let mut on_event = |_, event| match event {
            TraceEvent::Incident(incident) => incidents.push(incident),
            TraceEvent::Span(span) if !sent_spans.is_new(span.id) => (),
            TraceEvent::Span(_) if SPANS_MAX <= waiting.len() => dropped += 1,
            TraceEvent::Span(span) => waiting.push_back(span),
        };
        // No shard waits for room.
        trace_events.take(LOOK_EVENTS_MAX, &mut on_event, &mut |_| ());
        self.metrics.add(Counter::Spans(SpanOutcome::Dropped), dropped);
        for incident in &incidents {
            self.log_incident(incident);
        }
    }

    /// Sends the next spans, unless some are under way.
    fn send(&mut self) {
        let Some(collector) = &self.collector else { return };
        let rests = self.rests_until.is_some_and(|until| Instant::now() < until);
        if rests || self.under_way.is_some() || self.waiting.is_empty() {
            return;
        }
        let count = self.waiting.len().min(BATCH_SPANS_MAX);
        let spans: Vec<Span> = self.waiting.drain(..count).collect();
        let (collector, spans_count) = (Arc::clone(collector), spans.len() as u64);
        let request = tokio::spawn(async move {
            let limit = Duration::from_millis(EXPORT_MS_MAX);
            match time::timeout(limit, collector.export(spans)).await {
                Ok(done) => done,
                Err(_) => Err(format!("no answer within {EXPORT_MS_MAX} ms")),
            }
        });
        self.under_way = Some(UnderWay { spans: spans_count, request });
    }

    fn on_answer(&mut self, answered: (u64, Result<(), String>)) {
        match answered {
            (spans, Ok(())) => {
                self.metrics.add(Counter::Spans(SpanOutcome::Exported), spans);
                if self.rests_until.take().is_some() {
                    tracing::info!("the collector takes spans again");
                }
                self.rest_ms = REST_MS_MIN;
            }
            (spans, Err(why)) => {
                self.metrics.add(Counter::Spans(SpanOutcome::Failed), spans);
                if self.rest_ms == REST_MS_MIN {
                    tracing::warn!("the collector does not take spans: {why}");
                }
                self.rests_until = Some(Instant::now() + Duration::from_millis(self.rest_ms));
                self.rest_ms = (self.rest_ms * 2).min(REST_MS_MAX);
            }
        }
    }

    /// Writes a line about a message, if there were not too many.
    fn log_incident(&mut self, incident: &MessageIncident) {
        let now = MonotonicMs(self.began.elapsed().as_millis() as u64);
        let rate = Rate { per_s: LINES_PER_S_MAX, burst: LINES_PER_S_MAX };
        if !self.lines.take(now, rate, 1) {
            self.lines_left_out += 1;
            return;
        }
        let left_out = std::mem::take(&mut self.lines_left_out);
        if left_out != 0 {
            tracing::warn!(left_out, "more messages were slow or did not arrive");
        }
        let MessageIncident { cause, trace, room, chat_type, agent, .. } = incident;
        let (room, segments) = (Shown(room), Segments(incident));
        let (chat_type, user_agent) = (chat_type.word(), agent.word());
        match cause {
            IncidentCause::Slow(segment) => tracing::warn!(
                trace_id = %trace, %room, chat_type, user_agent, segment = segment.word(),
                %segments, "a message was slow"
            ),
            IncidentCause::Failed(outcome) => tracing::warn!(
                trace_id = %trace, %room, chat_type, user_agent, outcome = outcome.word(),
                %segments, "a message did not reach everybody"
            ),
            IncidentCause::Refused(result) => tracing::warn!(
                trace_id = %trace, %room, chat_type, user_agent, result = result.word(),
                %segments, "a message could not be kept"
            ),
        }
    }
}

/// The answer to the request under way; never, if there is none.
async fn answer(under_way: &mut Option<UnderWay>) -> (u64, Result<(), String>) {
    let Some(UnderWay { spans, request }) = under_way else { return std::future::pending().await };
    let spans = *spans;
    let answered = match request.await {
        Ok(answered) => answered,
        Err(error) => Err(error.to_string()),
    };
    *under_way = None;
    (spans, answered)
}

/// A channel, fit for a line.
struct Shown<'a>(&'a ChannelLabel);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ChannelLabel::Named(name) => Quoted(name.as_bytes()).fmt(f),
            ChannelLabel::Hashed(hash) => write!(f, "~{hash:016x}"),
        }
    }
}

/// The pieces of a message's way, as far as it came.
struct Segments<'a>(&'a MessageIncident);

impl fmt::Display for Segments<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = Segment::ALL.iter().zip(self.0.segments_us);
        let known = known.filter_map(|(segment, us)| Some((segment.word(), us?)));
        for (index, (word, us)) in known.enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}{word}={:.1}ms", us as f64 / 1e3)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
