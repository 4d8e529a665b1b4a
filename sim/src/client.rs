//! A simulated client: it connects, chats, misbehaves and comes back, as a seed decides, and
//! objects to what a correct server would not have said.
//!
//! Deliberately absent: what it asks for next (`client_actions`, `chat`), bytes of frames (`client_codec`),
//! and what is true for all clients together (`oracle`).

use std::collections::BTreeMap;

use rookery::auth::NewToken;
use rookery::base::{ConnId, MonotonicMs, Prng, Timestamps};
use rookery::ring::SimulatedIo;
use rookery::ring::simulated::PeerState;
use rookery::wire::client::{ClientAnswer, ClientMessage, ClientPush, proto};
use rookery::wire::{ConnectRequest, Encoding, Request};
use rookery::ws::Opcode;

use crate::Trace;
use crate::answers::PendingCommand;
use crate::client_codec::{ClientCodec, Received, frame, raw_frame};
use crate::client_connection::ClientConnection;
pub use crate::client_connection::Stage;
pub use crate::client_context::ClientContext;
use crate::durable_oracle::KnownBefore;
use crate::member_view::{MemberEvents, MemberViews};
use crate::oracle::Oracle;
use crate::post::Post;
pub(crate) use crate::reading::recovery;
use crate::reading::{Place, Reading};
use crate::scenario::{ClientProfile, USERS, token};
use crate::violation::{CheckResult, Checker, Violation, demand};

/// One client: it connects, chats, misbehaves, and comes back.
pub struct Client {
    /// Which one of the world.
    pub index: usize,
    pub(crate) user: &'static str,
    pub(crate) encoding: Encoding,
    pub(crate) prng: Prng,
    pub(crate) line: Option<ClientConnection>,
    pub(crate) readings: BTreeMap<String, Reading>,
    /// Who is in the channels that it is in.
    member_views: MemberViews,
    reads: Reads,
    pub(crate) profile: ClientProfile,
    /// What it said with an id.
    pub(crate) posts: Vec<Post>,
    /// What it gave a message as its last words: number, version, and what was sent.
    pub(crate) edited: Option<(u64, u64, String)>,
    /// Up to where it was brought direct messages, by conversation.
    pub(crate) received: BTreeMap<&'static str, u64>,
    back_at: MonotonicMs,
    pongs_percent: u64,
    /// It has read promptly from the beginning.
    is_prompt: bool,
}

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Whenever there is something.
    Promptly,
    /// Now and then.
    Slowly,
    /// Not at all.
    Never,
}

impl Client {
    /// A client that has not come yet.
    pub fn new(index: usize, mut prng: Prng) -> Client {
        let profile = if prng.percent(35) { ClientProfile::Steady } else { ClientProfile::Wild };
        let reads = match prng.below(10) {
            _ if profile == ClientProfile::Steady => Reads::Promptly,
            0 => Reads::Never,
            1 | 2 => Reads::Slowly,
            _ => Reads::Promptly,
        };
        Client {
            index,
            user: USERS[prng.below(USERS.len() as u64) as usize],
            encoding: Encoding::ALL[prng.below(2) as usize],
            line: None,
            readings: BTreeMap::new(),
            member_views: MemberViews::default(),
            posts: Vec::new(),
            edited: None,
            received: BTreeMap::new(),
            is_prompt: reads == Reads::Promptly,
            reads,
            profile,
            back_at: MonotonicMs(prng.below(300)),
            pongs_percent: if profile == ClientProfile::Steady || prng.percent(80) {
                100
            } else {
                50
            },
            prng,
        }
    }

    /// One that does what its `profile` says, for this user.
    pub fn with_profile(
        index: usize,
        prng: Prng,
        profile: ClientProfile,
        user: &'static str,
    ) -> Client {
        let (reads, is_prompt, pongs_percent) = (Reads::Promptly, true, 100);
        Client { user, profile, reads, is_prompt, pongs_percent, ..Client::new(index, prng) }
    }

    /// Whether it acts whenever it may.
    pub fn floods(&self) -> bool {
        matches!(self.profile, ClientProfile::Flooding | ClientProfile::Crowding)
    }

    /// Whether an answer is to come.
    pub(crate) fn waits(&self) -> bool {
        self.questions_count() != 0
    }

