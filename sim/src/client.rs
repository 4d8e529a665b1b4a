//! A simulated client: it connects, chats, misbehaves and comes back, as a seed decides, and
//! objects to what a correct server would not have said.
//!
//! Deliberately absent: what it asks for next (`deeds`, `chat`), bytes of frames (`speech`),
//! and what is true for all clients together (`book`).

use std::collections::{BTreeMap, BTreeSet};

use rookery::auth::NewToken;
use rookery::base::{ConnId, MonotonicMs, Prng, Timestamps};
use rookery::ring::SimulatedIo;
use rookery::ring::simulated::{PeerState, SimulatedPeer};
use rookery::room::JoinLeaveScope;
use rookery::wire::client::{ClientAnswer, ClientMessage, ClientPush, proto};
use rookery::wire::{ConnectRequest, Encoding, Request, SubscribeRequest};
use rookery::ws::Opcode;

use crate::Trace;
use crate::answers::{Answers, Asked};
use crate::attendance::{Attendance, Hears, Look};
use crate::book::Oracle;
use crate::checkers::Tally;
use crate::ledger::Before;
use crate::post::Post;
use crate::reading::{Place, Reading};
use crate::scenario::{ClientProfile, USERS, token};
use crate::speech::{Heard, Speech, frame, raw_frame};
use crate::violation::{CheckResult, Checker, Violation, demand};

/// So many steps of a world at most pass until what is asked for is answered, where cores
/// and lanes take all that comes: a step for each of the ways to its core, to its room's
/// home and back, and three rounds of the store (to read the room, to do it, and once more),
/// each with its way there and back, and a slice of what each other requester reads: two
/// who flood, and five cores for themselves.
const SERVED_STEPS_MAX: u64 = 5 + 3 * (2 + 7);

/// One client: it connects, chats, misbehaves, and comes back.
pub struct Client {
    /// Which one of the world.
    pub index: usize,
    pub(crate) user: &'static str,
    pub(crate) encoding: Encoding,
    pub(crate) prng: Prng,
    pub(crate) line: Option<Line>,
    pub(crate) readings: BTreeMap<String, Reading>,
    /// Who is in the channels that it is in.
    attendances: BTreeMap<String, Attendance>,
    reads: Reads,
    pub(crate) temper: ClientProfile,
    /// What it said with an id.
    pub(crate) posts: Vec<Post>,
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

/// One connection of a client.
pub struct Line {
    /// At which core.
    pub core: usize,
    peer: SimulatedPeer,
    speech: Speech,
    /// Different for each connection of the world.
    pub(crate) number: u64,
    pub(crate) stage: Stage,
    pub(crate) next_id: u32,
    pub(crate) answers: Answers,
    /// In which step of the world it asked what is not answered, by id.
    asked_in: BTreeMap<u32, u64>,
    /// Its subscribes right behind an unsubscribe of the same channel.
    pub(crate) renewed: BTreeSet<u32>,
    /// It sent what swallows or cuts its own commands.
    pub(crate) dirty: bool,
    half_closed: bool,
    /// It sent the request for its upgrade.
    asks_upgrade: bool,
    /// When its connect command has reached the core, unless that was answered with an error.
    connects_by: Option<MonotonicMs>,
    /// When the core told it to go.
    told_at: Option<MonotonicMs>,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// HTTP.
    Upgrading,
    /// The connect command is under way.
    Connecting,
    /// It may do everything.
    Ready,
    /// One of both said goodbye.
    Leaving,
}

/// What surrounds a client at one moment.
pub struct ClientContext<'w> {
    /// The world's clocks.
    pub now: Timestamps,
    /// How often the world went on before.
    pub step: u64,
    /// Of the core at which the client is.
    pub plane: &'w mut SimulatedIo,
    /// What is true for everybody.
    pub book: &'w mut Oracle,
    /// What counters should know.
    pub tally: &'w mut Tally,
    /// Whether clients tell what they hear.
    pub trace: Trace,
    /// What is sent arrives at most this much later.
    pub latency_ms_max: u64,
    /// What clients speak of.
    pub channels: &'static [&'static str],
    /// Whether chat's methods are among what clients do.
    pub chats: bool,
    /// Whether clients acknowledge everything.
    pub acknowledges: bool,
    /// As what members of channels come and go.
    pub news_of: JoinLeaveScope,
    /// Whether a presence list is held against what its reader knows.
    pub look: Look,
}

