//! Messages between the log and sorted runs: those of commits in a row are a *layer* in memory,
//! which becomes a run when it is large enough. One grows, another one is being sorted.
//!
//! Which messages are there is decided where they are read, by the record of their channel: those
//! below its first offset are gone, and so is all that was said before the channel itself was
//! removed. So nothing is written in order to remove messages from the beginning. One that is
//! removed before others leaves an empty entry in its place.
//!
//! Invariants: layers and runs cover the log without a hole, in its order; a place is looked for
//! in the newest first, so the last message that was written there counts.
//!
//! Deliberately absent: runs (`message_runs`), and when a channel's first offset moves.

use std::iter::Peekable;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::disk::{Batch, DiskError, KeyRange, ScanCallback, StoreKeyspace};
use super::key;
use super::message_layer::MessageLayer;
use super::message_runs::{MessageRuns, RunsEvent, SortedCallback};
use super::messages::ReadOrder;
use super::record::ChannelRecord;
use crate::base::RoomId;
use crate::runs::EntryKey;

/// What stands in the place of a message that was removed, where older layers or runs may have it:
/// no record of a message is empty.
const REMOVED: &[u8] = &[];

/// Which messages of a channel are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelFloor {
    /// The lowest offset.
    pub first: u64,
    /// All that the log has up to this sequence, and what was before it, is of a channel that was
    /// removed.
    pub void_up_to: Option<u64>,
}

impl ChannelFloor {
    /// The floor that records say; `None` where there is no such channel.
    pub fn read(
        room: RoomId,
        get: impl Fn(StoreKeyspace, &[u8]) -> Result<Option<Vec<u8>>, DiskError>,
    ) -> Result<Option<ChannelFloor>, DiskError> {
        let Some(record) = get(StoreKeyspace::Channels, &key::channel(room))? else {
            return Ok(None);
        };
        let first = ChannelRecord::take_first(&record).map_err(|_| DiskError::Damaged)?;
        let void = get(StoreKeyspace::Meta, &key::void_messages(room))?;
        let void = void.map(|bytes| bytes.try_into().map(u64::from_be_bytes));
        let void_up_to = void.transpose().map_err(|_| DiskError::Damaged)?;
        Ok(Some(ChannelFloor { first, void_up_to }))
    }

    /// Whether a message of a layer or run that ends at a sequence of the log is there.
    pub fn shows(&self, offset: u64, last: u64) -> bool {
        self.first <= offset && self.void_up_to.is_none_or(|void| void < last)
    }
}

/// Notes in the changes of a group that ends at a sequence which channels it removes: what they have
/// in runs is void from then on.
pub fn note_removed(changes: &mut Batch, last: u64) {
    let removed: Vec<RoomId> = removed_channels(changes).collect();
    for room in removed {
        changes.put(StoreKeyspace::Meta, &key::void_messages(room), last.to_be_bytes());
    }
}

fn removed_channels(changes: &Batch) -> impl Iterator<Item = RoomId> {
    changes.removed(StoreKeyspace::Channels).filter_map(key::room_of)
}

/// Finds the floor of a channel; `None` where there is no such channel.
pub type FloorLookup<'a> = dyn Fn(RoomId) -> Result<Option<ChannelFloor>, DiskError> + 'a;

/// Layers in memory, and the runs behind them.
#[derive(Debug)]
pub struct LayeredMessages<R> {
    runs: R,
    active: MessageLayer,
    /// The layer that is being sorted.
    frozen: Option<Arc<MessageLayer>>,
    sorted: u64,
}

impl<R: MessageRuns> LayeredMessages<R> {
    /// No layers over these runs.
    pub fn new(runs: R) -> LayeredMessages<R> {
        LayeredMessages { runs, active: MessageLayer::default(), frozen: None, sorted: 0 }
    }

    /// The runs.
    pub fn runs(&self) -> &R {
        &self.runs
    }

    /// The same, to change. Nothing is being sorted.
    pub fn runs_mut(&mut self) -> &mut R {
        &mut self.runs
    }

    /// The runs without layers.
    #[cfg(test)]
    pub fn into_runs(self) -> R {
        self.runs
    }

    /// Forgets the layers: they are read from the log again, behind the sequence that is returned,
    /// up to which runs have everything.
    pub fn begin(&mut self) -> Result<u64, DiskError> {
        self.active = MessageLayer::default();
        self.frozen = None;
        self.sorted = self.runs.sorted()?;
        Ok(self.sorted)
    }

    /// The sequence of the log up to which runs have everything.
    pub fn sorted(&self) -> u64 {
        self.sorted
    }

