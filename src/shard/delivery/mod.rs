//! Delivery: the data that waits for each connection, and one send for each at the end of a
//! turn.
//!
//! `FlushQueue` lists the connections with something to send and keeps the totals over all
//! outboxes. The outbox of a connection lies in its `SendState`, which is changed only here.
//!
//! Invariants: a connection is in the queue at most once, and knows its index there; every
//! change of an outbox goes through `totals`, except direct sends, which `add_in_flight`
//! counts; a connection has at most one send in flight.
//!
//! Deliberately absent: closing slow readers, and encoding publications (`fanout`).

mod ledger;
#[cfg(test)]
mod tests;

use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};

use ledger::SendLedger;

use super::batches::{BatchId, FanoutBatch, SendResult};
use super::conn::{ConnStage, Connection};
use super::connections::Connections;
use super::fanout::{Channel, FanoutBuffer, FilteredFrames, SubscriberClass, opcode};
use super::observe::{Observing, work_in};
use super::outbox::{
    FanoutFrame, Outbox, OutboxLane, OutboxLimits, OutboxTotals, PublicationCounts, PushResult,
    Released, SendState,
};
use crate::base::{Action, ConnId, MonotonicMs, ShardId, trim_list};
use crate::metrics::{ChatType, Counter, MetricsWriter};
use crate::session::{self, Session};
use crate::wire;
use crate::ws;

/// Messages above this size count as data: they carry publications.
const CONTROL_MESSAGES_BYTES_MAX: usize = 4 << 10;

/// How long the first answers to a message's commands wait for the last, so
/// that all leave in one frame. A home that is slower than this is in trouble.
const TOGETHER_MS_MAX: u64 = 20;

/// The connections of one shard that have something to send.
pub struct FlushQueue {
    /// Connections with something to send in this turn.
    entries: Vec<FlushEntry>,
    /// Totals over the outboxes of all connections.
    totals: OutboxTotals,
    /// Connections whose outbox is full; ended before the turn is.
    slow: Vec<ConnId>,
    ledger: SendLedger,
    limits: OutboxLimits,
    shard: ShardId,
    metrics: Rc<MetricsWriter>,
}

/// One connection in the queue.
#[derive(Debug)]
struct FlushEntry {
    id: ConnId,
    /// The time since which it waits for more answers, to send them in one frame.
    held_since: Option<MonotonicMs>,
    /// Messages for it, which become one frame when sealed.
    messages: BytesMut,
}

impl FlushQueue {
    /// An empty queue.
    pub fn new(
        shard: ShardId,
        options: &session::Options,
        metrics: &Rc<MetricsWriter>,
    ) -> FlushQueue {
        FlushQueue {
            entries: Vec::new(),
            totals: OutboxTotals::new(options.outbox_bytes_max),
            slow: Vec::new(),
            ledger: SendLedger::new(Rc::clone(metrics)),
            limits: OutboxLimits {
                data_bytes_max: options.outbox_bytes_max,
                control_bytes_max: options.control_bytes_max,
            },
            shard,
            metrics: Rc::clone(metrics),
        }
    }

    /// Puts a connection into the queue of this turn.
    pub fn mark_dirty(&mut self, connections: &mut Connections, id: ConnId) {
        if let Some(conn) = connections.get_mut(id) {
            mark_dirty(&mut self.entries, conn.send_mut(), id);
        }
    }

    /// Appends messages for one connection; those of one turn share a frame.
    pub fn append_messages(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        messages: BytesMut,
    ) {
        let Some(conn) = connections.get_mut(id) else { return };
        let send = conn.send_mut();
        mark_dirty(&mut self.entries, send, id);
        let place = send.flush_index().expect("it was just listed");
        let entry = &mut self.entries[place];
        if entry.messages.is_empty() {
            entry.messages = messages;
        } else {
            wire::separate(send.encoding(), &mut entry.messages);
            entry.messages.extend_from_slice(&messages);
        }
    }

    /// Ends the frame that a connection's messages share, so that something
    /// else can follow it.
    pub fn seal(&mut self, connections: &mut Connections, id: ConnId) {
        if let Some(conn) = connections.get_mut(id)
            && seal(&mut self.entries, &mut self.totals, conn.send_mut(), self.limits)
                == PushResult::Full
        {
            self.slow.push(id);
        }
    }

