//! From decisions to sends: at the end of a turn, one for each connection.

mod batches;
mod outbox;
mod publication_counts;
mod totals;

use std::mem;

use bytes::{BufMut, Bytes, BytesMut};

pub use batches::{Fate, Round, Rounds};
pub use outbox::{Lane, Left, Limits, News, Outbox, Push, RoundId};
pub use publication_counts::Cargo;
pub use totals::Level;

use super::Shard;
use super::conn::{Conn, Goodbye, Listed, Stage};
use super::fanout::{Gathering, opcode};
use super::observe::{Observing, work_in};
use crate::base::{Action, ConnId, Now, RoomId, Tick};
use crate::metrics::{ChatType, Counter, DeliveryOutcome};
use crate::session::{Fault, Session};
use crate::wire;
use crate::ws;

/// Messages above this size count as data: they carry publications.
const CONTROL_MESSAGES_BYTES_MAX: usize = 4 << 10;

/// How long the first answers to a message's commands wait for the last, so
/// that all leave in one frame. A home that is slower than this is in trouble.
const TOGETHER_MS_MAX: u64 = 20;

/// One connection on the turn's list.
#[derive(Debug)]
pub struct Listing {
    id: ConnId,
    /// Since when it waits for more answers to send them together.
    held_since: Option<Tick>,
    /// What it is told, one frame when sealed.
    messages: BytesMut,
}

impl Listing {
    /// What it is told so far.
    pub fn bytes(&self) -> usize {
        self.messages.len()
    }
}

impl Shard {
    /// Turns everything that was decided into sends.
    ///
    /// Closing a slow reader may set off news to others, who may turn out to be
    /// slow: each round ends at least one session, so the rounds end.
    pub(super) fn deliver(&mut self, now: Now, out: &mut Vec<Action>) {
        let mut sealed = 0;
        loop {
            for gathering in self.gatherings.take_all() {
                self.flush(now, gathering, Some(out));
            }
            while sealed < self.listed.len() {
                self.seal_or_hold(now, sealed);
                sealed += 1;
            }
            if self.slow.is_empty() {
                break;
            }
            self.end_slow(now);
            self.read_local(now);
            sealed = 0;
        }
        let mut listed = std::mem::take(&mut self.listed);
        listed.retain(|listing| {
            self.scribe.work_on(self.id.0, listing.id);
            self.send_waiting(now, listing.id, out);
            listing.held_since.is_some()
        });
        for (index, listing) in (0..).zip(&listed) {
            if let Some(conn) = self.connections.get_mut(listing.id) {
                conn.listed = Listed(index);
            }
        }
        self.listed = listed;
    }

    /// When the connection that waits longest for more answers waits no more.
    pub(super) fn next_seal(&self) -> Option<Tick> {
        let since = self.listed.first()?.held_since?;
        Some(since.plus_ms(TOGETHER_MS_MAX))
    }

    /// Ends the frame of a connection's messages, or keeps it open for answers
    /// that rooms still owe: connect and subscribe come in one message, and are
    /// answered in one. What else is sent to the connection ends it, too.
    fn seal_or_hold(&mut self, now: Now, index: usize) {
        let Listing { id, held_since, ref messages } = self.listed[index];
        let since = held_since.unwrap_or(now.tick);
        let holds = !messages.is_empty()
            && messages.len() <= CONTROL_MESSAGES_BYTES_MAX
            && now.tick.ms_since(since) < TOGETHER_MS_MAX
            && self.connections.session(id).is_some_and(Session::is_unanswered);
        self.listed[index].held_since = holds.then_some(since);
        if !holds {
            self.seal(id);
        }
    }

    /// Puts a connection on the turn's list.
    pub(super) fn list(&mut self, id: ConnId) {
        if let Some(conn) = self.connections.get_mut(id) {
            put_on(&mut self.listed, conn, id);
        }
    }

    /// Messages for one connection; those of one turn share a frame.
    pub(super) fn say(&mut self, id: ConnId, messages: BytesMut) {
        self.list(id);
        let Some(conn) = self.connections.get_mut(id) else { return };
        let (encoding, place) = (conn.encoding, conn.listed);
        let listing = &mut self.listed[place.0 as usize];
        if listing.messages.is_empty() {
            listing.messages = messages;
        } else {
            wire::separate(encoding, &mut listing.messages);
            listing.messages.extend_from_slice(&messages);
        }
    }

