//! Removes the history of a channel by order: a write of its record, from which on nothing of it is
//! shown, however much it is. What it leaves on the disk is deleted later.
//!
//! Deliberately absent: the deletion (`upkeep::clearing`).

use crate::store::disk::{Disk, StoreKeyspace, SyncMode};
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{RemoveHistory, StoreError};
use crate::store::record;

/// Removes all messages that were put in before. Gives the last offset of them; 0 for a channel that
/// the store does not know.
pub(in crate::store::engine) fn remove_history<D: Disk>(
    channels: &mut ChannelStore<D>,
    removal: &RemoveHistory,
) -> Result<(u64, SyncMode), StoreError> {
    let RemoveHistory { room, at_unix_ms } = *removal;
    let Some(mut head) = channels.head(room)? else { return Ok((0, SyncMode::Later)) };
    if head.removed_last() == head.offset() {
        // It may stand in the batch of this turn, which is synced for it, or have been.
        return Ok((head.offset(), SyncMode::Later));
    }
    let record = channels.record(room)?.ok_or(StoreError::Damaged)?;
    // A channel is forgotten when its last message would be too old, also by a clock that was set
    // back since. One that cannot be read goes like the others.
    let newest = channels.staged().get(StoreKeyspace::Messages, &key::message(room, head.offset()));
    let newest = newest.ok().flatten().and_then(|bytes| record::take_accounting(&bytes).ok());
    head.remove_all(newest.map_or(0, |accounting| accounting.time_unix_ms).max(at_unix_ms));
    channels.put_record(room, &head, &record.tenant, &record.channel);
    channels.set_head(room, head);
    Ok((head.offset(), SyncMode::Now))
}
