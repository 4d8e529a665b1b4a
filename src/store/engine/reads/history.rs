//! Reads a range of a channel.
//!
//! Deliberately absent: permissions (`session`), and messages in memory (`room`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{ENTRIES_MAX, PAGE_BYTES_MAX, PartialRead, Slice, message};
use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{HistoryRange, ReadOrder, StoreError, StoreResult};
use crate::wire::Publication;

/// The partial result.
#[derive(Debug)]
pub struct PartialHistory {
    /// The room, in case a message of it is retracted.
    room: RoomId,
    next: u64,
    bytes_left: usize,
    found: Vec<Arc<Publication>>,
}

/// Why a slice ended.
enum Ending {
    /// There are no more messages.
    Exhausted,
    /// The answer is complete, or full.
    Full,
    /// The slice is over.
    Slice,
    Fault(StoreError),
}

/// Reads a range of a channel.
pub(super) fn history<D: Disk>(
    channels: &mut ChannelStore<D>,
    range: &HistoryRange,
    so_far: Option<PartialRead>,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    budget.seek();
    let Some(head) = channels.head(range.room)? else {
        return Ok(Slice::Whole(StoreResult::History(Vec::new())));
    };
    let shown = head.first_shown(channels.rules(head.namespace()).count_max);
    let (first, last) = (range.first.max(shown), range.last.min(head.offset()));
    let mut query = match so_far {
        Some(PartialRead::Passage(query)) => query,
        _ => PartialHistory {
            room: range.room,
            next: match range.order {
                ReadOrder::OldestFirst => first,
                ReadOrder::NewestFirst => last,
            },
            bytes_left: range.bytes_max.min(PAGE_BYTES_MAX) as usize,
            found: Vec::new(),
        },
    };
    let (first, last) = match range.order {
        // A message that retention removed meanwhile ends it: a range has no hole.
        ReadOrder::OldestFirst if query.next < first => return Ok(query.end()),
        ReadOrder::OldestFirst => (query.next, last),
        ReadOrder::NewestFirst => (first, query.next),
    };
    let missing_count = range.count_max.min(ENTRIES_MAX) as usize - query.found.len();
    let there = usize::try_from((last + 1).saturating_sub(first)).unwrap_or(usize::MAX);
    let count = missing_count.min(there) + query.found.len();
    if count == query.found.len() {
        return Ok(query.end());
    }
    let mut ending = Ending::Exhausted;
    let keys = key::messages(range.room, first, last);
    channels.staged().scan(StoreKeyspace::Messages, &keys, range.order, &mut |key, value| {
        budget.read(value.len());
        ending = query.take(key, value, range.order, count);
        if matches!(ending, Ending::Exhausted) && budget.is_slice_over() {
            ending = Ending::Slice;
        }
        match ending {
            Ending::Exhausted => ControlFlow::Continue(()),
            Ending::Full | Ending::Slice | Ending::Fault(_) => ControlFlow::Break(()),
        }
    })?;
    match ending {
        Ending::Full => Ok(query.end()),
        Ending::Slice => Ok(Slice::Partial(PartialRead::Passage(query))),
        Ending::Exhausted => Err(StoreError::Damaged),
        Ending::Fault(failure) => Err(failure),
    }
}

impl PartialHistory {
    /// Replaces a message in the partial result.
    pub(super) fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        if self.room == room {
            self.found.iter_mut().for_each(|one| super::replace(one, left));
        }
    }

    /// Takes removed messages out of the partial result.
    pub(super) fn forget(&mut self, room: RoomId, last: u64) {
        if self.room == room {
            self.found.retain(|one| last < one.offset);
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8], order: ReadOrder, count: usize) -> Ending {
        let publication = match message(key, value, self.next) {
            Ok(publication) => publication,
            Err(failure) => return Ending::Fault(failure),
        };
        let bytes = publication.cost_bytes();
        if self.bytes_left < bytes && !self.found.is_empty() {
            return Ending::Full;
        }
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        self.found.push(Arc::new(publication));
        self.next = match order {
            ReadOrder::OldestFirst => self.next.saturating_add(1),
            ReadOrder::NewestFirst => self.next.saturating_sub(1),
        };
        if self.found.len() < count { Ending::Exhausted } else { Ending::Full }
    }

    fn end(self) -> Slice {
        Slice::Whole(StoreResult::History(self.found))
    }
}
