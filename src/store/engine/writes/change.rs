//! What stands in the places of messages that are changed, wherever their content stands.
//!
//! Of an edit whose words are gone the place is left: because its message got others, was taken
//! back, or went with its time.
//!
//! Deliberately absent: who may change a message (`room`), and how clients see it
//! (`wire::chat`).

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

/// What a change writes, beside the message that says it.
#[derive(Default)]
pub(in crate::store::engine) struct Replaced {
    /// In the places of messages.
    pub puts: Vec<StagedWrite>,
    /// What these messages are now, for whoever is reading them.
    pub messages: Vec<Arc<Publication>>,
    /// What the edit of a message says that went with its time: no words.
    pub wordless: Option<Publication>,
}

/// What a message leaves of the one that it changes, and of the edit before it.
pub(in crate::store::engine) fn replaced<D: Disk>(
    channels: &ChannelStore<D>,
    head: &ChannelHead,
    append: &Append,
) -> Result<Replaced, StoreError> {
    let mut replaced = Replaced::default();
    let (room, Some(change)) = (append.room, &append.change) else { return Ok(replaced) };
    match (StoredCopies::find(channels, room, head, change.target())?, change.kind) {
        (Some(stored), _) => replaced.puts.extend(stored.put(&change.replacement)?),
        // Retention was faster.
        (None, ChangeKind::Edit) => replaced.wordless = Some(chat::superseded(&append.publication)),
        (None, ChangeKind::Retraction) => (),
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

/// What is left of the edits, at these places, of messages that go with their time.
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

/// Where a message's content stands: in its channel, and where it was taken along when its
/// channel let it go.
struct StoredCopies {
    offset: u64,
    in_channel: Option<StagedWrite>,
    copies: Vec<Copy>,
}

impl StoredCopies {
    /// Those of a message, if there are any.
    fn find<D: Disk>(
        channels: &ChannelStore<D>,
        room: RoomId,
        head: &ChannelHead,
        offset: u64,
    ) -> Result<Option<StoredCopies>, StoreError> {
        let key = key::message(room, offset);
        let value = match offset < head.first {
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

    /// What stands there instead. The accounts stay: they say what was put in, not what is left.
    fn put(self, left: &Publication) -> Result<Vec<StagedWrite>, StoreError> {
        let accounting = record::take_accounting(self.stands())?;
        let value = record::put_message(left, accounting.total_bytes, accounting.changes_count);
        let in_channel = self.in_channel.map(|put| StagedWrite { value: value.clone(), ..put });
        let copied = self.copies.into_iter().map(|copy| copy.with_message(value.clone()));
        Ok(in_channel.into_iter().chain(copied).collect())
    }
}

/// Where a message's content was taken along when its channel let it go.
fn copies<D: Disk>(
    channels: &ChannelStore<D>,
    head: &ChannelHead,
    room: RoomId,
    offset: u64,
) -> Result<Vec<Copy>, StoreError> {
    let mut copies = Vec::new();
    for inbox in head.parties.into_iter().flatten() {
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

/// A message's content outside of its channel.
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
