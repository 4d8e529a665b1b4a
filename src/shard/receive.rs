//! From bytes to decisions: the upgrade, frames, commands, timers of one connection.

use bytes::BytesMut;

use super::Shard;
use super::conn::{Conn, Goodbye, Stage};
use super::connections::protocol;
use super::halves::PartOwner;
use super::judge::LOOK_AGAIN_MS;
use super::observe::reject_reason;
use super::postponed::{Piece, Share};
use crate::base::{ConnId, Now, Panicked, Tick, UserHash};
use crate::metrics::{Agent, Counter, RejectReason};
use crate::session::{Admission, Context, Fault, Outcome, Pace, Session, Suspicion};
use crate::wire::{self, Encoding};
use crate::ws::{self, Incoming, Input, Reader, Refusal, Role, Rules};

/// What a refused client is told to wait.
pub(super) const RETRY_AFTER_S: u32 = 10;

impl Shard {
    pub(super) fn on_accepted(&mut self, now: Now, id: ConnId) {
        self.connections.accept(now.tick, id);
        let room = self.connections.len() <= self.options.connections_max as usize
            && self.connections.upgrading_count() <= self.options.handshakes_max;
        if self.drain.is_some() {
            self.refuse_upgrade(now, id, Refusal::Draining { retry_after_s: RETRY_AFTER_S });
        } else if !room {
            self.refuse_upgrade(now, id, Refusal::NoRoom { retry_after_s: RETRY_AFTER_S });
        } else if self.env.pace() == Pace::FarBehind {
            self.refuse_upgrade(now, id, Refusal::Late { retry_after_s: RETRY_AFTER_S });
        } else {
            self.connections.wake(
                now.tick,
                id,
                now.tick.plus_ms(self.options.session.upgrade_ms_max),
            );
        }
    }

    pub(super) fn on_received(&mut self, now: Now, id: ConnId, bytes: &mut [u8]) {
        if self.postponed.waits(id) || self.shares.of(id).is_used_up() {
            return self.postpone(now, id, bytes);
        }
        let Some(conn) = self.connections.get_mut(id) else { return };
        match conn.stage_mut() {
            Stage::Upgrading(upgrading) if upgrading.head.is_empty() => {
                self.on_head(now, id, bytes);
            }
            Stage::Upgrading(upgrading) => {
                let mut head = std::mem::take(&mut upgrading.head);
                head.extend_from_slice(bytes);
                self.on_head(now, id, &mut head);
            }
            Stage::Open(reader, _) => {
                let reader = std::mem::take(reader);
                self.on_first_frames(now, id, reader, bytes);
            }
            Stage::Closing(closing) => {
                let reader = std::mem::take(&mut closing.reader);
                self.on_last_frames(id, reader, Input::new(bytes));
            }
            Stage::Shut => (),
        }
    }

    pub(super) fn on_sent(&mut self, now: Now, id: ConnId) {
        let options = &self.options.session;
        if let Some(round) = self.queue.on_sent(&mut self.connections, now.tick, options, id) {
            self.observing(now).on_batch(&round);
        }
    }

    pub(super) fn on_timer(&mut self, now: Now, id: ConnId) {
        let Some(conn) = self.connections.fire(now.tick, id) else { return };
        match conn.stage_mut() {
            Stage::Upgrading(_) => {
                self.suspects.push(now.tick, id, Suspicion::Deadline);
                self.connections.wake(now.tick, id, now.tick.plus_ms(LOOK_AGAIN_MS));
            }
            Stage::Open(..) => {
                self.with_session(now, id, |session, cx, out| session.on_timer(cx, out));
                self.rest(now, id);
            }
            // A timer of the session's that came meanwhile.
            Stage::Closing(closing) if now.tick < closing.deadline => {
                let deadline = closing.deadline;
                self.connections.wake(now.tick, id, deadline);
            }
            // Patience is over: whatever has not left by now will not.
            Stage::Closing(closing) => {
                closing.goodbye = Goodbye::Overdue;
                let (queue, connections, mut seen) = self.delivering(now);
                queue.forget_waiting(connections, id, &mut seen);
                queue.list(connections, id);
            }
            Stage::Shut => (),
        }
    }

    /// Sets the session's next timer.
    pub(super) fn rest(&mut self, now: Now, id: ConnId) {
        if let Some(session) = self.connections.session(id)
            && let Some(at) = self.env.next_timer(now, id, session)
        {
            self.connections.wake(now.tick, id, at);
        }
    }

