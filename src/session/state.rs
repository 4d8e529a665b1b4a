//! The state machine of one session: what its peer may do in each state, from the upgrade
//! to the close, and when it has to be looked at next.
//!
//! Invariants: every pair of a state and a command is decided here; each state holds
//! exactly what it may touch.
//!
//! Deliberately absent: what single requests mean (`requests`, `chat`), when a client is
//! pinged (`heartbeat`), and the sending of what is decided (the shard's).

use std::sync::Arc;

use super::backlog::Behind;
use super::chat;
use super::connect::{self, Connecting, Denial};
use super::heartbeat::{Beat, Finding, PingTimer};
use super::identity::{Birth, Peer};
use super::outcome::{Passage, Refusal};
use super::quota::{Admission, Quota};
use super::requests::{namespace, unpublished};
use super::subs::{Asked, Maker, Removal, Stage, Sub, Subs};
use super::{
    CoreLoad, Effect, Fault, NameKey, Options, Outcome, Pace, Place, Prefix, Suspicion, Tracer,
};
use crate::auth::{Allow, Keys};
use crate::base::limits::UNANSWERED_MAX;
use crate::base::{Chance, ClientId, ConnId, Now, PeerSigns, RoomId, SealKey, Tick, UserHash};
use crate::metrics::{Agent, HandshakeStage, Histogram, Tenant};
use crate::room::{self, Answer as Told, Ask, Asker, Departure, What};
use crate::wire::{self, Answer, Command, ConnectRequest, ErrorCode, Push, Request};

/// What did not come in time is looked for again so long afterwards, while nobody is judged.
const LOOK_AGAIN_MS: u64 = 250;

/// A token that has ended ends its connection so much later at most when the core is late.
const LATE_EXPIRY_MS_MAX: u64 = 30_000;

/// What all sessions of a shard share, at one moment.
pub struct Context<'c> {
    /// What the clocks show.
    pub now: Now,
    /// The operator's word on connections.
    pub options: &'c Options,
    /// The operator's word on channels.
    pub rooms: &'c room::Options,
    /// For tokens.
    pub keys: &'c Keys,
    /// For channels.
    pub names: NameKey,
    /// For positions from which their owners may recover.
    pub own_positions: &'c SealKey,
    /// For identities and jitter.
    pub chance: &'c mut Chance,
    /// Whom nobody lets in for a while.
    pub held: &'c [Prefix],
    /// For traces and clients' clocks.
    pub tracer: &'c mut Tracer,
    /// What the core has to do.
    pub load: CoreLoad,
    /// Whose turn it is.
    pub conn: ConnId,
}

/// One peer after its upgrade.
#[derive(Debug)]
pub struct Session {
    pub(super) state: State,
    pub(super) subs: Subs,
    quota: Quota,
    heartbeat: PingTimer,
    /// What the client's program is, as far as it says.
    pub(super) agent: Agent,
    /// Commands that rooms have not answered yet.
    unanswered_count: u16,
}

/// Who a session's peer is.
#[derive(Clone, Copy, Debug)]
pub struct Who<'s> {
    /// Whose names these are; empty for the only tenant.
    pub tenant: &'s str,
    /// Its name; empty for nobody's.
    pub user: &'s str,
    /// What SDKs call this session.
    pub client: ClientId,
    /// What its program is.
    pub agent: Agent,
}

/// Each state holds exactly what that state may touch.
#[derive(Debug)]
pub(super) enum State {
    /// A connect command has to come, and by then. If one was refused, what came behind
    /// it is, too.
    Greeting { deadline: Tick, refused: Option<ErrorCode> },
    /// Rooms are asked; commands meanwhile wait, and over their limit are refused
    /// as temporary.
    Connecting(Box<Connecting>),
    /// In.
    Ready(Peer),
    /// Over; what still comes is ignored.
    Closed,
}

impl Session {
    /// A peer whose upgrade is done, and the longest time between two pings that it asked
    /// for.
    pub fn open(cx: &Context<'_>, agent: Agent, ping_s: Option<u32>) -> Session {
        let tick = cx.now.tick;
        Session {
            state: State::Greeting {
                deadline: tick.plus_ms(cx.options.connect_ms_max),
                refused: None,
            },
            subs: Subs::default(),
            quota: Quota::new(),
            heartbeat: PingTimer::new(ping_s),
            agent,
            unanswered_count: 0,
        }
    }

