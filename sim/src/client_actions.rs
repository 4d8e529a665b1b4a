//! What clients do when it is their turn: mostly what the protocol is for, and
//! now and then what it forbids.

use rookery::auth::NewToken;
use rookery::wire::{HistoryRequest, RawData, Request, SubscribeRequest};
use rookery::ws::Opcode;

use crate::answers::PendingCommand;
use crate::client::{Client, ClientContext, Reads, Stage, recovery, who_is_in};
use crate::client_codec::{frame, raw_frame};
use crate::member_view::MemberEvents;
use crate::reading::Place;
use crate::scenario::{ClientProfile, token};

/// One thing that a connected client does. Closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAction {
    /// Says something in a channel.
    Publish,
    /// Says many things.
    Burst,
    /// Goes into a channel, with or without recovery.
    Subscribe,
    /// Leaves a channel.
    Unsubscribe,
    /// Goes in and out and in, without waiting.
    Hesitate,
    /// Asks who is there, or what was said.
    MemberCheck,
    /// Says that it is writing.
    Type,
    /// Reacts to a message, or asks what some are reacted to with.
    React,
    /// Renews its token.
    Refresh,
    /// Asks for what does not exist.
    Err,
    /// Uses an id twice.
    RepeatId,
    /// Makes its session panic.
    Panic,
    /// Sends bytes that mean nothing.
    Garbage,
    /// Pings as a WebSocket.
    Ping,
    /// Reads in another way from now on.
    ReadOtherwise,
    /// Breaks its connection.
    Reset,
    /// Ends its direction.
    HalfClose,
    /// Says goodbye.
    Close,
    /// Says something by chat's own method.
    Post,
    /// Writes to another user.
    Send,
    /// Says again what it said with an id.
    Repeat,
    /// Says how far it is.
    Mark,
    /// Takes a message back.
    Retract,
    /// Gives a message other words.
    Edit,
    /// Asks how far others are, or with whom it talks.
    AskAround,
    /// Asks what was said in several channels at once.
    ReadSeveral,
    /// Does the same thing again and again, without waiting.
    Flood,
    /// Reads all that was said in a channel, a few times at once, or says more.
    ReadAll,
}

/// How many deeds break nothing.
const STEADY_ACTIONS_COUNT: usize = 8;

/// How often each is chosen.
const WEIGHTS: [(ClientAction, u64); 18] = [
    (ClientAction::Publish, 300),
    (ClientAction::Burst, 25),
    (ClientAction::Subscribe, 200),
    (ClientAction::Unsubscribe, 50),
    (ClientAction::Hesitate, 30),
    (ClientAction::MemberCheck, 100),
    (ClientAction::Type, 40),
    (ClientAction::React, 90),
    (ClientAction::Refresh, 15),
    (ClientAction::Err, 20),
    (ClientAction::RepeatId, 10),
    (ClientAction::Panic, 5),
    (ClientAction::Garbage, 5),
    (ClientAction::Ping, 20),
    (ClientAction::ReadOtherwise, 15),
    (ClientAction::Reset, 10),
    (ClientAction::HalfClose, 6),
    (ClientAction::Close, 10),
];

/// How often each of chat's own is chosen beside these.
const CHAT_WEIGHTS: [(ClientAction, u64); 8] = [
    (ClientAction::Post, 250),
    (ClientAction::Send, 150),
    (ClientAction::Repeat, 120),
    (ClientAction::Mark, 80),
    (ClientAction::Retract, 30),
    (ClientAction::Edit, 60),
    (ClientAction::AskAround, 60),
    (ClientAction::ReadSeveral, 40),
];

/// What is done again and again in a flood.
const FLOODS: [ClientAction; 10] = [
    ClientAction::AskAround,
    ClientAction::MemberCheck,
    ClientAction::Hesitate,
    ClientAction::Mark,
    ClientAction::Ping,
    ClientAction::Publish,
    ClientAction::Post,
    ClientAction::ReadSeveral,
    ClientAction::Send,
    ClientAction::Type,
];

