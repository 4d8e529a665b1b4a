//! Removes dead letters, and the records of empty channels with their read markers and their
//! entries in conversations.
//!
//! Invariants: a channel's readers go before its record, so that a channel that is created
//! again begins without them; a channel with a pending message or a dead letter stays, as
//! does one in which a message may still be repeated, and a group with members; of a dead letter no body is left when
//! its message would have been too old.
//!
//! Deliberately absent: the choice of a channel, and the time.

use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::ChannelHead;
use crate::store::key;
use crate::store::messages::{ReadOrder, StoreError};
use crate::store::record::{self, DeadLetterRecord};

/// Most read markers that a step removes.
const STEP_READERS: usize = 256;

/// The progress of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChannelRemoval {
    /// It stays.
    Keep,
    /// Some of its read markers are left.
    Partly,
    /// It stays, and something is left of messages that were removed by order.
    Left,
    /// All of it is gone.
    Gone,
    /// All of it is gone, except its entries in the conversations of its readers.
    GoneButConversations,
}

/// What is done with a dead letter.
pub(super) enum DeadLetterAction {
    /// It stays.
    Keep,
    /// Its content is removed.
    DropBody,
    /// It is removed.
    Remove,
}

/// Decides what is done with this dead letter.
pub(super) fn action<D: Disk>(
    channels: &mut ChannelStore<D>,
    key: &[u8],
    dead: &DeadLetterRecord,
    now_unix_ms: u64,
) -> Result<DeadLetterAction, StoreError> {
    let (_, room, offset) = key::pending_from(key).ok_or(StoreError::Damaged)?;
    let Some(head) = channels.head(room)? else { return Ok(DeadLetterAction::Remove) };
    if offset <= head.removed_last() {
        return Ok(DeadLetterAction::Remove);
    }
    let rules = channels.rules(head.namespace());
    let is_too_old =
        |since_unix_ms: u64| since_unix_ms.saturating_add(rules.age_ms_max) <= now_unix_ms;
    if is_too_old(dead.at_unix_ms) || offset.saturating_add(rules.count_max.into()) <= head.offset()
    {
        return Ok(DeadLetterAction::Remove);
    }
    if dead.pending.message.is_empty() {
        return Ok(DeadLetterAction::Keep);
    }
    let said = record::take_accounting(&dead.pending.message)?.time_unix_ms;
    Ok(if is_too_old(said) { DeadLetterAction::DropBody } else { DeadLetterAction::Keep })
}

/// Removes the rest of a channel, if its last message was removed long enough ago and nothing is
/// pending.
pub(super) fn remove_channel<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    now_unix_ms: u64,
) -> Result<ChannelRemoval, StoreError> {
    let Some(head) = channels.head(room)? else { return Ok(ChannelRemoval::Keep) };
    if head.removed().is_some_and(|removed| removed.is_left()) {
        return Ok(ChannelRemoval::Left);
    }
    let stays_ms = channels.rules(head.namespace()).channel_ms_max;
    let is_over =
        head.offset() < head.first() && head.last_unix_ms().saturating_add(stays_ms) <= now_unix_ms;
    if !is_over || is_waited_for(channels, room, &head)? || channels.knows_ids(room, now_unix_ms)? {
        return Ok(ChannelRemoval::Keep);
    }
    // The members of a group last longer than what is said there.
    if has_members(channels, room)? {
        return Ok(ChannelRemoval::Keep);
    }
    let record = channels.record(room)?.ok_or(StoreError::Damaged)?;
    let readers = key::names_of(room);
    let mut keys = Vec::new();
    channels.staged().scan(
        StoreKeyspace::Markers,
        &readers,
        ReadOrder::OldestFirst,
        &mut |key, _| {
            keys.push(key.to_vec());
            if keys.len() < STEP_READERS {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        },
    )?;
    for key in &keys {
        channels.staged_mut().remove(StoreKeyspace::Markers, key);
    }
    if keys.len() == STEP_READERS {
        return Ok(ChannelRemoval::Partly);
    }
    channels.remove_record(room, &head, &record.channel);
    // Its readers have it among their conversations, which only their inboxes know.
    let forgotten =
        head.parties().map_or(ChannelRemoval::GoneButConversations, |_| ChannelRemoval::Gone);
    Ok(forgotten)
}

/// Whether it is a group of somebody.
fn has_members<D: Disk>(channels: &ChannelStore<D>, room: RoomId) -> Result<bool, StoreError> {
    let mut found = false;
    channels.staged().scan(
        StoreKeyspace::GroupMembers,
        &key::names_of(room),
        ReadOrder::OldestFirst,
        &mut |_, _| {
            found = true;
            ControlFlow::Break(())
        },
    )?;
    Ok(found)
}

/// Whether a message is pending there, or a dead letter.
fn is_waited_for<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
) -> Result<bool, StoreError> {
    let mut found = false;
    for inbox in head.parties().into_iter().flatten() {
        let range = key::pending_of(inbox, room, 0, u64::MAX);
        for space in [StoreKeyspace::Pending, StoreKeyspace::Dead] {
            channels.staged().scan(space, &range, ReadOrder::OldestFirst, &mut |_, _| {
                found = true;
                ControlFlow::Break(())
            })?;
        }
    }
    Ok(found)
}
