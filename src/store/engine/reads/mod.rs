//! The reads of the store, a file for each kind; `Engine` calls them. They are done in bounded
//! pages, one slice of a page at a time. A range of a channel has no hole: where there is one, the
//! channel is damaged.
//!
//! Deliberately absent: the order of requests (`queue`).

use std::sync::Arc;

use self::conversations::PartialConversations;
use self::dead_letters::PartialDeadLetters;
use self::history::PartialHistory;
use self::open::HistoryTail;
use self::pending::PartialPending;
use self::reactions::PartialReactions;
use super::StoreCounts;
use super::append_gate::AppendGate;
use super::budget::Budget;
use super::channels::ChannelStore;
use crate::base::RoomId;
use crate::base::limits::PAGE_MAX;
use crate::store::disk::Disk;
use crate::store::messages::{ReadMarkers, StoreError, StoreOp, StoreResult};
use crate::store::{key, record};
use crate::wire::Publication;

mod conversations;
mod dead_letters;
mod history;
mod open;
mod pending;
mod reactions;
mod receipts;
mod roster;

/// Most entries of one answer. It is one more than a client gets, so that rooms learn whether there
/// is another page.
const ENTRIES_MAX: u32 = PAGE_MAX + 1;
/// Most bytes of the messages of one answer.
const PAGE_BYTES_MAX: u32 = 1 << 20;

/// The partial result of a read that takes more than one slice.
#[derive(Debug)]
pub enum PartialRead {
    /// To `Open`.
    Tail(Box<HistoryTail>),
    /// To `Read`.
    Passage(PartialHistory),
    /// To `ReadMarkers`.
    Markers(Vec<(Box<str>, ReadMarkers)>),
    /// To `Conversations`.
    Conversations(PartialConversations),
    /// To `Pending`.
    Pending(PartialPending),
    /// To `DeadLetters`.
    DeadLetters(PartialDeadLetters),
    /// To `Reactions`, when the messages have been read.
    Reactions(PartialReactions),
}

impl PartialRead {
    /// Replaces a message in the partial result.
    pub fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        match self {
            PartialRead::Tail(tail) => tail.replace(room, left),
            PartialRead::Passage(passage) => passage.replace(room, left),
            PartialRead::Conversations(conversations) => conversations.replace(room, left),
            PartialRead::Pending(pending) => pending.replace(room, left),
            PartialRead::Reactions(reactions) => reactions.replace(room, left),
            PartialRead::Markers(_) | PartialRead::DeadLetters(_) => {}
        }
    }

    /// Takes messages up to an offset, which are removed, out of the partial result.
    pub fn forget(&mut self, room: RoomId, last: u64) {
        match self {
            PartialRead::Tail(tail) => tail.forget(room, last),
            PartialRead::Passage(passage) => passage.forget(room, last),
            PartialRead::Conversations(conversations) => conversations.forget(room, last),
            PartialRead::Pending(pending) => pending.forget(room, last),
            PartialRead::DeadLetters(dead_letters) => dead_letters.forget(room, last),
            PartialRead::Reactions(reactions) => reactions.forget(room, last),
            PartialRead::Markers(_) => {}
        }
    }
}

/// Replaces this message, if it is the one.
fn replace(one: &mut Arc<Publication>, left: &Arc<Publication>) {
    if one.offset == left.offset {
        *one = Arc::clone(left);
    }
}

/// Does one slice of a read. `None` when there is more to do; then `found` has the partial result.
pub(super) fn slice<D: Disk>(
    channels: &mut ChannelStore<D>,
    gate: &mut AppendGate,
    counts: &mut StoreCounts,
    (op, found): (&StoreOp, &mut Option<PartialRead>),
    budget: &mut Budget,
) -> Result<Option<StoreResult>, StoreError> {
    let so_far = found.take();
    let sliced = match op {
        StoreOp::Open(open) => {
            // Earlier appends were written or refused.
            gate.reopen(open.room);
            open::opened(channels, open, so_far, budget)
        }
        StoreOp::Read(range) => history::history(channels, range, so_far, budget),
        StoreOp::ReadMarkers(page) => receipts::markers_page(channels, page, so_far, budget),
        StoreOp::Conversations(page) => {
            conversations::conversations(channels, page, so_far, budget)
        }
        StoreOp::Pending(page) => pending::pending(channels, counts, page, so_far, budget),
        StoreOp::DeadLetters(query) => dead_letters::dead_letters(channels, query, so_far, budget),
        StoreOp::Reactions(query) => reactions::reactions(channels, query, so_far, budget),
        StoreOp::CountGroups(inbox) => roster::groups_count(channels, *inbox, budget),
        StoreOp::Append(_)
        | StoreOp::AdvanceMarker(_)
        | StoreOp::Attempted(_)
        | StoreOp::DeadLetter(_)
        | StoreOp::ChangeDeadLetters(_)
        | StoreOp::React(_)
        | StoreOp::RemoveHistory(_)
        | StoreOp::MuteGroup(_)
        | StoreOp::Abandon(_) => {
            unreachable!("these stand in other lines")
        }
    };
    match sliced? {
        Slice::Whole(outcome) => Ok(Some(outcome)),
        Slice::Partial(partial) => {
            *found = Some(partial);
            Ok(None)
        }
    }
}

/// The result of a slice.
enum Slice {
    Whole(StoreResult),
    Partial(PartialRead),
}

fn message(key: &[u8], value: &[u8], expected: u64) -> Result<Publication, StoreError> {
    match key::message_of(key) {
        Some((_, offset)) if offset == expected => Ok(record::take_message(value, offset)?.0),
        Some(_) | None => Err(StoreError::Damaged),
    }
}