/// How often at most.
const FLOOD_COUNT_MAX: u64 = 60;

/// Channels with a history that everybody may read, in a world with a store.
const READ_CHANNELS: [&str; 2] = ["room:0", "room:1"];

/// Questions of one connection of a crowd that are open at a time.
const READS_COUNT: usize = 3;

impl Client {
    /// Chooses what to do, and does it. Says what it was.
    pub fn act(&mut self, cx: &mut ClientContext<'_>) -> Option<ClientAction> {
        if self.line.as_ref().is_none_or(|line| line.stage != Stage::Ready) {
            return None;
        }
        // The first deeds are what the protocol is for.
        let actions = match self.profile {
            ClientProfile::Steady => &WEIGHTS[..STEADY_ACTIONS_COUNT],
            ClientProfile::Wild => &WEIGHTS[..],
            ClientProfile::Patient if self.waits() => return None,
            ClientProfile::Patient => &WEIGHTS[..STEADY_ACTIONS_COUNT],
            ClientProfile::Flooding => {
                self.flood(cx);
                return Some(ClientAction::Flood);
            }
            ClientProfile::Crowding => {
                self.read_all(cx);
                return Some(ClientAction::ReadAll);
            }
        };
        let chat = if cx.chats { &CHAT_WEIGHTS[..] } else { &[] };
        let actions = || actions.iter().chain(chat);
        let mut drawn = self.prng.below(actions().map(|(_, weight)| weight).sum());
        let chosen = actions().find(|(_, weight)| {
            let hit = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            hit
        });
        let action = match chosen.map(|(action, _)| *action)? {
            ClientAction::Burst if self.profile == ClientProfile::Patient => ClientAction::Publish,
            ClientAction::Hesitate if self.profile == ClientProfile::Patient => {
                ClientAction::Subscribe
            }
            action => action,
        };
        let channel = cx.channels[self.prng.below(cx.channels.len() as u64) as usize];
        self.perform(action, channel, cx);
        Some(action)
    }

    fn perform(&mut self, action: ClientAction, channel: &'static str, cx: &mut ClientContext<'_>) {
        match action {
            ClientAction::Publish => self.publish(channel, 1, cx),
            ClientAction::Burst => {
                let count = 10 + self.prng.below(40);
                self.publish(channel, count, cx);
            }
            ClientAction::Subscribe => self.subscribe(channel, cx),
            ClientAction::Unsubscribe => self.unsubscribe(channel, cx),
            ClientAction::Hesitate => {
                self.subscribe(channel, cx);
                self.unsubscribe(channel, cx);
                if self.prng.percent(50) {
                    self.subscribe(channel, cx);
                    if let Some(line) = &mut self.line {
                        line.renewed.insert(line.next_id - 1);
                    }
                }
            }
            ClientAction::MemberCheck => self.look(channel, cx),
            ClientAction::Type => self.type_in(channel, cx),
            ClientAction::React => self.react(cx),
            ClientAction::Refresh => self.refresh(cx),
            ClientAction::Err => {
                // Sometimes more than any good client does.
                let count = if self.prng.percent(15) { 12 } else { 1 };
                (0..count).for_each(|_| self.err(channel, cx));
            }
            ClientAction::RepeatId => self.repeat_id(channel, cx),
            ClientAction::Panic => {
                cx.counters.panics_sent += 1;
                let data = RawData { bytes: b"{}"[..].into(), is_json: true };
                let request = Request::Rpc { method: "chat.panic".into(), data };
                self.ask(cx, vec![(request, PendingCommand::Other)]);
            }
            ClientAction::Garbage => self.send_garbage(cx),
            ClientAction::Ping => self.send(cx, &raw_frame(Opcode::Ping, b"anybody there?")),
            ClientAction::ReadOtherwise => {
                let ways = [Reads::Promptly, Reads::Promptly, Reads::Slowly, Reads::Never];
                let reads = ways[self.prng.below(4) as usize];
                self.read_as(reads);
            }
            ClientAction::Post => self.post(channel, cx),
            ClientAction::Send => self.send_to(cx),
            ClientAction::Repeat => self.repeat(cx),
            ClientAction::Mark => self.mark(cx),
            ClientAction::Retract => self.retract(cx),
            ClientAction::Edit => self.edit(cx),
            ClientAction::AskAround => self.ask_around(channel, cx),
            ClientAction::ReadSeveral => self.read_several(cx),
            ClientAction::Flood => self.flood(cx),
            ClientAction::ReadAll => self.read_all(cx),
            ClientAction::Reset => self.reset(cx),
            ClientAction::HalfClose => self.half_close(cx),
            ClientAction::Close => {
                self.send(cx, &raw_frame(Opcode::Close, &1000u16.to_be_bytes()));
                if let Some(line) = &mut self.line {
                    line.stage = Stage::Leaving;
                }
            }
        }
    }