    /// Bytes of the log whose messages stand in memory only.
    pub fn unsorted_log_bytes(&self) -> usize {
        self.active.log_bytes() + self.frozen.as_ref().map_or(0, |layer| layer.log_bytes())
    }

    /// Whether a layer is being sorted.
    pub fn is_sorting(&self) -> bool {
        self.frozen.is_some()
    }

    /// Whether a channel that was removed at a sequence may have left messages in runs.
    pub fn may_have_void(&self, removed_at: u64) -> bool {
        self.sorted < removed_at || self.runs.oldest_last().is_some_and(|last| last <= removed_at)
    }

    /// The layer that grows.
    pub fn active(&self) -> &MessageLayer {
        &self.active
    }

    /// Takes the messages of a group that ends at a sequence and needs so many bytes of the log.
    /// Changes up to what runs have already are theirs. Floors are as the group leaves them.
    pub fn absorb(
        &mut self,
        changes: &Batch,
        last: u64,
        log_bytes: usize,
        floor_of: &FloorLookup<'_>,
    ) -> Result<(), DiskError> {
        if last <= self.sorted {
            return Ok(());
        }
        removed_channels(changes).for_each(|room| self.active.forget(room));
        let mut floor: Option<(RoomId, Option<ChannelFloor>)> = None;
        for (key, value) in changes.changes_of(StoreKeyspace::Messages) {
            let Some((room, offset)) = key::message_of(key) else { continue };
            let place = EntryKey { room, offset };
            if let Some(value) = value {
                self.active.put(place, value);
                continue;
            }
            let known = match floor {
                Some((of, known)) if of == room => known,
                Some(_) | None => floor_of(room)?,
            };
            floor = Some((room, known));
            // Nearly all that is removed is below the channel's first offset, and gone by that.
            if known.is_some_and(|floor| floor.shows(offset, last)) {
                self.active.put(place, REMOVED);
            }
        }
        self.active.extend(last, log_bytes);
        Ok(())
    }

    /// Begins to sort the layer that grows. Another one is not being sorted.
    pub fn sort(&mut self) {
        assert!(self.frozen.is_none(), "one layer is sorted at a time");
        let next = self.active.next();
        let layer = Arc::new(std::mem::replace(&mut self.active, next));
        self.runs.sort(Arc::clone(&layer));
        self.frozen = Some(layer);
    }

    /// What is over, if anything is.
    pub fn poll(&mut self) -> Option<RunsEvent> {
        self.runs.poll().inspect(|event| self.note(*event))
    }

    /// The same, and waits for it; `None` where nothing is under way.
    pub fn wait(&mut self) -> Option<RunsEvent> {
        let event = self.runs.wait();
        event.inspect(|event| self.note(*event))
    }

    fn note(&mut self, event: RunsEvent) {
        if let RunsEvent::Sorted(sequence) = event {
            self.sorted = sequence.max(self.sorted);
            let is_over = self.frozen.as_ref().is_some_and(|layer| layer.last() <= sequence);
            if is_over && let Some(layer) = self.frozen.take() {
                self.runs.dispose(layer);
            }
        }
    }

    /// The record of a message that is there.
    pub fn get(
        &self,
        key: &[u8],
        floor_of: &FloorLookup<'_>,
    ) -> Result<Option<Vec<u8>>, DiskError> {
        let Some((room, offset)) = key::message_of(key) else { return Ok(None) };
        let place = EntryKey { room, offset };
        let frozen = || {
            let layer = self.frozen.as_ref()?;
            layer.get(place).map(|value| (value.to_vec(), layer.last()))
        };
        let active = self.active.get(place).map(|value| (value.to_vec(), u64::MAX));
        let found = match active.or_else(frozen) {
            None => self.runs.get(place)?.map(|found| (found.value, found.run_last)),
            found => found,
        };
        let Some((value, last)) = found.filter(|(value, _)| value[..] != *REMOVED) else {
            return Ok(None);
        };
        let is_there = floor_of(room)?.is_some_and(|floor| floor.shows(offset, last));
        Ok(is_there.then_some(value))
    }

