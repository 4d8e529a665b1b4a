//! A collector in the same process: what it gets, and what is lost without it.

use std::net::Ipv4Addr;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use super::*;
use crate::base::{Csprng, MonotonicUs, Trace};
use crate::lane::{self, LaneSender};
use crate::metrics::{Agent, Cells, ChatType, Exposition, ScrapeScope, Threads};
use crate::shard::{SpanAction, SpanExport, TraceEvents};

/// A collector that answers each request with a status.
struct Fake {
    listener: TcpListener,
    endpoint: String,
}

impl Fake {
    async fn listen() -> Fake {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        Fake { listener, endpoint }
    }

    /// The next request: its head, and what is in it.
    async fn serve(&self, status: &str) -> (String, ExportTraceServiceRequest) {
        let (stream, _) = self.listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        let (head, body_at) = loop {
            read_more(&stream, &mut bytes).await;
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break (String::from_utf8(bytes[..end].to_vec()).unwrap(), end + 4);
            }
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
        });
        let end: usize = body_at + length.unwrap_or(0);
        while bytes.len() < end {
            read_more(&stream, &mut bytes).await;
        }
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
        stream.writable().await.unwrap();
        assert_eq!(stream.try_write(answer.as_bytes()).unwrap(), answer.len());
        (head, ExportTraceServiceRequest::decode(&bytes[body_at..end]).unwrap())
    }
}

async fn read_more(stream: &TcpStream, bytes: &mut Vec<u8>) {
    stream.readable().await.unwrap();
    let mut part = [0; 4_096];
    match stream.try_read(&mut part) {
        Ok(0) => panic!("it ended within a request"),
        Ok(length) => bytes.extend_from_slice(&part[..length]),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
    }
}

fn span(seed: u64, action: SpanAction) -> Span {
    let trace = Trace::made(&mut Csprng::from_key(u128::from(seed).to_le_bytes()));
    Span {
        trace: trace.id,
        id: trace.span,
        parent: None,
        action,
        began_at: MonotonicUs(1_000),
        ended_at: MonotonicUs(3_500),
        room: ChannelLabel::Named("room:1".into()),
        failed: false,
        chat_type: ChatType::Group,
        agent: Agent::Node,
    }
}

fn teller(endpoint: Option<&str>) -> (TraceExporter, LaneSender<TraceEvent>, Exposition) {
    let (process, metrics) = Cells::of_process();
    let threads = Threads { process, ..Threads::of_cores(vec![Cells::new()]) };
    let (mut senders, trace_events) = lane::mailbox(1, TRACE_EVENT_LANE);
    let address = (Ipv4Addr::LOCALHOST, 8_000).into();
    let identity = OtlpResource { node: "node-7".to_owned(), address };
    let collector = endpoint.map(|endpoint| Collector::new(endpoint, &identity).unwrap());
    (
        TraceExporter::new(trace_events, collector, metrics),
        senders.remove(0),
        Exposition::new(threads),
    )
}

fn post(lane: &mut LaneSender<TraceEvent>, spans: impl IntoIterator<Item = Span>) {
    let mut trace_events = TraceEvents::new(SpanExport::On);
    spans.into_iter().for_each(|span| trace_events.span(span));
    let dropped_count = trace_events.take_dropped();
    lane.post_or_drop(trace_events.waiting(), dropped_count);
    assert!(trace_events.waiting().is_empty(), "nobody waits for the lane");
}

