//! A message's way, measured: messages of a known life, and where each number ends.

use super::*;
use crate::base::MonotonicUs;
use crate::metrics::{Agent, DeliveryOutcome, Exposition, ScrapeScope, Segment, Threads};
use crate::session::TracerOptions;
use crate::shard::{ChannelLabel, IncidentCause, MessageIncident, Span, SpanAction, TraceEvent};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn traced(shards_count: u16) -> World {
    World::new(shards_count, |options| options.tracing.tracer = all_wishes())
}

/// What clients want to be told is told, and nothing else.
fn all_wishes() -> TracerOptions {
    TracerOptions { exports: true, sample_per_million: 0, sampled_per_s_max: 0 }
}

/// Something is said under `TRACE`.
fn say_traced(world: &mut World, peer: Peer, channel: &str) {
    world.say(
        peer,
        &format!(
            r#"{{"id":9,"rpc":{{"method":"chat.publish","data":{{"channel":"{channel}","data":1,"traceparent":"{TRACE}"}}}}}}"#
        ),
    );
}

impl World {
    fn scrape(&self) -> String {
        let cores = self.cells.clone();
        let tenants = Arc::clone(&self.tenants);
        let threads = Threads { tenants, ..Threads::of_cores(cores) };
        Exposition::new(threads).text(ScrapeScope::Summed)
    }

    /// The value of one series.
    #[track_caller]
    pub(super) fn check(&self, series: &str, want: u64) {
        let text = self.scrape();
        let line = text.lines().find(|line| line.starts_with(series));
        let value = line.and_then(|line| line.strip_prefix(series)?.trim().parse::<u64>().ok());
        assert_eq!(value, Some(want), "{series}: {line:?}");
    }

    /// Recipients, and what became of them.
    #[track_caller]
    fn check_recipients(&self, delivered: u64, failed: u64, in_flight: u64) {
        let outcome =
            |word| format!("chat_msg_delivery_total{{chat_type=\"broadcast\",outcome=\"{word}\"}}");
        self.check("chat_msg_recipients_total", delivered + failed + in_flight);
        self.check(&outcome("delivered"), delivered);
        self.check(&outcome("failed"), failed);
        self.check("chat_msg_inflight", in_flight);
    }

    fn take_notes(&mut self) -> (Vec<Span>, Vec<MessageIncident>) {
        let (mut spans, mut troubles) = (Vec::new(), Vec::new());
        for note in
            self.shards.iter_mut().flat_map(|shard| shard.trace_events().waiting().drain(..))
        {
            match note {
                TraceEvent::Span(span) => spans.push(span),
                TraceEvent::Incident(trouble) => troubles.push(trouble),
            }
        }
        (spans, troubles)
    }

    /// The send in flight of a stuck peer leaves.
    fn unstick(&mut self, peer: Peer) {
        let inbox = self.peers.get_mut(&peer).unwrap();
        assert!(std::mem::take(&mut inbox.in_flight), "something is in flight");
        inbox.stuck = false;
        self.shards[peer.0].on_event(self.now, Event::Sent(id(peer)));
        self.settle();
    }
}

/// A room, with an author and a reader on the shard that is not its home.
fn far_room(world: &mut World) -> (String, Peer, Peer) {
    let channel = world.channel_of(1);
    let (ann, bob) = (world.join_room(0, &channel), world.join_room(0, &channel));
    (channel, ann, bob)
}

