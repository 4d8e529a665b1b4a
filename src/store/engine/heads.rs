//! A cache of the heads of recently used channels, so that an append need not read the disk.
//!
//! Two generations: when the young one is full it becomes the old one, and what
//! is used comes back. Bounded, and no list to keep.

use std::collections::BTreeMap;

use crate::base::{Prng, RoomId};
use crate::wire::{Epoch, Publication};

use super::super::messages::{Append, ChannelCreated};
use super::super::record::{ChannelRecord, MessageAccounting, RemovedHistory};

/// Most channels of one generation.
const YOUNG_MAX: usize = 8_192;

/// The head of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelHead {
    /// The epoch of its stream.
    epoch: Epoch,
    /// The time of its first message, Unix ms; 0 when it is unknown.
    created_unix_ms: u64,
    /// Whether its record has this epoch; otherwise the next message writes it.
    epoch_state: EpochState,
    /// The lowest offset on the disk.
    first: u64,
    /// Bytes of all data before that.
    below_bytes: u64,
    /// The last offset.
    offset: u64,
    /// Bytes of all data up to it.
    total_bytes: u64,
    /// Number of messages up to it that change others, or say who is a member, since the channel
    /// was last empty.
    changes_count: u64,
    /// The time of the last message that was removed, Unix ms; it matters only when none is left.
    last_unix_ms: u64,
    /// What was removed of it by order.
    removed: Option<RemovedHistory>,
    /// By the configuration of today.
    namespace: u16,
    /// Inboxes of the two of a conversation.
    parties: Option<[RoomId; 2]>,
}

impl ChannelHead {
    /// Of a channel that begins.
    pub fn new(channel_created: &ChannelCreated, namespace: u16) -> ChannelHead {
        ChannelHead {
            epoch: channel_created.epoch,
            created_unix_ms: channel_created.created_unix_ms,
            epoch_state: EpochState::Written,
            first: channel_created.behind + 1,
            below_bytes: 0,
            offset: channel_created.behind,
            total_bytes: 0,
            changes_count: 0,
            last_unix_ms: 0,
            removed: None,
            namespace,
            parties: channel_created.parties,
        }
    }

    /// As a channel's record says, which messages above its head are not in.
    pub fn of_record(
        record: &ChannelRecord,
        namespace: u16,
        epoch: Epoch,
        created_unix_ms: u64,
        epoch_state: EpochState,
    ) -> ChannelHead {
        ChannelHead {
            epoch,
            created_unix_ms,
            epoch_state,
            first: record.first,
            below_bytes: record.below_bytes,
            offset: record.head,
            total_bytes: record.total_bytes,
            changes_count: 0,
            last_unix_ms: record.last_unix_ms,
            removed: record.removed,
            namespace,
            parties: record.parties,
        }
    }

    /// The newest message on the disk is this one, whatever the record says.
    pub fn move_to(&mut self, offset: u64, accounting: MessageAccounting) {
        (self.offset, self.total_bytes) = (offset, accounting.total_bytes);
        self.changes_count = accounting.changes_count;
    }

    /// A message is put in behind all others.
    pub fn append(&mut self, said: &Publication, append: &Append) {
        self.epoch_state = EpochState::Written;
        self.offset = said.offset;
        self.total_bytes += said.cost_bytes() as u64;
        self.changes_count += u64::from(append.is_about_others());
    }

    /// Messages went from the channel's beginning, this one the last of them. Its record is
    /// written then.
    pub fn trim_to(&mut self, offset: u64, accounting: &MessageAccounting) {
        self.epoch_state = EpochState::Written;
        self.first = offset + 1;
        self.below_bytes = accounting.total_bytes;
        self.last_unix_ms = accounting.time_unix_ms;
    }

    /// All messages are removed, this late. Its record is written then; what is left of them
    /// on the disk is deleted later.
    pub fn remove_all(&mut self, at_unix_ms: u64) {
        let left = self.removed.filter(|removed| removed.is_left());
        let left_from = left.map_or(self.first.min(self.offset), |removed| removed.left_from);
        self.epoch_state = EpochState::Written;
        self.removed = Some(RemovedHistory { last: self.offset, left_from });
        self.first = self.offset + 1;
        self.below_bytes = self.total_bytes;
        self.last_unix_ms = self.last_unix_ms.max(at_unix_ms);
    }

    /// Nothing is left on the disk of removed messages below this offset. Its record is written
    /// then.
    pub fn clear_to(&mut self, left_from: u64) {
        self.epoch_state = EpochState::Written;
        let removed = self.removed.as_mut().expect("something was removed");
        assert!(removed.left_from <= left_from, "what is deleted stays so");
        removed.left_from = left_from;
    }