    /// Answers that are to come.
    pub(crate) fn questions_count(&self) -> usize {
        self.line.as_ref().map_or(0, |line| line.asked_in.len())
    }

    /// It does not wait for longer than it has to when it asks for one thing at a time.
    pub fn check_served(&self, step: u64) -> CheckResult {
        let Some(line) = &self.line else { return Ok(()) };
        if self.profile != ClientProfile::Patient || line.stage == Stage::Leaving {
            return Ok(());
        }
        line.check_served(self.index, step)
    }

    /// What it asks for is not refused for what others ask.
    pub(crate) fn check_refused(&self, code: u32, cx: &ClientContext<'_>) -> CheckResult {
        let is_others_fault = [100, 111].contains(&code);
        let is_fair = self.profile != ClientProfile::Patient || cx.acknowledges || !is_others_fault;
        demand!(
            is_fair,
            Checker::Fairness,
            "client {} asks for little, and is refused with {code}",
            self.index
        )
    }

    /// At which core it is.
    pub fn core(&self) -> Option<usize> {
        self.line.as_ref().map(|line| line.core)
    }

    /// Whether it would connect now.
    pub fn wants_in(&self, now: Timestamps) -> bool {
        self.line.is_none() && self.back_at <= now.tick
    }

    /// It connects.
    pub fn knock(&mut self, core: usize, number: u64, io: &mut SimulatedIo) {
        let (peer, client_codec) = (io.peer_connect(), ClientCodec::new(self.encoding));
        let mut line = ClientConnection::new(core, peer, client_codec, number);
        if self.prng.percent(97) {
            io.peer_send(peer, &line.client_codec.upgrade());
            line.ask_upgrade();
        }
        self.line = Some(line);
    }

    /// Whether it has this connection of its core.
    pub fn has(&self, conn: ConnId, at: usize, io: &SimulatedIo) -> bool {
        let line = self.line.as_ref().filter(|line| line.core == at);
        line.is_some_and(|line| io.conn_of(line.peer) == Some(conn))
    }

    /// Its core has told it to go, which it learns later.
    pub fn told_to_go(&mut self, now: MonotonicMs) {
        if let Some(line) = &mut self.line {
            line.told_at = Some(now);
        }
    }

    /// Reads in another way from now on.
    pub(crate) fn read_as(&mut self, reads: Reads) {
        self.reads = reads;
        self.is_prompt &= reads == Reads::Promptly;
    }

    /// Reads from now on what comes.
    pub fn settle_down(&mut self) {
        self.reads = Reads::Promptly;
    }

    /// Reads what has come, and answers what wants an answer.
    pub fn read(&mut self, cx: &mut ClientContext<'_>) -> CheckResult {
        let Some(line) = &mut self.line else { return Ok(()) };
        let state = cx.io.peer_state(line.peer);
        let over = state != PeerState::Open;
        let reads = match self.reads {
            Reads::Promptly => true,
            Reads::Slowly => self.prng.percent(5),
            Reads::Never => over,
        };
        if !reads {
            return Ok(());
        }
        let bytes = cx.io.peer_read(line.peer);
        for heard in line.client_codec.decode(bytes) {
            self.on_received(heard, cx)?;
        }
        if over {
            self.cut_off(cx.now.tick);
        }
        Ok(())
    }

    /// It is told to go. Who answers pings and says what it has to is not ended for time.
    fn check_ended(&self, code: u16) -> CheckResult {
        let Some(line) = &self.line else { return Ok(()) };
        let is_heard = self.is_prompt && line.is_clean();
        let is_healthy = is_heard && line.has_said(code, self.pongs_percent);
        demand!(
            !is_healthy,
            Checker::Healthy,
            "client {} does all it has to, and is ended with {code}",
            self.index
        )
    }

    /// Its connection is gone.
    pub fn cut_off(&mut self, now: MonotonicMs) {
        self.line = None;
        self.readings.values_mut().for_each(Reading::unsubscribed);
        self.member_views.end_all();
        self.back_at = now.plus_ms(self.prng.below(300));
    }

