//! Commands that wait for the answer of a room, so that the commands of a client about a channel
//! take effect in their order.
//!
//! Invariants: a channel has a backlog only while its subscribe is unanswered; all backlogs of a
//! session together stay within `HELD_COUNT_MAX`, and, except for a single command, within
//! `HELD_BYTES_MAX`.
//!
//! Deliberately absent: the choice of commands that wait (`command_order`), and serving them
//! (`machine`).

use bytes::BytesMut;

use crate::base::RoomId;
use crate::base::limits::{
    COMMANDS_PER_MESSAGE_MAX, DEFERRED_SUBSCRIBES_MAX, HELD_BYTES_MAX, HELD_COUNT_MAX,
};
use crate::wire::{self, Command, Encoding, ErrorCode, client};

const _: () = assert!(HELD_COUNT_MAX <= COMMANDS_PER_MESSAGE_MAX, "a backlog is read as a message");

/// Commands in their order, encoded again, because the buffer that they borrowed from is gone when
/// they are served.
#[derive(Debug, Default)]
pub struct Backlog {
    commands: BytesMut,
    count: usize,
}

/// The backlogs of a session, by room.
#[derive(Debug, Default)]
pub struct Backlogs(Vec<(RoomId, Backlog)>);

/// Commands that have waited, to be served now.
#[derive(Debug)]
pub struct HeldCommands {
    backlog: Backlog,
    /// The room that all of them are about, unless they waited for `connect`.
    room: Option<RoomId>,
    outcome: SubscribeOutcome,
}

/// The result of serving a held command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeldServed {
    /// It was served; the next one follows.
    Next,
    /// It was served, and ended the session.
    Ends,
    /// It waits for its room again, and so do all after it.
    WaitsAgain,
}

/// The rest of held commands.
#[derive(Debug)]
pub enum Remaining {
    /// Nothing.
    None,
    /// These are served in a later turn.
    Later(HeldCommands),
    /// These wait for this room again.
    Again(RoomId, Backlog),
}

/// A subscription that was refused, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscribeOutcome {
    /// The subscribe succeeded, or failed permanently.
    Settled,
    /// The subscribe was refused with this temporary code, and so are commands that depend on it.
    Passing(ErrorCode),
}

impl SubscribeOutcome {
    /// Of a subscribe that was refused with this code.
    pub fn refused(code: ErrorCode) -> SubscribeOutcome {
        if code.parts().2 { SubscribeOutcome::Passing(code) } else { SubscribeOutcome::Settled }
    }
}

impl Backlog {
    /// Adds a command, if the limits allow it.
    pub fn push(&mut self, encoding: Encoding, command: &Command<'_>) -> Result<(), ErrorCode> {
        self.push_within(Totals::default(), encoding, command)
    }

    /// Bytes of the commands.
    pub fn bytes(&self) -> usize {
        self.commands.len()
    }

    /// The commands, as one message of the client.
    pub fn into_message(self) -> BytesMut {
        self.commands
    }

    /// Removes the first commands, which take so many bytes.
    fn without_first(mut self, read_bytes: usize, count: usize) -> Backlog {
        Backlog { commands: self.commands.split_off(read_bytes), count: self.count - count }
    }

    /// Adds commands that come later.
    fn followed_by(mut self, encoding: Encoding, later: Backlog) -> Backlog {
        if self.is_empty() || later.is_empty() {
            return if self.is_empty() { later } else { self };
        }
        wire::separate(encoding, &mut self.commands);
        self.commands.extend_from_slice(&later.commands);
        self.count += later.count;
        // What waits was counted together when it came, so it can be read as a message.
        assert!(self.count <= HELD_COUNT_MAX, "{} commands wait for a room", self.count);
        self
    }

    /// They waited for `connect`, which has succeeded.
    pub fn after_connect(self) -> HeldCommands {
        HeldCommands { backlog: self, room: None, outcome: SubscribeOutcome::Settled }
    }

    /// True when none is left.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn push_within(
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
    /// The commands that waited for a room's answer, with its result.
    pub fn after_room(backlog: Backlog, room: RoomId, outcome: SubscribeOutcome) -> HeldCommands {
        HeldCommands { backlog, room: Some(room), outcome }
    }

