//! From what is said to sends: what waits for each connection, and at the end of a turn one
//! send for each.
//!
//! `FlushQueue` lists the connections with something to send and knows what waits in all of
//! them; what waits for one connection lies in it, as its `SendState`, and changes in here
//! alone.
//!
//! Invariants: a connection is on the list at most once, and knows its place there; every
//! change of an outbox goes through `totals`, but for sends that are given at once, which
//! `launch` counts; a connection has at most one send in flight.
//!
//! Deliberately absent: who is ended for being slow, and what a channel says (`fanout`).

mod batches;
mod ledger;
mod outbox;
mod publication_counts;
mod send_state;
#[cfg(test)]
mod tests;
mod totals;

use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};

pub use batches::FanoutBatch;
pub use publication_counts::Cargo;
pub use send_state::SendState;

use batches::{InFlightBatches, SendResult};
use ledger::SendLedger;
use outbox::{Lane, Left, Limits, News, Outbox, Push, RoundId};
use totals::OutboxTotals;

use super::conn::{ConnStage, Connection};
use super::connections::Connections;
use super::fanout::{Channel, FanoutBuffer, opcode};
use super::observe::{Observing, work_in};
use crate::base::{Action, ConnId, MonotonicMs, ShardId, trim_list};
use crate::metrics::{Counter, MetricsWriter};
use crate::session::{self, Session};
use crate::wire;
use crate::ws;

/// Messages above this size count as data: they carry publications.
const CONTROL_MESSAGES_BYTES_MAX: usize = 4 << 10;

/// How long the first answers to a message's commands wait for the last, so
/// that all leave in one frame. A home that is slower than this is in trouble.
const TOGETHER_MS_MAX: u64 = 20;

/// What the connections of one shard have to send.
pub struct FlushQueue {
    /// Connections with something to send in this turn.
    entries: Vec<FlushEntry>,
    /// What waits in the outboxes of all connections.
    totals: OutboxTotals,
    /// Connections whose outbox is full; ended before the turn is.
    slow: Vec<ConnId>,
    ledger: SendLedger,
    limits: Limits,
    shard: ShardId,
    scribe: Rc<MetricsWriter>,
}

/// One connection on the turn's list.
#[derive(Debug)]
struct FlushEntry {
    id: ConnId,
    /// Since when it waits for more answers to send them together.
    held_since: Option<MonotonicMs>,
    /// What it is told, one frame when sealed.
    messages: BytesMut,
}

impl FlushQueue {
    /// Nothing waits.
    pub fn new(
        shard: ShardId,
        options: &session::Options,
        scribe: &Rc<MetricsWriter>,
    ) -> FlushQueue {
        FlushQueue {
            entries: Vec::new(),
            totals: OutboxTotals::new(options.outbox_bytes_max),
            slow: Vec::new(),
            ledger: SendLedger::new(Rc::clone(scribe)),
            limits: Limits {
                data_bytes_max: options.outbox_bytes_max,
                control_bytes_max: options.control_bytes_max,
            },
            shard,
            scribe: Rc::clone(scribe),
        }
    }

    /// Puts a connection on the turn's list.
    pub fn list(&mut self, connections: &mut Connections, id: ConnId) {
        if let Some(conn) = connections.get_mut(id) {
            put_on(&mut self.entries, conn.send_mut(), id);
        }
    }

    /// Messages for one connection; those of one turn share a frame.
    pub fn say(&mut self, connections: &mut Connections, id: ConnId, messages: BytesMut) {
        let Some(conn) = connections.get_mut(id) else { return };
        let send = conn.send_mut();
        put_on(&mut self.entries, send, id);
        let place = send.place().expect("it was just listed");
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
            && seal(&mut self.entries, &mut self.totals, conn.send_mut(), self.limits) == Push::Full
        {
            self.slow.push(id);
        }
    }

    /// A frame of the control lane, behind what the connection was told before.
    pub fn push_control(&mut self, connections: &mut Connections, id: ConnId, frame: Bytes) {
        self.seal(connections, id);
        let (limits, Some(conn)) = (self.limits, connections.get_mut(id)) else { return };
        let push = |outbox: &mut Outbox| outbox.push(Lane::Control, frame, limits);
        if self.totals.keep(conn.send_mut().outbox_mut(), push) == Push::Full {
            self.slow.push(id);
        }
        put_on(&mut self.entries, conn.send_mut(), id);
    }

    /// The client knows its channels now: what they said meanwhile follows.
    pub fn release(&mut self, connections: &mut Connections, id: ConnId) {
        self.seal(connections, id);
        let Some(conn) = connections.get_mut(id) else { return };
        conn.send_mut().outbox_mut().release();
        put_on(&mut self.entries, conn.send_mut(), id);
    }