    /// The user who can be reached by this client, if it reads and answers.
    pub fn present_user(&self) -> Option<&'static str> {
        let line = self.line.as_ref()?;
        (line.is_whole() && !self.user.is_empty()).then_some(self.user)
    }

    /// All is quiet, and all that was sent has arrived.
    pub fn check_complete(&self, oracle: &Oracle) -> CheckResult {
        let Some(line) = &self.line else { return Ok(()) };
        if !line.is_whole() {
            return Ok(());
        }
        line.answers.check_complete()?;
        self.readings.iter().try_for_each(|(channel, one)| one.check_complete(oracle, channel))
    }

    /// All is quiet: it asks anew for each list that it knows.
    pub fn ask_who_is_in(&mut self, cx: &mut ClientContext<'_>) {
        let Some(line) = &self.line else { return };
        if !line.is_whole() {
            return;
        }
        for channel in self.member_views.known() {
            self.ask(cx, vec![(who_is_in(&channel), PendingCommand::Presence(channel.clone()))]);
        }
    }

    /// All is quiet: where it is in a channel on disk, it has read to the end.
    pub fn check_head(&self, channel: &str, head: u64) -> CheckResult {
        let Some(line) = &self.line else { return Ok(()) };
        if !line.is_whole() {
            return Ok(());
        }
        self.readings.get(channel).map_or(Ok(()), |reading| reading.check_head(channel, head))
    }

    /// Sends these commands, in one frame or several, and remembers what was asked.
    pub(crate) fn ask(
        &mut self,
        cx: &mut ClientContext<'_>,
        asks: Vec<(Request<'_>, PendingCommand)>,
    ) {
        let Some(line) = &mut self.line else { return };
        let mut commands = Vec::new();
        for (request, asked) in asks {
            let wants_answer = !matches!(request, Request::Send { .. } | Request::Pong);
            let id = if wants_answer { line.next_id } else { 0 };
            if cx.trace == Trace::Printed {
                println!("{:>6} client {} asks {id}: {asked:?}", cx.now.tick.0, self.index);
            }
            if wants_answer {
                line.next_id += 1;
                line.asked_in.insert(id, cx.step);
                line.answers.asked(id, asked);
            }
            commands.push((id, request));
        }
        let per_frame = if self.prng.percent(50) { commands.len().max(1) } else { 1 };
        for some in commands.chunks(per_frame) {
            self.send(cx, &frame(self.encoding, some));
        }
    }

    /// Sends bytes, unless the client has ended its direction.
    pub(crate) fn send(&mut self, cx: &mut ClientContext<'_>, bytes: &[u8]) {
        if let Some(line) = &mut self.line
            && !line.half_closed
        {
            cx.io.peer_send(line.peer, bytes);
        }
    }

    /// Ends its direction, and still reads.
    pub(crate) fn half_close(&mut self, cx: &mut ClientContext<'_>) {
        if let Some(line) = &mut self.line {
            line.half_closed = true;
            cx.io.peer_half_close(line.peer);
        }
    }

    /// Breaks the connection.
    pub(crate) fn reset(&mut self, cx: &mut ClientContext<'_>) {
        if let Some(line) = &self.line {
            cx.io.peer_reset(line.peer);
        }
    }

    fn on_received(&mut self, heard: Received, cx: &mut ClientContext<'_>) -> CheckResult {
        if cx.trace == Trace::Printed {
            println!("{:>6} client {} hears {heard:?}", cx.now.tick.0, self.index);
        }
        match heard {
            Received::Upgraded => self.connect(cx),
            Received::Refused(status) => {
                cx.counters.endings.insert(format!("status {status}"));
                self.check_ended(status)?;
                let known = [400, 408, 503].contains(&status);
                demand!(known, Checker::Decoding, "status {status}")?;
                self.leave();
            }
            Received::Message(ClientMessage::Reply { id, answer }) => {
                self.on_answer(id, answer, cx)?;
            }
            Received::Message(ClientMessage::Push { channel, push }) => {
                self.on_push(&channel, push, cx)?;
            }
            Received::Message(ClientMessage::Ping) => {
                if self.prng.percent(self.pongs_percent) {
                    self.ask(cx, vec![(Request::Pong, PendingCommand::Other)]);
                }
            }
            Received::Pong => (),
            Received::Closed(code) => {
                cx.counters.endings.insert(format!("closed {code}"));
                self.check_ended(code)?;
                cx.counters.panics_seen += u64::from(code == 1011);
                if self.prng.percent(80) {
                    let goodbye = raw_frame(Opcode::Close, &code.to_be_bytes());
                    let without_code = raw_frame(Opcode::Close, &[]);
                    self.send(cx, if code == 1005 { &without_code } else { &goodbye });
                }
                self.leave();
            }
            Received::Nonsense(text) => {
                let text = format!("client {}: {text}", self.index);
                return Err(Violation { checker: Checker::Decoding, text });
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(line) = &mut self.line {
            line.stage = Stage::Leaving;
        }
    }

    fn connect(&mut self, cx: &mut ClientContext<'_>) {
        if self.prng.percent(3) {
            return; // it never says who it is
        }
        let now_s = cx.now.unix_ms / 1_000;
        let channels = self.draw_channels();
        let wild = self.profile == ClientProfile::Wild;
        let expires = (wild && self.prng.percent(20)).then(|| now_s + 1 + self.prng.below(3));
        let new = NewToken { channels: &channels, expires_at_unix_s: expires, ..self.identity() };
        let token = if self.user.is_empty() { String::new() } else { token(&new) };
        let mut recovered = Vec::new();
        for (channel, reading) in &self.readings {
            if let Some(place) = reading.place().filter(|_| self.prng.percent(50)) {
                recovered.push((channel.clone(), place, cx.oracle.before(channel)));
            }
        }
        let subs = recovered.iter().map(|(channel, place, _)| recovery(channel, place)).collect();
        let request = ConnectRequest { token: token.into(), subs, ..ConnectRequest::default() };
        let asked = PendingCommand::Connect(recovered.clone());
        let mut asks = vec![(Request::Connect(request), asked)];
        if self.prng.percent(20) {
            // It does not wait for the answer.
            asks.push((Request::Ping, PendingCommand::Other));
        }
        self.ask(cx, asks);
        if let Some(line) = &mut self.line {
            line.stage = Stage::Connecting;
            line.connects_by = Some(cx.now.tick.plus_ms(cx.latency_ms_max));
        }
    }

    /// What the server is to subscribe it to.
    pub(crate) fn draw_channels(&mut self) -> Vec<String> {
        let channels: &[&str] = match self.prng.below(4) {
            // What it receives would take the world's time, and nobody else's.
            _ if self.profile == ClientProfile::Crowding => &[],
            0 => &["room:0"],
            1 => &["room:1", "news:0"],
            _ => &[],
        };
        channels.iter().map(|&one| one.to_owned()).collect()
    }

    /// What each token of this client says.
    pub(crate) fn identity(&self) -> NewToken<'static> {
        NewToken { user: self.user, info: Some("{\"of\":\"sim\"}"), ..NewToken::default() }
    }

    fn on_answer(
        &mut self,
        id: u32,
        answer: ClientAnswer,
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        let Some(line) = &mut self.line else { return Ok(()) };
        let asked = line.answers.answered(id, &answer)?;
        let asked_in = line.asked_in.remove(&id);
        if self.profile == ClientProfile::Patient {
            let steps = asked_in.map_or(0, |asked_in| cx.step - asked_in);
            cx.counters.served_steps_max = steps.max(cx.counters.served_steps_max);
        }
        match (asked, answer) {
            (PendingCommand::Connect(recovered), ClientAnswer::Connect(result)) => {
                line.stage = line.stage.max(Stage::Ready);
                for (channel, result) in &result.subs {
                    let asked = recovered.iter().find(|(one, ..)| one == channel);
                    let place = asked.map(|(_, place, _)| place);
                    let before = asked.map(|(.., before)| before.clone()).unwrap_or_default();
                    self.subscribed(channel, place, &before, result, cx)?;
                    self.member_views.begin(channel, MemberEvents::Messages);
                }
            }
            (
                PendingCommand::Subscribe(channel, place, before, member_events),
                ClientAnswer::Subscribe(result),
            ) => {
                self.subscribed(&channel, place.as_ref(), &before, &result, cx)?;
                self.member_views.begin(&channel, member_events);
            }
            (PendingCommand::Presence(channel), ClientAnswer::Presence(all)) => {
                self.member_views.listed(cx.join_leave_scope, &channel, &all, cx.look)?;
            }
            (PendingCommand::Unsubscribe(channel), ClientAnswer::Unsubscribe) => {
                self.member_views.end(&channel);
                self.reading(&channel).unsubscribed();
            }
            (PendingCommand::Publish(number), ClientAnswer::Publish) => cx.oracle.answered(number),
            (PendingCommand::History(channel, before), ClientAnswer::History(result)) => {
                Reading::history(cx.oracle, &channel, &before, &result)?;
                let (known, shown) = (&before.reactions, &result.publications);
                self.check_history_reactions(&channel, known, shown, cx)?;
            }
            (asked, ClientAnswer::Rpc(result)) => {
                self.on_chat_answer(asked, &result.data, cx)?;
            }
            (asked, ClientAnswer::Error(error)) => {
                if matches!(asked, PendingCommand::Connect(_)) {
                    line.connects_by = None;
                }
                cx.counters.endings.insert(format!("error {}", error.code));
                // An unsubscribe that was refused does not make way.
                line.renewed.remove(&(id + 1));
                let overtook = error.code == 105 && line.renewed.contains(&id) && !line.dirty;
                demand!(
                    !overtook,
                    Checker::Answers,
                    "subscribe {id} came before the unsubscribe that it was sent behind"
                )?;
                self.check_refused(error.code, cx)?;
                self.on_chat_refusal(&asked, error.code, cx)?;
            }
            (_, _) => (),
        }
        Ok(())
    }

    fn subscribed(
        &mut self,
        channel: &str,
        asked: Option<&Place>,
        before: &KnownBefore,
        result: &proto::SubscribeResult,
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        if asked.is_some() {
            let ending = if result.recovered { "recovered" } else { "not recovered" };
            cx.counters.endings.insert(ending.to_owned());
        }
        let reading = self.readings.entry(channel.to_owned()).or_default();
        reading.subscribed(cx.oracle, channel, asked, before, result)
    }

    fn on_push(
        &mut self,
        channel: &str,
        push: ClientPush,
        cx: &mut ClientContext<'_>,
    ) -> CheckResult {
        let index = self.index;
        if let ClientPush::Publication(publication) = &push
            && publication.tags.contains_key("channel")
        {
            return self.on_direct(publication, cx);
        }
        let reading = self.reading(channel);
        let inside = reading.is_subscribed();
        match &push {
            ClientPush::Publication(publication) => {
                reading.publication(cx.oracle, channel, publication)?;
            }
            ClientPush::Unsubscribe(why) => {
                cx.counters.endings.insert(format!("unsubscribed {}", why.code));
                let known = [2000, 2500, 2501].contains(&why.code);
                demand!(known, Checker::Decoding, "unsubscribed with {}", why.code)?;
                reading.unsubscribed();
                self.member_views.end(channel);
            }
            ClientPush::Join(_) | ClientPush::Leave(_) | ClientPush::Message(_) => {
                demand!(
                    inside,
                    Checker::Streams,
                    "client {index} hears of {channel} from outside"
                )?;
                if let ClientPush::Message(notice) = &push {
                    self.check_reacted(notice, cx)?;
                }
                if self.member_views.on_join_leave(cx.join_leave_scope, channel, &push) {
                    let asked = PendingCommand::Presence(channel.to_owned());
                    self.ask(cx, vec![(who_is_in(channel), asked)]);
                }
            }
            ClientPush::Subscribe(sub) => {
                demand!(
                    !inside,
                    Checker::Streams,
                    "client {index} is subscribed to {channel} by the server, twice"
                )?;
                cx.counters.endings.insert("subscribed by a refresh".to_owned());
                let result = proto::SubscribeResult {
                    recoverable: sub.recoverable,
                    epoch: sub.epoch.clone(),
                    offset: sub.offset,
                    positioned: sub.positioned,
                    ..proto::SubscribeResult::default()
                };
                self.subscribed(channel, None, &KnownBefore::default(), &result, cx)?;
            }
            ClientPush::Disconnect(_) | ClientPush::Refresh(_) | ClientPush::Unknown => {
                let text = format!("client {index}: an unexpected push in {channel}");
                return Err(Violation { checker: Checker::Decoding, text });
            }
        }
        Ok(())
    }

    pub(crate) fn reading(&mut self, channel: &str) -> &mut Reading {
        self.readings.entry(channel.to_owned()).or_default()
    }
}

/// Asks who is in a channel.
pub(crate) fn who_is_in(channel: &str) -> Request<'_> {
    Request::Presence { channel: channel.into() }
}
