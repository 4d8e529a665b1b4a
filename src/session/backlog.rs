//! Commands that wait for an answer that is under way, so that what a client says
//! about a channel takes effect in the order in which it was said.
//!
//! Behind `connect` everything waits. Behind a subscribe only what is about the same
//! channel does: what concerns other channels, or none, is served at once. Where it was
//! refused with 111, what is not allowed without it is, too.
//!
//! Invariants: a channel has a backlog only while its subscription is asked for; all
//! backlogs of a session together keep within `HELD_COUNT_MAX`, and, but for a single
//! command, within `HELD_BYTES_MAX`.

use std::borrow::Cow;

use bytes::BytesMut;

use super::names::conversation;
use super::outcome::Refusal;
use super::requests::{namespace, unpublished};
use super::state::{Context, State};
use super::subs::Stage;
use super::target::Done;
use super::{Effect, Outcome, Session};
use crate::base::RoomId;
use crate::base::limits::{COMMANDS_PER_MESSAGE_MAX, HELD_BYTES_MAX, HELD_COUNT_MAX, PUT_OFF_MAX};
use crate::wire::chat::{self, Method, Verb};
use crate::wire::{self, Command, Encoding, ErrorCode, Request, SubscribeRequest, client};

const _: () = assert!(HELD_COUNT_MAX <= COMMANDS_PER_MESSAGE_MAX, "a backlog is read as a message");

/// Commands in the order in which they came, encoded again: what they borrowed from is
/// gone when they are served.
#[derive(Debug, Default)]
pub struct Backlog {
    commands: BytesMut,
    count: usize,
}

/// The backlogs of a session, by room.
#[derive(Debug, Default)]
pub struct Backlogs(Vec<(RoomId, Backlog)>);

/// Commands that waited and are served now.
#[derive(Debug)]
pub struct HeldCommands {
    backlog: Backlog,
    /// The room that all of them are about, unless they waited for `connect`.
    room: Option<RoomId>,
    behind: Behind,
}

/// A subscription that was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// What was waited for went well, or failed for good.
    Settled,
    /// The subscribe was refused with this code, which passes; so does what would be
    /// allowed if it had been served.
    Passing(ErrorCode),
}

impl Backlog {
    /// One command more, if the limits allow it.
    pub fn push(&mut self, encoding: Encoding, command: &Command<'_>) -> Result<(), ErrorCode> {
        self.push_beside(Totals::default(), encoding, command)
    }

    /// The commands, as one message of the client.
    #[cfg(test)]
    pub fn into_message(self) -> BytesMut {
        self.commands
    }

    /// Without the first commands, which take so many bytes.
    fn behind(mut self, read_bytes: usize, count: usize) -> Backlog {
        Backlog { commands: self.commands.split_off(read_bytes), count: self.count - count }
    }