    fn on_head(&mut self, now: Now, id: ConnId, head: &mut [u8]) {
        match ws::upgrade(head, &self.options.ws) {
            Ok(None) => {
                let conn = self.connections.get_mut(id);
                if let Some(Stage::Upgrading(upgrading)) = conn.map(Conn::stage_mut) {
                    upgrading.head = head.to_vec();
                }
            }
            Err(refusal) => self.refuse_upgrade(now, id, refusal),
            Ok(Some(upgrade)) => {
                let encoding = match upgrade.format {
                    ws::Format::Json => Encoding::Json,
                    ws::Format::Protobuf => Encoding::Protobuf,
                };
                let agent = upgrade.user_agent.as_deref().unwrap_or_default();
                let ping_s = asked_ping_s(&upgrade.query);
                self.open(now, id, encoding, Agent::of(agent.as_bytes()), ping_s);
                self.queue.push_control(&mut self.connections, id, upgrade.response.into());
                let rest = &mut head[upgrade.used..];
                if !rest.is_empty() {
                    self.on_first_frames(now, id, Reader::new(), rest);
                }
            }
        }
    }

    fn open(
        &mut self,
        now: Now,
        id: ConnId,
        encoding: Encoding,
        agent: Agent,
        ping_s: Option<u32>,
    ) {
        let session = self.env.open(now, id, agent, ping_s);
        let conn = self.connections.get_mut(id).expect("its head was just read");
        let since = match conn.stage() {
            Stage::Upgrading(upgrading) => upgrading.since,
            Stage::Open(..) | Stage::Closing(_) | Stage::Shut => now.tick,
        };
        conn.open(encoding, session);
        self.count_upgrade(now, since, Ok(()));
        self.connections.opened(encoding);
        self.rest(now, id);
    }

    /// Answers in HTTP, and ends the connection behind the answer.
    pub(super) fn refuse_upgrade(&mut self, now: Now, id: ConnId, refusal: Refusal) {
        let deadline = now.tick.plus_ms(self.options.session.close_ms_max);
        let Some(conn) = self.connections.get_mut(id) else { return };
        let since = match conn.stage() {
            Stage::Upgrading(upgrading) => upgrading.since,
            Stage::Open(..) | Stage::Closing(_) | Stage::Shut => return,
        };
        conn.begin_closing(deadline, Some(Goodbye::Said));
        self.count_upgrade(now, since, Err(reject_reason(refusal)));
        self.connections.wake(now.tick, id, deadline);
        self.queue.push_control(&mut self.connections, id, refusal.response().into());
    }

    /// One upgrade less under way.
    pub(super) fn count_upgrade(
        &mut self,
        now: Now,
        since: Tick,
        upgraded: Result<(), RejectReason>,
    ) {
        self.connections.end_upgrade();
        let took_us = now.tick.ms_since(since) * 1_000;
        self.observer.on_handshake(now, took_us, upgraded);
    }

    /// Bytes that nothing waits before.
    fn on_first_frames(&mut self, now: Now, id: ConnId, reader: Reader, bytes: &mut [u8]) {
        let admission = self.count_bytes(now, id, bytes.len());
        let mut share = self.shares.of(id);
        let before = share.left();
        self.on_frames(now, id, reader, bytes, admission, &mut share);
        self.shares.spend(id, before - share.left());
    }

    /// All bytes count, whether or not they ever become a message.
    pub(super) fn count_bytes(&mut self, now: Now, id: ConnId, bytes_count: usize) -> Admission {
        let decided =
            self.with_session(now, id, |session, cx, out| session.on_bytes(cx, bytes_count, out));
        decided.unwrap_or(Admission::Served)
    }

