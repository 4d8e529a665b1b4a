//! Inbound data: upgrade heads, frames and messages of peers, each served within its
//! connection's share of a turn. The rest waits for the next turn.
//!
//! Invariant: while bytes of a connection wait, later ones wait behind them.
//!
//! Deliberately absent: the effects of commands, and the order in which waiting input is
//! served (`postponed`).

use std::rc::Rc;
use std::sync::Arc;

use bytes::BytesMut;

use super::conn::{CloseHandshake, ConnStage, Connection, StageKind};
use super::connections::protocol;
use super::options::Options;
use super::partial_messages::{FragmentOwner, PartialMessages};
use super::postponed::{PostponedInput, TurnQuota};
use super::sessions::Sessions;
use super::turn_context::TurnContext;
use super::upgrades;
use crate::base::limits::{TURN_POSTPONED_COUNT_MAX, TURN_SHARE_COUNT_MAX};
use crate::base::{ConnId, PanicError, ShardId, UserHash};
use crate::hook::HookHeaders;
use crate::metrics::{Agent, Counter, MetricsWriter};
use crate::session::{Fault, QuotaDecision};
use crate::wire::{self, Encoding};
use crate::ws::{self, Incoming, ReadBuffer, Reader, Role, Rules};

/// Decodes the input of peers into commands.
pub struct Inbound {
    /// Messages that are incomplete.
    partial_messages: PartialMessages,
    /// The rules for frames.
    rules: Rules,
    options: Arc<Options>,
    shard: ShardId,
    metrics: Rc<MetricsWriter>,
}

/// A connection with its quota of this turn.
struct ServeContext<'s> {
    id: ConnId,
    /// Whether its bytes were within the quota when they came.
    admission: QuotaDecision,
    /// Its share of this turn.
    share: &'s mut TurnQuota,
}

/// The part of a message that was served.
struct Served {
    commands_count: usize,
    read_bytes: usize,
    fault: Option<Fault>,
}

impl Inbound {
    /// No input yet.
    pub fn new(options: Arc<Options>, shard: ShardId, metrics: Rc<MetricsWriter>) -> Inbound {
        let message_bytes_max = options.ws.message_bytes_max;
        let rules = Rules { role: Role::Server, message_bytes_max };
        Inbound { partial_messages: PartialMessages::default(), rules, options, shard, metrics }
    }

    /// Bytes came in.
    pub fn on_received(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        bytes: &mut [u8],
    ) {
        if sessions.postponed().waits(id) || sessions.shares_mut().of(id).is_used_up() {
            return self.postpone(sessions, cx, id, bytes);
        }
        let Some(conn) = sessions.connections_mut().get_mut(id) else { return };
        match conn.stage_mut() {
            ConnStage::Upgrading(upgrading) if upgrading.head.is_empty() => {
                self.on_head(sessions, cx, id, bytes);
            }
            ConnStage::Upgrading(upgrading) => {
                let mut head = std::mem::take(&mut upgrading.head);
                head.extend_from_slice(bytes);
                self.on_head(sessions, cx, id, &mut head);
            }
            ConnStage::Open(reader, _) => {
                let reader = std::mem::take(reader);
                self.on_first_frames(sessions, cx, id, reader, bytes);
            }
            ConnStage::Closing(closing) => {
                let reader = std::mem::take(&mut closing.reader);
                self.on_last_frames(sessions, id, reader, ReadBuffer::new(bytes));
            }
            ConnStage::Shut => (),
        }
    }

    /// The peer has closed its sending side; its earlier input counts.
    pub fn on_ended(&self, sessions: &mut Sessions, cx: &mut TurnContext<'_>, id: ConnId) {
        if sessions.postponed().waits(id) {
            sessions.postponed_mut().push(id, PostponedInput::Ended);
        } else {
            sessions.end(cx, id, Fault::PeerEnded);
        }
    }

    /// A socket is gone, with its incomplete message.
    pub fn forget(&mut self, id: ConnId) {
        self.partial_messages.forget(id);
    }

    /// Bytes of incomplete messages.
    pub fn partial_messages_bytes(&self) -> usize {
        self.partial_messages.bytes()
    }