impl ClientContext<'_> {
    /// Somebody is about to publish; returns the message's number.
    pub(crate) fn publish(&mut self, channel: &str, author: &'static str) -> u64 {
        let number = self.book.publish(channel);
        self.book.ledger.says(number, channel, author, self.now.unix_ms);
        number
    }
}

impl Client {
    /// A client that has not come yet.
    pub fn new(index: usize, mut prng: Prng) -> Client {
        let temper = if prng.percent(35) { ClientProfile::Steady } else { ClientProfile::Wild };
        let reads = match prng.below(10) {
            _ if temper == ClientProfile::Steady => Reads::Promptly,
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
            attendances: BTreeMap::new(),
            posts: Vec::new(),
            received: BTreeMap::new(),
            is_prompt: reads == Reads::Promptly,
            reads,
            temper,
            back_at: MonotonicMs(prng.below(300)),
            pongs_percent: if temper == ClientProfile::Steady || prng.percent(80) {
                100
            } else {
                50
            },
            prng,
        }
    }

    /// One that does what its `temper` says, for this user.
    pub fn tempered(index: usize, prng: Prng, temper: ClientProfile, user: &'static str) -> Client {
        let (reads, is_prompt, pongs_percent) = (Reads::Promptly, true, 100);
        Client { user, temper, reads, is_prompt, pongs_percent, ..Client::new(index, prng) }
    }

    /// Whether it acts whenever it may.
    pub fn floods(&self) -> bool {
        matches!(self.temper, ClientProfile::Flooding | ClientProfile::Crowding)
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
        if self.temper != ClientProfile::Patient || line.stage == Stage::Leaving {
            return Ok(());
        }
        let late = line.asked_in.iter().find(|(_, asked_in)| SERVED_STEPS_MAX < step - *asked_in);
        demand(late.is_none(), Checker::Fairness, || {
            let asked = late.and_then(|(id, _)| line.answers.of(*id));
            format!("client {} waits for {asked:?} since {SERVED_STEPS_MAX} steps", self.index)
        })
    }