    /// Serves the commands one by one, at most so many. Returns how many were served, and the rest.
    pub fn serve(
        self,
        encoding: Encoding,
        count_max: usize,
        mut serve: impl FnMut(Command<'_>, Option<RoomId>, SubscribeOutcome) -> HeldServed,
    ) -> (usize, Remaining) {
        let HeldCommands { backlog, room, outcome } = self;
        let mut commands = wire::commands(encoding, &backlog.commands);
        let mut served_count = 0;
        loop {
            let read_bytes = commands.read_bytes();
            if served_count == backlog.count {
                return (served_count, Remaining::None);
            }
            if served_count == count_max {
                let backlog = backlog.without_first(read_bytes, served_count);
                return (served_count, Remaining::Later(HeldCommands { backlog, room, outcome }));
            }
            let Some(Ok(command)) = commands.next() else {
                debug_assert!(false, "what was a command is one");
                return (served_count, Remaining::None);
            };
            match (serve(command, room, outcome), room) {
                (HeldServed::Next, _) => served_count += 1,
                (HeldServed::Ends, _) => return (served_count + 1, Remaining::None),
                (HeldServed::WaitsAgain, Some(room)) => {
                    let backlog = backlog.without_first(read_bytes, served_count);
                    return (served_count, Remaining::Again(room, backlog));
                }
                (HeldServed::WaitsAgain, None) => unreachable!("it waits for a room"),
            }
        }
    }

    /// The commands, as one message of the client.
    pub fn message(&self) -> &[u8] {
        &self.backlog.commands
    }
}

impl Backlogs {
    /// True when no command waits for any room.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The server asks this room for a subscription: commands of the client about it will wait.
    pub fn open(&mut self, room: RoomId) {
        self.0.push((room, Backlog::default()));
    }

    /// Takes the commands that wait for this room, which has answered.
    pub fn take(&mut self, room: RoomId) -> Option<Backlog> {
        let index = self.0.iter().position(|(other, _)| *other == room)?;
        Some(self.0.swap_remove(index).1)
    }

    /// Puts back commands that wait for a room again, in their order. What waits for the room
    /// already came there later: a history of several channels may, which had waited for another
    /// of them.
    pub fn put_back(&mut self, room: RoomId, encoding: Encoding, rest: Backlog) {
        let later = self.take(room).unwrap_or_default();
        self.0.push((room, rest.followed_by(encoding, later)));
    }

    /// Adds a command that waits for a room, if the limits allow it.
    pub fn push(
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
            Some(index) => self.0[index].1.push_within(others, encoding, command),
            None => {
                let mut fresh = Backlog::default();
                fresh.push_within(others, encoding, command)?;
                self.0.push((room, fresh));
                Ok(())
            }
        }
    }
}

/// Channels whose last subscribe was refused with 111: commands that need the subscription are
/// refused as temporary, too.
#[derive(Debug, Default)]
pub struct DeferredSubscribes(Vec<RoomId>);

impl DeferredSubscribes {
    /// Adds a channel; beyond the limit the oldest is removed.
    pub fn insert(&mut self, room: RoomId) {
        self.remove(room);
        if DEFERRED_SUBSCRIBES_MAX <= self.0.len() {
            self.0.remove(0);
        }
        self.0.push(room);
    }

    /// Removes a channel that was subscribed again, or unsubscribed.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{RawData, Request};

    const ROOM: RoomId = RoomId(7);

    fn publish(id: u32, bytes: usize) -> Command<'static> {
        let data = RawData { bytes: vec![b'1'; bytes].into(), is_json: true };
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
    fn what_waits_again_goes_before_what_came_later() {
        for encoding in Encoding::ALL {
            let mut all = Backlogs::default();
            let rest = |all: &mut Backlogs, range: std::ops::Range<u32>| {
                range.for_each(|id| all.push(ROOM, encoding, &publish(id, 3)).unwrap());
                all.take(ROOM).unwrap()
            };
            let first = rest(&mut all, 1..3);
            let later = rest(&mut all, 3..5);
            all.put_back(ROOM, encoding, later);
            all.put_back(ROOM, encoding, first);
            assert_eq!(ids(encoding, all.take(ROOM).unwrap()), [1, 2, 3, 4]);
            let only = rest(&mut all, 5..6);
            all.put_back(ROOM, encoding, only);
            assert_eq!(ids(encoding, all.take(ROOM).unwrap()), [5]);
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