    /// Pushes a frame to the control lane, after all earlier messages of the connection.
    pub fn push_control(&mut self, connections: &mut Connections, id: ConnId, frame: Bytes) {
        self.seal(connections, id);
        let (limits, Some(conn)) = (self.limits, connections.get_mut(id)) else { return };
        let push = |outbox: &mut Outbox| outbox.push(OutboxLane::Control, frame, limits);
        if self.totals.update(conn.send_mut().outbox_mut(), push) == PushResult::Full {
            self.slow.push(id);
        }
        mark_dirty(&mut self.entries, conn.send_mut(), id);
    }

    /// The client knows its channels now: publications that were held may follow.
    pub fn release(&mut self, connections: &mut Connections, id: ConnId) {
        self.seal(connections, id);
        let Some(conn) = connections.get_mut(id) else { return };
        conn.send_mut().outbox_mut().release();
        mark_dirty(&mut self.entries, conn.send_mut(), id);
    }

    /// Free bytes of a connection's outbox, less the messages that it will get in this turn.
    pub fn room_bytes(&self, conn: &Connection) -> usize {
        let send = conn.send();
        let told = send.flush_index().map_or(0, |place| self.entries[place].messages.len());
        let held = match conn.stage() {
            ConnStage::Open(_, session) => session.held_answer_bytes(),
            ConnStage::Upgrading(_) | ConnStage::Closing(_) | ConnStage::Shut => 0,
        };
        (self.limits.data_bytes_max as usize).saturating_sub(told + send.bytes() + held)
    }

    /// The send in flight of a connection has left. Returns the batch that it was the last
    /// send of. Nearly every delivery ends here, so nothing else is done.
    #[inline]
    #[must_use]
    pub fn on_sent(
        &mut self,
        connections: &mut Connections,
        now: MonotonicMs,
        options: &session::Options,
        id: ConnId,
    ) -> Option<FanoutBatch> {
        let (stage, send) = connections.get_mut(id)?.split();
        let publications = self.totals.on_sent(send.outbox_mut());
        let is_closing = match stage {
            ConnStage::Open(_, session) => {
                session.on_sent(now, options);
                false
            }
            ConnStage::Closing(_) => true,
            ConnStage::Upgrading(_) | ConnStage::Shut => false,
        };
        let batch = send.take_batch();
        if is_closing || send.is_ready() {
            mark_dirty(&mut self.entries, send, id);
        }
        self.ledger.on_sent(publications, batch)
    }

    /// A connection is gone, with its send in flight and its outbox.
    pub fn on_gone(&mut self, mut conn: Connection, observing: &mut Observing<'_>) {
        let batch = conn.send_mut().take_batch();
        self.ledger.end(batch, SendResult::Dropped, observing);
    }

    /// Drops everything that a connection has not been sent yet.
    pub fn forget_waiting(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        observing: &mut Observing<'_>,
    ) {
        self.drop_frames(connections, id, Outbox::clear, observing);
        let Some(conn) = connections.get(id) else { return };
        if let Some(place) = conn.send().flush_index() {
            self.entries[place].messages.clear();
        }
    }

    /// Drops the held frames of a connection that will never know its channels.
    pub fn forget_held(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        observing: &mut Observing<'_>,
    ) {
        self.drop_frames(connections, id, Outbox::forget_held, observing);
    }

    /// Drops the send in flight, too: the socket is gone.
    pub fn abandon(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        observing: &mut Observing<'_>,
    ) {
        self.drop_frames(connections, id, Outbox::abandon, observing);
    }

    /// Takes frames from an outbox that its reader will not get.
    fn drop_frames(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        take: impl FnOnce(&mut Outbox, &mut Released),
        observing: &mut Observing<'_>,
    ) {
        let Some(conn) = connections.get_mut(id) else { return };
        let released = self.ledger.released();
        self.totals.update(conn.send_mut().outbox_mut(), |outbox| take(outbox, released));
        self.ledger.settle(SendResult::Dropped, observing);
    }

