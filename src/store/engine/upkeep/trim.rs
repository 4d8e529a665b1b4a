//! Trims channels: removes messages that are too old or too many from the beginning.
//!
//! Invariants: a channel's record is updated in the batch that removes its messages, so nothing
//! below `first` is ever shown; epoch and head stay as long as the channel; pending messages take
//! their content along, and so do dead letters whose messages were too many, and not too old;
//! reactions are removed with their message, and its edit loses its content.
//!
//! Deliberately absent: the choice of a channel, and the time.

use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::ChannelHead;
use crate::store::engine::staged::StagedWrite;
use crate::store::engine::writes::change;
use crate::store::engine::writes::reaction::{ReactionKeys, reacted_to};
use crate::store::key;
use crate::store::messages::{ReadOrder, StoreError};
use crate::store::options::Retention;
use crate::store::record::{self, DeadLetterRecord, MessageAccounting, PendingRecord};
use crate::wire::chat;

impl Retention {
    /// Whether a channel clearly exceeds a limit: by a margin, so that its record is not written
    /// for every message.
    pub(in crate::store::engine) fn is_over(&self, head: &ChannelHead) -> bool {
        let count = (head.offset() + 1).saturating_sub(head.first());
        let bytes = head.total_bytes().saturating_sub(head.below_bytes());
        let slack = |max: u64| max.saturating_add(max / 16).saturating_add(1);
        slack(self.count_max.into()) < count || slack(self.bytes_max) < bytes
    }
}

/// Most reactions that one step removes, unless one message has more.
const STEP_REACTIONS: usize = 1_024;

/// The result of trimming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Trimmed {
    /// Messages.
    pub count: usize,
    /// Whether there may be more to remove.
    pub rest: TrimRest,
}

/// Whether there may be more to remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum TrimRest {
    /// There is not.
    #[default]
    None,
    /// There may be.
    Some,
}

/// A message to be removed.
struct Gone {
    offset: u64,
    accounting: MessageAccounting,
    /// Its record, if something may take it along.
    message: Vec<u8>,
}

/// Removes messages that are too old or too many, at most `count_max`.
pub(super) fn trim<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    now_unix_ms: u64,
    count_max: usize,
) -> Result<Trimmed, StoreError> {
    let Some(mut head) = channels.head(room)? else { return Ok(Trimmed::default()) };
    let mut gone = over(channels, room, &head, now_unix_ms, count_max)?;
    let reactions = reactions_of(channels, room, &mut gone)?;
    end_edits(channels, room, &head, &mut gone)?;
    let Some(newest) = gone.last() else { return Ok(Trimmed::default()) };
    head.trim_to(newest.offset, &newest.accounting);
    let record = channels.record(room)?.ok_or(StoreError::Damaged)?;
    take_along(channels, room, &head, &gone, now_unix_ms)?;
    for one in &gone {
        channels.staged_mut().remove(StoreKeyspace::Messages, &key::message(room, one.offset));
    }
    reactions.keys.into_iter().for_each(|keys| keys.remove(channels));
    channels.put_record(room, &head, &record.tenant, &record.channel);
    channels.set_head(room, head);
    let rest = if gone.len() == count_max { TrimRest::Some } else { reactions.rest };
    Ok(Trimmed { count: gone.len(), rest })
}

/// The messages that are too old or too many, at most so many.
fn over<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    now_unix_ms: u64,
    count_max: usize,
) -> Result<Vec<Gone>, StoreError> {
    let rules = channels.rules(head.namespace());
    let (first, last) = (head.first(), head.offset());
    let mut below_bytes = head.below_bytes();
    let mut gone: Vec<Gone> = Vec::new();
    let mut fault = None;
    let range = key::messages(room, first, last);
    channels.staged().scan(
        StoreKeyspace::Messages,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            let place = key::message_of(key).ok_or(StoreError::Damaged);
            let accounting = record::take_accounting(value).map_err(StoreError::from);
            let (offset, accounting) = match place.and_then(|(_, at)| Ok((at, accounting?))) {
                Ok(found) => found,
                Err(failure) => {
                    fault = Some(failure);
                    return ControlFlow::Break(());
                }
            };
            let is_over = u64::from(rules.count_max) <= last - offset
                || rules.bytes_max < head.total_bytes().saturating_sub(below_bytes)
                || accounting.time_unix_ms.saturating_add(rules.age_ms_max) <= now_unix_ms;
            if !is_over || count_max <= gone.len() {
                return ControlFlow::Break(());
            }
            below_bytes = accounting.total_bytes;
            let is_needed = head.parties().is_some() || head.changes_count() != 0;
            let message = if is_needed { value.to_vec() } else { Vec::new() };
            gone.push(Gone { offset, accounting, message });
            ControlFlow::Continue(())
        },
    )?;
    if gone.is_empty() { fault.map_or(Ok(gone), Err) } else { Ok(gone) }
}