    fn refresh(&mut self, cx: &mut ClientContext<'_>) {
        let now_s = cx.now.unix_ms / 1_000;
        let expires_at_unix_s = self.prng.percent(50).then(|| now_s + 2);
        let channels = self.draw_channels();
        let identity = self.identity();
        let token = token(&NewToken { channels: &channels, expires_at_unix_s, ..identity });
        let request = Request::Refresh { token: token.into() };
        self.ask(cx, vec![(request, PendingCommand::Other)]);
    }

    fn send_garbage(&mut self, cx: &mut ClientContext<'_>) {
        let count = 1 + self.prng.below(30);
        let bytes: Vec<u8> = (0..count).map(|_| self.prng.draw() as u8).collect();
        self.soil();
        if self.prng.percent(50) {
            self.send(cx, &raw_frame(Opcode::Text, &bytes));
        } else {
            self.send(cx, &bytes);
        }
    }

    fn flood(&mut self, cx: &mut ClientContext<'_>) {
        let count = 1 + self.prng.below(FLOOD_COUNT_MAX);
        let channel = cx.channels[self.prng.below(cx.channels.len() as u64) as usize];
        match self.prng.below(FLOODS.len() as u64 + 2) as usize {
            0 => {
                let pongs = (0..count).map(|_| (Request::Pong, PendingCommand::Other));
                self.ask(cx, pongs.collect());
            }
            1 => (0..count).for_each(|_| self.send(cx, &raw_frame(Opcode::Pong, b""))),
            chosen => (0..count).for_each(|_| self.perform(FLOODS[chosen - 2], channel, cx)),
        }
    }

    fn read_all(&mut self, cx: &mut ClientContext<'_>) {
        let channel = READ_CHANNELS[self.prng.below(READ_CHANNELS.len() as u64) as usize];
        if self.prng.percent(8) {
            self.publish(channel, FLOOD_COUNT_MAX, cx);
        }
        for _ in self.questions_count()..READS_COUNT {
            let reverse = self.prng.percent(50);
            let request =
                HistoryRequest { channel: channel.into(), limit: -1, since: None, reverse };
            let asked = PendingCommand::History(channel.to_owned(), cx.oracle.before(channel));
            self.ask(cx, vec![(Request::History(request), asked)]);
        }
    }

    fn publish(&mut self, channel: &'static str, count: u64, cx: &mut ClientContext<'_>) {
        let line = self.line.as_ref().map_or(0, |line| line.number);
        let mut asks = Vec::new();
        for _ in 0..count {
            let number = cx.publish(channel, self.user);
            let padding = "x".repeat(self.prng.below(60) as usize);
            let body = format!("{{\"n\":[{number},{line}],\"x\":\"{padding}\"}}");
            let data = RawData { bytes: body.into_bytes().into(), is_json: true };
            let request = Request::Publish { channel: channel.into(), data };
            asks.push((request, PendingCommand::Publish(number)));
        }
        self.ask(cx, asks);
    }