    /// What it asks for is not refused for what others ask.
    fn check_refused(&self, code: u32, around: &ClientContext<'_>) -> CheckResult {
        let is_others_fault = [100, 111].contains(&code);
        let is_fair =
            self.temper != ClientProfile::Patient || around.acknowledges || !is_others_fault;
        demand(is_fair, Checker::Fairness, || {
            format!("client {} asks for little, and is refused with {code}", self.index)
        })
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
    pub fn knock(&mut self, core: usize, number: u64, plane: &mut SimulatedIo) {
        let (peer, speech) = (plane.peer_connect(), Speech::new(self.encoding));
        let asks_upgrade = self.prng.percent(97);
        if asks_upgrade {
            plane.peer_send(peer, &speech.upgrade());
        }
        self.line = Some(Line {
            core,
            peer,
            speech,
            number,
            stage: Stage::Upgrading,
            next_id: 1,
            answers: Answers::default(),
            asked_in: BTreeMap::new(),
            renewed: BTreeSet::new(),
            dirty: false,
            half_closed: false,
            asks_upgrade,
            connects_by: None,
            told_at: None,
        });
    }

    /// Whether it has this connection of its core.
    pub fn has(&self, conn: ConnId, at: usize, plane: &SimulatedIo) -> bool {
        let line = self.line.as_ref().filter(|line| line.core == at);
        line.is_some_and(|line| plane.conn_of(line.peer) == Some(conn))
    }

    /// Its core has told it to go, which it hears later.
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
    pub fn read(&mut self, around: &mut ClientContext<'_>) -> CheckResult {
        let Some(line) = &mut self.line else { return Ok(()) };
        let state = around.plane.peer_state(line.peer);
        let over = state != PeerState::Open;
        let reads = match self.reads {
            Reads::Promptly => true,
            Reads::Slowly => self.prng.percent(5),
            Reads::Never => over,
        };
        if !reads {
            return Ok(());
        }
        let bytes = around.plane.peer_read(line.peer);
        for heard in line.speech.hear(bytes) {
            self.on_heard(heard, around)?;
        }
        if over {
            self.cut_off(around.now.tick);
        }
        Ok(())
    }

    /// It is told to go. Who answers pings and says what it has to is not ended for time.
    fn check_ended(&self, code: u16) -> CheckResult {
        let Some(line) = &self.line else { return Ok(()) };
        let is_heard = self.is_prompt && !line.dirty && !line.half_closed;
        let is_healthy = is_heard
            && match code {
                408 => line.asks_upgrade,
                // It was there to be read when the core decided.
                3502 => line.connects_by.is_some_and(|by| Some(by) <= line.told_at),
                3012 => self.pongs_percent == 100,
                _ => false,
            };
        demand(!is_healthy, Checker::Healthy, || {
            format!("client {} does all it has to, and is ended with {code}", self.index)
        })
    }

    /// Its connection is gone.
    pub fn cut_off(&mut self, now: MonotonicMs) {
        self.line = None;
        self.readings.values_mut().for_each(Reading::unsubscribed);
        self.attendances.clear();
        self.back_at = now.plus_ms(self.prng.below(300));
    }

    /// The user who can be reached by this client, if it reads and answers.
    pub fn present_user(&self) -> Option<&'static str> {
        let line = self.line.as_ref()?;
        let is_there = line.stage == Stage::Ready && !line.dirty && !line.half_closed;
        (is_there && !self.user.is_empty()).then_some(self.user)
    }

    /// All is quiet, and all that was sent has arrived.
    pub fn check_complete(&self, book: &Oracle) -> CheckResult {
        let Some(line) = &self.line else { return Ok(()) };
        if line.stage != Stage::Ready || line.dirty || line.half_closed {
            return Ok(());
        }
        line.answers.check_complete()?;
        self.readings.iter().try_for_each(|(channel, one)| one.check_complete(book, channel))
    }

    /// All is quiet: it asks anew for each list that it knows.
    pub fn ask_who_is_in(&mut self, around: &mut ClientContext<'_>) {
        let Some(line) = &self.line else { return };
        if line.stage != Stage::Ready || line.dirty || line.half_closed {
            return;
        }
        let known = self.attendances.iter().filter(|(_, one)| one.is_known());
        let channels: Vec<String> = known.map(|(channel, _)| channel.clone()).collect();
        for channel in channels {
            self.ask(around, vec![(who_is_in(&channel), Asked::Presence(channel.clone()))]);
        }
    }

    /// All is quiet: where it is in a channel on disk, it has read to the end.
    pub fn check_head(&self, channel: &str, head: u64) -> CheckResult {
        let Some(line) = &self.line else { return Ok(()) };
        if line.stage != Stage::Ready || line.dirty || line.half_closed {
            return Ok(());
        }
        self.readings.get(channel).map_or(Ok(()), |reading| reading.check_head(channel, head))
    }

