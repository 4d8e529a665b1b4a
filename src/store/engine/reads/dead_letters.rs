//! Reads dead letters, without what they say.
//!
//! Deliberately absent: requeuing and dropping them (`writes::dead_letters`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::{ENTRIES_MAX, PartialRead, Slice};
use crate::base::{DeadLetterPlace, RoomId};
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::budget::Budget;
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{
    DeadLetterEntry, DeadLettersQuery, ReadOrder, StoreError, StoreResult,
};
use crate::store::record::{ChannelRecord, DeadLetterRecord, DecodeError};

/// Most dead letters that are looked up together.
const LOOKED_UP_MAX: usize = 32;

/// The partial result.
#[derive(Debug, Default)]
pub struct PartialDeadLetters {
    after: Option<DeadLetterPlace>,
    found: Vec<DeadLetterEntry>,
    /// How many were looked at: those that are removed or damaged count, too.
    seen_count: u32,
}

/// Reads a page of dead letters.
pub(super) fn dead_letters<D: Disk>(
    channels: &mut ChannelStore<D>,
    query: &DeadLettersQuery,
    so_far: Option<PartialRead>,
    budget: &mut Budget,
) -> Result<Slice, StoreError> {
    let count_max = query.count_max.min(ENTRIES_MAX);
    let mut so_far = match so_far {
        Some(PartialRead::DeadLetters(so_far)) => so_far,
        _ => PartialDeadLetters { after: query.after, ..PartialDeadLetters::default() },
    };
    while so_far.seen_count < count_max {
        let some = dead_behind(channels, query.inbox, so_far.after, budget)?;
        if some.is_empty() {
            return Ok(so_far.end(None));
        }
        for (place, record) in some {
            if count_max <= so_far.seen_count {
                break;
            }
            if budget.is_slice_over() {
                return Ok(Slice::Partial(PartialRead::DeadLetters(so_far)));
            }
            // One that cannot be read keeps no others from being shown; the sweep counts it.
            if let Ok(record) = record
                && let Some(of) = channel_of(channels, place, so_far.found.last(), budget)?
            {
                let (tenant, channel) = of;
                so_far.found.push(DeadLetterEntry {
                    place,
                    tenant,
                    channel,
                    cause: record.cause,
                    at_unix_ms: record.at_unix_ms,
                    tries_count: record.pending.tries_count,
                });
            }
            so_far.seen_count += 1;
            so_far.after = Some(place);
        }
    }
    let next = so_far.after;
    Ok(so_far.end(next))
}

/// Tenant and name of a channel.
type ChannelName = (Arc<str>, Arc<str>);

type Place = (DeadLetterPlace, Result<DeadLetterRecord, DecodeError>);

/// The next dead letters behind a place.
fn dead_behind<D: Disk>(
    channels: &ChannelStore<D>,
    inbox: Option<RoomId>,
    after: Option<DeadLetterPlace>,
    budget: &mut Budget,
) -> Result<Vec<Place>, StoreError> {
    budget.seek();
    let mut found = Vec::new();
    let range = key::dead_behind(inbox, after.map(|place| (place.inbox, place.room, place.offset)));
    channels.staged().scan(
        StoreKeyspace::Dead,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            budget.read(value.len());
            if let Some((inbox, room, offset)) = key::pending_from(key) {
                let place = DeadLetterPlace { inbox, room, offset };
                found.push((place, DeadLetterRecord::take(value)));
            }
            if found.len() < LOOKED_UP_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    Ok(found)
}

/// Tenant and name of a dead letter's conversation; `None` where it was removed by order, or has no
/// name any more.
fn channel_of<D: Disk>(
    channels: &mut ChannelStore<D>,
    place: DeadLetterPlace,
    previous: Option<&DeadLetterEntry>,
    budget: &mut Budget,
) -> Result<Option<ChannelName>, StoreError> {
    if let Some(known) = previous.filter(|known| known.place.room == place.room)
        && !channels.is_removed(place.room, place.offset)
    {
        return Ok(Some((Arc::clone(&known.tenant), Arc::clone(&known.channel))));
    }
    budget.got(0);
    let record = channels.record(place.room)?;
    let record = record.filter(|record| !record.is_removed(place.offset));
    Ok(record.map(|ChannelRecord { tenant, channel, .. }| (tenant, channel)))
}

impl PartialDeadLetters {
    /// Takes dead letters of removed messages out of the partial result.
    pub(super) fn forget(&mut self, room: RoomId, last: u64) {
        self.found.retain(|one| one.place.room != room || last < one.place.offset);
    }

    fn end(self, next: Option<DeadLetterPlace>) -> Slice {
        Slice::Whole(StoreResult::DeadLetters(self.found, next))
    }
}
