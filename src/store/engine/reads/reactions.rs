//! Reads reactions to messages: to a list of them, or to a range of the channel.
//!
//! Deliberately absent: permissions (`session`), and messages in memory (`room`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::history;
use super::{PartialRead, Slice};
use crate::base::{RoomId, UserHash};
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::messages::{
    MessageReactions, ReactedMessages, ReactionPage, ReactionsQuery, ReadOrder, StoreError,
    StoreResult,
};
use crate::store::{key, record};
use crate::wire::{Publication, chat};

/// The partial result.
#[derive(Debug)]
pub struct PartialReactions {
    /// The room, in case a message of it is retracted.
    room: RoomId,
    page: ReactionPage,
    /// The next offset to read.
    next: u64,
}

/// Reads a page of reactions.
pub(super) fn reactions<D: Disk>(
    channels: &mut ChannelStore<D>,
    query: &ReactionsQuery,
    so_far: Option<PartialRead>,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    let so_far = match (so_far, &query.of) {
        (Some(PartialRead::Reactions(so_far)), _) => so_far,
        (_, ReactedMessages::Listed(..)) => PartialReactions::of(query.room, Vec::new()),
        (so_far, ReactedMessages::Read(range)) => {
            match history::history(channels, range, so_far, budget)? {
                Slice::Partial(passage) => return Ok(Slice::Partial(passage)),
                Slice::Whole(StoreResult::History(messages)) => {
                    PartialReactions::of(query.room, messages)
                }
                Slice::Whole(other) => return Ok(Slice::Whole(other)),
            }
        }
    };
    match &query.of {
        ReactedMessages::Listed(offsets, since_unix_ms) => {
            let visible = Visible { channels, query, since_unix_ms: *since_unix_ms };
            visible.read(offsets, so_far, budget)
        }
        ReactedMessages::Read(_) => read_page(channels, query, so_far, budget),
    }
}

/// Reactions to the messages that were read.
fn read_page<D: Disk>(
    channels: &ChannelStore<D>,
    query: &ReactionsQuery,
    mut so_far: PartialReactions,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    let offsets = so_far.page.messages.iter().map(|message| message.offset);
    let Some(last) = offsets.clone().max() else { return Ok(so_far.end()) };
    let first = so_far.next.max(offsets.min().unwrap_or(last));
    let (mut is_over, mut fault) = (true, None);
    budget.seek();
    let range = key::messages(query.room, first, last);
    channels.staged().scan(
        StoreKeyspace::ReactionTotals,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            if budget.is_slice_over() {
                is_over = false;
                return ControlFlow::Break(());
            }
            budget.read(value.len());
            match found(channels, query, key, value, budget) {
                Ok(found) => so_far.push(found),
                Err(failure) => {
                    fault = Some(failure);
                    return ControlFlow::Break(());
                }
            }
            ControlFlow::Continue(())
        },
    )?;
    match fault {
        Some(failure) => Err(failure),
        None if is_over => Ok(so_far.end()),
        None => Ok(Slice::Partial(PartialRead::Reactions(so_far))),
    }
}

/// The visible messages of a list.
struct Visible<'a, D> {
    channels: &'a mut ChannelStore<D>,
    query: &'a ReactionsQuery,
    since_unix_ms: u64,
}

impl<D: Disk> Visible<'_, D> {
    fn read(
        self,
        offsets: &[u64],
        mut so_far: PartialReactions,
        budget: &mut Budget,
    ) -> Result<Slice, StoreError> {
        let Visible { channels, query, since_unix_ms } = self;
        let Some(head) = channels.head(query.room)? else { return Ok(so_far.end()) };
        let first = head.first_shown(channels.rules(head.namespace()).count_max);
        let first = so_far.next.max(first);
        for offset in offsets.iter().filter(|offset| first <= **offset) {
            if budget.is_slice_over() {
                return Ok(Slice::Partial(PartialRead::Reactions(so_far)));
            }
            let key = key::message(query.room, *offset);
            budget.got(0);
            so_far.next = *offset + 1;
            let totals = channels.staged().get(StoreKeyspace::ReactionTotals, &key)?;
            let Some(totals) = totals else { continue };
            let message = channels.staged().get(StoreKeyspace::Messages, &key)?;
            let message = message.ok_or(StoreError::Damaged)?;
            budget.got(message.len());
            if since_unix_ms <= record::take_accounting(&message)?.time_unix_ms {
                so_far.push(found(channels, query, &key, &totals, budget)?);
            }
        }
        Ok(so_far.end())
    }
}

/// The totals, with the reaction of the user who asks.
fn found<D: Disk>(
    channels: &ChannelStore<D>,
    query: &ReactionsQuery,
    key: &[u8],
    totals: &[u8],
    budget: &mut Budget,
) -> Result<MessageReactions, StoreError> {
    let (_, offset) = key::message_of(key).ok_or(StoreError::Damaged)?;
    let totals = record::take_reaction_totals(totals)?;
    let mut own = None;
    if query.user != UserHash::NOBODY {
        budget.got(0);
        let key = key::reaction(query.room, offset, query.user);
        let bytes = channels.staged().get(StoreKeyspace::Reactions, &key)?;
        own = bytes.map(|bytes| record::take_reaction(&bytes)).transpose()?;
    }
    Ok(MessageReactions { offset, totals, own: own.map(|(value, _)| value) })
}

/// The lowest and the highest offset of messages with reactions.
pub(super) fn reacted_span<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    budget: &mut Budget,
) -> Result<Option<(u64, u64)>, StoreError> {
    let range = key::messages(room, 0, u64::MAX);
    let mut end_of = |order| {
        budget.seek();
        let mut end = None;
        channels.staged().scan(StoreKeyspace::ReactionTotals, &range, order, &mut |key, _| {
            end = key::message_of(key).map(|(_, offset)| offset);
            ControlFlow::Break(())
        })?;
        Ok::<_, StoreError>(end)
    };
    let Some(lowest) = end_of(ReadOrder::OldestFirst)? else { return Ok(None) };
    Ok(end_of(ReadOrder::NewestFirst)?.map(|highest| (lowest, highest)))
}

impl PartialReactions {
    fn of(room: RoomId, messages: Vec<Arc<Publication>>) -> PartialReactions {
        PartialReactions { room, page: ReactionPage { messages, reactions: Vec::new() }, next: 0 }
    }

    /// Replaces a message in the partial result. A retracted message has no reactions.
    pub(super) fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        if self.room != room {
            return;
        }
        self.page.messages.iter_mut().for_each(|one| super::replace(one, left));
        if !chat::takes_reactions(left) {
            self.page.reactions.retain(|one| one.offset != left.offset);
        }
    }

    /// Takes removed messages out of the partial result, and what they are reacted to with.
    pub(super) fn forget(&mut self, room: RoomId, last: u64) {
        if self.room == room {
            self.page.messages.retain(|one| last < one.offset);
            self.page.reactions.retain(|one| last < one.offset);
        }
    }

    fn push(&mut self, found: MessageReactions) {
        self.next = found.offset.saturating_add(1);
        self.page.reactions.push(found);
    }

    fn end(self) -> Slice {
        Slice::Whole(StoreResult::Reactions(self.page))
    }
}
