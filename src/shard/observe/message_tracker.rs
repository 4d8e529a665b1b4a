//! Measurement of messages: observations, counters and trace events at each step.
//!
//! Deliberately absent: how sends are counted (`delivery`), and what a session comes to.

use std::rc::Rc;

use super::flights::note_message;
use super::trace_events::{
    ChannelLabel, IncidentCause, MessageIncident, Span, SpanAction, SpanExport, TraceEvents,
};
use super::{DeliveredMessage, RecentDeliveries};
use crate::base::{Csprng, MonotonicUs, RoomId, SpanId, Timestamps};
use crate::metrics::{
    ChatType, Counter, DeliveryOutcome, Direction, Exemplar, Histogram, MetricsWriter,
    PublishResult, Sampled, Segment, Tenant, TenantCounter, TenantHistogram, TenantOutcome,
};
use crate::room::{DeliveryKind, MessageStep, MessageTiming, Rooms, UNKNOWN};
use crate::shard::batches::FanoutBatch;
use crate::shard::fanout::Channels;
use crate::shard::options::TracingOptions;

/// The state of messages between the steps of their delivery.
pub struct MessageTracker {
    /// What was delivered and may be acknowledged.
    recent: RecentDeliveries,
    /// Whether anybody here ever acknowledged a message.
    has_seen_acks: bool,
    /// From when on a message is slow, in us.
    slow_us: u64,
    /// What there is to tell of single messages.
    trace_events: TraceEvents,
    metrics: Rc<MetricsWriter>,
}

impl MessageTracker {
    /// No message yet.
    pub fn new(options: &TracingOptions, metrics: Rc<MetricsWriter>) -> MessageTracker {
        let export = if options.tracer.exports { SpanExport::On } else { SpanExport::Off };
        MessageTracker {
            recent: RecentDeliveries::default(),
            has_seen_acks: false,
            slow_us: u64::from(options.slow_ms) * 1_000,
            trace_events: TraceEvents::new(export),
            metrics,
        }
    }

    /// What there is to tell of single messages.
    pub fn trace_events(&mut self) -> &mut TraceEvents {
        &mut self.trace_events
    }

    /// The moment of an observation. Identities come from those of the sessions.
    pub fn observing<'o>(
        &'o mut self,
        now: Timestamps,
        rooms: &'o Rooms,
        channels: &'o Channels,
        ids: &'o mut Csprng,
    ) -> Observing<'o> {
        Observing { now, tracker: self, channels, rooms, ids }
    }

    /// These will not get it: they are counted as recipients, too, who were not yet.
    pub fn count(&mut self, chat_type: ChatType, outcome: DeliveryOutcome, count: u64) {
        self.metrics.add(Counter::Recipients, count);
        self.metrics.add(Counter::Delivered(chat_type, outcome), count);
    }
}

/// The moment of an observation, with all that it needs of others: names of channels, and
/// identities for spans.
pub struct Observing<'o> {
    now: Timestamps,
    tracker: &'o mut MessageTracker,
    channels: &'o Channels,
    rooms: &'o Rooms,
    ids: &'o mut Csprng,
}