    /// What a connection's outbox has room for, without what it is about to be told.
    pub fn room_bytes(&self, conn: &Connection) -> usize {
        let send = conn.send();
        let told = send.place().map_or(0, |place| self.entries[place].messages.len());
        let held = match conn.stage() {
            ConnStage::Open(_, session) => session.held_recovery_bytes(),
            ConnStage::Upgrading(_) | ConnStage::Closing(_) | ConnStage::Shut => 0,
        };
        (self.limits.data_bytes_max as usize).saturating_sub(told + send.bytes() + held)
    }

    /// The send in flight of a connection has left. Returns what a channel said, when that
    /// was the last of its sends: nearly every delivery ends here, and nothing else is paid.
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
        let cargo = self.totals.keep(send.outbox_mut(), Outbox::sent);
        let is_closing = match stage {
            ConnStage::Open(_, session) => {
                session.on_sent(now, options);
                false
            }
            ConnStage::Closing(_) => true,
            ConnStage::Upgrading(_) | ConnStage::Shut => false,
        };
        let round = send.take_round();
        if is_closing || send.is_ready() {
            put_on(&mut self.entries, send, id);
        }
        self.ledger.on_sent(cargo, round)
    }

    /// A connection is gone with its send in flight and all that waited.
    pub fn on_gone(&mut self, mut conn: Connection, seen: &mut Observing<'_>) {
        let round = conn.send_mut().take_round();
        self.ledger.end(round, SendResult::Dropped, seen);
    }

    /// Forgets what a connection has not been sent yet.
    pub fn forget_waiting(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        seen: &mut Observing<'_>,
    ) {
        self.lose(connections, id, Outbox::clear, seen);
        let Some(conn) = connections.get(id) else { return };
        if let Some(place) = conn.send().place() {
            self.entries[place].messages.clear();
        }
    }

    /// Forgets what is held for a connection that will never know its channels.
    pub fn forget_held(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        seen: &mut Observing<'_>,
    ) {
        self.lose(connections, id, Outbox::forget_held, seen);
    }

    /// Forgets also what is in flight: the socket is gone.
    pub fn abandon(&mut self, connections: &mut Connections, id: ConnId, seen: &mut Observing<'_>) {
        self.lose(connections, id, Outbox::abandon, seen);
    }

    /// Takes from an outbox what its reader will not get.
    fn lose(
        &mut self,
        connections: &mut Connections,
        id: ConnId,
        take: impl FnOnce(&mut Outbox, &mut Left),
        seen: &mut Observing<'_>,
    ) {
        let Some(conn) = connections.get_mut(id) else { return };
        let released = self.ledger.released();
        self.totals.keep(conn.send_mut().outbox_mut(), |outbox| take(outbox, released));
        self.ledger.settle(SendResult::Dropped, seen);
    }

    /// Gives every subscriber of a channel its slice. With `out`, who has nothing else
    /// waiting gets it without a detour; for the others it joins the queue.
    pub fn flush(
        &mut self,
        connections: &mut Connections,
        channel: &Channel,
        mut gathering: FanoutBuffer,
        mut out: Option<&mut Vec<Action>>,
        seen: &mut Observing<'_>,
    ) {
        let FlushQueue { entries, totals, slow, ledger, limits, scribe, .. } = self;
        work_in(scribe, Some(&channel.name), channel.room);
        let (publications_count, cargo) = (gathering.publications_count(), gathering.cargo());
        let round = match publications_count {
            0 => RoundId::NOBODY,
            1.. => {
                // Whoever is in a channel is of its tenant.
                let first = channel.seats().first().map(|seat| seat.slot());
                let first = first.and_then(|slot| connections.subscriber(slot));
                let tenant = first.and_then(|(id, _)| connections.tenant_of(id));
                let ways = gathering.take_ways();
                ledger.begin(seen.now().moment, channel.room, tenant, ways)
            }
        };
        let (mut at_once, mut queued, mut refused) = (0, 0, 0);
        let frames = gathering.finish();
        for seat in channel.seats() {
            let frame = &frames[seat.kind_index()];
            if frame.is_empty() {
                continue;
            }
            let subscriber = connections.subscriber_mut(seat.slot());
            let (id, conn) = subscriber.expect("a seat is freed before its connection goes");
            let send = conn.send_mut();
            let mut full = seal(entries, totals, send, *limits) == Push::Full;
            if let Some(out) = &mut out
                && send.is_idle()
            {
                out.push(Action::Send(id, send.send_at_once(frame.clone(), cargo, round)));
                at_once += 1;
            } else {
                let news = News { frame: frame.clone(), cargo, round };
                let push = |outbox: &mut Outbox| outbox.push_news(news, *limits);
                match totals.keep(send.outbox_mut(), push) {
                    Push::Queued => queued += 1,
                    Push::Full => {
                        refused += 1;
                        full = true;
                    }
                }
                put_on(entries, send, id);
            }
            if full {
                slow.push(id);
            }
        }
        if 0 < publications_count {
            totals.launch(at_once * publications_count);
            let recipients = at_once + queued + refused;
            scribe.add(Counter::Recipients, recipients * publications_count);
            (0..refused).for_each(|_| ledger.released().lose_cargo(cargo));
            ledger.settle(SendResult::Dropped, seen);
            ledger.given(round, (at_once + queued) as u32, refused as u32, seen);
        }
    }

    /// Ends the frames of all on the list but those that wait for more answers.
    pub fn seal_or_hold(&mut self, connections: &mut Connections, now: MonotonicMs) {
        for place in 0..self.entries.len() {
            self.seal_or_hold_at(connections, now, place);
        }
    }

    /// Ends the frame of a connection's messages, or keeps it open for answers
    /// that rooms still owe: connect and subscribe come in one message, and are
    /// answered in one. What else is sent to the connection ends it, too.
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

    /// Gives the next send of each connection on the list, or its end. Who waits for more
    /// answers stays on it.
    pub fn send_all(
        &mut self,
        connections: &mut Connections,
        out: &mut Vec<Action>,
        seen: &mut Observing<'_>,
    ) {
        let FlushQueue { entries, totals, ledger, shard, scribe, .. } = self;
        let mut places = 0..;
        entries.retain(|entry| {
            let (id, place) = (entry.id, places.next());
            scribe.work_on(shard.0, id);
            if let Some(conn) = connections.get_mut(id) {
                assert_eq!(conn.send().place(), place, "a connection knows its place");
                send_waiting(totals, ledger, conn, id, out);
                if ledger.released().has_rounds() {
                    // They leave with the send; that it left is told of the first only.
                    ledger.settle(SendResult::Sent, seen);
                }
            }
            entry.held_since.is_some()
        });
        for (place, entry) in entries.iter().enumerate() {
            if let Some(conn) = connections.get_mut(entry.id) {
                conn.send_mut().put_at(place);
            }
        }
    }

    /// Whether a frame for this connection had no place in this turn.
    pub fn is_slow(&self, id: ConnId) -> bool {
        self.slow.contains(&id)
    }

    /// Whether there is anybody to be ended for that.
    pub fn has_slow(&self) -> bool {
        !self.slow.is_empty()
    }

    /// Who is to be ended for that, in the order in which it was found out.
    pub fn take_slow(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.slow)
    }

    /// When the connection that waits longest for more answers waits no more.
    pub fn next_seal(&self) -> Option<MonotonicMs> {
        let since = self.entries.first()?.held_since?;
        Some(since.plus_ms(TOGETHER_MS_MAX))
    }

    /// What waits in all outboxes.
    pub fn totals(&self) -> &OutboxTotals {
        &self.totals
    }

    /// What channels said and has not left wholly, as far as it is followed.
    pub fn rounds_count(&self) -> usize {
        self.ledger.rounds_count()
    }

    /// How many connections are on the list.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives back what a turn with very much to do has left.
    pub fn trim(&mut self) {
        trim_list(&mut self.entries);
        self.ledger.trim();
    }
}