    /// So many bytes came in, whatever they are. Over the quota, the commands
    /// among them are refused, and who does not stop is closed.
    pub fn on_bytes(&mut self, cx: &Context<'_>, count: usize, out: &mut Outcome) -> Admission {
        self.heartbeat.on_heard();
        let admission = self.quota.on_bytes(cx.now.tick, cx.options, count);
        if admission == Admission::Throttled
            && let Some(fault) = self.quota.on_throttled(cx.now.tick, cx.options)
        {
            self.close(fault, out);
        }
        admission
    }

    /// Frames came in that hold no command. Over the quota they do nothing, and who does
    /// not stop is closed.
    pub fn on_frames(&mut self, cx: &Context<'_>, count: usize, out: &mut Outcome) -> Admission {
        let (tick, options) = (cx.now.tick, cx.options);
        let (admission, patience) = match &self.state {
            State::Greeting { .. } => (self.quota.on_strangers_frames(tick, count), None),
            State::Connecting(_) | State::Ready(_) => {
                (self.quota.on_frames(tick, options, count), Some(()))
            }
            State::Closed => return Admission::Throttled,
        };
        if admission == Admission::Throttled {
            // A stranger is not told to slow down first.
            let fault = match patience {
                Some(()) => self.quota.on_throttled(tick, options),
                None => Some(Fault::TooManyRequests),
            };
            fault.into_iter().for_each(|fault| self.close(fault, out));
        }
        admission
    }

    /// One command. Total: every request has its answer in every state.
    pub fn on_command(
        &mut self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        admission: Admission,
        out: &mut Outcome,
    ) {
        let Command { id, request } = command;
        match (&self.state, request) {
            (State::Closed, _) => (),
            (State::Ready(_) | State::Connecting(_), Request::Pong) => {
                if self.on_frames(cx, 1, out) == Admission::Served {
                    self.on_pong(cx, out);
                }
            }
            // Only these two have no answer; 0 stands for what the server asks itself.
            (State::Ready(_) | State::Connecting(_), request)
                if id == 0 && !matches!(request, Request::Send { .. }) =>
            {
                self.close(Fault::BadRequest, out);
            }
            (State::Greeting { .. }, Request::Connect(request)) if id != 0 => {
                self.on_connect(cx, id, &request, out);
            }
            (State::Greeting { refused: Some(code), .. }, request)
                if may_stand_behind_connect(id, &request) =>
            {
                let code = *code;
                self.refuse_behind(cx, id, code, admission, out);
            }
            (State::Greeting { .. }, _) | (_, Request::Connect(_)) => {
                self.close(Fault::BadRequest, out);
            }
            (State::Connecting(_) | State::Ready(_), request) => {
                let within = self.quota.on_command(cx.now.tick, cx.options);
                if within == Admission::Served && admission == Admission::Served {
                    self.serve_or_hold(cx, Command { id, request }, out);
                } else {
                    if let Request::Publish { channel, .. } = &request {
                        let chat_type = cx.rooms.chat_type(namespace(cx, channel));
                        let result = unpublished(ErrorCode::TooManyRequests);
                        out.unpublished.push((chat_type, result));
                    }
                    if let Request::Subscribe(request) = &request {
                        self.note_put_off(cx, &request.channel);
                    }
                    self.throttle(cx, id, out);
                }
            }
        }
    }

    /// A command that is within the quota.
    fn serve_or_hold(&mut self, cx: &mut Context<'_>, command: Command<'_>, out: &mut Outcome) {
        let id = command.id;
        let done = match &mut self.state {
            State::Connecting(connecting) => {
                connecting.held.push(out.encoding, &command).map_err(Refusal::from)
            }
            State::Ready(_) | State::Greeting { .. } | State::Closed => {
                self.take_up(cx, command, out)
            }
        };
        if let Err(refusal) = done {
            self.refuse(cx, id, refusal, out);
        }
    }

