//! What must be true of cores and of what they count, each as a small checker of its own.
//!
//! A checker sees what crosses a border (an action, a message between cores, a trace event) and
//! objects.
//!
//! Deliberately absent: what clients read; `reading`, `answers` and `member_view` check that.

use std::collections::{BTreeMap, BTreeSet};

use rookery::base::{ConnId, RoomId, ShardId, Timestamps};
use rookery::metrics::{Exposition, ScrapeScope};
use rookery::room::{RoomEvent, RoomOp, RoomReply};
use rookery::shard::{Audit, ShardMessage, TraceEvent, home};

use crate::scenario::TurnLimits;
use crate::violation::{CheckResult, Checker, demand};

/// Sends that one core gave to its `Io`.
#[derive(Debug, Default)]
pub struct Sends(BTreeSet<ConnId>);

impl Sends {
    /// A send is given.
    pub fn given(&mut self, conn: ConnId) -> CheckResult {
        demand!(self.0.insert(conn), Checker::Sends, "a second send for {conn:?}")
    }

    /// It has left, or the connection is gone.
    pub fn over(&mut self, conn: ConnId) {
        self.0.remove(&conn);
    }
}

/// A turn took no more than it may.
pub fn check_turn(limits: TurnLimits, events: usize, messages: usize) -> CheckResult {
    let within = events <= limits.events_max && messages <= limits.messages_max;
    demand!(
        within,
        Checker::TurnLimits,
        "{events} events and {messages} messages in one turn, with {limits:?}"
    )
}

/// Homes count exactly those who sit on other shards, those who were let in and
/// do not know it yet, and those whose unsubscribe is under way. `under_way` are
/// all messages between shards, by writer and reader.
pub fn check_membership(
    audits: &[Audit],
    under_way: &[(ShardId, ShardId, &ShardMessage)],
) -> CheckResult {
    let mut counted: BTreeMap<(RoomId, ShardId), i64> = BTreeMap::new();
    for (shard, audit) in (0..).map(ShardId).zip(audits) {
        demand!(
            audit.subscribers == audit.subscriber_slots,
            Checker::Membership,
            "{shard:?}: channels say {:?}, sessions {:?}",
            audit.subscribers,
            audit.subscriber_slots
        )?;
        for &(room, on, count) in &audit.members {
            let homed = home(room, audits.len() as u16) == shard;
            demand!(homed, Checker::Membership, "{room:?} lives on {shard:?}")?;
            *counted.entry((room, on)).or_default() += i64::from(count);
        }
        for subscriber in &audit.subscribers {
            *counted.entry((subscriber.room, shard)).or_default() -= 1;
        }
    }
    for (from, to, message) in under_way {
        match message {
            ShardMessage::Event(RoomEvent::Reply(room, _, RoomReply::Subscribed(_))) => {
                *counted.entry((*room, *to)).or_default() -= 1;
            }
            ShardMessage::Request(request) if matches!(request.op, RoomOp::Unsubscribe(_)) => {
                *counted.entry((request.room, *from)).or_default() -= 1;
            }
            ShardMessage::Request(_)
            | ShardMessage::Event(_)
            | ShardMessage::Gap(_)
            | ShardMessage::ConnectionGone(_) => (),
        }
    }
    let odd = counted.iter().find(|(_, left)| **left != 0);
    demand!(odd.is_none(), Checker::Membership, "more or less than counted: {odd:?}")
}

/// What a world knows that counters should know, too.
#[derive(Clone, Debug, Default)]
pub struct SimCounters {
    /// Connections that were accepted.
    pub accepted: u64,
    /// Rpcs that panic, sent by clients.
    pub panics_sent: u64,
    /// 1011 read by clients.
    pub panics_seen: u64,
    /// Publish commands whose clients were told that all is well.
    pub published_seen: u64,
    /// The longest that anybody who asks for one thing at a time waited, in steps.
    pub served_steps_max: u64,
    /// Outcomes that a mutation takes away.
    pub outcomes_forgotten: u64,
    /// What clients were told when something ended or failed.
    pub endings: BTreeSet<String>,
}

