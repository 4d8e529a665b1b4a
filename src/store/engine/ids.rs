//! Idempotency ids that authors gave to their messages, until they expire.
//!
//! They are records of their own, because retention may remove a message long before its author
//! stops to retry. Messages without an id are never retried.
//!
//! Invariants: an id is written in the batch of its message, so a crash leaves both or
//! none; it is known for `IDS_MS`, whatever becomes of the message; its record goes
//! when its period and the next one are over; its channel stays as long as it is known.

use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::base::limits::IDS_MS;
use crate::wire::{ID_TAG, Publication, repeating_author};

use super::super::disk::{Disk, StoreKeyspace};
use super::super::key;
use super::super::messages::{KnownId, ReadOrder, StoreError};
use super::super::record;
use super::budget::Budget;
use super::staged::StagedDisk;

/// The position of a scan over a room's ids.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdCursor {
    period: u64,
    offset: u64,
}

impl IdCursor {
    /// At all since then.
    pub fn since(unix_ms: u64) -> IdCursor {
        IdCursor { period: key::period(unix_ms), offset: 0 }
    }

    /// After an id.
    fn behind(period: u64, offset: u64) -> Option<IdCursor> {
        Some(match offset.checked_add(1) {
            Some(offset) => IdCursor { period, offset },
            None => IdCursor { period: period.checked_add(1)?, offset: 0 },
        })
    }
}

/// The period up to which there are ids.
#[derive(Debug)]
pub(super) struct KnownIds {
    /// No id is of this period or a later one, which saves most lookups.
    until: u64,
}

/// Expired ids.
pub(super) struct ExpiredIds {
    /// Their keys.
    pub keys: Vec<Vec<u8>>,
    /// The failure of the disk that ended the scan, if there was one.
    pub failure: Option<StoreError>,
    /// The time at which the next ones expire.
    pub next_unix_ms: u64,
}

impl KnownIds {
    /// The ids on a disk.
    pub fn of(disk: &impl Disk) -> KnownIds {
        let mut last = None;
        let seen = disk.scan(
            StoreKeyspace::Ids,
            &key::rest(&[]),
            ReadOrder::NewestFirst,
            &mut |key, _| {
                last = key::id_from(key).map(|(period, ..)| period);
                ControlFlow::Break(())
            },
        );
        // Failures of this read show where the ids are needed. The period after that of the last
        // id; 0 when there is none.
        let behind = last.map_or(0, |period: u64| period.saturating_add(1));
        KnownIds { until: if seen.is_err() { u64::MAX } else { behind } }
    }

    /// Stores the id of a message. Users without a name share their ids.
    pub fn put<D: Disk>(
        &mut self,
        staged: &mut StagedDisk<D>,
        room: RoomId,
        publication: &Publication,
    ) {
        let Publication { offset, info, time_unix_ms, .. } = publication;
        let Some(user) = repeating_author(info.as_deref()) else { return };
        let Some(id) = publication.tag(ID_TAG) else { return };
        let period = key::period(*time_unix_ms);
        self.until = self.until.max(period + 1);
        let key = key::id(period, room, *offset);
        staged.put(StoreKeyspace::Ids, &key, record::put_id(*time_unix_ms, user, id));
    }

    /// Ids of a room after a cursor, as many of one period as fit into a slice. Returns the cursor
    /// for more.
    pub fn known<D: Disk>(
        &self,
        staged: &StagedDisk<D>,
        room: RoomId,
        from: IdCursor,
        budget: &mut Budget,
        on_id: &mut dyn FnMut(KnownId),
    ) -> Result<Option<IdCursor>, StoreError> {
        if self.until <= from.period {
            return Ok(None);
        }
        budget.seek();
        let mut next = None;
        let mut fault = None;
        let range = key::ids_from(from.period, room, from.offset);
        staged.scan(StoreKeyspace::Ids, &range, ReadOrder::OldestFirst, &mut |key, value| {
            budget.read(value.len());
            let Some((period, found, offset)) = key::id_from(key) else {
                fault = Some(StoreError::Damaged);
                return ControlFlow::Break(());
            };
            if found != room {
                // Its next id of this period is after this one, or it has none.
                next = match found < room {
                    true => Some(IdCursor { period, offset: 0 }),
                    false => IdCursor::behind(period, u64::MAX),
                };
                return ControlFlow::Break(());
            }
            match record::take_id(value, offset) {
                Ok(known) => on_id(known),
                Err(undecodable) => {
                    fault = Some(undecodable.into());
                    return ControlFlow::Break(());
                }
            }
            if budget.is_slice_over() {
                next = IdCursor::behind(period, offset);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        fault.map_or(Ok(next), Err)
    }

    /// Whether an id of a room has not expired, or there are more ids than fit into a slice.
    pub fn knows<D: Disk>(
        &self,
        staged: &StagedDisk<D>,
        room: RoomId,
        now_unix_ms: u64,
    ) -> Result<bool, StoreError> {
        let since = now_unix_ms.saturating_sub(IDS_MS);
        let mut next = Some(IdCursor::since(since));
        let mut budget = Budget::default();
        let mut is_known = false;
        while let Some(place) = next.filter(|_| !is_known) {
            if budget.is_slice_over() {
                return Ok(true);
            }
            next = self.known(staged, room, place, &mut budget, &mut |known| {
                is_known |= now_unix_ms < known.time_unix_ms.saturating_add(IDS_MS);
            })?;
        }
        Ok(is_known)
    }
}

/// Expired ids after a key, at most so many.
pub(super) fn expired_ids<D: Disk>(
    staged: &StagedDisk<D>,
    after: &[u8],
    now_unix_ms: u64,
    count_max: usize,
) -> ExpiredIds {
    let now = key::period(now_unix_ms);
    // The next ones expire when the next period begins.
    let next_unix_ms = (now + 1).saturating_mul(IDS_MS);
    let mut expired = ExpiredIds { keys: Vec::new(), failure: None, next_unix_ms };
    if let Some(last) = now.checked_sub(2) {
        let (range, keys) = (key::ids_up_to(after, last), &mut expired.keys);
        let seen =
            staged.scan(StoreKeyspace::Ids, &range, ReadOrder::OldestFirst, &mut |key, _| {
                keys.push(key.to_vec());
                if keys.len() < count_max {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
        expired.failure = seen.err().map(StoreError::from);
    }
    expired
}