impl Observing<'_> {
    /// Which moment it is.
    pub fn now(&self) -> Timestamps {
        self.now
    }

    /// A room did something to a message.
    pub fn on_step(&mut self, step: MessageStep) {
        match step {
            MessageStep::Taken { room, offset, timing, given_at } => {
                self.on_taken(room, offset, timing, given_at);
            }
            MessageStep::Refused { room, timing } => {
                let segments_us =
                    [p2b_us(&timing), Some(self.now.moment.us_since(timing.parsed_at)), None, None];
                let cause = IncidentCause::Refused(PublishResult::Failed);
                if self.tracker.trace_events.may_report(self.now.tick, cause) {
                    self.incident(cause, room, &timing, segments_us);
                    let action = SpanAction::Publish { offset: 0 };
                    let span = self.span(room, &timing, action, timing.parsed_at, self.now.moment);
                    self.tracker.trace_events.span(Span { failed: true, ..span });
                }
            }
            MessageStep::Waits => {
                self.tracker.count(ChatType::OneToOne, DeliveryOutcome::OfflineStored, 1)
            }
            MessageStep::Again { .. } => self.tracker.metrics.add(Counter::Retries, 1),
            MessageStep::GivenUp { room, offset, trace } => {
                self.tracker.count(ChatType::OneToOne, DeliveryOutcome::DeadLetter, 1);
                let Some(trace) = trace else { return };
                let cause = IncidentCause::Failed(DeliveryOutcome::DeadLetter);
                if self.tracker.trace_events.may_report(self.now.tick, cause) {
                    let id = SpanId::made(self.ids);
                    let timing = MessageTiming::again(self.now, trace, id, ChatType::OneToOne);
                    self.incident(cause, room, &timing, [None; 4]);
                    let action = SpanAction::DeadLetter { offset };
                    let span = self.span(room, &timing, action, self.now.moment, self.now.moment);
                    self.tracker.trace_events.span(Span {
                        failed: true,
                        parent: timing.parent,
                        ..span
                    });
                }
            }
        }
    }

    fn on_taken(
        &mut self,
        room: RoomId,
        offset: u64,
        timing: MessageTiming,
        given_at: Option<MonotonicUs>,
    ) {
        let queue_us = timing.taken_at.us_since(timing.parsed_at);
        self.observe(Histogram::Segment(Segment::Queue), queue_us, room, &timing);
        if let Some(p2b_us) = p2b_us(&timing) {
            self.observe(Histogram::Segment(Segment::P2b), p2b_us, room, &timing);
        }
        self.tracker.metrics.add(
            Counter::ClockSkewClamped,
            u64::from(timing.delivery_kind == DeliveryKind::FirstSkewed),
        );
        let sampled = if timing.sampled { Sampled::Yes } else { Sampled::No };
        self.tracker.metrics.add(Counter::TraceSampled(sampled), 1);
        let cause = IncidentCause::Slow(Segment::Queue);
        let is_slow = self.tracker.slow_us <= queue_us
            && self.tracker.trace_events.may_report(self.now.tick, cause);
        if is_slow {
            let segments_us = [p2b_us(&timing), Some(queue_us), None, None];
            self.incident(cause, room, &timing, segments_us);
        }
        if timing.sampled || is_slow {
            let action = SpanAction::Publish { offset };
            let publish = self.span(room, &timing, action, timing.parsed_at, timing.taken_at);
            self.tracker.trace_events.span(publish);
            if let Some(given_at) = given_at {
                let store = self.span(room, &timing, SpanAction::Store, given_at, timing.taken_at);
                self.tracker.trace_events.span(store);
            }
        }
    }

    /// A publication found no room in the lane to a shard.
    pub fn on_lost_in_lane(&mut self, room: RoomId, timing: &MessageTiming, members: u64) {
        self.tracker.count(timing.chat_type, DeliveryOutcome::Failed, members);
        let cause = IncidentCause::Failed(DeliveryOutcome::Failed);
        if 0 < members && self.tracker.trace_events.may_report(self.now.tick, cause) {
            let queue_us = timing.taken_at.us_since(timing.parsed_at);
            self.incident(cause, room, timing, [p2b_us(timing), Some(queue_us), None, None]);
        }
    }

    /// The author of a message is answered.
    pub fn on_posted(&mut self, room: RoomId, tenant: Option<Tenant>, timing: &MessageTiming) {
        if let Some(tenant) = tenant {
            self.tracker.metrics.add_tenant(tenant, TenantCounter::Published, 1);
        }
        let took_us = self.now.moment.us_since(timing.sent_at());
        let e2e = Histogram::E2e(timing.chat_type, Direction::Send);
        self.observe(e2e, took_us, room, timing);
    }

    /// The sends of a batch were submitted.
    pub fn on_given(&mut self, batch: &FanoutBatch, sends: u32) {
        for timing in &batch.timings {
            // In a room hardly anybody acknowledges, and where somebody does others will.
            if timing.chat_type == ChatType::OneToOne || self.tracker.has_seen_acks {
                let FanoutBatch { room, given_at, .. } = *batch;
                let message = DeliveredMessage {
                    timing: *timing,
                    room,
                    given_at,
                    left_at: None,
                    awaited: sends,
                };
                self.tracker.recent.insert(self.now.moment, message);
            }
        }
    }

    /// The last send of a batch is over.
    pub fn on_batch(&mut self, batch: &FanoutBatch) {
        let has_left = batch.failed < batch.recipients;
        self.count_of_tenant(batch);
        if has_left {
            self.tracker.recent.left(self.now.moment, &batch.timings);
            if batch.timings.first().is_some_and(|timing| timing.chat_type == ChatType::Broadcast) {
                let took_us = self.now.moment.us_since(batch.given_at);
                self.tracker.metrics.observe(Histogram::Broadcast, took_us);
            }
        }
        for timing in &batch.timings {
            let b2c_us = self.now.moment.us_since(timing.taken_at);
            let end2end_us = self.now.moment.us_since(timing.parsed_at);
            let queue_us = timing.taken_at.us_since(timing.parsed_at);
            if has_left {
                let b2c = Histogram::Segment(Segment::B2c);
                self.observe(b2c, b2c_us, batch.room, timing);
                if timing.delivery_kind != DeliveryKind::Redelivery {
                    self.observe(Histogram::EndToEnd, end2end_us, batch.room, timing);
                }
            }
            // What was slow at home was told there.
            let is_slow = queue_us < self.tracker.slow_us && self.tracker.slow_us <= end2end_us;
            let is_bad = is_slow || 0 < batch.failed;
            let cause = match batch.failed {
                0 => IncidentCause::Slow(Segment::B2c),
                1.. => IncidentCause::Failed(DeliveryOutcome::Failed),
            };
            let is_traced = is_bad && self.tracker.trace_events.may_report(self.now.tick, cause);
            if is_traced {
                let segments_us = [p2b_us(timing), Some(queue_us), Some(b2c_us), None];
                self.incident(cause, batch.room, timing, segments_us);
            }
            if timing.sampled || is_traced {
                self.trace_delivery(batch, timing);
            }
        }
    }

    fn count_of_tenant(&self, batch: &FanoutBatch) {
        let Some(tenant) = batch.tenant else { return };
        let (all, lost) = (u64::from(batch.recipients), u64::from(batch.failed));
        for (outcome, times) in
            [(TenantOutcome::Delivered, all - lost), (TenantOutcome::Failed, lost)]
        {
            let counter = TenantCounter::Delivered(outcome);
            self.tracker.metrics.add_tenant(tenant, counter, times * batch.timings.len() as u64);
        }
    }

    fn trace_delivery(&mut self, batch: &FanoutBatch, timing: &MessageTiming) {
        let again = timing.delivery_kind == DeliveryKind::Redelivery;
        if !timing.sampled {
            // Its home did not know that anybody would want to know.
            let action = SpanAction::Publish { offset: 0 };
            let publish = self.span(batch.room, timing, action, timing.parsed_at, timing.taken_at);
            self.tracker.trace_events.span(publish);
        }
        let FanoutBatch { recipients, failed, .. } = *batch;
        let action = SpanAction::Deliver { recipients, failed, again };
        let span = self.span(batch.room, timing, action, timing.taken_at, self.now.moment);
        let failed = 0 < failed;
        self.tracker.trace_events.span(Span { failed, ..span });
    }

    /// A client says that it has got a message.
    pub fn on_acknowledged(&mut self, tenant: Option<Tenant>, key: u64, took_ms: Option<u64>) {
        self.tracker.has_seen_acks = true;
        let Some(message) = self.tracker.recent.acknowledged(self.now.moment, key) else { return };
        let DeliveredMessage { timing, room, given_at, left_at, .. } = message;
        let left_at = left_at.unwrap_or(given_at);
        let since_us = self.now.moment.us_since(left_at);
        // The client's own word counts as far as it can be true.
        let consume_us = took_ms.map_or(since_us, |ms| ms.saturating_mul(1_000).min(since_us));
        self.observe(Histogram::Segment(Segment::Consume), consume_us, room, &timing);
        if timing.delivery_kind != DeliveryKind::Redelivery {
            let e2e = Histogram::E2e(timing.chat_type, Direction::Recv);
            let took_us = self.now.moment.us_since(timing.sent_at());
            self.observe(e2e, took_us, room, &timing);
            if let Some(tenant) = tenant {
                self.tracker.metrics.observe_tenant(tenant, TenantHistogram::E2e, took_us);
            }
        }
        if timing.sampled {
            let span = self.span(room, &timing, SpanAction::Consume, left_at, self.now.moment);
            self.tracker.trace_events.span(span);
        }
    }

    fn observe(&self, histogram: Histogram, value_us: u64, room: RoomId, timing: &MessageTiming) {
        let mut hash = String::new();
        self.tracker.metrics.observe_with(histogram, value_us, self.now.unix_ms, || {
            let name = self.name_of(room, timing.chat_type);
            let room = name.unwrap_or_else(|| {
                hash = hashed(room);
                &hash
            });
            Exemplar { trace_id: timing.trace.bits(), room, agent: timing.agent }
        });
    }

    fn incident(
        &mut self,
        cause: IncidentCause,
        room: RoomId,
        timing: &MessageTiming,
        segments_us: [Option<u64>; 4],
    ) {
        let label = self.room_label(room, timing.chat_type);
        let MessageTiming { trace, chat_type, agent, .. } = *timing;
        let incident = MessageIncident { cause, trace, room: label, chat_type, agent, segments_us };
        note_message(&self.tracker.metrics, self.now, &incident, &hashed(room));
        self.tracker.trace_events.incident(incident);
    }

    /// A span of a message: the first one has the span of its timing, the others are its
    /// children.
    fn span(
        &mut self,
        room: RoomId,
        timing: &MessageTiming,
        action: SpanAction,
        began_at: MonotonicUs,
        ended_at: MonotonicUs,
    ) -> Span {
        let (id, parent) = match action {
            SpanAction::Publish { .. } => (timing.span, timing.parent),
            SpanAction::Deliver { again: true, .. } => (timing.span, timing.parent),
            SpanAction::Store
            | SpanAction::Deliver { again: false, .. }
            | SpanAction::Consume
            | SpanAction::DeadLetter { .. } => (SpanId::made(self.ids), Some(timing.span)),
        };
        Span {
            trace: timing.trace,
            id,
            parent,
            action,
            began_at,
            ended_at,
            room: self.room_label(room, timing.chat_type),
            failed: false,
            chat_type: timing.chat_type,
            agent: timing.agent,
        }
    }

    fn room_label(&self, room: RoomId, chat_type: ChatType) -> ChannelLabel {
        let name = self.name_of(room, chat_type);
        name.map_or_else(
            || ChannelLabel::Hashed(room.fold()),
            |name| ChannelLabel::Named(name.into()),
        )
    }

    /// A channel's name, if it is known here and names nobody.
    fn name_of(&self, room: RoomId, chat_type: ChatType) -> Option<&str> {
        match chat_type {
            ChatType::OneToOne => None,
            ChatType::Group | ChatType::Broadcast => {
                let channel = self.channels.of(room);
                channel.map(|channel| &*channel.name).or_else(|| self.rooms.name(room))
            }
        }
    }
}

/// How a channel is told that has no name to tell.
pub fn hashed(room: RoomId) -> String {
    format!("~{:016x}", room.fold())
}

fn p2b_us(timing: &MessageTiming) -> Option<u64> {
    (timing.p2b_us != UNKNOWN).then_some(u64::from(timing.p2b_us))
}