/// The next send of one connection, or its end.
fn send_waiting(
    totals: &mut OutboxTotals,
    ledger: &mut SendLedger,
    conn: &mut Connection,
    id: ConnId,
    out: &mut Vec<Action>,
) {
    let send = conn.send_mut();
    send.take_off();
    let released = ledger.released();
    if let Some(next) = totals.keep(send.outbox_mut(), |outbox| outbox.next_send(released)) {
        send.follow(next.round);
        out.push(Action::Send(id, next.bytes));
    }
    if conn.finish_closing() {
        out.push(Action::Close(id));
    }
}

fn put_on(entries: &mut Vec<FlushEntry>, send: &mut SendState, id: ConnId) {
    if send.place().is_none() {
        send.put_at(entries.len());
        entries.push(FlushEntry { id, held_since: None, messages: BytesMut::new() });
    }
}

fn seal(
    entries: &mut [FlushEntry],
    totals: &mut OutboxTotals,
    send: &mut SendState,
    limits: Limits,
) -> Push {
    let Some(place) = send.place() else { return Push::Queued };
    let messages = std::mem::take(&mut entries[place].messages);
    if messages.is_empty() {
        return Push::Queued;
    }
    let mut frame = BytesMut::with_capacity(messages.len() + ws::FRAME_HEADER_BYTES_MAX);
    ws::put_header(&mut frame, opcode(send.encoding()), messages.len());
    frame.put_slice(&messages);
    let control = messages.len() <= CONTROL_MESSAGES_BYTES_MAX;
    let lane = if control { Lane::Control } else { Lane::Data };
    totals.keep(send.outbox_mut(), |outbox| outbox.push(lane, frame.freeze(), limits))
}