    /// All of them waited for `connect`, which went well.
    pub fn behind_connect(self) -> HeldCommands {
        HeldCommands { backlog: self, room: None, behind: Behind::Settled }
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn push_beside(
        &mut self,
        others: Totals,
        encoding: Encoding,
        command: &Command<'_>,
    ) -> Result<(), ErrorCode> {
        let before = self.commands.len();
        if 0 < before {
            wire::separate(encoding, &mut self.commands);
        }
        client::put_command(encoding, command.id, &command.request, &mut self.commands);
        let count = others.count + self.count;
        let too_long = HELD_BYTES_MAX < others.bytes + self.commands.len() && 0 < count;
        if HELD_COUNT_MAX <= count || too_long {
            self.commands.truncate(before);
            return Err(ErrorCode::TooManyRequests);
        }
        self.count += 1;
        Ok(())
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    count: usize,
    bytes: usize,
}

impl HeldCommands {
    /// The commands, as one message of the client.
    pub fn message(&self) -> &[u8] {
        &self.backlog.commands
    }
}

impl Backlogs {
    /// True when nothing waits for any room.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The server asks this room for a subscription, and what the client says about it
    /// will wait.
    pub fn open(&mut self, room: RoomId) {
        self.0.push((room, Backlog::default()));
    }

    /// What waits for this room's answer, which is there now.
    pub fn take(&mut self, room: RoomId) -> Option<Backlog> {
        let index = self.0.iter().position(|(other, _)| *other == room)?;
        Some(self.0.swap_remove(index).1)
    }

    /// What waited for a room and waits for it once more, in the order in which it came.
    fn put_back(&mut self, room: RoomId, rest: Backlog) {
        let earlier = self.take(room).unwrap_or_default();
        assert!(earlier.is_empty(), "what waited for a room goes before what comes later");
        self.0.push((room, rest));
    }

    fn push(
        &mut self,
        room: RoomId,
        encoding: Encoding,
        command: &Command<'_>,
    ) -> Result<(), ErrorCode> {
        let others = self.0.iter().filter(|(other, _)| *other != room);
        let others = others.fold(Totals::default(), |sum, (_, one)| Totals {
            count: sum.count + one.count,
            bytes: sum.bytes + one.commands.len(),
        });
        let index = self.0.iter().position(|(other, _)| *other == room);
        match index {
            Some(index) => self.0[index].1.push_beside(others, encoding, command),
            None => {
                let mut fresh = Backlog::default();
                fresh.push_beside(others, encoding, command)?;
                self.0.push((room, fresh));
                Ok(())
            }
        }
    }
}

/// Channels whose subscribe was refused with 111, since then: what is not allowed without
/// the subscription passes as well.
#[derive(Debug, Default)]
pub struct PutOff(Vec<RoomId>);

impl PutOff {
    /// One more; over the limit the oldest is forgotten.
    pub fn insert(&mut self, room: RoomId) {
        self.remove(room);
        if PUT_OFF_MAX <= self.0.len() {
            self.0.remove(0);
        }
        self.0.push(room);
    }

    /// It was asked again, or given up.
    pub fn remove(&mut self, room: RoomId) {
        self.0.retain(|other| *other != room);
    }

    /// Whether it is one of them.
    pub fn contains(&self, room: RoomId) -> bool {
        self.0.contains(&room)
    }

    /// True when none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Session {
    /// A command that is within the quota: it is served now, or waits for the room that
    /// it is about.
    pub(super) fn take_up(
        &mut self,
        cx: &mut Context<'_>,
        command: Command<'_>,
        out: &mut Outcome,
    ) -> Result<(), Refusal> {
        let done = match self.waits_for(cx, &command.request) {
            None => {
                let done = self.on_request(cx, command.id, &command.request, out);
                self.weigh(cx, &command.request, done)
            }
            Some(room) => self.hold(room, &command, out.encoding),
        };
        if let (Request::Publish { channel, .. }, Err(refusal)) = (&command.request, done) {
            let chat_type = cx.rooms.chat_type(namespace(cx, channel));
            out.unpublished.push((chat_type, unpublished(refusal.code())));
        }
        done
    }

    fn hold(&mut self, room: RoomId, command: &Command<'_>, encoding: Encoding) -> Done {
        let State::Ready(peer) = &mut self.state else { return Ok(()) };
        Ok(peer.backlogs_mut().push(room, encoding, command)?)
    }

    /// Notes what a subscribe came to. Behind one that was put off, what is not allowed is
    /// put off, too, until that is asked again or given up.
    fn weigh(&mut self, cx: &Context<'_>, request: &Request<'_>, done: Done) -> Done {
        match (request, done) {
            (Request::Subscribe(SubscribeRequest { channel, .. }), _) => {
                self.forget_put_off(cx, channel);
                if done == Err(Refusal::Code(ErrorCode::TooManyRequests)) {
                    self.note_put_off(cx, channel);
                }
            }
            (Request::Unsubscribe { channel }, Ok(())) => self.forget_put_off(cx, channel),
            (request, Err(Refusal::Code(ErrorCode::PermissionDenied)))
                if self.is_put_off(cx, request) =>
            {
                return Err(ErrorCode::TooManyRequests.into());
            }
            (_, Ok(()) | Err(_)) => {}
        }
        done
    }

    /// A subscribe to this channel was refused with 111 at once.
    pub(super) fn note_put_off(&mut self, cx: &Context<'_>, channel: &str) {
        if let State::Ready(peer) = &mut self.state {
            let room = cx.names.room(peer.tenant(), channel);
            peer.put_off_mut().insert(room);
        }
    }

    fn forget_put_off(&mut self, cx: &Context<'_>, channel: &str) {
        if let State::Ready(peer) = &mut self.state
            && peer.put_off().is_some()
        {
            let room = cx.names.room(peer.tenant(), channel);
            peer.forget_put_off(room);
        }
    }

    /// Whether it is about a channel whose subscribe was put off, and nothing came of it.
    fn is_put_off(&self, cx: &Context<'_>, request: &Request<'_>) -> bool {
        let State::Ready(peer) = &self.state else { return false };
        let Some(put_off) = peer.put_off() else { return false };
        let Some(channel) = channel_of(request, &peer.info.user) else { return false };
        let room = cx.names.room(peer.tenant(), &channel);
        put_off.contains(room) && self.subs.at(room).is_none()
    }

    /// What was waited for is there: the commands behind it are served, at most so many of
    /// them now. How many it were, and what is left. They were counted when they came.
    ///
    /// When one of them makes the server ask the same room again, all behind it wait again,
    /// as they are: a thousand that subscribe and unsubscribe in turn are read once each,
    /// and not a thousand times.
    pub fn resume(
        &mut self,
        cx: &mut Context<'_>,
        held: HeldCommands,
        count_max: usize,
        out: &mut Outcome,
    ) -> (usize, Option<HeldCommands>) {
        let HeldCommands { mut backlog, room, behind } = held;
        let mut commands = wire::commands(out.encoding, &backlog.commands);
        let mut served_count = 0;
        loop {
            let read_bytes = commands.read_bytes();
            if served_count == backlog.count {
                return (served_count, None);
            }
            if served_count == count_max {
                let backlog = backlog.behind(read_bytes, served_count);
                return (served_count, Some(HeldCommands { backlog, room, behind }));
            }
            let Some(Ok(command)) = commands.next() else {
                debug_assert!(false, "what was a command is one");
                return (served_count, None);
            };
            if room.is_some() && self.waits_for(cx, &command.request) == room {
                backlog = backlog.behind(read_bytes, served_count);
                break;
            }
            let id = command.id;
            match (self.take_up(cx, command, out), behind) {
                (Ok(()), _) => (),
                (Err(Refusal::Code(ErrorCode::PermissionDenied)), Behind::Passing(code)) => {
                    self.refuse(cx, id, code, out);
                }
                (Err(refusal), _) => self.refuse(cx, id, refusal, out),
            }
            served_count += 1;
            if out.is_closing() {
                return (served_count, None);
            }
        }
        if let (State::Ready(peer), Some(room)) = (&mut self.state, room) {
            peer.backlogs_mut().put_back(room, backlog);
        }
        (served_count, None)
    }

    /// The room has answered: what waits for it follows, behind all that its answer
    /// leads to.
    pub(super) fn settle(&mut self, room: RoomId, behind: Behind, out: &mut Outcome) {
        let State::Ready(peer) = &mut self.state else { return };
        if let Some(backlog) = peer.take_backlog(room).filter(|backlog| !backlog.is_empty()) {
            out.effects.push(Effect::Resume(HeldCommands { backlog, room: Some(room), behind }));
        }
    }

    /// The room that has to answer a subscribe before this can be served.
    fn waits_for(&self, cx: &Context<'_>, request: &Request<'_>) -> Option<RoomId> {
        let State::Ready(peer) = &self.state else { return None };
        // A client's subscribe is a question with an id; the server's has a backlog.
        if !self.is_unanswered() && !peer.has_backlogs() {
            return None;
        }
        let channel = channel_of(request, &peer.info.user)?;
        let room = cx.names.room(peer.tenant(), &channel);
        let sub = self.subs.at(room)?;
        matches!(&sub.stage, Stage::Asked(_)).then_some(room)
    }
}

/// The channel that a request is about.
fn channel_of<'r>(request: &'r Request<'_>, user: &str) -> Option<Cow<'r, str>> {
    match request {
        Request::Subscribe(request) => Some(Cow::Borrowed(&request.channel)),
        Request::History(request) => Some(Cow::Borrowed(&request.channel)),
        Request::Unsubscribe { channel }
        | Request::Publish { channel, .. }
        | Request::Presence { channel }
        | Request::PresenceStats { channel }
        | Request::SubRefresh { channel, .. } => Some(Cow::Borrowed(channel)),
        Request::Rpc { method, data } => channel_of_method(method, &data.bytes, user),
        Request::Send { data } => {
            let (method, data) = chat::call(&data.bytes)?;
            channel_of_method(&method, data, user)
        }
        Request::Connect(_)
        | Request::Ping
        | Request::Refresh { .. }
        | Request::Pong
        | Request::Unknown => None,
    }
}

fn channel_of_method<'r>(method: &str, data: &'r [u8], user: &str) -> Option<Cow<'r, str>> {
    let method = Method::named(method.strip_prefix(super::requests::CHAT_PREFIX)?)?;
    match method.read(data).ok()? {
        Verb::Publish { channel, .. }
        | Verb::Ack { channel, .. }
        | Verb::Read { channel, .. }
        | Verb::Receipts { channel, .. }
        | Verb::Members { channel, .. }
        | Verb::Typing { channel }
        | Verb::Retract { channel, .. } => Some(channel),
        Verb::Send { to, .. } => conversation(user, &to).map(Cow::Owned),
        Verb::Rooms { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: RoomId = RoomId(7);

    fn publish(id: u32, bytes: usize) -> Command<'static> {
        let data = wire::RawData { bytes: vec![b'1'; bytes].into(), is_json: true };
        Command { id, request: Request::Publish { channel: "room:1".into(), data } }
    }

    fn ids(encoding: Encoding, backlog: Backlog) -> Vec<u32> {
        let message = backlog.into_message();
        wire::commands(encoding, &message).map(|command| command.unwrap().id).collect()
    }

    #[test]
    fn commands_come_out_as_they_went_in_and_by_room() {
        for encoding in Encoding::ALL {
            let mut all = Backlogs::default();
            for id in 1..=9 {
                all.push(RoomId(u128::from(id % 2)), encoding, &publish(id, 3)).unwrap();
            }
            assert_eq!(ids(encoding, all.take(RoomId(1)).unwrap()), [1, 3, 5, 7, 9]);
            assert!(all.take(RoomId(1)).is_none());
            assert_eq!(ids(encoding, all.take(RoomId(0)).unwrap()), [2, 4, 6, 8]);
            assert!(all.is_empty());
        }
    }

    #[test]
    fn their_count_is_limited_for_all_rooms_together() {
        let mut all = Backlogs::default();
        for id in 0..HELD_COUNT_MAX as u32 {
            let room = RoomId(u128::from(id % 5));
            all.push(room, Encoding::Protobuf, &publish(id, 1)).unwrap();
        }
        for room in [RoomId(3), RoomId(9)] {
            let refused = all.push(room, Encoding::Protobuf, &publish(1, 1));
            assert_eq!(refused, Err(ErrorCode::TooManyRequests));
        }
        all.take(RoomId(3)).unwrap();
        assert_eq!(all.push(RoomId(9), Encoding::Protobuf, &publish(1, 1)), Ok(()));
    }

    #[test]
    fn their_bytes_are_limited_and_one_always_fits() {
        for encoding in Encoding::ALL {
            let mut all = Backlogs::default();
            assert_eq!(all.push(ROOM, encoding, &publish(1, HELD_BYTES_MAX + 1)), Ok(()));
            let refused = Err(ErrorCode::TooManyRequests);
            assert_eq!(all.push(ROOM, encoding, &publish(2, 1)), refused);
            assert_eq!(all.push(RoomId(8), encoding, &publish(3, 1)), refused);
            assert_eq!(ids(encoding, all.take(ROOM).unwrap()), [1], "what is refused is not there");
        }
    }
}
