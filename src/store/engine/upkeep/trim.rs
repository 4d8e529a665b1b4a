//! Messages that are too old or too many go from the beginning of their channels.
//!
//! Invariants: a channel's record moves in the same batch as its messages go, so
//! nothing below `first` is ever shown; epoch and head stay as long as the channel does;
//! what still waits for its reader takes its content along, and so does a dead letter whose
//! message was not too old but too much.
//!
//! Deliberately absent: which channel is looked at, and when.

use std::ops::ControlFlow;

use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::{ChannelHead, EpochState};
use crate::store::engine::staged::Put;
use crate::store::key;
use crate::store::letter::{ReadOrder, StoreError};
use crate::store::options::Retention;
use crate::store::record::{self, DeadLetterRecord, PendingRecord};

impl Retention {
    /// Whether a channel has clearly too much: a little over, so that records are
    /// not written for every message.
    pub(in crate::store::engine) fn is_over(&self, head: &ChannelHead) -> bool {
        let count = (head.offset + 1).saturating_sub(head.first);
        let bytes = head.total_bytes.saturating_sub(head.below_bytes);
        let slack = |max: u64| max.saturating_add(max / 16).saturating_add(1);
        slack(self.count_max.into()) < count || slack(self.bytes_max) < bytes
    }
}

/// Removes from the beginning of a channel what is too old or too much, at
/// most `count_max` messages; how many it were.
pub(super) fn trim<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    now_unix_ms: u64,
    count_max: usize,
) -> Result<usize, StoreError> {
    let Some(mut head) = channels.head(room)? else { return Ok(0) };
    let rules = channels.rules(head.namespace);
    let (first, last) = (head.first, head.offset);
    let mut gone: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut fault = None;
    let range = key::messages(room, first, last);
    channels.staged().scan(
        StoreKeyspace::Messages,
        &range,
        ReadOrder::OldestFirst,
        &mut |key, value| {
            let place = key::message_of(key).ok_or(StoreError::Damaged);
            let account = record::take_account(value).map_err(StoreError::from);
            let (offset, account) = match place.and_then(|(_, at)| Ok((at, account?))) {
                Ok(found) => found,
                Err(failure) => {
                    fault = Some(failure);
                    return ControlFlow::Break(());
                }
            };
            let is_over = u64::from(rules.count_max) <= last - offset
                || rules.bytes_max < head.total_bytes.saturating_sub(head.below_bytes)
                || account.time_unix_ms.saturating_add(rules.age_ms_max) <= now_unix_ms;
            if !is_over || count_max <= gone.len() {
                return ControlFlow::Break(());
            }
            head.first = offset + 1;
            head.below_bytes = account.total_bytes;
            head.last_unix_ms = account.time_unix_ms;
            gone.push((offset, if head.parties.is_some() { value.to_vec() } else { Vec::new() }));
            ControlFlow::Continue(())
        },
    )?;
    if gone.is_empty() {
        return fault.map_or(Ok(0), Err);
    }
    let record = channels.record(room)?.ok_or(StoreError::Damaged)?;
    take_along(channels, room, &head, &gone, now_unix_ms)?;
    for (offset, _) in &gone {
        channels.staged_mut().remove(StoreKeyspace::Messages, &key::message(room, *offset));
    }
    channels.put_record(room, &head, &record.tenant, &record.channel);
    head.naming = EpochState::Written;
    channels.set_head(room, head);
    Ok(gone.len())
}

/// Gives its content to what waits for a reader, or is dead, before it goes.
fn take_along<D: Disk>(
    channels: &mut ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    gone: &[(u64, Vec<u8>)],
    now_unix_ms: u64,
) -> Result<(), StoreError> {
    let age_ms_max = channels.rules(head.namespace).age_ms_max;
    let (Some((first, _)), Some((last, _))) = (gone.first(), gone.last()) else {
        return Ok(());
    };
    let mut moved = Vec::new();
    for inbox in head.parties.into_iter().flatten() {
        let range = key::pending_of(inbox, room, *first, *last);
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
        let place = gone.binary_search_by_key(&offset, |(offset, _)| *offset);
        let letter = &gone[place.map_err(|_| StoreError::Damaged)?].1;
        let value = match space {
            StoreKeyspace::Dead => {
                let said = record::take_account(letter)?.time_unix_ms;
                if said.saturating_add(age_ms_max) <= now_unix_ms {
                    continue; // its body lives no longer than the message did
                }
                let mut record = DeadLetterRecord::take(&value)?;
                record.pending.letter.clone_from(letter);
                record.put()
            }
            StoreKeyspace::Meta
            | StoreKeyspace::Channels
            | StoreKeyspace::Messages
            | StoreKeyspace::Marks
            | StoreKeyspace::Talks
            | StoreKeyspace::Pending
            | StoreKeyspace::Ids => {
                let mut record = PendingRecord::take(&value)?;
                record.letter.clone_from(letter);
                record.put()
            }
        };
        records.push(Put { space, key, value });
    }
    channels.staged_mut().put_all(records);
    Ok(())
}
