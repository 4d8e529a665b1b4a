//! Spans as OpenTelemetry says them, and the collector that takes them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks};

use super::http::PlainHttpClient;
use crate::base::MonotonicUs;
use crate::clock::time_of_day;
use crate::ring::moment;
use crate::shard::{ChannelLabel, Span, SpanAction};

/// Characters of a channel's name that a span keeps.
const ROOM_CHARS_MAX: usize = 64;

/// Who the spans are of.
pub(in crate::server) struct OtlpResource {
    /// The node's name; empty for none.
    pub node: String,
    /// Where clients connect.
    pub address: SocketAddr,
}

/// Where spans go.
pub(in crate::server) struct Collector {
    exporter: opentelemetry_otlp::SpanExporter,
    scope: InstrumentationScope,
}

impl Collector {
    /// The collector behind an address; nothing is sent yet.
    pub(in crate::server) fn new(endpoint: &str, of: &OtlpResource) -> Result<Collector, String> {
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(PlainHttpClient)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(endpoint)
            .with_timeout(Duration::from_millis(super::EXPORT_MS_MAX))
            // It would sleep on this thread.
            .with_retry_policy(opentelemetry_otlp::RetryPolicy::disabled())
            .build();
        let mut exporter = exporter.map_err(|error| error.to_string())?;
        let version = env!("CARGO_PKG_VERSION");
        let instance = match of.node.as_str() {
            "" => of.address.to_string(),
            node => node.to_owned(),
        };
        let resource = Resource::builder_empty().with_attributes([
            KeyValue::new("service.name", "rookery"),
            KeyValue::new("service.version", version),
            KeyValue::new("service.instance.id", instance),
        ]);
        exporter.set_resource(&resource.build());
        let scope = InstrumentationScope::builder("rookery").with_version(version).build();
        Ok(Collector { exporter, scope })
    }

    /// Sends spans; the text says why it did not work.
    pub(in crate::server) async fn export(
        self: Arc<Collector>,
        spans: Vec<Span>,
    ) -> Result<(), String> {
        let clock = Clock::read();
        let data = spans.iter().map(|span| self.data(&clock, span)).collect();
        self.exporter.export(data).await.map_err(|error| error.to_string())
    }

    fn data(&self, clock: &Clock, span: &Span) -> SpanData {
        let trace = TraceId::from(span.trace.bits());
        let id = SpanId::from(span.id.bits());
        SpanData {
            span_context: SpanContext::new(
                trace,
                id,
                TraceFlags::SAMPLED,
                false,
                TraceState::default(),
            ),
            parent_span_id: span.parent.map_or(SpanId::INVALID, |id| SpanId::from(id.bits())),
            parent_span_is_remote: matches!(span.action, SpanAction::Publish { .. }),
            span_kind: kind(span.action),
            name: name(span.action).into(),
            start_time: clock.at(span.began_at),
            end_time: clock.at(span.ended_at),
            attributes: attributes(span),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if span.failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// What the two clocks show at one moment: all spans of a request agree with each other.
struct Clock {
    moment: MonotonicUs,
    time: SystemTime,
}

impl Clock {
    fn read() -> Clock {
        Clock { moment: moment(), time: time_of_day() }
    }

    fn at(&self, moment: MonotonicUs) -> SystemTime {
        let ago = Duration::from_micros(self.moment.us_since(moment));
        let ahead = Duration::from_micros(moment.us_since(self.moment));
        self.time.checked_sub(ago).unwrap_or(UNIX_EPOCH) + ahead
    }
}

fn name(action: SpanAction) -> &'static str {
    match action {
        SpanAction::Publish { .. } => "publish",
        SpanAction::Store => "store",
        SpanAction::Deliver { again: false, .. } => "deliver",
        SpanAction::Deliver { again: true, .. } => "redeliver",
        SpanAction::Consume => "consume",
        SpanAction::DeadLetter { .. } => "dead_letter",
    }
}

fn kind(action: SpanAction) -> SpanKind {
    match action {
        SpanAction::Publish { .. } => SpanKind::Server,
        SpanAction::Store | SpanAction::DeadLetter { .. } => SpanKind::Internal,
        SpanAction::Deliver { .. } => SpanKind::Producer,
        SpanAction::Consume => SpanKind::Consumer,
    }
}

fn attributes(span: &Span) -> Vec<KeyValue> {
    let mut all = vec![
        KeyValue::new("messaging.system", "rookery"),
        KeyValue::new("messaging.destination.name", shown(&span.room)),
        KeyValue::new("chat.type", span.chat_type.word()),
        KeyValue::new("chat.user_agent", span.agent.word()),
    ];
    match span.action {
        SpanAction::Publish { offset } | SpanAction::DeadLetter { offset } => {
            if offset != 0 {
                all.push(KeyValue::new("chat.offset", i64::try_from(offset).unwrap_or(i64::MAX)));
            }
        }
        SpanAction::Deliver { recipients, failed, .. } => {
            all.push(KeyValue::new("chat.recipients", i64::from(recipients)));
            all.push(KeyValue::new("chat.failed", i64::from(failed)));
        }
        SpanAction::Store | SpanAction::Consume => (),
    }
    all
}

/// A channel's name is written by strangers: what a screen would obey is replaced, and
/// what is long is cut.
fn shown(room: &ChannelLabel) -> String {
    match room {
        ChannelLabel::Hashed(hash) => format!("~{hash:016x}"),
        ChannelLabel::Named(name) => {
            let plain = |letter: char| if letter.is_control() { '\u{fffd}' } else { letter };
            name.chars().take(ROOM_CHARS_MAX).map(plain).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channels_name_is_cut_and_obeyed_by_no_screen() {
        let named = |name: &str| shown(&ChannelLabel::Named(name.into()));
        assert_eq!(named("room:1"), "room:1");
        assert_eq!(named("room:\u{1b}[2J\n"), "room:\u{fffd}[2J\u{fffd}");
        assert_eq!(named(&"é".repeat(200)).chars().count(), ROOM_CHARS_MAX);
        assert_eq!(shown(&ChannelLabel::Hashed(0xab)), "~00000000000000ab");
    }
}
