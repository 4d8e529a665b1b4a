//! What decisions lead to: letters, seats, and the end of sessions.

use std::sync::Arc;

use super::conn::{Goodbye, Stage, goodbye};
use super::fanout::{Kind, Seat};
use super::mesh::Posted;
use super::{Gap, Shard};
use crate::base::{ConnId, Now, RoomId, ShardId};
use crate::metrics::{Counter, LaneKind, Recovery as Recovered, RejectReason};
use crate::room::{Answer, Ask, Asker, Departure, Recovery, Tell, Way, Welcome, What};
use crate::session::{Effect, Fault, Place};
use crate::wire::ErrorCode;
use crate::ws;

impl Shard {
    /// Carries out what a session decided, in order.
    pub(super) fn carry_out(&mut self, now: Now, id: ConnId) {
        self.observer.count_outcome(self.env.outcome());
        if let Some(messages) = self.env.take_messages() {
            self.queue.say(&mut self.connections, id, messages);
        }
        let mut effects = self.env.take_effects();
        for effect in effects.drain(..) {
            match effect {
                Effect::Ask(ask) => self.ask(ask),
                Effect::Sit { room, name, news_of_members } => {
                    let Some(conn) = self.connections.get(id) else { continue };
                    let kind = Kind { encoding: conn.send().encoding(), news_of_members };
                    self.sit(now, id, room, name, kind);
                }
                Effect::Stand(place) => self.stand(place),
                Effect::Release => self.queue.release(&mut self.connections, id),
                Effect::Resume(held) => self.take_up_again(now, id, held),
                Effect::Review(wanted) => self.review(now, id, &wanted),
                Effect::Ping => self.ping(id),
                Effect::Suspect(suspicion) => self.suspects.push(now.tick, id, suspicion),
                Effect::Acknowledged { key, took_ms } => {
                    let tenant = self.connections.tenant_of(id);
                    self.observing(now).on_acknowledged(tenant, key, took_ms);
                }
                Effect::Close(fault) => self.end(now, id, fault),
            }
        }
        self.env.keep_effects(effects);
    }

    /// Ends a session or an upgrade: its rooms let it go, the client is told
    /// why, and the socket closes when that has left.
    pub(super) fn end(&mut self, now: Now, id: ConnId, fault: Fault) {
        let patience_ms = self.options.session.close_ms_max;
        let Some(conn) = self.connections.get_mut(id) else { return };
        match conn.stage_mut() {
            Stage::Upgrading(upgrading) => {
                let since = upgrading.since;
                self.begin_closing(now, id, fault);
                self.count_upgrade(now, since, Err(RejectReason::Gone));
            }
            Stage::Open(..) => {
                // A frame of this turn had no place, and later ones may have had one: what
                // waits has a gap, whatever the session ends for.
                let has_gap = fault == Fault::Slow || self.queue.is_slow(id);
                self.leave(now, id, fault);
                self.begin_closing(now, id, fault);
                if has_gap {
                    let (queue, connections, mut seen) = self.delivering(now);
                    queue.forget_waiting(connections, id, &mut seen);
                }
                if goodbye(fault).is_some() {
                    let frame = match fault {
                        Fault::PeerClosed(1005) => ws::close_frame_without_code(),
                        other => ws::close_frame(other.close_code(), &other.to_string()),
                    };
                    self.queue.push_control(&mut self.connections, id, frame);
                }
            }
            Stage::Closing(closing) => {
                if fault == Fault::PeerEnded {
                    closing.goodbye = Goodbye::Said;
                }
            }
            Stage::Shut => (),
        }
        self.connections.wake(now.tick, id, now.tick.plus_ms(patience_ms));
        self.queue.list(&mut self.connections, id);
    }

    /// A room's home says something.
    pub(super) fn on_tell(&mut self, now: Now, tell: Tell) {
        match tell {
            Tell::Answer(room, asker, answer) => self.on_answer(now, room, asker, answer),
            Tell::Lost(room) => {
                self.on_gap(now, self.mesh.home(room), Gap::Rooms(vec![room]));
            }
            Tell::Replaced(conn) => self.end(now, conn, Fault::Replaced),
            news @ (Tell::Said(..)
            | Tell::Came(..)
            | Tell::Went(..)
            | Tell::Swapped(..)
            | Tell::Typing(..)
            | Tell::Crowd(..)
            | Tell::Notice(..)) => self.fanout.on_news(news),
        }
    }

    /// A home lost publications for us: everybody in these channels subscribes again.
    pub(super) fn on_gap(&mut self, now: Now, from: ShardId, gap: Gap) {
        let hit = self.fanout.subscribers_of(gap, |room| self.mesh.home(room) == from);
        for (room, name, slots) in hit {
            self.flush_room(now, room);
            for slot in slots {
                let Some((id, _)) = self.connections.subscriber(slot) else { continue };
                self.scribe.add(Counter::DroppedGaps, 1);
                self.with_session(now, id, |session, cx, out| {
                    session.on_gap(cx, room, &name, out);
                });
            }
        }
    }

