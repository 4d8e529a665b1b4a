//! The order in which direct messages are sent to a personal channel.
//!
//! An acknowledgement covers all earlier messages of its conversation, so those of one
//! conversation are sent in their order: while something that waits in the store is not sent,
//! what comes after it is not sent either.
//!
//! Deliberately absent: asking the store, and sending (`inbox`).

use std::mem;

use super::messages::DirectMessage;
use crate::base::RoomId;
use crate::store::{PendingMessage, RequestId};

/// Messages that are held; of others, what waits is asked for again, and copies are not sent.
const HELD_COUNT_MAX: usize = 16;

/// Their bytes, as a message costs; a single one may have more.
const HELD_BYTES_MAX: usize = 64 << 10;

/// A place in the order in which the store gives what waits for a user: behind this message, or
/// before all of them.
pub(super) type PendingPosition = Option<(RoomId, u64)>;

/// What was sent of what waits, and what is held until the rest was.
#[derive(Debug, Default)]
pub(super) struct InboxOrder {
    /// What the store is asked, unless it is asked nothing.
    query: Option<Query>,
    /// All that waits up to this position was sent to all who are here; what waits behind it may
    /// not have been. `None` when everything was, and then nothing is held.
    unsent_after: Option<PendingPosition>,
    /// Where the next look for what is overdue begins.
    overdue_after: PendingPosition,
    /// In the order in which they came.
    held: Vec<(DirectKind, DirectMessage)>,
}

/// What a message of a conversation is to the user of an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectKind {
    /// It waits in the store until it is acknowledged.
    Pending,
    /// The user said it, on another device; the store does not have it for this inbox.
    Copy,
}

/// A page that the store is asked for.
#[derive(Debug)]
struct Query {
    request_id: RequestId,
    after: PendingPosition,
    /// Messages behind this position came meanwhile and were not held.
    missed_after: Option<PendingPosition>,
}

/// What follows from the store's answer.
#[derive(Debug)]
pub(super) enum PageUse {
    /// Nobody here asked for it.
    Stale,
    /// It begins behind what is to be sent first, which is asked for now.
    AskAgain,
    /// It is sent, and then these.
    Send {
        /// What was held.
        held: Vec<DirectMessage>,
        /// Whether the rest is asked for at once.
        asks_again: bool,
        /// Whether something that was sent may wait, in the page or before it: somebody has to
        /// look for it when it is overdue.
        looks_again: bool,
    },
}

/// What of a page is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Redelivery {
    /// All.
    Unsent,
    /// What has waited too long; all was sent before.
    Overdue,
}

impl InboxOrder {
    /// A connection came that was sent nothing.
    pub fn restart(&mut self) {
        self.unsent_after = Some(None);
    }

    /// Something waits that was not sent, and nobody knows where.
    pub fn miss_all(&mut self) {
        self.unsent_after = Some(None);
        if let Some(query) = &mut self.query {
            query.missed_after = Some(None); // the answer may have been read before
        }
    }

    /// The position that the store is asked to read behind; `None` while it is asked.
    pub fn next_query(&self) -> Option<PendingPosition> {
        match self.query {
            Some(_) => None, // what is left is asked for when the answer is here
            None => Some(self.unsent_after.unwrap_or(self.overdue_after)),
        }
    }

    /// The store is asked for that.
    pub fn asked(&mut self, request_id: RequestId, after: PendingPosition) {
        self.query = Some(Query { request_id, after, missed_after: None });
    }

    /// Whether the store is asked.
    pub fn is_asked(&self) -> bool {
        self.query.is_some()
    }

    /// Whether the last page was not the last one.
    pub fn has_rest(&self) -> bool {
        self.unsent_after.is_some() || self.overdue_after.is_some()
    }

    /// Gives a new message back when it may be sent now.
    pub fn admit(&mut self, kind: DirectKind, message: DirectMessage) -> Option<DirectMessage> {
        if !self.is_unsent(message.position()) {
            return Some(message);
        }
        let held_bytes: usize = self.held.iter().map(|(_, one)| one.cost_bytes()).sum();
        let has_room = self.held.len() < HELD_COUNT_MAX
            && (self.held.is_empty() || held_bytes + message.cost_bytes() <= HELD_BYTES_MAX);
        match (kind, &mut self.query) {
            // The store is going to be asked, and gives it, too.
            (DirectKind::Pending, None) => (),
            (DirectKind::Pending, Some(query)) if !has_room => {
                let before = before(message.room, message.publication.offset);
                query.missed_after = earlier(query.missed_after, Some(before));
            }
            (DirectKind::Copy, _) if !has_room => (), // the history has it
            (DirectKind::Pending | DirectKind::Copy, _) => self.held.push((kind, message)),
        }
        None
    }

