//! Deletes what is left on the disk of messages that were removed by order: what waits for readers
//! first, and then the messages from the beginning, with their reactions.
//!
//! Invariants: what is deleted here is not shown any more; reactions go in the batch of their
//! message; how far it got stands in the channel's record, in the same batch, so that a start goes
//! on with it.
//!
//! Deliberately absent: the removal itself (`writes::history_removal`), and the choice of a channel.

use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::store::disk::{Disk, DiskError, StoreKeyspace};
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::ChannelHead;
use crate::store::engine::writes::reaction::{ReactionKeys, reacted_to};
use crate::store::key;
use crate::store::messages::{ReadOrder, StoreError};
use crate::store::record::RemovedHistory;

/// Most reactions that one step deletes, unless one message has more.
const STEP_REACTIONS: usize = 1_024;

/// What a step has deleted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ClearedStep {
    /// Messages, and what waited for readers.
    pub count: usize,
    /// Keys of dead letters among that.
    pub dead: Vec<Vec<u8>>,
    /// Whether more is left.
    pub rest: ClearRest,
}

/// Whether more of a channel's removed messages is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum ClearRest {
    /// It is not.
    #[default]
    None,
    /// It may be.
    Some,
}

/// Deletes some of what is left of a channel's removed messages, at most `count_max`.
pub(super) fn clear<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    count_max: usize,
) -> Result<ClearedStep, StoreError> {
    let Some(mut head) = channels.head(room)? else { return Ok(ClearedStep::default()) };
    let Some(removed) = head.removed().filter(|removed| removed.is_left()) else {
        return Ok(ClearedStep::default());
    };
    let waiting = waiting(channels, room, &head, removed, count_max)?;
    if !waiting.is_empty() {
        return Ok(clear_waiting(channels, waiting));
    }
    let RemovedHistory { last, left_from } = removed;
    let (offsets, is_last) = messages(channels, room, removed, count_max)?;
    let mut next = if is_last { last + 1 } else { offsets.last().map_or(last, |one| one + 1) };
    let mut reactions = Vec::new();
    let mut reactions_count = 0;
    for (offset, count) in reacted_to(channels, room, left_from, next - 1)? {
        reactions_count += count;
        if STEP_REACTIONS < reactions_count && !reactions.is_empty() {
            next = offset;
            break;
        }
        reactions.push(ReactionKeys::of(channels, room, offset)?);
    }
    let record = channels.record(room)?.ok_or(StoreError::Damaged)?;
    let mut cleared = ClearedStep::default();
    for offset in offsets.into_iter().filter(|offset| *offset < next) {
        channels.staged_mut().remove(StoreKeyspace::Messages, &key::message(room, offset));
        cleared.count += 1;
    }
    reactions.into_iter().for_each(|keys| keys.remove(channels));
    head.clear_to(next);
    channels.put_record(room, &head, &record.tenant, &record.channel);
    channels.set_head(room, head);
    cleared.rest = if next <= last { ClearRest::Some } else { ClearRest::None };
    Ok(cleared)
}

/// The next removed messages that are on the disk, and whether these are the last.
fn messages<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    removed: RemovedHistory,
    count_max: usize,
) -> Result<(Vec<u64>, bool), DiskError> {
    let mut offsets = Vec::new();
    let range = key::messages(room, removed.left_from, removed.last);
    let (space, order) = (StoreKeyspace::Messages, ReadOrder::OldestFirst);
    channels.staged().scan(space, &range, order, &mut |key, _| {
        offsets.extend(key::message_of(key).map(|(_, offset)| offset));
        if offsets.len() < count_max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let is_last = offsets.len() < count_max;
    Ok((offsets, is_last))
}

/// What of removed messages still waits for readers, or is a dead letter.
fn waiting<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    removed: RemovedHistory,
    count_max: usize,
) -> Result<Vec<(StoreKeyspace, Vec<u8>)>, DiskError> {
    let mut found = Vec::new();
    for inbox in head.parties().into_iter().flatten() {
        let range = key::pending_of(inbox, room, 0, removed.last);
        for space in [StoreKeyspace::Pending, StoreKeyspace::Dead] {
            channels.staged().scan(space, &range, ReadOrder::OldestFirst, &mut |key, _| {
                if found.len() < count_max {
                    found.push((space, key.to_vec()));
                    return ControlFlow::Continue(());
                }
                ControlFlow::Break(())
            })?;
        }
    }
    Ok(found)
}

fn clear_waiting<D: Disk>(
    channels: &mut ChannelStore<D>,
    waiting: Vec<(StoreKeyspace, Vec<u8>)>,
) -> ClearedStep {
    let mut cleared = ClearedStep { count: waiting.len(), dead: Vec::new(), rest: ClearRest::Some };
    for (space, key) in waiting {
        channels.staged_mut().remove(space, &key);
        if space == StoreKeyspace::Dead {
            cleared.dead.push(key);
        }
    }
    cleared
}