    /// What went had been put in.
    pub fn assert_in_order(&self) {
        let is_in_order = self.first <= self.offset + 1 && self.below_bytes <= self.total_bytes;
        assert!(is_in_order, "what went from a channel's beginning had been put in");
        assert!(self.removed_last() < self.first, "what was removed is not shown");
    }

    /// What was removed of it by order.
    pub fn removed(&self) -> Option<RemovedHistory> {
        self.removed
    }

    /// The last offset that was removed by order; 0 for none.
    pub fn removed_last(&self) -> u64 {
        self.removed.map_or(0, |removed| removed.last)
    }

    /// Its stream's epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// When its first message was said, Unix ms; 0 where nobody knows.
    pub fn created_unix_ms(&self) -> u64 {
        self.created_unix_ms
    }

    /// Whether its record knows the epoch.
    pub fn epoch_state(&self) -> EpochState {
        self.epoch_state
    }

    /// The lowest offset that is on the disk.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Bytes of data that were put in before that.
    pub fn below_bytes(&self) -> u64 {
        self.below_bytes
    }

    /// The last offset that was given.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes of data that were put in up to it.
    pub fn total_bytes(&self) -> u64 {
        self.total_bytes
    }

    /// Messages up to it that change others, or say who is a member.
    pub fn changes_count(&self) -> u64 {
        self.changes_count
    }

    /// When the last message that is gone was said, Unix ms.
    pub fn last_unix_ms(&self) -> u64 {
        self.last_unix_ms
    }

    /// Its namespace by the configuration of today.
    pub fn namespace(&self) -> u16 {
        self.namespace
    }

    /// Inboxes of the two of a conversation.
    pub fn parties(&self) -> Option<[RoomId; 2]> {
        self.parties
    }

    /// The lowest offset to be shown where so many messages are kept; retention
    /// removes what is below in its own time.
    pub fn first_shown(&self, count_max: u32) -> u64 {
        let by_count = (self.offset + 1).saturating_sub(count_max.into());
        by_count.max(self.first)
    }
}

/// Whether a channel's record knows its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochState {
    /// It is on the disk.
    Written,
    /// The channel is reborn: what was said may have been lost after it was shown,
    /// so its offsets must not be taken for the same ones.
    Replaced,
}

/// The epoch of a channel that lost something: by chance another one, and the same
/// whenever it is asked for.
pub fn new_epoch(epoch: Epoch, losses_count: u32) -> Epoch {
    let seed = (epoch.0 as u64) << 32 | u64::from(losses_count);
    let drawn = Prng::from_seed(seed).draw() as u32;
    // Neither the old one, nor nobody's.
    let taken = [epoch, Epoch::FOREIGN];
    let mut candidates = (0..=2).map(|more| Epoch(drawn.wrapping_add(more).into()));
    candidates.find(|epoch| !taken.contains(epoch)).expect("two are taken, and these are three")
}

/// The cache.
#[derive(Debug, Default)]
pub struct Heads {
    young: BTreeMap<RoomId, ChannelHead>,
    old: BTreeMap<RoomId, ChannelHead>,
}

impl Heads {
    /// The head of a channel, if it is cached.
    pub fn find(&mut self, room: RoomId) -> Option<ChannelHead> {
        if let Some(head) = self.young.get(&room) {
            return Some(*head);
        }
        let head = self.old.remove(&room)?;
        self.set(room, head);
        Some(head)
    }

    /// Caches the head of a channel.
    pub fn set(&mut self, room: RoomId, head: ChannelHead) {
        if YOUNG_MAX <= self.young.len() && !self.young.contains_key(&room) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(room, head);
    }

    /// Removes a channel.
    pub fn remove(&mut self, room: RoomId) {
        self.young.remove(&room);
        self.old.remove(&room);
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_number_is_bounded() {
        let mut heads = Heads::default();
        let head = |offset| ChannelHead {
            epoch: Epoch(1),
            created_unix_ms: 0,
            epoch_state: EpochState::Written,
            first: 1,
            below_bytes: 0,
            offset,
            total_bytes: 0,
            changes_count: 0,
            last_unix_ms: 0,
            removed: None,
            namespace: 0,
            parties: None,
        };
        for room in 0..5 * YOUNG_MAX as u128 {
            heads.set(RoomId(room), head(room as u64));
            assert!(heads.find(RoomId(0)).is_some());
        }
        assert!(heads.young.len() + heads.old.len() <= 2 * YOUNG_MAX);
        assert_eq!(heads.find(RoomId(1)), None);
        // A value that was set anew is never shadowed by an old one.
        heads.set(RoomId(0), head(77));
        for room in 0..YOUNG_MAX as u128 {
            heads.set(RoomId(1 << 90 | room), head(1));
        }
        assert_eq!(heads.find(RoomId(0)).map(|head| head.offset), Some(77));
    }
}