    /// Ends the frame that a connection's messages share, so that something
    /// else can follow it.
    pub(super) fn seal(&mut self, id: ConnId) {
        let limits = self.limits();
        if let Some(conn) = self.connections.get_mut(id)
            && seal(&mut self.listed, &mut self.waiting, conn, limits) == Push::Full
        {
            self.slow.push(id);
        }
    }

    /// Forgets what a connection has not been sent yet.
    pub(super) fn forget_waiting(&mut self, now: Now, id: ConnId) {
        self.lose(now, id, Outbox::clear);
        let Some(conn) = self.connections.get_mut(id) else { return };
        if conn.listed != Listed::NOWHERE {
            self.listed[conn.listed.0 as usize].messages.clear();
        }
    }

    /// Takes from an outbox what its reader will not get.
    pub(super) fn lose(&mut self, now: Now, id: ConnId, take: impl FnOnce(&mut Outbox, &mut Left)) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        let mut left = std::mem::take(&mut self.left);
        self.waiting.keep(&mut conn.outbox, |outbox| take(outbox, &mut left));
        self.settle(now, &mut left, Fate::Lost);
        self.left = left;
    }

    /// Hands out what a channel said so far, before its subscribers change.
    pub(super) fn flush_room(&mut self, now: Now, room: RoomId) {
        if let Some(gathering) = self.gatherings.take(room) {
            self.flush(now, gathering, None);
        }
    }

    /// Gives every subscriber its slice. With `out`, who has nothing else
    /// waiting gets it without a detour; for the others it joins the queue.
    fn flush(&mut self, now: Now, mut gathering: Gathering, mut out: Option<&mut Vec<Action>>) {
        let limits = self.limits();
        let Some(channel) = self.channels.find(gathering.room) else { return };
        let channel = self.channels.at(channel).expect("it was just found");
        work_in(&self.scribe, Some(&channel.name), gathering.room);
        let (publications_count, cargo) = (gathering.publications_count(), gathering.cargo());
        let round = match publications_count {
            0 => RoundId::NOBODY,
            1.. => {
                // Whoever is in a channel is of its tenant.
                let first = channel.seats().first().map(|seat| seat.slot());
                let first = first.and_then(|slot| self.connections.subscriber(slot));
                let tenant = first.and_then(|(id, _)| self.connections.tenant_of(id));
                let ways = mem::take(&mut gathering.ways);
                self.rounds.begin(now.moment, gathering.room, tenant, ways)
            }
        };
        let (mut at_once, mut queued, mut refused) = (0, 0, 0);
        let frames = gathering.finish();
        for seat in channel.seats() {
            let frame = &frames[seat.kind_index()];
            let Some((id, conn)) = self.connections.subscriber_mut(seat.slot()) else {
                refused += 1;
                continue;
            };
            if frame.is_empty() {
                continue;
            }
            let mut full = seal(&mut self.listed, &mut self.waiting, conn, limits) == Push::Full;
            if let Some(out) = &mut out
                && conn.outbox.is_idle()
            {
                conn.round = round;
                out.push(Action::Send(id, conn.outbox.send_at_once(frame.clone(), cargo)));
                at_once += 1;
            } else {
                let news = News { frame: frame.clone(), cargo, round };
                match self.waiting.keep(&mut conn.outbox, |outbox| outbox.push_news(news, limits)) {
                    Push::Queued => queued += 1,
                    Push::Full => {
                        refused += 1;
                        full = true;
                    }
                }
                put_on(&mut self.listed, conn, id);
            }
            if full {
                self.slow.push(id);
            }
        }
        if 0 < publications_count {
            self.waiting.launch(at_once * publications_count);
            let recipients = at_once + queued + refused;
            self.scribe.add(Counter::Recipients, recipients * publications_count);
            let mut left = mem::take(&mut self.left);
            (0..refused).for_each(|_| left.lose_cargo(cargo));
            self.settle(now, &mut left, Fate::Lost);
            self.left = left;
            let sends = (at_once + queued) as u32;
            let over = self.rounds.given(round, sends, refused as u32);
            let Shard { observer, channels, rooms, env, rounds, .. } = self;
            let mut seen = Observing::new(now, observer, channels, rooms, env.ids());
            if let Some(round) = over.as_ref().or_else(|| rounds.at(round)) {
                seen.on_given(round, sends);
            }
            if let Some(round) = over {
                seen.on_batch(&round);
            }
        }
    }

    fn end_slow(&mut self, now: Now) {
        for id in std::mem::take(&mut self.slow) {
            if self.connections.session(id).is_some() {
                self.end(now, id, Fault::Slow);
            }
        }
    }

    /// The next send of one connection, or its end.
    fn send_waiting(&mut self, now: Now, id: ConnId, out: &mut Vec<Action>) {
        let Some(conn) = self.connections.get_mut(id) else { return };
        conn.listed = Listed::NOWHERE;
        let left = &mut self.left;
        if let Some(send) = self.waiting.keep(&mut conn.outbox, |outbox| outbox.next_send(left)) {
            conn.round = send.round;
            out.push(Action::Send(id, send.bytes));
        }
        if let Stage::Closing(closing) = &conn.stage {
            let over = match closing.goodbye {
                Goodbye::Awaited => false,
                Goodbye::Said => conn.outbox.is_idle(),
                Goodbye::Overdue => true,
            };
            if over {
                conn.stage = Stage::Shut;
                out.push(Action::Close(id));
            }
        }
        if !self.left.rounds.is_empty() {
            // They leave with the send; that it left is told of the first only.
            let mut left = mem::take(&mut self.left);
            self.settle(now, &mut left, Fate::Left);
            self.left = left;
        }
    }

    /// Counts what is lost, and tells rounds of sends that are over.
    fn settle(&mut self, now: Now, left: &mut Left, fate: Fate) {
        for (chat_type, lost) in ChatType::ALL.iter().zip(&mut left.lost) {
            let failed = Counter::Delivered(*chat_type, DeliveryOutcome::Failed);
            self.scribe.add(failed, mem::take(lost));
        }
        for round in left.rounds.drain(..) {
            self.end_send(now, round, fate);
        }
    }

    /// A send with this in it has left.
    pub(super) fn count_delivered(&self, cargo: Cargo) {
        if cargo != Cargo::NONE {
            for (chat_type, count) in ChatType::ALL.iter().zip(cargo.counts()) {
                let delivered = Counter::Delivered(*chat_type, DeliveryOutcome::Delivered);
                self.scribe.add(delivered, u64::from(count));
            }
        }
    }

    /// A send of a round is over.
    pub(super) fn end_send(&mut self, now: Now, round: RoundId, fate: Fate) {
        if let Some(round) = self.rounds.over(round, fate) {
            self.observing(now).on_batch(&round);
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            data_bytes_max: self.options.session.outbox_bytes_max,
            control_bytes_max: self.options.session.control_bytes_max,
        }
    }

    /// A frame of the control lane, behind what the connection was told before.
    pub(super) fn push_control(&mut self, id: ConnId, frame: Bytes) {
        self.seal(id);
        let limits = self.limits();
        let Some(conn) = self.connections.get_mut(id) else { return };
        let push = |outbox: &mut Outbox| outbox.push(Lane::Control, frame, limits);
        if self.waiting.keep(&mut conn.outbox, push) == Push::Full {
            self.slow.push(id);
        }
        self.list(id);
    }
}

fn put_on(listed: &mut Vec<Listing>, conn: &mut Conn, id: ConnId) {
    if conn.listed == Listed::NOWHERE {
        conn.listed = Listed(listed.len() as u32);
        listed.push(Listing { id, held_since: None, messages: BytesMut::new() });
    }
}

fn seal(listed: &mut [Listing], waiting: &mut Level, conn: &mut Conn, limits: Limits) -> Push {
    if conn.listed == Listed::NOWHERE {
        return Push::Queued;
    }
    let messages = std::mem::take(&mut listed[conn.listed.0 as usize].messages);
    if messages.is_empty() {
        return Push::Queued;
    }
    let mut frame = BytesMut::with_capacity(messages.len() + ws::FRAME_HEADER_BYTES_MAX);
    ws::put_header(&mut frame, opcode(conn.encoding), messages.len());
    frame.put_slice(&messages);
    let control = messages.len() <= CONTROL_MESSAGES_BYTES_MAX;
    let lane = if control { Lane::Control } else { Lane::Data };
    waiting.keep(&mut conn.outbox, |outbox| outbox.push(lane, frame.freeze(), limits))
}