/// Counters and gauges agree with the audits and with what clients saw.
pub fn check_counters(
    exposition: &Exposition,
    audits: &[Audit],
    counters: &SimCounters,
    in_lanes: u64,
) -> CheckResult {
    let text = exposition.text(ScrapeScope::Summed);
    let samples = samples_by_name(&text);
    let sum = |name: &str, label: &str| -> u64 {
        let lines = samples.get(name).into_iter().flatten().filter(|line| line.contains(label));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    };
    let equal = |what: &str, counted: u64, known: u64| {
        demand!(counted == known, Checker::Counters, "{what}: {counted} counted, {known} known")
    };
    let sessions = audits.iter().map(|audit| audit.sessions_count).sum();
    let upgrading: u64 = audits.iter().map(|audit| audit.upgrading_count).sum();
    let opened = sum("chat_conn_opened_total", "");
    equal("open", sum("chat_active_connections", ""), sessions)?;
    equal("opened - closed", opened - sum("chat_conn_closed_total", ""), sessions)?;
    equal("upgrading", sum("chat_handshake_inflight", ""), upgrading)?;
    let handshakes = "chat_handshake_duration_seconds_count";
    equal("handshakes", sum(handshakes, ""), counters.accepted - upgrading)?;
    equal("upgraded", sum(handshakes, "outcome=\"ok\""), opened)?;
    let rejected = sum("chat_conn_rejected_total", "");
    equal("rejected", rejected, counters.accepted - upgrading - opened)?;
    let subscribers = audits.iter().map(|audit| audit.subscribers.len() as u64).sum();
    equal("subscriptions", sum("chat_subscriptions", ""), subscribers)?;
    let rooms = audits.iter().map(|audit| audit.rooms_count as u64).sum();
    equal("rooms", sum("chat_rooms", ""), rooms)?;
    let waiting = audits.iter().map(|audit| audit.waiting_bytes).sum();
    equal("bytes that wait", sum("chat_send_queue_bytes", ""), waiting)?;
    check_recipients(&sum, audits, counters)?;
    let messages = |direction: &str| sum("chat_letters_total", direction);
    equal("messages in lanes", messages("sent") - messages("received"), in_lanes)?;
    let panics = sum("chat_session_panics_total", "");
    equal("panics", sum("chat_conn_closed_total", "reason=\"panic\""), panics)?;
    let blamed = sum("chat_conn_closed_blame_total", "");
    equal("closed, by blame", blamed, sum("chat_conn_closed_total", ""))?;
    let within = (counters.panics_seen..=counters.panics_sent).contains(&panics);
    demand!(within, Checker::Counters, "{panics} panics, and {counters:?}")?;
    let published = sum("chat_msg_publish_total", "result=\"accepted\"");
    demand!(
        counters.published_seen <= published,
        Checker::Counters,
        "{published} published, and {counters:?}"
    )
}

/// The samples of an exposition, by the name of their metric. The text is read once: it is longer
/// than all that happens in most worlds.
fn samples_by_name(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut samples: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        samples.entry(name).or_default().push(line);
    }
    samples
}

/// Every recipient has one outcome, or what is for it is still there.
fn check_recipients(
    sum: &dyn Fn(&str, &str) -> u64,
    audits: &[Audit],
    counters: &SimCounters,
) -> CheckResult {
    let waiting: u64 = audits.iter().map(|audit| audit.publications_count).sum();
    let in_flight = sum("chat_msg_inflight", "");
    demand!(
        in_flight == waiting,
        Checker::Recipients,
        "{in_flight} in flight by the gauge, {waiting} in outboxes"
    )?;
    let recipients = sum("chat_msg_recipients_total", "");
    let outcomes = sum("chat_msg_delivery_total", "");
    let expected = recipients + counters.outcomes_forgotten;
    demand!(
        expected == outcomes + in_flight,
        Checker::Recipients,
        "{recipients} recipients, {outcomes} outcomes, {in_flight} in flight"
    )
}

/// What a shard tells of messages has happened, in this order. Takes all of it.
pub fn check_trace_events(now: Timestamps, trace_events: Vec<TraceEvent>) -> CheckResult {
    for event in trace_events {
        if let TraceEvent::Span(span) = event {
            let is_past = span.began_at <= span.ended_at && span.ended_at <= now.moment;
            demand!(is_past, Checker::Steps, "at {now:?}: {span:?}")?;
            demand!(span.parent != Some(span.id), Checker::Steps, "{span:?}")?;
        }
    }
    Ok(())
}

/// Nobody is here, and nothing is remembered.
pub fn check_empty(audit: &Audit, connections_count: usize) -> CheckResult {
    let empty = *audit == Audit::default() && connections_count == 0;
    demand!(empty, Checker::Emptiness, "{connections_count} connections, {audit:?}")
}
