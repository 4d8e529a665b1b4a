//! Histories of several channels that a client asked for at once, until the last room has
//! answered.
//!
//! Invariants: each room of one of them answers once, and it is answered when all have; all
//! pages of one keep within what one history may have, but for a single page.
//!
//! Deliberately absent: who may read what (`histories`).

use std::sync::Arc;

use crate::base::RoomId;
use crate::base::limits::{HISTORY_ANSWER_BYTES_MAX, HISTORY_ANSWER_MAX, PENDING_HISTORIES_MAX};
use crate::room::RoomReply;
use crate::wire::chat::{self, HistoryPart};
use crate::wire::{ErrorCode, Payload, Position, Publication};

/// The histories of one peer that rooms have yet to answer.
#[derive(Debug, Default)]
pub struct PendingHistories(Vec<PendingHistory>);

/// A history of several channels.
#[derive(Debug)]
pub struct PendingHistory {
    id: u32,
    pages: Vec<ChannelPage>,
    /// Messages of all pages that are held, and what they cost.
    count: usize,
    bytes: usize,
    /// What those cost that have no place in the answer.
    dropped_bytes: usize,
}

/// The data that a history of several channels is answered with, whoever asked; in their order.
pub fn histories_data<'a>(
    channels: impl IntoIterator<Item = (&'a str, Result<&'a RoomReply, ErrorCode>)>,
) -> Payload {
    let mut all = PendingHistory::new(0);
    for (index, (channel, asked)) in channels.into_iter().enumerate() {
        match asked {
            Err(code) => all.refuses(channel, code),
            Ok(reply) => {
                // Each has a room of its own, and only which it is counts here.
                let room = RoomId(index as u128);
                all.asks(channel, room);
                if all.take(room, reply.clone()).is_some() {
                    all.pages[index].state = PageState::Refused(ErrorCode::Internal);
                }
            }
        }
    }
    all.answer().0
}

/// What is known of one channel.
#[derive(Debug)]
struct ChannelPage {
    channel: Box<str>,
    state: PageState,
}

#[derive(Debug)]
enum PageState {
    Asked(RoomId),
    Page(Vec<Arc<Publication>>, Position),
    Refused(ErrorCode),
    Truncated,
}

/// What a room's answer is to the histories.
#[derive(Debug)]
pub enum TakenPage {
    /// It is no page of any of them.
    Foreign(RoomReply),
    /// It is a page of one, and others are to come.
    Incomplete,
    /// It is the last page of one: the answer, and the bytes of messages that have no place in it.
    Complete(Payload, usize),
}

impl PendingHistories {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the messages cost that their answers will have.
    pub fn held_bytes(&self) -> usize {
        self.0.iter().map(|one| one.bytes).sum()
    }

    /// Whether there are as many as may be.
    pub fn is_full(&self) -> bool {
        PENDING_HISTORIES_MAX <= self.0.len()
    }

    /// Adds one, of which a room at least is asked.
    pub fn push(&mut self, pending: PendingHistory) {
        assert!(pending.is_asked(), "what nobody answers is answered at once");
        self.0.push(pending);
    }

    /// A room answers command `id`.
    pub fn take(&mut self, room: RoomId, id: u32, reply: RoomReply) -> TakenPage {
        let asked = |one: &PendingHistory| one.id == id && one.place_of(room).is_some();
        let Some(index) = self.0.iter().position(asked) else { return TakenPage::Foreign(reply) };
        if let Some(reply) = self.0[index].take(room, reply) {
            return TakenPage::Foreign(reply);
        }
        if self.0[index].is_asked() {
            return TakenPage::Incomplete;
        }
        let (answer, dropped_bytes) = self.0.swap_remove(index).answer();
        TakenPage::Complete(answer, dropped_bytes)
    }
}

impl PendingHistory {
    /// The history of command `id`, with no channel yet.
    pub fn new(id: u32) -> PendingHistory {
        PendingHistory { id, pages: Vec::new(), count: 0, bytes: 0, dropped_bytes: 0 }
    }

    /// Adds a channel, whose room is asked.
    pub fn asks(&mut self, channel: &str, room: RoomId) {
        self.pages.push(ChannelPage { channel: channel.into(), state: PageState::Asked(room) });
    }

    /// Adds a channel, whose history the client can not have.
    pub fn refuses(&mut self, channel: &str, code: ErrorCode) {
        self.pages.push(ChannelPage { channel: channel.into(), state: PageState::Refused(code) });
    }

    /// Whether a room has yet to answer.
    pub fn is_asked(&self) -> bool {
        self.pages.iter().any(|page| matches!(page.state, PageState::Asked(_)))
    }

    fn place_of(&self, room: RoomId) -> Option<usize> {
        let asked = |page: &ChannelPage| matches!(page.state, PageState::Asked(of) if of == room);
        self.pages.iter().position(asked)
    }