    /// Messages of a conversation up to this offset were removed: none of them is sent any more.
    pub fn forget(&mut self, room: RoomId, offset: u64) {
        self.held.retain(|(_, one)| one.room != room || offset < one.publication.offset);
    }

    /// The store could not give what it was asked for, and is going to be asked again.
    pub fn on_failure(&mut self, request_id: RequestId) {
        if self.take_query(request_id).is_some() {
            self.keep_copies();
        }
    }

    /// Nobody is here any more: whoever comes next is sent all that waits.
    pub fn on_empty(&mut self, request_id: RequestId) {
        self.take_query(request_id);
        self.held.clear();
    }

    /// The store gives what waits, and the position of the next page.
    pub fn on_page(
        &mut self,
        request_id: RequestId,
        due: &[PendingMessage],
        next: PendingPosition,
    ) -> PageUse {
        let Some(Query { after, missed_after, .. }) = self.take_query(request_id) else {
            return PageUse::Stale;
        };
        let looks_again = after.is_some() || !due.is_empty();
        let Some(unsent_after) = self.unsent_after else {
            self.overdue_after = next;
            return PageUse::Send { held: Vec::new(), asks_again: false, looks_again };
        };
        if unsent_after < after {
            self.keep_copies();
            return PageUse::AskAgain;
        }
        let rest = next.map(Some);
        self.unsent_after = earlier(rest, missed_after);
        let held = self.take_sendable(due);
        let asks_again = self.unsent_after != rest;
        PageUse::Send { held, asks_again, looks_again }
    }

    /// What is held and may be sent after this page; it no longer has what the page has.
    fn take_sendable(&mut self, due: &[PendingMessage]) -> Vec<DirectMessage> {
        let mut sendable = Vec::new();
        for (kind, message) in mem::take(&mut self.held) {
            match (kind, self.is_unsent(message.position())) {
                (DirectKind::Pending, true) => (), // a later page has it
                (DirectKind::Copy, true) => self.held.push((kind, message)),
                (DirectKind::Pending, false) if has_read(due, &message) => (),
                (DirectKind::Pending | DirectKind::Copy, false) => sendable.push(message),
            }
        }
        sendable
    }

    /// What waits is asked for again; copies are nowhere else.
    fn keep_copies(&mut self) {
        self.held.retain(|(kind, _)| *kind == DirectKind::Copy);
    }

    fn take_query(&mut self, request_id: RequestId) -> Option<Query> {
        // A room that was in this place before may have asked.
        self.query.take_if(|query| query.request_id == request_id)
    }

    /// What of the next page is sent.
    pub fn redelivery(&self) -> Redelivery {
        match self.unsent_after {
            Some(_) => Redelivery::Unsent,
            None => Redelivery::Overdue,
        }
    }

    /// Nothing behind this position is sent before it was read again.
    pub fn wait_before(&mut self, position: PendingPosition) {
        self.unsent_after = earlier(self.unsent_after, Some(position));
    }

    /// Whether something that comes before this position, or is there, may not have been sent.
    fn is_unsent(&self, position: PendingPosition) -> bool {
        self.unsent_after.is_some_and(|unsent_after| unsent_after < position)
    }
}

/// Whether a page was read after this message was stored: it is there, or waits no more.
fn has_read(due: &[PendingMessage], message: &DirectMessage) -> bool {
    due.iter().any(|read| {
        read.room == message.room && message.publication.offset <= read.publication.offset
    })
}

/// The position in front of a message.
pub(super) fn before(room: RoomId, offset: u64) -> PendingPosition {
    Some((room, offset - 1))
}

/// Of two positions that may not be there, the earlier one.
fn earlier(
    one: Option<PendingPosition>,
    other: Option<PendingPosition>,
) -> Option<PendingPosition> {
    one.into_iter().chain(other).min()
}