    /// Serves what the connection's share of this turn allows. The rest waits.
    pub(super) fn on_frames(
        &mut self,
        now: Now,
        id: ConnId,
        mut reader: Reader,
        bytes: &mut [u8],
        admission: Admission,
        share: &mut Share,
    ) {
        let rules =
            Rules { role: Role::Server, message_bytes_max: self.options.ws.message_bytes_max };
        let mut input = Input::new(bytes);
        // The reader lets go of its last message when it finds that nothing follows.
        while !share.is_used_up() || input.is_empty() {
            let fault = match self.connections.get(id).map(Conn::stage) {
                Some(Stage::Open(..)) => match reader.next(&mut input, rules) {
                    Ok(None) => break,
                    Ok(Some(incoming)) => self.on_incoming(now, id, incoming, admission, share),
                    Err(fault) => Some(Fault::Frame(fault)),
                },
                Some(Stage::Closing(_)) => return self.on_last_frames(id, reader, input),
                Some(Stage::Upgrading(_) | Stage::Shut) | None => return,
            };
            if let Some(fault) = fault {
                self.end(now, id, fault);
            }
        }
        let crumbs_count = input.crumbs_count();
        if !input.is_empty() {
            let rest = BytesMut::from(&*input.into_rest());
            self.postponed.put_back(id, Piece::Bytes(rest, admission));
        }
        if let Some(cut) = share.take_cut() {
            self.postponed.put_back(id, cut);
        }
        if crumbs_count != 0 {
            let _ = self.count_frames(now, id, crumbs_count);
        }
        let kept_bytes = reader.kept_bytes();
        match self.connections.get_mut(id).map(Conn::stage_mut) {
            Some(Stage::Open(place, _)) => *place = reader,
            Some(Stage::Closing(closing)) => closing.reader = reader,
            Some(Stage::Upgrading(_) | Stage::Shut) | None => return self.postponed.forget(id),
        }
        self.keep_half(now, id, kept_bytes);
    }

    /// A connection keeps so much of a message until the rest comes.
    fn keep_half(&mut self, now: Now, id: ConnId, kept_bytes: usize) {
        match kept_bytes {
            0 => self.halves.forget(id),
            1.. => self.halves.keep(id, self.part_owner(id), kept_bytes),
        }
        while let Some(victim) = self.halves.victim() {
            // What it says from now on means nothing, so nothing of it is kept.
            self.halves.forget(victim);
            self.end(now, victim, Fault::HalfMessages);
            match self.connections.get_mut(victim).map(Conn::stage_mut) {
                Some(Stage::Closing(closing)) => {
                    closing.reader = Reader::new();
                    closing.goodbye = Goodbye::Said;
                    self.queue.list(&mut self.connections, victim);
                }
                Some(Stage::Upgrading(_) | Stage::Open(..) | Stage::Shut) | None => (),
            }
        }
    }

    /// Frames without a command came in. Says whether they are within the quota.
    fn count_frames(&mut self, now: Now, id: ConnId, count: usize) -> Admission {
        let decided =
            self.with_session(now, id, |session, cx, out| session.on_frames(cx, count, out));
        decided.unwrap_or(Admission::Throttled)
    }

    /// We said goodbye; only the peer's matters.
    pub(super) fn on_last_frames(&mut self, id: ConnId, mut reader: Reader, mut input: Input<'_>) {
        let rules =
            Rules { role: Role::Server, message_bytes_max: self.options.ws.message_bytes_max };
        let said = loop {
            match reader.next(&mut input, rules) {
                Ok(None) => break Goodbye::Awaited,
                Ok(Some(Incoming::Close(_))) | Err(_) => break Goodbye::Said,
                Ok(Some(
                    Incoming::Text(_) | Incoming::Binary(_) | Incoming::Ping(_) | Incoming::Pong(_),
                )) => (),
            }
        };
        let kept_bytes = reader.kept_bytes();
        let conn = self.connections.get_mut(id);
        if let Some(Stage::Closing(closing)) = conn.map(Conn::stage_mut) {
            closing.reader = reader;
            if said == Goodbye::Said {
                closing.goodbye = said;
                self.queue.list(&mut self.connections, id);
            }
            self.halves.keep(id, PartOwner::Strangers, kept_bytes);
        }
    }

    /// With whose other parts of messages those of this connection are counted.
    fn part_owner(&self, id: ConnId) -> PartOwner {
        let Some(session) = self.connections.session(id) else { return PartOwner::Strangers };
        match (session.who(), self.env.user_of(session)) {
            (None, _) => PartOwner::Strangers,
            (Some(_), UserHash::NOBODY) => PartOwner::Conn(id),
            (Some(_), user) => PartOwner::User(user),
        }
    }