    /// A room answers. An answer to another question comes back: a client may use the id of
    /// a command twice.
    fn take(&mut self, room: RoomId, reply: RoomReply) -> Option<RoomReply> {
        let state = if let RoomReply::History(publications, position) = reply {
            self.page(publications, position)
        } else if let RoomReply::Rejected(code) = reply {
            PageState::Refused(code)
        } else {
            return Some(reply);
        };
        let place = self.place_of(room).expect("only who was asked answers");
        self.pages[place].state = state;
        None
    }

    /// A page, as far as it has room beside those that came before.
    fn page(&mut self, publications: Vec<Arc<Publication>>, position: Position) -> PageState {
        let bytes = publications.iter().map(|one| one.cost_bytes()).sum::<usize>();
        let count = self.count + publications.len();
        let is_over =
            (HISTORY_ANSWER_MAX as usize) < count || HISTORY_ANSWER_BYTES_MAX < self.bytes + bytes;
        if is_over && self.count != 0 && !publications.is_empty() {
            self.dropped_bytes += bytes;
            return PageState::Truncated;
        }
        (self.count, self.bytes) = (count, self.bytes + bytes);
        PageState::Page(publications, position)
    }

    /// The answer, when all rooms have given theirs, and what those messages cost that have
    /// no place in it.
    pub fn answer(&self) -> (Payload, usize) {
        let parts = self.pages.iter().map(|page| {
            let part = match &page.state {
                PageState::Page(publications, position) => {
                    HistoryPart::Page(publications, *position)
                }
                PageState::Refused(code) => HistoryPart::Refused(*code),
                PageState::Truncated => HistoryPart::Truncated,
                PageState::Asked(_) => unreachable!("all have answered"),
            };
            (&*page.channel, part)
        });
        (chat::histories(parts), self.dropped_bytes)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::Value;

    use super::*;
    use crate::wire::Epoch;

    fn page(count: usize, bytes: usize) -> RoomReply {
        let text = format!("\"{}\"", "x".repeat(bytes));
        let data = Payload { bytes: Bytes::from(text), is_json: true };
        let one = Publication {
            offset: 1,
            data,
            info: None,
            chan_info: None,
            tags: Vec::new(),
            time_unix_ms: 0,
            trace: None,
        };
        let position = Position { offset: 1, epoch: Epoch(7) };
        RoomReply::History((0..count).map(|_| Arc::new(one.clone())).collect(), position)
    }

    /// Of command 5, with rooms 1 to `rooms`.
    fn pending(rooms: u128) -> PendingHistories {
        let mut one = PendingHistory::new(5);
        (1..=rooms).for_each(|room| one.asks(&format!("c{room}"), RoomId(room)));
        let mut all = PendingHistories::default();
        all.push(one);
        all
    }

    fn parts(answer: &Payload) -> Vec<(String, bool)> {
        let answer: Value = serde_json::from_slice(&answer.bytes).unwrap();
        let parts = answer["channels"].as_array().unwrap().iter();
        let shown = parts.map(|one| {
            (one["channel"].as_str().unwrap().to_owned(), one["truncated"] == Value::Bool(true))
        });
        shown.collect()
    }

    #[test]
    fn an_answer_waits_for_all_rooms_and_keeps_the_order_of_the_request() {
        let mut all = pending(3);
        assert!(matches!(all.take(RoomId(3), 5, page(1, 1)), TakenPage::Incomplete));
        let refused = RoomReply::Rejected(ErrorCode::TooManyRequests);
        assert!(matches!(all.take(RoomId(1), 5, refused), TakenPage::Incomplete));
        for (room, id, reply) in [
            (RoomId(3), 5, page(1, 1)),
            (RoomId(2), 6, page(1, 1)),
            (RoomId(2), 5, RoomReply::Done),
        ] {
            assert!(matches!(all.take(room, id, reply), TakenPage::Foreign(_)));
        }
        let TakenPage::Complete(answer, 0) = all.take(RoomId(2), 5, page(0, 0)) else { panic!() };
        let names: Vec<String> = parts(&answer).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["c1", "c2", "c3"]);
        assert!(all.is_empty());
    }

    #[test]
    fn what_one_answer_cannot_hold_is_named() {
        let half = HISTORY_ANSWER_BYTES_MAX / 2;
        let mut all = pending(4);
        all.take(RoomId(1), 5, page(1, HISTORY_ANSWER_BYTES_MAX));
        all.take(RoomId(2), 5, page(0, 0));
        all.take(RoomId(3), 5, page(1, 10));
        let TakenPage::Complete(answer, dropped) = all.take(RoomId(4), 5, page(1, half)) else {
            panic!()
        };
        let truncated: Vec<bool> = parts(&answer).into_iter().map(|(_, is)| is).collect();
        assert_eq!(truncated, [false, false, true, true]);
        assert!(half < dropped && dropped < HISTORY_ANSWER_BYTES_MAX);
        let mut all = pending(2);
        all.take(RoomId(1), 5, page(HISTORY_ANSWER_MAX as usize, 1));
        let TakenPage::Complete(answer, _) = all.take(RoomId(2), 5, page(1, 1)) else { panic!() };
        assert_eq!(parts(&answer)[1], ("c2".to_owned(), true));
    }
}