    /// Sends these commands, in one frame or several, and remembers what was asked.
    pub(crate) fn ask(&mut self, around: &mut ClientContext<'_>, asks: Vec<(Request<'_>, Asked)>) {
        let Some(line) = &mut self.line else { return };
        let mut commands = Vec::new();
        for (request, asked) in asks {
            let wants_answer = !matches!(request, Request::Send { .. } | Request::Pong);
            let id = if wants_answer { line.next_id } else { 0 };
            if around.trace == Trace::Printed {
                println!("{:>6} client {} asks {id}: {asked:?}", around.now.tick.0, self.index);
            }
            if wants_answer {
                line.next_id += 1;
                line.asked_in.insert(id, around.step);
                line.answers.asked(id, asked);
            }
            commands.push((id, request));
        }
        let per_frame = if self.prng.percent(50) { commands.len().max(1) } else { 1 };
        for some in commands.chunks(per_frame) {
            self.send(around, &frame(self.encoding, some));
        }
    }

    /// Sends bytes, unless the client has ended its direction.
    pub(crate) fn send(&mut self, around: &mut ClientContext<'_>, bytes: &[u8]) {
        if let Some(line) = &mut self.line
            && !line.half_closed
        {
            around.plane.peer_send(line.peer, bytes);
        }
    }

    /// Ends its direction, and still reads.
    pub(crate) fn half_close(&mut self, around: &mut ClientContext<'_>) {
        if let Some(line) = &mut self.line {
            line.half_closed = true;
            around.plane.peer_half_close(line.peer);
        }
    }

    /// Breaks the connection.
    pub(crate) fn reset(&mut self, around: &mut ClientContext<'_>) {
        if let Some(line) = &self.line {
            around.plane.peer_reset(line.peer);
        }
    }

    fn on_heard(&mut self, heard: Heard, around: &mut ClientContext<'_>) -> CheckResult {
        if around.trace == Trace::Printed {
            println!("{:>6} client {} hears {heard:?}", around.now.tick.0, self.index);
        }
        match heard {
            Heard::Upgraded => self.connect(around),
            Heard::Refused(status) => {
                around.tally.endings.insert(format!("status {status}"));
                self.check_ended(status)?;
                let known = [400, 408, 503].contains(&status);
                demand(known, Checker::Speech, || format!("status {status}"))?;
                self.leave();
            }
            Heard::Message(ClientMessage::Reply { id, answer }) => {
                self.on_answer(id, answer, around)?;
            }
            Heard::Message(ClientMessage::Push { channel, push }) => {
                self.on_push(&channel, push, around)?;
            }
            Heard::Message(ClientMessage::Ping) => {
                if self.prng.percent(self.pongs_percent) {
                    self.ask(around, vec![(Request::Pong, Asked::Other)]);
                }
            }
            Heard::Pong => (),
            Heard::Closed(code) => {
                around.tally.endings.insert(format!("closed {code}"));
                self.check_ended(code)?;
                around.tally.panics_seen += u64::from(code == 1011);
                if self.prng.percent(80) {
                    let goodbye = raw_frame(Opcode::Close, &code.to_be_bytes());
                    let without_code = raw_frame(Opcode::Close, &[]);
                    self.send(around, if code == 1005 { &without_code } else { &goodbye });
                }
                self.leave();
            }
            Heard::Nonsense(text) => {
                let text = format!("client {}: {text}", self.index);
                return Err(Violation { checker: Checker::Speech, text });
            }
        }
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(line) = &mut self.line {
            line.stage = Stage::Leaving;
        }
    }

    fn connect(&mut self, around: &mut ClientContext<'_>) {
        if self.prng.percent(3) {
            return; // it never says who it is
        }
        let now_s = around.now.unix_ms / 1_000;
        let channels = self.draw_channels();
        let wild = self.temper == ClientProfile::Wild;
        let expires = (wild && self.prng.percent(20)).then(|| now_s + 1 + self.prng.below(3));
        let new = NewToken { channels: &channels, expires_at_unix_s: expires, ..self.identity() };
        let token = if self.user.is_empty() { String::new() } else { token(&new) };
        let mut recovered = Vec::new();
        for (channel, reading) in &self.readings {
            if let Some(place) = reading.place().filter(|_| self.prng.percent(50)) {
                recovered.push((channel.clone(), place, around.book.before(channel)));
            }
        }
        let subs = recovered.iter().map(|(channel, place, _)| recovery(channel, place)).collect();
        let request = ConnectRequest { token: token.into(), subs, ..ConnectRequest::default() };
        let asked = Asked::Connect(recovered.clone());
        let mut asks = vec![(Request::Connect(request), asked)];
        if self.prng.percent(20) {
            // It does not wait for the answer.
            asks.push((Request::Ping, Asked::Other));
        }
        self.ask(around, asks);
        if let Some(line) = &mut self.line {
            line.stage = Stage::Connecting;
            line.connects_by = Some(around.now.tick.plus_ms(around.latency_ms_max));
        }
    }

    /// What the server is to subscribe it to.
    pub(crate) fn draw_channels(&mut self) -> Vec<String> {
        let channels: &[&str] = match self.prng.below(4) {
            // What it hears would take the world's time, and nobody else's.
            _ if self.temper == ClientProfile::Crowding => &[],
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
        around: &mut ClientContext<'_>,
    ) -> CheckResult {
        let Some(line) = &mut self.line else { return Ok(()) };
        let asked = line.answers.answered(id, &answer)?;
        let asked_in = line.asked_in.remove(&id);
        if self.temper == ClientProfile::Patient {
            let steps = asked_in.map_or(0, |asked_in| around.step - asked_in);
            around.tally.served_steps_max = steps.max(around.tally.served_steps_max);
        }
        match (asked, answer) {
            (Asked::Connect(recovered), ClientAnswer::Connect(result)) => {
                line.stage = line.stage.max(Stage::Ready);
                for (channel, result) in &result.subs {
                    let asked = recovered.iter().find(|(one, ..)| one == channel);
                    let place = asked.map(|(_, place, _)| place);
                    let before = asked.map(|(.., before)| before.clone()).unwrap_or_default();
                    self.subscribed(channel, place, &before, result, around)?;
                    self.is_in(channel, Hears::Messages);
                }
            }
            (Asked::Subscribe(channel, place, before, hears), ClientAnswer::Subscribe(result)) => {
                self.subscribed(&channel, place.as_ref(), &before, &result, around)?;
                self.is_in(&channel, hears);
            }
            (Asked::Presence(channel), ClientAnswer::Presence(all)) => {
                if let Some(attendance) = self.attendances.get_mut(&channel) {
                    attendance.listed(around.news_of, &channel, &all, around.look)?;
                }
            }
            (Asked::Unsubscribe(channel), ClientAnswer::Unsubscribe) => {
                self.attendances.remove(&channel);
                self.reading(&channel).unsubscribed();
            }
            (Asked::Publish(number), ClientAnswer::Publish) => around.book.answered(number),
            (Asked::History(channel, before), ClientAnswer::History(result)) => {
                Reading::history(around.book, &channel, &before, &result)?;
                let (known, shown) = (&before.reactions, &result.publications);
                self.check_history_reactions(&channel, known, shown, around)?;
            }
            (asked, ClientAnswer::Rpc(result)) => {
                self.on_chat_answer(asked, &result.data, around)?;
            }
            (asked, ClientAnswer::Error(error)) => {
                if matches!(asked, Asked::Connect(_)) {
                    line.connects_by = None;
                }
                around.tally.endings.insert(format!("error {}", error.code));
                // An unsubscribe that was refused does not make way.
                line.renewed.remove(&(id + 1));
                let overtook = error.code == 105 && line.renewed.contains(&id) && !line.dirty;
                demand(!overtook, Checker::Answers, || {
                    format!("subscribe {id} came before the unsubscribe that it was sent behind")
                })?;
                self.check_refused(error.code, around)?;
                self.on_chat_refusal(&asked, error.code, around)?;
            }
            (_, _) => (),
        }
        Ok(())
    }

    /// It may ask who else is there from now on.
    fn is_in(&mut self, channel: &str, asked: Hears) {
        let hears = if channel.starts_with("news:") { Hears::Members } else { asked };
        self.attendances.insert(channel.to_owned(), Attendance::new(hears));
    }

    fn subscribed(
        &mut self,
        channel: &str,
        asked: Option<&Place>,
        before: &Before,
        result: &proto::SubscribeResult,
        around: &mut ClientContext<'_>,
    ) -> CheckResult {
        if asked.is_some() {
            let ending = if result.recovered { "recovered" } else { "not recovered" };
            around.tally.endings.insert(ending.to_owned());
        }
        let reading = self.readings.entry(channel.to_owned()).or_default();
        reading.subscribed(around.book, channel, asked, before, result)
    }

    fn on_push(
        &mut self,
        channel: &str,
        push: ClientPush,
        around: &mut ClientContext<'_>,
    ) -> CheckResult {
        let index = self.index;
        if let ClientPush::Publication(publication) = &push
            && publication.tags.contains_key("channel")
        {
            return self.on_direct(publication, around);
        }
        let reading = self.reading(channel);
        let inside = reading.is_subscribed();
        match &push {
            ClientPush::Publication(publication) => {
                reading.publication(around.book, channel, publication)?;
            }
            ClientPush::Unsubscribe(why) => {
                around.tally.endings.insert(format!("unsubscribed {}", why.code));
                let known = [2000, 2500, 2501].contains(&why.code);
                demand(known, Checker::Speech, || format!("unsubscribed with {}", why.code))?;
                reading.unsubscribed();
                self.attendances.remove(channel);
            }
            ClientPush::Join(_) | ClientPush::Leave(_) | ClientPush::Message(_) => {
                demand(inside, Checker::Streams, || {
                    format!("client {index} hears of {channel} from outside")
                })?;
                if let ClientPush::Message(notice) = &push {
                    self.check_reacted(notice, around)?;
                }
                self.on_news(channel, &push, around);
            }
            ClientPush::Subscribe(sub) => {
                demand(!inside, Checker::Streams, || {
                    format!("client {index} is subscribed to {channel} by the server, twice")
                })?;
                around.tally.endings.insert("subscribed by a refresh".to_owned());
                let result = proto::SubscribeResult {
                    recoverable: sub.recoverable,
                    epoch: sub.epoch.clone(),
                    offset: sub.offset,
                    positioned: sub.positioned,
                    ..proto::SubscribeResult::default()
                };
                self.subscribed(channel, None, &Before::default(), &result, around)?;
            }
            ClientPush::Disconnect(_) | ClientPush::Refresh(_) | ClientPush::Unknown => {
                let text = format!("client {index}: an unexpected push in {channel}");
                return Err(Violation { checker: Checker::Speech, text });
            }
        }
        Ok(())
    }

    /// Somebody came or went, or many did.
    fn on_news(&mut self, channel: &str, push: &ClientPush, around: &mut ClientContext<'_>) {
        let Some(attendance) = self.attendances.get_mut(channel) else { return };
        match push {
            ClientPush::Join(join) => attendance.joined(around.news_of, join),
            ClientPush::Leave(leave) => attendance.left(around.news_of, leave),
            ClientPush::Message(message) if message.starts_with(b"{\"crowd\"") => {
                attendance.is_another();
                let asked = Asked::Presence(channel.to_owned());
                self.ask(around, vec![(who_is_in(channel), asked)]);
            }
            _ => (),
        }
    }

    pub(crate) fn reading(&mut self, channel: &str) -> &mut Reading {
        self.readings.entry(channel.to_owned()).or_default()
    }
}

/// Asks who is in a channel.
pub(crate) fn who_is_in(channel: &str) -> Request<'_> {
    Request::Presence { channel: channel.into() }
}

/// Asks for what was missed since `place`.
pub(crate) fn recovery<'a>(channel: &'a str, place: &'a Place) -> SubscribeRequest<'a> {
    SubscribeRequest {
        channel: channel.into(),
        recover: true,
        epoch: place.epoch.as_str().into(),
        offset: place.offset,
        ..SubscribeRequest::default()
    }
}