#[track_caller]
fn check(exposition: &Exposition, want: [u64; 3]) {
    let text = exposition.text(ScrapeScope::Summed);
    let value = |outcome: &str| -> u64 {
        let series = format!("chat_trace_spans_total{{outcome=\"{outcome}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
    };
    assert_eq!(["exported", "dropped", "failed"].map(value), want);
}

async fn finish(teller: &mut TraceExporter) {
    let answered = answer(&mut teller.under_way).await;
    teller.on_answer(answered);
}

fn block_on(test: impl Future<Output = ()>) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_collector_gets_spans_with_all_that_belongs_to_them() {
    block_on(async {
        let fake = Fake::listen().await;
        let (mut teller, mut lane, exposition) = teller(Some(&fake.endpoint));
        let publish = span(1, SpanAction::Publish { offset: 9 });
        let deliver = Span {
            id: span(2, SpanAction::Store).id,
            parent: Some(publish.id),
            failed: true,
            ..span(1, SpanAction::Deliver { recipients: 3, failed: 1, again: false })
        };
        let again = publish.clone();
        post(&mut lane, [publish.clone(), deliver.clone(), again]);
        teller.look();
        teller.send();
        let (head, request) = fake.serve("200 OK").await;
        finish(&mut teller).await;
        check(&exposition, [2, 0, 0]);

        assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
        let head = head.to_ascii_lowercase();
        assert!(head.contains("content-type: application/x-protobuf"), "{head}");
        let [resource] = &request.resource_spans[..] else { panic!("{request:?}") };
        let text = |all: &[opentelemetry_proto::tonic::common::v1::KeyValue], key: &str| {
            let found = all.iter().find(|one| one.key == key)?;
            match found.value.as_ref()?.value.as_ref()? {
                Value::StringValue(text) => Some(text.clone()),
                Value::IntValue(number) => Some(number.to_string()),
                other => panic!("{other:?}"),
            }
        };
        let about = &resource.resource.as_ref().unwrap().attributes;
        assert_eq!(text(about, "service.name").as_deref(), Some("rookery"));
        assert_eq!(text(about, "service.instance.id").as_deref(), Some("node-7"));
        assert_eq!(text(about, "service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
        let [scope] = &resource.scope_spans[..] else { panic!("{request:?}") };
        let [first, second] = &scope.spans[..] else { panic!("once each: {request:?}") };
        assert_eq!((&*first.name, &*second.name), ("publish", "deliver"));
        assert_eq!(first.trace_id, publish.trace.bits().to_be_bytes());
        assert_eq!(first.span_id, publish.id.bits().to_be_bytes());
        assert_eq!((first.parent_span_id.len(), &second.parent_span_id), (0, &first.span_id));
        assert_eq!(first.end_time_unix_nano - first.start_time_unix_nano, 2_500_000);
        assert_eq!(text(&first.attributes, "chat.offset").as_deref(), Some("9"));
        assert_eq!(text(&first.attributes, "chat.type").as_deref(), Some("group"));
        assert_eq!(text(&first.attributes, "chat.user_agent").as_deref(), Some("node"));
        let room = text(&first.attributes, "messaging.destination.name");
        assert_eq!(room.as_deref(), Some("room:1"));
        assert_eq!(text(&second.attributes, "chat.failed").as_deref(), Some("1"));
        let code = |span: &opentelemetry_proto::tonic::trace::v1::Span| {
            span.status.as_ref().map_or(0, |status| status.code)
        };
        assert_eq!((code(first), code(second)), (0, 2));
    });
}

#[test]
fn a_collector_that_refuses_is_left_alone_for_a_while() {
    block_on(async {
        let fake = Fake::listen().await;
        let (mut teller, mut lane, exposition) = teller(Some(&fake.endpoint));
        post(&mut lane, [span(1, SpanAction::Store)]);
        teller.look();
        teller.send();
        fake.serve("503 Service Unavailable").await;
        finish(&mut teller).await;
        check(&exposition, [0, 0, 1]);
        post(&mut lane, [span(2, SpanAction::Store)]);
        teller.look();
        teller.send();
        assert!(teller.under_way.is_none(), "it rests");
        teller.rests_until = Some(Instant::now());
        teller.send();
        fake.serve("200 OK").await;
        finish(&mut teller).await;
        check(&exposition, [1, 0, 1]);
    });
}

#[test]
fn what_has_no_room_is_dropped_and_counted() {
    block_on(async {
        // Nobody listens there any more.
        let endpoint = Fake::listen().await.endpoint;
        let (mut teller, mut lane, exposition) = teller(Some(&endpoint));
        teller.rests_until = Some(Instant::now() + Duration::from_secs(3_600));
        let mut seeds = 0..;
        for _ in 0..SPANS_MAX / 1_000 + 2 {
            let seeds = seeds.by_ref().take(1_000);
            post(&mut lane, seeds.map(|seed| span(seed, SpanAction::Store)));
            teller.look();
        }
        let all = (SPANS_MAX / 1_000 + 2) as u64 * 1_000;
        check(&exposition, [0, all - SPANS_MAX as u64, 0]);
        let many = (100_000..100_000 + TRACE_EVENT_LANE.batches_max as u64)
            .map(|seed| span(seed, SpanAction::Store));
        post(&mut lane, many);
        post(&mut lane, [span(1 << 40, SpanAction::Store), span(1 << 41, SpanAction::Store)]);
        teller.look();
        check(
            &exposition,
            [0, all - SPANS_MAX as u64 + TRACE_EVENT_LANE.batches_max as u64 + 2, 0],
        );
        teller.rests_until = None;
        teller.send();
        finish(&mut teller).await;
        let dropped = all - SPANS_MAX as u64 + TRACE_EVENT_LANE.batches_max as u64 + 2;
        check(&exposition, [0, dropped, BATCH_SPANS_MAX as u64]);
    });
}

#[test]
fn a_line_about_a_message_names_nobody_and_obeys_no_one() {
    let shown = |room: &ChannelLabel| Shown(room).to_string();
    assert_eq!(shown(&ChannelLabel::Named("room:\u{1b}[2J".into())), r#""room:\x1b[2J""#);
    assert_eq!(shown(&ChannelLabel::Hashed(0xab)), "~00000000000000ab");
    let trouble = MessageIncident {
        cause: IncidentCause::Slow(Segment::B2c),
        trace: span(1, SpanAction::Store).trace,
        room: ChannelLabel::Hashed(1),
        chat_type: ChatType::OneToOne,
        agent: Agent::None,
        segments_us: [None, Some(1_200), Some(500_000), None],
    };
    assert_eq!(Segments(&trouble).to_string(), "queue=1.2ms b2c=500.0ms");
}