    /// Serves a share of each waiting connection, until the quota of the turn is used up: the
    /// others go first in the next turn.
    pub fn serve_postponed(&mut self, sessions: &mut Sessions, cx: &mut TurnContext<'_>) {
        sessions.shares_mut().renew();
        let mut left = TURN_POSTPONED_COUNT_MAX;
        for _ in 0..sessions.postponed().len() {
            if left == 0 {
                return;
            }
            let Some(id) = sessions.postponed_mut().next() else { return };
            self.metrics.work_on(self.shard.0, id);
            left -= self.serve_share(sessions, cx, id, left.min(TURN_SHARE_COUNT_MAX));
        }
    }

    /// Received bytes wait behind earlier ones.
    fn postpone(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        bytes: &[u8],
    ) {
        let admission = count_bytes(sessions, cx, id, bytes.len());
        sessions.postponed_mut().push(id, PostponedInput::Bytes(BytesMut::from(bytes), admission));
        while sessions.postponed().is_over(id) {
            self.serve_share(sessions, cx, id, TURN_SHARE_COUNT_MAX);
        }
    }

    /// Serves at most `count_max` commands of a waiting connection. Returns how many.
    fn serve_share(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        count_max: usize,
    ) -> usize {
        let mut share = TurnQuota::of(count_max);
        while !share.is_used_up()
            && let Some(piece) = sessions.postponed_mut().take(id)
        {
            self.serve_piece(sessions, cx, id, piece, &mut share);
        }
        count_max - share.left()
    }

    fn serve_piece(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        piece: PostponedInput,
        share: &mut TurnQuota,
    ) {
        let Some(conn) = sessions.connections_mut().get_mut(id) else { return };
        match (conn.stage_mut(), piece) {
            (ConnStage::Open(reader, _), PostponedInput::Bytes(mut bytes, admission)) => {
                let reader = std::mem::take(reader);
                self.on_frames(
                    sessions,
                    cx,
                    ServeContext { id, admission, share },
                    reader,
                    &mut bytes,
                );
            }
            (ConnStage::Open(..), PostponedInput::Commands(rest, given, admission)) => {
                let mut serving = ServeContext { id, admission, share };
                let fault = self.on_commands(sessions, cx, &mut serving, &rest, given);
                if let Some(fault) = fault {
                    sessions.end(cx, id, fault);
                }
                if let Some(cut) = serving.share.take_cut() {
                    sessions.postponed_mut().put_back(id, cut);
                }
            }
            (ConnStage::Open(..), PostponedInput::Held(held)) => {
                sessions.serve_held(cx, id, held, share)
            }
            (ConnStage::Closing(closing), PostponedInput::Bytes(mut bytes, _)) => {
                let reader = std::mem::take(&mut closing.reader);
                self.on_last_frames(sessions, id, reader, ReadBuffer::new(&mut bytes));
            }
            (ConnStage::Open(..) | ConnStage::Closing(_), PostponedInput::Ended) => {
                sessions.end(cx, id, Fault::PeerEnded);
            }
            (ConnStage::Closing(_), PostponedInput::Commands(..) | PostponedInput::Held(_))
            | (
                ConnStage::Upgrading(_) | ConnStage::Shut,
                PostponedInput::Bytes(..)
                | PostponedInput::Commands(..)
                | PostponedInput::Held(_)
                | PostponedInput::Ended,
            ) => (),
        }
    }

    fn on_head(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        head: &mut [u8],
    ) {
        match ws::upgrade(head, &self.options.ws) {
            Ok(None) => {
                let conn = sessions.connections_mut().get_mut(id);
                if let Some(ConnStage::Upgrading(upgrading)) = conn.map(Connection::stage_mut) {
                    upgrading.head = head.to_vec();
                }
            }
            Err(refusal) => upgrades::refuse(sessions, cx, id, refusal),
            Ok(Some(upgrade)) => {
                let encoding = match upgrade.format {
                    ws::PayloadFormat::Json => Encoding::Json,
                    ws::PayloadFormat::Protobuf => Encoding::Protobuf,
                };
                let agent = upgrade.user_agent.as_deref().unwrap_or_default();
                let ping_s = asked_ping_s(&upgrade.query);
                upgrades::open(sessions, cx, id, encoding, Agent::of(agent.as_bytes()), ping_s);
                upgrades::keep_headers(sessions, id, HookHeaders(upgrade.kept_headers));
                sessions.push_control(id, upgrade.response.into());
                let rest = &mut head[upgrade.used..];
                if !rest.is_empty() {
                    self.on_first_frames(sessions, cx, id, Reader::new(), rest);
                }
            }
        }
    }

