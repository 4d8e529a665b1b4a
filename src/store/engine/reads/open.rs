//! Reads what a room needs when it comes into memory: its newest messages, and the ids that have
//! not expired.
//!
//! Deliberately absent: older messages (`history`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::reactions::reacted_span;
use super::roster::members;
use super::{PartialRead, Slice, message};
use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::ChannelHead;
use crate::store::engine::ids::IdCursor;
use crate::store::key;
use crate::store::messages::{
    KnownId, OpenChannel, OpenedChannel, ReadOrder, StoreError, StoreResult,
};
use crate::wire::Publication;

/// Reads a channel that is opened.
pub(super) fn opened<D: Disk>(
    channels: &mut ChannelStore<D>,
    open: &OpenChannel,
    so_far: Option<PartialRead>,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    budget.seek();
    let Some(head) = channels.head(open.room)? else {
        return Ok(Slice::Whole(StoreResult::Opened(None, channels.losses_count())));
    };
    let first = head.first_shown(channels.rules(head.namespace()).count_max);
    let mut tail = match so_far {
        Some(PartialRead::Tail(tail)) if tail.head == head.offset() => tail,
        _ => Box::new(HistoryTail::new(*open, &head)),
    };
    // Retention may have removed some meanwhile.
    tail.first = first;
    if !tail.is_whole {
        let mut is_over = true;
        let range = key::messages(open.room, first, tail.next);
        channels.staged().scan(
            StoreKeyspace::Messages,
            &range,
            ReadOrder::NewestFirst,
            &mut |key, value| {
                budget.read(value.len());
                tail.take(key, value)?;
                is_over = !budget.is_slice_over();
                if is_over { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            },
        )?;
        if !is_over {
            return Ok(Slice::Partial(PartialRead::Tail(tail)));
        }
        tail.end()?;
    }
    let (since, head_offset) = (open.ids_since_unix_ms, head.offset());
    while let Some(place) = tail.ids_next {
        if budget.is_slice_over() {
            return Ok(Slice::Partial(PartialRead::Tail(tail)));
        }
        tail.ids_next = channels.known_ids(open.room, place, budget, &mut |known| {
            // Their number is not limited: they are read in slices.
            if since <= known.time_unix_ms && known.offset <= head_offset {
                tail.ids.push(known);
            }
        })?;
    }
    let reacted = reacted_span(channels, open.room, budget)?;
    let has_roster = channels.rules(head.namespace()).has_rosters;
    let roster = match has_roster {
        true => members(channels, open.room, budget)?,
        false => Vec::new(),
    };
    let HistoryTail { mut tail, ids, .. } = *tail;
    tail.reverse();
    let (epoch, created_unix_ms, head) = (head.epoch(), head.created_unix_ms(), head.offset());
    let opened = OpenedChannel { epoch, created_unix_ms, head, first, tail, ids, reacted, roster };
    Ok(Slice::Whole(StoreResult::Opened(Some(Box::new(opened)), channels.losses_count())))
}

/// The partial result: the newest messages, newest first, and then the ids.
#[derive(Debug)]
pub struct HistoryTail {
    open: OpenChannel,
    head: u64,
    first: u64,
    next: u64,
    bytes: usize,
    is_whole: bool,
    fault: Option<StoreError>,
    tail: Vec<Arc<Publication>>,
    /// The cursor for more ids.
    ids_next: Option<IdCursor>,
    ids: Vec<KnownId>,
}

impl HistoryTail {
    fn new(open: OpenChannel, head: &ChannelHead) -> HistoryTail {
        HistoryTail {
            open,
            head: head.offset(),
            first: head.first(),
            next: head.offset(),
            bytes: 0,
            is_whole: open.count_max == 0 && open.after.is_none(),
            fault: None,
            tail: Vec::new(),
            ids_next: Some(IdCursor::since(open.ids_since_unix_ms)),
            ids: Vec::new(),
        }
    }

    /// Replaces a message in the partial result.
    pub(super) fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        if self.open.room == room {
            self.tail.iter_mut().for_each(|one| super::replace(one, left));
        }
    }

    /// Takes removed messages out of the partial result.
    pub(super) fn forget(&mut self, room: RoomId, last: u64) {
        if self.open.room == room {
            self.tail.retain(|one| last < one.offset);
        }
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        match message(key, value, self.next) {
            Ok(publication) => self.take_message(Arc::new(publication)),
            Err(failure) => self.fault = Some(failure),
        }
        if self.fault.is_some() || self.is_whole {
            return ControlFlow::Break(());
        }
        self.next = self.next.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn take_message(&mut self, publication: Arc<Publication>) {
        let count = self.head - publication.offset;
        let is_wanted = self.open.after.is_some_and(|after| after < publication.offset);
        let bytes = self.bytes + publication.cost_bytes();
        let fits = u64::from(self.open.count_max) > count
            && (bytes <= self.open.bytes_max as usize || self.tail.is_empty());
        self.is_whole = !is_wanted && !fits;
        if !self.is_whole {
            self.bytes = bytes;
            self.tail.push(publication);
        }
    }

    /// There are no more messages.
    fn end(&mut self) -> Result<(), StoreError> {
        // Without a cut, everything from the head to the first was seen.
        self.is_whole |= self.head < self.first || self.next < self.first;
        match self.fault {
            Some(failure) => Err(failure),
            None if !self.is_whole => Err(StoreError::Damaged),
            None => Ok(()),
        }
    }
}
