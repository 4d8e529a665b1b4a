//! What is read of the disk: what a new member missed, and parts of the history
//! that are not in memory.
//!
//! A long read takes steps, so that a thousand clients that come back do not stall
//! a core.
//!
//! Deliberately absent: whose turn it is to be read for (`store_client`).

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use super::decision::RecoveredMessages;
use super::durable_stream::{DurableStream, StreamState};
use super::room_context::RoomContext;
use super::store_client::{PendingOp, ReadPurpose, ReplyRoute, StoreRead, requester};
use super::{HistoryQuery, Namespace, RoomSubscribe};
use crate::base::limits::{
    HISTORY_ANSWER_BYTES_MAX, READING_STEP_BYTES_MAX, READING_STEP_COUNT_MAX, RECOVERY_BYTES_MAX,
};
use crate::base::{RoomId, Timestamps};
use crate::store::{HistoryRange, ReadOrder, StoreOp};
use crate::wire::chat;
use crate::wire::{Position, Publication};

/// Whether what was missed since then may be on disk and is not in memory.
pub(super) fn is_on_disk_only(durable: &DurableStream, rules: &Namespace, since: Position) -> bool {
    let window = durable.window();
    let head = window.position();
    let oldest = durable.oldest_offset(rules.history_count_max);
    let missed_count = head.offset.saturating_sub(since.offset);
    since.epoch == head.epoch
        && oldest <= since.offset.saturating_add(1)
        && since.offset.saturating_add(1) < window.first_offset()
        && missed_count <= u64::from(rules.recover_count_max)
}

/// What a history needs of the disk; `None` when memory has it all.
pub(super) fn range_on_disk(
    room: RoomId,
    durable: &DurableStream,
    rules: &Namespace,
    query: HistoryQuery,
) -> Option<HistoryRange> {
    let window = durable.window();
    let head = window.position().offset;
    let oldest = durable.oldest_offset(rules.history_count_max);
    let since = query.since.map(|since| since.offset);
    let (first, last) = match query.order {
        ReadOrder::OldestFirst => {
            (since.map_or(oldest, |since| oldest.max(since.saturating_add(1))), head)
        }
        ReadOrder::NewestFirst => {
            (oldest, since.map_or(head, |since| head.min(since.saturating_sub(1))))
        }
    };
    let count = u64::from(query.limit).min((last + 1).saturating_sub(first));
    let lowest = match query.order {
        ReadOrder::OldestFirst => first,
        ReadOrder::NewestFirst => (last + 1).saturating_sub(count),
    };
    // What messages are reacted to with is on disk only, and read with them.
    let highest = lowest.saturating_add(count.saturating_sub(1));
    let is_reacted_to = durable.may_be_reacted_to(lowest, highest);
    let in_memory = count == 0 || (window.first_offset() <= lowest && !is_reacted_to);
    (!in_memory).then_some(HistoryRange {
        room,
        first,
        last,
        count_max: count as u32,
        bytes_max: HISTORY_ANSWER_BYTES_MAX as u32,
        order: query.order,
    })
}

/// The next step of a recovery from `first` up to what is in memory.
pub(super) fn recovery_range(room: RoomId, durable: &DurableStream, first: u64) -> HistoryRange {
    HistoryRange {
        room,
        first,
        last: durable.window().position().offset,
        count_max: READING_STEP_COUNT_MAX,
        bytes_max: READING_STEP_BYTES_MAX,
        order: ReadOrder::OldestFirst,
    }
}

/// One message.
pub(super) fn range_of_one(room: RoomId, offset: u64) -> HistoryRange {
    HistoryRange {
        room,
        first: offset,
        last: offset,
        count_max: 1,
        bytes_max: READING_STEP_BYTES_MAX,
        order: ReadOrder::OldestFirst,
    }
}

/// What a new member missed, as far as it has been read.
pub(super) struct RecoveryRead {
    /// Who, and since when.
    subscribe: Box<RoomSubscribe>,
    /// What has come so far.
    found: Vec<Arc<Publication>>,
    /// What that costs.
    bytes: usize,
}

/// What follows from a step of a recovery.
pub(super) enum RecoveryStep {
    /// It is not known any more what is on disk, or it could not be read.
    Failed,
    /// The next step.
    Next(RecoveryRead, HistoryRange),
    /// That was the last one: the member comes in with this.
    Over(Box<RoomSubscribe>, RecoveredMessages),
}

impl RecoveryRead {
    /// What `subscribe` asked for, of which this has come, at so many bytes.
    pub fn new(
        subscribe: Box<RoomSubscribe>,
        found: Vec<Arc<Publication>>,
        bytes: usize,
    ) -> RecoveryRead {
        RecoveryRead { subscribe, found, bytes }
    }

