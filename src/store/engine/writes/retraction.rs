//! What is left of a message that is taken back, wherever its content stands.
//!
//! Deliberately absent: who may take it back (`room`).

use crate::base::RoomId;
use crate::store::disk::{Disk, StoreKeyspace};
use crate::store::engine::channels::ChannelStore;
use crate::store::engine::heads::ChannelHead;
use crate::store::engine::staged::Put;
use crate::store::messages::StoreError;
use crate::store::record::{DeadLetterRecord, PendingRecord};
use crate::store::{key, record};
use crate::wire::Publication;

/// What stands in the places of a message that is taken back, from then on: in its
/// channel, and where its content was taken along.
pub(in crate::store::engine) fn stubs<D: Disk>(
    channels: &ChannelStore<D>,
    room: RoomId,
    head: &ChannelHead,
    left: &Publication,
) -> Result<Vec<Put>, StoreError> {
    let message_key = key::message(room, left.offset);
    let kept = match left.offset < head.first {
        true => None,
        false => channels.staged().get(StoreKeyspace::Messages, &message_key)?,
    };
    let copies = copies(channels, head, room, left.offset)?;
    let Some(original) = kept.as_deref().or(copies.first().map(|copy| copy.message())) else {
        // Retention was faster.
        return Ok(Vec::new());
    };
    // The accounts stay: they say what was put in, not what is left.
    let account = record::take_account(original)?;
    let stub = record::put_message(left, account.total_bytes, account.retractions_count);
    let in_channel = kept.map(|_| {
        let (key, value) = (message_key.to_vec(), stub.clone());
        Put { space: StoreKeyspace::Messages, key, value }
    });
    let copied = copies.into_iter().map(|copy| copy.with_message(stub.clone()));
    Ok(in_channel.into_iter().chain(copied).collect())
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

    fn with_message(self, message: Vec<u8>) -> Put {
        match self {
            Copy::Pending(key, mut record) => {
                record.message = message;
                Put { space: StoreKeyspace::Pending, key, value: record.put() }
            }
            Copy::Dead(key, mut record) => {
                record.pending.message = message;
                Put { space: StoreKeyspace::Dead, key, value: record.put() }
            }
        }
    }
}