    /// Bytes of a connection without waiting input.
    fn on_first_frames(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        reader: Reader,
        bytes: &mut [u8],
    ) {
        let admission = count_bytes(sessions, cx, id, bytes.len());
        let mut share = sessions.shares_mut().of(id);
        let before = share.left();
        let serving = ServeContext { id, admission, share: &mut share };
        self.on_frames(sessions, cx, serving, reader, bytes);
        sessions.shares_mut().spend(id, before - share.left());
    }

    /// Serves what the connection's share of this turn allows. The rest waits.
    fn on_frames(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        mut serving: ServeContext<'_>,
        mut reader: Reader,
        bytes: &mut [u8],
    ) {
        let id = serving.id;
        let mut input = ReadBuffer::new(bytes);
        // The reader drops its last message when it finds that nothing follows.
        while !serving.share.is_used_up() || input.is_empty() {
            let fault = match sessions.connections().get(id).map(Connection::stage_kind) {
                Some(StageKind::Open) => match reader.next(&mut input, self.rules) {
                    Ok(None) => break,
                    Ok(Some(incoming)) => self.on_incoming(sessions, cx, &mut serving, incoming),
                    Err(fault) => Some(Fault::Frame(fault)),
                },
                Some(StageKind::Closing) => {
                    return self.on_last_frames(sessions, id, reader, input);
                }
                Some(StageKind::Upgrading | StageKind::Shut) | None => return,
            };
            if let Some(fault) = fault {
                sessions.end(cx, id, fault);
            }
        }
        let small_frames_count = input.small_frames_count();
        if !input.is_empty() {
            let rest = BytesMut::from(&*input.into_rest());
            sessions.postponed_mut().put_back(id, PostponedInput::Bytes(rest, serving.admission));
        }
        if let Some(cut) = serving.share.take_cut() {
            sessions.postponed_mut().put_back(id, cut);
        }
        if small_frames_count != 0 {
            let _ = count_frames(sessions, cx, id, small_frames_count);
        }
        let kept_bytes = reader.kept_bytes();
        let conn = sessions.connections_mut().get_mut(id);
        if conn.is_some_and(|conn| conn.put_reader(reader)) {
            self.keep_partial(sessions, cx, id, kept_bytes);
        } else {
            sessions.postponed_mut().forget(id);
        }
    }

    /// Accounts for the incomplete message of a connection, and closes connections where all of
    /// them together are too large.
    fn keep_partial(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        id: ConnId,
        kept_bytes: usize,
    ) {
        match kept_bytes {
            0 => self.partial_messages.forget(id),
            1.. => self.partial_messages.keep(id, part_owner(sessions, id), kept_bytes),
        }
        while let Some(victim) = self.partial_messages.victim() {
            // Its later input is ignored, so none is kept.
            self.partial_messages.forget(victim);
            sessions.end(cx, victim, Fault::PartialMessages);
            sessions.on_last_close(victim, Reader::new());
        }
    }

    /// The connection is closing; only the peer's close frame matters.
    fn on_last_frames(
        &mut self,
        sessions: &mut Sessions,
        id: ConnId,
        mut reader: Reader,
        mut input: ReadBuffer<'_>,
    ) {
        let said = loop {
            match reader.next(&mut input, self.rules) {
                Ok(None) => break CloseHandshake::Waiting,
                Ok(Some(Incoming::Close(_))) | Err(_) => break CloseHandshake::Done,
                Ok(Some(
                    Incoming::Text(_) | Incoming::Binary(_) | Incoming::Ping(_) | Incoming::Pong(_),
                )) => (),
            }
        };
        let kept_bytes = reader.kept_bytes();
        let conn = sessions.connections_mut().get_mut(id);
        if let Some(ConnStage::Closing(closing)) = conn.map(Connection::stage_mut) {
            match said {
                CloseHandshake::Done => sessions.on_last_close(id, reader),
                CloseHandshake::Waiting | CloseHandshake::TimedOut => closing.reader = reader,
            }
            self.partial_messages.keep(id, FragmentOwner::Strangers, kept_bytes);
        }
    }