    /// What a room's home says to something this session asked.
    pub fn on_answer(
        &mut self,
        cx: &mut Context<'_>,
        room: RoomId,
        id: u32,
        answer: Told,
        out: &mut Outcome,
    ) {
        self.unanswered_count = self.unanswered_count.saturating_sub(u16::from(id != 0));
        let before = out.messages.len();
        self.take_answer(cx, room, id, answer, out);
        let bytes = out.messages.len().saturating_sub(before);
        self.quota.on_answer(cx.now.tick, cx.options, bytes);
    }

    fn take_answer(
        &mut self,
        cx: &mut Context<'_>,
        room: RoomId,
        id: u32,
        answer: Told,
        out: &mut Outcome,
    ) {
        match (&mut self.state, answer) {
            (State::Closed | State::Greeting { .. }, Told::Subscribed(_)) => {
                // Nobody waits for this seat any more.
                self.ask(cx, room, 0, What::Unsubscribe(Departure::Lost), out);
            }
            (State::Closed | State::Greeting { .. }, _) => (),
            (State::Connecting(_), answer) => self.on_wanted_answer(cx, room, answer, out),
            (State::Ready(_), Told::Subscribed(welcome)) => {
                self.on_welcome(cx, room, *welcome, out);
            }
            (State::Ready(_), Told::Unsubscribed | Told::Noted) if id == 0 => (),
            (State::Ready(_), Told::Unsubscribed) => out.answer(id, Answer::Unsubscribe),
            (State::Ready(_), Told::Published(_)) => out.answer(id, Answer::Publish),
            (State::Ready(_), Told::Presence(clients)) => {
                out.answer(id, Answer::Presence { clients: &clients });
            }
            (State::Ready(_), Told::PresenceStats { clients, users }) => {
                out.answer(id, Answer::PresenceStats { num_clients: clients, num_users: users });
            }
            (State::Ready(_), Told::History(publications, position)) => {
                out.answer(id, Answer::History { publications: &publications, position });
            }
            (State::Ready(peer), Told::Unwelcome(code)) => {
                // The subscription that was asked for is off again.
                let maker = self.subs.remove(room).map(|sub| sub.maker());
                peer.forget(room);
                if maker == Some(Maker::Server) {
                    // As at connect.
                    return self.close(Fault::Refused(code), out);
                }
                if code == ErrorCode::TooManyRequests {
                    peer.put_off_mut().insert(room);
                }
                self.refuse(cx, id, code, out);
                let behind = if code.parts().2 { Behind::Passing(code) } else { Behind::Settled };
                self.settle(room, behind, out);
            }
            (State::Ready(_), Told::Refused(code)) => self.refuse(cx, id, code, out),
            (State::Ready(_), Told::Wrong(field)) => self.refuse(cx, id, field, out),
            (State::Ready(_), Told::Posted(posted)) => chat::on_posted(id, &posted, out),
            (State::Ready(_), Told::Members(page, next)) => {
                out.answer(id, Answer::Rpc { data: &wire::chat::members(&page, next) });
            }
            (State::Ready(_), Told::Receipts(page, next)) => {
                out.answer(id, Answer::Rpc { data: &chat::receipts(&page, next.as_deref()) });
            }
            (State::Ready(_), Told::Conversations(page, next)) => {
                out.answer(id, Answer::Rpc { data: &chat::conversations(&page, next.as_deref()) });
            }
            (State::Ready(_), Told::Noted) => {
                out.answer(id, Answer::Rpc { data: &wire::chat::nothing() });
            }
        }
    }

    /// Whether a command waits for its turn: too many are not answered yet, or long
    /// answers are not paid for.
    pub(super) fn admits(&self, cx: &Context<'_>, request: &Request<'_>) -> Admission {
        let is_long = match request {
            Request::Subscribe(request) => request.recover,
            Request::History(_) | Request::Presence { .. } => true,
            Request::Rpc { method, .. } => chat::has_long_answer(method),
            // These ask no room.
            Request::Ping
            | Request::Pong
            | Request::Connect(_)
            | Request::Unknown
            | Request::Refresh { .. }
            | Request::Unsubscribe { .. } => return Admission::Served,
            Request::Publish { .. }
            | Request::PresenceStats { .. }
            | Request::Send { .. }
            | Request::SubRefresh { .. } => false,
        };
        if UNANSWERED_MAX <= usize::from(self.unanswered_count) {
            return Admission::Throttled;
        }
        match is_long {
            true => self.quota.on_long_question(cx.now.tick, cx.options),
            false => Admission::Served,
        }
    }