/// The reactions to the messages.
#[derive(Default)]
struct GoneReactions {
    keys: Vec<ReactionKeys>,
    rest: TrimRest,
}

/// Reactions are removed in the batch of their message; when there are very many, other messages
/// are removed later.
fn reactions_of<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    gone: &mut Vec<Gone>,
) -> Result<GoneReactions, StoreError> {
    let (Some(first), Some(last)) = (gone.first(), gone.last()) else {
        return Ok(GoneReactions::default());
    };
    let mut found = GoneReactions::default();
    let mut records_count = 0;
    for (offset, count) in reacted_to(channels, room, first.offset, last.offset)? {
        records_count += count;
        if STEP_REACTIONS < records_count && !found.keys.is_empty() {
            gone.retain(|one| one.offset < offset);
            found.rest = TrimRest::Some;
            break;
        }
        found.keys.push(ReactionKeys::of(channels, room, offset)?);
    }
    Ok(found)
}

/// Removes the content of edits whose messages are removed, in the channel and in copies.
fn end_edits<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    gone: &mut [Gone],
) -> Result<(), StoreError> {
    if head.changes_count() == 0 {
        return Ok(());
    }
    // A message that cannot be read is removed nevertheless.
    let edits = gone.iter().filter_map(|one| {
        let (message, _) = record::take_message(&one.message, one.offset).ok()?;
        chat::edit_offset(&message)
    });
    let puts = change::end_edits(channels, room, head, edits)?;
    for StagedWrite { space, key, value } in &puts {
        if *space == StoreKeyspace::Messages
            && let Some((_, edit)) = key::message_of(key)
            && let Ok(place) = gone.binary_search_by_key(&edit, |one| one.offset)
        {
            gone[place].message.clone_from(value);
        }
    }
    channels.staged_mut().put_all(puts);
    Ok(())
}

/// Gives its content to the pending message or dead letter, before it goes.
fn take_along<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    gone: &[Gone],
    now_unix_ms: u64,
) -> Result<(), StoreError> {
    let age_ms_max = channels.rules(head.namespace()).age_ms_max;
    let (Some(first), Some(last)) = (gone.first(), gone.last()) else { return Ok(()) };
    let mut moved = Vec::new();
    for inbox in head.parties().into_iter().flatten() {
        let range = key::pending_of(inbox, room, first.offset, last.offset);
        for space in [StoreKeyspace::Pending, StoreKeyspace::Dead] {
            channels.staged().scan(space, &range, ReadOrder::OldestFirst, &mut |key, value| {
                moved.push((space, key.to_vec(), value.to_vec()));
                ControlFlow::Continue(())
            })?;
        }
    }
    let mut records = Vec::with_capacity(moved.len());
    for (space, key, value) in moved {
        let offset = key::pending_from(&key).ok_or(StoreError::Damaged)?.2;
        let place = gone.binary_search_by_key(&offset, |one| one.offset);
        let message = &gone[place.map_err(|_| StoreError::Damaged)?].message;
        let value = match space {
            StoreKeyspace::Dead => {
                let said = record::take_accounting(message)?.time_unix_ms;
                if said.saturating_add(age_ms_max) <= now_unix_ms {
                    continue; // its body stays no longer than the message did
                }
                let mut record = DeadLetterRecord::take(&value)?;
                record.pending.message.clone_from(message);
                record.put()
            }
            StoreKeyspace::Meta
            | StoreKeyspace::Channels
            | StoreKeyspace::Messages
            | StoreKeyspace::Markers
            | StoreKeyspace::Conversations
            | StoreKeyspace::Pending
            | StoreKeyspace::Ids
            | StoreKeyspace::ReactionTotals
            | StoreKeyspace::Reactions
            | StoreKeyspace::GroupMembers
            | StoreKeyspace::UserGroups => {
                let mut record = PendingRecord::take(&value)?;
                record.message.clone_from(message);
                record.put()
            }
        };
        records.push(StagedWrite { space, key, value });
    }
    channels.staged_mut().put_all(records);
    Ok(())
}