    /// Gives every subscriber of a channel its slice. With `out`, a connection with an empty
    /// outbox gets it as a direct send; for the others it goes into the outbox.
    pub fn flush(
        &mut self,
        connections: &mut Connections,
        channel: &Channel,
        mut buffer: FanoutBuffer,
        mut out: Option<&mut Vec<Action>>,
        observing: &mut Observing<'_>,
    ) {
        let FlushQueue { entries, totals, slow, ledger, limits, metrics, .. } = self;
        work_in(metrics, Some(&channel.name), channel.room);
        let (publications_count, publications) =
            (buffer.publications_count(), buffer.publications());
        let (filtered, chat_type) = (buffer.take_filtered(), buffer.chat_type());
        let batch = match publications_count {
            0 => BatchId::NONE,
            1.. => {
                // All subscribers of a channel are of its tenant.
                let first = channel.subscribers().first().map(|subscriber| subscriber.slot());
                let first = first.and_then(|slot| connections.subscriber(slot));
                let tenant = first.and_then(|(id, _)| connections.tenant_of(id));
                let timings = buffer.take_timings();
                ledger.begin(observing.now().moment, channel.room, tenant, timings)
            }
        };
        let (mut at_once, mut queued, mut refused) = (0, 0, 0);
        let frames = buffer.finish();
        for subscriber in channel.subscribers() {
            // Who has a filter is of no class.
            let frame = frames.get(subscriber.class_index()).filter(|frame| !frame.is_empty());
            let Some(frame) = frame else { continue };
            let conn = connections.subscriber_mut(subscriber.slot());
            let (id, conn) = conn.expect("a subscriber is removed before its connection");
            let send = conn.send_mut();
            let mut full = seal(entries, totals, send, *limits) == PushResult::Full;
            if let Some(out) = &mut out
                && send.is_idle()
            {
                out.push(Action::Send(id, send.send_at_once(frame.clone(), publications, batch)));
                at_once += 1;
            } else {
                let fanout_frame = FanoutFrame { frame: frame.clone(), publications, batch };
                match push_fanout(entries, totals, (id, send), fanout_frame, *limits) {
                    PushResult::Queued => queued += 1,
                    PushResult::Full => {
                        refused += 1;
                        full = true;
                    }
                }
            }
            if full {
                slow.push(id);
            }
        }
        if 0 < publications_count {
            totals.add_in_flight(at_once * publications_count);
            let recipients = at_once + queued + refused;
            metrics.add(Counter::Recipients, recipients * publications_count);
            (0..refused).for_each(|_| ledger.released().drop_publications(publications));
            ledger.settle(SendResult::Dropped, observing);
            ledger.given(batch, (at_once + queued) as u32, refused as u32, observing);
        }
        if let Some(filtered) = filtered {
            self.flush_filtered(connections, channel, (&filtered, &frames, chat_type), observing);
        }
    }

    /// Gives the subscribers of a channel with filters what is for each of them. No batch follows
    /// their sends: it would say how long a message took that they did not get.
    fn flush_filtered(
        &mut self,
        connections: &mut Connections,
        channel: &Channel,
        (filtered, frames, chat_type): (
            &FilteredFrames,
            &[Bytes; SubscriberClass::COUNT],
            Option<ChatType>,
        ),
        observing: &mut Observing<'_>,
    ) {
        let FlushQueue { entries, totals, slow, ledger, limits, metrics, .. } = self;
        for subscriber in channel.subscribers() {
            let Some((frame, count)) = filtered.of(subscriber.slot(), frames) else { continue };
            let publications = chat_type.map_or(PublicationCounts::NONE, |chat_type| {
                PublicationCounts::of(chat_type, count)
            });
            metrics.add(Counter::Recipients, count);
            let conn = connections.subscriber_mut(subscriber.slot());
            let (id, conn) = conn.expect("a subscriber is removed before its connection");
            let send = conn.send_mut();
            let mut full = seal(entries, totals, send, *limits) == PushResult::Full;
            let fanout_frame = FanoutFrame { frame, publications, batch: BatchId::NONE };
            let pushed = push_fanout(entries, totals, (id, send), fanout_frame, *limits);
            if pushed == PushResult::Full {
                full = true;
                ledger.released().drop_publications(publications);
                ledger.settle(SendResult::Dropped, observing);
            }
            if full {
                slow.push(id);
            }
        }
    }

    /// Seals the frames of all connections in the queue, except those that wait for more
    /// answers.
    pub fn seal_or_hold(&mut self, connections: &mut Connections, now: MonotonicMs) {
        for place in 0..self.entries.len() {
            self.seal_or_hold_at(connections, now, place);
        }
    }

    /// Seals the frame of a connection's messages, or keeps it open for answers that rooms
    /// still owe: connect and subscribe come in one message, and are answered in one. Any
    /// other frame for the connection seals it, too.
    fn seal_or_hold_at(&mut self, connections: &mut Connections, now: MonotonicMs, place: usize) {
        let FlushEntry { id, held_since, ref messages } = self.entries[place];
        let since = held_since.unwrap_or(now);
        let holds = !messages.is_empty()
            && messages.len() <= CONTROL_MESSAGES_BYTES_MAX
            && now.ms_since(since) < TOGETHER_MS_MAX
            && connections.session(id).is_some_and(Session::is_unanswered);
        self.entries[place].held_since = holds.then_some(since);
        if !holds {
            self.seal(connections, id);
        }
    }

