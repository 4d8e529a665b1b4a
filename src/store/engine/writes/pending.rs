//! Changes of pending messages: another delivery attempt, or the move to the dead letters.
//!
//! Deliberately absent: expiry (`upkeep`).

use crate::store::disk::{Disk, StoreKeyspace, SyncMode};
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{
    DeadLetterCause, DeliveryAttempt, NewDeadLetter, StoreError, StoreResult,
};
use crate::store::record::{DeadLetterRecord, PendingRecord};

/// A message that has become a dead letter.
#[derive(Debug)]
pub(in crate::store::engine) struct DeadLettered {
    /// Its key.
    pub key: Vec<u8>,
    /// Why it is one.
    pub cause: DeadLetterCause,
    /// Since when it is one, Unix ms.
    pub at_unix_ms: u64,
}

/// Counts a delivery attempt of a pending message.
pub(in crate::store::engine) fn tried<D: Disk>(
    channels: &mut ChannelStore<D>,
    tried: &DeliveryAttempt,
) -> Result<(StoreResult, SyncMode), StoreError> {
    let DeliveryAttempt { inbox, room, offset, tries_count } = *tried;
    let key = key::pending(inbox, room, offset);
    if let Some(value) = channels.staged().get(StoreKeyspace::Pending, &key)? {
        let mut record = PendingRecord::take(&value)?;
        record.tries_count = record.tries_count.max(tries_count);
        channels.staged_mut().put(StoreKeyspace::Pending, &key, record.put());
    }
    // One more attempt after a crash does no harm.
    Ok((StoreResult::Done, SyncMode::Later))
}

/// A pending message is given up; `None` where it was acknowledged or removed, or is a dead letter
/// already.
pub(in crate::store::engine) fn dead_letter<D: Disk>(
    channels: &mut ChannelStore<D>,
    new_dead_letter: &NewDeadLetter,
) -> Result<(Option<DeadLettered>, SyncMode), StoreError> {
    let NewDeadLetter { inbox, room, offset, cause, at_unix_ms } = *new_dead_letter;
    let key = key::pending(inbox, room, offset);
    let Some(value) = channels.staged().get(StoreKeyspace::Pending, &key)? else {
        return Ok((None, SyncMode::Later));
    };
    if channels.is_removed(room, offset) {
        return Ok((None, SyncMode::Later));
    }
    let pending = PendingRecord::take(&value)?;
    let durable =
        channels.head(room)?.map_or(SyncMode::Now, |head| channels.durable(head.namespace()));
    let dead_lettered = DeadLettered { key: key.to_vec(), cause, at_unix_ms };
    put_dead_letter(channels, &dead_lettered, pending);
    Ok((Some(dead_lettered), durable))
}

/// Moves a pending message to the dead letters.
pub(in crate::store::engine) fn put_dead_letter<D: Disk>(
    channels: &mut ChannelStore<D>,
    dead_lettered: &DeadLettered,
    pending: PendingRecord,
) {
    let DeadLettered { key, cause, at_unix_ms } = dead_lettered;
    let record = DeadLetterRecord { cause: *cause, at_unix_ms: *at_unix_ms, pending };
    channels.staged_mut().remove(StoreKeyspace::Pending, key);
    channels.staged_mut().put(StoreKeyspace::Dead, key, record.put());
}