    /// As whose it is counted, once it is let in.
    pub fn counted_as(&self) -> Option<Tenant> {
        self.peer().ok()?.counted_as()
    }

    /// Whether the connect command waits for rooms: until it is answered, the
    /// client knows of no channel.
    pub fn is_connecting(&self) -> bool {
        matches!(&self.state, State::Connecting(_))
    }

    /// Whether rooms have yet to answer commands of the client.
    pub fn is_unanswered(&self) -> bool {
        self.unanswered_count != 0
    }

    /// Commands of the client that rooms have yet to answer.
    pub fn unanswered_count(&self) -> u32 {
        self.unanswered_count.into()
    }

    /// What the messages cost that the answer to its connect command will have.
    pub fn held_recovery_bytes(&self) -> usize {
        match &self.state {
            State::Connecting(connecting) => connecting.recovery_bytes,
            State::Greeting { .. } | State::Ready(_) | State::Closed => 0,
        }
    }

    /// Channels that it is in, or has asked to be in.
    pub fn channels_count(&self) -> usize {
        self.subs.len()
    }

    /// What the client's program is, as far as it says.
    pub fn agent(&self) -> Agent {
        self.agent
    }

    /// How long ago its upgrade was done, to a quarter of a second.
    pub fn age_ms(&self, now: Tick, options: &Options) -> u64 {
        let birth = match &self.state {
            State::Greeting { deadline, .. } => {
                return options.connect_ms_max.saturating_sub(deadline.ms_since(now));
            }
            State::Ready(peer) => peer.birth,
            State::Connecting(connecting) => connecting.peer.birth,
            State::Closed => return 0,
        };
        birth.age_ms(now)
    }