    fn on_answer(&mut self, now: Now, room: RoomId, asker: Asker, answer: Answer) {
        if asker.id != 0
            && let Some(way) = way_of(&answer)
        {
            let tenant = self.connections.tenant_of(asker.conn);
            self.observing(now).on_posted(room, tenant, &way);
        }
        // What is long can be asked for again, and must not pile up in here.
        let answer = match answer {
            Answer::Subscribed(welcome) => Answer::Subscribed(self.trimmed(asker.conn, welcome)),
            Answer::History(..)
            | Answer::Presence(_)
            | Answer::Members(..)
            | Answer::Receipts(..)
            | Answer::Conversations(..)
                if self.has_its_fill(asker.conn) =>
            {
                Answer::Refused(ErrorCode::TooManyRequests)
            }
            other => other,
        };
        if let Answer::Subscribed(welcome) = &answer {
            match welcome.recovery {
                Recovery::NotAsked => (),
                Recovery::Whole => self.scribe.add(Counter::Recovered(Recovered::Whole), 1),
                Recovery::Lost => self.scribe.add(Counter::Recovered(Recovered::Failed), 1),
            }
        }
        if self.connections.session(asker.conn).is_some() {
            self.with_session(now, asker.conn, |session, cx, out| {
                session.on_answer(cx, room, asker.id, answer, out);
            });
            self.rest(now, asker.conn);
        } else if matches!(answer, Answer::Subscribed(_)) {
            // It left before it was let in.
            let asker = Asker { id: 0, ..asker };
            self.ask(Ask { room, asker, what: What::Unsubscribe(Departure::Lost) });
        }
    }

    /// Whether a connection already waits for as many bytes as it may.
    fn has_its_fill(&self, id: ConnId) -> bool {
        self.outbox_room_bytes(id) == 0
    }

    /// What a connection's outbox has room for; all where there is no connection any more.
    fn outbox_room_bytes(&self, id: ConnId) -> usize {
        let bytes_max = self.options.session.outbox_bytes_max as usize;
        self.connections.get(id).map_or(bytes_max, |conn| self.queue.room_bytes(conn))
    }

    /// Recoveries end where the outbox does, but one that is larger goes into an outbox
    /// that is half empty: who was closed because it was slow has missed more than its
    /// outbox holds. Who has no room for it reads anew.
    fn trimmed(&self, id: ConnId, mut welcome: Box<Welcome>) -> Box<Welcome> {
        let room_bytes = self.outbox_room_bytes(id);
        let half_bytes = self.options.session.outbox_bytes_max as usize / 2;
        let fits = welcome.missed_bytes() <= room_bytes || half_bytes <= room_bytes;
        if !welcome.missed.is_empty() && !fits {
            welcome.missed.clear();
            welcome.recovery = Recovery::Lost;
        }
        welcome
    }

    pub(super) fn ask(&mut self, ask: Ask) {
        if self.mesh.ask(ask) == Posted::Full {
            self.observer.count_full(LaneKind::Request);
        }
    }

    fn sit(&mut self, now: Now, id: ConnId, room: RoomId, name: Arc<str>, kind: Kind) {
        // What was said before the newcomer sat down is not for it.
        self.flush_room(now, room);
        let Some(conn) = self.connections.get_mut(id) else { return };
        let (stage, send) = conn.split();
        if let Stage::Open(_, session) = stage {
            if session.is_connecting() {
                send.hold();
            }
            session.sit(room, self.fanout.sit(room, name, Seat::new(id.slot, kind)));
        }
    }

    /// The session's rights have changed; only the shard knows its channels by name.
    fn review(&mut self, now: Now, id: ConnId, wanted: &[RoomId]) {
        let Some(session) = self.connections.session(id) else { return };
        let named = session.places().filter_map(|(room, place)| {
            Some((room, Arc::clone(&self.fanout.channels().at(place.channel)?.name)))
        });
        let seated: Vec<(RoomId, Arc<str>)> = named.collect();
        self.with_session(now, id, |session, cx, out| session.review(cx, &seated, wanted, out));
    }

    fn stand(&mut self, place: Place) {
        let Some((room, seat)) = self.fanout.stand(place) else { return };
        if let Some((_, conn)) = self.connections.subscriber_mut(seat.slot())
            && let Stage::Open(_, session) = conn.stage_mut()
        {
            session.move_to(room, place);
        }
    }

    /// Frees all seats of a session and counts its end.
    fn leave(&mut self, now: Now, id: ConnId, fault: Fault) {
        if let Some(session) = self.connections.session(id) {
            self.observer.on_end(now, session, &self.options.session, fault);
        }
        let (queue, connections, mut seen) = self.delivering(now);
        queue.forget_held(connections, id, &mut seen);
        let Some(conn) = self.connections.get_mut(id) else { return };
        let encoding = conn.send().encoding();
        let Stage::Open(_, session) = conn.stage_mut() else { return };
        let unanswered = session.is_unanswered().then(|| self.env.user_of(session));
        self.env.leave(now, id, encoding, session);
        self.carry_out(now, id);
        if let Some(user) = unanswered {
            self.mesh.leave(Asker { conn: id, user, id: 0 });
        }
        self.connections.closed(encoding);
    }

    fn begin_closing(&mut self, now: Now, id: ConnId, fault: Fault) {
        let deadline = now.tick.plus_ms(self.options.session.close_ms_max);
        if let Some(conn) = self.connections.get_mut(id) {
            conn.begin_closing(deadline, goodbye(fault));
        }
    }
}

/// The way of a message whose author is answered.
fn way_of(answer: &Answer) -> Option<Way> {
    match answer {
        Answer::Published(way) => Some(*way),
        Answer::Posted(posted) => posted.way,
        Answer::Subscribed(_)
        | Answer::Unsubscribed
        | Answer::Presence(_)
        | Answer::PresenceStats { .. }
        | Answer::History(..)
        | Answer::Members(..)
        | Answer::Receipts(..)
        | Answer::Conversations(..)
        | Answer::Noted
        | Answer::Wrong(_)
        | Answer::Unwelcome(_)
        | Answer::Refused(_) => None,
    }
}