#[test]
fn a_slow_reader_makes_a_slow_message_and_every_piece_of_its_way_is_known() {
    let mut world = traced(2);
    let (channel, ann, bob) = far_room(&mut world);
    world.peers.get_mut(&bob).unwrap().stuck = true;
    say_traced(&mut world, ann, &channel);
    world.check_recipients(1, 0, 1);
    world.check("chat_msg_end2end_latency_seconds_count", 0);
    world.now = world.now.plus_ms(500);
    world.unstick(bob);
    world.check_recipients(2, 0, 0);
    let bucket =
        |family: &str, labels: &str, le: &str| format!("{family}_bucket{{{labels}le=\"{le}\"}}");
    let segment = "chat_msg_segment_duration_seconds";
    let end2end = "chat_msg_end2end_latency_seconds";
    world.check(&bucket(end2end, "", "0.4"), 0);
    world.check(&bucket(end2end, "", "0.8"), 1);
    world.check(&bucket(segment, "segment=\"queue\",", "0.0005"), 1);
    world.check(&bucket(segment, "segment=\"b2c\",", "0.4"), 0);
    world.check(&bucket(segment, "segment=\"b2c\",", "0.8"), 1);
    world.check("chat_trace_sampled_total{sampled=\"true\"}", 1);

    let (spans, troubles) = world.take_notes();
    // The home is the second shard.
    let [deliver, publish] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!(publish.trace.to_string(), TRACE[3..35]);
    assert_eq!(publish.parent.map(|id| id.to_string()).as_deref(), Some(&TRACE[36..52]));
    assert_eq!(publish.action, SpanAction::Publish { offset: 1 });
    assert_eq!((deliver.trace, deliver.parent), (publish.trace, Some(publish.id)));
    let want = SpanAction::Deliver { recipients: 2, failed: 0, again: false };
    assert_eq!(deliver.action, want);
    assert_eq!(deliver.ended_at, MonotonicUs(deliver.began_at.0 + 500_000));
    let [trouble] = &troubles[..] else { panic!("{troubles:?}") };
    assert_eq!(trouble.cause, IncidentCause::Slow(Segment::B2c));
    assert_eq!(trouble.segments_us, [None, Some(0), Some(500_000), None]);
    assert_eq!(
        (&trouble.room, trouble.agent),
        (&ChannelLabel::Named(channel.as_str().into()), Agent::None)
    );
}