    /// Who it is; nobody before its connect command was good.
    pub fn who(&self) -> Option<Who<'_>> {
        let peer = match &self.state {
            State::Ready(peer) => peer,
            State::Connecting(connecting) => &connecting.peer,
            State::Greeting { .. } | State::Closed => return None,
        };
        let (tenant, user) = (peer.tenant(), &*peer.info.user);
        Some(Who { tenant, user, client: peer.info.client, agent: self.agent })
    }

    /// What stands for its user, where limits are a user's.
    pub fn user_hash(&self, names: NameKey) -> UserHash {
        self.who().map_or(UserHash::NOBODY, |who| names.user_hash(who.tenant, who.user))
    }

    /// Where it sits, by room.
    pub fn places(&self) -> impl Iterator<Item = (RoomId, Place)> {
        self.subs.iter().filter_map(|sub| match &sub.stage {
            Stage::Seated(place, ..) => Some((sub.room, *place)),
            Stage::Asked(_) => None,
        })
    }

    /// The shard gave the seat that `Effect::Sit` asked for.
    pub fn sit(&mut self, room: RoomId, place: Place) {
        let sub = self.subs.at_mut(room).expect("the session asked for this seat");
        sub.stage = Stage::Seated(place, sub.allow(), sub.maker());
    }

    /// Somebody else left the channel, and this session's place changed.
    pub fn move_to(&mut self, room: RoomId, place: Place) {
        let sub = self.subs.at_mut(room).expect("who sits in a channel is subscribed to it");
        sub.stage = Stage::Seated(place, sub.allow(), sub.maker());
    }

    /// Something of this channel was lost on its way; the client shall
    /// subscribe again, and recover if it can. What the server made at connect
    /// it makes again at connect only.
    pub fn on_gap(&mut self, cx: &Context<'_>, room: RoomId, channel: &str, out: &mut Outcome) {
        if self.subs.at(room).is_some_and(|sub| sub.maker() == Maker::Server) {
            return self.close(Fault::InsufficientState, out);
        }
        self.unsubscribe_by_server(cx, room, channel, Removal::InsufficientState, out);
    }

    /// Time has passed.
    pub fn on_timer(&mut self, cx: &mut Context<'_>, out: &mut Outcome) {
        match &self.state {
            State::Greeting { deadline, .. } if *deadline <= cx.now.tick => {
                out.effects.push(Effect::Suspect(Suspicion::Deadline));
            }
            // Who is not answered yet does not know of pings.
            State::Greeting { .. } | State::Connecting(_) | State::Closed => (),
            State::Ready(peer) => {
                if peer.expires_unix_s().is_some_and(|end| is_over(cx, end)) {
                    out.effects.push(Effect::Suspect(Suspicion::Deadline));
                }
                while let State::Ready(peer) = &self.state
                    && let Some((room, end)) = peer.first_expiry()
                    && (cx.load.pace == Pace::OnTime && is_over(cx, end)
                        || is_over(cx, end.saturating_add(LATE_EXPIRY_MS_MAX / 1_000)))
                {
                    let said = peer.channel(room);
                    let channel = said.map(|said| said.channel.clone()).unwrap_or_default();
                    self.unsubscribe_by_server(cx, room, &channel, Removal::Expired, out);
                }
                self.on_heartbeat(cx, out);
            }
        }
    }

    /// When `on_timer` should be called next.
    pub fn next_timer(&self, cx: &Context<'_>) -> Tick {
        match &self.state {
            State::Greeting { deadline, .. } if cx.now.tick < *deadline => *deadline,
            State::Greeting { .. } => cx.now.tick.plus_ms(LOOK_AGAIN_MS),
            State::Connecting(_) => Tick(u64::MAX),
            State::Ready(peer) => {
                let first = peer.first_expiry().map(|(_, end)| end);
                let end = peer.expires_unix_s().into_iter().chain(first).min();
                let end = end.map_or(Tick(u64::MAX), |end_unix_s| {
                    let end_unix_ms = end_unix_s.saturating_mul(1_000);
                    let over_unix_ms = end_unix_ms.saturating_add(cx.options.expiry_grace_ms);
                    match over_unix_ms.saturating_sub(cx.now.unix_ms) {
                        0 => cx.now.tick.plus_ms(LOOK_AGAIN_MS),
                        left_ms => cx.now.tick.plus_ms(left_ms),
                    }
                });
                end.min(self.heartbeat_due(cx))
            }
            State::Closed => Tick(u64::MAX),
        }
    }

    /// Ends the session: its seats are freed, and its rooms let it go.
    pub fn leave(&mut self, cx: &Context<'_>, out: &mut Outcome) {
        self.ask_for_place(cx, What::Release, out);
        out.of_tenant = self.counted_as().map(|tenant| (tenant, Passage::Went));
        self.state = State::Closed;
        for sub in self.subs.take() {
            match sub.stage {
                Stage::Seated(place, ..) => {
                    out.effects.push(Effect::Stand(place));
                    self.ask(cx, sub.room, 0, What::Unsubscribe(Departure::Lost), out);
                }
                // The answer will find nobody, and is undone then.
                Stage::Asked(_) => (),
            }
        }
    }

    pub(super) fn close(&mut self, fault: Fault, out: &mut Outcome) {
        out.close(fault);
    }

    /// Refuses command `id`, and counts it against the peer if it was a mistake.
    pub(super) fn refuse(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        refusal: impl Into<Refusal>,
        out: &mut Outcome,
    ) {
        let refusal = refusal.into();
        out.refuse(id, refusal);
        if let Some(fault) = self.quota.on_refusal(cx.now.tick, cx.options, refusal.code()) {
            self.close(fault, out);
        }
    }

    /// Refuses command `id`, because the peer asks for more than its quota.
    fn throttle(&mut self, cx: &Context<'_>, id: u32, out: &mut Outcome) {
        out.refuse(id, ErrorCode::TooManyRequests);
        if let Some(fault) = self.quota.on_throttled(cx.now.tick, cx.options) {
            self.close(fault, out);
        }
    }

    /// Refuses a command behind a connect command that was refused: SDKs send both in one
    /// message, and it fails as that did, for good or for a while.
    fn refuse_behind(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        code: ErrorCode,
        admission: Admission,
        out: &mut Outcome,
    ) {
        let within = self.quota.on_command(cx.now.tick, cx.options);
        if within == Admission::Served && admission == Admission::Served {
            out.refuse(id, code);
        } else {
            self.throttle(cx, id, out);
        }
    }

    /// Refuses a connect command. Each costs a check of a token, and a good client makes
    /// one on a connection.
    fn refuse_stranger(&mut self, cx: &Context<'_>, id: u32, code: ErrorCode, out: &mut Outcome) {
        self.remember_refusal(code);
        out.refuse(id, code);
        if let Some(fault) = self.quota.on_mistake(cx.now.tick, cx.options) {
            self.close(fault, out);
        }
    }

    fn remember_refusal(&mut self, code: ErrorCode) {
        if let State::Greeting { refused, .. } = &mut self.state {
            *refused = Some(code);
        }
    }

    pub(super) fn ask(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        id: u32,
        what: What,
        out: &mut Outcome,
    ) {
        // Over the quota's burst commands are refused long before this is full.
        self.unanswered_count = self.unanswered_count.saturating_add(u16::from(id != 0));
        let user = self.user_hash(cx.names);
        let asker = Asker { conn: cx.conn, user, id };
        out.effects.push(Effect::Ask(Ask { room, asker, what }));
    }

    /// Frees the seat, asks the home to let go, and tells the client.
    pub(super) fn unsubscribe_by_server(
        &mut self,
        cx: &Context<'_>,
        room: RoomId,
        channel: &str,
        why: Removal,
        out: &mut Outcome,
    ) {
        if let State::Ready(peer) = &mut self.state {
            peer.forget(room);
        }
        match self.subs.at_mut(room).map(|sub| &mut sub.stage) {
            None => (),
            // The home's answer is still to come, and the client's command waits for it.
            Some(Stage::Asked(asked)) => asked.cancelled = Some(why.refusal()),
            Some(&mut Stage::Seated(place, ..)) => {
                self.subs.remove(room);
                out.effects.push(Effect::Stand(place));
                self.ask(cx, room, 0, What::Unsubscribe(why.departure()), out);
                let (code, reason) = why.parts();
                out.push(channel, Push::Unsubscribe { code, reason });
            }
        }
    }

    fn on_connect(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        request: &ConnectRequest<'_>,
        out: &mut Outcome,
    ) {
        self.agent = connect::agent(self.agent, &request.name);
        if cx.load.pace == Pace::FarBehind {
            self.remember_refusal(ErrorCode::TooManyRequests);
            // No mistake of the client's, so it is not counted as one.
            return out.refuse(id, ErrorCode::TooManyRequests);
        }
        let age_ms = self.age_ms(cx.now.tick, cx.options);
        let birth = Birth::new(Tick(cx.now.tick.0.saturating_sub(age_ms)));
        let admitted = connect::authenticate(cx, &request.token)
            .and_then(|claims| connect::admit(cx, id, request, claims, birth));
        match admitted {
            Err(Denial::Refuse(code)) => self.refuse_stranger(cx, id, code, out),
            Err(Denial::Close(fault)) => self.close(fault, out),
            Ok(connecting) if is_held(cx, &connecting.peer, self.agent) => {
                self.close(Fault::Quarantined, out);
            }
            Ok(mut connecting) => {
                if let State::Greeting { deadline, .. } = self.state {
                    let opened_ms = deadline.0.saturating_sub(cx.options.connect_ms_max);
                    connecting.since = Tick(opened_ms);
                }
                let entries: Vec<_> = connecting.entries().collect();
                self.quota.on_admitted();
                // Before the questions: from here on it is known whose they are.
                self.state = State::Connecting(Box::new(connecting));
                for (room, entry) in entries {
                    self.ask(cx, room, 0, What::Subscribe(Box::new(entry)), out);
                }
                self.finish_connecting(cx, out);
            }
        }
    }

    fn on_wanted_answer(
        &mut self,
        cx: &mut Context<'_>,
        room: RoomId,
        answer: Told,
        out: &mut Outcome,
    ) {
        let State::Connecting(connecting) = &mut self.state else { return };
        let id = connecting.id;
        let place = connecting.wanted.iter_mut().find(|one| one.room == room);
        match (place, answer) {
            (Some(one), Told::Subscribed(welcome)) => {
                let name = Arc::clone(&welcome.name);
                connecting.recovery_bytes += welcome.missed_bytes();
                one.welcome = Some(*welcome);
                let sub = Sub::server(room, one.title.clone());
                let rules = &cx.rooms.namespaces[usize::from(one.title.namespace)];
                let news_of_members = rules.push_join_leave;
                out.effects.push(Effect::Sit { room, name, news_of_members });
                self.subs.insert(sub);
                self.finish_connecting(cx, out);
            }
            // A room that refuses refuses the connection: the client tries
            // again, or learns that its token asks for what cannot be had.
            (_, Told::Unwelcome(code) | Told::Refused(code)) => {
                out.refuse(id, code);
                self.close(Fault::Refused(code), out);
            }
            (None, Told::Subscribed(_))
            | (
                _,
                Told::Unsubscribed
                | Told::Published(_)
                | Told::Presence(_)
                | Told::PresenceStats { .. }
                | Told::History(..)
                | Told::Posted(_)
                | Told::Members(..)
                | Told::Receipts(..)
                | Told::Conversations(..)
                | Told::Wrong(_)
                | Told::Noted,
            ) => (),
        }
    }

    fn finish_connecting(&mut self, cx: &mut Context<'_>, out: &mut Outcome) {
        if !matches!(&self.state, State::Connecting(connecting) if connecting.is_complete()) {
            return;
        }
        if let State::Connecting(connecting) = std::mem::replace(&mut self.state, State::Closed) {
            self.heartbeat.settle(
                cx.now.tick,
                cx.options,
                cx.load.core_connections,
                &mut cx.chance.jitter,
            );
            connecting.answer(cx, self.heartbeat.interval_ms(cx.options), out);
            let stage = Histogram::HandshakeStage(HandshakeStage::Auth);
            out.observe(stage, connecting.since, cx.now.tick);
            if connecting.wanted.iter().any(|one| one.since.is_some()) {
                out.observe(Histogram::SessionResume, connecting.since, cx.now.tick);
            }
            // With one room nothing waits: its answer completes the connect.
            if 1 < connecting.wanted.len() {
                out.effects.push(Effect::Release);
            }
            out.of_tenant = connecting.peer.counted_as().map(|tenant| (tenant, Passage::Came));
            self.state = State::Ready(connecting.peer);
            self.ask_for_place(cx, What::Claim, out);
            // Behind the seats: a held command may need the last one.
            if !connecting.held.is_empty() {
                out.effects.push(Effect::Resume(connecting.held.behind_connect()));
            }
        }
    }

    /// Where a user may have one connection only, the home of its personal channel
    /// knows which.
    fn ask_for_place(&mut self, cx: &Context<'_>, what: What, out: &mut Outcome) {
        let State::Ready(peer) = &self.state else { return };
        if cx.options.is_single_session(peer.tenant()) && !peer.info.user.is_empty() {
            let inbox = cx.names.inbox(peer.tenant(), &peer.info.user);
            self.ask(cx, inbox, 0, what, out);
        }
    }

    /// Something did not come in time, and nothing of the peer is left to be read: what is
    /// to be done. Whoever is silent is closed by who asks, when it may be.
    pub fn judge(&mut self, cx: &mut Context<'_>, signs: PeerSigns, out: &mut Outcome) -> Finding {
        match &self.state {
            State::Greeting { deadline, .. } if *deadline <= cx.now.tick && !signs.has_unread => {
                self.close(Fault::Stale, out);
            }
            State::Ready(peer)
                if peer.expires_unix_s().is_some_and(|end| is_over(cx, end))
                    && !signs.has_unread =>
            {
                self.close(Fault::Expired, out);
            }
            State::Ready(_) => {
                let (now, load) = (cx.now.tick, cx.load);
                let found = self.heartbeat.judge(
                    now,
                    cx.options,
                    load.core_connections,
                    signs,
                    &mut cx.chance.jitter,
                );
                if found == Finding::Again {
                    out.effects.push(Effect::Ping);
                }
                return found;
            }
            State::Greeting { .. } | State::Connecting(_) | State::Closed => (),
        }
        Finding::Alive
    }

    /// Something did not come in time, and nobody is judged now. Says whether it is judged all
    /// the same as soon as there is nothing more to be read: who has not even begun has twice
    /// the time, and no more, because places for newcomers are few.
    pub fn spare(&mut self, cx: &mut Context<'_>) -> bool {
        match &self.state {
            State::Greeting { deadline, .. } => {
                deadline.plus_ms(cx.options.connect_ms_max) <= cx.now.tick
            }
            State::Ready(peer) => {
                let ended = peer.expires_unix_s().map(|end| end.saturating_mul(1_000));
                let late_ms_max = cx.options.expiry_grace_ms.saturating_add(LATE_EXPIRY_MS_MAX);
                let load = cx.load.core_connections;
                self.heartbeat.spare(cx.now.tick, cx.options, load, &mut cx.chance.jitter);
                ended.is_some_and(|end| end.saturating_add(late_ms_max) <= cx.now.unix_ms)
            }
            State::Connecting(_) | State::Closed => false,
        }
    }

    /// Whether a pong of it is missing.
    pub fn is_suspected(&self) -> bool {
        self.heartbeat.is_suspected()
    }

    /// Its ping waits for a send that is under way.
    pub fn on_ping_queued(&mut self) {
        self.heartbeat.on_queued();
    }

    /// A send of it has left. Its next timer is no earlier than it was.
    pub fn on_sent(&mut self, now: Tick, options: &Options) {
        self.heartbeat.on_sent(now, options);
    }

    fn on_pong(&mut self, cx: &mut Context<'_>, out: &mut Outcome) {
        let (now, load) = (cx.now.tick, cx.load.core_connections);
        if let Some(pinged) = self.heartbeat.on_pong(now, cx.options, load, &mut cx.chance.jitter) {
            out.observe(Histogram::HeartbeatRtt, pinged, now);
            cx.tracer.on_round_trip(now, cx.conn, now.ms_since(pinged));
        }
    }

    fn on_heartbeat(&mut self, cx: &mut Context<'_>, out: &mut Outcome) {
        if cx.now.tick < self.heartbeat_due(cx) {
            return;
        }
        let (now, load) = (cx.now.tick, cx.load.core_connections);
        match self.heartbeat.on_due(now, cx.options, load, &mut cx.chance.jitter) {
            Beat::Rest => (),
            Beat::Ping => out.effects.push(Effect::Ping),
            Beat::Suspect => out.effects.push(Effect::Suspect(Suspicion::Silence)),
            // It reads nothing: what waits for it would wait for ever.
            Beat::Unsent => self.close(Fault::Slow, out),
        }
    }

    fn heartbeat_due(&self, cx: &Context<'_>) -> Tick {
        match cx.options.ping_interval_ms {
            0 => Tick(u64::MAX),
            1.. => self.heartbeat.due(cx.now.tick, cx.options, cx.load.lag_ms),
        }
    }
}

