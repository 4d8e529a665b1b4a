//! A cache of the heads of recently used channels, so that an append need not read the disk.
//!
//! Two generations: when the young one is full it becomes the old one, and what
//! is used comes back. Bounded, and no list to keep.

use std::collections::BTreeMap;

use crate::base::{Prng, RoomId};
use crate::wire::Epoch;

/// Most channels of one generation.
const YOUNG_MAX: usize = 8_192;

/// The head of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelHead {
    /// The epoch of its stream.
    pub epoch: Epoch,
    /// The time of its first message, Unix ms; 0 when it is unknown.
    pub created_unix_ms: u64,
    /// Whether its record has this epoch; otherwise the next message writes it.
    pub epoch_state: EpochState,
    /// The lowest offset on the disk.
    pub first: u64,
    /// Bytes of all data before that.
    pub below_bytes: u64,
    /// The last offset.
    pub offset: u64,
    /// Bytes of all data up to it.
    pub total_bytes: u64,
    /// Number of messages up to it that change others, since the channel was last empty.
    pub changes_count: u64,
    /// The time of the last message that was removed, Unix ms; it matters only when none is left.
    pub last_unix_ms: u64,
    /// By the configuration of today.
    pub namespace: u16,
    /// Inboxes of the two of a conversation.
    pub parties: Option<[RoomId; 2]>,
}

impl ChannelHead {
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
