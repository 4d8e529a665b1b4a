//! Replaces the content of changed messages, wherever it is stored.
//!
//! An edit that is superseded keeps its offset without its content: its message was edited again,
//! retracted, or removed by retention.
//!
//! Deliberately absent: permissions (`room`), and the view of clients (`wire::chat`).

use std::sync::Arc;

use crate::base::RoomId;
use crate::store::change::ChangeKind;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::ChannelHead;
use crate::store::engine::staged::StagedWrite;
use crate::store::messages::{Addressee, Append, StoreError};
use crate::store::record::{DeadLetterRecord, PendingRecord};
use crate::store::{key, record};
use crate::wire::{Publication, chat};

/// The writes of a change, apart from its own message.
#[derive(Default)]
pub(in crate::store::engine) struct Replaced {
    /// Replacements of records.
    pub puts: Vec<StagedWrite>,
    /// The new messages, for reads in progress.
    pub messages: Vec<Arc<Publication>>,
    /// The edit without content, when retention has removed its message.
    pub wordless: Option<Publication>,
}

/// The replacements for the message that is changed, and for the edit before.
pub(in crate::store::engine) fn replaced<D: Disk>(
    channels: &ChannelStore<D>,
    head: &ChannelHead,
    append: &Append,
) -> Result<Replaced, StoreError> {
    let mut replaced = Replaced::default();
    let (room, Some(change)) = (append.room, &append.change) else { return Ok(replaced) };
    let stored = StoredCopies::find(channels, room, head, change.target())?;
    // Retention has removed it meanwhile, whether or not it still waits for somebody.
    let is_removed = stored.as_ref().is_none_or(|stored| stored.in_channel.is_none());
    if is_removed && change.kind == ChangeKind::Edit {
        replaced.wordless = Some(chat::superseded(&append.publication));
    }
    if let Some(stored) = stored {
        replaced.puts.extend(stored.put(&change.replacement)?);
    }
    replaced.messages.push(Arc::clone(&change.replacement));
    if let Some(edit) = change.superseded
        && let Some(stored) = StoredCopies::find(channels, room, head, edit)?
    {
        let left = Arc::new(chat::superseded(&stored.message()?));
        replaced.puts.extend(stored.put(&left)?);
        replaced.messages.push(left);
    }
    Ok(replaced)
}

/// Replacements for the edits, at these offsets, of messages that retention removes.
pub(in crate::store::engine) fn end_edits<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    edits: impl Iterator<Item = u64>,
) -> Result<Vec<StagedWrite>, StoreError> {
    let mut puts = Vec::new();
    for edit in edits {
        if let Some(stored) = StoredCopies::find(channels, room, head, edit)? {
            let left = chat::superseded(&stored.message()?);
            puts.extend(stored.put(&left)?);
        }
    }
    Ok(puts)
}

/// The user whom an edit waits for, no longer than the message does that it changes.
pub(in crate::store::engine) fn outlived<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    target: u64,
    addressee: Addressee,
) -> Result<Addressee, StoreError> {
    let key = key::pending(addressee.inbox, room, target);
    let waits = channels.staged().get(StoreKeyspace::Pending, &key)?;
    let dead = channels.staged().get(StoreKeyspace::Dead, &key)?;
    let waits = waits.map(|value| PendingRecord::take(&value)).transpose()?;
    let dead = dead.map(|value| DeadLetterRecord::take(&value)).transpose()?;
    let ends = waits.or(dead.map(|dead| dead.pending)).map(|record| record.expires_unix_ms);
    let expires_unix_ms = addressee.expires_unix_ms.min(ends.unwrap_or(u64::MAX));
    Ok(Addressee { expires_unix_ms, ..addressee })
}

/// The stored copies of a message: in its channel, and in records that took its content along when
/// retention removed it.
struct StoredCopies {
    offset: u64,
    in_channel: Option<StagedWrite>,
    copies: Vec<Copy>,
}

impl StoredCopies {
    /// Finds the copies of a message, if there are any.
    fn find<D: Disk>(
        channels: &ChannelStore<D>,
        room: RoomId,
        head: &ChannelHead,
        offset: u64,
    ) -> Result<Option<StoredCopies>, StoreError> {
        let key = key::message(room, offset);
        let value = match offset < head.first() {
            true => None,
            false => channels.staged().get(StoreKeyspace::Messages, &key)?,
        };
        let space = StoreKeyspace::Messages;
        let in_channel = value.map(|value| StagedWrite { space, key: key.to_vec(), value });
        let copies = copies(channels, head, room, offset)?;
        let is_there = in_channel.is_some() || !copies.is_empty();
        Ok(is_there.then_some(StoredCopies { offset, in_channel, copies }))
    }

    /// The content.
    fn stands(&self) -> &[u8] {
        let in_channel = self.in_channel.as_ref().map(|put| &put.value[..]);
        let copy = self.copies.first().map(Copy::message);
        in_channel.or(copy).expect("a message without content has no places")
    }

    /// The message.
    fn message(&self) -> Result<Publication, StoreError> {
        Ok(record::take_message(self.stands(), self.offset)?.0)
    }

    /// Replaces all copies. The counters stay: they count what was appended, not what is left.
    fn put(self, left: &Publication) -> Result<Vec<StagedWrite>, StoreError> {
        let accounting = record::take_accounting(self.stands())?;
        let value = record::put_message(left, accounting.total_bytes, accounting.changes_count);
        let in_channel = self.in_channel.map(|put| StagedWrite { value: value.clone(), ..put });
        let copied = self.copies.into_iter().map(|copy| copy.with_message(value.clone()));
        Ok(in_channel.into_iter().chain(copied).collect())
    }
}

/// The records that took a message's content along when retention removed it.
fn copies<D: Disk>(
    channels: &ChannelStore<D>,
    head: &ChannelHead,
    room: RoomId,
    offset: u64,
) -> Result<Vec<Copy>, StoreError> {
    let mut copies = Vec::new();
    if offset <= head.removed_last() {
        return Ok(copies);
    }
    for inbox in head.parties().into_iter().flatten() {
        let key = key::pending(inbox, room, offset);
        if let Some(value) = channels.staged().get(StoreKeyspace::Pending, &key)? {
            copies.push(Copy::Pending(key.to_vec(), PendingRecord::take(&value)?));
        }
        if let Some(value) = channels.staged().get(StoreKeyspace::Dead, &key)? {
            copies.push(Copy::Dead(key.to_vec(), DeadLetterRecord::take(&value)?));
        }
    }
    copies.retain(|copy| !copy.message().is_empty());
    Ok(copies)
}

/// A copy outside of the channel.
enum Copy {
    Pending(Vec<u8>, PendingRecord),
    Dead(Vec<u8>, DeadLetterRecord),
}

impl Copy {
    fn message(&self) -> &[u8] {
        match self {
            Copy::Pending(_, record) => &record.message,
            Copy::Dead(_, record) => &record.pending.message,
        }
    }

    fn with_message(self, message: Vec<u8>) -> StagedWrite {
        match self {
            Copy::Pending(key, mut record) => {
                record.message = message;
                StagedWrite { space: StoreKeyspace::Pending, key, value: record.put() }
            }
            Copy::Dead(key, mut record) => {
                record.pending.message = message;
                StagedWrite { space: StoreKeyspace::Dead, key, value: record.put() }
            }
        }
    }
}