    fn subscribe(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        let mut place = self.reading(channel).place().filter(|_| self.prng.percent(75));
        if self.prng.percent(10)
            && let Some(place) = &mut place
        {
            place.offset = place.offset.saturating_sub(self.prng.below(4));
        }
        let now_s = cx.now.unix_ms / 1_000;
        let token = if channel.starts_with("vip") || self.prng.percent(10) {
            let expires_at_unix_s = self.prng.percent(50).then(|| now_s + 1);
            token(&NewToken { channel: Some(channel), expires_at_unix_s, ..self.identity() })
        } else {
            String::new()
        };
        let plain = SubscribeRequest { channel: channel.into(), ..SubscribeRequest::default() };
        let (positioned, recoverable) = (self.prng.percent(50), self.prng.percent(50));
        let member_events =
            if self.prng.percent(50) { MemberEvents::Members } else { MemberEvents::Messages };
        let request = SubscribeRequest {
            token: token.into(),
            positioned,
            recoverable,
            join_leave: member_events == MemberEvents::Members,
            ..place.as_ref().map_or(plain, |place| recovery(channel, place))
        };
        let before = cx.oracle.before(channel);
        let asked =
            PendingCommand::Subscribe(channel.to_owned(), place.clone(), before, member_events);
        self.ask(cx, vec![(Request::Subscribe(request), asked)]);
    }

    fn unsubscribe(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        let asked = PendingCommand::Unsubscribe(channel.to_owned());
        let request = Request::Unsubscribe { channel: channel.into() };
        self.ask(cx, vec![(request, asked)]);
    }

    fn look(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        let place: Option<Place> = self.reading(channel).place();
        let ask = match self.prng.below(4) {
            0 => (who_is_in(channel), PendingCommand::Presence(channel.to_owned())),
            1 => (Request::PresenceStats { channel: channel.into() }, PendingCommand::Other),
            2 => (Request::Ping, PendingCommand::Other),
            _ => {
                let request = HistoryRequest {
                    channel: channel.into(),
                    limit: self.prng.below(20) as i32 - 1,
                    since: place.map(|place| (place.offset, place.epoch.into())),
                    reverse: self.prng.percent(50),
                };
                let before = cx.oracle.before(channel);
                (Request::History(request), PendingCommand::History(channel.to_owned(), before))
            }
        };
        self.ask(cx, vec![ask]);
    }

    fn type_in(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        let text = format!("{{\"channel\":\"{channel}\"}}");
        let request = if self.prng.percent(50) {
            let data = RawData { bytes: text.into_bytes().into(), is_json: true };
            Request::Rpc { method: "chat.typing".into(), data }
        } else {
            let call = format!("{{\"method\":\"chat.typing\",\"data\":{text}}}");
            Request::Send { data: RawData { bytes: call.into_bytes().into(), is_json: true } }
        };
        self.ask(cx, vec![(request, PendingCommand::Other)]);
    }

    fn err(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        let data = || RawData { bytes: b"1"[..].into(), is_json: true };
        let request = match self.prng.below(5) {
            0 => Request::Unknown,
            1 => Request::Rpc { method: "chat.none".into(), data: data() },
            2 => Request::Presence { channel: "none:1".into() },
            3 => Request::SubRefresh { channel: channel.into(), token: "no token".into() },
            _ => Request::Rpc { method: "none".into(), data: data() },
        };
        self.ask(cx, vec![(request, PendingCommand::Other)]);
    }

    /// A publish and a subscribe that share an id, and another subscribe behind.
    fn repeat_id(&mut self, channel: &'static str, cx: &mut ClientContext<'_>) {
        self.publish(channel, 1, cx);
        let Some(line) = &mut self.line else { return };
        let id = line.next_id - 1;
        let before = cx.oracle.before(channel);
        line.answers.asked(
            id,
            PendingCommand::Subscribe(channel.to_owned(), None, before, MemberEvents::Messages),
        );
        let plain = SubscribeRequest { channel: channel.into(), ..SubscribeRequest::default() };
        self.send(cx, &frame(self.encoding, &[(id, Request::Subscribe(plain))]));
        if self.prng.percent(70) {
            self.subscribe(channel, cx);
        }
    }

    fn soil(&mut self) {
        if let Some(line) = &mut self.line {
            line.dirty = true;
        }
    }
}