    fn on_incoming(
        &mut self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        serving: &mut ServeContext<'_>,
        incoming: Incoming<'_>,
    ) -> Option<Fault> {
        let id = serving.id;
        let encoding = sessions.connections().get(id)?.send().encoding();
        let message = match incoming {
            Incoming::Text(text) if encoding == Encoding::Json => text.as_bytes(),
            Incoming::Binary(bytes) if encoding == Encoding::Protobuf => bytes,
            Incoming::Text(_) | Incoming::Binary(_) => return Some(Fault::WrongOpcode),
            Incoming::Ping(payload) => {
                serving.share.spend(1);
                if count_frames(sessions, cx, id, 1) == QuotaDecision::Throttled {
                    return None;
                }
                let mut pong = BytesMut::with_capacity(payload.len() + 2);
                ws::put_frame(&mut pong, ws::Opcode::Pong, payload);
                sessions.push_control(id, pong.freeze());
                return None;
            }
            Incoming::Pong(_) => {
                serving.share.spend(1);
                let _ = count_frames(sessions, cx, id, 1);
                return None;
            }
            Incoming::Close(said) => {
                return Some(Fault::PeerClosed(said.map_or(1005, |(code, _)| code)));
            }
        };
        self.metrics.add(Counter::MessagesIn(protocol(encoding)), 1);
        self.on_commands(sessions, cx, serving, message, 0)
    }

    /// Serves the commands of one message, after those that were served in earlier turns, as
    /// many as the share allows. A panic ends the session only.
    fn on_commands(
        &self,
        sessions: &mut Sessions,
        cx: &mut TurnContext<'_>,
        serving: &mut ServeContext<'_>,
        message: &[u8],
        given: usize,
    ) -> Option<Fault> {
        let served = serve(sessions, cx, serving, message, given);
        self.metrics.add(Counter::CommandsIn, served.commands_count as u64);
        serving.share.spend(served.commands_count);
        if served.read_bytes < message.len() {
            let rest = BytesMut::from(&message[served.read_bytes..]);
            let given = given + served.commands_count;
            serving.share.cut(PostponedInput::Commands(rest, given, serving.admission));
        }
        sessions.set_next_timer(cx.now, serving.id);
        served.fault
    }
}

/// Lets the session serve the commands of a message, up to its share.
fn serve(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    serving: &ServeContext<'_>,
    message: &[u8],
    given: usize,
) -> Served {
    let (admission, count_max) = (serving.admission, serving.share.left());
    let (mut commands_count, mut read_bytes) = (0, message.len());
    let decided = sessions.try_session(cx, serving.id, |session, cx, out| {
        let mut commands = wire::commands_behind(out.encoding(), message, given);
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
    let fault = decided.err().map(|PanicError| Fault::Panicked);
    Served { commands_count, read_bytes, fault }
}

/// All bytes count, whether or not they ever become a message.
fn count_bytes(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    id: ConnId,
    bytes_count: usize,
) -> QuotaDecision {
    let decided =
        sessions.with_session(cx, id, |session, cx, out| session.on_bytes(cx, bytes_count, out));
    decided.unwrap_or(QuotaDecision::Served)
}

/// Counts frames without a command. Returns whether they are within the quota.
fn count_frames(
    sessions: &mut Sessions,
    cx: &mut TurnContext<'_>,
    id: ConnId,
    count: usize,
) -> QuotaDecision {
    let decided =
        sessions.with_session(cx, id, |session, cx, out| session.on_frames(cx, count, out));
    decided.unwrap_or(QuotaDecision::Throttled)
}

/// The owner that incomplete messages of this connection are counted for.
fn part_owner(sessions: &Sessions, id: ConnId) -> FragmentOwner {
    let Some(session) = sessions.connections().session(id) else { return FragmentOwner::Strangers };
    match (session.who(), sessions.env().user_of(session)) {
        (None, _) => FragmentOwner::Strangers,
        (Some(_), UserHash::NOBODY) => FragmentOwner::Conn(id),
        (Some(_), user) => FragmentOwner::User(user),
    }
}

/// The longest time between two pings that a client asks for in its URL, in s. The URL is
/// the only part of a connection that every SDK lets its user choose.
fn asked_ping_s(query: &str) -> Option<u32> {
    let mut asked = query.split('&').filter_map(|pair| pair.strip_prefix("ping_s="));
    asked.next()?.parse().ok()
}
