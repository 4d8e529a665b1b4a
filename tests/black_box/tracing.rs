//! A message's way as its operator sees it: spans at a collector, and numbers on the
//! admin page, both for messages of a known life.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;

use crate::common::{Peer, Server, Settings, run};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// Nothing here takes so long, unless it hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often an answer is asked for that comes with time.
const ASKED_MAX: usize = 2_000;

/// A collector that takes everything.
struct Collector {
    endpoint: String,
    spans: Receiver<Span>,
}

impl Collector {
    fn start() -> Collector {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let (sender, spans) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                if serve(stream.unwrap(), &sender).is_none() {
                    return;
                }
            }
        });
        Collector { endpoint, spans }
    }

    /// Spans by name, until all of these have come.
    #[track_caller]
    fn wait_for(&self, names: &[&str]) -> BTreeMap<String, Vec<Span>> {
        let mut seen: BTreeMap<String, Vec<Span>> = BTreeMap::new();
        while !names.iter().all(|name| seen.contains_key(*name)) {
            match self.spans.recv_timeout(PATIENCE) {
                Ok(span) => seen.entry(span.name.clone()).or_default().push(span),
                Err(_) => panic!("{names:?} did not come, but {:?}", seen.keys()),
            }
        }
        seen
    }
}

/// Takes one request; nothing when nobody is interested any more.
fn serve(mut stream: TcpStream, sender: &Sender<Span>) -> Option<()> {
    let mut bytes = Vec::new();
    let mut part = [0; 4_096];
    let mut more = |bytes: &mut Vec<u8>| {
        let length = stream.read(&mut part).unwrap();
        assert_ne!(length, 0, "it ended within a request");
        bytes.extend_from_slice(&part[..length]);
    };
    let body_at = loop {
        more(&mut bytes);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8(bytes[..body_at].to_vec()).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let end = body_at + length.unwrap().trim().parse::<usize>().unwrap();
    while bytes.len() < end {
        more(&mut bytes);
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    let request = ExportTraceServiceRequest::decode(&bytes[body_at..end]).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|one| one.scope_spans);
    for span in scopes.flat_map(|scope| scope.spans) {
        sender.send(span).ok()?;
    }
    Some(())
}

fn text(span: &Span, key: &str) -> Option<String> {
    let found = span.attributes.iter().find(|one| one.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Rooms on disk, and a collector.
fn told_to(endpoint: &str) -> Settings {
    let endpoint = format!("otlp_endpoint = {endpoint:?}");
    Settings::new()
        .with("[[namespaces]]", "durability = \"fsync\"")
        .with_table("[tracing]", &[&endpoint, "sample_per_million = 0"])
}

#[test]
fn a_traceparent_leads_to_the_steps_of_its_message() {
    let collector = Collector::start();
    let server = Server::start(told_to(&collector.endpoint));
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let mut bob = Peer::member(server.address(), "bob", "room:1");
    let said = ann.call(json!({ "rpc": { "method": "chat.publish", "data": {
        "channel": "room:1", "data": { "secret": "body" },
        "traceparent": format!("00-{TRACE}-{PARENT}-01"),
    } } }));
    let offset = &said["rpc"]["data"]["offset"];
    assert!(offset.is_u64(), "{said}");
    let heard = bob.object();
    let tag = &heard["push"]["pub"]["tags"]["traceparent"];
    assert_eq!(*tag, json!(format!("00-{TRACE}-{PARENT}-01")), "{heard}");
    // Where nobody has acknowledged before, the second one is measured.
    for _ in 0..2 {
        let ack = json!({ "channel": "room:1", "offset": offset, "took_ms": 3 });
        bob.call(json!({ "rpc": { "method": "chat.ack", "data": ack } }));
    }
    let seen = collector.wait_for(&["publish", "store", "deliver"]);
    let publish = &seen["publish"][0];
    let deliver = &seen["deliver"][0];
    for span in seen.values().flatten() {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
        assert!(!format!("{span:?}").contains("secret"), "no bodies");
        assert_eq!(text(span, "messaging.destination.name").as_deref(), Some("room:1"));
    }
    assert_eq!(hex(&publish.parent_span_id), PARENT);
    assert_eq!(seen["store"][0].parent_span_id, publish.span_id);
    assert_eq!(deliver.parent_span_id, publish.span_id);
    assert_eq!(text(publish, "chat.offset"), Some(offset.to_string()));
    assert_eq!(text(publish, "chat.type").as_deref(), Some("group"));
    assert!(publish.end_time_unix_nano <= deliver.end_time_unix_nano);
    assert_eq!(server.metric("chat_trace_sampled_total{sampled=\"true\"}"), 1.0);

    // Without a wish, and with nothing wrong, nothing is told.
    ann.call(json!({ "publish": { "channel": "room:1", "data": 1 } }));
    server.wait_for_metric("chat_trace_sampled_total{sampled=\"false\"}", 1.0);
}

#[test]
fn every_piece_of_a_messages_way_is_counted_and_each_recipient_once() {
    let server = Server::start(
        Settings::new()
            .with("[session]", "ping_interval_ms = 400")
            .with("[session]", "pong_ms_max = 200"),
    );
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let _bob = Peer::member(server.address(), "bob", "room:1");
    let segment =
        |name: &str| format!("chat_msg_segment_duration_seconds_count{{segment=\"{name}\"}}");
    ann.call(json!({ "publish": { "channel": "room:1", "data": 1 } }));
    let delivered = "chat_msg_delivery_total{chat_type=\"group\",outcome=\"delivered\"}";
    server.wait_for_metric(delivered, 2.0);
    assert_eq!(server.metric("chat_msg_recipients_total"), 2.0);
    assert_eq!(server.metric("chat_msg_inflight"), 0.0);
    assert_eq!(server.metric(&segment("queue")), 1.0);
    assert_eq!(server.metric(&segment("p2b")), 0.0, "no clock is known");
    let send = "chat_e2e_latency_seconds_count{chat_type=\"group\",direction=\"send\"}";
    server.wait_for_metric(send, 1.0);
    // On one shard or on both.
    let b2c = server.metric(&segment("b2c"));
    assert!((1.0..=2.0).contains(&b2c), "{b2c}");
    assert_eq!(server.metric("chat_msg_end2end_latency_seconds_count"), b2c);

    // A clock is known when a heartbeat has come back to a client that tells the time.
    let mut asked = 0;
    while server.metric(&segment("p2b")) == 0.0 {
        asked += 1;
        assert!(asked < ASKED_MAX, "no heartbeat came back");
        let data = json!({ "channel": "room:1", "data": 1, "sent_at_ms": 1_000_000 });
        ann.call(json!({ "rpc": { "method": "chat.publish", "data": data } }));
    }
    let far = "chat_msg_segment_duration_seconds_bucket{segment=\"p2b\",le=\"+Inf\"}";
    assert!(1.0 <= server.metric(far));
}

#[test]
fn a_collector_that_is_gone_costs_spans_and_nothing_else() {
    let gone = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let endpoint = format!("http://{}/v1/traces", gone.local_addr().unwrap());
    drop(gone);
    let server = Server::start(told_to(&endpoint));
    let mut ann = Peer::member(server.address(), "ann", "room:1");
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let data = json!({ "channel": "room:1", "data": 1, "traceparent": traceparent });
    let said = ann.call(json!({ "rpc": { "method": "chat.publish", "data": data } }));
    assert!(said["rpc"]["data"]["offset"].is_u64(), "{said}");
    // Publish, store and deliver: in one request or in two.
    server.wait_for_log("the collector does not take spans", 1);
    assert!(1.0 <= server.metric("chat_trace_spans_total{outcome=\"failed\"}"));
    assert_eq!(server.metric("chat_trace_spans_total{outcome=\"exported\"}"), 0.0);
    let said = ann.call(json!({ "publish": { "channel": "room:1", "data": 2 } }));
    assert!(said["publish"].is_object(), "{said}");
}

#[test]
fn an_address_that_is_none_is_named() {
    for bad in ["https://127.0.0.1:4318/v1/traces", "127.0.0.1:4318", "http://", "http://:1/"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("store")).unwrap();
        let config = Server::config_for(told_to(bad), &folder, 22_001);
        let output = run(&["check-config", "--config", config.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("otlp_endpoint"), "{bad}: {said}");
    }
}