#[test]
fn an_acknowledgement_ends_the_way() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(2, keys, |options| options.tracing.tracer = all_wishes());
    let (channel, ann, _) = far_room(&mut world);
    // Who acknowledges has a name.
    let token = sign(
        &key(),
        &ClaimRequirements::default(),
        &NewToken { user: "bob", ..NewToken::default() },
    );
    let bob = world.upgrade(0);
    world.say(bob, &format!(r#"{{"id":1,"connect":{{"token":"{}"}}}}"#, token.unwrap()));
    world.say(bob, &format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
    let ack = |offset, took| {
        format!(
            r#"{{"id":7,"rpc":{{"method":"chat.ack","data":{{"channel":"{channel}","offset":{offset}{took}}}}}}}"#
        )
    };
    // Nobody has acknowledged anything here so far.
    world.say(bob, &ack(1, ""));
    say_traced(&mut world, ann, &channel);
    world.now = world.now.plus_ms(40);
    world.say(bob, &ack(1, ""));
    world.say(bob, &ack(1, r#","took_ms":7"#));
    world.say(bob, &ack(1, ""));
    world.say(bob, &ack(1, ""));
    let segment = "chat_msg_segment_duration_seconds";
    world.check(&format!("{segment}_bucket{{segment=\"consume\",le=\"0.005\"}}"), 0);
    world.check(&format!("{segment}_bucket{{segment=\"consume\",le=\"0.01\"}}"), 1);
    world.check(&format!("{segment}_bucket{{segment=\"consume\",le=\"0.05\"}}"), 3);
    world.check(&format!("{segment}_count{{segment=\"consume\"}}"), 3);
    let recv = "chat_e2e_latency_seconds_count{chat_type=\"broadcast\",direction=\"recv\"}";
    world.check(recv, 3);
    let send = "chat_e2e_latency_seconds_count{chat_type=\"broadcast\",direction=\"send\"}";
    world.check(send, 1);
    let (spans, _) = world.take_notes();
    let consumed = spans.iter().filter(|span| span.action == SpanAction::Consume).count();
    assert_eq!(consumed, 3, "as many as got it: {spans:?}");
}

#[test]
fn a_recipient_whose_connection_dies_is_counted_as_failed() {
    let mut world = traced(2);
    let (channel, ann, bob) = far_room(&mut world);
    world.peers.get_mut(&bob).unwrap().stuck = true;
    for id in 3..6 {
        world.say(ann, &publish(&channel, id));
    }
    world.check_recipients(3, 0, 3);
    world.shards[0].on_event(world.now, Event::Gone(id(bob), DisconnectReason::Reset));
    world.settle();
    world.check_recipients(3, 3, 0);
    assert!(world.shards.iter().all(|shard| shard.audit().batches_count == 0));
    // What reached the others has its latency.
    world.check("chat_msg_end2end_latency_seconds_count", 3);
    let (_, troubles) = world.take_notes();
    let failed = IncidentCause::Failed(DeliveryOutcome::Failed);
    assert_eq!(troubles.iter().filter(|one| one.cause == failed).count(), 3);
}

#[test]
fn a_slow_reader_fails_what_it_has_not_got() {
    let mut world = traced(1);
    let channel = "room:1".to_owned();
    let (ann, bob) = (world.join_room(0, &channel), world.join_room(0, &channel));
    world.peers.get_mut(&bob).unwrap().stuck = true;
    for id in 3..203 {
        world.say(ann, &publish(&channel, id));
    }
    let text = world.scrape();
    let failed = "chat_msg_delivery_total{chat_type=\"broadcast\",outcome=\"failed\"}";
    let line = text.lines().find(|line| line.starts_with(failed)).unwrap();
    let failed: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(10 < failed, "{line}");
    // One is in flight still, and nobody knows yet.
    world.check_recipients(200, failed, 1);
    world.unstick(bob);
    world.check_recipients(201, failed, 0);
    assert_eq!(world.shards[0].audit().batches_count, 0);
}

#[test]
fn what_a_full_lane_loses_is_counted_with_those_it_was_for() {
    let mut world = World::new(2, |options| {
        options.session.commands_burst = 10 * LANE_PUSHES_MAX as u32;
        options.session.bytes_burst = u32::MAX;
        options.session.outbox_bytes_max = u32::MAX;
    });
    let channel = world.channel_of(1);
    let _far = [world.join_room(0, &channel), world.join_room(0, &channel)];
    // A connection may have a thousand that are not answered.
    let louds: Vec<_> = (0..9).map(|_| world.join_room(1, &channel)).collect();
    let all = LANE_PUSHES_MAX as u64 + 10;
    for n in 0..all as u32 {
        world.queue(louds[n as usize % 9], &frame(&publish(&channel, n + 3)));
    }
    world.settle();
    // All are for the loud ones, and for two others what the lane had room for.
    world.check_recipients(9 * all + 2 * LANE_PUSHES_MAX as u64, 2 * 10, 0);
}

#[test]
fn who_is_given_up_by_the_kernel_was_gone_or_did_not_read() {
    let mut world = World::new(1, |_| ());
    let [ann, bob] = [0, 0].map(|_| world.join_room(0, "room:1"));
    world.peers.get_mut(&bob).unwrap().stuck = true;
    world.say(ann, &publish("room:1", 3));
    for peer in [ann, bob] {
        world.shards[0].on_event(world.now, Event::Gone(id(peer), DisconnectReason::TimedOut));
    }
    world.settle();
    for (reason, want) in [("peer_gone", 1), ("slow_consumer", 1), ("net_error", 0)] {
        world.check(&format!("chat_conn_closed_total{{reason=\"{reason}\"}}"), want);
    }
    world.check("chat_slow_consumer_evicted_total", 1);
    world.check("chat_heartbeat_total{outcome=\"timeout\"}", 1);
    assert_eq!(world.shards[0].connections_count(), 0);
}

#[test]
fn a_clients_clock_is_known_from_its_messages_and_heartbeats() {
    let mut world = World::new(1, |options| {
        (options.session.ping_interval_ms, options.session.pong_ms_max) = (10_000, 5_000);
    });
    let ann = world.join_room(0, "room:1");
    let mut said = 3;
    let mut say = |world: &mut World, sent_at_ms: u64| {
        said += 1;
        let data = format!(r#"{{"channel":"room:1","data":1,"sent_at_ms":{sent_at_ms}}}"#);
        let rpc = format!(r#"{{"id":{said},"rpc":{{"method":"chat.publish","data":{data}}}}}"#);
        world.say(ann, &rpc);
    };
    let p2b = "chat_msg_segment_duration_seconds_count{segment=\"p2b\"}";
    // An hour ahead, and 30 ms away.
    let clock = |world: &World| world.now.unix_ms + 3_600_000;
    let sent = clock(&world) - 30;
    say(&mut world, sent);
    world.check(p2b, 0);
    while !world.take(ann).iter().any(|text| text == "{}") {
        world.pass(25);
    }
    world.now = world.now.plus_ms(60);
    world.say(ann, "{}");
    let sent = clock(&world) - 130;
    say(&mut world, sent);
    world.check(p2b, 1);
    let bucket = |le: &str| {
        format!("chat_msg_segment_duration_seconds_bucket{{segment=\"p2b\",le=\"{le}\"}}")
    };
    world.check(&bucket("0.1"), 0);
    world.check(&bucket("0.2"), 1);
    world.check("chat_clock_skew_clamped_total", 0);
    let sent = clock(&world) + 500;
    say(&mut world, sent);
    world.check("chat_clock_skew_clamped_total", 1);
    world.check(&bucket("0.0005"), 1);
}

#[test]
fn a_tenant_has_numbers_of_its_own() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(2, keys, |options| {
        options.session.insecure = false;
        options.room.namespaces[0].subscribe = Permission::Users;
        options.room.namespaces[0].publish = Permission::Subscribers;
    });
    let mut join = |shard: usize, user: &str, tenant: &str| {
        let peer = world.upgrade(shard);
        world.say(peer, &connect_with(&NewToken { user, tenant, ..NewToken::default() }));
        world.say(peer, r#"{"id":2,"subscribe":{"channel":"room:1"}}"#);
        peer
    };
    let [ann, _bob] = [(0, "ann"), (1, "bob")].map(|(shard, user)| join(shard, user, "acme"));
    let eve = join(0, "eve", "");
    world.say(ann, &publish("room:1", 3));
    world.say(eve, &publish("room:1", 3));
    world.check("chat_tenant_conn_opened_total{tenant_id=\"acme\"}", 2);
    world.check("chat_tenant_active_connections{tenant_id=\"acme\"}", 2);
    world.check("chat_tenant_msg_publish_total{tenant_id=\"acme\"}", 1);
    let delivered = "chat_tenant_msg_delivery_total{tenant_id=\"acme\",outcome=\"delivered\"}";
    world.check(delivered, 2);
    world.shards[0].on_event(world.now, Event::Ended(id(ann)));
    world.check("chat_tenant_active_connections{tenant_id=\"acme\"}", 1);
    world.check("chat_tenant_conn_opened_total{tenant_id=\"_other\"}", 0);
    world.check("chat_tenant_overflow_total", 0);
}

/// Somebody else has the slot by then.
#[test]
fn an_answer_that_comes_late_is_not_counted_for_who_came_after() {
    let keys = Keys::build(&[key()]).unwrap();
    let mut world = World::with_keys(2, keys, |options| {
        options.session.insecure = false;
        options.room.namespaces[0].subscribe = Permission::Users;
        options.room.namespaces[0].publish = Permission::Subscribers;
    });
    let connect =
        |user, tenant| frame(&connect_with(&NewToken { user, tenant, ..NewToken::default() }));
    let channel = world.channel_of(1);
    let ann = world.upgrade(0);
    world.feed(ann, &connect("ann", ""));
    world.say(ann, &format!(r#"{{"id":2,"subscribe":{{"channel":"{channel}"}}}}"#));
    world.queue(ann, &frame(&publish(&channel, 3)));
    world.turn(0);
    let mut late = world.posted(0);
    world.shards[0].on_event(world.now, Event::Gone(id(ann), DisconnectReason::Reset));
    world.turn(0);
    late.append(&mut world.posted(0));
    let zed = ConnId { generation: 1, ..id(ann) };
    world.peers.insert(ann, Inbox::default());
    world.shards[0].on_event(world.now, Event::Accepted(zed));
    let (target, nonce) = ("/connection/websocket", "dGhlIHNhbXBsZSBub25jZQ==");
    let request = upgrade_request("host", target, nonce, Subprotocol::None, &[]);
    for mut bytes in [request, connect("zed", "acme")] {
        world.shards[0].on_event(world.now, Event::Received(zed, &mut bytes));
        world.settle();
    }
    world.check("chat_tenant_conn_opened_total{tenant_id=\"acme\"}", 1);
    late.into_iter().for_each(|message| world.carry(0, 1, message));
    world.settle();
    world.check("chat_tenant_msg_publish_total{tenant_id=\"acme\"}", 0);
}