    fn on_incoming(
        &mut self,
        now: Now,
        id: ConnId,
        incoming: Incoming<'_>,
        admission: Admission,
        share: &mut Share,
    ) -> Option<Fault> {
        let encoding = self.connections.get(id)?.send().encoding();
        let message = match incoming {
            Incoming::Text(text) if encoding == Encoding::Json => text.as_bytes(),
            Incoming::Binary(bytes) if encoding == Encoding::Protobuf => bytes,
            Incoming::Text(_) | Incoming::Binary(_) => return Some(Fault::WrongOpcode),
            Incoming::Ping(payload) => {
                share.spend(1);
                if self.count_frames(now, id, 1) == Admission::Throttled {
                    return None;
                }
                let mut pong = BytesMut::with_capacity(payload.len() + 2);
                ws::put_frame(&mut pong, ws::Opcode::Pong, payload);
                self.queue.push_control(&mut self.connections, id, pong.freeze());
                return None;
            }
            Incoming::Pong(_) => {
                share.spend(1);
                let _ = self.count_frames(now, id, 1);
                return None;
            }
            Incoming::Close(said) => {
                return Some(Fault::PeerClosed(said.map_or(1005, |(code, _)| code)));
            }
        };
        self.scribe.add(Counter::MessagesIn(protocol(encoding)), 1);
        self.on_commands(now, id, message, 0, admission, share)
    }

    /// The commands of one message, behind those that were served in earlier turns, as many
    /// as the share allows, with panics kept inside the session.
    pub(super) fn on_commands(
        &mut self,
        now: Now,
        id: ConnId,
        message: &[u8],
        given: usize,
        admission: Admission,
        share: &mut Share,
    ) -> Option<Fault> {
        let served = self.serve(now, id, message, given, admission, share.left());
        self.scribe.add(Counter::CommandsIn, served.commands_count as u64);
        share.spend(served.commands_count);
        if served.read_bytes < message.len() {
            let rest = BytesMut::from(&message[served.read_bytes..]);
            share.cut(Piece::Commands(rest, given + served.commands_count, admission));
        }
        self.rest(now, id);
        served.fault
    }

    /// Lets the session answer each command of a message until it ends or so many were
    /// served.
    fn serve(
        &mut self,
        now: Now,
        id: ConnId,
        message: &[u8],
        given: usize,
        admission: Admission,
        count_max: usize,
    ) -> Served {
        let (mut commands_count, mut read_bytes) = (0, message.len());
        let decided = self.try_session(now, id, |session, cx, out| {
            let mut commands = wire::commands_behind(out.encoding, message, given);
            while let Some(command) = commands.next() {
                match command {
                    Ok(command) => {
                        commands_count += 1;
                        session.on_command(cx, command, admission, out);
                    }
                    Err(_) => return out.close(Fault::BadRequest),
                }
                if out.is_closing() {
                    return;
                }
                if commands_count == count_max {
                    read_bytes = commands.read_bytes();
                    return;
                }
            }
        });
        let fault = decided.err().map(|Panicked| Fault::Panicked);
        Served { commands_count, read_bytes, fault }
    }

    /// Lets a session decide, puts its messages into its outbox, and carries out its
    /// effects. `None` when it is not open, or panicked: then it is ended.
    pub(super) fn with_session<T>(
        &mut self,
        now: Now,
        id: ConnId,
        decide: impl FnOnce(&mut Session, &mut Context<'_>, &mut Outcome) -> T,
    ) -> Option<T> {
        match self.try_session(now, id, decide) {
            Ok(decided) => decided,
            Err(Panicked) => {
                self.end(now, id, Fault::Panicked);
                None
            }
        }
    }

    /// The same, where the caller ends the session that panicked.
    fn try_session<T>(
        &mut self,
        now: Now,
        id: ConnId,
        decide: impl FnOnce(&mut Session, &mut Context<'_>, &mut Outcome) -> T,
    ) -> Result<Option<T>, Panicked> {
        let Some(conn) = self.connections.get_mut(id) else { return Ok(None) };
        let (Stage::Open(_, session), send) = conn.split() else { return Ok(None) };
        let decided = self.env.decide(now, id, send.encoding(), session, decide);
        self.carry_out(now, id);
        decided.map(Some)
    }
}

/// How far a message was served.
struct Served {
    commands_count: usize,
    read_bytes: usize,
    fault: Option<Fault>,
}

/// The longest time between two pings that a client asks for by its address, in s: the one
/// thing of a connection that every SDK lets its user choose.
fn asked_ping_s(query: &str) -> Option<u32> {
    let mut asked = query.split('&').filter_map(|pair| pair.strip_prefix("ping_s="));
    asked.next()?.parse().ok()
}