    /// Gives the next send of each connection in the queue, or its close. A connection that
    /// waits for more answers stays in the queue.
    pub fn send_all(
        &mut self,
        connections: &mut Connections,
        out: &mut Vec<Action>,
        observing: &mut Observing<'_>,
    ) {
        let FlushQueue { entries, totals, ledger, shard, metrics, .. } = self;
        let mut subscriber_slots = 0..;
        entries.retain(|entry| {
            let (id, place) = (entry.id, subscriber_slots.next());
            metrics.work_on(shard.0, id);
            if let Some(conn) = connections.get_mut(id) {
                assert_eq!(conn.send().flush_index(), place, "a connection knows its index");
                send_waiting(totals, ledger, conn, id, out);
                if ledger.released().has_batches() {
                    // They leave with this send, whose completion is reported for the first
                    // batch only.
                    ledger.settle(SendResult::Sent, observing);
                }
            }
            entry.held_since.is_some()
        });
        for (place, entry) in entries.iter().enumerate() {
            if let Some(conn) = connections.get_mut(entry.id) {
                conn.send_mut().set_flush_index(place);
            }
        }
    }

    /// Whether the outbox of this connection was full in this turn.
    pub fn is_slow(&self, id: ConnId) -> bool {
        self.slow.contains(&id)
    }

    /// Whether there are slow readers to close.
    pub fn has_slow(&self) -> bool {
        !self.slow.is_empty()
    }

    /// Takes the slow readers, in the order in which they were found.
    pub fn take_slow(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.slow)
    }

    /// The time at which the connection that has waited longest for more answers is sealed.
    pub fn next_seal(&self) -> Option<MonotonicMs> {
        let since = self.entries.first()?.held_since?;
        Some(since.plus_ms(TOGETHER_MS_MAX))
    }

    /// Totals over all outboxes.
    pub fn totals(&self) -> &OutboxTotals {
        &self.totals
    }

    /// Fan-out batches in flight, as far as they are tracked.
    pub fn batches_count(&self) -> usize {
        self.ledger.batches_count()
    }

    /// Connections in the queue.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Frees the spare capacity that a large turn has left.
    pub fn trim(&mut self) {
        trim_list(&mut self.entries);
        self.ledger.trim();
    }
}

/// Puts what a channel says into the outbox of one connection, which is in the queue then.
#[inline]
fn push_fanout(
    entries: &mut Vec<FlushEntry>,
    totals: &mut OutboxTotals,
    (id, send): (ConnId, &mut SendState),
    fanout_frame: FanoutFrame,
    limits: OutboxLimits,
) -> PushResult {
    let push = |outbox: &mut Outbox| outbox.push_fanout(fanout_frame, limits);
    let pushed = totals.update(send.outbox_mut(), push);
    mark_dirty(entries, send, id);
    pushed
}

/// Gives the next send of one connection, or its close.
fn send_waiting(
    totals: &mut OutboxTotals,
    ledger: &mut SendLedger,
    conn: &mut Connection,
    id: ConnId,
    out: &mut Vec<Action>,
) {
    let send = conn.send_mut();
    send.clear_flush_index();
    let released = ledger.released();
    if let Some(next) = totals.update(send.outbox_mut(), |outbox| outbox.next_send(released)) {
        send.follow(next.batch);
        out.push(Action::Send(id, next.bytes));
    }
    if conn.finish_closing() {
        out.push(Action::Close(id));
    }
}

fn mark_dirty(entries: &mut Vec<FlushEntry>, send: &mut SendState, id: ConnId) {
    if send.flush_index().is_none() {
        send.set_flush_index(entries.len());
        entries.push(FlushEntry { id, held_since: None, messages: BytesMut::new() });
    }
}

fn seal(
    entries: &mut [FlushEntry],
    totals: &mut OutboxTotals,
    send: &mut SendState,
    limits: OutboxLimits,
) -> PushResult {
    let Some(place) = send.flush_index() else { return PushResult::Queued };
    let messages = std::mem::take(&mut entries[place].messages);
    if messages.is_empty() {
        return PushResult::Queued;
    }
    let mut frame = BytesMut::with_capacity(messages.len() + ws::FRAME_HEADER_BYTES_MAX);
    ws::put_header(&mut frame, opcode(send.encoding()), messages.len());
    frame.put_slice(&messages);
    let control = messages.len() <= CONTROL_MESSAGES_BYTES_MAX;
    let lane = if control { OutboxLane::Control } else { OutboxLane::Data };
    totals.update(send.outbox_mut(), |outbox| outbox.push(lane, frame.freeze(), limits))
}
