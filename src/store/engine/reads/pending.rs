//! Reads the messages that are pending for a user until it acknowledges them.
//!
//! Deliberately absent: redelivery (`room`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{ENTRIES_MAX, PAGE_BYTES_MAX, PartialRead, Slice};
use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::StoreCounts;
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{PendingMessage, PendingQuery, ReadOrder, StoreError, StoreResult};
use crate::store::record::{self, PendingRecord};
use crate::wire::Publication;

/// Most pending messages that are looked up together.
const WAITING_AT_ONCE_MAX: usize = 32;

/// The partial result.
#[derive(Debug, Default)]
pub struct PartialPending {
    after: Option<(RoomId, u64)>,
    bytes: usize,
    found: Vec<PendingMessage>,
}

/// A pending message, with its record.
struct Place {
    room: RoomId,
    offset: u64,
    record: Result<PendingRecord, StoreError>,
}

/// Reads a page of a user's pending messages.
pub(super) fn pending<D: Disk>(
    channels: &mut ChannelStore<D>,
    counts: &mut StoreCounts,
    page: &PendingQuery,
    so_far: Option<PartialRead>,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    let count_max = page.count_max.min(ENTRIES_MAX) as usize;
    let mut so_far = match so_far {
        Some(PartialRead::Pending(so_far)) => so_far,
        _ => PartialPending { after: page.after, ..PartialPending::default() },
    };
    while so_far.found.len() < count_max {
        let waiting = waiting_behind(channels, page.inbox, so_far.after, budget)?;
        if waiting.is_empty() {
            return Ok(so_far.end(None));
        }
        for Place { room, offset, record } in waiting {
            if count_max <= so_far.found.len() {
                break;
            }
            if budget.is_slice_over() {
                return Ok(Slice::Partial(PartialRead::Pending(so_far)));
            }
            match due(channels, room, offset, record?, so_far.found.last(), budget) {
                Ok(None) => (),
                Ok(Some(due)) => {
                    so_far.bytes += due.publication.cost_bytes();
                    if PAGE_BYTES_MAX as usize <= so_far.bytes && !so_far.found.is_empty() {
                        let next = so_far.after;
                        return Ok(so_far.end(next));
                    }
                    so_far.found.push(due);
                }
                // The others are delivered nevertheless; this one will expire.
                Err(StoreError::Damaged) => *counts = counts.and_failed(StoreError::Damaged),
                Err(failure) => return Err(failure),
            }
            so_far.after = Some((room, offset));
        }
    }
    let next = so_far.after;
    Ok(so_far.end(next))
}

/// The next pending messages of an inbox, after a message.
fn waiting_behind<D: Disk>(
    channels: &ChannelStore<D>,
    inbox: RoomId,
    after: Option<(RoomId, u64)>,
    budget: &mut Budget,
) -> Result<Vec<Place>, StoreError> {
    budget.seek();
    let mut waiting = Vec::new();
    let mut is_damaged = false;
    let range = key::pending_behind(inbox, after);
    channels.staged().scan(
        StoreKeyspace::Pending,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            budget.read(value.len());
            let Some((_, room, offset)) = key::pending_from(key) else {
                is_damaged = true;
                return ControlFlow::Break(());
            };
            let record = PendingRecord::take(value).map_err(StoreError::from);
            waiting.push(Place { room, offset, record });
            if waiting.len() < WAITING_AT_ONCE_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    if is_damaged { Err(StoreError::Damaged) } else { Ok(waiting) }
}

/// A pending message with its body; `None` for one that was removed by order.
fn due<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    offset: u64,
    record: PendingRecord,
    previous: Option<&PendingMessage>,
    budget: &mut Budget,
) -> Result<Option<PendingMessage>, StoreError> {
    // Pending messages are sorted by room and offset, so each name is read once, and what comes
    // behind one that is not removed is not either.
    let channel = match previous.filter(|due| due.room == room) {
        Some(due) => due.channel.clone(),
        None => {
            budget.got(0);
            let channel = channels.record(room)?.ok_or(StoreError::Damaged)?;
            if channel.is_removed(offset) {
                return Ok(None);
            }
            channel.channel
        }
    };
    let PendingRecord { tries_count, expires_unix_ms, mut message } = record;
    if message.is_empty() {
        let value = channels.staged().get(StoreKeyspace::Messages, &key::message(room, offset))?;
        message = value.ok_or(StoreError::Damaged)?;
    }
    budget.got(message.len());
    let publication = Arc::new(record::take_message(&message, offset)?.0);
    Ok(Some(PendingMessage { room, channel, publication, tries_count, expires_unix_ms }))
}

impl PartialPending {
    /// Replaces a message in the partial result.
    pub(super) fn replace(&mut self, room: RoomId, left: &Arc<Publication>) {
        let found = self.found.iter_mut().filter(|due| due.room == room);
        found.for_each(|due| super::replace(&mut due.publication, left));
    }

    /// Takes removed messages out of the partial result.
    pub(super) fn forget(&mut self, room: RoomId, last: u64) {
        self.found.retain(|due| due.room != room || last < due.publication.offset);
    }

    fn end(self, next: Option<(RoomId, u64)>) -> Slice {
        Slice::Whole(StoreResult::Pending(self.found, next))
    }
}
