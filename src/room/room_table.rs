//! The rooms of one shard by their slots, and the index that finds them by their ids.
//!
//! Slots are used again: whoever remembers one has to know that its room is still there.
//!
//! Invariant: the index knows exactly the rooms in the table, each once.
//!
//! Deliberately absent: when a room is made, and when it goes (`rooms`).

use std::ops::{Index, IndexMut};

use super::room::Room;
use crate::base::{RoomId, Slab, SlotIndex};

/// The rooms of one shard.
#[derive(Default)]
pub(super) struct RoomTable {
    rooms: Slab<Room>,
    index: SlotIndex,
}

impl RoomTable {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.rooms.len()
    }

    /// The slot of a room, if it is here.
    pub fn find(&self, id: RoomId) -> Option<u32> {
        self.index.find(id.fold(), |slot| self.rooms[slot].id() == id)
    }

    /// A room that is not here yet. Gives its slot.
    pub fn insert(&mut self, room: Room) -> u32 {
        debug_assert!(self.find(room.id()).is_none(), "a room is here once");
        let slot = self.rooms.insert(room);
        let rooms = &self.rooms;
        self.index.insert(slot, |slot| rooms[slot].id().fold());
        slot
    }

    /// Drops a room.
    pub fn remove(&mut self, slot: u32) {
        let rooms = &self.rooms;
        self.index.remove(slot, |slot| rooms[slot].id().fold());
        let removed = self.rooms.remove(slot);
        assert!(removed.is_some(), "only a room that is here is dropped");
    }

    /// The room of a slot that may be empty.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut Room> {
        self.rooms.at_mut(slot)
    }

    /// The room of a slot that may be empty, to look at.
    pub fn at(&self, slot: u32) -> Option<&Room> {
        self.rooms.at(slot)
    }

    /// One behind the highest slot.
    pub fn span(&self) -> u32 {
        self.rooms.span()
    }

    /// All rooms.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.rooms.iter().map(|(_, room)| room)
    }
}

impl Index<u32> for RoomTable {
    type Output = Room;

    fn index(&self, slot: u32) -> &Room {
        &self.rooms[slot]
    }
}

impl IndexMut<u32> for RoomTable {
    fn index_mut(&mut self, slot: u32) -> &mut Room {
        &mut self.rooms[slot]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::base::{Prng, Timestamps};
    use crate::room::ChannelKey;
    use crate::room::stream::RoomStream;

    fn room(id: RoomId) -> Room {
        let channel_key = ChannelKey { tenant: "".into(), channel: "room:9".into(), namespace: 0 };
        Room::new(id, channel_key, RoomStream::None, Timestamps::default())
    }

    /// A map beside the table, over thousands of rooms that come and go.
    #[test]
    fn rooms_are_found_where_a_map_would_find_them() {
        let mut prng = Prng::from_seed(5);
        let mut table = RoomTable::default();
        let mut model: BTreeMap<u128, u32> = BTreeMap::new();
        for step in 0..10_000 {
            let id = u128::from(prng.below(300)) << 64 | 7;
            let known = model.get(&id).copied();
            assert_eq!(table.find(RoomId(id)), known, "step {step}");
            match known {
                Some(slot) => {
                    assert_eq!(table[slot].id(), RoomId(id));
                    table.remove(slot);
                    model.remove(&id);
                    assert!(table.at_mut(slot).is_none());
                }
                None => {
                    model.insert(id, table.insert(room(RoomId(id))));
                }
            }
            assert_eq!((table.len(), table.iter().count()), (model.len(), model.len()));
        }
    }
}
