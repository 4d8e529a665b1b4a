//! Dead letters: showing them, sending them again, dropping them.

use std::sync::Arc;

use crate::base::RoomId;
use crate::wire::Publication;

use super::super::disk::{Batch, Disk, DiskError, StoreKeyspace, SyncMode};
use super::super::key;
use super::super::messages::DeadLetterCause;
use super::super::record::{self, ChannelRecord, DeadLetterRecord, PendingRecord};
use super::Inspection;

/// Dead letters of one batch.
const BATCH_DEAD_LETTERS_MAX: usize = 1_000;

/// A message that was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The personal channel of the user whom it did not reach.
    pub inbox: RoomId,
    /// The tenant whose channel it is.
    pub tenant: Arc<str>,
    /// The conversation.
    pub channel: Arc<str>,
    /// Its place there.
    pub offset: u64,
    /// Why it was given up.
    pub cause: DeadLetterCause,
    /// When, Unix ms.
    pub at_unix_ms: u64,
    /// How often it was sent.
    pub tries_count: u16,
    /// When it would have been given up, Unix ms.
    pub expires_unix_ms: u64,
    /// The message; `None` when it cannot be read.
    pub publication: Option<Arc<Publication>>,
}

/// Some of the dead letters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadLetterFilter {
    /// All.
    All,
    /// Those of one conversation.
    Channel {
        /// The tenant whose conversation it is.
        tenant: String,
        /// Its name.
        channel: String,
    },
    /// A single one.
    Letter {
        /// The tenant whose conversation it is.
        tenant: String,
        /// Its name.
        channel: String,
        /// The message's offset.
        offset: u64,
    },
}

impl DeadLetterFilter {
    fn is_one(&self, dead_letter: &DeadLetter) -> bool {
        let is_in = |tenant: &str, channel: &str| {
            *tenant == *dead_letter.tenant && *channel == *dead_letter.channel
        };
        match self {
            DeadLetterFilter::All => true,
            DeadLetterFilter::Channel { tenant, channel } => is_in(tenant, channel),
            DeadLetterFilter::Letter { tenant, channel, offset } => {
                is_in(tenant, channel) && *offset == dead_letter.offset
            }
        }
    }
}

impl<D: Disk> Inspection<D> {
    /// Shows dead letters, by inbox, conversation and offset.
    pub fn dead_letters(
        &self,
        which: &DeadLetterFilter,
        on_dead_letter: &mut dyn FnMut(&DeadLetter),
    ) -> Result<u64, DiskError> {
        let mut count = 0;
        self.scan_dead_letters(which, &mut |_, _, dead_letter| {
            count += 1;
            on_dead_letter(dead_letter);
        })?;
        Ok(count)
    }

    /// Lets dead letters wait for their readers again, until then; how many.
    pub fn requeue(
        &mut self,
        which: &DeadLetterFilter,
        expires_unix_ms: u64,
    ) -> Result<u64, DiskError> {
        // One whose body is gone cannot be sent any more.
        let has_body = |dead_letter: &DeadLetter| dead_letter.publication.is_some();
        self.change(which, &has_body, &|batch, key, record| {
            let message = record.pending.message.clone();
            let pending = PendingRecord { tries_count: 0, expires_unix_ms, message };
            batch.put(StoreKeyspace::Pending, key, pending.put());
        })
    }

    /// Forgets dead letters; how many. What their conversations keep stays there.
    pub fn drop_dead_letters(&mut self, which: &DeadLetterFilter) -> Result<u64, DiskError> {
        self.change(which, &|_| true, &|_, _, _| {})
    }

    fn change(
        &mut self,
        which: &DeadLetterFilter,
        takes: &dyn Fn(&DeadLetter) -> bool,
        also: &dyn Fn(&mut Batch, &[u8], &DeadLetterRecord),
    ) -> Result<u64, DiskError> {
        let mut changes = Vec::new();
        self.scan_dead_letters(which, &mut |key, record, dead_letter| {
            if takes(dead_letter) {
                changes.push((key.to_vec(), record.clone()));
            }
        })?;
        for some in changes.chunks(BATCH_DEAD_LETTERS_MAX) {
            let mut batch = Batch::default();
            for (key, record) in some {
                batch.remove(StoreKeyspace::Dead, key);
                also(&mut batch, key, record);
            }
            self.disk.commit(&mut batch, SyncMode::Now)?;
        }
        Ok(changes.len() as u64)
    }

    fn scan_dead_letters(
        &self,
        which: &DeadLetterFilter,
        on_dead_letter: &mut dyn FnMut(&[u8], &DeadLetterRecord, &DeadLetter),
    ) -> Result<(), DiskError> {
        let mut found = Vec::new();
        self.walk(StoreKeyspace::Dead, &key::rest(&[]), &mut |key, value| {
            if let (Some(place), Ok(record)) =
                (key::pending_from(key), DeadLetterRecord::take(value))
            {
                found.push((place, key.to_vec(), record));
            }
        })?;
        let mut channel: Option<(RoomId, ChannelRecord)> = None;
        for ((inbox, room, offset), key, record) in found {
            if channel.as_ref().is_none_or(|(known, _)| *known != room) {
                let value = self.disk.get(StoreKeyspace::Channels, &key::channel(room))?;
                let record = value.and_then(|value| ChannelRecord::take(&value).ok());
                channel = record.map(|record| (room, record));
            }
            let Some((_, of)) = channel.as_ref().filter(|(_, of)| !of.is_removed(offset)) else {
                continue;
            };
            let dead_letter = DeadLetter {
                inbox,
                tenant: of.tenant.clone(),
                channel: of.channel.clone(),
                offset,
                cause: record.cause,
                at_unix_ms: record.at_unix_ms,
                tries_count: record.pending.tries_count,
                expires_unix_ms: record.pending.expires_unix_ms,
                publication: self.content(room, offset, &record.pending.message),
            };
            if which.is_one(&dead_letter) {
                on_dead_letter(&key, &record, &dead_letter);
            }
        }
        Ok(())
    }

    fn content(&self, room: RoomId, offset: u64, message: &[u8]) -> Option<Arc<Publication>> {
        let kept = match message {
            [] => self.disk.get(StoreKeyspace::Messages, &key::message(room, offset)).ok()??,
            message => message.to_vec(),
        };
        Some(Arc::new(record::take_message(&kept, offset).ok()?.0))
    }
}
