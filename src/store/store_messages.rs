//! Where the messages of a store stand: in sorted runs, or, before they are converted, in the database.
//!
//! Deliberately absent: what the two do.

use std::sync::Arc;

use super::disk::DiskError;
use super::fjall_disk::DatabaseMessages;
use super::log_activity::RunsActivity;
use super::message_layer::MessageLayer;
use super::message_runs::{MessageRuns, RunsEvent, SortedCallback, SortedMessage};
use super::messages::ReadOrder;
use super::sorted_runs::SortedRuns;
use crate::runs::EntryKey;

/// The messages of a store.
#[derive(Debug)]
pub enum StoreMessages {
    /// In runs.
    Runs(SortedRuns),
    /// In the database of a store that is looked at.
    Database(DatabaseMessages),
}

impl MessageRuns for StoreMessages {
    fn get(&self, key: EntryKey) -> Result<Option<SortedMessage>, DiskError> {
        match self {
            StoreMessages::Runs(runs) => runs.get(key),
            StoreMessages::Database(messages) => messages.get(key),
        }
    }

    fn scan(
        &self,
        range: (EntryKey, EntryKey),
        order: ReadOrder,
        on_message: &mut SortedCallback<'_>,
    ) -> Result<(), DiskError> {
        match self {
            StoreMessages::Runs(runs) => runs.scan(range, order, on_message),
            StoreMessages::Database(messages) => messages.scan(range, order, on_message),
        }
    }

    fn sorted(&self) -> Result<u64, DiskError> {
        match self {
            StoreMessages::Runs(runs) => runs.sorted(),
            StoreMessages::Database(messages) => messages.sorted(),
        }
    }

    fn oldest_last(&self) -> Option<u64> {
        match self {
            StoreMessages::Runs(runs) => runs.oldest_last(),
            StoreMessages::Database(messages) => messages.oldest_last(),
        }
    }

    fn sort(&mut self, layer: Arc<MessageLayer>) {
        match self {
            StoreMessages::Runs(runs) => runs.sort(layer),
            StoreMessages::Database(messages) => messages.sort(layer),
        }
    }

    fn reclaim(&mut self) {
        match self {
            StoreMessages::Runs(runs) => runs.reclaim(),
            StoreMessages::Database(messages) => messages.reclaim(),
        }
    }

    fn dispose(&mut self, layer: Arc<MessageLayer>) {
        match self {
            StoreMessages::Runs(runs) => runs.dispose(layer),
            StoreMessages::Database(messages) => messages.dispose(layer),
        }
    }

    fn poll(&mut self) -> Option<RunsEvent> {
        match self {
            StoreMessages::Runs(runs) => runs.poll(),
            StoreMessages::Database(messages) => messages.poll(),
        }
    }

    fn wait(&mut self) -> Option<RunsEvent> {
        match self {
            StoreMessages::Runs(runs) => runs.wait(),
            StoreMessages::Database(messages) => messages.wait(),
        }
    }

    fn reopen(&mut self) -> Result<(), DiskError> {
        match self {
            StoreMessages::Runs(runs) => runs.reopen(),
            StoreMessages::Database(messages) => messages.reopen(),
        }
    }

    fn used_bytes(&self) -> u64 {
        match self {
            StoreMessages::Runs(runs) => runs.used_bytes(),
            StoreMessages::Database(messages) => messages.used_bytes(),
        }
    }

    fn take_activity(&mut self) -> RunsActivity {
        match self {
            StoreMessages::Runs(runs) => runs.take_activity(),
            StoreMessages::Database(messages) => messages.take_activity(),
        }
    }
}