    /// Messages of a range that are there, one by one.
    pub fn scan(
        &self,
        range: &KeyRange,
        order: ReadOrder,
        floor_of: &FloorLookup<'_>,
        on_entry: &mut ScanCallback<'_>,
    ) -> Result<(), DiskError> {
        let Some(places) = places_of(range) else { return Ok(()) };
        let mut floor: Option<(RoomId, Option<ChannelFloor>)> = None;
        let mut fault = Ok(());
        let mut on_message = |place: EntryKey, value: &[u8], last: u64| {
            if *value == *REMOVED {
                return ControlFlow::Continue(());
            }
            let known = match floor {
                Some((room, known)) if room == place.room => Ok(known),
                Some(_) | None => floor_of(place.room),
            };
            match known {
                Ok(known) => {
                    floor = Some((place.room, known));
                    let is_there = known.is_some_and(|floor| floor.shows(place.offset, last));
                    match is_there {
                        true => on_entry(&key::message(place.room, place.offset), value),
                        false => ControlFlow::Continue(()),
                    }
                }
                Err(error) => {
                    fault = Err(error);
                    ControlFlow::Break(())
                }
            }
        };
        let runs =
            &mut |on_message: &mut SortedCallback<'_>| self.runs.scan(places, order, on_message);
        let mut below = |on_message: &mut SortedCallback<'_>| match &self.frozen {
            Some(layer) => over((layer, layer.last()), places, order, on_message, runs),
            None => runs(on_message),
        };
        over((&self.active, u64::MAX), places, order, &mut on_message, &mut below)?;
        fault
    }
}

/// Scans what a layer goes over.
type MessagesBelow<'a> = dyn FnMut(&mut SortedCallback<'_>) -> Result<(), DiskError> + 'a;

/// Messages of a layer and of what is below it, in one order.
fn over(
    (layer, last): (&MessageLayer, u64),
    places: (EntryKey, EntryKey),
    order: ReadOrder,
    on_message: &mut SortedCallback<'_>,
    below: &mut MessagesBelow<'_>,
) -> Result<(), DiskError> {
    let found = layer.range(places);
    match order {
        ReadOrder::OldestFirst => merge(found.peekable(), last, order, on_message, below),
        ReadOrder::NewestFirst => merge(found.rev().peekable(), last, order, on_message, below),
    }
}

fn merge<'m, I>(
    mut layer: Peekable<I>,
    last: u64,
    order: ReadOrder,
    on_message: &mut SortedCallback<'_>,
    below: &mut MessagesBelow<'_>,
) -> Result<(), DiskError>
where
    I: Iterator<Item = (EntryKey, &'m [u8])>,
{
    let mut flow = ControlFlow::Continue(());
    below(&mut |place, value, run_last| {
        let is_due = |newer: &(EntryKey, &[u8])| match order {
            ReadOrder::OldestFirst => newer.0 <= place,
            ReadOrder::NewestFirst => place <= newer.0,
        };
        let mut is_replaced = false;
        while let Some((newer, message)) = layer.next_if(is_due) {
            is_replaced |= newer == place;
            flow = on_message(newer, message, last);
            if flow.is_break() {
                return flow;
            }
        }
        if !is_replaced {
            flow = on_message(place, value, run_last);
        }
        flow
    })?;
    for (place, message) in layer {
        if flow.is_break() {
            break;
        }
        flow = on_message(place, message, last);
    }
    Ok(())
}

const PLACE_BYTES: usize = 24;

/// The lowest and the highest place within a range of keys, which need not be those of messages.
fn places_of(range: &KeyRange) -> Option<(EntryKey, EntryKey)> {
    let (first, is_exact) = padded(&range.first);
    // What is longer stands behind its beginning.
    let first = if is_exact { Some(first) } else { stepped(first, u8::MAX) };
    let (last, _) = padded(&range.last);
    // What is shorter stands before all that begins with it.
    let last = if range.last.len() < PLACE_BYTES { stepped(last, 0) } else { Some(last) };
    let place = |bytes: [u8; PLACE_BYTES]| {
        key::message_of(&bytes).map(|(room, offset)| EntryKey { room, offset })
    };
    Some((place(first?)?, place(last?)?))
}

/// The first bytes of a key, with zeros behind them, and whether it has no more.
fn padded(key: &[u8]) -> ([u8; PLACE_BYTES], bool) {
    let mut bytes = [0; PLACE_BYTES];
    let count = key.len().min(PLACE_BYTES);
    bytes[..count].copy_from_slice(&key[..count]);
    (bytes, key.len() <= PLACE_BYTES)
}

/// The next number above these bytes, where the limit of a byte is 255, or below them, where it
/// is 0.
fn stepped(mut bytes: [u8; PLACE_BYTES], limit: u8) -> Option<[u8; PLACE_BYTES]> {
    for byte in bytes.iter_mut().rev() {
        if *byte != limit {
            *byte = if limit == 0 { *byte - 1 } else { *byte + 1 };
            return Some(bytes);
        }
        *byte = u8::MAX - limit;
    }
    None
}