    /// Takes what one step brought.
    pub fn take(
        mut self,
        room: RoomId,
        found: Option<Vec<Arc<Publication>>>,
        durable: &DurableStream,
        cx: &RoomContext<'_>,
    ) -> RecoveryStep {
        let Some(step) = found.filter(|_| durable.phase() == StreamState::Open) else {
            return RecoveryStep::Failed;
        };
        let since = self.subscribe.since.expect("a recovery has a beginning");
        let mut next = since.offset.saturating_add(1 + self.found.len() as u64);
        let mut is_whole = !step.is_empty();
        for publication in step {
            is_whole &= publication.offset == next
                && is_young(cx.now, &publication, cx.rules.history_age_ms_max);
            next = next.saturating_add(1);
            self.bytes += publication.cost_bytes();
            self.found.push(publication);
        }
        is_whole &= self.bytes <= RECOVERY_BYTES_MAX && cx.store.may_hold(self.bytes);
        if !is_whole {
            return RecoveryStep::Over(self.subscribe, RecoveredMessages::Lost);
        }
        let rest = Position { offset: next - 1, epoch: since.epoch };
        match durable.window().missed(rest) {
            None => RecoveryStep::Next(self, recovery_range(room, durable, next)),
            Some(rest) => {
                let bytes = rest.iter().map(|one| one.cost_bytes()).sum::<usize>();
                let mut missed = mem::take(&mut self.found);
                missed.extend(rest);
                apply_changes(&mut missed);
                end_edits(cx.now, durable, cx.rules, &mut missed);
                let fits = self.bytes + bytes <= RECOVERY_BYTES_MAX;
                let missed =
                    if fits { RecoveredMessages::Whole(missed) } else { RecoveredMessages::Lost };
                RecoveryStep::Over(self.subscribe, missed)
            }
        }
    }

    /// Asks the store for the next step.
    pub fn go_on(self, by: ReplyRoute, range: HistoryRange, cx: &mut RoomContext<'_>) {
        let RecoveryRead { subscribe, found, bytes } = self;
        cx.store.hold_found(bytes);
        let reading = StoreRead {
            found,
            bytes,
            ..StoreRead::new(range.room, by, ReadPurpose::Recovery(subscribe))
        };
        let pending_op = PendingOp::Read(Box::new(reading));
        cx.store.send(requester(Some(by)), pending_op, StoreOp::Read(range), cx.out);
    }
}

/// A message that was read in an earlier step may have been changed since; the message that
/// says so is behind it. The same holds for an edit, whose words may have gone.
fn apply_changes(missed: &mut [Arc<Publication>]) {
    let first = missed.first().map_or(0, |message| message.offset);
    // The last edit of each message, by its index.
    let mut edits: BTreeMap<u64, usize> = BTreeMap::new();
    for index in 0..missed.len() {
        let change = Arc::clone(&missed[index]);
        let Some(target) = chat::changed_offset(&change) else { continue };
        if let Some(edit) = edits.remove(&target).map(|edit| &mut missed[edit])
            && !chat::is_superseded(edit)
        {
            *edit = Arc::new(chat::superseded(edit));
        }
        let is_edit = chat::edited_offset(&change).is_some();
        if is_edit {
            edits.insert(target, index);
        }
        let place = target.checked_sub(first).and_then(|place| usize::try_from(place).ok());
        let Some(message) = place.and_then(|place| missed.get_mut(place)) else { continue };
        let is_applied = chat::is_remainder(message)
            || is_edit
                && (chat::is_superseded(&change)
                    || Some(change.offset) <= chat::edit_offset(message));
        if !is_applied {
            let changed = match is_edit {
                true => chat::edited(message, &change),
                false => chat::remainder(message),
            };
            *message = Arc::new(changed);
        }
    }
}

/// Edits say no words of messages that are not shown any more.
pub(super) fn end_edits(
    now: Timestamps,
    durable: &DurableStream,
    rules: &Namespace,
    found: &mut [Arc<Publication>],
) {
    let first_offset = durable.oldest_offset(rules.history_count_max);
    let oldest_unix_ms = now.unix_ms.saturating_sub(rules.history_age_ms_max);
    for one in found {
        if chat::is_outlived(one, first_offset, oldest_unix_ms) {
            *one = Arc::new(chat::superseded(one));
        }
    }
}

/// Whether a message is not too old to be shown.
pub(super) fn is_young(now: Timestamps, publication: &Publication, age_ms_max: u64) -> bool {
    now.unix_ms < publication.time_unix_ms.saturating_add(age_ms_max)
}
