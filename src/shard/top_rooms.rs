//! The first rooms by some measure: those that come before all others, as many as are asked for.
//!
//! Invariant: the list is in order, and has no more than its bound, however many rooms are added.
//!
//! Deliberately absent: which rooms are looked at (`ranking_scan`, `room_scan`).

use std::cmp::Reverse;

use crate::room::ChannelKey;

/// By what rooms are ranked, most first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankBy {
    /// Connections in them.
    Members,
    /// Messages in the last minute.
    MessageRate,
}

/// A room with what it is ranked by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankedRoom {
    /// Its name.
    pub channel_key: ChannelKey,
    /// Connections in it, on all shards.
    pub members_count: u32,
    /// Messages in the last minute, about.
    pub messages_per_min: u64,
}

impl RankedRoom {
    /// What it is ranked by.
    pub fn value(&self, by: RankBy) -> u64 {
        match by {
            RankBy::Members => u64::from(self.members_count),
            RankBy::MessageRate => self.messages_per_min,
        }
    }
}

/// A place in an order: behind rooms with a higher value, and with the same one and a name before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankPlace {
    /// The value.
    pub value: u64,
    /// The name.
    pub channel: Box<str>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopRooms {
    by: RankBy,
    rooms_max: usize,
    rooms: Vec<RankedRoom>,
}

impl TopRooms {
    /// None yet, of this many.
    pub fn new(by: RankBy, rooms_max: usize) -> TopRooms {
        TopRooms { by, rooms_max, rooms: Vec::new() }
    }

    /// Whether a room with this value and name would be among them.
    pub fn takes(&self, value: u64, channel: &str) -> bool {
        let is_full = self.rooms_max <= self.rooms.len();
        let key = (Reverse(value), channel);
        !is_full || self.rooms.last().is_some_and(|last| key < self.key(last))
    }

    /// Adds a room, if it is one of the first.
    pub fn add(&mut self, room: RankedRoom) {
        if !self.takes(room.value(self.by), &room.channel_key.channel) {
            return;
        }
        let place = self.rooms.partition_point(|other| self.key(other) <= self.key(&room));
        self.rooms.insert(place, room);
        self.rooms.truncate(self.rooms_max);
    }

    /// The first of both.
    pub fn joined(mut self, other: TopRooms) -> TopRooms {
        other.rooms.into_iter().for_each(|room| self.add(room));
        self
    }

    /// By what they are ranked.
    pub fn by(&self) -> RankBy {
        self.by
    }

    /// The rooms, in order.
    pub fn rooms(&self) -> &[RankedRoom] {
        &self.rooms
    }

    /// Whether there are as many as there may be, so that there may be more.
    pub fn is_full(&self) -> bool {
        self.rooms.len() == self.rooms_max
    }

    /// The same, to keep.
    pub fn into_rooms(self) -> Vec<RankedRoom> {
        self.rooms
    }

    fn key<'r>(&self, room: &'r RankedRoom) -> (Reverse<u64>, &'r str) {
        (Reverse(room.value(self.by)), &room.channel_key.channel)
    }
}

impl RankPlace {
    /// Whether a room with this value and name is behind.
    pub fn is_before(&self, value: u64, channel: &str) -> bool {
        (Reverse(self.value), &*self.channel) < (Reverse(value), channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(members_count: u32, messages_per_min: u64) -> RankedRoom {
        let channel = format!("room:{members_count}").into();
        let channel_key = ChannelKey { tenant: "".into(), channel, namespace: 0 };
        RankedRoom { channel_key, members_count, messages_per_min }
    }

    fn members(rooms: &TopRooms) -> Vec<u32> {
        rooms.rooms().iter().map(|room| room.members_count).collect()
    }

    #[test]
    fn the_first_by_either_measure_are_kept_and_no_more_than_there_may_be() {
        for (by, want) in [(RankBy::Members, [9, 8, 7]), (RankBy::MessageRate, [0, 1, 2])] {
            let mut top = TopRooms::new(by, 3);
            for number in [4, 0, 9, 2, 7, 1, 8] {
                top.add(room(number, u64::from(100 - number)));
            }
            assert_eq!(members(&top), want);
            assert!(top.is_full());
        }
    }

    #[test]
    fn rooms_with_the_same_value_stand_by_name_whoever_comes_first() {
        let of = |numbers: [u32; 3]| {
            let mut top = TopRooms::new(RankBy::MessageRate, 2);
            numbers.into_iter().for_each(|number| top.add(room(number, 7)));
            members(&top)
        };
        assert_eq!((of([1, 2, 3]), of([3, 2, 1])), (vec![1, 2], vec![1, 2]));
    }

    #[test]
    fn pages_one_behind_another_have_each_room_once() {
        let all: Vec<RankedRoom> =
            (0..100).map(|number| room(number, u64::from(number / 7))).collect();
        let (mut behind, mut seen) = (None::<RankPlace>, Vec::new());
        loop {
            let mut halves = [0, 1].map(|_| TopRooms::new(RankBy::MessageRate, 8));
            for (index, room) in all.iter().enumerate() {
                let is_next = behind.as_ref().is_none_or(|behind| {
                    behind.is_before(room.messages_per_min, &room.channel_key.channel)
                });
                if is_next {
                    halves[index % 2].add(room.clone());
                }
            }
            let [one, other] = halves;
            let page = one.joined(other);
            seen.extend(members(&page));
            let last = page.rooms().last().filter(|_| page.is_full());
            let Some(last) = last else { break };
            let channel = (*last.channel_key.channel).into();
            behind = Some(RankPlace { value: last.messages_per_min, channel });
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<u32>>());
    }
}
