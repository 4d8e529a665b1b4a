//! Advances read markers, and removes the pending messages that are acknowledged by that.
//!
//! Deliberately absent: receipts (`room`).

use std::ops::ControlFlow;

use crate::base::ShardId;
use crate::store::disk::{Disk, StoreKeyspace, SyncMode};
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::queue::MarkerCleanup;
use crate::store::messages::{
    AdvanceMarker, MarkerPosition, ReadMarkers, ReadOrder, RequestId, StoreError, StoreResult,
};
use crate::store::{key, record};

/// Most pending messages that one step of an acknowledgement removes: other writes wait for one
/// step, and not for all pending messages of one user.
const CLEARED_AT_ONCE_MAX: usize = 256;

/// How far the write of a user's read markers got.
pub(in crate::store::engine) enum MarkerWrite {
    /// All of it is planned.
    Whole(StoreResult),
    /// Some of the acknowledged messages are removed in later turns.
    Clears(MarkerCleanup),
}

/// The progress of an acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::engine) enum Cleared {
    /// All acknowledged messages were removed.
    All,
    /// Some are left.
    Partly,
}

/// Advances a user's marker.
pub(in crate::store::engine) fn advance_marker<D: Disk>(
    channels: &mut ChannelStore<D>,
    advance: &AdvanceMarker,
    from: ShardId,
    request_id: RequestId,
) -> Result<(MarkerWrite, SyncMode), StoreError> {
    let AdvanceMarker { room, user, inbox, position } = advance;
    let Some(head) = channels.head(*room)? else {
        // All messages were removed, and the channel with them.
        let none = ReadMarkers::default();
        let unchanged = StoreResult::MarkerAdvanced { before: none, after: none };
        return Ok((MarkerWrite::Whole(unchanged), SyncMode::Later));
    };
    let (MarkerPosition::Delivered(offset) | MarkerPosition::Read(offset)) = *position;
    // The request knows of a message that is not here.
    if head.offset() < offset {
        return Err(StoreError::Broken);
    }
    let key = key::named(*room, user);
    let known = channels.markers_at(&key)?;
    let before = known.unwrap_or_default();
    let delivered = before.delivered.max(offset);
    let after = match position {
        MarkerPosition::Delivered(_) => ReadMarkers { delivered, ..before },
        MarkerPosition::Read(read) if *read < before.read => {
            return Ok((MarkerWrite::Whole(StoreResult::Behind(before)), SyncMode::Later));
        }
        MarkerPosition::Read(read) => ReadMarkers { delivered, read: *read },
    };
    let outcome = StoreResult::MarkerAdvanced { before, after };
    let mut cleanup = MarkerCleanup {
        from,
        request_id,
        inbox: *inbox,
        room: *room,
        first: channels.acknowledged(*inbox, *room),
        last: offset,
        namespace: head.namespace(),
        outcome,
    };
    let arrived = match head.parties() {
        Some(_) => waiting(channels, &cleanup)?,
        None => Vec::new(),
    };
    let mut conversation = None;
    if known.is_none() {
        let record = channels.record(*room)?.ok_or(StoreError::Damaged)?;
        conversation = Some(key::named(*inbox, &record.channel));
    }
    let changes = known != Some(after) || !arrived.is_empty();
    let cleared = remove_waiting(channels, &mut cleanup, arrived);
    if head.parties().is_some() && cleared == Cleared::All {
        channels.acknowledge(*inbox, *room, offset);
    }
    if let Some(key) = conversation {
        channels.staged_mut().put(
            StoreKeyspace::Conversations,
            &key,
            record::put_conversation(*room),
        );
    }
    if known != Some(after) {
        channels.staged_mut().put(StoreKeyspace::Markers, &key, record::put_markers(after));
    }
    let durable = if changes { channels.durable(head.namespace()) } else { SyncMode::Later };
    match cleared {
        Cleared::All => Ok((MarkerWrite::Whole(cleanup.outcome), durable)),
        Cleared::Partly => Ok((MarkerWrite::Clears(cleanup), durable)),
    }
}

/// Removes some more of the acknowledged messages.
pub(in crate::store::engine) fn clear<D: Disk>(
    channels: &mut ChannelStore<D>,
    cleanup: &mut MarkerCleanup,
) -> Result<(Cleared, SyncMode), StoreError> {
    let arrived = waiting(channels, cleanup)?;
    let durable = match arrived.is_empty() {
        true => SyncMode::Later,
        false => channels.durable(cleanup.namespace),
    };
    let cleared = remove_waiting(channels, cleanup, arrived);
    if cleared == Cleared::All {
        channels.acknowledge(cleanup.inbox, cleanup.room, cleanup.last);
    }
    Ok((cleared, durable))
}

/// Removes these acknowledged messages.
fn remove_waiting<D: Disk>(
    channels: &mut ChannelStore<D>,
    cleanup: &mut MarkerCleanup,
    arrived: Vec<(u64, Vec<u8>)>,
) -> Cleared {
    let is_last = arrived.len() < CLEARED_AT_ONCE_MAX;
    let cleared = if is_last { Cleared::All } else { Cleared::Partly };
    if let Some((offset, _)) = arrived.last() {
        cleanup.first = offset.saturating_add(1);
    }
    for (_, key) in arrived {
        channels.staged_mut().remove(StoreKeyspace::Pending, &key);
    }
    cleared
}

/// Offsets and keys of acknowledged messages of a room that are pending in an inbox, as many as one
/// step removes.
fn waiting<D: Disk>(
    channels: &ChannelStore<D>,
    cleanup: &MarkerCleanup,
) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let MarkerCleanup { inbox, room, first, last, .. } = *cleanup;
    let mut waiting = Vec::new();
    let range = key::pending_of(inbox, room, first, last);
    channels.staged().scan(
        StoreKeyspace::Pending,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, _| {
            let offset = key::pending_from(key).map_or(last, |(.., offset)| offset);
            waiting.push((offset, key.to_vec()));
            if waiting.len() < CLEARED_AT_ONCE_MAX {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    Ok(waiting)
}
