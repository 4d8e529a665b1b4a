//! Messages between shards, and the home shard of a room.
//!
//! Invariant: a message holds values only, so it may cross threads; the compiler checks
//! this.
//!
//! Deliberately absent: the lanes that messages travel in, and their limits (`mesh`).

use crate::base::limits::GAP_ROOMS_MAX;
use crate::base::{RoomId, ShardId};
use crate::room::{ReplyTo, RoomEvent, RoomRequest};

/// A message from one shard to another. Closed on purpose: no closures, no handles, only
/// values. An `Rc` in here would not compile.
#[derive(Clone, Debug)]
pub enum ShardMessage {
    /// To a room's home.
    Request(RoomRequest),
    /// From a room's home.
    Event(RoomEvent),
    /// From a home whose lane to this shard was full: publications were lost.
    Gap(Gap),
    /// A connection with open requests to the receiver is gone: their answers are not needed.
    ConnectionGone(ReplyTo),
}

/// The rooms in which publications were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// These rooms, at most `GAP_ROOMS_MAX`.
    Rooms(Vec<RoomId>),
    /// Too many to name: possibly all rooms of this home.
    All,
}

impl Gap {
    /// Adds a lost publication of this room.
    pub fn add(&mut self, room: RoomId) {
        match self {
            Gap::All => (),
            Gap::Rooms(rooms) if rooms.contains(&room) => (),
            Gap::Rooms(rooms) if rooms.len() < GAP_ROOMS_MAX => rooms.push(room),
            Gap::Rooms(_) => *self = Gap::All,
        }
    }
}

const fn crosses_cores<T: Send + 'static>() {}
const _: () = crosses_cores::<ShardMessage>();

/// The shard that orders a room's messages. A pure function of its arguments,
/// so every core agrees without asking.
pub fn home(room: RoomId, shards_count: u16) -> ShardId {
    assert!(0 < shards_count);
    let mixed = ((room.0 >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ShardId(((u128::from(mixed) * u128::from(shards_count)) >> 64) as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_in_range_and_even() {
        let mut per_shard = [0u32; 7];
        for room in 0..7_000u128 {
            per_shard[usize::from(home(RoomId(room << 64), 7).0)] += 1;
        }
        assert!(per_shard.iter().all(|&n| 900 < n && n < 1_100), "{per_shard:?}");
    }
}
