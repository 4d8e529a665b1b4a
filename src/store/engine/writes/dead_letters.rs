//! Changes of dead letters of one conversation, by order: they wait for their readers again, or are
//! forgotten.
//!
//! Deliberately absent: how a message becomes one (`pending`).

use std::ops::ControlFlow;

use crate::base::limits::DEAD_LETTERS_CHANGED_MAX;
use crate::store::disk::{Disk, StoreKeyspace, SyncMode};
use crate::store::engine::channels::ChannelStore;
use crate::store::key;
use crate::store::messages::{
    ChangeDeadLetters, ChangedDeadLetters, DeadLetterFate, ReadOrder, StoreError,
};
use crate::store::record::{DeadLetterRecord, PendingRecord};

/// What is written.
pub(in crate::store::engine) struct DeadLettersWrite {
    /// What becomes of them.
    pub changed: ChangedDeadLetters,
    /// The keys of those that are dead letters no more.
    pub keys: Vec<Vec<u8>>,
    /// When it is certain.
    pub durable: SyncMode,
}

/// A dead letter that is changed.
struct Found {
    /// Which of the inboxes has it.
    index: usize,
    key: Vec<u8>,
    record: DeadLetterRecord,
}

/// Changes them. All is read before anything is written.
pub(in crate::store::engine) fn change_dead_letters<D: Disk>(
    channels: &mut ChannelStore<D>,
    change: &ChangeDeadLetters,
) -> Result<DeadLettersWrite, StoreError> {
    let mut found = found(channels, change)?;
    let mut changed = ChangedDeadLetters {
        is_full: found.len() == DEAD_LETTERS_CHANGED_MAX,
        ..ChangedDeadLetters::default()
    };
    if let DeadLetterFate::Requeued { .. } = change.fate {
        let mut whole = Vec::new();
        for one in found {
            match has_content(channels, &one)? {
                true => whole.push(one),
                false => changed.empty_count += 1,
            }
        }
        found = whole;
    }
    let durable = if found.is_empty() { SyncMode::Later } else { SyncMode::Now };
    let mut keys = Vec::new();
    for Found { index, key, record } in found {
        changed.counts[index] += 1;
        channels.staged_mut().remove(StoreKeyspace::Dead, &key);
        if let DeadLetterFate::Requeued { expires_unix_ms } = change.fate {
            let message = record.pending.message;
            let pending = PendingRecord { tries_count: 0, expires_unix_ms, message };
            channels.staged_mut().put(StoreKeyspace::Pending, &key, pending.put());
            if let Some((inbox, room, offset)) = key::pending_from(&key) {
                // It may have acknowledged what came later.
                channels.waits_again(inbox, room, offset);
            }
        }
        keys.push(key);
    }
    Ok(DeadLettersWrite { changed, keys, durable })
}

/// Those that are meant and are there.
fn found<D: Disk>(
    channels: &mut ChannelStore<D>,
    change: &ChangeDeadLetters,
) -> Result<Vec<Found>, StoreError> {
    let ChangeDeadLetters { room, inboxes, offset, .. } = *change;
    let (first, last) = offset.map_or((0, u64::MAX), |offset| (offset, offset));
    let mut entries = Vec::new();
    for (index, inbox) in inboxes.into_iter().enumerate() {
        // Who writes to oneself has one inbox.
        if index == 1 && inboxes[0] == inbox {
            break;
        }
        let range = key::pending_of(inbox, room, first, last);
        let order = ReadOrder::OldestFirst;
        channels.staged().scan(StoreKeyspace::Dead, &range, order, &mut |key, value| {
            entries.push((index, key.to_vec(), DeadLetterRecord::take(value)));
            match entries.len() {
                DEAD_LETTERS_CHANGED_MAX => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        })?;
        if entries.len() == DEAD_LETTERS_CHANGED_MAX {
            break;
        }
    }
    let mut found = Vec::new();
    for (index, key, record) in entries {
        let (_, room, offset) = key::pending_from(&key).ok_or(StoreError::Damaged)?;
        // What was removed by order is gone, and goes from the disk by itself.
        if !channels.is_removed(room, offset) {
            found.push(Found { index, key, record: record? });
        }
    }
    Ok(found)
}

/// Whether what it says is kept, with itself or in its channel.
fn has_content<D: Disk>(channels: &ChannelStore<D>, one: &Found) -> Result<bool, StoreError> {
    if !one.record.pending.message.is_empty() {
        return Ok(true);
    }
    let (_, room, offset) = key::pending_from(&one.key).ok_or(StoreError::Damaged)?;
    let kept = channels.staged().get(StoreKeyspace::Messages, &key::message(room, offset))?;
    Ok(kept.is_some())
}