/// Whether a command is one that clients send behind connect without waiting for it.
fn may_stand_behind_connect(id: u32, request: &Request<'_>) -> bool {
    match request {
        Request::Connect(_) | Request::Pong => false,
        Request::Send { .. } => true,
        Request::Subscribe(_)
        | Request::Unsubscribe { .. }
        | Request::Publish { .. }
        | Request::Presence { .. }
        | Request::PresenceStats { .. }
        | Request::History(_)
        | Request::Ping
        | Request::Rpc { .. }
        | Request::Refresh { .. }
        | Request::SubRefresh { .. }
        | Request::Unknown => id != 0,
    }
}

/// Whether the token that ends then has ended, and the time for another one is over.
fn is_over(cx: &Context<'_>, end_unix_s: u64) -> bool {
    end_unix_s.saturating_add(cx.options.expiry_grace_ms / 1_000) <= cx.now.unix_s()
}

impl Sub {
    /// A subscription that the server makes.
    pub(super) fn server(room: RoomId, title: room::Title) -> Sub {
        let asked = Asked {
            id: 0,
            at: Tick(0),
            allow: Allow::NONE,
            own_from: None,
            title,
            recoverable: true,
            positioned: true,
            join_leave: false,
            expires_unix_s: None,
            cancelled: None,
        };
        Sub { room, stage: Stage::Asked(Box::new(asked)) }
    }
}

/// Whether clients such as this one are locked out for a while.
fn is_held(cx: &Context<'_>, peer: &Peer, agent: Agent) -> bool {
    cx.held.iter().any(|prefix| prefix.is_of(peer.tenant(), &peer.info.user, agent))
}
