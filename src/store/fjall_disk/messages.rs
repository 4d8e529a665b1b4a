//! Messages that stand in the database: of a store that was not converted yet, and is looked at.
//!
//! Deliberately absent: writing them.

use std::sync::Arc;

use super::super::disk::{DiskError, StoreKeyspace};
use super::super::key;
use super::super::log_activity::RunsActivity;
use super::super::message_layer::MessageLayer;
use super::super::message_runs::{MessageRuns, RunsEvent, SortedCallback, SortedMessage};
use super::super::messages::ReadOrder;
use super::{APPLIED_IN_MESSAGES, FjallDisk, Handles, disk_fault};
use crate::runs::EntryKey;

/// The messages of a database, as they are.
pub struct DatabaseMessages {
    handles: Handles,
    applied: u64,
}

impl std::fmt::Debug for DatabaseMessages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatabaseMessages").field("applied", &self.applied).finish_non_exhaustive()
    }
}

impl DatabaseMessages {
    /// Those of this one.
    pub fn of(disk: &FjallDisk) -> Result<DatabaseMessages, DiskError> {
        let handles = disk.handles()?.clone();
        let applied = handles.messages_applied().map_err(disk_fault)?;
        Ok(DatabaseMessages { handles, applied })
    }

    /// Up to which sequence of the log they are all.
    pub fn applied(&self) -> u64 {
        self.applied
    }

    /// Bytes that their tables take.
    pub fn table_bytes(&self) -> u64 {
        self.handles.keyspace(StoreKeyspace::Messages).disk_space()
    }
}

impl MessageRuns for DatabaseMessages {
    fn get(&self, place: EntryKey) -> Result<Option<SortedMessage>, DiskError> {
        let key = key::message(place.room, place.offset);
        let value = self.handles.messages.get(key).map_err(disk_fault)?;
        let run_last = self.applied;
        Ok(value.map(|value| SortedMessage { value: value.to_vec(), run_last }))
    }

    fn scan(
        &self,
        (low, high): (EntryKey, EntryKey),
        order: ReadOrder,
        on_message: &mut SortedCallback<'_>,
    ) -> Result<(), DiskError> {
        let end = |place: EntryKey| key::message(place.room, place.offset);
        let mut entries = self.handles.messages.range(end(low)..=end(high));
        while let Some(entry) = match order {
            ReadOrder::OldestFirst => entries.next(),
            ReadOrder::NewestFirst => entries.next_back(),
        } {
            let (key, value) = entry.into_inner().map_err(disk_fault)?;
            if &key[..] == APPLIED_IN_MESSAGES {
                continue;
            }
            let (room, offset) = key::message_of(&key).ok_or(DiskError::Damaged)?;
            if on_message(EntryKey { room, offset }, &value, self.applied).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn sorted(&self) -> Result<u64, DiskError> {
        Ok(self.applied)
    }

    fn oldest_last(&self) -> Option<u64> {
        Some(self.applied)
    }

    fn sort(&mut self, _layer: Arc<MessageLayer>) {}

    fn reclaim(&mut self) {}

    fn dispose(&mut self, _layer: Arc<MessageLayer>) {}

    fn poll(&mut self) -> Option<RunsEvent> {
        None
    }

    fn wait(&mut self) -> Option<RunsEvent> {
        None
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    fn used_bytes(&self) -> u64 {
        0
    }

    fn take_activity(&mut self) -> RunsActivity {
        RunsActivity::default()
    }
}
