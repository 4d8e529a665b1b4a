//! What a store needs of sorted runs: messages that are found by room and offset, behind the log.
//!
//! Deliberately absent: files, threads, and which messages still count (`layered_messages`).

use std::ops::ControlFlow;
use std::sync::Arc;

use super::disk::DiskError;
use super::log_activity::RunsActivity;
use super::message_layer::MessageLayer;
use super::messages::ReadOrder;
use crate::runs::EntryKey;

/// A message that a run has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortedMessage {
    /// Its record.
    pub value: Vec<u8>,
    /// The last sequence of the log that its run covers.
    pub run_last: u64,
}

/// Sees a message of a run: its place, its record, and the last sequence of the log that the run
/// covers. Says whether it wants the next.
pub type SortedCallback<'a> = dyn FnMut(EntryKey, &[u8], u64) -> ControlFlow<()> + 'a;

/// Something that was begun is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunsEvent {
    /// Runs have every message up to this sequence of the log, durable.
    Sorted(u64),
    /// Runs were merged.
    Merged,
    /// What was gone has given its space back.
    Reclaimed,
    /// Nothing is written any more before `reopen`.
    Failed(DiskError),
}

/// Runs, to which layers of messages are added in their order.
pub trait MessageRuns {
    /// The message at a place, as the newest run that has one there has it.
    fn get(&self, key: EntryKey) -> Result<Option<SortedMessage>, DiskError>;

    /// Messages between two places, both included, each once and as its newest run has it.
    fn scan(
        &self,
        range: (EntryKey, EntryKey),
        order: ReadOrder,
        on_message: &mut SortedCallback<'_>,
    ) -> Result<(), DiskError>;

    /// The sequence of the log up to which runs have every message; 0 where they have none.
    fn sorted(&self) -> Result<u64, DiskError>;

    /// The last sequence of the log that the oldest run covers; `None` where there are no runs.
    fn oldest_last(&self) -> Option<u64>;

    /// Begins to make a run of a layer. Nothing else is being made.
    fn sort(&mut self, layer: Arc<MessageLayer>);

    /// Begins to give back the space of messages that are gone. Nothing is being sorted.
    fn reclaim(&mut self);

    /// Nobody reads this one any more. Freeing so many takes a while, which somebody else may
    /// have.
    fn dispose(&mut self, layer: Arc<MessageLayer>);

    /// What is over, if anything is.
    fn poll(&mut self) -> Option<RunsEvent>;

    /// The same, and waits for it; `None` where nothing is under way.
    fn wait(&mut self) -> Option<RunsEvent>;

    /// Reads again what is really there. What was begun and is not over is forgotten.
    fn reopen(&mut self) -> Result<(), DiskError>;

    /// Bytes that they take on the disk.
    fn used_bytes(&self) -> u64;

    /// What was done to them since this was last asked, and which there are.
    fn take_activity(&mut self) -> RunsActivity;
}
